"""The head stage against scikit-learn's logistic regression on the same frozen features.

For every network, data set and seed (which chooses the split, too): the validation accuracy of
``cnntransfer finetune`` with default settings, and of ``LogisticRegression`` (as it is, and after
``StandardScaler``) fitted to the same trunk's features of the same training photos. With
``--unfreeze BLOCK`` a second run trains the top of the network, too.

    python benchmarks/accuracy.py --data ../shared/data/trashnet ../shared/data/eurosat \
        --backbones mobilenet mobilenet_v2 resnet50 inception_v3 vgg16
    python benchmarks/accuracy.py --data ../shared/data/eurosat --backbones resnet50 \
        --unfreeze conv5

Prints one Markdown row per network: mean over data sets and seeds, and the range over seeds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cnntransfer.bundle import Bundle
from cnntransfer.data.images import read
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.parallel import available_cores, ordered_map
from cnntransfer.recipe import Recipe
from cnntransfer.training.run import run

#: Of one data set and seed: accuracies in percent.
Scores = dict[str, float]


def frozen_features(bundle: Bundle, root: Path, files: list[str]) -> dict[str, np.ndarray]:
    """Features of unaugmented photos by the bundle's trunk, through the one decoder."""
    engine = LiteRTEngine([bundle.trunk_file], workers=available_cores())

    def one(file: str) -> np.ndarray:
        return engine.run(read(root / file, bundle.input_spec)).features

    return dict(zip(files, ordered_map(one, files, available_cores()), strict=True))


def logistic_regression(bundle: Bundle, features: dict[str, np.ndarray]) -> Scores:
    """Validation accuracy of scikit-learn on the bundle's own split."""
    rows = bundle.read_table("splits")
    x, y = {}, {}
    for subset in ("train", "val"):
        chosen = [row for row in rows if row["subset"] == subset]
        x[subset] = np.stack([features[row["file"]] for row in chosen])
        y[subset] = [row["label"] for row in chosen]
    plain = LogisticRegression(max_iter=5000)
    scaled = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    return {
        "logistic regression": 100 * plain.fit(x["train"], y["train"]).score(x["val"], y["val"]),
        "standardised": 100 * scaled.fit(x["train"], y["train"]).score(x["val"], y["val"]),
    }


def measure(backbone: str, data: Path, seed: int, unfreeze: str | None, cache: dict) -> Scores:
    settings = {"backbone": backbone, "seed": seed, "split_seed": seed}
    recipe = Recipe(data=str(data)).override(settings)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        bundle = run(recipe, Path(folder) / "head")
        scores = {"head": 100 * bundle.metadata["metrics"]["val"]["accuracy"]}
        scores["seconds"] = time.perf_counter() - started
        if (backbone, data) not in cache:
            files = [row["file"] for row in bundle.read_table("splits")]
            cache[backbone, data] = frozen_features(bundle, data, files)
        scores |= logistic_regression(bundle, cache[backbone, data])
        if unfreeze:
            started = time.perf_counter()
            tuned = run(
                recipe.override({"stages.finetune.unfreeze": unfreeze}), Path(folder) / "tuned"
            )
            scores["finetune"] = 100 * tuned.metadata["metrics"]["val"]["accuracy"]
            scores["finetune seconds"] = time.perf_counter() - started
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--backbones", nargs="+", default=["mobilenet", "mobilenet_v2"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--unfreeze")
    arguments = parser.parse_args()
    cache: dict = {}
    header_printed = False
    for backbone in arguments.backbones:
        by_seed: list[Scores] = []
        for seed in arguments.seeds:
            of_sets = [
                measure(backbone, data.resolve(), seed, arguments.unfreeze, cache)
                for data in arguments.data
            ]
            by_seed.append({k: float(np.mean([s[k] for s in of_sets])) for k in of_sets[0]})
            print(f"# {backbone} seed {seed}: {of_sets}", flush=True)
        if not header_printed:
            print("| network | " + " | ".join(by_seed[0]) + " |")
            print("|---|" + "---|" * len(by_seed[0]))
            header_printed = True
        cells = []
        for key in by_seed[0]:
            values = [scores[key] for scores in by_seed]
            cells.append(f"{np.mean(values):.1f} ({min(values):.1f}..{max(values):.1f})")
        print(f"| {backbone} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
