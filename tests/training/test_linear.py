"""Heads without hidden layers, solved along a path of penalties."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cnntransfer.models.head import HeadModel, head_layers, initial_weights
from cnntransfer.recipe import HEAD_STAGE, Head
from cnntransfer.training import linear as module
from cnntransfer.training.examples import Examples
from cnntransfer.training.fit import fit
from cnntransfer.training.linear import LinearHead, as_path, penalties
from cnntransfer.training.objective import Objective

RANDOM = np.random.default_rng(0)
CENTRES = RANDOM.normal(0, 1, (3, 8))
LABELS = np.arange(240, dtype=np.int64) % 3
FEATURES = (CENTRES[LABELS] + RANDOM.normal(0, 1.5, (240, 8)) + 3).astype(np.float32)
TRAINING = Examples(FEATURES, np.arange(160), LABELS[:160])
VALIDATION = Examples(FEATURES, np.arange(160, 240), LABELS[160:])
LAYERS = head_layers(Head(), 3)


def linear(strengths, objective=None, training=TRAINING, features=None):
    weights, aim = initial_weights(LAYERS, FEATURES[:160]), objective or Objective()
    return LinearHead(LAYERS, weights, strengths, training, VALIDATION, aim, features)


def probabilities_of_scikit_learn(l2, **options):
    weights = initial_weights(LAYERS, FEATURES[:160])
    standardised = HeadModel(LAYERS[:1], weights)(FEATURES)
    # Its penalty is |w|^2 / 2 beside C times the sum, ours l2 |w|^2 beside the mean of losses.
    model = LogisticRegression(C=1 / (2 * l2 * 160), tol=1e-8, max_iter=10_000, **options)
    return model.fit(standardised[:160], LABELS[:160]).predict_proba(standardised)


@pytest.mark.parametrize("l2", [1.0, 0.05, 0.002])
@pytest.mark.parametrize(("gradient", "atol"), [(1e-6, 1e-3), (module._GRADIENT, 0.01)])
def test_the_solution_is_that_of_scikit_learn(l2, gradient, atol, monkeypatch):
    monkeypatch.setattr(module, "_GRADIENT", gradient)
    learner = linear([l2])
    learner.train_epoch(0)
    expected = probabilities_of_scikit_learn(l2)
    np.testing.assert_allclose(learner.model()(FEATURES), expected, atol=atol)


def test_class_weights_are_those_of_scikit_learn():
    weights = (0.5, 0.5, 2.0)
    learner = linear([0.05], Objective(class_weights=weights))
    learner.train_epoch(0)
    expected = probabilities_of_scikit_learn(0.05, class_weight=dict(enumerate(weights)))
    np.testing.assert_allclose(learner.model()(FEATURES), expected, atol=2e-3)


def test_the_beginning_makes_no_difference():
    one, other = linear([0.05]), linear([0.05])
    other.set_weights([array + 0.5 for array in other.get_weights()])
    one.train_epoch(0)
    other.train_epoch(0)
    np.testing.assert_allclose(one.model()(FEATURES), other.model()(FEATURES), atol=2e-3)


def test_features_that_are_not_used_might_as_well_not_be_there():
    some = linear([0.05], features=5)
    loss = some.train_epoch(0)
    head = some.model()
    kernel, bias = head.weights["probabilities"]
    assert np.any(kernel[4])
    assert not np.any(kernel[5:])
    weights = initial_weights(LAYERS, FEATURES[:160, :5])
    training, validation = (
        dataclasses.replace(examples, values=FEATURES[:, :5]) for examples in (TRAINING, VALIDATION)
    )
    alone = LinearHead(LAYERS, weights, [0.05], training, validation, Objective())
    # Standardised alike: a variance's floor is the mean over all features there are.
    alone._scale, alone._shift = some._scale[:5], some._shift[:5]
    assert alone.train_epoch(0) == pytest.approx(loss, rel=1e-5)
    assert alone.validate() == pytest.approx(some.validate(), rel=1e-3)
    np.testing.assert_allclose(alone.model().weights["probabilities"][0], kernel[:5], atol=1e-3)
    np.testing.assert_allclose(alone.model().weights["probabilities"][1], bias, atol=1e-3)


def test_smoothed_labels_make_it_less_certain():
    sharp, smooth = linear([0.01]), linear([0.01], Objective(label_smoothing=0.3))
    sharp.train_epoch(0)
    smooth.train_epoch(0)
    assert smooth.model()(FEATURES).max() < sharp.model()(FEATURES).max() - 0.05


def test_reported_figures_are_those_of_the_solution():
    learner = linear([0.05])
    loss, accuracy = learner.train_epoch(0)
    probabilities = learner.model()(FEATURES[:160])
    right = probabilities[np.arange(160), LABELS[:160]]
    kernel = learner.model().weights["probabilities"][0]
    assert loss == pytest.approx(-np.log(right).mean() + 0.05 * np.square(kernel).sum(), rel=1e-4)
    assert accuracy == (probabilities.argmax(axis=1) == LABELS[:160]).mean()


def test_the_path_ends_with_the_strength_that_validates_best():
    strengths = penalties(Head())
    learner = linear(strengths)
    history = fit(learner, as_path(HEAD_STAGE, len(strengths)))
    losses = [row["val_loss"] for row in history]
    best = history[int(np.argmin(losses))]
    assert learner.validate()[0] == pytest.approx(min(losses))
    assert learner.l2 == best["l2"] == learner.model().layers[-1].l2
    assert [row["l2"] for row in history] == list(strengths[: len(history)])
    # Weaker ones than the best were tried, but not all.
    assert 2 <= int(np.argmin(losses)) + 1 < len(history) < len(strengths)


def test_a_given_strength_is_the_only_one():
    assert list(penalties(Head(l2=0.25))) == [0.25]


def test_going_on_from_kept_numbers_gives_the_same():
    strengths = penalties(Head())
    whole, first, second = (linear(strengths) for _ in range(3))
    for epoch in range(4):
        whole.train_epoch(epoch)
    for epoch in range(2):
        first.train_epoch(epoch)
    assert second.put({"model": [array.copy() for array in first.arrays()["model"]]})
    for epoch in range(2, 4):
        second.train_epoch(epoch)
    for a, b in zip(whole.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not second.put({"model": [np.zeros((2, 2), np.float32)]})


def test_taking_a_head_and_giving_it_back():
    one, other = linear([0.05]), linear([0.05])
    one.train_epoch(0)
    other.take(one.model())
    assert other.l2 == one.l2
    np.testing.assert_array_equal(other.model()(FEATURES), one.model()(FEATURES))


def test_rows_may_be_any_of_the_features():
    chosen = np.array([5, 3, 8, 100, 7, 2])
    copied = Examples(FEATURES[chosen], np.arange(6), LABELS[chosen])
    one = linear([0.05], training=Examples(FEATURES, chosen, LABELS[chosen]))
    other = linear([0.05], training=copied)
    assert one.train_epoch(0) == other.train_epoch(0)
