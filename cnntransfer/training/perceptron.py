"""Fitting a head to features in NumPy: a perceptron of few layers.

A head is two matrix products. Fitting it with TensorFlow would cost the import of TensorFlow,
which takes longer than the fitting. What is computed is what Keras computes: the same layers, Adam
with the same constants, the same penalties; a test holds single steps to Keras'.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..models.head import ACTIVATIONS, Array, HeadModel, HeadWeights, Layer, affine, sigmoid
from ..recipe import Stage
from .examples import Examples, log_softmax
from .learner import MODEL, Arrays, same_shapes
from .objective import Objective
from .order import Order
from .schedule import scheduled

#: Adam's constants (Kingma 2015, arXiv:1412.6980), as Keras has them.
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7
#: So many parameters are updated at a time, which the processor's cache holds.
_BLOCK = 16_384


class Perceptron:
    """A head that is being fitted: a :class:`cnntransfer.training.learner.Learner`.

    Args:
        layers: What :func:`cnntransfer.models.head.head_layers` gave; the first is the fixed
            standardisation.
        weights: What to begin with.
        stage: Learning rate and its schedule.
        training: What to learn from.
        validation: What to stop by.
        batch_size: Examples per step.
        seed: Decides the order.
        objective: What is lowered.
    """

    name = "head"

    def __init__(
        self,
        layers: tuple[Layer, ...],
        weights: HeadWeights,
        stage: Stage,
        training: Examples,
        validation: Examples,
        batch_size: int,
        seed: int,
        objective: Objective,
    ) -> None:
        self._layers = layers
        self._stage = stage
        self._training, self._validation = training, validation
        self._order = Order(len(training.rows), batch_size, seed)
        self._objective = objective
        self._step = 0
        standardise, *others = layers
        self._fixed = weights[standardise.name]
        self._scale, self._shift = affine(standardise, self._fixed)
        sizes = [array.size for one in others for array in _trainable(one, weights)]
        # All trainable numbers lie one after another: an optimizer's step is few operations.
        self._parameters, self._gradients, self._mean, self._square = (
            np.zeros(sum(sizes), np.float32) for _ in range(4)
        )
        self._units: list[_Unit] = []
        place = 0
        for layer in others:
            held, gradients = [], []
            for array in _trainable(layer, weights):
                part = slice(place, place + array.size)
                held.append(self._parameters[part].reshape(array.shape))
                gradients.append(self._gradients[part].reshape(array.shape))
                held[-1][:] = array
                place += array.size
            statistics = [array.copy() for array in weights.get(layer.name, ())[len(held) :]]
            self._units.append(_UNITS[layer.kind](layer, held, gradients, statistics))
        self._blocks = [
            slice(start, min(start + _BLOCK, place)) for start in range(0, place, _BLOCK)
        ]
        self._scratch = np.empty(min(_BLOCK, place), np.float32)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return scheduled(self._stage, self._step, self._order.steps)

    @property
    def l2(self) -> float:
        """See :class:`cnntransfer.training.learner.Learner`."""
        return self._layers[-1].l2

    def train_epoch(self, epoch: int) -> tuple[float, float]:
        """See :class:`cnntransfer.training.learner.Learner`."""
        sums = np.zeros(2)
        for chosen in self._order.batches(epoch):
            sums += self._learn(chosen)
        loss, right = sums / self._order.size
        return float(loss), float(right)

    def step_losses(self) -> Generator[float, None, None]:
        """See :class:`cnntransfer.training.rates.Stepper`."""
        for epoch in itertools.count():
            for chosen in self._order.batches(epoch):
                yield self._learn(chosen)[0] / len(chosen)

    def _learn(self, chosen: NDArray[np.int64]) -> tuple[float, int]:
        """A step on some examples: the sum of their losses, and how many are right."""
        labels = self._training.labels[chosen]
        logits = self._forward(self._training.values[self._training.rows[chosen]], self._step)
        targets = self._objective.targets(labels, logits.shape[1])
        weights = self._objective.weights(labels)
        logarithms = log_softmax(logits)
        losses = -(targets * logarithms).sum(axis=1) * weights
        penalty = sum(unit.penalty() for unit in self._units)
        gradient = (np.exp(logarithms) - targets) * (weights[:, np.newaxis] / len(labels))
        self._backward(gradient.astype(np.float32, copy=False))
        self._descend()
        right = int((logits.argmax(axis=1) == labels).sum())
        return float(losses.sum()) + penalty * len(labels), right

    def validate(self) -> tuple[float, float]:
        """See :class:`cnntransfer.training.learner.Learner`."""
        return self._validation.judge(self._forward, self._objective)

    def model(self) -> HeadModel:
        """The head as it is now."""
        weights = {self._layers[0].name: self._fixed}
        for layer, unit in zip(self._layers[1:], self._units, strict=True):
            if unit.arrays:
                weights[layer.name] = tuple(array.copy() for array in unit.arrays)
        return HeadModel(self._layers, weights)

    def take(self, head: HeadModel) -> None:
        """Go on from the numbers of a head of the same layers."""
        for layer, unit in zip(self._layers[1:], self._units, strict=True):
            for held, given in zip(unit.arrays, head.weights.get(layer.name, ()), strict=True):
                held[:] = given

    def arrays(self) -> Arrays:
        """See :class:`cnntransfer.training.learner.Holder`."""
        step = np.array(self._step, np.int64)
        return {MODEL: self._held(), "optimizer": [self._mean, self._square, step]}

    def put(self, arrays: Arrays) -> bool:
        """See :class:`cnntransfer.training.learner.Holder`."""
        if not same_shapes(self.arrays(), arrays):
            return False
        if "optimizer" in arrays:
            mean, square, step = arrays["optimizer"]
            self._mean[:], self._square[:], self._step = mean, square, int(step)
        self.set_weights(arrays[MODEL])
        return True

    def get_weights(self) -> list[NDArray[Any]]:
        """See :class:`cnntransfer.training.learner.Learner`."""
        return [array.copy() for array in self._held()]

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """See :class:`cnntransfer.training.learner.Learner`."""
        for held, given in zip(self._held(), weights, strict=True):
            held[:] = given

    def _held(self) -> list[Array]:
        return [array for unit in self._units for array in unit.arrays]

    def _forward(self, features: Array, step: int | None = None) -> Array:
        """Logits, (n, classes); of training in step ``step``, or of inference."""
        x = features * self._scale + self._shift
        for unit in self._units:
            x = unit.forward(x, step)
        return x

    def _backward(self, gradient: Array) -> None:
        """Gradients of all parameters from that of the logits."""
        lowest = next(i for i, unit in enumerate(self._units) if unit.gradients)
        for number in range(len(self._units) - 1, lowest - 1, -1):
            gradient = self._units[number].backward(gradient, is_lowest=number == lowest)

    def _descend(self) -> None:
        """One step of Adam."""
        rate = self.learning_rate
        self._step += 1
        rate *= math.sqrt(1 - _BETA2**self._step) / (1 - _BETA1**self._step)
        for block in self._blocks:
            gradient, mean, square = self._gradients[block], self._mean[block], self._square[block]
            change = self._scratch[: len(gradient)]
            np.subtract(gradient, mean, out=change)
            change *= 1 - _BETA1
            mean += change
            np.multiply(gradient, gradient, out=change)
            change -= square
            change *= 1 - _BETA2
            square += change
            np.sqrt(square, out=change)
            change += _EPSILON
            np.divide(mean, change, out=change)
            change *= rate
            self._parameters[block] -= change


class _Unit:
    """A layer while it is fitted.

    Args:
        layer: Its description.
        held: Its trained arrays.
        gradients: Where the gradients of these go.
        statistics: Its other arrays.
    """

    def __init__(
        self, layer: Layer, held: list[Array], gradients: list[Array], statistics: list[Array]
    ) -> None:
        self.config = layer.config
        self.l2 = layer.l2
        self.arrays = [*held, *statistics]
        self.gradients = gradients
        #: What the last step of training needs to remember for its gradients.
        self.kept = np.empty(0, np.float32)

    def forward(self, x: Array, step: int | None) -> Array:
        """Outputs; of training in step ``step``, else of inference."""
        raise NotImplementedError

    def backward(self, gradient: Array, *, is_lowest: bool) -> Array:
        """Fill the gradients; returns that of the inputs, which the lowest need not work out."""
        raise NotImplementedError

    def penalty(self) -> float:
        """What it adds to the loss."""
        return 0.0


class _Dense(_Unit):
    def forward(self, x: Array, step: int | None) -> Array:
        self.kept = x
        kernel, bias = self.arrays
        product: Array = x @ kernel
        product += bias
        return product

    def backward(self, gradient: Array, *, is_lowest: bool) -> Array:
        kernel, _ = self.arrays
        np.matmul(self.kept.T, gradient, out=self.gradients[0])
        gradient.sum(axis=0, out=self.gradients[1])
        if self.l2:
            self.gradients[0] += np.float32(2 * self.l2) * kernel
        return gradient if is_lowest else gradient @ kernel.T

    def penalty(self) -> float:
        kernel = self.arrays[0].ravel()
        return self.l2 * float(kernel @ kernel) if self.l2 else 0.0


class _Normalise(_Unit):
    """Batch normalisation (Ioffe 2015, arXiv:1502.03167)."""

    def forward(self, x: Array, step: int | None) -> Array:
        gamma, beta, mean, variance = self.arrays
        epsilon = np.float32(self.config["epsilon"])
        if step is None:
            inferred: Array = (x - mean) * (gamma / np.sqrt(variance + epsilon)) + beta
            return inferred
        now = x.mean(axis=0), x.var(axis=0)
        for moving, value in zip((mean, variance), now, strict=True):
            moving *= self.config["momentum"]
            moving += value * np.float32(1 - self.config["momentum"])
        self._inverse = 1 / np.sqrt(now[1] + epsilon)
        self.kept = (x - now[0]) * self._inverse
        result: Array = self.kept * gamma + beta
        return result

    def backward(self, gradient: Array, *, is_lowest: bool) -> Array:
        (gradient * self.kept).sum(axis=0, out=self.gradients[0])
        gradient.sum(axis=0, out=self.gradients[1])
        inner = gradient * self.arrays[0]
        along = self.kept * (inner * self.kept).mean(axis=0)
        result: Array = (inner - inner.mean(axis=0) - along) * self._inverse
        return result


class _Activate(_Unit):
    def forward(self, x: Array, step: int | None) -> Array:
        self.kept = x
        return ACTIVATIONS[self.config["activation"]](x)

    def backward(self, gradient: Array, *, is_lowest: bool) -> Array:
        return gradient * _SLOPES[self.config["activation"]](self.kept)


class _Dropout(_Unit):
    """Dropout (Srivastava 2014); what a step drops is decided by its number and the seed."""

    def forward(self, x: Array, step: int | None) -> Array:
        if step is None:
            return x
        keep = np.float32(1 - self.config["rate"])
        chances = np.random.default_rng((self.config["seed"], step)).random(x.shape, np.float32)
        self.kept = (chances < keep) / keep
        return x * self.kept

    def backward(self, gradient: Array, *, is_lowest: bool) -> Array:
        return gradient * self.kept


_UNITS: Mapping[str, type[_Unit]] = {
    "Dense": _Dense,
    "BatchNormalization": _Normalise,
    "Activation": _Activate,
    "Dropout": _Dropout,
}


def _trainable(layer: Layer, weights: HeadWeights) -> tuple[Array, ...]:
    """A layer's arrays but for statistics."""
    return weights.get(layer.name, ())[:2]


def _slope_of_gelu(x: Array) -> Array:
    from scipy.special import ndtr

    density = np.exp(np.float32(-0.5) * x * x) * np.float32(1 / math.sqrt(2 * math.pi))
    result: Array = ndtr(x) + x * density
    return result


def _slope_of_silu(x: Array) -> Array:
    value = sigmoid(x)
    result: Array = value * (1 + x * (1 - value))
    return result


#: The derivatives of :data:`cnntransfer.models.head.ACTIVATIONS`.
_SLOPES: Mapping[str, Callable[[Array], Array]] = {
    "relu": lambda x: (x > 0).astype(np.float32),
    "gelu": _slope_of_gelu,
    "silu": _slope_of_silu,
    "tanh": lambda x: 1 - np.square(np.tanh(x)),
}
