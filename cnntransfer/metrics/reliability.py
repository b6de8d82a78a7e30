"""How far confidence and accuracy are apart.

Images are ordered by the probability of their most probable class and cut into bins of the same
size; in each bin, the mean of that probability is compared with the share that is right. The mean
difference is the calibration error (Nguyen & O'Connor 2015, arXiv:1508.05154; Guo 2017,
arXiv:1706.04599).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .intervals import FELDMAN_COUSINS, LEVEL, Interval
from .judged import Judged

BINS = 15

#: How many test sets are drawn for an error that is tried.
_DRAWS = 1000
#: How exact the limits of its interval are.
_EXACT = 1e-4
#: Bins that were found are in it where the same were drawn.
_ROUNDING = 1e-12
#: Confidence of exactly 1 may be wrong, too.
_LEAST_DEVIATION = 1e-3


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


def bin_numbers(confidence: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64]:
    """The bin of every image, int64 (n,), of bins of the same size."""
    images = len(confidence)
    numbers = np.empty(images, np.int64)
    numbers[np.argsort(confidence, kind="stable")] = np.arange(images) * min(bins, images) // images
    return numbers


def calibration_error(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], bins: int = BINS
) -> float:
    """The mean difference of confidence and accuracy in such bins, by their sizes; 0..1."""
    return mean_difference(reliability(labels, probabilities, bins))


def mean_difference(bins: Sequence[Bin]) -> float:
    """The calibration error of bins."""
    images = sum(row.count for row in bins)
    return sum(row.count * abs(row.accuracy - row.confidence) for row in bins) / images


def error_interval(bins: Sequence[Bin]) -> Interval:
    """The interval of a calibration error: those errors with which its bins are no surprise.

    Bins differ by chance, too, and that adds to the error whatever its direction: what is found is
    mostly more than the error. So errors are tried (Feldman & Cousins 1998,
    doi:10.1103/PhysRevD.57.3873). Of a classifier that is too sure by as much, test sets are drawn,
    and it is looked up how much worse that error fits each of them than the one that fits best. An
    error is in the interval unless it fits the bins that were found worse than 95 % of those that
    were drawn. So the interval holds no error as often as a great one, which limits on both sides
    of what was found would not.
    """
    from scipy.optimize import brentq

    # Softmax in float32 may be 1e-7 above 1.
    confidence = np.minimum([row.confidence for row in bins], 1.0)
    counts = np.array([row.count for row in bins])
    shares, found = counts / counts.sum(), mean_difference(bins)

    def drawn(error: float) -> NDArray[np.float64]:
        """What is found of test sets of a classifier that has this error."""
        accuracy = _too_sure(confidence, shares, error)
        # The same chances for every error, so that the interval is the same every time.
        right = np.random.default_rng(0).binomial(counts, accuracy, (_DRAWS, len(bins)))
        differences: NDArray[np.float64] = np.abs(right / counts - confidence) @ shares
        return differences

    least = drawn(0.0).mean()

    def is_in(error: float) -> bool:
        values = drawn(error)
        mean = values.mean()
        misfits = (values - mean) ** 2 - (values - np.maximum(values, least)) ** 2
        misfit = (found - mean) ** 2 - (found - max(found, least)) ** 2
        return bool(misfit <= np.quantile(misfits, LEVEL) + _ROUNDING)

    def limit(inside: float, outside: float) -> float:
        if is_in(outside):
            return outside
        while abs(outside - inside) > _EXACT:
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if is_in(middle) else (inside, middle)
        return inside

    most = float(shares @ confidence)
    best = 0.0 if found <= least else most
    if best and drawn(most).mean() > found:
        best = brentq(lambda error: drawn(error).mean() - found, 0.0, most, xtol=_EXACT)
    low, high = limit(best, 0.0), limit(best, most)
    # A figure beyond its interval would puzzle; so the interval reaches up to what was found.
    return Interval(low, max(high, found), FELDMAN_COUSINS)


def _too_sure(
    confidence: NDArray[np.float64], shares: NDArray[np.float64], error: float
) -> NDArray[np.float64]:
    """The accuracy of bins if it is below confidence, by so much on average.

    In every bin by as many standard deviations of one image, as far as there is confidence.
    """
    from scipy.optimize import brentq

    deviations = np.maximum(np.sqrt(confidence * (1 - confidence)), _LEAST_DEVIATION)

    def accuracy(times: float) -> NDArray[np.float64]:
        return np.maximum(confidence - times * deviations, 0.0)

    most = float((confidence / deviations).max())
    if error >= shares @ confidence:
        return accuracy(most)
    return accuracy(
        brentq(lambda times: shares @ (confidence - accuracy(times)) - error, 0.0, most)
    )
