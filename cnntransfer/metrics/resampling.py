"""The bootstrap (Efron 1979): images drawn again, with replacement, as numbers of times drawn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

#: How often each image counts, shape (images, resamples).
Weights = NDArray[np.floating]

#: A standard error from 50 resamples is right to a tenth, from 1,000 to a fiftieth.
_LEAST, _MOST = 50, 1000
#: How many probabilities are looked at in all: about a second's work.
_EFFORT = 200_000_000
#: How many weights are held at a time.
_BLOCK = 2_000_000


def resamples(images: int, classes: int) -> Iterator[Weights]:
    """Blocks of resamples, float32 (images, some); the same ones every time.

    There are 1,000 in all, and fewer where there are more than 200,000 probabilities.
    """
    random = np.random.default_rng(0)
    left = min(max(_EFFORT // (images * classes), _LEAST), _MOST)
    while left:
        count = min(left, max(_BLOCK // images, 1))
        drawn = random.integers(0, images, (count, images))
        drawn += images * np.arange(count)[:, np.newaxis]
        times = np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images)
        yield np.ascontiguousarray(times.T, dtype=np.float32)
        left -= count
