"""Fitting a head, and choosing between several by their validation loss."""

import re
from pathlib import Path

import numpy as np
import pytest

from cnntransfer.data.augment import Augmenter
from cnntransfer.data.dataset import Dataset, Pixels, Sample
from cnntransfer.data.images import InputSpec, Resize
from cnntransfer.data.views import Views
from cnntransfer.progress import Observer
from cnntransfer.recipe import OTHER_HEADS, Augmentation, Head, Recipe, Stage
from cnntransfer.training.features import Features
from cnntransfer.training.heads import HeadData, fit_head

LINEAR, HIDDEN = Head(units=(), dropout=0, l2=0), Head(units=(32,), dropout=0, l2=0)


def data_of(values, labels):
    """Every fifth example validates."""
    names = ("a", "b")
    samples = tuple(
        Sample(Path(f"{i}.png"), names[label], f"{i:064x}", "train" if i % 5 else "val")
        for i, label in enumerate(labels)
    )
    dataset = Dataset(Path(), names, samples)
    views = Views(dataset, Pixels(InputSpec((8, 8), Resize.STRETCH)), Augmenter(Augmentation(), 0))
    training, held_out = (
        Features(values[rows], np.array(rows), np.zeros(len(rows), np.int64))
        for rows in (dataset.subset("train"), dataset.subset("val"))
    )
    return HeadData(views, training, held_out)


@pytest.fixture(scope="module")
def exclusive_or():
    """Two classes that no line parts."""
    values = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    return data_of(values, (values[:, 0] * values[:, 1] > 0).astype(int))


class Notes(Observer):
    def __init__(self):
        self.said = []

    def note(self, message):
        self.said.append(message)


STAGES = (Stage(epochs=30, patience=30, learning_rate=0.01),)


def assert_equal(one, other):
    assert one.weights.keys() == other.weights.keys()
    for name, arrays in one.weights.items():
        for a, b in zip(arrays, other.weights[name], strict=True):
            assert np.array_equal(a, b), name


@pytest.fixture
def two_heads(monkeypatch):
    monkeypatch.setattr("cnntransfer.training.heads.OTHER_HEADS", (LINEAR, HIDDEN))


def test_the_head_that_validates_best_is_taken(exclusive_or, two_heads):
    notes = Notes()
    recipe = Recipe(head=LINEAR, choose_head=True)
    fitted = fit_head(recipe, STAGES, exclusive_or, notes)
    assert fitted.head == HIDDEN
    (note,) = notes.said
    assert note.startswith(
        f"Head: 32 units, dropout 0, L2 0 (validation loss {fitted.val_loss:.3f}"
    )
    # The recipe's own head is among the others, and is fitted once.
    assert re.search(r"; the others \d\.\d+\)\.$", note)


def test_a_choice_is_the_same_as_asking_for_it(exclusive_or, two_heads):
    chosen = fit_head(Recipe(head=LINEAR, choose_head=True), STAGES, exclusive_or)
    asked = fit_head(Recipe(head=HIDDEN, choose_head=False), STAGES, exclusive_or)
    assert chosen.model.layers == asked.model.layers
    assert_equal(chosen.model, asked.model)
    figures = [
        [{key: row[key] for key in row if key != "seconds"} for row in fitted.history]
        for fitted in (chosen, asked)
    ]
    assert figures[0] == figures[1]


def test_another_seed_begins_elsewhere(exclusive_or):
    one, other = (
        fit_head(Recipe(seed=seed, choose_head=False), (), exclusive_or) for seed in (0, 1)
    )
    assert one.history == []
    kernels = [fitted.model.weights["probabilities"][0] for fitted in (one, other)]
    assert not np.array_equal(*kernels)


def test_a_stage_begins_with_what_the_one_before_gave_and_its_loss_is_that_of_the_last(
    exclusive_or,
):
    recipe = Recipe(head=HIDDEN, choose_head=False)
    stages = (*STAGES, Stage(name="more", epochs=2, learning_rate=1e-8))
    first, both = (fit_head(recipe, stages[:n], exclusive_or) for n in (1, 2))
    rows = [row["val_loss"] for row in both.history if row["stage"] == "more"]
    assert len(rows) == 2
    assert both.val_loss == min(rows) == pytest.approx(first.val_loss, rel=1e-4)
    values = exclusive_or.held_out.values
    np.testing.assert_allclose(both.model(values), first.model(values), atol=1e-4)


def test_features_are_standardised_by_the_training_images_themselves(exclusive_or):
    """Not by augmented views, of which there may be any number, nor by held-out images."""
    training = exclusive_or.training
    count = len(training.samples)
    views = np.concatenate([np.zeros(count, np.int64), np.ones(count, np.int64)])
    values = np.concatenate([training.values, training.values + 100])
    augmented = Features(values, np.tile(training.samples, 2), views)
    data = HeadData(exclusive_or.views, augmented, exclusive_or.held_out)
    fitted = fit_head(Recipe(choose_head=False), (), data)
    mean, _ = fitted.model.weights["standardise"]
    np.testing.assert_allclose(mean, training.values.mean(axis=0), atol=1e-6)


def test_examples_are_a_subset_s_images_in_all_their_views(exclusive_or):
    """Held-out features hold the test images, too."""
    samples = np.array([7, 5, 6, 5, 0])
    features = Features(np.zeros((5, 2), np.float32), samples, np.array([0, 0, 1, 1, 0]))
    labels = exclusive_or.views.dataset.labels()
    for subset, rows in (("train", [0, 2]), ("val", [1, 3, 4]), ("test", [])):
        examples = exclusive_or.examples(features, subset)
        assert examples.values is features.values
        assert examples.rows.tolist() == rows
        assert examples.labels.tolist() == labels[samples[rows]].tolist()


def test_the_heads_that_are_tried_differ_from_the_default():
    assert len({Head(), *OTHER_HEADS}) == 1 + len(OTHER_HEADS)
