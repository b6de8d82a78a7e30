"""What the comparisons share: processes timed in turns, ratios with their range."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

CNNTRANSFER = [sys.executable, "-m", "cnntransfer"]
HERE = Path(__file__).parent
#: Constructor name in lower case with underscores -> the file in ``../shared/weights``.
WEIGHTS = {
    "mobilenet": "mobilenet_imagenet.weights.h5",
    "mobilenet_v2": "mobilenet_v2_imagenet.weights.h5",
    "resnet50": "resnet50_imagenet.weights.h5",
    "vgg16": "vgg16_imagenet_notop.weights.h5",
    "inception_v3": "inception_v3_imagenet_notop.weights.h5",
}


def process(command: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple:
    """Run a command; returns its seconds (start and end of the process included) and stdout."""
    variables = {**os.environ, **(environment or {})}
    # Libraries are installed with their bytecode. Ours is kept, too, as it is by default.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode not in (0, 9):
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return seconds, done.stdout


def in_turns(sides: Mapping[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Measure every side once, then every side again, and so on."""
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(runs):
        for name, measure in sides.items():
            measured[name].append(measure())
            print(f"# run {number + 1}, {name}: {measured[name][-1]:.3f}", flush=True)
    return measured


def ratios(measured: Mapping[str, list[float]], slower: str, faster: str) -> str:
    """``median (lowest..highest)`` of slower / faster, pair by pair."""
    pairs = [a / b for a, b in zip(measured[slower], measured[faster], strict=True)]
    return f"{median(pairs):.2f} ({min(pairs):.2f}..{max(pairs):.2f})"


def spread(values: Sequence[float]) -> str:
    """``median (lowest..highest)``."""
    return f"{median(values):.2f} ({min(values):.2f}..{max(values):.2f})"


def divide(data: Path, target: Path, seed: int) -> None:
    """Links to a fifth of every class under ``val/``, to the others under ``train/``."""
    chance = random.Random(seed)
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        files = sorted(folder.iterdir())
        chance.shuffle(files)
        for number, file in enumerate(files):
            subset = "val" if number < len(files) // 5 else "train"
            link = target / subset / folder.name / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
