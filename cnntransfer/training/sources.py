"""What a model is fitted to: kept features in memory, kept activations on disk, or fresh pixels.

A source runs a step function over its batches. Several batches of features are one call into
TensorFlow's graph: an epoch of 122 rows takes 2 ms, where ``Model.fit`` takes 70 ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..data.views import Request
from ..frameworks import tensorflow
from ..parallel import available_cores, ordered_map
from .features import Features

#: ``(inputs, labels) -> (sum of losses, number right)``, made of TensorFlow operations.
Step = Callable[[Any, Any], tuple[Any, Any]]
#: ``epoch -> (mean loss, accuracy)``.
Epoch = Callable[[int], tuple[float, float]]

#: So many bytes of features go into TensorFlow at once.
_CHUNK_BYTES = 64 * 2**20


class Source(Protocol):
    """Examples that can be gone through epoch after epoch."""

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""

    def compile(self, step: Step) -> Epoch:
        """A function that runs the step over all batches of an epoch."""


@dataclass(frozen=True)
class Order:
    """In which order, and in batches of which size.

    Attributes:
        size: Number of examples.
        batch_size: Examples per step.
        seed: Decides the order of each epoch; ``None`` keeps the order.
    """

    size: int
    batch_size: int
    seed: int | None

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        return math.ceil(self.size / self.batch_size)

    def of(self, epoch: int) -> NDArray[np.int64]:
        """The examples of an epoch, int64, shape (size,)."""
        if self.seed is None:
            return np.arange(self.size, dtype=np.int64)
        return np.random.default_rng((self.seed, epoch)).permutation(self.size).astype(np.int64)


class FeatureSource:
    """All kept views of a subset's images.

    Args:
        features: Rows for (sample, view).
        dataset: Labels and subsets.
        subset: ``train`` or ``val``.
        batch_size: Rows per step.
        seed: See :class:`Order`.
    """

    def __init__(
        self, features: Features, dataset: Dataset, subset: str, batch_size: int, seed: int | None
    ) -> None:
        self._rows = np.flatnonzero(np.isin(features.samples, dataset.subset(subset)))
        self._values = features.values
        self._labels = dataset.labels()[features.samples]
        self._order = Order(len(self._rows), batch_size, seed)

    @property
    def steps(self) -> int:
        """See :class:`Source`."""
        return self._order.steps

    def compile(self, step: Step) -> Epoch:
        """See :class:`Source`."""
        tf = tensorflow()
        order, batch_size, width = self._order, self._order.batch_size, self._values.shape[1]
        chunk = batch_size * max(1, _CHUNK_BYTES // (batch_size * width * 4))

        @tf.function(
            input_signature=[tf.TensorSpec([None, width]), tf.TensorSpec([None], tf.int64)]
        )
        def run(values, labels):  # type: ignore[no-untyped-def]
            loss, right = tf.constant(0.0), tf.constant(0.0)
            for start in tf.range(0, tf.size(labels), batch_size):
                end = start + batch_size
                step_loss, step_right = step(values[start:end], labels[start:end])
                loss += step_loss
                right += step_right
            return loss, right

        def epoch(number: int) -> tuple[float, float]:
            rows = self._rows[order.of(number)]
            sums = np.zeros(2)
            for start in range(0, len(rows), chunk):
                part = rows[start : start + chunk]
                sums += [float(x) for x in run(self._values[part], self._labels[part])]
            return float(sums[0]) / order.size, float(sums[1]) / order.size

        return epoch


class StreamSource:
    """A subset's images, or what the frozen layers made of them, fetched batch by batch.

    Args:
        fetch: Gives the array of a request; called on several threads.
        shape: The shape of such an array.
        dtype: Its type.
        dataset: Labels and subsets.
        subset: ``train`` or ``val``.
        batch_size: Arrays per step.
        seed: Decides the order and the views of each epoch; ``None`` (validation) keeps the order
            and shows the images themselves.
        views: How many views there are to choose from; ``None`` for a new one every epoch.
    """

    def __init__(
        self,
        fetch: Callable[[Request], NDArray[Any]],
        shape: Sequence[int],
        dtype: Any,
        dataset: Dataset,
        subset: str,
        batch_size: int,
        seed: int | None,
        views: int | None = None,
    ) -> None:
        self._fetch = fetch
        self._shape, self._dtype = shape, dtype
        self._positions = dataset.subset(subset)
        self._labels = dataset.labels()[self._positions]
        self._order = Order(len(self._positions), batch_size, seed)
        self._views = views

    @property
    def steps(self) -> int:
        """See :class:`Source`."""
        return self._order.steps

    def compile(self, step: Step) -> Epoch:
        """See :class:`Source`."""
        tf = tensorflow()
        run = tf.function(
            lambda arrays, labels: step(tf.cast(arrays, tf.float32), labels),
            input_signature=[
                tf.TensorSpec([None, *self._shape], self._dtype),
                tf.TensorSpec([None], tf.int64),
            ],
        )

        def epoch(number: int) -> tuple[float, float]:
            sums = np.zeros(2)
            for arrays, labels in self._batches(number):
                sums += [float(figure) for figure in run(arrays, labels)]
            return float(sums[0]) / self._order.size, float(sums[1]) / self._order.size

        return epoch

    def _batches(self, epoch: int) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        """Arrays and labels of every batch; the next ones are fetched meanwhile."""
        order, views, size = (
            self._order.of(epoch),
            self._view_numbers(epoch),
            self._order.batch_size,
        )
        requests = ((self._positions[row], int(views[row])) for row in order.tolist())
        arrays = ordered_map(self._fetch, requests, available_cores(), ahead=2 * size)
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield np.stack([next(arrays) for _ in rows]), self._labels[rows]

    def _view_numbers(self, epoch: int) -> NDArray[np.int64]:
        """Which view of every image an epoch shows."""
        size, seed = self._order.size, self._order.seed
        if seed is None:
            return np.zeros(size, np.int64)  # View 0 is the image itself.
        if self._views is None:
            return np.full(size, epoch + 1, np.int64)
        # Every image goes through all its views, each at a place of its own in the cycle.
        offsets = np.random.default_rng(seed).integers(self._views, size=size)
        return (offsets + epoch) % self._views
