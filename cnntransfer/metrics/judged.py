"""What is judged: labels and probabilities of the same images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Judged:
    """Labelled images and what a classifier says of them.

    Attributes:
        labels: int64, shape (n,): the right classes.
        probabilities: float32, shape (n, classes).
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """How many classes the classifier knows."""
        return int(self.probabilities.shape[1])

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of every image, int64 (n,)."""
        result: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return result

    @cached_property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether that is the label, shape (n,)."""
        result: NDArray[np.bool_] = self.predicted == self.labels
        return result

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """The probability of the most probable class, float64 (n,)."""
        result: NDArray[np.float64] = self.probabilities.max(axis=1).astype(np.float64)
        return result

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """The negative log probability of the label, in nats, float64 (n,)."""
        right = self.probabilities[np.arange(len(self)), self.labels].astype(np.float64)
        return -np.log(np.clip(right, np.finfo(np.float32).tiny, 1.0))

    @property
    def expected_loss_error(self) -> float:
        """The standard error of the mean loss, if every probability were right."""
        from scipy.special import xlogy

        entropies = -xlogy(self.probabilities, self.probabilities).sum(axis=1)
        logs = np.log(np.clip(self.probabilities, np.finfo(np.float32).tiny, 1.0))
        squares = (self.probabilities * logs**2).sum(axis=1)
        # Of a loss: its variance for an image, and of its means between images.
        variance = (squares - entropies**2).mean() + entropies.var()
        return float(np.sqrt(max(float(variance), 0.0) / len(self)))
