"""What fitting keeps of itself, to go on after an interruption: nothing, unless told where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..recipe import Stage
from .learner import Holder

Rows = list[Mapping[str, Any]]


@dataclass
class FitState:
    """How far the fitting of a model is, beside its variables and the optimizer's.

    Attributes:
        start_loss: The validation loss before the first epoch.
        best_loss: The lowest so far.
        best_epoch: Its epoch; 0 is before the first.
        best_weights: The model's weights then.
        history: One row per finished epoch.
    """

    start_loss: float
    best_loss: float
    best_epoch: int
    best_weights: list[Any]
    history: Rows


class StageCheckpoint:
    """What is kept of a stage. This one keeps nothing."""

    @property
    def model_name(self) -> str:
        """The model whose fitting was begun; empty if none was."""
        return ""

    def restore(self, holder: Holder) -> FitState | None:
        """Put what is fitted where it was; ``None`` if nothing was begun.

        Raises:
            OutputError: it was another model that was begun.
        """
        return None

    def save(self, holder: Holder, state: FitState) -> None:
        """Keep what the last epoch gave, unless that was done a moment ago."""

    def once(self, holder: Holder, work: Callable[[], Rows]) -> Rows:
        """Do a stage's work on a model, or take what it gave before.

        Args:
            holder: Of what the work changes.
            work: Gives the stage's history.
        """
        return work()


#: For fitting that need not go on.
NOTHING_KEPT = StageCheckpoint()


class Checkpoint:
    """What is kept of a run while it trains. This one keeps nothing."""

    def settle_stage(self, stage: Stage, rates: Rows) -> None:
        """Take a stage's settings as they are now, so that they are not settled once more.

        Args:
            stage: See there.
            rates: The range test that its learning rate comes from.
        """

    def stage(self, stage: Stage) -> StageCheckpoint:
        """The part for a stage of the recipe."""
        return NOTHING_KEPT


#: For training that need not go on.
NO_CHECKPOINT = Checkpoint()
