"""How many labels that were swapped on purpose are at the top of ``suspects.csv``.

For every data set and seed, links to its photos in a temporary folder: a fifth of every class under
``val/``, the others under ``train/``, and 5 % of the training photos (at random) under another
class (at random). Then ``cnntransfer finetune`` with nothing chosen, and once more without a swap.
The first tenth of ``suspects.csv`` is as many rows as a tenth of the training photos.

    python benchmarks/suspects.py --data ../shared/data/trashnet ../shared/data/eurosat \
        ../shared/data/brain-mri sample_images fashion-mnist-2000 digits

``fashion_mnist.py`` and ``presets.py --digits`` write the last two. Prints one Markdown row per
data set: means over seeds, and (lowest..highest).
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from timing import CNNTRANSFER, divide, process

from cnntransfer.bundle import Bundle

_SHARE, _TOP = 0.05, 0.1
Scores = dict[str, float]
Row = dict[str, str]
#: By what rows may be ordered; the first keeps them as they are written.
_ORDERS: dict[str, Callable[[Row], float]] = {
    "% of them in the first tenth": lambda row: 0.0,
    "... were the rows by margin": lambda row: float(row["p_label"]) - float(row["p_suggested"]),
    "... were the rows by label alone": lambda row: float(row["p_label"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of finetune")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    for number, data in enumerate(arguments.data):
        scores = [measure(data.resolve(), seed, arguments.options) for seed in arguments.seeds]
        if number == 0:
            print("| data | " + " | ".join(scores[0]) + " |")
            print("|---|" + "---|" * len(scores[0]))
        cells = []
        for name in scores[0]:
            values = [one[name] for one in scores]
            cells.append(f"{np.mean(values):.1f} ({min(values):.1f}..{max(values):.1f})")
        print(f"| {data.name} | {' | '.join(cells)} |", flush=True)


def measure(data: Path, seed: int, options: list[str]) -> Scores:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / data.name
        divide(data, folder, seed)
        clean, _ = found(folder, Path(scratch) / "clean", options)
        swapped, training = swap(folder / "train", seed)
        rows, seconds = found(folder, Path(scratch) / "swapped", options)
    wrong = {f"train/{name}" for name in swapped}
    orders = {
        name: [row["file"] for row in sorted(rows, key=key)][: int(_TOP * training)]
        for name, key in _ORDERS.items()
    }
    confident = [row["file"] for row in rows if row["confident"] == "yes"]
    right = len(wrong.intersection(confident))
    return {
        "photos": len(list(data.glob("*/*"))),
        "swapped": len(wrong),
        **{name: 100 * len(wrong.intersection(top)) / len(wrong) for name, top in orders.items()},
        "% of them confident": 100 * right / len(wrong),
        "% of the confident swapped": 100 * right / max(1, len(confident)),
        "nothing swapped: listed": len(clean),
        "nothing swapped: confident": sum(row["confident"] == "yes" for row in clean),
        "s": seconds,
    }


def swap(training: Path, seed: int) -> tuple[list[str], int]:
    """Move some links to another class; returns where they are now, and how many there are."""
    chance = random.Random(seed)
    links = sorted(training.glob("*/*"))
    labels = sorted(path.name for path in training.iterdir())
    moved = []
    for link in chance.sample(links, round(_SHARE * len(links))):
        label = chance.choice([name for name in labels if name != link.parent.name])
        target = training / label / f"{link.parent.name}-{link.name}"
        link.rename(target)
        moved.append(f"{label}/{target.name}")
    return moved, len(links)


def found(folder: Path, target: Path, options: list[str]) -> tuple[list[Row], float]:
    """The rows of ``suspects.csv``, and the seconds that it took to find them."""
    command = [*CNNTRANSFER, "finetune", str(folder), "-o", str(target), "--json", *options]
    seconds = json.loads(process(command)[1])["seconds"]["look for wrong labels"]
    return Bundle.open(target).read_table("suspects"), seconds


if __name__ == "__main__":
    main()
