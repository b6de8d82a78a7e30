"""Features: the trunk's output for (image, view), in the order that was asked for."""

import numpy as np
import pytest

from cnntransfer.data.augment import Augmenter
from cnntransfer.data.dataset import read_dataset
from cnntransfer.data.index import list_images
from cnntransfer.data.split import split
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import build_trunk
from cnntransfer.models.weights import find_weights
from cnntransfer.recipe import AUGMENTATION_PRESETS
from cnntransfer.training.features import Features, compute_features, views_of


@pytest.fixture(scope="module")
def data(bundle, photos):
    dataset, pixels = read_dataset(list_images(photos), bundle.input_spec)
    return split(dataset, 0.2), pixels


def test_rows_follow_the_work(bundle, data):
    dataset, pixels = data
    augmenter = Augmenter(AUGMENTATION_PRESETS["light"], 0)
    work = [(7, 1), (0, 0), (7, 0), (29, 2)]
    features = compute_features(bundle.trunk_file, dataset, pixels, work, augmenter)
    assert features.samples.tolist() == [7, 0, 7, 29]
    assert features.views.tolist() == [1, 0, 0, 2]
    assert features.values.dtype == np.float32
    engine = LiteRTEngine([bundle.trunk_file])
    for row, (position, view) in enumerate(work):
        image = augmenter.view(pixels[position], dataset.samples[position].digest, view)
        np.testing.assert_allclose(features.values[row], engine.run(image).features, atol=1e-6)
    assert not np.array_equal(features.values[0], features.values[2])


def test_features_are_those_of_the_keras_trunk(bundle, data):
    dataset, pixels = data
    work = [(position, 0) for position in range(4)]
    augmenter = Augmenter(AUGMENTATION_PRESETS["none"], 0)
    features = compute_features(bundle.trunk_file, dataset, pixels, work, augmenter)
    mobilenet = get_backbone("mobilenet")
    trunk = build_trunk(mobilenet, (64, 64), "avg", find_weights(mobilenet))
    images = np.stack([pixels[position] for position, _ in work]).astype(np.float32)
    np.testing.assert_allclose(features.values, np.asarray(trunk.model(images)), atol=2e-4)


def test_only_training_images_have_views(data):
    dataset, _ = data
    work = views_of(dataset, 3)
    training, held_out = dataset.subset("train"), dataset.subset("val")
    assert len(work) == len(set(work)) == 3 * len(training) + len(held_out)
    assert {view for position, view in work if position in held_out} == {0}
    assert [position for position, view in work if view == 2] == training


def test_of_gives_unaugmented_rows_in_the_asked_order():
    values = np.arange(4, dtype=np.float32)[:, None]
    features = Features(values, np.array([5, 2, 9, 5]), np.array([0, 0, 0, 1]))
    assert features.of([9, 5, 2]).ravel().tolist() == [2, 0, 1]
