"""In which order the examples of an epoch come."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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

    def batches(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """The examples of every step of an epoch."""
        order = self.of(epoch)
        return (
            order[start : start + self.batch_size] for start in range(0, self.size, self.batch_size)
        )

    def of(self, epoch: int) -> NDArray[np.int64]:
        """The examples of an epoch, int64, shape (size,)."""
        if self.seed is None:
            return np.arange(self.size, dtype=np.int64)
        return np.random.default_rng((self.seed, epoch)).permutation(self.size).astype(np.int64)
