"""Bins of the same size, their differences of confidence and accuracy, and the mean of those."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from cnntransfer.metrics import calibration_error, figures, reliability
from cnntransfer.metrics.judged import Judged
from cnntransfer.metrics.reliability import bin_numbers, gaps


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


def test_gaps_add_up_to_the_error_of_the_figures():
    labels, probabilities = case(200)
    judged = Judged(labels, probabilities)
    found = gaps(judged, np.ones((200, 1)))[:, 0]
    error = calibration_error(labels, probabilities)
    assert np.abs(found).sum() == pytest.approx(error)
    assert figures("abcd", labels, probabilities).calibration_error == pytest.approx(error)


def test_the_more_certain_the_greater_the_error():
    errors = [calibration_error(*case(2000, certainty=certainty)) for certainty in (1, 2, 4)]
    assert errors == sorted(errors)
    assert errors[0] < 0.05 < 0.2 < errors[2]


def test_calibrated_probabilities_cannot_be_told_from_an_error_of_0():
    low = [figures("abcd", *case(90, seed)).intervals["calibration_error"].low for seed in range(8)]
    assert np.mean(np.array(low) == 0) >= 0.8
    certain = figures("abcd", *case(2000, certainty=4)).intervals["calibration_error"]
    assert certain.low > 0.15
