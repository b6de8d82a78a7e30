"""Figures of weighted images are those of images that are there so many times."""

import numpy as np
import pytest

from cnntransfer.metrics.judged import Judged
from cnntransfer.metrics.weighted import weighted_figures


@pytest.mark.parametrize("decimals", [1, 8])
@pytest.mark.parametrize(("classes", "images"), [(2, 12), (4, 40), (7, 20)])
def test_weights_are_repetitions(classes, images, decimals):
    random = np.random.default_rng(classes)
    labels = random.integers(0, classes, images)
    probabilities = random.dirichlet(np.ones(classes), images).astype(np.float32).round(decimals)
    weights = random.multinomial(images, np.ones(images) / images, 6).T.astype(np.float32)
    found = weighted_figures(Judged(labels, probabilities), weights)
    for number, times in enumerate(weights.T.astype(int)):
        again = np.repeat(np.arange(images), times)
        repeated = Judged(labels[again], probabilities[again])
        expected = weighted_figures(repeated, np.ones((images, 1)))
        assert set(found) == set(expected)
        for name in found:
            assert found[name][number] == pytest.approx(expected[name][0], rel=1e-5), name


def test_what_is_not_defined_is_not_a_number():
    labels = np.array([0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)
    weights = np.array([[0, 3, 1], [2, 0, 1], [1, 0, 1]], np.float32)
    found = weighted_figures(Judged(labels, probabilities), weights)
    assert np.isnan(found["roc_auc"]).tolist() == [True, True, False]
    assert np.isnan(found["average_precision"]).tolist() == [True, True, False]
    # The means are over those classes that a resample has.
    assert found["balanced_accuracy"] == pytest.approx([2 / 3, 1, 0.75])
    assert found["macro_f1"] == pytest.approx([0.4, 1, 2 / 3])
