"""Figures equal those computed by hand and by scikit-learn; each has its interval."""

import json
import math
import time

import numpy as np
import pytest
from sklearn import metrics

from cnntransfer.metrics import ClassFigures, Interval, figures


def random_case(classes, images, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, images)
    probabilities = random.dirichlet(np.ones(classes), images).astype(np.float32)
    return [f"c{i}" for i in range(classes)], labels, probabilities


def good_case(classes, images, seed=0):
    """One with probabilities that know the labels, but not well."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    logits = random.normal(size=(images, classes)).astype(np.float32)
    logits[np.arange(images), labels] += 2
    powers = np.exp(logits)
    names = [f"c{i}" for i in range(classes)]
    return names, labels, powers / powers.sum(axis=1, keepdims=True)


# ---- Figures


def test_figures_by_hand():
    probabilities = np.array(
        [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.4, 0.1], [0.2, 0.3, 0.5]], np.float32
    )
    result = figures(["a", "b", "c"], np.array([0, 1, 1, 1]), probabilities, [("x", "is empty")])
    assert result.images == 4
    assert result.accuracy == 0.5
    assert result.top5_accuracy is None
    assert result.confusion == ((1, 0, 0), (1, 1, 1), (0, 0, 0))
    assert [row.label for row in result.per_class] == ["a", "b", "c"]
    assert [row.precision for row in result.per_class] == [0.5, 1.0, 0.0]
    assert [row.recall for row in result.per_class] == pytest.approx([1.0, 1 / 3, 0.0])
    assert [row.f1 for row in result.per_class] == pytest.approx([2 / 3, 0.5, 0.0])
    assert [row.support for row in result.per_class] == [1, 3, 0]
    # Class c does not occur but is predicted: it counts for the mean F1, not for the mean recall.
    assert result.balanced_accuracy == pytest.approx((1 + 1 / 3) / 2)
    assert result.macro_f1 == pytest.approx((2 / 3 + 0.5) / 3)
    nats = -(math.log(0.7) + math.log(0.6) + math.log(0.4) + math.log(0.3)) / 4
    assert result.log_loss == pytest.approx(nats, rel=1e-6)
    # Of a the right one scores highest of four; of b 0.6, 0.4 and 0.3 against 0.2.
    assert (result.roc_auc, result.average_precision) == (1.0, 1.0)
    # Every image is a bin.
    assert result.calibration_error == pytest.approx((0.3 + 0.4 + 0.5 + 0.5) / 4)
    assert result.rejected == (("x", "is empty"),)


@pytest.mark.parametrize("rounded", [None, 1])
@pytest.mark.parametrize(("classes", "images"), [(2, 5), (3, 60), (8, 200), (40, 30)])
def test_figures_are_scikit_learn_s(classes, images, rounded):
    names, labels, probabilities = random_case(classes, images, seed=classes)
    if rounded:  # Many of the same score.
        probabilities = probabilities.round(rounded)
    result = figures(names, labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    index = np.arange(classes)
    assert result.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))
    expected = metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    assert result.macro_f1 == pytest.approx(expected)
    occurring = np.unique(labels)
    expected = metrics.recall_score(labels, predicted, labels=occurring, average="macro")
    assert result.balanced_accuracy == pytest.approx(expected)
    confusion = metrics.confusion_matrix(labels, predicted, labels=index)
    assert np.array_equal(result.confusion, confusion)
    assert (result.top5_accuracy is None) == (classes <= 5)
    scored = [(labels == number, probabilities[:, number]) for number in occurring]
    expected = np.mean([metrics.roc_auc_score(*pair) for pair in scored])
    assert result.roc_auc == pytest.approx(expected)
    expected = np.mean([metrics.average_precision_score(*pair) for pair in scored])
    assert result.average_precision == pytest.approx(expected)
    per_class = metrics.precision_recall_fscore_support(
        labels, predicted, labels=index, zero_division=0.0
    )
    for row, *expected in zip(result.per_class, *per_class, strict=True):
        assert (row.precision, row.recall, row.f1, row.support) == pytest.approx(expected)
    if not rounded:
        if classes > 5:
            expected = metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=index)
            assert result.top5_accuracy == pytest.approx(expected)
        exact = probabilities.astype(np.float64)
        exact /= exact.sum(axis=1, keepdims=True)
        expected = metrics.log_loss(labels, exact, labels=index)
        assert result.log_loss == pytest.approx(expected, rel=1e-5)


def test_all_classes_at_once_as_scikit_learn_has_them():
    names, labels, probabilities = good_case(6, 300)
    result = figures(names, labels, probabilities)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    expected = metrics.roc_auc_score(labels, exact, multi_class="ovr", average="macro")
    assert result.roc_auc == pytest.approx(expected, rel=1e-9)


def test_a_certain_mistake_costs_much_but_not_infinitely():
    result = figures(["a", "b"], np.array([1]), np.array([[1.0, 0.0]], np.float32))
    assert 80 < result.log_loss < 100


def test_figures_are_plain_values():
    plain = figures(*random_case(3, 20, seed=0)).to_dict()
    again = json.loads(json.dumps(plain))
    assert again["confusion"] == [list(row) for row in plain["confusion"]]
    assert set(again["intervals"]["accuracy"]) == {"low", "high", "method"}
    assert set(again["per_class"][0]) == {
        *("label", "precision", "recall", "f1", "support", "intervals")
    }


# ---- Intervals


@pytest.mark.parametrize(("classes", "images"), [(2, 30), (10, 400)])
def test_every_figure_has_an_interval_that_holds_it(classes, images):
    result = figures(*good_case(classes, images))
    proportions = {"accuracy", "top5_accuracy"}
    named = {
        *("accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "average_precision"),
        *("log_loss", "calibration_error"),
    }
    assert set(result.intervals) == named | (proportions if classes > 5 else set())
    for name, interval in result.intervals.items():
        assert interval.low < getattr(result, name) <= interval.high, name
        methods = dict.fromkeys(proportions, "wilson") | {"calibration_error": "feldman-cousins"}
        assert interval.method == methods.get(name, "bootstrap")


def test_the_same_every_time():
    case = good_case(4, 100)
    assert figures(*case) == figures(*case)


def test_more_images_make_intervals_narrower():
    few, many = (figures(*good_case(5, images)).intervals for images in (50, 2000))
    for name in few:
        width, narrower = (of[name].high - of[name].low for of in (few, many))
        assert narrower < width / 3, name


def test_classes_have_wilson_s_intervals():
    labels, predicted = np.array([0] * 10 + [1] * 5), np.array([0] * 8 + [1] * 2 + [0] + [1] * 4)
    probabilities = np.eye(3, dtype=np.float32)[predicted]
    first, second, third = figures(["a", "b", "c"], labels, probabilities).per_class
    assert (first.precision, first.recall) == pytest.approx((8 / 9, 0.8))
    # statsmodels' proportion_confint(8, 10, method="wilson"); and, as two are the exception,
    # 1 - scipy.stats.chi2.ppf(0.05, 4) / 20.
    assert first.intervals["recall"].low == pytest.approx(0.490162, abs=1e-6)
    assert first.intervals["recall"].high == pytest.approx(0.964464, abs=1e-6)
    assert first.intervals["f1"].low < first.f1 < first.intervals["f1"].high
    assert second.intervals.keys() == {"precision", "recall", "f1"}
    # There is none of c, and none is taken for it.
    assert third == ClassFigures("c", 0.0, 0.0, 0.0, 0, {})


def test_a_class_that_does_not_occur_has_no_interval_of_recall():
    names, labels, probabilities = random_case(4, 60, seed=1)
    labels[labels == 3] = 0
    row = figures(names, labels, probabilities).per_class[3]
    assert (row.support, row.recall) == (0, 0.0)
    assert set(row.intervals) == {"precision", "f1"}


# ---- Edges


@pytest.mark.parametrize("images", [3, 60])
def test_nothing_wrong_does_not_mean_that_nothing_will_be(images):
    labels = np.arange(images) % 3
    result = figures("abc", labels, np.eye(3, dtype=np.float32)[labels])
    assert result.accuracy == result.macro_f1 == result.roc_auc == result.average_precision == 1
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "average_precision"):
        interval = result.intervals[name]
        assert interval.low == pytest.approx(result.intervals["accuracy"].low)
        assert (interval.high, interval.method) == (1.0, "wilson")
    assert result.calibration_error == 0
    # As many may be wrong as where the accuracy's interval ends, or nearly.
    wrong = 1 - result.intervals["accuracy"].low
    assert wrong / 2 < result.intervals["calibration_error"].high < wrong * 1.5
    # Certainty that was right tells nothing of how bad a mistake would be.
    assert "log_loss" not in result.intervals


def test_confidence_of_what_is_all_right_is_off_by_chance_too():
    labels = np.arange(20) % 2
    probabilities = np.full((20, 2), 0.1, np.float32)
    probabilities[np.arange(20), labels] = 0.9
    interval = figures("ab", labels, probabilities).intervals["calibration_error"]
    # Not sure enough by 0.1, or right, or a little too sure: 0.85 ** 20 is 4 %.
    assert (interval.low, interval.high) == (0, pytest.approx(0.1))


def test_everything_wrong():
    labels = np.arange(30) % 3
    result = figures("abc", labels, np.eye(3, dtype=np.float32)[(labels + 1) % 3])
    assert result.accuracy == result.macro_f1 == result.balanced_accuracy == 0
    assert result.intervals["macro_f1"].low == 0
    assert result.intervals["macro_f1"].high == result.intervals["accuracy"].high


@pytest.mark.parametrize("label", [0, 1])
def test_one_image(label):
    result = figures("ab", np.array([label]), np.array([[0.8, 0.2]], np.float32))
    assert result.accuracy == result.balanced_accuracy == 1 - label
    assert (result.roc_auc, result.average_precision) == (None, None)
    assert set(result.intervals) == {
        *("accuracy", "balanced_accuracy", "macro_f1", "calibration_error")
    }
    for name, interval in result.intervals.items():
        assert interval.low <= getattr(result, name) <= interval.high
        assert interval.high - interval.low > 0.5


def test_images_of_one_class_only():
    names, _, probabilities = random_case(3, 20, seed=0)
    result = figures(names, np.ones(20, np.int64), probabilities)
    assert (result.roc_auc, result.average_precision) == (None, None)
    assert result.balanced_accuracy == result.accuracy


def test_two_images_of_two_classes():
    result = figures("ab", np.array([0, 1]), np.array([[0.8, 0.2], [0.6, 0.4]], np.float32))
    assert (result.accuracy, result.roc_auc) == (0.5, 1.0)
    for interval in result.intervals.values():
        assert isinstance(interval, Interval)
        assert 0 <= interval.low <= interval.high


def test_ten_thousand_images_of_two_hundred_classes_take_some_seconds_of_work_at_most():
    case = good_case(200, 10_000)
    started = time.process_time()
    figures(*case)
    assert time.process_time() - started < 8
