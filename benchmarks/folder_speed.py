"""``predict`` on a folder of 12-megapixel JPEGs against its parts alone, decoding and inference.

Where both parts keep all cores busy, what runs them together cannot be faster than one after the
other on all cores; what a pipeline with a core for each could do at most is its slower part on one.

python benchmarks/folder_speed.py --images 500 --runs 5
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from timing import in_turns, spread

from cnntransfer.data.images import read
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.parallel import available_cores, ordered_map
from cnntransfer.predict import predict
from cnntransfer.pretrained import open_model


def make_photos(folder: Path, images: int, grain: float) -> list[Path]:
    """4000 x 3000 pixels of soft noise; ten different ones, linked.

    Args:
        folder: Where to.
        images: How many.
        grain: Standard deviation of a sensor's noise, of every pixel by itself, in grey levels.
            The more of it, the larger the files.
    """
    for number in range(10):
        random = np.random.default_rng(number)
        noise = random.integers(0, 256, (750, 1000, 3), dtype=np.uint8)
        photo = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)).resize((4000, 3000))
        if grain:
            grains = random.normal(0, grain, (3000, 4000, 1)).astype(np.float32)
            photo = Image.fromarray(np.clip(photo + grains, 0, 255).astype(np.uint8))
        photo.save(folder / f"original{number}.jpg", quality=90)
    sizes = [path.stat().st_size / 1e6 for path in folder.glob("original*.jpg")]
    print(f"JPEGs of {spread(sizes)} MB")
    paths = [folder / f"{number}.jpg" for number in range(images)]
    for number, path in enumerate(paths):
        path.symlink_to(folder / f"original{number % 10}.jpg")
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--model", default="mobilenet")
    parser.add_argument("--grain", type=float, default=0.0, help="of the photos, grey levels")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    bundle = open_model(arguments.model)
    workers = available_cores()
    engine = LiteRTEngine(bundle.litert_files, workers)
    alone = LiteRTEngine(bundle.litert_files)
    with tempfile.TemporaryDirectory() as folder:
        paths = make_photos(Path(folder), arguments.images, arguments.grain)
        array = read(paths[0], bundle.input_spec)

        def rate(function) -> float:  # type: ignore[no-untyped-def]
            started = time.perf_counter()
            count = sum(1 for _ in function())
            return count / (time.perf_counter() - started)

        measured = in_turns(
            {
                "decode": lambda: rate(
                    lambda: ordered_map(lambda p: read(p, bundle.input_spec), paths, workers)
                ),
                "inference": lambda: rate(lambda: engine.map(lambda p: array, paths)),
                "decode, one core": lambda: rate(
                    lambda: (read(p, bundle.input_spec) for p in paths)
                ),
                "inference, one core": lambda: rate(lambda: alone.map(lambda p: array, paths)),
                "predict": lambda: rate(lambda: predict(bundle, paths)),
            },
            arguments.runs,
        )
    for name, values in measured.items():
        print(f"{name:20} {spread(values)} images/s")
    triples = list(zip(measured["predict"], measured["decode"], measured["inference"], strict=True))
    shares = [p / min(d, i) for p, d, i in triples]
    serial = [p * (1 / d + 1 / i) for p, d, i in triples]
    print(f"predict / the slower part alone, each on all cores: {spread(shares)}")
    apart = zip(
        measured["predict"],
        measured["decode, one core"],
        measured["inference, one core"],
        strict=True,
    )
    side_by_side = [p / min(d, i) for p, d, i in apart]
    print(f"predict / the slower part alone, a core each: {spread(side_by_side)}")
    print(f"predict / both parts one after the other, each on all cores: {spread(serial)}")


if __name__ == "__main__":
    main()
