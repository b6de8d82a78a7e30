"""What training lowers: the cross-entropy, perhaps smoothed and weighted by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..frameworks import keras, tensorflow
from ..recipe import Recipe, Stage


@dataclass(frozen=True)
class Objective:
    """The loss of examples, in nats.

    Attributes:
        label_smoothing: The share of a label that is spread evenly over all classes while
            training (Szegedy 2016, arXiv:1512.00567); validation is never smoothed.
        class_weights: What an example of each class counts, in training and in validation; mean 1
            over the training examples. Empty: every example counts the same.
    """

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()

    def targets(self, labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
        """What training compares probabilities with, float32 (n, classes): smoothed labels."""
        targets: NDArray[np.float32] = self.smoothed(one_hot(labels, classes))
        return targets

    def weights(self, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """What each example counts, float32 (n,)."""
        if not self.class_weights:
            return np.ones(len(labels), np.float32)
        return np.array(self.class_weights, np.float32)[labels]

    def smoothed(self, shares: Any) -> Any:
        """The share of every class in every example, some of it spread over all classes.

        Args:
            shares: Array or tensor of float32, shape (n, classes), of sum 1 per example.
        """
        if not self.label_smoothing:
            return shares
        return (1 - self.label_smoothing) * shares + self.label_smoothing / shares.shape[-1]

    def of_training(self, shares: Any, probabilities: Any) -> Any:
        """Loss of every example.

        An example of several classes counts as much as these do on average, by their shares.

        Args:
            shares: Tensor of float32, shape (n, classes): of every class in every example, before
                smoothing. One of them is 1 where nothing is mixed.
            probabilities: Tensor of float32, shape (n, classes).
        """
        return self._weighted(shares, self.smoothed(shares), probabilities)

    def of_validation(self, shares: Any, probabilities: Any) -> Any:
        """Loss of every example; arguments as for :meth:`of_training`."""
        return self._weighted(shares, shares, probabilities)

    def _weighted(self, shares: Any, targets: Any, probabilities: Any) -> Any:
        losses = keras().losses.categorical_crossentropy(targets, probabilities)
        if not self.class_weights:
            return losses
        tf = tensorflow()
        weights = tf.constant(self.class_weights, tf.float32)
        return losses * tf.reduce_sum(shares * weights, axis=-1)


def one_hot(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """The share of every class in every example, float32 (n, classes): all of it in one."""
    shares = np.zeros((len(labels), classes), np.float32)
    shares[np.arange(len(labels)), labels] = 1
    return shares


def objective(recipe: Recipe, stage: Stage, dataset: Dataset) -> Objective:
    """What a recipe asks for in a stage; ``class_weight: balanced`` makes all classes equal."""
    if recipe.class_weight == "none":
        return Objective(stage.label_smoothing)
    labels = dataset.labels()[dataset.subset("train")]
    counts = np.bincount(labels, minlength=len(dataset.class_names))
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return Objective(stage.label_smoothing, tuple(float(weight) for weight in weights))
