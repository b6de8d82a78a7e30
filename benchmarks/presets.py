"""The presets against logistic regression and nearest class means on the same frozen features.

For every data set and seed (which chooses the split and the initial weights), whole runs of
``cnntransfer finetune`` with every preset and nothing else chosen. A test subset is kept apart on
which nothing is chosen. The rivals are scikit-learn's, an independent use of the same trunk's
features: ``LogisticRegression`` after ``StandardScaler``, its C chosen by cross-validation with
three folds; and ``NearestCentroid``. They learn from the training photos, as the presets do, or
from the validation photos, too, as they need no validation.

    python benchmarks/presets.py --data sample_images ../shared/data/trashnet \
        ../shared/data/brain-mri ../shared/data/eurosat fashion-mnist-2000 digits
    python benchmarks/presets.py --data ../shared/data/eurosat --per-class 10 20 50 \
        --presets fast balanced best
    python benchmarks/presets.py --data fashion-mnist-2000 --backbone vgg16 --image-size 96 \
        --presets fast --unfreeze block5

With ``--unfreeze BLOCK`` there is a run more: as ``fast``, then a stage with default settings that
trains the network from that block upwards; with ``--views`` one as ``balanced`` for each of these
numbers of views of every training photo. ``--digits FOLDER`` writes scikit-learn's ``digits``
(UCI, CC BY 4.0) as such a data set first; ``fashion_mnist.py`` does so for Debian's Fashion-MNIST.
Prints one Markdown row per data set: test accuracy in percent, mean over seeds and
(lowest..highest); on stderr, those of every seed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from timing import CNNTRANSFER, process

from cnntransfer.bundle import Bundle
from cnntransfer.data.images import read
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.parallel import available_cores

_C = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
Scores = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--backbone", default="mobilenet")
    parser.add_argument("--image-size", default=None)
    parser.add_argument("--presets", nargs="+", default=["fast", "balanced"])
    parser.add_argument("--unfreeze", metavar="BLOCK", help="fast, then from this block upwards")
    parser.add_argument("--views", type=int, nargs="+", default=[], help="balanced, with so many")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--per-class", type=int, nargs="+", help="learn from so many a class only")
    parser.add_argument("--digits", type=Path, help="write scikit-learn's digits there first")
    arguments = parser.parse_args()
    if arguments.digits:
        write_digits(arguments.digits)
    is_first = True
    means = defaultdict(list)
    for data in arguments.data:
        for count in arguments.per_class or [None]:
            scores = [measure(data.resolve(), count, seed, arguments) for seed in arguments.seeds]
            if is_first:
                print("| data | photos a class | " + " | ".join(scores[0]) + " |")
                print("|---|---|" + "---|" * len(scores[0]))
            is_first = False
            cells = []
            for name in scores[0]:
                values = [one[name] for one in scores]
                means[name].append(np.mean(values))
                cells.append(f"{np.mean(values):.1f} ({min(values):.1f}..{max(values):.1f})")
            print(f"| {data.name} | {count or 'all'} | {' | '.join(cells)} |", flush=True)
    print("| mean | | " + " | ".join(f"{np.mean(values):.1f}" for values in means.values()) + " |")


def measure(data: Path, count: int | None, seed: int, arguments: argparse.Namespace) -> Scores:
    scores: Scores = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = data
        options = ["--seed", str(seed), "--split-seed", str(seed), "--json"]
        if count:
            folder = Path(scratch) / data.name
            few(data, folder, count, seed)
        else:
            options += ["--test-split", "0.25"]
        if arguments.image_size:
            options += ["--image-size", arguments.image_size]
        runs = {preset: ("--preset", preset) for preset in arguments.presets}
        if block := arguments.unfreeze:
            runs[f"then {block}"] = ("--preset", "fast", "--unfreeze", block)
        for views in arguments.views:
            runs[f"{views} views"] = ("--preset", "balanced", "--views", str(views))
        for preset, chosen in runs.items():
            target = Path(scratch) / preset
            command = [*CNNTRANSFER, "finetune", str(folder), "--backbone", arguments.backbone]
            seconds, out = process([*command, *chosen, "-o", str(target), *options])
            found = json.loads(out)
            metrics = found["metrics"]
            scores[preset] = 100 * metrics["test"]["accuracy"]
            scores[f"{preset}: validation"] = 100 * metrics["val"]["accuracy"]
            scores[f"{preset}: s"] = seconds
            if forecast := found.get("forecast"):
                foreseen = sum(forecast["seconds"].values())
                scores[f"{preset}: % of the forecast"] = 100 * forecast["took"] / foreseen
        scores |= rivals(Bundle.open(Path(scratch) / arguments.presets[0]), folder)
    found = ", ".join(f"{name} {value:.1f}" for name, value in scores.items())
    print(f"{data.name}, {count or 'all'}, seed {seed}: {found}", file=sys.stderr, flush=True)
    return scores


def rivals(bundle: Bundle, folder: Path) -> Scores:
    rows = bundle.read_table("splits", "file", "label", "subset")
    spec = bundle.input_spec
    engine = LiteRTEngine([bundle.trunk_file], available_cores())
    files = [folder / row["file"] for row in rows]
    outputs = engine.map(lambda file: read(file, spec), files)
    features = np.stack([output.features for output in outputs])
    labels = np.array([row["label"] for row in rows])
    is_test = np.array([row["subset"] == "test" for row in rows])
    is_train = np.array([row["subset"] == "train" for row in rows])
    regression = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        {"logisticregression__C": _C},
        cv=3,
    )
    means = make_pipeline(StandardScaler(), NearestCentroid())
    return {
        name: 100
        * model.fit(features[chosen], labels[chosen]).score(features[is_test], labels[is_test])
        for name, model, chosen in (
            ("logistic regression, same training photos", regression, is_train),
            ("logistic regression, validation photos too", regression, ~is_test),
            ("nearest class mean, validation photos too", means, ~is_test),
        )
    }


def few(data: Path, target: Path, count: int, seed: int) -> None:
    """Links to so many photos of every class under ``train/``, to others under ``test/``."""
    chance = random.Random(seed)
    for folder, files in classes(data):
        chance.shuffle(files)
        test = max(1, len(files) // 4)
        for subset, part in (("test", files[:test]), ("train", files[test:][:count])):
            for file in part:
                link = target / subset / folder.name / file.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file.resolve())


def classes(data: Path) -> Iterator[tuple[Path, list[Path]]]:
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        yield folder, sorted(folder.iterdir())


def write_digits(target: Path) -> None:
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        folder = target / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 255 / 16).astype(np.uint8)).save(folder / f"{number}.png")


if __name__ == "__main__":
    main()
