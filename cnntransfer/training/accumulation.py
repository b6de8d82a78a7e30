"""Learning from several batches at once, where one of their size would not fit into memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from ..frameworks import tensorflow
from .optimizer import Optimizer
from .sources import Step


class Accumulation:
    """The gradients of some batches, together those of one batch of all their examples.

    Only batch normalisation that is trained still sees single batches. The
    ``gradient_accumulation_steps`` of Keras' optimizers are not used: what an epoch leaves over
    they take into the next, and a last, smaller batch counts as much as a whole one.

    Args:
        optimizer: Takes the gradients.
        variables: What they belong to, in this order.
        batches: How many belong together; fewer at the end of an epoch.
    """

    def __init__(self, optimizer: Optimizer, variables: Sequence[Any], batches: int) -> None:
        tf = tensorflow()
        self._optimizer = optimizer
        self._batches = batches
        self._sums = [
            tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False)
            for variable in variables
        ]
        self._examples = tf.Variable(0.0, trainable=False)
        self._reset, self._flush = tf.function(self._clear), tf.function(self._apply)

    def add(self, gradients: Sequence[Any], examples: Any) -> None:
        """Take the mean gradients over a batch; made of TensorFlow operations.

        Args:
            gradients: One for every variable.
            examples: Number of examples in the batch, float32.
        """
        for total, gradient in zip(self._sums, gradients, strict=True):
            total.assign_add(examples * gradient)
        self._examples.assign_add(examples)

    def through(self, step: Step, steps: int) -> Step:
        """A step function for the batches of one epoch.

        Args:
            step: Adds the gradients of a batch.
            steps: Number of batches in the epoch.
        """
        self._reset()  # Somebody may have measured how long a step takes.
        numbers = itertools.count(1)

        def step_of_epoch(inputs: Any, labels: Any) -> tuple[Any, Any]:
            figures = step(inputs, labels)
            number = next(numbers)
            if number % self._batches == 0 or number == steps:
                self._flush()
            return figures

        return step_of_epoch

    def _apply(self) -> None:
        self._optimizer.apply([total / self._examples for total in self._sums])
        self._clear()

    def _clear(self) -> None:
        for variable in (*self._sums, self._examples):
            variable.assign(variable * 0)
