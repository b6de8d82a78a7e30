"""Bins of the same size, their differences of confidence and accuracy, and the mean of those."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from cnntransfer.metrics import calibration_error, figures, reliability
from cnntransfer.metrics.reliability import Bin, bin_numbers, error_interval, mean_difference


def case(images, seed=0, certainty=1.0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, images)
    logits = certainty * random.normal(size=(images, 4))
    logits[np.arange(images), labels] += certainty
    powers = np.exp(logits)
    return labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def test_bins_are_scikit_learn_s_quantiles():
    labels, probabilities = case(150)
    rows = reliability(labels, probabilities)
    right, confidence = probabilities.argmax(axis=1) == labels, probabilities.max(axis=1)
    accuracies, means = calibration_curve(right, confidence, n_bins=15, strategy="quantile")
    assert [row.accuracy for row in rows] == pytest.approx(accuracies)
    assert [row.confidence for row in rows] == pytest.approx(means)
    assert [row.count for row in rows] == [10] * 15
    error = np.mean(np.abs(accuracies - means))
    assert calibration_error(labels, probabilities) == pytest.approx(error)


@pytest.mark.parametrize(("images", "bins"), [(1, 1), (7, 7), (15, 15), (31, 15), (400, 15)])
def test_sizes_of_bins(images, bins):
    labels, probabilities = case(images)
    rows = reliability(labels, probabilities)
    counts = [row.count for row in rows]
    assert len(rows) == bins
    assert sum(counts) == images
    assert max(counts) - min(counts) <= 1
    confidences = [row.confidence for row in rows]
    assert confidences == sorted(confidences)


def test_another_number_of_bins():
    labels, probabilities = case(100)
    (row,) = reliability(labels, probabilities, bins=1)
    assert row.count == 100
    assert row.accuracy == np.mean(probabilities.argmax(axis=1) == labels)
    assert row.confidence == pytest.approx(probabilities.max(axis=1).mean())
    expected = abs(row.accuracy - row.confidence)
    assert calibration_error(labels, probabilities, bins=1) == pytest.approx(expected)


def test_bins_follow_confidence_and_equal_ones_their_order():
    numbers = bin_numbers(np.array([0.9, 0.5, 0.9, 0.7, 0.9, 0.9]), bins=3)
    assert numbers.tolist() == [1, 0, 1, 0, 2, 2]


def test_the_figures_have_the_same_error():
    labels, probabilities = case(200)
    error = calibration_error(labels, probabilities)
    assert figures("abcd", labels, probabilities).calibration_error == error


def test_the_more_certain_the_greater_the_error():
    errors = [calibration_error(*case(2000, certainty=certainty)) for certainty in (1, 2, 4)]
    assert errors == sorted(errors)
    assert errors[0] < 0.05 < 0.2 < errors[2]


# ---- Its interval


CONFIDENCE = np.linspace(0.5, 0.98, 15)


def found_of(accuracy, count, seed):
    """Bins of a test set of a classifier with these accuracies."""
    right = np.random.default_rng(seed).binomial(count, accuracy)
    rows = zip(CONFIDENCE, right / count, strict=True)
    return [Bin(float(confidence), float(share), count) for confidence, share in rows]


@pytest.mark.parametrize(("error", "count"), [(0.0, 4), (0.03, 20), (0.2, 4)])
@pytest.mark.slow
def test_it_holds_the_error_as_often_as_it_says(error, count):
    # Too sure by as much in every bin, which is not how the interval's classifiers are.
    intervals = [error_interval(found_of(CONFIDENCE - error, count, seed)) for seed in range(60)]
    held = sum(interval.low <= error <= interval.high for interval in intervals)
    # Where it is as it says, 0.3 % of such tests come out below 52, and 5 % at 60.
    assert held >= 52


def test_it_tells_a_great_error_from_none():
    sure, right = found_of(CONFIDENCE - 0.3, 100, 0), found_of(CONFIDENCE, 100, 0)
    assert error_interval(sure).low > 0.25
    assert error_interval(right).low == 0
    # With more images it is narrower.
    assert error_interval(right).high > 2 * error_interval(found_of(CONFIDENCE, 1000, 0)).high


def test_what_was_found_is_in_it():
    rows = [found_of(CONFIDENCE, count, seed) for count in (1, 3) for seed in range(20)]
    for bins in rows:
        interval = error_interval(bins)
        assert interval.low <= mean_difference(bins) <= interval.high
        assert interval.method == "feldman-cousins"


def test_of_certain_answers_that_are_all_right():
    """As many as 3 in n may be wrong where none of n is: the rule of three."""
    interval = error_interval([Bin(1.0, 1.0, 20)] * 15)
    assert interval.low == 0
    assert interval.high == pytest.approx(3 / 300, rel=0.4)


@pytest.mark.parametrize("right", [0.0, 1.0])
@pytest.mark.parametrize("confidence", [0.25, 0.9, 1.0])
def test_of_a_single_image(confidence, right):
    interval = error_interval([Bin(confidence, right, 1)])
    assert 0 <= interval.low <= abs(right - confidence) <= interval.high <= 1
    # Sure and wrong: that would be a surprise if it were right.
    assert (interval.low > 0) == (confidence == 1.0 and right == 0)


def test_confidence_that_rounding_took_above_1():
    interval = error_interval([Bin(1.0000001, 0.75, 4), Bin(1.0000001, 1.0, 4)])
    assert 0 < interval.low < 0.125 < interval.high


def test_it_is_the_same_every_time():
    assert len({error_interval(found_of(CONFIDENCE, 10, 3)) for _ in range(3)}) == 1


def test_calibrated_probabilities_cannot_be_told_from_an_error_of_0():
    low = [error_interval(reliability(*case(90, seed))).low for seed in range(8)]
    assert np.mean(np.array(low) == 0) >= 0.8
    certain = figures("abcd", *case(2000, certainty=4)).intervals["calibration_error"]
    assert certain.low > 0.15
