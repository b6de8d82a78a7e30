"""From how many blocks a head should take features: ways to settle that, judged on many splits.

For every data set and seed (which chooses the split) heads are solved as ``finetune`` does, on
MobileNet's features of the photos as they are, from the top block, from the top two and from the
top three, along a path of L2 penalties. The rules choose one of these heads by the validation
photos, or take the mean of the logits of several; what they choose is judged on the test photos.

    python benchmarks/depths.py --data sample_images ../shared/data/trashnet \\
        ../shared/data/brain-mri ../shared/data/eurosat fashion-mnist-2000 digits --seeds 10

Prints a Markdown table: test accuracy in percent, mean over the seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cnntransfer.data.dataset import Dataset, read_dataset
from cnntransfer.data.duplicates import near_duplicates
from cnntransfer.data.index import list_images
from cnntransfer.data.split import split
from cnntransfer.models.head import HeadWeights, Layer, head_layers, initial_weights
from cnntransfer.models.weights import find_weights
from cnntransfer.parallel import Later, products_on_one_thread
from cnntransfer.recipe import Head, Recipe
from cnntransfer.training.examples import Examples, log_softmax
from cnntransfer.training.extraction import FirstLook, LiteRTTrunk, TrunkSpec, feature_blocks
from cnntransfer.training.linear import LinearHead, penalties
from cnntransfer.training.objective import Objective
from cnntransfer.training.plan import input_spec, resolve

Array = NDArray[np.float32]
_C = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]


@dataclass(frozen=True)
class Step:
    """A head: its mean validation loss, and the logits that it gives for the test photos."""

    loss: float
    logits: Array


#: By number of blocks, the head whose penalty validates best.
Best = Mapping[int, Step]

RULES: dict[str, Callable[[Best], Array]] = {
    "the top block": lambda best: best[1].logits,
    "the top two": lambda best: best[2].logits,
    "the top three": lambda best: best[max(best)].logits,
    "what validates best of these": lambda best: min(best.values(), key=lambda s: s.loss).logits,
    "the mean of their logits": lambda best: np.mean([step.logits for step in best.values()], 0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, default=10, help="so many splits of each set")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    sets = [data.resolve() for data in arguments.data]
    scores: dict[str, dict[str, list[float]]] = {data.name: {} for data in sets}
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for data in sets:
            work = partial(measure, *features(data))
            for one in pool.map(work, range(arguments.seeds)):
                for rule, accuracy in one.items():
                    scores[data.name].setdefault(rule, []).append(accuracy)
    print("| features of | " + " | ".join(scores) + " | mean |")
    print("|---|" + "---|" * (len(scores) + 1))
    for rule in scores[sets[0].name]:
        means = [float(np.mean(scores[data.name][rule])) for data in sets]
        print(
            f"| {rule} | " + " | ".join(f"{mean:.1f}" for mean in [*means, np.mean(means)]) + " |"
        )


def features(data: Path) -> tuple[Dataset, Array, tuple[int, ...]]:
    """The images, and the features of each, (n, d), with their number by block."""
    backbone, recipe = resolve(Recipe(data=str(data)))
    weights = find_weights(backbone, recipe.weights, seed=recipe.seed)
    blocks = feature_blocks(recipe, backbone)
    spec = TrunkSpec(backbone, input_spec(recipe), recipe.pooling, weights, blocks)
    engine = LiteRTTrunk(spec, Later(spec.build)).engine()
    with FirstLook(spec, engine, keep_pixels=True) as look:
        dataset, pixels = read_dataset(list_images(data), spec.input, take=look)
        groups = near_duplicates(dataset, look.thumbnails)
    outputs = engine.map(pixels.__getitem__, range(len(dataset)))
    values = np.stack([output.features for output in outputs])
    return dataclasses.replace(dataset, groups=groups), values, spec.widths


def measure(
    dataset: Dataset, values: Array, widths: tuple[int, ...], seed: int
) -> dict[str, float]:
    dataset = split(dataset, 0.2, 0.25, seed)
    labels = dataset.labels()
    train, val, test = (dataset.subset(name) for name in ("train", "val", "test"))

    def accuracy(guesses: NDArray[np.int64]) -> float:
        return 100 * float((guesses == labels[test]).mean())

    with products_on_one_thread():
        layers = head_layers(Head(), len(dataset.class_names))
        weights = initial_weights(layers, values[train], widths)
        training, validation = (
            Examples(values, np.array(rows), labels[rows]) for rows in (train, val)
        )
        best = {
            depth: min(
                path(layers, weights, training, validation, values[test], sum(widths[:depth])),
                key=lambda step: step.loss,
            )
            for depth in range(1, len(widths) + 1)
        }
        top = values[:, : widths[0]]
        rival = GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
            {"logisticregression__C": _C},
            cv=3,
        ).fit(top[train], labels[train])
    scores = {name: accuracy(rule(best).argmax(axis=1)) for name, rule in RULES.items()}
    return scores | {"the top block, scikit-learn's": accuracy(rival.predict(top[test]))}


def path(
    layers: tuple[Layer, ...],
    weights: HeadWeights,
    training: Examples,
    validation: Examples,
    test: Array,
    count: int,
) -> Iterator[Step]:
    """The heads of a path, until the validation loss has not fallen twice."""
    strengths, lowest, since = penalties(Head()), np.inf, 0
    head = LinearHead(layers, weights, strengths, training, validation, Objective(), count)
    for epoch in range(len(strengths)):
        head.train_epoch(epoch)
        loss, _ = head.validate()
        yield Step(loss, log_softmax(head.model().logits(test)))
        lowest, since = (loss, 0) if loss < lowest else (lowest, since + 1)
        if since == 2:
            return


if __name__ == "__main__":
    main()
