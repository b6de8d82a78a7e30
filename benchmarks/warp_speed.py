"""Random transformations: ``data/warp.py`` against ``ImageDataGenerator.apply_transform``.

One thread, 224 x 224 pixels, the generator's own parameters, in turns.

    python benchmarks/warp_speed.py --runs 5
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import numpy as np
from timing import in_turns, ratios, spread

from cnntransfer.data.warp import warp
from cnntransfer.frameworks import tensorflow
from cnntransfer.recipe import AUGMENTATION_PRESETS, Augmentation

_SETTINGS = {
    "light": AUGMENTATION_PRESETS["light"],
    "strong": AUGMENTATION_PRESETS["strong"],
    "mirror": Augmentation(horizontal_flip=True, vertical_flip=True),
}
_DRAWS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    make = tensorflow().keras.preprocessing.image.ImageDataGenerator
    for name, settings in _SETTINGS.items():
        generator = make(**dataclasses.asdict(settings), data_format="channels_last")
        draws = [generator.get_random_transform(image.shape, seed=i) for i in range(_DRAWS)]

        def timed(function) -> float:  # type: ignore[no-untyped-def]
            started = time.perf_counter()
            for parameters in draws:  # noqa: B023
                function(parameters)
            return 1000 * (time.perf_counter() - started) / _DRAWS

        sides = {
            "keras": lambda: timed(
                lambda p: generator.apply_transform(image.astype(np.float32), p)  # noqa: B023
            ),
            "warp": lambda: timed(
                lambda p: warp(image, p, settings.fill_mode, settings.cval)  # noqa: B023
            ),
        }
        for measure in sides.values():
            measure()
        measured = in_turns(sides, arguments.runs)
        print(
            f"| {name} | {spread(measured['warp'])} | {spread(measured['keras'])} | "
            f"{ratios(measured, 'keras', 'warp')} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
