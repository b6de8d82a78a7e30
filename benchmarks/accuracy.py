"""The head stage against scikit-learn's logistic regression on the same frozen features.

For every network, data set and seed (which chooses the split and the initial weights): the
validation accuracy of the head stage with default settings, and of ``LogisticRegression`` (as it
is, and after ``StandardScaler``) fitted to the same features of the same training photos. The
features of all photos and views are computed once per network and data set. With ``--views``,
the head stage is measured with each of these numbers of views; with ``--unfreeze BLOCK``, whole
runs with a second stage, which trains the top of the network too, are added.

    python benchmarks/accuracy.py --data ../shared/data/trashnet ../shared/data/eurosat \
        --backbones mobilenet mobilenet_v2 resnet50 inception_v3 vgg16
    python benchmarks/accuracy.py --data ../shared/data/eurosat --backbones resnet50 \
        --image-size 128 --unfreeze conv5
    python benchmarks/accuracy.py --data ../shared/data/* --backbones mobilenet --views 1 2 4 8

Prints one Markdown row per network: mean over data sets and seeds, and the range over seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cnntransfer.data.augment import Augmenter
from cnntransfer.data.dataset import read_dataset
from cnntransfer.data.fitting import InputSpec, Resize
from cnntransfer.data.index import list_images
from cnntransfer.data.split import split
from cnntransfer.data.views import Views
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.weights import find_weights
from cnntransfer.parallel import Later
from cnntransfer.recipe import Recipe
from cnntransfer.training.extraction import Extractor, TrunkSpec
from cnntransfer.training.features import Features
from cnntransfer.training.heads import HeadData, fit_head
from cnntransfer.training.run import run

#: Accuracies in percent, by what was measured.
Scores = dict[str, float]
FIELDS = ("values", "samples", "views")


class Setting:
    """One network on one data set, with the features of every photo in every view."""

    def __init__(
        self, backbone: str, data: Path, side: int | None = None, views: Sequence[int] = (2,)
    ) -> None:
        self.backbone = get_backbone(backbone)
        size = (side or self.backbone.default_size, side or self.backbone.default_size)
        self.recipe = Recipe(data=str(data), backbone=backbone, image_size=size)
        self.view_counts = views
        self.spec = TrunkSpec(
            self.backbone,
            InputSpec(size, Resize(self.recipe.resize)),
            self.recipe.pooling,
            find_weights(self.backbone),
            1,
        )
        self.trunk = Later(self.spec.build)
        dataset, pixels = read_dataset(list_images(data), self.spec.input)
        self.views = Views(dataset, pixels, Augmenter(self.recipe.augmentation, self.recipe.seed))
        every = [(i, v) for i in range(len(dataset)) for v in range(max(views))]
        self.features = Extractor(self.spec, self.views, self.trunk).features(every)

    def some(self, positions: Sequence[int], count: int) -> Features:
        """The features of some photos in so many views."""
        rows = np.isin(self.features.samples, positions) & (self.features.views < count)
        return Features(*(getattr(self.features, name)[rows] for name in FIELDS))

    def measure(self, seed: int) -> Scores:
        """The head stage and logistic regression on one split."""
        recipe = self.recipe.override({"seed": seed, "split_seed": seed})
        dataset = split(self.views.dataset, recipe.validation_split, seed=seed)
        views = dataclasses.replace(self.views, dataset=dataset)
        training, validation = dataset.subset("train"), dataset.subset("val")
        labels = dataset.labels()
        x, y = self.features.of(training), labels[training]
        x_val, y_val = self.features.of(validation), labels[validation]
        scores: Scores = {}
        for count in self.view_counts:
            # As in a run: so many views of training photos, the others as they are.
            learned, held_out = (
                self.some(positions, most)
                for positions, most in ((training, count), (validation, 1))
            )
            data = HeadData(views, learned, held_out, self.spec.widths)
            started = time.perf_counter()
            fitted = fit_head(recipe, recipe.stages, data)
            seconds = time.perf_counter() - started
            predicted = fitted.model(x_val).argmax(axis=1)
            name = "head" if len(self.view_counts) == 1 else f"{count} views"
            scores[name] = 100 * float(np.mean(predicted == y_val))
            if len(self.view_counts) > 1:
                scores[f"{name}: s"] = seconds
        plain = LogisticRegression(max_iter=5000)
        scaled = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
        return {
            **scores,
            "logistic regression": 100 * plain.fit(x, y).score(x_val, y_val),
            "standardised": 100 * scaled.fit(x, y).score(x_val, y_val),
        }

    def measure_run(self, seed: int, unfreeze: str) -> Scores:
        """A whole run with the head stage and a run with a second stage, on one split."""
        head = self.recipe.override({"seed": seed, "split_seed": seed})
        both = head.override({"stages.finetune.unfreeze": unfreeze})
        with tempfile.TemporaryDirectory() as folder:
            return {
                name: 100 * run(recipe, Path(folder) / name).metadata["metrics"]["val"]["accuracy"]
                for name, recipe in (("run: head", head), (f"run: {unfreeze} too", both))
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--backbones", nargs="+", default=["mobilenet", "mobilenet_v2"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--unfreeze")
    parser.add_argument("--image-size", type=int, help="side in pixels; default: the network's")
    parser.add_argument("--views", type=int, nargs="+", default=[2])
    arguments = parser.parse_args()
    for number, backbone in enumerate(arguments.backbones):
        settings = [
            Setting(backbone, data.resolve(), arguments.image_size, arguments.views)
            for data in arguments.data
        ]
        by_seed: list[Scores] = []
        for seed in arguments.seeds:
            of_sets = [setting.measure(seed) for setting in settings]
            if arguments.unfreeze:
                for setting, scores in zip(settings, of_sets, strict=True):
                    scores |= setting.measure_run(seed, arguments.unfreeze)
            print(f"# {backbone}, seed {seed}: {of_sets}", flush=True)
            by_seed.append({k: float(np.mean([s[k] for s in of_sets])) for k in of_sets[0]})
        if number == 0:
            print("| network | " + " | ".join(by_seed[0]) + " |")
            print("|---|" + "---|" * len(by_seed[0]))
        cells = []
        for key in by_seed[0]:
            values = [scores[key] for scores in by_seed]
            cells.append(f"{np.mean(values):.1f} ({min(values):.1f}..{max(values):.1f})")
        print(f"| {backbone} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
