"""Fitting a head, or several that are joined into one."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cnntransfer.data.augment import Augmenter
from cnntransfer.data.dataset import Dataset, Pixels, Sample
from cnntransfer.data.fitting import InputSpec, Resize
from cnntransfer.data.views import Views
from cnntransfer.progress import Observer
from cnntransfer.recipe import Augmentation, Head, Recipe, Stage
from cnntransfer.training import heads as heads_module
from cnntransfer.training.checkpoint_folder import CheckpointFolder
from cnntransfer.training.features import Features
from cnntransfer.training.heads import HeadData, fit_head
from cnntransfer.training.precision import Choice

HIDDEN = Head(units=(32,), dropout=0, l2=0)


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
    return HeadData(views, training, held_out, (2,))


@pytest.fixture(scope="module")
def exclusive_or():
    """Two classes that no line parts."""
    values = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    return data_of(values, (values[:, 0] * values[:, 1] > 0).astype(int))


STAGES = (Stage(epochs=30, patience=30, learning_rate=0.01),)


def assert_equal(one, other):
    assert one.weights.keys() == other.weights.keys()
    for name, arrays in one.weights.items():
        for a, b in zip(arrays, other.weights[name], strict=True):
            assert np.array_equal(a, b), name


DEEP = Head(units=(6, 5), dropout=0.2, batch_normalization=True, ensemble=3)


@pytest.mark.parametrize(
    "head",
    [dataclasses.replace(HIDDEN, ensemble=3), DEEP],
    ids=["hidden", "deep"],
)
def test_an_ensemble_is_one_head_whose_logits_are_the_mean_of_its_members(exclusive_or, head):
    recipe = Recipe(head=head)
    values = exclusive_or.held_out.values
    members = [
        fit_head(member, STAGES, exclusive_or).model for member in heads_module._members(recipe)
    ]
    assert len({member(values).tobytes() for member in members}) == head.ensemble
    whole = fit_head(recipe, STAGES, exclusive_or)
    mean = sum(np.log(member(values)) for member in members) / head.ensemble
    expected = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(whole.model(values), expected, rtol=1e-4, atol=1e-6)
    stages = dict.fromkeys(row["stage"] for row in whole.history)
    assert list(stages) == ["head", "head-2", "head-3"][: head.ensemble]


def test_an_ensemble_of_one_is_the_head_alone(exclusive_or):
    (member,) = heads_module._members(Recipe(head=HIDDEN, seed=5))
    assert member == Recipe(head=HIDDEN, seed=5)


def test_an_ensemble_that_learns_nothing_has_the_shapes_of_its_layers(exclusive_or):
    fitted = fit_head(Recipe(head=DEEP), (), exclusive_or)
    assert fitted.history == []
    widths = [len(arrays[-1]) for name, arrays in fitted.model.weights.items() if "_" not in name]
    assert widths == [2, 18, 15, 2]


def test_another_seed_begins_elsewhere(exclusive_or):
    one, other = (fit_head(Recipe(seed=seed), (), exclusive_or) for seed in (0, 1))
    assert one.history == []
    kernels = [fitted.model.weights["probabilities"][0] for fitted in (one, other)]
    assert not np.array_equal(*kernels)


def test_a_stage_begins_with_what_the_one_before_gave_and_its_loss_is_that_of_the_last(
    exclusive_or,
):
    recipe = Recipe(head=HIDDEN)
    stages = (*STAGES, Stage(name="more", epochs=2, learning_rate=1e-8))
    first, both = (fit_head(recipe, stages[:n], exclusive_or) for n in (1, 2))
    rows = [row["val_loss"] for row in both.history if row["stage"] == "more"]
    assert len(rows) == 2
    before = min(row["val_loss"] for row in first.history)
    assert min(rows) == pytest.approx(before, rel=1e-4)
    values = exclusive_or.held_out.values
    np.testing.assert_allclose(both.model(values), first.model(values), atol=1e-4)


def test_features_are_standardised_by_the_training_images_themselves(exclusive_or):
    """Not by augmented views, of which there may be any number, nor by held-out images."""
    training = exclusive_or.training
    count = len(training.samples)
    views = np.concatenate([np.zeros(count, np.int64), np.ones(count, np.int64)])
    values = np.concatenate([training.values, training.values + 100])
    augmented = Features(values, np.tile(training.samples, 2), views)
    data = HeadData(exclusive_or.views, augmented, exclusive_or.held_out, (2,))
    fitted = fit_head(Recipe(), (), data)
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
    assert exclusive_or.examples(features, "train", views=2).rows.tolist() == [0, 2]
    assert exclusive_or.examples(features, "train", views=1).rows.tolist() == [0]


def test_a_stage_learns_from_as_many_views_as_it_says(exclusive_or):
    training = exclusive_or.training
    count = len(training.samples)
    views = np.repeat([0, 1], count)
    values = np.concatenate([training.values, -training.values[::-1]])
    features = Features(values, np.tile(training.samples, 2), views)
    data = HeadData(exclusive_or.views, features, exclusive_or.held_out, (2,))

    def fitted(data, views):
        return fit_head(Recipe(), [Stage(views=views, epochs=3)], data).model(values)

    plain = fitted(exclusive_or, 1)
    np.testing.assert_array_equal(fitted(data, 1), plain)
    assert np.abs(fitted(data, 2) - plain).max() > 0.01


def test_a_bootstrap_sample_has_whole_images_as_often_as_they_were_drawn(exclusive_or):
    """Each image has two views, which go together."""
    training = exclusive_or.training
    images = len(training.samples)
    doubled = Features(
        np.repeat(training.values, 2, axis=0),
        np.repeat(training.samples, 2),
        np.tile([0, 1], images),
    )
    examples = exclusive_or.examples(doubled, "train")
    drawn = examples.resampled(doubled.samples, 3)
    times = np.bincount(drawn.rows, minlength=len(doubled.samples)).reshape(-1, 2)
    assert (times[:, 0] == times[:, 1]).all()
    assert times[:, 0].sum() == images
    assert 0.3 < np.mean(times[:, 0] == 0) < 0.44  # 1/e of them are not drawn.
    labels = exclusive_or.views.dataset.labels()
    assert (drawn.labels == labels[doubled.samples[drawn.rows]]).all()
    again, other = (examples.resampled(doubled.samples, seed).rows for seed in (3, 4))
    assert np.array_equal(drawn.rows, again)
    assert not np.array_equal(drawn.rows, other)


def test_with_bagging_every_head_learns_from_a_sample_of_its_own(exclusive_or, monkeypatch):
    learned = []

    class Watched(heads_module.Perceptron):
        def __init__(self, layers, weights, stage, training, *others):
            learned.append(training.rows)
            super().__init__(layers, weights, stage, training, *others)

    monkeypatch.setattr(heads_module, "Perceptron", Watched)
    head = dataclasses.replace(HIDDEN, ensemble=3)
    stages = (Stage(epochs=1, learning_rate=0.01),)
    fit_head(Recipe(head=dataclasses.replace(head, bagging=True)), stages, exclusive_or)
    samples = {rows.tobytes() for rows in learned}
    assert len(samples) >= 3
    assert all(len(np.unique(rows)) < len(rows) for rows in learned)
    learned.clear()
    fit_head(Recipe(head=head), stages, exclusive_or)
    assert all(len(np.unique(rows)) == len(rows) for rows in learned)


# ---- Features from how many depths


def deep_data(count, told_by):
    """Two classes that the features of one of three depths, two numbers each, tell apart."""
    random = np.random.default_rng(1)
    labels = np.arange(count) // 5 % 2
    values = random.normal(size=(count, 6)).astype(np.float32)
    values[:, 2 * told_by] += 3 * (2 * labels - 1)
    return dataclasses.replace(data_of(values, labels), widths=(2, 2, 2))


class Listener(Observer):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.mark.parametrize("told_by", [0, 1, 2])
def test_no_deeper_than_what_validates_best(told_by):
    data, listener = deep_data(100, told_by), Listener()
    fitted = fit_head(Recipe(), STAGES, data, listener)
    kernel, _ = fitted.model.weights["probabilities"]
    used = [bool(np.any(kernel[rows])) for rows in (slice(0, 2), slice(2, 4), slice(4, 6))]
    assert used[told_by]
    assert used == sorted(used, reverse=True)
    names = dict.fromkeys(row["stage"] for row in fitted.history)
    assert list(names) == ["head of 1 block", "head of 2 blocks", "head of 3 blocks"]
    losses = {
        name: min(row["val_loss"] for row in fitted.history if row["stage"] == name)
        for name in names
    }
    depth = sum(used)
    assert losses[list(names)[depth - 1]] == min(losses.values())
    assert fitted.learner.validate()[0] == pytest.approx(min(losses.values()), rel=1e-5)
    compared = ", ".join(f"{n}: {loss:.4f}" for n, loss in enumerate(losses.values(), 1))
    blocks = "block" if depth == 1 else f"{depth} blocks"
    assert listener.notes == [
        f"Features of the top {blocks} validate best (loss by number of blocks: {compared})."
    ]


@pytest.mark.parametrize(
    ("count", "settings"),
    [
        (5 * heads_module._TELLING, {}),
        (100, {"feature_blocks": 3}),
        (100, {"head": HIDDEN}),
    ],
    ids=["many validation images", "a number", "hidden layers"],
)
def test_or_from_all_depths(count, settings):
    fitted = fit_head(Recipe(**settings), STAGES, deep_data(count, 0))
    assert {row["stage"] for row in fitted.history} == {"head"}
    kernels = [arrays[0] for name, arrays in fitted.model.weights.items() if name != "standardise"]
    assert all(np.any(kernels[0][row]) for row in range(6))


def test_the_choice_is_made_once(tmp_path):
    """What was kept of it needs neither features nor a solver."""
    recipe, data = Recipe(stages=STAGES), deep_data(100, 1)
    folder = CheckpointFolder(tmp_path / "run")
    folder.begin(recipe, Choice("float32"))
    fitted = fit_head(recipe, STAGES, data, checkpoint=folder)
    again = CheckpointFolder.open(tmp_path / "run")
    listener = Listener()
    same = fit_head(recipe, STAGES, data, listener, again)
    assert listener.notes == []
    assert same.history == fitted.history
    assert_equal(same.model, fitted.model)
    assert same.model.layers == fitted.model.layers
