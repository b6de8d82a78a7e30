"""Figures of weighted images: those that a bootstrap asks for, of many resamples at once.

With all weights 1 they are the figures themselves. Weights have shape (n, resamples), see
:mod:`.resampling`; what comes of them has the resamples last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .judged import Judged
from .resampling import Weights

Values = NDArray[np.floating]


def weighted_figures(judged: Judged, weights: Weights) -> Mapping[str, Values]:
    """Those figures that are no plain proportions, by name, shape (resamples,).

    A mean over classes is one over those for which it is defined; NaN where there are none.

    Args:
        judged: The images.
        weights: How often each of them counts.
    """
    ones = np.ones(len(judged), weights.dtype)
    hits = sums(judged.labels, judged.is_right * ones, judged.classes, weights)
    there = sums(judged.labels, ones, judged.classes, weights)
    predicted = sums(judged.predicted, ones, judged.classes, weights)
    areas, precisions = _ranking(judged, weights)
    return {
        "balanced_accuracy": _mean_ratio(hits, there),
        "macro_f1": _mean_ratio(2 * hits, there + predicted),
        "roc_auc": areas,
        "average_precision": precisions,
        "log_loss": judged.losses @ weights / weights.sum(axis=0),
    }


def sums(groups: NDArray[np.int64], values: Values, count: int, weights: Weights) -> Values:
    """The weighted sums of values by group, shape (count, resamples).

    Args:
        groups: int64, shape (n,): the group of each image.
        values: Of the weights' type, shape (n,): one of each image.
        count: How many groups there are.
        weights: How often each image counts.
    """
    from scipy.sparse import csr_array

    table = csr_array((values, (groups, np.arange(len(groups)))), shape=(count, len(groups)))
    result: Values = table @ weights
    return result


def _ranking(judged: Judged, weights: Weights) -> tuple[Values, Values]:
    """ROC-AUC and average precision, one-vs-rest, of classes with positives and negatives."""
    totals = np.zeros((3, weights.shape[1]), weights.dtype)
    for label in np.unique(judged.labels):
        totals += _areas(judged.probabilities[:, label], judged.labels == label, weights)
    areas, precisions, classes = totals
    return _ratio(areas, classes), _ratio(precisions, classes)


def _areas(scores: Values, is_positive: NDArray[np.bool_], weights: Weights) -> Values:
    """The areas under a class's ROC curve and precision-recall curve, and 1; or 0, 0, 0.

    What lies between two scores of positives is added up first, so that little is left to do.

    Args:
        scores: Shape (n,).
        is_positive: Shape (n,): which images are of the class.
        weights: How often each image counts.

    Returns:
        Shape (3, resamples); 0 where a resample has no positives or no negatives.
    """
    levels, level = np.unique(scores[is_positive], return_inverse=True)
    # Groups from below: under the lowest level, at it, between it and the next, at that ...
    group = np.searchsorted(levels, scores, "left") + np.searchsorted(levels, scores, "right")
    ones = np.ones(len(scores), weights.dtype)
    every = sums(group, ones, 2 * len(levels) + 1, weights)
    positive = sums(level, ones[is_positive], len(levels), weights[is_positive])
    at = every[1::2]
    up_to = np.cumsum(every, axis=0)[1::2]
    positive_up_to = np.cumsum(positive, axis=0)
    images, positives = every.sum(axis=0), positive_up_to[-1]
    negatives = images - positives
    # Of the negatives that score the same, half count as lower (Hanley & McNeil 1982).
    lower = (up_to - at) - (positive_up_to - positive) + (at - positive) / 2
    not_lower = images - (up_to - at)
    true_not_lower = positives - (positive_up_to - positive)
    is_defined = (positives > 0) & (negatives > 0)
    area = _ratio((positive * lower).sum(axis=0), positives * negatives)
    precision = _ratio((positive * _ratio(true_not_lower, not_lower, 0.0)).sum(axis=0), positives)
    return np.where(is_defined, np.stack([area, precision, np.ones_like(area)]), 0)


def _mean_ratio(parts: Values, wholes: Values) -> Values:
    """The mean over classes, (classes, resamples) -> (resamples,), of those that have a whole."""
    return _ratio(_ratio(parts, wholes, 0.0).sum(axis=0), (wholes > 0).sum(axis=0))


def _ratio(part: Values, whole: NDArray[Any], otherwise: float = np.nan) -> Values:
    result: Values = np.divide(part, whole, out=np.full_like(part, otherwise), where=whole > 0)
    return result
