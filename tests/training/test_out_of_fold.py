"""What the other images say of each: folds, components, heads that have not seen it."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cnntransfer.models.head import HeadModel, head_layers, initial_weights
from cnntransfer.recipe import Head
from cnntransfer.training import out_of_fold as module
from cnntransfer.training.features import Features
from cnntransfer.training.out_of_fold import deal, judge, reduced

RANDOM = np.random.default_rng(0)
COUNT = 150
LABELS = np.arange(COUNT, dtype=np.int64) % 3
VALUES = (RANDOM.normal(0, 1, (3, 12))[LABELS] * 1.5 + RANDOM.normal(0, 1, (COUNT, 12))).astype(
    np.float32
)
DIGESTS = [f"{number:016x}" for number in RANDOM.permutation(COUNT)]
FOLDS = deal(DIGESTS, LABELS)


def standardising(values):
    layers = head_layers(Head(), 3)
    return HeadModel(layers, initial_weights(layers, values))


# ---- Folds


def test_every_class_is_dealt_evenly():
    counts = np.zeros((5, 3), int)
    np.add.at(counts, (FOLDS, LABELS), 1)
    assert counts.tolist() == [[10, 10, 10]] * 5


def test_small_classes_are_dealt_evenly_together():
    labels = np.arange(10) // 2  # Two images of each of five classes.
    folds = deal([str(number) for number in range(10)], labels)
    assert np.bincount(folds).tolist() == [2] * 5


def test_copies_are_in_one_fold_even_of_two_classes():
    labels = np.repeat(np.arange(2), 20)
    digests = [str(number % 10) for number in range(40)]
    folds = deal(digests, labels)
    assert all(len(set(folds[number::10])) == 1 for number in range(10))
    assert len(set(folds)) == 5


def test_folds_go_with_the_content_in_whatever_order():
    order = RANDOM.permutation(COUNT)
    again = deal([DIGESTS[i] for i in order], LABELS[order])
    np.testing.assert_array_equal(again, FOLDS[order])


# ---- Components


def parts(values):
    """Training images in two views each, and the others."""
    training, others = np.arange(0, COUNT, 2), np.arange(1, COUNT, 2)
    both = np.concatenate([values[training], values[training] + 100])
    views = np.repeat([0, 1], len(training))
    order = np.argsort(np.tile(training, 2), kind="stable")
    return (
        Features(both[order], np.tile(training, 2)[order], views[order]),
        Features(values[others], others, np.zeros(len(others), np.int64)),
    )


@pytest.mark.parametrize("block", [7, 1024])
def test_components_keep_distances_of_standardised_images_in_their_order(block, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", block)
    head = standardising(VALUES)
    result = reduced(parts(VALUES), head)
    standardised = HeadModel(head.layers[:1], head.weights)(VALUES)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result @ result.T, standardised @ standardised.T, atol=1e-3)


def test_only_so_many_components_of_so_many_images(monkeypatch):
    monkeypatch.setattr(module, "_COMPONENTS", 3)
    monkeypatch.setattr(module, "_SAMPLE", 40)
    wide = np.concatenate([VALUES, np.zeros((COUNT, 8), np.float32)], axis=1)
    assert reduced(parts(wide), standardising(wide)).shape == (COUNT, 3)


# ---- Verdicts


def test_verdicts_are_those_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(module, "_PATH", (0.05,))
    monkeypatch.setattr(module, "_GRADIENT", 1e-6)
    verdicts = judge(VALUES, LABELS, FOLDS, 3)
    for fold in range(5):
        held = fold == FOLDS
        # Its penalty is |w|^2 / 2 beside C times the sum, ours l2 |w|^2 beside the mean of losses.
        model = LogisticRegression(C=1 / (2 * 0.05 * (~held).sum()), tol=1e-8, max_iter=9999)
        expected = model.fit(VALUES[~held], LABELS[~held]).predict_proba(VALUES[held])
        right = LABELS[held]
        each = np.arange(len(right))
        np.testing.assert_allclose(verdicts.p_label[held], expected[each, right], atol=1e-3)
        expected[each, right] = 0
        np.testing.assert_allclose(verdicts.p_other[held], expected.max(axis=1), atol=1e-3)
        np.testing.assert_array_equal(verdicts.other[held], expected.argmax(axis=1))
    assert verdicts.judged.all()


def test_an_image_has_no_part_in_its_own_verdict(monkeypatch):
    monkeypatch.setattr(module, "_PATH", (0.05,))
    labels = LABELS.copy()
    labels[4] = (labels[4] + 1) % 3
    before, after = (judge(VALUES, given, FOLDS, 3) for given in (LABELS, labels))
    same_fold = (FOLDS[4] == FOLDS) & (np.arange(COUNT) != 4)
    np.testing.assert_array_equal(before.p_label[same_fold], after.p_label[same_fold])
    assert (before.p_label != after.p_label)[FOLDS[4] != FOLDS].all()


def test_the_penalty_is_the_one_that_predicts_best(monkeypatch):
    def loss(path):
        monkeypatch.setattr(module, "_PATH", path)
        return -np.log(judge(VALUES, labels, FOLDS, 3).p_label).mean()

    labels = LABELS.copy()
    labels[::9] = (labels[::9] + 1) % 3  # Easily predicted ones want hardly a penalty.
    path = module._PATH
    alone = [loss((strength,)) for strength in path]
    best = int(np.argmin(alone))
    assert 0 < best < len(path) - 1  # Else this would say nothing.
    assert loss(path) == pytest.approx(alone[best], rel=0.01)


def test_of_many_images_heads_learn_from_some_of_every_class(monkeypatch):
    learned = []
    begun = module._begun
    monkeypatch.setattr(module, "_begun", lambda side, n: learned.append(side) or begun(side, n))
    monkeypatch.setattr(module, "_MOST", 100)  # 120 images of 3 classes are 4 times as much.
    order = RANDOM.permutation(COUNT)
    verdicts = judge(VALUES[order], LABELS[order], FOLDS[order], 3)
    assert [np.bincount(side.learned.labels).tolist() for side in learned] == [[10, 10, 10]] * 5
    assert all(not set(side.learned.rows) & set(side.held.rows) for side in learned)
    assert verdicts.judged.all()
    assert (verdicts.p_label > verdicts.p_other).mean() > 0.9


def test_many_classes_are_told_apart():
    labels = np.repeat(np.arange(300), 5)
    values = RANDOM.normal(0, 0.3, (300, 12))[labels] + RANDOM.normal(0, 0.03, (1500, 12))
    digests = [f"{number:016x}" for number in RANDOM.permutation(1500)]
    verdicts = judge(values.astype(np.float32), labels, deal(digests, labels), 300)
    assert (verdicts.p_label > verdicts.p_other).mean() > 0.9


def test_the_only_image_of_a_class_is_not_judged():
    labels = LABELS.copy()
    labels[7] = 3
    verdicts = judge(VALUES, labels, FOLDS, 4)
    assert np.flatnonzero(~verdicts.judged).tolist() == [7]
    assert verdicts.p_label[7] == verdicts.p_other[7] == 0


def test_nothing_is_judged_where_every_class_has_one_image():
    verdicts = judge(VALUES[:3], LABELS[:3], deal(DIGESTS[:3], LABELS[:3]), 3)
    assert not verdicts.judged.any()


def test_copies_do_not_judge_each_other():
    """All images of a class are copies of one: nothing else can say what it looks like."""
    digests = ["0" if label == 0 else digest for label, digest in zip(LABELS, DIGESTS, strict=True)]
    verdicts = judge(VALUES, LABELS, deal(digests, LABELS), 3)
    np.testing.assert_array_equal(verdicts.judged, LABELS != 0)


def test_the_same_comes_out_on_any_number_of_cores(monkeypatch):
    first = judge(reduced(parts(VALUES), standardising(VALUES)), LABELS, FOLDS, 3)
    monkeypatch.setattr(module, "available_cores", lambda: 3)
    second = judge(reduced(parts(VALUES), standardising(VALUES)), LABELS, FOLDS, 3)
    for one, other in zip(vars(first).values(), vars(second).values(), strict=True):
        np.testing.assert_array_equal(one, other)
