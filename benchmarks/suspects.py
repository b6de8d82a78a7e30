"""How many labels that were swapped on purpose are at the top of ``suspects.csv``.

For every data set and seed, links to its photos in a temporary folder: a fifth of every class under
``val/``, the others under ``train/``, and 5 % of the training photos (at random) under another
class (at random). Then ``cnntransfer finetune`` with nothing chosen, and once more without a swap.
The first tenth of ``suspects.csv`` is as many rows as a tenth of the training photos.

    python benchmarks/suspects.py --data ../shared/data/trashnet ../shared/data/eurosat \
        ../shared/data/brain-mri sample_images fashion-mnist-2000 digits

``fashion_mnist.py`` and ``presets.py --digits`` write the last two. Prints one Markdown row per
data set: means over seeds, and (lowest..highest).

    python benchmarks/suspects.py --generated 50000 3584 10

looks among so many generated images of so many features and classes, and prints how long that takes
and how much memory it needs beside the features.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from timing import CNNTRANSFER, divide, process

from cnntransfer.bundle import Bundle
from cnntransfer.data.dataset import Dataset, Sample
from cnntransfer.models.head import HeadModel, head_layers
from cnntransfer.recipe import Head
from cnntransfer.training.features import Features
from cnntransfer.training.suspects import find_suspects

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
    parser.add_argument("--data", type=Path, nargs="+", default=[])
    parser.add_argument("--generated", type=int, nargs=3, metavar=("IMAGES", "FEATURES", "CLASSES"))
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of finetune")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    if arguments.generated:
        generated(*arguments.generated)
    for number, data in enumerate(arguments.data):
        scores = [measure(data.resolve(), seed, arguments.options) for seed in arguments.seeds]
        if number == 0:
            print("| data | " + " | ".join(scores[0]) + " |")
            print("|---|" + "---|" * len(scores[0]))
        cells = []
        for name in scores[0]:
            values = [one[name] for one in scores]
            spread = f"{np.mean(values):.1f} ({min(values):.1f}..{max(values):.1f})"
            cells.append(spread if min(values) < max(values) else f"{values[0]:.4g}")
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


def generated(images: int, features: int, classes: int) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, images)
    centres = random.normal(0, 0.2, (classes, features)).astype(np.float32)
    values = np.empty((images, features), np.float32)
    for start in range(0, images, 1000):
        block = values[start : start + 1000]
        random.standard_normal(dtype=np.float32, out=block)
        block += centres[labels[start : start + 1000]]
    names = tuple(f"{number:06}" for number in range(classes))
    samples = (
        Sample(Path(f"{number}.png"), names[label], f"{digest:016x}", "train")
        for number, (label, digest) in enumerate(
            zip(labels, random.permutation(images), strict=True)
        )
    )
    dataset = Dataset(Path(), names, tuple(samples))
    layers = head_layers(Head(), classes)
    fixed = (np.zeros(features, np.float32), np.ones(features, np.float32))
    head = HeadModel(layers, {layers[0].name: fixed})
    part = Features(values, np.arange(images), np.zeros(images, np.int64))
    tracemalloc.start()
    started, used = time.perf_counter(), time.process_time()
    suspects = find_suspects(dataset, (part,), head)
    seconds, used = time.perf_counter() - started, time.process_time() - used
    print(
        f"{images} images, {features} features ({values.nbytes / 1e6:.0f} MB), {classes} classes: "
        f"{seconds:.1f} s, {used:.1f} s of a processor, at most "
        f"{tracemalloc.get_traced_memory()[1] / 1e6:.0f} MB more; {len(suspects)} suspects"
    )


if __name__ == "__main__":
    main()
