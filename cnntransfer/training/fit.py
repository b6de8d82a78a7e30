"""Fitting a learner in one stage: epochs, early stopping, the best weights, the history."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from ..errors import TrainingError
from ..progress import SILENT, Observer
from ..recipe import Stage
from .checkpoint import NOTHING_KEPT, FitState, StageCheckpoint
from .learner import Learner

#: The columns of a history row. Losses are the mean of the objective in nats; that of training
#: includes the L2 penalty, that of validation is at the best temperature where layers are unfrozen
#: (:meth:`cnntransfer.training.network.Network.validate`). The learning rate is 0 where a solver
#: chooses its own steps.
HISTORY_COLUMNS = (
    "stage",
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "l2",
    "seconds",
)


def fit(
    learner: Learner,
    stage: Stage,
    observer: Observer = SILENT,
    checkpoint: StageCheckpoint = NOTHING_KEPT,
) -> list[Mapping[str, Any]]:
    """Fit until the validation loss stops falling.

    The learner ends with the weights of the epoch with the lowest validation loss, or with those
    it began with when no epoch lowered it.

    Args:
        learner: What is fitted, with all it learns from.
        stage: Most epochs, patience.
        observer: Hears of every epoch.
        checkpoint: Where fitting goes on, and where it could.

    Returns:
        One mapping of :data:`HISTORY_COLUMNS` per epoch.

    Raises:
        TrainingError: the loss became infinite or no number.
        OutputError: the checkpoint is another model's.
    """
    state = checkpoint.restore(learner)
    if state is None:
        start_loss, _ = learner.validate()
        state = FitState(start_loss, start_loss, 0, learner.get_weights(), [])
    history = state.history
    with observer.task(f"Training {stage.name}", total=stage.epochs, unit="epochs") as advance:
        advance(len(history))
        for epoch in range(len(history), stage.epochs):
            started = time.perf_counter()
            learning_rate = learner.learning_rate
            loss, accuracy = learner.train_epoch(epoch)
            val_loss, val_accuracy = learner.validate()
            figures = (stage.name, epoch + 1, loss, accuracy, val_loss, val_accuracy)
            seconds = round(time.perf_counter() - started, 4)
            row = dict(
                zip(HISTORY_COLUMNS, (*figures, learning_rate, learner.l2, seconds), strict=True)
            )
            history.append(row)
            observer.epoch(row)
            advance(1)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"Stage {stage.name!r}: expected a finite loss. Received: {loss} in epoch "
                    f"{epoch + 1}. Lower its learning rate ({float(stage.learning_rate):g})."
                )
            if val_loss < state.best_loss:
                state.best_loss, state.best_epoch = val_loss, epoch + 1
                state.best_weights = learner.get_weights()
            elif epoch + 1 - state.best_epoch >= stage.patience:
                break
            checkpoint.save(learner, state)
    learner.set_weights(state.best_weights)
    if state.best_epoch == 0:
        observer.note(
            f"Stage {stage.name!r} did not lower the validation loss ({state.start_loss:.4f}); "
            "its changes were undone."
        )
    return history
