"""The head stage against scikit-learn's logistic regression on the same frozen features.

For every network, data set and seed (which chooses the split and the initial weights): the
validation accuracy of the head stage with default settings, and of ``LogisticRegression`` (as it
is, and after ``StandardScaler``) fitted to the same features of the same training photos. The
features of all photos and views are computed once per network and data set. With ``--unfreeze
BLOCK``, whole runs with a second stage, which trains the top of the network too, are added.

    python benchmarks/accuracy.py --data ../shared/data/trashnet ../shared/data/eurosat \
        --backbones mobilenet mobilenet_v2 resnet50 inception_v3 vgg16
    python benchmarks/accuracy.py --data ../shared/data/eurosat --backbones resnet50 \
        --image-size 128 --unfreeze conv5

Prints one Markdown row per network: mean over data sets and seeds, and the range over seeds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cnntransfer.data.augment import Augmenter
from cnntransfer.data.dataset import read_dataset
from cnntransfer.data.images import InputSpec, Resize
from cnntransfer.data.index import list_images
from cnntransfer.data.split import split
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import build_trunk
from cnntransfer.models.conversion import converted_trunk
from cnntransfer.models.weights import find_weights
from cnntransfer.recipe import Recipe
from cnntransfer.training.features import Features, compute_features
from cnntransfer.training.run import run
from cnntransfer.training.stages import TrainingData, train

#: Accuracies in percent, by what was measured.
Scores = dict[str, float]


class Setting:
    """One network on one data set, with the features of every photo in every view."""

    def __init__(
        self, backbone: str, data: Path, side: int | None = None, keep: Path | None = None
    ) -> None:
        self.backbone = get_backbone(backbone)
        size = (side or self.backbone.default_size, side or self.backbone.default_size)
        self.recipe = Recipe(data=str(data), backbone=backbone, image_size=size)
        weights = find_weights(self.backbone)
        spec = InputSpec(size, Resize(self.recipe.resize))
        self.dataset, self.pixels = read_dataset(list_images(data), spec)
        self.augmenter = Augmenter(self.recipe.augmentation, self.recipe.seed)
        work = [(i, v) for i in range(len(self.dataset)) for v in range(self.recipe.views)]
        kept = keep / f"{backbone}-{data.name}-{size[0]}.npz" if keep else None
        if kept and kept.is_file():
            pairs = np.array(work)
            self.features = Features(np.load(kept)["values"], pairs[:, 0], pairs[:, 1])
        else:
            file = converted_trunk(self.backbone, size, self.recipe.pooling, weights)
            self.features = compute_features(file, self.dataset, self.pixels, work, self.augmenter)
            if kept:
                np.savez(kept, values=self.features.values)
        self.trunk = build_trunk(self.backbone, size, self.recipe.pooling, weights)

    def measure(self, seed: int) -> Scores:
        """The head stage and logistic regression on one split."""
        recipe = self.recipe.override({"seed": seed, "split_seed": seed})
        dataset = split(self.dataset, recipe.validation_split, seed=seed)
        training, validation = dataset.subset("train"), dataset.subset("val")
        # As in a run: all views of training photos, the others as they are.
        rows = np.isin(self.features.samples, training) | (self.features.views == 0)
        features = Features(
            self.features.values[rows], self.features.samples[rows], self.features.views[rows]
        )
        data = TrainingData(dataset, self.pixels, features, self.augmenter)
        trained = train(recipe, self.backbone, self.trunk, data)

        labels = dataset.labels()
        x, y = features.of(training), labels[training]
        x_val, y_val = features.of(validation), labels[validation]
        predicted = trained.head.predict(x_val, verbose=0).argmax(axis=1)
        plain = LogisticRegression(max_iter=5000)
        scaled = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
        return {
            "head": 100 * float(np.mean(predicted == y_val)),
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
    parser.add_argument("--keep", type=Path, help="folder to keep features in between calls")
    arguments = parser.parse_args()
    for number, backbone in enumerate(arguments.backbones):
        settings = [
            Setting(backbone, data.resolve(), arguments.image_size, arguments.keep)
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
