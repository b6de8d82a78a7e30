"""Fitting a head without hidden layers: logistic regression along a path of penalties.

Its loss has a single lowest point, so nothing about it needs luck or tuning but the strength of
the L2 penalty. One epoch is one strength: half the one before, solved to the end with L-BFGS from
where the one before ended. :func:`cnntransfer.training.fit.fit` stops when the validation loss no
longer falls, and keeps the best (Friedman 2010, "Regularization Paths for Generalized Linear
Models via Coordinate Descent", does so with another solver).

How many of the features it is to use may be chosen in the same way: see
:func:`cnntransfer.training.heads.fit_head`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..models.head import Array, HeadModel, HeadWeights, Layer, affine, with_l2
from ..recipe import AUTO, Head, Stage
from .examples import Examples, log_softmax
from .learner import MODEL, Arrays, same_shapes
from .objective import Objective

#: From where hardly anything is learned to where all is learned by heart.
_PATH = tuple(2.0**-power for power in range(13))
#: After so many strengths that are no better, weaker ones will not be, either.
_PATIENCE = 2
#: L-BFGS (Liu & Nocedal 1989) ends at gradients as small as that, in nats, times the root of the
#: penalty's strength, or after so many steps: the weaker the penalty, the smaller all gradients.
_GRADIENT, _STEPS = 1e-3, 200


class LinearHead:
    """A head that is being fitted: a :class:`cnntransfer.training.learner.Learner`.

    Args:
        layers: The fixed standardisation and the last layer.
        weights: What to begin with.
        penalties: The strengths of the L2 penalty, epoch by epoch.
        training: What to learn from.
        validation: What to choose the strength by.
        objective: What is lowered, beside the penalty.
        features: How many of them are used, the first ones; all by default. The kernel is zero for
            the others.
        gradient: How small gradients are at a solution.
    """

    name = "head"
    #: The solver chooses its own steps.
    learning_rate = 0.0

    def __init__(
        self,
        layers: tuple[Layer, ...],
        weights: HeadWeights,
        penalties: Sequence[float],
        training: Examples,
        validation: Examples,
        objective: Objective,
        features: int | None = None,
        gradient: float | None = None,
    ) -> None:
        self._layers = layers
        self._penalties = penalties
        self._gradient = _GRADIENT if gradient is None else gradient
        self._training, self._validation = training, validation
        self._objective = objective
        standardise, output = layers
        self._fixed = weights[standardise.name]
        self._scale, self._shift = affine(standardise, self._fixed)
        kernel, bias = (array.copy() for array in weights[output.name])
        self._used = len(kernel) if features is None else features
        kernel[self._used :] = 0
        self._held: list[Array] = [kernel, bias, np.zeros((), np.float32)]

    @property
    def l2(self) -> float:
        """The strength of the penalty that led to the present weights."""
        return float(self._held[2])

    def train_epoch(self, epoch: int) -> tuple[float, float]:
        """Solve for the next strength; see :class:`cnntransfer.training.learner.Learner`."""
        from scipy.optimize import minimize

        l2 = self._penalties[epoch]
        kernel, bias, held_l2 = self._used_kernel, *self._held[1:]
        begun = np.concatenate([kernel.ravel(), bias]).astype(np.float64)
        options = {"maxiter": _STEPS, "gtol": self._gradient * math.sqrt(l2), "ftol": 1e-9}
        found = minimize(self._loss, begun, (l2,), method="L-BFGS-B", jac=True, options=options)
        kernel[:] = found.x[: kernel.size].reshape(kernel.shape)
        bias[:] = found.x[kernel.size :]
        held_l2[...] = l2
        return float(found.fun), self._training.judge(self._forward, self._objective)[1]

    def validate(self) -> tuple[float, float]:
        """See :class:`cnntransfer.training.learner.Learner`."""
        return self._validation.judge(self._forward, self._objective)

    def model(self) -> HeadModel:
        """The head as it is now; its last layer holds the penalty's strength."""
        (standardise, output), (kernel, bias, _) = self._layers, self._held
        weights = {standardise.name: self._fixed, output.name: (kernel.copy(), bias.copy())}
        return HeadModel((standardise, with_l2(output, self.l2)), weights)

    def take(self, head: HeadModel) -> None:
        """See :class:`cnntransfer.training.learner.HeadLearner`."""
        output = head.layers[-1]
        self.set_weights([*head.weights[output.name], np.float32(output.l2)])

    def arrays(self) -> Arrays:
        """See :class:`cnntransfer.training.learner.Holder`."""
        return {MODEL: self._held}

    def put(self, arrays: Arrays) -> bool:
        """See :class:`cnntransfer.training.learner.Holder`."""
        if not same_shapes(self.arrays(), arrays):
            return False
        self.set_weights(arrays[MODEL])
        return True

    def get_weights(self) -> list[NDArray[Any]]:
        """See :class:`cnntransfer.training.learner.Learner`."""
        return [array.copy() for array in self._held]

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """See :class:`cnntransfer.training.learner.Learner`."""
        for held, given in zip(self._held, weights, strict=True):
            held[...] = given

    def _forward(self, features: Array) -> Array:
        return self._logits(features, self._used_kernel, self._held[1])

    @property
    def _used_kernel(self) -> Array:
        kernel: Array = self._held[0][: self._used]
        return kernel

    def _logits(self, features: Array, kernel: Array, bias: Array) -> Array:
        # The standardisation goes into the kernel: features are neither copied nor changed.
        used = slice(self._used)
        logits: Array = features[:, used] @ (self._scale[used, np.newaxis] * kernel)
        logits += bias + self._shift[used] @ kernel
        return logits

    def _loss(self, numbers: NDArray[np.float64], l2: float) -> tuple[float, NDArray[np.float64]]:
        """The penalised loss, and its gradient, of kernel and bias in one vector."""
        features, classes = self._used_kernel.shape
        parameters = numbers.astype(np.float32)
        kernel = parameters[: features * classes].reshape(features, classes)
        bias = parameters[features * classes :]
        loss = 0.0
        slopes = np.zeros((features, classes), np.float32)
        sums = np.zeros(classes, np.float32)
        for block, labels in self._training.blocks():
            targets = self._objective.targets(labels, classes)
            weights = self._objective.weights(labels)
            logarithms = log_softmax(self._logits(block, kernel, bias))
            loss -= float(((targets * logarithms).sum(axis=1) * weights).sum(dtype=np.float64))
            gradient = (np.exp(logarithms) - targets) * weights[:, np.newaxis]
            slopes += block[:, :features].T @ gradient
            sums += gradient.sum(axis=0)
        count = len(self._training)
        scale, shift = self._scale[:features, np.newaxis], self._shift[:features, np.newaxis]
        slopes = scale * slopes + shift * sums
        slopes /= np.float32(count)
        slopes += np.float32(2 * l2) * kernel
        penalty = l2 * float(np.square(kernel, dtype=np.float64).sum())
        gradients = np.concatenate([slopes.ravel(), sums / np.float32(count)])
        return loss / count + penalty, gradients.astype(np.float64)


def penalties(head: Head) -> Sequence[float]:
    """The strengths to try for a head, the strongest first."""
    return _PATH if head.l2 == AUTO else (float(head.l2),)


def as_path(stage: Stage, steps: int) -> Stage:
    """A stage whose epochs are the steps of a path."""
    return dataclasses.replace(
        stage, epochs=min(stage.epochs, steps), patience=min(stage.patience, _PATIENCE)
    )
