"""How the weights of a network are changed: Adam, block by block, and their running average."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..frameworks import keras, tensorflow
from ..recipe import Stage
from .schedule import in_keras


class Optimizer:
    """Adam (Kingma 2015, arXiv:1412.6980) with a learning rate for every block of layers.

    What belongs to no block, the head, learns at the stage's rate; the top block at ``layer_decay``
    times that, and every block at ``layer_decay`` times the rate of the one above (Howard & Ruder
    2018, arXiv:1801.06146). It is the updates that are scaled: Adam would undo a scaling of
    gradients.

    Args:
        stage: Learning rate, schedule, decay by layers, averaging.
        variables: What is trained, Keras variables in the order of their gradients.
        blocks: Those of them that belong to a block, by block, from the top downwards.
        steps_per_epoch: How often :meth:`apply` is called in an epoch.
    """

    def __init__(
        self,
        stage: Stage,
        variables: Sequence[Any],
        blocks: Sequence[Sequence[Any]],
        steps_per_epoch: int,
    ) -> None:
        places: dict[float, list[int]] = defaultdict(list)
        factors = {
            id(variable): stage.layer_decay**depth
            for depth, block in enumerate(blocks, start=1)
            for variable in block
        }
        for place, variable in enumerate(variables):
            places[factors.get(id(variable), 1.0)].append(place)
        self._variables = variables
        self._parts = []
        for factor in sorted(places, reverse=True):
            rate = float(stage.learning_rate) * factor
            slower = dataclasses.replace(stage, learning_rate=rate)
            adam = keras().optimizers.Adam(in_keras(slower, steps_per_epoch))
            adam.build([variables[place] for place in places[factor]])
            self._parts.append((adam, places[factor]))
        self._average = Average(variables, stage.ema_momentum) if stage.ema_momentum else None

    @property
    def variables(self) -> list[Any]:
        """Everything that it remembers from step to step."""
        remembered = [variable for adam, _ in self._parts for variable in adam.variables]
        return remembered + ([] if self._average is None else self._average.variables)

    @property
    def learning_rate(self) -> float:
        """The highest of the next step."""
        return float(self._parts[0][0].learning_rate)

    def apply(self, gradients: Sequence[Any]) -> None:
        """Change the variables once; made of TensorFlow operations."""
        for adam, places in self._parts:
            adam.apply(
                [gradients[place] for place in places], [self._variables[place] for place in places]
            )
        if self._average is not None:
            self._average.follow()

    def start_average(self) -> None:
        """Let the running average, where there is one, begin at the variables as they are."""
        if self._average is not None:
            self._average.start()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The variables are their running average while the block runs, where there is one."""
        if self._average is None:
            yield
            return
        with self._average.shown():
            yield


class Average:
    """A running average of weights (Polyak & Juditsky 1992), which is often better than the last.

    It remembers ``momentum`` of itself in every step, as ``ema_momentum`` of Keras' optimizers; in
    step n at most (1 + n) / (10 + n), as ``tf.train.ExponentialMovingAverage``. Otherwise it would
    still be where training began when a small data set is done with its few steps.

    Args:
        weights: Keras variables.
        momentum: From 0 to 1.
    """

    def __init__(self, weights: Sequence[Any], momentum: float) -> None:
        tf = tensorflow()
        self._weights = [weight.value for weight in weights]
        self._averages = [tf.Variable(weight.numpy(), trainable=False) for weight in weights]
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._momentum = momentum

    @property
    def variables(self) -> list[Any]:
        """The average, weight by weight, and how many steps are in it."""
        return [*self._averages, self._steps]

    def follow(self) -> None:
        """Take the weights as they are now into the average; made of TensorFlow operations."""
        tf = tensorflow()
        steps = tf.cast(self._steps, tf.float32)
        momentum = tf.minimum(self._momentum, (1 + steps) / (10 + steps))
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.assign_add((1 - momentum) * (weight - average))
        self._steps.assign_add(1)

    def start(self) -> None:
        """Begin at the weights as they are."""
        self._steps.assign(0)
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.assign(weight)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The weights are the average while the block runs, and then what they were."""
        before = [weight.numpy() for weight in self._weights]
        self._put(self._averages)
        try:
            yield
        finally:
            self._put(before)

    def _put(self, values: Sequence[Any]) -> None:
        for weight, value in zip(self._weights, values, strict=True):
            weight.assign(value)
