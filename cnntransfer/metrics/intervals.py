"""95 % intervals: where a figure would lie on very many images of the same kind.

A proportion gets Wilson's interval, modified where only a few images are the exception. Other
figures get one from the bootstrap's standard error, on a scale on which their estimates scatter
symmetrically: the logit of figures between 0 and 1, the logarithm of a loss. That of a calibration
error, which cannot be below 0, is in :mod:`.reliability`. The bootstrap's
percentiles, plain or corrected, hold the truth much less often with few images or good classifiers
(``docs/evaluation.md``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
WILSON, BOOTSTRAP, FELDMAN_COUSINS = "wilson", "bootstrap", "feldman-cousins"
_UPPER = (1 + LEVEL) / 2
_NORMAL = NormalDist().inv_cdf(_UPPER)
#: An exponent that does not overflow.
_GREAT = 300.0


@dataclass(frozen=True)
class Interval:
    """A 95 % interval: limits and method, ``wilson``, ``bootstrap`` or ``feldman-cousins``."""

    low: float
    high: float
    method: str


def wilson(share: float, trials: float) -> Interval:
    """The interval of a proportion (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Modified as Brown, Cai and DasGupta 2001 (doi:10.1214/ss/1009213286, 4.1.1) propose: where one
    to three of the trials are the exception, the limit beyond them is that of a Poisson mean.
    Wilson's own comes too close there and holds a proportion near 0 or 1 in 83 % at the worst.

    Args:
        share: What was observed, in 0..1.
        trials: Of how many, above 0; no whole number where that many would be worth as much.
    """
    squared = _NORMAL**2 / trials
    centre = (share + squared / 2) / (1 + squared)
    half = math.sqrt(squared * (share * (1 - share) + squared / 4)) / (1 + squared)
    low = min(centre - half, _rare(share, trials))
    high = max(centre + half, 1 - _rare(1 - share, trials))
    # Rounding may leave 1e-17 of what is nothing.
    return Interval(low if share > 0 else 0.0, high if share < 1 else 1.0, WILSON)


def _rare(share: float, trials: float) -> float:
    """The lower limit of a share of which few were seen: 1 where it is not in question."""
    from scipy.special import pdtri

    seen = round(share * trials)
    if not 1 <= seen <= (2 if trials <= 50 else 3):
        return 1.0
    # The mean at which fewer are seen in 95 % of all cases.
    return float(pdtri(seen - 1, LEVEL)) / trials


def of_share(value: float, resampled: NDArray[np.floating], images: int, worth: float) -> Interval:
    """The interval of a figure in 0..1 that is no simple proportion.

    Few images of a class make macro F1 too low and areas under curves too great. Resamples, of
    fewer different images, lie further that way, by less than the figure itself where classes
    have one or two images. So the interval reaches back by twice as much.

    Where no resample tells another value, or the value is 0 or 1, there is nothing to learn the
    standard error from. A mistake that was not seen may still be there, so then it is Wilson's.

    Args:
        value: The figure.
        resampled: Its values on resamples, shape (n,); NaN where it is not defined.
        images: How many were resampled.
        worth: How many images a proportion of the same spread would be made of.
    """
    error = standard_error(resampled, images)
    if not 0 < value < 1 or not error > 0:
        return wilson(value, worth)
    wide = quantile(images, len(resampled)) * error / (value * (1 - value))
    factor, odds = math.exp(min(wide, _GREAT)), value / (1 - value)
    mean = float(resampled[np.isfinite(resampled)].mean(dtype=np.float64))
    bias = (mean / (1 - mean) / odds) ** 2
    low, high = odds / factor / max(bias, 1.0), odds * factor / min(bias, 1.0)
    return Interval(low / (1 + low), high / (1 + high), BOOTSTRAP)


def of_loss(
    value: float, resampled: NDArray[np.floating], images: int, expected: float
) -> Interval | None:
    """The interval of a mean loss; ``None`` where there is nothing to learn it from.

    Losses are mostly small and seldom great, and a few images may hold no great one. So the
    upper limit is at least what it would be if the classifier's own probabilities were right.

    Args:
        value: The mean loss.
        resampled: Its values on resamples, shape (n,).
        images: How many were resampled.
        expected: The standard error that the mean would have if the probabilities were right.
    """
    error = standard_error(resampled, images)
    if not value > 0 or not max(error, expected) > 0 or images < 2:
        return None
    wide = quantile(images, len(resampled))
    factor = math.exp(min(wide * error / value, _GREAT))
    return Interval(value / factor, max(value * factor, value + wide * expected), BOOTSTRAP)


def standard_error(resampled: NDArray[np.floating], images: int) -> float:
    """The bootstrap's standard error, without its bias downwards; 0 for a single image."""
    known = resampled[np.isfinite(resampled)].astype(np.float64)
    if images < 2 or len(known) < 2:
        return 0.0
    return float(known.std()) * math.sqrt(images / (images - 1))


def quantile(images: int, resamples: int) -> float:
    """Student's, because the standard error is itself an estimate."""
    from scipy.special import stdtrit

    return float(stdtrit(min(images, resamples) - 1, _UPPER))
