"""Fitting one model in one stage: epochs, early stopping, the best weights, the history."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from ..errors import TrainingError
from ..frameworks import keras, tensorflow
from ..progress import SILENT, Observer
from ..recipe import Stage
from .checkpoint import NOTHING_KEPT, FitState, StageCheckpoint
from .objective import Objective
from .sources import Source, Step

_CROSS_ENTROPY = Objective()

#: The columns of a history row. Losses are the mean of the objective in nats; that of training
#: includes the L2 penalty.
HISTORY_COLUMNS = (
    "stage",
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
)


def fit(
    model: Any,
    stage: Stage,
    training: Source,
    validation: Source,
    observer: Observer = SILENT,
    checkpoint: StageCheckpoint = NOTHING_KEPT,
    objective: Objective = _CROSS_ENTROPY,
) -> list[Mapping[str, Any]]:
    """Fit a model with Adam until the validation loss stops falling.

    The model ends with the weights of the epoch with the lowest validation loss, or with those
    it began with when no epoch lowered it.

    Args:
        model: Keras model that ends in probabilities; its ``trainable`` flags are respected.
        stage: Learning rate, most epochs, patience.
        training: What to learn from.
        validation: What to stop by.
        observer: Hears of every epoch.
        checkpoint: Where fitting goes on, and where it could.
        objective: What is lowered.

    Returns:
        One mapping of :data:`HISTORY_COLUMNS` per epoch.

    Raises:
        TrainingError: the loss became infinite or no number.
        OutputError: the checkpoint is another model's.
    """
    optimizer = keras().optimizers.Adam(_learning_rate(stage, training.steps))
    optimizer.build(model.trainable_variables)
    train_epoch = training.compile(_training_step(model, optimizer, objective))
    validate = validation.compile(_validation_step(model, objective))

    state = checkpoint.restore(model, optimizer)
    if state is None:
        start_loss, _ = validate(0)
        state = FitState(start_loss, start_loss, 0, model.get_weights(), [])
    history = state.history
    with observer.task(f"Training {stage.name}", total=stage.epochs, unit="epochs") as advance:
        advance(len(history))
        for epoch in range(len(history), stage.epochs):
            started = time.perf_counter()
            learning_rate = float(optimizer.learning_rate)
            loss, accuracy = train_epoch(epoch)
            val_loss, val_accuracy = validate(0)
            figures = (stage.name, epoch + 1, loss, accuracy, val_loss, val_accuracy)
            seconds = round(time.perf_counter() - started, 4)
            row = dict(zip(HISTORY_COLUMNS, (*figures, learning_rate, seconds), strict=True))
            history.append(row)
            observer.epoch(row)
            advance(1)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"Stage {stage.name!r}: expected a finite loss. Received: {loss} in epoch "
                    f"{epoch + 1}. Lower its learning rate ({stage.learning_rate:g})."
                )
            if val_loss < state.best_loss:
                state.best_loss, state.best_epoch = val_loss, epoch + 1
                state.best_weights = model.get_weights()
            elif epoch + 1 - state.best_epoch >= stage.patience:
                break
            checkpoint.save(model, optimizer, state)
    model.set_weights(state.best_weights)
    if state.best_epoch == 0:
        observer.note(
            f"Stage {stage.name!r} did not lower the validation loss ({state.start_loss:.4f}); "
            "its changes were undone."
        )
    return history


def _learning_rate(stage: Stage, steps: int) -> Any:
    """A number, or a schedule over all steps of the stage (Loshchilov 2016, arXiv:1608.03983)."""
    if stage.schedule == "constant":
        return float(stage.learning_rate)
    return keras().optimizers.schedules.CosineDecay(
        float(stage.learning_rate), decay_steps=stage.epochs * steps
    )


def _training_step(model: Any, optimizer: Any, objective: Objective) -> Step:
    tf = tensorflow()
    variables = [variable.value for variable in model.trainable_variables]

    def step(inputs: Any, labels: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            probabilities = model(inputs, training=True)
            loss = tf.reduce_mean(objective.of_training(labels, probabilities))
            if model.losses:
                loss += tf.add_n(model.losses)
        optimizer.apply(tape.gradient(loss, variables), model.trainable_variables)
        size = tf.cast(tf.size(labels), tf.float32)
        return loss * size, _right(probabilities, labels)

    return step


def _validation_step(model: Any, objective: Objective) -> Step:
    tf = tensorflow()

    def step(inputs: Any, labels: Any) -> tuple[Any, Any]:
        probabilities = model(inputs, training=False)
        losses = objective.of_validation(labels, probabilities)
        return tf.reduce_sum(losses), _right(probabilities, labels)

    return step


def _right(probabilities: Any, labels: Any) -> Any:
    tf = tensorflow()
    hits = tf.equal(tf.argmax(probabilities, axis=-1), labels)
    return tf.reduce_sum(tf.cast(hits, tf.float32))
