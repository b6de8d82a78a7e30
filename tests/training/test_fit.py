"""Fitting: the history, when it stops, which weights remain."""

import math

import numpy as np
import pytest

from cnntransfer.errors import TrainingError
from cnntransfer.frameworks import keras, tensorflow
from cnntransfer.progress import Observer
from cnntransfer.recipe import Stage
from cnntransfer.training.fit import HISTORY_COLUMNS, fit


class Model:
    """One number as its weights."""

    trainable_variables = ()

    def __init__(self):
        self.weight = 0

    def get_weights(self):
        return [self.weight]

    def set_weights(self, weights):
        (self.weight,) = weights


class Epochs:
    """A training source: epoch n sets the weight to n + 1."""

    def __init__(self, model, losses=()):
        self.model, self.losses = model, losses

    steps = 1

    def __len__(self):
        return 1

    def compile(self, step):
        def run(epoch):
            self.model.weight = epoch + 1
            return (self.losses[epoch] if self.losses else 1.0), 0.5

        return run


class Validation:
    """A validation source with given losses: before training, then after each epoch."""

    def __init__(self, losses):
        self.losses = iter(losses)

    def __len__(self):
        return 1

    def compile(self, step):
        return lambda epoch: (next(self.losses), 0.25)


class Listener(Observer):
    def __init__(self):
        self.notes, self.rows = [], []

    def note(self, message):
        self.notes.append(message)

    def epoch(self, row):
        self.rows.append(row)


def scripted(val_losses, losses=(), **stage):
    model, listener = Model(), Listener()
    history = fit(model, Stage(**stage), Epochs(model, losses), Validation(val_losses), listener)
    return model.weight, history, listener


def test_history_has_its_columns_and_the_observer_hears_of_every_row():
    _, history, listener = scripted([3, 2, 1], epochs=2, learning_rate=0.5, name="mine")
    assert [tuple(row) for row in history] == [HISTORY_COLUMNS] * 2
    assert listener.rows == history
    row = dict(history[1])
    assert row.pop("seconds") >= 0
    assert row == {
        "stage": "mine",
        "epoch": 2,
        "loss": 1.0,
        "accuracy": 0.5,
        "val_loss": 1,
        "val_accuracy": 0.25,
        "learning_rate": 0.5,
    }


@pytest.mark.parametrize(
    ("val_losses", "patience", "epochs", "best"),
    [
        # Falls to the end.
        ([5, 4, 3, 2], 2, 3, 3),
        # Two epochs without a lower loss.
        ([5, 4, 3, 3, 6, 0], 2, 4, 2),
        # An epoch without one is forgiven.
        ([5, 4, 4, 2, 3, 3], 2, 5, 3),
        ([5, 6, 4, 5, 5], 2, 4, 2),
        # Equal is not lower.
        ([5, 4, 4, 4], 2, 3, 1),
    ],
)
def test_it_stops_in_time_and_keeps_the_best_weights(val_losses, patience, epochs, best):
    weight, history, listener = scripted(val_losses, epochs=len(val_losses) - 1, patience=patience)
    assert len(history) == epochs
    assert weight == best
    assert listener.notes == []


@pytest.mark.parametrize("val_losses", [[5, 5, 6], [5, 6, 7], [5, math.nan, math.nan]])
def test_a_stage_that_does_not_help_is_undone_and_says_so(val_losses):
    weight, history, listener = scripted(val_losses, epochs=2, name="finetune")
    assert weight == 0
    assert len(history) == 2
    assert listener.notes == [
        "Stage 'finetune' did not lower the validation loss (5.0000); its changes were undone."
    ]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_it(loss):
    with pytest.raises(TrainingError) as caught:
        scripted([5, 4, 3], losses=[1.0, loss], epochs=5, learning_rate=3.0)
    assert str(caught.value) == (
        f"Stage 'head': expected a finite loss. Received: {loss} in epoch 2. "
        "Lower its learning rate (3)."
    )


# ---- A real model


class Arrays:
    """All examples in one batch."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    steps = 1

    def __len__(self):
        return len(self.y)

    def compile(self, step):
        tf = tensorflow()
        run = tf.function(lambda: step(tf.constant(self.x), tf.constant(self.y)))
        return lambda epoch: tuple(float(figure) / len(self) for figure in run())


def problem(l2=0.0):
    k = keras()
    k.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 60)
    x = (np.eye(3)[y] * 2 + random.normal(0, 0.3, (60, 3))).astype(np.float32)
    regularizer = k.regularizers.L2(l2) if l2 else None
    dense = k.layers.Dense(3, activation="softmax", kernel_regularizer=regularizer)
    return k.Sequential([k.Input((3,)), dense]), x, y


def test_a_model_learns_and_the_last_figures_are_those_of_its_weights():
    model, x, y = problem()
    history = fit(model, Stage(epochs=60, learning_rate=0.1), Arrays(x, y), Arrays(x, y))
    assert history[-1]["val_accuracy"] >= 0.98
    assert history[-1]["val_loss"] < 0.3 * history[0]["val_loss"]
    right = model.predict_on_batch(x)[np.arange(60), y]
    best = min(row["val_loss"] for row in history)
    assert -np.log(right).mean() == pytest.approx(best, rel=1e-4)


def test_the_penalty_is_part_of_the_training_loss_only():
    model, x, y = problem(l2=0.5)
    stage = Stage(epochs=1, learning_rate=1e-8)
    row = fit(model, stage, Arrays(x, y), Arrays(x, y))[0]
    penalty = 0.5 * float((model.layers[0].kernel.numpy() ** 2).sum())
    assert row["loss"] - row["val_loss"] == pytest.approx(penalty, rel=1e-3)


def test_frozen_weights_stay():
    model, x, y = problem()
    model.layers[0].trainable = False
    frozen = model.get_weights()
    extra = keras().layers.Dense(3, activation="softmax")
    both = keras().Sequential([keras().Input((3,)), model, extra])
    fit(both, Stage(epochs=3, learning_rate=0.1), Arrays(x, y), Arrays(x, y))
    for before, after in zip(frozen, model.get_weights(), strict=True):
        assert np.array_equal(before, after)


def test_features_that_are_no_numbers_end_it():
    model, x, y = problem()
    x[3, 1] = np.nan
    with pytest.raises(TrainingError, match="Received: nan in epoch 1"):
        fit(model, Stage(epochs=3), Arrays(x, y), Arrays(x, y))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [0.1, 0.1, 0.1, 0.1]), ("cosine", [0.1, 0.085355, 0.05, 0.014645])],
)
def test_learning_rate_follows_the_schedule(schedule, expected):
    keras_module = keras()
    model = keras_module.Sequential(
        [keras_module.Input((2,)), keras_module.layers.Dense(2, activation="softmax")]
    )
    x = np.eye(2, dtype=np.float32)
    data = Arrays(x, np.array([0, 1]))
    stage = Stage(learning_rate=0.1, schedule=schedule, epochs=4, patience=4)
    rates = [row["learning_rate"] for row in fit(model, stage, data, data)]
    assert rates == pytest.approx(expected, abs=1e-5)
