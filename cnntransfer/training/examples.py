"""What a head learns from and is judged on: features with labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..models.head import Array
from .objective import Objective

#: So many at a time, whatever there are.
_ROWS = 1024


@dataclass(frozen=True)
class Examples:
    """Features with labels.

    Attributes:
        values: float32, shape (rows, d).
        rows: Which of them are meant, int64, shape (n,).
        labels: The class of each of these, int64, shape (n,).
    """

    values: Array
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def resampled(self, samples: NDArray[np.int64], seed: int) -> Examples:
        """A bootstrap sample: as many images, drawn with replacement, each with all its views.

        Breiman 1996, "Bagging Predictors", Machine Learning 24.

        Args:
            samples: Which image each row of ``values`` is of, int64, shape (rows,).
            seed: Decides which are drawn.
        """
        images, place = np.unique(samples[self.rows], return_inverse=True)
        drawn = np.random.default_rng(seed).integers(0, len(images), len(images))
        times = np.bincount(drawn, minlength=len(images))[place]
        return Examples(self.values, np.repeat(self.rows, times), np.repeat(self.labels, times))

    def blocks(self) -> Iterator[tuple[Array, NDArray[np.int64]]]:
        """Features and labels, some at a time."""
        rows = self.rows
        # Where they lie one after another, nothing is copied.
        follow = bool(len(rows)) and bool((np.diff(rows) == 1).all())
        values = self.values[rows[0] : rows[-1] + 1] if follow else self.values
        for start in range(0, len(rows), _ROWS):
            block = slice(start, start + _ROWS)
            yield values[block if follow else rows[block]], self.labels[block]

    def judge(self, forward: Callable[[Array], Array], objective: Objective) -> tuple[float, float]:
        """Mean loss in nats as of validation, and accuracy.

        Args:
            forward: Features, (n, d) -> logits, (n, classes).
            objective: What an example counts.
        """
        loss, right = 0.0, 0
        for features, labels in self.blocks():
            logits = forward(features)
            losses = -log_softmax(logits)[np.arange(len(labels)), labels]
            loss += float((losses * objective.weights(labels)).sum())
            right += int((logits.argmax(axis=1) == labels).sum())
        return loss / len(self), right / len(self)


def log_softmax(logits: Array) -> Array:
    """Logarithms of probabilities; arrays of shape (n, classes)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
