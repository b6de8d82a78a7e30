"""What training lowers: the cross-entropy, perhaps smoothed and weighted by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..frameworks import keras, tensorflow
from ..recipe import Recipe


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
        even = self.label_smoothing / classes
        targets = np.full((len(labels), classes), even, np.float32)
        targets[np.arange(len(labels)), labels] += 1 - self.label_smoothing
        return targets

    def weights(self, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """What each example counts, float32 (n,)."""
        if not self.class_weights:
            return np.ones(len(labels), np.float32)
        return np.array(self.class_weights, np.float32)[labels]

    def of_training(self, labels: Any, probabilities: Any) -> Any:
        """Loss of every example.

        Args:
            labels: Tensor of int64, shape (n,).
            probabilities: Tensor of float32, shape (n, classes).
        """
        losses = _cross_entropy(labels, probabilities)
        if self.label_smoothing:
            logarithms = keras().ops.log(probabilities + keras().config.epsilon())
            even = -keras().ops.mean(logarithms, axis=-1)
            losses = (1 - self.label_smoothing) * losses + self.label_smoothing * even
        return self._weighted(labels, losses)

    def of_validation(self, labels: Any, probabilities: Any) -> Any:
        """Loss of every example; arguments as for :meth:`of_training`."""
        return self._weighted(labels, _cross_entropy(labels, probabilities))

    def _weighted(self, labels: Any, losses: Any) -> Any:
        if not self.class_weights:
            return losses
        tf = tensorflow()
        return losses * tf.gather(tf.constant(self.class_weights, tf.float32), labels)


def objective(recipe: Recipe, dataset: Dataset) -> Objective:
    """What a recipe asks for; ``class_weight: balanced`` makes every class count the same."""
    if recipe.class_weight == "none":
        return Objective(recipe.label_smoothing)
    labels = dataset.labels()[dataset.subset("train")]
    counts = np.bincount(labels, minlength=len(dataset.class_names))
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return Objective(recipe.label_smoothing, tuple(float(weight) for weight in weights))


def _cross_entropy(labels: Any, probabilities: Any) -> Any:
    return keras().losses.sparse_categorical_crossentropy(labels, probabilities)
