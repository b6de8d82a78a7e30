"""Fitting: the history, when it stops, which weights remain."""

import math
from pathlib import Path

import numpy as np
import pytest

from cnntransfer.data.dataset import Dataset, Sample
from cnntransfer.errors import TrainingError
from cnntransfer.frameworks import keras
from cnntransfer.models.head import head_layers, initial_weights
from cnntransfer.progress import Observer
from cnntransfer.recipe import Head, Stage
from cnntransfer.training.examples import Examples
from cnntransfer.training.fit import HISTORY_COLUMNS, fit
from cnntransfer.training.network import Network
from cnntransfer.training.objective import Objective
from cnntransfer.training.perceptron import Perceptron
from cnntransfer.training.sources import Feed, StreamSource


class Scripted:
    """A learner with one number as its weights: epoch n sets it to n + 1.

    Args:
        learning_rate: Of every epoch.
        val_losses: Before training, then after each epoch.
        losses: Of each epoch.
    """

    name = "scripted"
    l2 = 0.25

    def __init__(self, learning_rate, val_losses, losses=()):
        self.learning_rate = learning_rate
        self.weight = 0
        self._val_losses, self._losses = iter(val_losses), losses

    def train_epoch(self, epoch):
        self.weight = epoch + 1
        return (self._losses[epoch] if self._losses else 1.0), 0.5

    def validate(self):
        return next(self._val_losses), 0.25

    def get_weights(self):
        return [self.weight]

    def set_weights(self, weights):
        (self.weight,) = weights


class Listener(Observer):
    def __init__(self):
        self.notes, self.rows = [], []

    def note(self, message):
        self.notes.append(message)

    def epoch(self, row):
        self.rows.append(row)


def scripted(val_losses, losses=(), **settings):
    stage, listener = Stage(**settings), Listener()
    learner = Scripted(stage.learning_rate, val_losses, losses)
    history = fit(learner, stage, listener)
    return learner.weight, history, listener


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
        "l2": 0.25,
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


# ---- Real learners

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, 60)
FEATURES = (np.eye(3)[LABELS] * 2 + RANDOM.normal(0, 0.3, (60, 3))).astype(np.float32)
DATASET = Dataset(
    Path(),
    ("a", "b", "c"),
    tuple(Sample(Path(str(i)), "abc"[k], f"{i:064x}", "train") for i, k in enumerate(LABELS)),
)


def perceptron(stage, l2=0.0, x=FEATURES):
    """A learner without hidden layers, all examples in one batch; and how it computes."""
    layers = head_layers(Head(units=(), dropout=0, l2=l2), 3)
    examples = Examples(x, np.arange(60), LABELS)
    weights = initial_weights(layers, FEATURES)
    learner = Perceptron(layers, weights, stage, examples, examples, 60, 0, Objective())
    return learner, lambda: learner.model()(x)


def network(stage, l2=0.0, x=FEATURES):
    """The same in Keras, without the standardisation."""
    k = keras()
    k.utils.set_random_seed(0)
    regularizer = k.regularizers.L2(l2) if l2 else None
    dense = k.layers.Dense(3, activation="softmax", kernel_regularizer=regularizer)
    model = k.Sequential([k.Input((3,)), dense])
    feed = Feed(lambda request: x[request[0]], (3,), x.dtype, None)
    source = StreamSource(feed, DATASET, "train", 60, None)
    return Network(model, stage, source, source, Objective()), lambda: model.predict_on_batch(x)


both = pytest.mark.parametrize("make", [perceptron, network])


@pytest.fixture
def _plain_loss(monkeypatch):
    """A network's validation loss at no other temperature: as it is."""
    monkeypatch.setattr("cnntransfer.training.network._TEMPERATURES", (1.0,))


@both
@pytest.mark.usefixtures("_plain_loss")
def test_a_model_learns_and_the_last_figures_are_those_of_its_weights(make):
    stage = Stage(epochs=60, learning_rate=0.1)
    learner, probabilities = make(stage)
    history = fit(learner, stage)
    assert history[-1]["val_accuracy"] >= 0.98
    assert history[-1]["val_loss"] < 0.3 * history[0]["val_loss"]
    right = probabilities()[np.arange(60), LABELS]
    best = min(row["val_loss"] for row in history)
    assert -np.log(right).mean() == pytest.approx(best, rel=1e-4)


@both
@pytest.mark.usefixtures("_plain_loss")
def test_the_penalty_is_part_of_the_training_loss_only(make):
    stage = Stage(epochs=1, learning_rate=1e-8)
    learner, _ = make(stage, l2=0.5)
    kernel, _ = learner.get_weights()
    (row,) = fit(learner, stage)
    penalty = 0.5 * float((kernel**2).sum())
    assert row["loss"] - row["val_loss"] == pytest.approx(penalty, rel=1e-3)


@both
def test_features_that_are_no_numbers_end_it(make):
    x = FEATURES.copy()
    x[3, 1] = np.nan
    stage = Stage(epochs=3)
    learner, _ = make(stage, x=x)
    with pytest.raises(TrainingError, match="Received: nan in epoch 1"):
        fit(learner, stage)


@both
@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [0.1, 0.1, 0.1, 0.1]), ("cosine", [0.1, 0.085355, 0.05, 0.014645])],
)
def test_learning_rate_follows_the_schedule(make, schedule, expected):
    stage = Stage(learning_rate=0.1, schedule=schedule, epochs=4, patience=4)
    learner, _ = make(stage)
    rates = [row["learning_rate"] for row in fit(learner, stage)]
    assert rates == pytest.approx(expected, abs=1e-5)
