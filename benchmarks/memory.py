"""Memory and time per image of features and heads for 500 to 50,000 images.

Makes small JPEGs of noise in a temporary folder, runs ``cnntransfer finetune`` as a process, and
reads its peak resident memory from the operating system (Linux, macOS).

    python benchmarks/memory.py --images 500 5000 50000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from timing import CNNTRANSFER


def make_photos(folder: Path, images: int) -> None:
    """10 classes of 64 x 64 pixels; every file is another one."""
    random = np.random.default_rng(0)
    for number in range(images):
        target = folder / f"class{number % 10}" / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        noise = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        noise[..., 0] = np.minimum(noise[..., 0], 25 * (number % 10) + 30)
        Image.fromarray(noise).resize((64, 64)).save(target, quality=80)


def peak_of(command: list[str]) -> tuple[float, str]:
    """The peak resident memory of a process in GB, and its stdout."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        out = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_maxrss / 1e6, out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[500, 5000, 50000])
    parser.add_argument("--backbone", default="mobilenet_v2")
    arguments = parser.parse_args()
    python = CNNTRANSFER[:1]
    # Once per machine, with TensorFlow: the runs that are measured find the backbone prepared.
    scratch = tempfile.TemporaryDirectory()
    os.environ["CNNTRANSFER_CACHE"] = str(Path(scratch.name) / "cache")
    make_photos(Path(scratch.name) / "photos", 60)
    first = [*CNNTRANSFER, "finetune", str(Path(scratch.name) / "photos"), "-q", "--epochs", "1"]
    first += ["--backbone", arguments.backbone, "-o", str(Path(scratch.name) / "run")]
    print(f"the first run, which prepares the backbone: {peak_of(first)[0]:.2f} GB")
    print(f"import tensorflow: {peak_of([*python, '-c', 'import tensorflow'])[0]:.2f} GB")
    print("| images | peak GB | ms per image: read | features | heads, an epoch |")
    print("|---|---|---|---|---|")
    for images in arguments.images:
        with tempfile.TemporaryDirectory() as folder:
            make_photos(Path(folder) / "photos", images)
            command = [*CNNTRANSFER, "finetune", str(Path(folder) / "photos"), "--json", "-q"]
            command += ["--backbone", arguments.backbone, "-o", str(Path(folder) / "run")]
            command += ["--epochs", "20"]
            peak, out = peak_of(command)
            seconds = json.loads(out)["seconds"]
            epochs = len((Path(folder) / "run" / "history.csv").read_text().splitlines()) - 1
        each = [1000 * seconds[step] / images for step in ("read images", "compute features")]
        head = 1000 * seconds["train"] / images / epochs
        cells = [f"{peak:.2f}", *(f"{x:.2f}" for x in (*each, head))]
        print(f"| {images} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
