"""What the other images say of each: predictions of heads that have not seen it.

The images are dealt into folds. For every fold a head is solved on all others, and judges the
images of the fold. So each image, whatever its subset, gets probabilities that its own label has no
part in, but for one number, the penalty's strength (Stone 1974, "Cross-Validatory Choice and
Assessment of Statistical Predictions").
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..models.head import Array, HeadModel, affine, head_layers
from ..parallel import available_cores, ordered_map, products_on_one_thread
from ..recipe import Head
from .examples import Examples
from .features import Features
from .linear import LinearHead
from .objective import Objective

_FOLDS = 5
#: Strengths of the L2 penalty, the strongest first.
_PATH = tuple(4.0**-power for power in range(7))
#: A solution that coarse puts the same images first, in a third of the time.
_GRADIENT = 1e-2
#: Features are replaced by so many principal components, of so many images, so that time and memory
#: hardly depend on their number. The components know no labels.
_COMPONENTS, _SAMPLE = 256, 1024
#: Variances of which no more are left, of the largest, are rounding.
_NOISE = 1e-5
#: A head learns from fewer images where there would be more probabilities to compute in every step.
_MOST = 10_000_000
#: Rows at a time.
_BLOCK = 1024


@dataclass(frozen=True)
class Verdicts:
    """What the other images say of each; arrays of shape (n,).

    Attributes:
        judged: bool; a head that knows no image of a class cannot judge one.
        p_label: float32, the probability of the label that it has, 0..1; 0 where not judged.
        other: int64, the most probable of the other classes.
        p_other: float32, its probability, 0..1; 0 where not judged.
    """

    judged: NDArray[np.bool_]
    p_label: Array
    other: NDArray[np.int64]
    p_other: Array


def deal(groups: Sequence[str], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fold of every image, int64, shape (n,): stratified, decided by content alone.

    Args:
        groups: What an image has in common with those that it must not be parted from: a digest. As
            good as a random number, so that its order is one.
        labels: int64, shape (n,).
    """
    places: dict[str, int] = {}
    for _, group in sorted(set(zip(labels.tolist(), groups, strict=True))):
        places.setdefault(group, len(places) % _FOLDS)
    return np.array([places[group] for group in groups], np.int64)


def reduced(parts: Sequence[Features], head: HeadModel) -> Array:
    """The principal components of the features of all images as they are.

    Args:
        parts: Together they have the unaugmented view of every image. They are read block by block.
        head: Its first layer standardises them.

    Returns:
        float32, shape (images, components), in the order of the data set.
    """
    layer = head.layers[0]
    scale, shift = affine(layer, head.weights[layer.name])
    plain = [(part, np.flatnonzero(part.views == 0)) for part in parts]
    images = sum(len(rows) for _, rows in plain)
    step = math.ceil(images / _SAMPLE)
    sample = np.concatenate([part.values[rows[::step]] for part, rows in plain])
    sample *= scale
    sample += shift
    with products_on_one_thread():
        axes = _principal_axes(sample)
        result = np.empty((images, len(axes)), np.float32)
        # The standardisation goes into the axes: features are neither copied nor changed.
        kernel, bias = scale[:, np.newaxis] * axes.T, shift @ axes.T
        blocks = [
            (part, rows[start : start + _BLOCK])
            for part, rows in plain
            for start in range(0, len(rows), _BLOCK)
        ]

        def place(block: tuple[Features, NDArray[np.int64]]) -> None:
            part, rows = block
            result[part.samples[rows]] = part.values[rows] @ kernel + bias

        deque(ordered_map(place, blocks, available_cores()), maxlen=0)
    return result


def _principal_axes(rows: Array) -> Array:
    """The directions in which rows lie farthest from the origin, (components, d), orthonormal.

    From the products of the rows, of which there are fewer than features in most cases.
    """
    variances, vectors = np.linalg.eigh(rows @ rows.T)
    chosen = np.flatnonzero(variances > _NOISE * variances[-1])[::-1][:_COMPONENTS]
    axes: Array = (vectors[:, chosen] / np.sqrt(variances[chosen])).T @ rows
    return axes


def judge(
    values: Array, labels: NDArray[np.int64], folds: NDArray[np.int64], classes: int
) -> Verdicts:
    """Judge every image by a head that was solved on the other folds.

    The strength of the L2 penalty is the one by which the images of all folds are predicted best.

    Args:
        values: float32, shape (n, d), as :func:`reduced` gives them.
        labels: int64, shape (n,).
        folds: int64, shape (n,), see :func:`deal`.
        classes: How many there are.
    """
    sides = [
        side
        for fold in np.unique(folds)
        if len((side := _sides(values, labels, folds == fold, classes)).held)
    ]
    judged = np.zeros(len(labels), np.bool_)
    p_label, p_other = np.zeros(len(labels), np.float32), np.zeros(len(labels), np.float32)
    other = np.zeros(len(labels), np.int64)
    with products_on_one_thread():
        models = _solved(sides, classes)
        for model, side in zip(models, sides, strict=True):
            begin = 0
            for block, right in side.held.blocks():
                rows = side.held.rows[begin : begin + len(right)]
                begin += len(right)
                judged[rows] = True
                probabilities, each = model(block), np.arange(len(right))
                p_label[rows] = probabilities[each, right]
                probabilities[each, right] = -1  # What is left are the other classes.
                other[rows] = probabilities.argmax(axis=1)
                p_other[rows] = probabilities.max(axis=1)
    return Verdicts(judged, p_label, other, p_other)


class _Sides(NamedTuple):
    """What the head of a fold learns from, and what it judges."""

    learned: Examples
    held: Examples


def _sides(
    values: Array, labels: NDArray[np.int64], is_held: NDArray[np.bool_], classes: int
) -> _Sides:
    learned, held = np.flatnonzero(~is_held), np.flatnonzero(is_held)
    if step := len(learned) * classes // _MOST:  # So many of every class, by turns.
        by_class = learned[np.argsort(labels[learned], kind="stable")]
        learned = np.sort(by_class[:: step + 1])
    held = held[np.isin(labels[held], labels[learned])]
    return _Sides(Examples(values, learned, labels[learned]), Examples(values, held, labels[held]))


def _solved(sides: Sequence[_Sides], classes: int) -> list[HeadModel]:
    """A head for every fold, with the penalty that makes them together predict best."""

    def solve(number: int, head: LinearHead) -> float:
        head.train_epoch(number)
        return head.validate()[0]

    heads = [_begun(side, classes) for side in sides]
    counts = [len(side.held) for side in sides]
    best, models = math.inf, [head.model() for head in heads]
    for number in range(len(_PATH)):
        # Each goes on from its own solution before, of which its held-out labels are no part.
        losses = list(ordered_map(partial(solve, number), heads, available_cores()))
        loss = sum(one * count for one, count in zip(losses, counts, strict=True))
        if not loss <= best:  # As high: of many classes a strong penalty lets none be learned.
            break
        best, models = loss, [head.model() for head in heads]
    return models


def _begun(side: _Sides, classes: int) -> LinearHead:
    layers = head_layers(Head(), classes)
    width = side.learned.values.shape[1]
    # The standardisation is in the components already. All classes begin as probable.
    fixed = (np.zeros(width, np.float32), np.ones(width, np.float32))
    nothing = (np.zeros((width, classes), np.float32), np.zeros(classes, np.float32))
    weights = {layer.name: arrays for layer, arrays in zip(layers, (fixed, nothing), strict=True)}
    return LinearHead(
        layers, weights, _PATH, side.learned, side.held, Objective(), gradient=_GRADIENT
    )
