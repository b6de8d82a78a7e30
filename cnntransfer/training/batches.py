"""Batches for ``fit``: of cached features, or of images in a new view each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.augment import Augmenter
from ..data.dataset import Dataset, Pixels
from ..frameworks import keras
from ..parallel import available_cores, ordered_map
from .features import Features

#: ``(rows, epoch) -> inputs`` of those rows, stacked.
Fetch = Callable[[NDArray[np.int64], int], NDArray[Any]]


def feature_batches(
    features: Features, dataset: Dataset, subset: str, batch_size: int, seed: int
) -> Any:
    """Batches of all cached views of a subset's images."""
    members = np.isin(features.samples, dataset.subset(subset))
    values = features.values[members]
    labels = dataset.labels()[features.samples[members]]
    order_seed = seed if subset == "train" else None
    return _batches(lambda rows, epoch: values[rows], labels, batch_size, order_seed, workers=1)


def pixel_batches(
    pixels: Pixels,
    dataset: Dataset,
    subset: str,
    augmenter: Augmenter,
    batch_size: int,
    seed: int,
) -> Any:
    """Batches of a subset's images, float32 0..255; training images in another view each epoch."""
    positions = dataset.subset(subset)
    labels = dataset.labels()[positions]
    is_training = subset == "train"
    cores = available_cores()

    def fetch(rows: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        def one(row: int) -> NDArray[np.uint8]:
            position = positions[row]
            view = epoch + 1 if is_training else 0
            return augmenter.view(pixels[position], dataset.samples[position].digest, view)

        return np.stack(list(ordered_map(one, rows.tolist(), cores))).astype(np.float32)

    return _batches(fetch, labels, batch_size, seed if is_training else None, workers=2)


def _batches(
    fetch: Fetch, labels: Sequence[int], batch_size: int, seed: int | None, workers: int
) -> Any:
    """A ``keras.utils.PyDataset``; with a seed, each epoch in another order."""

    class Batches(keras().utils.PyDataset):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(workers=workers)
            self.targets = np.asarray(labels, dtype=np.int64)
            self.epoch = 0
            self.order = self._order()

        def __len__(self) -> int:
            return math.ceil(len(self.targets) / batch_size)

        def __getitem__(self, number: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
            rows = self.order[number * batch_size : (number + 1) * batch_size]
            return fetch(rows, self.epoch), self.targets[rows]

        def on_epoch_end(self) -> None:
            self.epoch += 1
            self.order = self._order()

        def _order(self) -> NDArray[np.int64]:
            if seed is None:
                return np.arange(len(self.targets))
            return np.random.default_rng((seed, self.epoch)).permutation(len(self.targets))

    return Batches()
