"""Which score tells photos of other data sets best: what ``novelty.py`` does against its rivals.

For every data set and seed, scores are fitted to the features of a bundle's training photos (three
fifths of a set) and judged where 5 % of its test photos (a quarter) are rejected, so that how
thresholds are found does not matter: which share of every other set's photos is rejected there?

    python benchmarks/unknown_scores.py --others ../shared/data/imagenet-check --data \
        ../shared/data/trashnet ../shared/data/eurosat sample_images ../shared/data/brain-mri

Prints one Markdown row per score: the mean over pairs of sets and the lowest mean of a pair, with
the pair; then the mean share that is rejected of a class that was left out.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from timing import CNNTRANSFER, process
from unknown import features

from cnntransfer.bundle import Bundle
from cnntransfer.data.index import list_images
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.head import standardisation
from cnntransfer.novelty import normalised
from cnntransfer.predict import expand
from cnntransfer.recipe import FEATURE_BLOCKS
from cnntransfer.training import novelty

Array = NDArray[np.float64]
#: From features to how far photos are; only the order counts.
Score = Callable[[Array], Array]


class Photos(NamedTuple):
    """Features, and classes by number."""

    rows: Array
    labels: NDArray[np.int64]


def ours(known: Photos, widths: Sequence[int], shrinkage: float = 0.1, most: int = 512) -> Score:
    before = novelty._SHRINKAGE
    novelty._SHRINKAGE = shrinkage
    places = np.linspace(0, len(known.rows) - 1, min(most, len(known.rows))).astype(int)
    rows = known.rows[places].astype(np.float32)
    fitted = novelty.fit_novelty(rows, rows[:2], widths, is_tuned=True)
    novelty._SHRINKAGE = before
    return lambda rows: fitted.distances(rows.astype(np.float32))


def mahalanobis(known: Photos, widths: Sequence[int], *, lengths: bool, classes: bool) -> Score:
    """Lee et al. 2018: the distance to the nearest class mean, with their common covariance."""
    prepare = standardised(known.rows, widths, lengths)
    rows = prepare(known.rows)
    labels = known.labels if classes else np.zeros_like(known.labels)
    means = np.stack([rows[labels == label].mean(axis=0) for label in np.unique(labels)])
    left = rows - means[np.searchsorted(np.unique(labels), labels)]
    share = ledoit_wolf_shrinkage(left, assume_centered=True)
    level = share * np.square(left).mean()
    # The inverse of (1 - share) / n * left' left + level * identity, by Woodbury.
    inner = np.linalg.inv(np.eye(len(left)) * level * len(left) / (1 - share) + left @ left.T)

    def score(rows: Array) -> Array:
        best = np.full(len(rows), np.inf)
        for mean in means:
            from_mean = prepare(rows) - mean
            along = from_mean @ left.T
            removed = np.einsum("nk,kl,nl->n", along, inner, along, optimize=True)
            best = np.minimum(best, (np.square(from_mean).sum(axis=1) - removed) / level)
        return best

    return score


def relative(known: Photos, widths: Sequence[int]) -> Score:
    """Ren et al. 2021: less the distance to all classes as one."""
    near = mahalanobis(known, widths, lengths=False, classes=True)
    all_of_them = mahalanobis(known, widths, lengths=False, classes=False)
    return lambda rows: near(rows) - all_of_them(rows)


def neighbours(known: Photos, widths: Sequence[int], number: int) -> Score:
    """Sun et al. 2022: the distance to the so-manieth nearest training photo."""
    kept = normalised(known.rows)
    return lambda rows: -np.sort(normalised(rows) @ kept.T, axis=1)[:, -number]


def residual(known: Photos, widths: Sequence[int], explained: float = 0.9) -> Score:
    """The part of ViM (Wang et al. 2022) that is not the logits: what lies across the subspace."""
    prepare = standardised(known.rows, widths, lengths=False)
    _, sizes, axes = np.linalg.svd(prepare(known.rows), full_matrices=False)
    count = np.searchsorted(np.cumsum(sizes**2) / np.sum(sizes**2), explained) + 1

    def score(rows: Array) -> Array:
        rows = prepare(rows)
        return np.square(rows).sum(axis=1) - np.square(rows @ axes[:count].T).sum(axis=1)

    return score


def logits(known: Photos, widths: Sequence[int], kind: str) -> Score:
    """Of logistic regression: energy (Liu et al. 2020) or the largest probability."""
    prepare = standardised(known.rows, widths, lengths=False)
    head = LogisticRegression(C=0.01, max_iter=500).fit(prepare(known.rows), known.labels)

    def score(rows: Array) -> Array:
        found = head.decision_function(prepare(rows))
        found = np.stack([-found / 2, found / 2], axis=1) if found.ndim == 1 else found
        top = found.max(axis=1)
        above = np.log(np.exp(found - top[:, None]).sum(axis=1))
        return -top - above if kind == "energy" else above

    return score


def standardised(known: Array, widths: Sequence[int], lengths: bool) -> Callable[[Array], Array]:
    scaled = normalised if lengths else np.array
    mean, variance = standardisation(scaled(known).astype(np.float32), widths)
    return lambda rows: (scaled(rows) - mean) / np.sqrt(variance.astype(np.float64))


SCORES: dict[str, Callable[[Photos, Sequence[int]], Score]] = {
    "`novelty.py`": ours,
    "shrunk by 0.02": partial(ours, shrinkage=0.02),
    "shrunk by 0.3": partial(ours, shrinkage=0.3),
    "of at most 256 photos": partial(ours, most=256),
    "of at most 128 photos": partial(ours, most=128),
    "to the nearest class": partial(mahalanobis, lengths=True, classes=True),
    "Mahalanobis, lengths left as they are": partial(mahalanobis, lengths=False, classes=True),
    "relative Mahalanobis": relative,
    "nearest neighbour": partial(neighbours, number=1),
    "third nearest neighbour": partial(neighbours, number=3),
    "ViM's residual": residual,
    "energy": partial(logits, kind="energy"),
    "largest probability": partial(logits, kind="probability"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="known, each in turn")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="never known")
    parser.add_argument("--backbone", default="mobilenet")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    widths = get_backbone(arguments.backbone).widths(FEATURE_BLOCKS)
    known: dict[str, Photos] = {}
    with tempfile.TemporaryDirectory() as scratch, threadpool_limits(1):
        command = [*CNNTRANSFER, "finetune", str(arguments.data[0]), "-o", f"{scratch}/run", "-q"]
        process([*command, "--backbone", arguments.backbone])
        bundle = Bundle.open(Path(scratch) / "run")
        for data in arguments.data:
            entries = list_images(data.resolve()).entries
            rows = features(bundle, [entry.path for entry in entries]).astype(np.float64)
            labels = np.unique([entry.label for entry in entries], return_inverse=True)[1]
            # Of copies one.
            first = np.sort(np.unique(rows, axis=0, return_index=True)[1])
            known[data.name] = Photos(rows[first], labels[first])
        others = {
            data.name: features(bundle, expand([data])).astype(np.float64)
            for data in arguments.others
        }
    others |= {name: photos.rows for name, photos in known.items()}
    print("| score | mean | lowest | of a left-out class |\n|---|---|---|---|", flush=True)
    with threadpool_limits(1):
        for name, fit in SCORES.items():
            print(f"| {name} | {row(fit, widths, known, others, arguments.seeds)} |", flush=True)


def row(
    fit: Callable[[Photos, Sequence[int]], Score],
    widths: Sequence[int],
    known: dict[str, Photos],
    others: dict[str, Array],
    seeds: Sequence[int],
) -> str:
    pairs: dict[str, list[float]] = {}
    left_out: list[float] = []
    for name, photos in known.items():
        for seed in seeds:
            strange = {other: rows for other, rows in others.items() if other != name}
            for other, share in shares(fit, widths, photos, strange, seed).items():
                pairs.setdefault(f"{name}, {other}", []).append(share)
        if len(set(photos.labels)) > 2:
            for label in np.unique(photos.labels):
                rest = Photos(*(part[photos.labels != label] for part in photos))
                strange = {"it": photos.rows[photos.labels == label]}
                left_out += shares(fit, widths, rest, strange, seeds[0]).values()
    means = {pair: float(np.mean(values)) for pair, values in pairs.items()}
    lowest = min(means, key=means.__getitem__)
    return (
        f"{np.mean(list(means.values())):.1f} | {means[lowest]:.1f} ({lowest}) | "
        f"{np.mean(left_out):.1f}"
    )


def shares(
    fit: Callable[[Photos, Sequence[int]], Score],
    widths: Sequence[int],
    photos: Photos,
    strange: dict[str, Array],
    seed: int,
) -> dict[str, float]:
    """Percentages that are rejected of other photos where 5 % of the test photos are."""
    order = np.random.default_rng(seed).permutation(len(photos.rows))
    test, train = np.split(order, [len(order) // 4])
    # The fifth of the others that would validate is not used.
    train = train[: len(train) * 4 // 5]
    score = fit(Photos(photos.rows[train], photos.labels[train]), widths)
    threshold = np.quantile(score(photos.rows[test]), 0.95)
    return {name: 100 * float(np.mean(score(rows) > threshold)) for name, rows in strange.items()}


if __name__ == "__main__":
    main()
