"""How long a report takes and how much it weighs: the whole process ``cnntransfer report``.

Synthetic runs: photos of noise with the spectrum of photos, of which small pictures weigh more than
of real ones, and predictions of about the given accuracy.

    python benchmarks/report.py --classes 10 200 --photos 1000
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from timing import CNNTRANSFER, process, spread

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.report.synthetic import make_run

_SCENES = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 200])
    parser.add_argument("--photos", type=int, default=1000, help="Test photos.")
    parser.add_argument("--size", type=int, nargs=2, default=[1024, 768], help="Of a photo.")
    parser.add_argument("--accuracy", type=float, default=0.8)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    scenes = [_scene(number, *arguments.size) for number in range(_SCENES)]

    def draw(number: int, label: int) -> Image.Image:
        scene = np.roll(scenes[number % _SCENES], 37 * number, axis=1)
        return Image.fromarray(scene)

    print("| classes | seconds | of processor | MB | small pictures |\n|---|---|---|---|---|")
    for classes in arguments.classes:
        with tempfile.TemporaryDirectory() as folder:
            names = [f"class {number:03}" for number in range(classes)]
            bundle = make_run(
                Path(folder),
                names,
                train=2 * classes,
                val=0,
                test=arguments.photos,
                accuracy=arguments.accuracy,
                suspects=classes // 2,
                groups=classes // 2,
                draw=draw,
            )
            report = Path(folder, "report.html")
            command = [*CNNTRANSFER, "report", str(bundle.path), "-o", str(report), "--overwrite"]
            seconds, busy = [], []
            for _ in range(arguments.runs):
                before = os.times()
                seconds.append(process(command)[0])
                after = os.times()
                busy.append(sum(after[2:4]) - sum(before[2:4]))  # Of child processes.
            pictures = report.read_text(encoding="utf-8").count("<image ")
            size = report.stat().st_size / 1e6
            figures = (classes, spread(seconds), spread(busy), f"{size:.1f}", pictures)
            print(f"| {' | '.join(map(str, figures))} |", flush=True)


def _scene(seed: int, width: int, height: int) -> np.ndarray:
    """Coloured noise whose amplitude falls with frequency, as that of photos does."""
    random = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    fall = 1 / np.maximum(np.hypot(fx, fy), 1 / width)
    channels = []
    for _ in range(3):
        noise = np.fft.irfft2(np.fft.rfft2(random.normal(size=(height, width))) * fall)
        channels.append(128 + 50 * noise / noise.std())
    return np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
