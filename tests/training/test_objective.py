"""The loss that training lowers, against Keras' own and by hand."""

from pathlib import Path

import numpy as np
import pytest

from cnntransfer.data.dataset import Dataset, Sample
from cnntransfer.frameworks import keras
from cnntransfer.recipe import Recipe, Stage
from cnntransfer.training.objective import Objective, objective, one_hot

LABELS = np.array([0, 2, 1, 1])
PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3], [0.98, 0.01, 0.01]], np.float32
)
SHARES = one_hot(LABELS, 3)
#: The first and the last image mixed with others.
MIXED = np.array([[0.75, 0.0, 0.25], [0, 0, 1], [0, 1, 0], [0.5, 0.5, 0]], np.float32)


def dataset(counts):
    names = tuple("abc")
    labels = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    samples = [Sample(Path(f"{i}"), name, f"{i:064x}", "train") for i, name in enumerate(labels)]
    held_out = Sample(Path("v"), "a", "f" * 64, "val")
    return Dataset(Path(), names, (*samples, held_out))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smoothing_is_that_of_keras(smoothing):
    reference = keras().losses.categorical_crossentropy(
        np.eye(3, dtype=np.float32)[LABELS], PROBABILITIES, label_smoothing=smoothing
    )
    losses = Objective(smoothing).of_training(SHARES, PROBABILITIES)
    np.testing.assert_allclose(losses, reference, rtol=1e-5)


def test_validation_is_never_smoothed():
    expected = -np.log(PROBABILITIES[np.arange(4), LABELS])
    losses = Objective(0.1).of_validation(SHARES, PROBABILITIES)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_rare_classes_count_as_much_as_frequent_ones():
    aim = objective(Recipe(class_weight="balanced"), Stage(), dataset((6, 3, 1)))
    np.testing.assert_allclose(aim.class_weights, [10 / 18, 10 / 9, 10 / 3])
    np.testing.assert_allclose(np.dot(aim.class_weights, (6, 3, 1)), 10)
    plain = np.asarray(Objective().of_training(SHARES, PROBABILITIES))
    weights = np.array(aim.class_weights)[LABELS]
    np.testing.assert_allclose(aim.of_training(SHARES, PROBABILITIES), plain * weights, rtol=1e-5)
    np.testing.assert_allclose(aim.of_validation(SHARES, PROBABILITIES), plain * weights, rtol=1e-5)


def test_a_class_without_training_images_does_no_harm():
    aim = objective(Recipe(class_weight="balanced"), Stage(), dataset((6, 2, 0)))
    assert np.isfinite(aim.class_weights).all()
    np.testing.assert_allclose(aim.class_weights[:2], [8 / 12, 8 / 4])


def test_nothing_is_weighted_unless_asked():
    assert objective(Recipe(), Stage(label_smoothing=0.2), dataset((6, 3, 1))) == Objective(0.2)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_in_numpy_and_shares_in_tensorflow_go_one_way(smoothing):
    aim = Objective(smoothing, (0.5, 2.0, 1.0))
    by_hand = -(aim.targets(LABELS, 3) * np.log(PROBABILITIES)).sum(axis=1) * aim.weights(LABELS)
    np.testing.assert_allclose(aim.of_training(SHARES, PROBABILITIES), by_hand, rtol=1e-5)
    assert aim.targets(LABELS, 3).dtype == np.float32


def test_mixed_labels_count_by_their_shares():
    plain = np.asarray(Objective().of_training(MIXED, PROBABILITIES))
    np.testing.assert_allclose(plain, -(MIXED * np.log(PROBABILITIES)).sum(axis=1), rtol=1e-5)
    weighted = Objective(class_weights=(0.5, 2.0, 1.0)).of_training(MIXED, PROBABILITIES)
    np.testing.assert_allclose(weighted, plain * [0.625, 1.0, 2.0, 1.25], rtol=1e-5)
    smoothed = Objective(0.3).of_training(MIXED, PROBABILITIES)
    targets = 0.7 * MIXED + 0.1
    np.testing.assert_allclose(smoothed, -(targets * np.log(PROBABILITIES)).sum(axis=1), rtol=1e-5)
