"""Fitting the distance from the training images, and what of it is usual.

How far a known image usually is must be judged by images that the distance was not fitted to.
Those are the validation images, and they may be too few: of 20, one is 5 %. But as the distance is
Mahalanobis' with a covariance that is shrunk by a fixed share, what a training image's distance
would be had it been left out follows from what it is (Sherman & Morrison 1950), exactly and for
nothing. So training images count as known images, too, unless

- layers of the backbone were trained: their features are then those of images learned by heart;
- the validation images are clearly farther than they are, as those of another camera may be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..data.dataset import Dataset
from ..models.head import standardisation
from ..novelty import AUTO_RATE, Boundary, Novelty, normalised
from ..parallel import products_on_one_thread

#: The distance is fitted to so many training images at most. Each adds two bytes a feature to the
#: bundle; more than these hardly reject more (docs/evaluation.md).
MOST = 512
#: The covariance's share that is the same in all directions. What is rejected was the same from
#: 0.02 to 0.3 (docs/evaluation.md).
_SHRINKAGE = 0.1
#: Standard errors by which validation images must be farther for training images not to count.
_CLEARLY = 3.0
#: Images whose distances are computed at a time.
_BLOCK = 1024


def to_learn_from(dataset: Dataset) -> list[int]:
    """Positions of the training images that the distance is fitted to.

    Of copies there is one, as an image beside its copy tells nothing about being left out. Of many
    images, every so-manieth is taken, so that all classes have their share.
    """
    first = {dataset.samples[i].digest: i for i in reversed(dataset.subset("train"))}
    positions = sorted(first.values())
    count = min(len(positions), MOST)
    return [positions[number * len(positions) // count] for number in range(count)]


def write_novelty(
    bundle: Bundle,
    training: NDArray[np.float32],
    held_out: Mapping[str, NDArray[np.float32]],
    widths: Sequence[int],
    *,
    is_tuned: bool,
) -> dict[str, Any] | None:
    """Fit the distance and write it into a bundle; see :func:`fit_novelty`.

    Args:
        bundle: Where to.
        training: See there.
        held_out: Features of the validation images, ``val``, and of the test images, if any.
        widths: See there.
        is_tuned: See there.

    Returns:
        For the metadata: the boundary for ``auto``, and the share of each held-out subset beyond;
        ``None`` where nothing was written.
    """
    with products_on_one_thread():
        novelty = fit_novelty(training, held_out["val"], widths, is_tuned=is_tuned)
    if novelty is None:
        return None
    bundle.write_arrays("novelty", novelty.arrays())
    boundary = Boundary(novelty, AUTO_RATE)
    return {
        "rate": boundary.rate,
        "distance": boundary.threshold,
        "known": {"val": len(novelty.validation), "train": len(novelty.training)},
        "rejected": {
            name: boundary.rejected(_distances(novelty, rows)) for name, rows in held_out.items()
        },
    }


def fit_novelty(
    training: NDArray[np.float32],
    validation: NDArray[np.float32],
    widths: Sequence[int],
    *,
    is_tuned: bool,
) -> Novelty | None:
    """Fit the distance; ``None`` where that takes more training images.

    Args:
        training: Features of the images of :func:`to_learn_from`, by the bundle's trunk, (n, d).
        validation: Those of the validation images, (m, d).
        widths: See :func:`cnntransfer.models.head.standardisation`.
        is_tuned: Whether layers of the backbone learned from the training images.
    """
    count = len(training)
    if count < 2:
        return None
    features = normalised(training.astype(np.float64))
    mean, variance = standardisation(features.astype(np.float32), widths)
    scale = np.sqrt(variance)
    rows = (features - features.mean(axis=0)) / scale
    products = rows @ rows.T
    variances, vectors = np.linalg.eigh(products)
    told = variances > 1e-9 * max(variances[-1], 1e-9)
    variances, vectors = variances[told], vectors[:, told]
    components = (vectors / np.sqrt(variances)).T @ rows

    # The covariance is each * (sum of the images' squares) + level * identity.
    each = (1 - _SHRINKAGE) / (count - 1)
    level = max(_SHRINKAGE * float(np.trace(products)) / rows.size, 1e-9)
    explained = 1 - level / (each * variances + level)
    left = products.diagonal() - np.square(vectors) @ (variances * explained)
    squares = _left_out(np.maximum(left, 0), each / level, count)

    fitted = Novelty(
        mean,
        scale,
        components.astype(np.float16),
        explained.astype(np.float32),
        np.array(1, np.float32),
        np.empty(0, np.float32),
        np.empty(0, np.float32),
    )
    others = np.sqrt(squares).astype(np.float32)
    held_out = _distances(fitted, validation)
    if is_tuned or _is_farther(held_out, others):
        others = others[:0]
    unit = np.float32(max(np.median(np.concatenate([held_out, others])), 1e-6))
    return dataclasses.replace(
        fitted,
        unit=np.array(unit),
        validation=np.sort(held_out / unit),
        training=np.sort(others / unit),
    )


def _distances(novelty: Novelty, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distances of many images, without many copies of their features."""
    blocks = np.array_split(features, np.arange(_BLOCK, len(features), _BLOCK))
    return np.concatenate([novelty.distances(block) for block in blocks])


def _left_out(squares: NDArray[np.float64], ratio: float, count: int) -> NDArray[np.float64]:
    """Squared distances, each of an image from the others instead of from all.

    Leaving image x out moves the mean by x / (n - 1) and takes n / (n - 1) x x' from the sum of
    squares, the images being centred.

    Args:
        squares: Distances from all, times ``level``, shape (n,).
        ratio: ``each / level``.
        count: n.
    """
    more = count / (count - 1)
    alone: NDArray[np.float64] = more**2 * squares / (1 - more * ratio * squares)
    return alone


def _is_farther(validation: NDArray[np.float32], training: NDArray[np.float32]) -> bool:
    """Whether validation images are clearly farther than training images (rank sum test)."""
    m, n = len(validation), len(training)
    smaller = np.searchsorted(np.sort(training), validation).sum()
    spread = np.sqrt(m * n * (m + n + 1) / 12)
    return bool((smaller - m * n / 2) / spread > _CLEARLY)
