"""What fitting asks of that which is fitted, be it a head in NumPy or a network in Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from ..models.head import HeadModel

#: By name of a group, arrays in a fixed order.
Arrays = Mapping[str, Sequence[NDArray[Any]]]

#: The group of a model's weights and statistics.
MODEL = "model"


class Holder(Protocol):
    """Something that holds numbers, which can be kept and put back."""

    @property
    def name(self) -> str:
        """Tells it from others that the same stage might have fitted."""

    def arrays(self) -> Arrays:
        """All its numbers: those of the model, and what its optimizer remembers."""

    def put(self, arrays: Arrays) -> bool:
        """Take back some groups of numbers; ``False`` if they have other shapes."""


class Learner(Holder, Protocol):
    """A model with all it learns from."""

    @property
    def learning_rate(self) -> float:
        """Of the next step."""

    @property
    def l2(self) -> float:
        """The strength of the L2 penalty on the head's kernels in the last epoch."""

    def train_epoch(self, epoch: int) -> tuple[float, float]:
        """Go once through the training examples.

        Args:
            epoch: From 0; decides the order.

        Returns:
            Mean loss in nats, penalties included, and accuracy, both while training.
        """

    def validate(self) -> tuple[float, float]:
        """Mean loss in nats, without penalties, and accuracy on the validation examples."""

    def get_weights(self) -> list[NDArray[Any]]:
        """Copies of the model's weights and statistics."""

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Put back what :meth:`get_weights` gave."""


class HeadLearner(Learner, Protocol):
    """A head with all it learns from."""

    def model(self) -> HeadModel:
        """The head as it is now."""

    def take(self, head: HeadModel) -> None:
        """Go on from the numbers of a head of the same layers."""


def same_shapes(held: Arrays, given: Arrays) -> bool:
    """Whether the groups that are given have the shapes of those that are held."""
    return all(
        [array.shape for array in held[group]] == [array.shape for array in arrays]
        for group, arrays in given.items()
    )
