"""What an epoch goes through: every example once, in an order that the seed decides."""

from pathlib import Path

import numpy as np
import pytest

from cnntransfer.data.augment import Augmenter
from cnntransfer.data.dataset import Dataset, Pixels, Sample
from cnntransfer.data.fitting import InputSpec
from cnntransfer.data.views import Views
from cnntransfer.frameworks import tensorflow
from cnntransfer.recipe import AUGMENTATION_PRESETS
from cnntransfer.training.sources import Feed, StreamSource

SPEC = InputSpec((6, 5))
SUBSETS = ("train", "train", "val", "train", "train", "val", "train", "train", "train")
DATASET = Dataset(
    Path(),
    ("a", "b"),
    tuple(Sample(Path(str(i)), "ab"[i % 2], f"{i:064x}", s) for i, s in enumerate(SUBSETS)),
)
TRAINING = DATASET.subset("train")
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 6, 5, 3), dtype=np.uint8)


def source_of(subset="train", batch_size=3, seed=0, preset="none", views=None):
    pixels = Pixels(SPEC)
    for sample, image in zip(DATASET.samples, IMAGES, strict=True):
        pixels.append(sample.path, image)
    fetch = Views(DATASET, pixels, Augmenter(AUGMENTATION_PRESETS[preset], 0)).image
    shape = (6, 5, 3)
    return StreamSource(Feed(fetch, shape, np.uint8, views), DATASET, subset, batch_size, seed)


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

    graph = source.compile(step)
    result = []
    for epoch in epochs:
        seen.clear()
        figures = source.epoch(graph, epoch)
        result.append((list(seen), figures))
    return result


def rows(batches):
    return np.concatenate([inputs for inputs, _ in batches])


def test_every_example_once_in_batches_the_last_one_smaller():
    source = source_of(batch_size=4)
    ((batches, figures),) = recorded(source)
    assert source.steps == len(batches) == 2
    assert [len(labels) for _, labels in batches] == [4, 3]
    # The figures are sums over all batches, divided by the number of examples.
    zeros = sum(int((labels == 0).sum()) for _, labels in batches)
    assert figures == pytest.approx((1.0, zeros / len(TRAINING)))


def test_figures_of_every_example_keep_their_order():
    tf = tensorflow()
    source = source_of(batch_size=4, subset="val", seed=None)
    graph = source.compile(lambda inputs, labels: (labels, tf.stack([labels, -labels], axis=1)))
    one, two = source.every(graph)
    expected = DATASET.labels()[DATASET.subset("val")]
    assert one.tolist() == expected.tolist()
    assert two.tolist() == [[label, -label] for label in expected]


def test_xla_computes_the_same():
    tf = tensorflow()
    weights = np.random.default_rng(1).normal(size=(90, 2)).astype(np.float32)

    def step(inputs, labels):
        logits = tf.reshape(inputs / 255, [-1, 90]) @ weights
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        hits = tf.equal(tf.argmax(logits, axis=-1), labels)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(hits, tf.float32))

    source = source_of(batch_size=4)
    plain, compiled = (source.compile(step, jit=jit) for jit in (False, True))
    attributes = [graph.get_concrete_function().function_def.attr for graph in (plain, compiled)]
    assert [bool(one["_XlaMustCompile"].b) for one in attributes] == [False, True]
    for epoch in (0, 1):
        expected = source.epoch(plain, epoch)
        assert source.epoch(compiled, epoch) == pytest.approx(expected, rel=1e-6)


def test_kept_views_take_turns():
    augmenter = Augmenter(AUGMENTATION_PRESETS["strong"], 0)
    seen = {position: [] for position in TRAINING}
    for batches, _ in recorded(source_of(preset="strong", views=2), (0, 1, 2, 3)):
        for image in rows(batches):
            for position in TRAINING:
                for view in (0, 1):
                    digest = DATASET.samples[position].digest
                    if np.array_equal(augmenter.view(IMAGES[position], digest, view), image):
                        seen[position].append(view)
    assert all(order in ([0, 1, 0, 1], [1, 0, 1, 0]) for order in seen.values())
    assert len({tuple(order) for order in seen.values()}) == 2


def test_pixels_keep_their_labels():
    ((batches, _),) = recorded(source_of())
    for inputs, labels in batches:
        assert inputs.dtype == np.float32
        for image, label in zip(inputs, labels, strict=True):
            (position,) = [i for i in TRAINING if np.array_equal(IMAGES[i], image)]
            assert position % 2 == label
    assert len(np.unique(rows(batches), axis=0)) == len(TRAINING)


def test_the_order_follows_seed_and_epoch():
    def orders(seed):
        return [rows(batches) for batches, _ in recorded(source_of(seed=seed), (0, 1))]

    first, second = orders(0)
    assert not np.array_equal(first, second)
    again = orders(0)
    assert np.array_equal(again[0], first)
    assert np.array_equal(again[1], second)
    assert not np.array_equal(orders(1)[0], first)


def test_validation_keeps_the_order_and_shows_the_images_themselves():
    for batches, _ in recorded(source_of("val", seed=None, preset="strong"), (0, 1)):
        assert np.array_equal(rows(batches), IMAGES[[2, 5]])


def test_training_images_are_seen_in_a_new_view_each_epoch():
    augmenter = Augmenter(AUGMENTATION_PRESETS["strong"], 0)
    for epoch, (batches, _) in enumerate(recorded(source_of(preset="strong"), (0, 1))):
        expected = {
            augmenter.view(IMAGES[i], DATASET.samples[i].digest, epoch + 1).tobytes()
            for i in TRAINING
        }
        assert {image.astype(np.uint8).tobytes() for image in rows(batches)} == expected
