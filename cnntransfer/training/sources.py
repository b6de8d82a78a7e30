"""What a network is fitted to: kept activations on disk, or fresh pixels, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..data.views import Request
from ..frameworks import tensorflow
from ..parallel import available_cores, ordered_map
from .order import Order

#: ``(inputs, labels) -> figures``, made of TensorFlow operations: sums over the examples, such as
#: that of losses and the number right, or arrays with a row for each. A source gives labels as
#: classes, int64 (n,); a loss takes shares of classes, float32 (n, classes).
Step = Callable[[Any, Any], tuple[Any, ...]]


@dataclass(frozen=True)
class Feed:
    """What a network is fitted to, view by view.

    Attributes:
        fetch: Gives the array of a view of an image; called on several threads.
        shape: The shape of such an array.
        dtype: Its type.
        views: How many views there are of every image; ``None`` for a new one in every epoch.
        parts: The shapes of the network's inputs, where an array is a row of the numbers of
            several.
    """

    fetch: Callable[[Request], NDArray[Any]]
    shape: tuple[int, ...]
    dtype: Any
    views: int | None
    parts: tuple[tuple[int, ...], ...] = ()

    def inputs(self, arrays: Any) -> Any:
        """The network's input or inputs, float32, TensorFlow's, of a batch of arrays."""
        tf = tensorflow()
        arrays = tf.cast(arrays, tf.float32)
        if not self.parts:
            return arrays
        rows = tf.split(arrays, [math.prod(shape) for shape in self.parts], axis=1)
        return [tf.reshape(row, [-1, *shape]) for row, shape in zip(rows, self.parts, strict=True)]


class StreamSource:
    """A subset's images, or what the frozen layers made of them, fetched batch by batch.

    Args:
        feed: Where they come from.
        dataset: Labels and subsets.
        subset: ``train`` or ``val``.
        batch_size: Arrays per step.
        seed: Decides the order and the views of each epoch; ``None`` (validation) keeps the order
            and shows the images themselves.
    """

    def __init__(
        self,
        feed: Feed,
        dataset: Dataset,
        subset: str,
        batch_size: int,
        seed: int | None,
    ) -> None:
        self._feed = feed
        self._positions = dataset.subset(subset)
        self._labels = dataset.labels()[self._positions]
        self._order = Order(len(self._positions), batch_size, seed)

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        return self._order.steps

    def compile(self, step: Step, *, jit: bool = False) -> Step:
        """The step function as a graph for this source's batches.

        Args:
            jit: Whether XLA compiles it, once for full batches and once for the last one.
        """
        tf = tensorflow()
        graph: Step = tf.function(
            lambda arrays, labels: step(self._feed.inputs(arrays), labels),
            input_signature=[
                tf.TensorSpec([None, *self._feed.shape], self._feed.dtype),
                tf.TensorSpec([None], tf.int64),
            ],
            jit_compile=jit,
        )
        return graph

    def epoch(self, run: Step, number: int) -> tuple[float, ...]:
        """Run a step over all batches of an epoch; the means of its figures over the examples."""
        figures = [
            [float(figure) for figure in run(arrays, labels)]
            for arrays, labels in self.batches(number)
        ]
        return tuple(float(total) / self._order.size for total in np.sum(figures, axis=0))

    def every(self, run: Step) -> tuple[NDArray[Any], ...]:
        """Run a step over all batches; its figures for every example, in the source's order."""
        batches = [
            [np.asarray(figure) for figure in run(arrays, labels)]
            for arrays, labels in self.batches(0)
        ]
        return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))

    def batches(self, epoch: int) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        """Arrays and labels of every batch; the next ones are fetched meanwhile."""
        views, size = self._view_numbers(epoch), self._order.batch_size
        requests = (
            (self._positions[row], int(views[row])) for row in self._order.of(epoch).tolist()
        )
        arrays = ordered_map(self._feed.fetch, requests, available_cores(), ahead=2 * size)
        for rows in self._order.batches(epoch):
            yield np.stack([next(arrays) for _ in rows]), self._labels[rows]

    def _view_numbers(self, epoch: int) -> NDArray[np.int64]:
        """Which view of every image an epoch shows."""
        size, seed = self._order.size, self._order.seed
        if seed is None:
            return np.zeros(size, np.int64)  # View 0 is the image itself.
        if self._feed.views is None:
            return np.full(size, epoch + 1, np.int64)
        # Every image goes through all its views, each at a place of its own in the cycle.
        offsets = np.random.default_rng(seed).integers(self._feed.views, size=size)
        return (offsets + epoch) % self._feed.views
