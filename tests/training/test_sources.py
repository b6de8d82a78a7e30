"""What an epoch goes through: every example once, in an order that the seed decides."""

from pathlib import Path

import numpy as np
import pytest

from cnntransfer.data.augment import Augmenter
from cnntransfer.data.dataset import Dataset, Pixels, Sample
from cnntransfer.data.images import InputSpec
from cnntransfer.data.views import Views
from cnntransfer.frameworks import tensorflow
from cnntransfer.recipe import AUGMENTATION_PRESETS
from cnntransfer.training import sources
from cnntransfer.training.features import Features
from cnntransfer.training.sources import FeatureSource, StreamSource

SPEC = InputSpec((6, 5))
SUBSETS = ("train", "train", "val", "train", "train", "val", "train", "train", "train")
DATASET = Dataset(
    Path(),
    ("a", "b"),
    tuple(Sample(Path(str(i)), "ab"[i % 2], f"{i:064x}", s) for i, s in enumerate(SUBSETS)),
)
TRAINING = DATASET.subset("train")
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 6, 5, 3), dtype=np.uint8)


def feature_source(subset="train", batch_size=3, seed=0):
    """Two views of each sample; a row's values are (sample, view)."""
    samples, views = np.repeat(np.arange(9), 2), np.tile([0, 1], 9)
    values = np.stack([samples, views], axis=1).astype(np.float32)
    return FeatureSource(Features(values, samples, views), DATASET, subset, batch_size, seed)


def pixel_source(subset="train", batch_size=3, seed=0, preset="none", views=None):
    pixels = Pixels(SPEC)
    for sample, image in zip(DATASET.samples, IMAGES, strict=True):
        pixels.append(sample.path, image)
    fetch = Views(DATASET, pixels, Augmenter(AUGMENTATION_PRESETS[preset], 0)).image
    shape = (6, 5, 3)
    return StreamSource(fetch, shape, np.uint8, DATASET, subset, batch_size, seed, views)


def recorded(source, epochs=(0,)):
    """The batches (inputs, labels) that a step sees, by epoch, and the figures."""
    tf = tensorflow()
    seen = []

    def record(inputs, labels):
        seen.append((inputs.copy(), labels.copy()))
        return np.float32(len(labels)), np.float32((labels == 0).sum())

    def step(inputs, labels):
        figures = tf.numpy_function(record, [inputs, labels], [tf.float32, tf.float32])
        return [tf.ensure_shape(figure, []) for figure in figures]

    run = source.compile(step)
    result = []
    for epoch in epochs:
        seen.clear()
        figures = run(epoch)
        result.append((list(seen), figures))
    return result


def rows(batches):
    return np.concatenate([inputs for inputs, _ in batches])


@pytest.mark.parametrize("make", [feature_source, pixel_source])
def test_every_example_once_in_batches_the_last_one_smaller(make):
    source = make(batch_size=4)
    ((batches, figures),) = recorded(source)
    size = len(TRAINING) * (2 if make is feature_source else 1)
    assert source.steps == len(batches)
    assert [len(labels) for _, labels in batches] == [4] * (size // 4) + [size % 4]
    # The figures are sums over all batches, divided by the number of examples.
    zeros = sum(int((labels == 0).sum()) for _, labels in batches)
    assert figures == pytest.approx((1.0, zeros / size))


def test_many_features_go_into_the_graph_in_several_parts(monkeypatch):
    ((whole, figures),) = recorded(feature_source())
    monkeypatch.setattr(sources, "_CHUNK_BYTES", 6 * 8)
    ((parts, again),) = recorded(feature_source())
    assert np.array_equal(rows(whole), rows(parts))
    assert figures == again


def test_kept_views_take_turns():
    augmenter = Augmenter(AUGMENTATION_PRESETS["strong"], 0)
    seen = {position: [] for position in TRAINING}
    for batches, _ in recorded(pixel_source(preset="strong", views=2), (0, 1, 2, 3)):
        for image in rows(batches):
            for position in TRAINING:
                for view in (0, 1):
                    digest = DATASET.samples[position].digest
                    if np.array_equal(augmenter.view(IMAGES[position], digest, view), image):
                        seen[position].append(view)
    assert all(order in ([0, 1, 0, 1], [1, 0, 1, 0]) for order in seen.values())
    assert len({tuple(order) for order in seen.values()}) == 2


def test_features_keep_their_labels_and_views():
    ((batches, _),) = recorded(feature_source())
    for inputs, labels in batches:
        assert np.array_equal(inputs[:, 0].astype(int) % 2, labels)
    expected = {(float(sample), view) for sample in TRAINING for view in (0.0, 1.0)}
    assert {tuple(row) for row in rows(batches).tolist()} == expected


def test_pixels_keep_their_labels():
    ((batches, _),) = recorded(pixel_source())
    for inputs, labels in batches:
        assert inputs.dtype == np.float32
        for image, label in zip(inputs, labels, strict=True):
            (position,) = [i for i in TRAINING if np.array_equal(IMAGES[i], image)]
            assert position % 2 == label
    assert len(np.unique(rows(batches), axis=0)) == len(TRAINING)


@pytest.mark.parametrize("make", [feature_source, pixel_source])
def test_the_order_follows_seed_and_epoch(make):
    def orders(seed):
        return [rows(batches) for batches, _ in recorded(make(seed=seed), (0, 1))]

    first, second = orders(0)
    assert not np.array_equal(first, second)
    again = orders(0)
    assert np.array_equal(again[0], first)
    assert np.array_equal(again[1], second)
    assert not np.array_equal(orders(1)[0], first)


def test_validation_keeps_the_order_and_shows_the_images_themselves():
    for batches, _ in recorded(pixel_source("val", seed=None, preset="strong"), (0, 1)):
        assert np.array_equal(rows(batches), IMAGES[[2, 5]])
    for batches, _ in recorded(feature_source("val", seed=None), (0, 1)):
        assert rows(batches)[:, 0].tolist() == [2, 2, 5, 5]


def test_training_images_are_seen_in_a_new_view_each_epoch():
    augmenter = Augmenter(AUGMENTATION_PRESETS["strong"], 0)
    for epoch, (batches, _) in enumerate(recorded(pixel_source(preset="strong"), (0, 1))):
        expected = {
            augmenter.view(IMAGES[i], DATASET.samples[i].digest, epoch + 1).tobytes()
            for i in TRAINING
        }
        assert {image.astype(np.uint8).tobytes() for image in rows(batches)} == expected
