"""How far confidence and accuracy are apart.

Images are ordered by the probability of their most probable class and cut into bins of the same
size; in each bin, the mean of that probability is compared with the share that is right. The mean
difference is the calibration error (Nguyen & O'Connor 2015, arXiv:1508.05154; Guo 2017,
arXiv:1706.04599).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .intervals import BOOTSTRAP, Interval, quantile, wilson
from .judged import Judged
from .resampling import Weights
from .weighted import Values, sums

BINS = 15


@dataclass(frozen=True)
class Bin:
    """Some images of about the same confidence.

    Attributes:
        confidence: The mean probability of their most probable class.
        accuracy: The share that is right.
        count: How many there are.
    """

    confidence: float
    accuracy: float
    count: int


def reliability(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], bins: int = BINS
) -> tuple[Bin, ...]:
    """What a reliability diagram shows: bins of the same size, the least confident first.

    Args:
        labels: int64, shape (n,): the right classes.
        probabilities: float32, shape (n, classes).
        bins: How many; fewer where there are fewer images. Their sizes differ by at most 1.
    """
    judged = Judged(labels, probabilities)
    numbers = bin_numbers(judged.confidence, bins)
    counts = np.bincount(numbers)
    confidence, accuracy = (
        np.bincount(numbers, weights=values) / counts
        for values in (judged.confidence, judged.is_right)
    )
    rows = zip(confidence, accuracy, counts, strict=True)
    return tuple(Bin(float(c), float(a), int(n)) for c, a, n in rows)


def calibration_error(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], bins: int = BINS
) -> float:
    """The mean difference of confidence and accuracy in such bins, by their sizes; 0..1."""
    rows = reliability(labels, probabilities, bins)
    return sum(row.count * abs(row.accuracy - row.confidence) for row in rows) / len(labels)


def bin_numbers(confidence: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64]:
    """The bin of every image, int64 (n,), of bins of the same size."""
    images = len(confidence)
    numbers = np.empty(images, np.int64)
    numbers[np.argsort(confidence, kind="stable")] = np.arange(images) * min(bins, images) // images
    return numbers


def gaps(judged: Judged, weights: Weights) -> Values:
    """How far accuracy is above confidence in every bin, times the bin's share of the images.

    The sum of their sizes is the calibration error.

    Args:
        judged: The images, which decide the bins.
        weights: How often each of them counts, shape (n, resamples).

    Returns:
        Shape (bins, resamples).
    """
    numbers = bin_numbers(judged.confidence)
    differences = (judged.is_right - judged.confidence).astype(weights.dtype)
    return sums(numbers, differences, int(numbers.max()) + 1, weights) / len(judged)


def gaps_interval(judged: Judged, found: Values, resampled: Values) -> Interval:
    """The interval of a calibration error.

    A bin's accuracy is off by chance, which adds to the error whatever its direction. So the
    resamples' mean error lies above the error, as that lies above the truth, and the interval
    reaches down by twice that much more. The standard error is the one of the gaps added up with
    the signs that they have. It is at least what it would be if confidence told how often images
    are right: where all are, resamples cannot show what may go wrong.

    Args:
        judged: The images.
        found: Their gaps, shape (bins,).
        resampled: Those of resamples, shape (bins, resamples).
    """
    images, confidence = len(judged), judged.confidence
    value = float(np.abs(found).sum())
    # A sample of m varies less than what it is of, by a factor of (m - 1) / m.
    size = max(images / len(found), 2.0)
    chance = (resampled - found[:, np.newaxis]) * math.sqrt(size / (size - 1))
    excess = float(np.abs(found[:, np.newaxis] + chance).sum(axis=0).mean()) - value
    expected = float(np.sqrt((confidence * (1 - confidence)).sum())) / images
    error = max(float((np.sign(found) @ chance).std()), expected)
    if images < 2 or not error > 0:
        return wilson(value, images)
    half = quantile(images, resampled.shape[1]) * error
    low = value - 2 * max(excess, 0.0) - half
    return Interval(max(low, 0.0), min(value + half, 1.0), BOOTSTRAP)
