"""Changes of whole batches: what they do to images and labels, and that they can be repeated."""

import functools

import numpy as np
import pytest

from cnntransfer.frameworks import tensorflow
from cnntransfer.recipe import BatchAugmentation
from cnntransfer.training.batch_augmenter import BatchAugmenter
from cnntransfer.training.objective import one_hot

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (6, 16, 20, 3)).astype(np.float32)
SHARES = one_hot(np.array([0, 1, 2, 0, 1, 2]), 3)
EVERYTHING = BatchAugmentation(rand_augment=0.5, random_erasing=0.5, mixup=0.2, cutmix=1.0)


@functools.cache
def compiled(settings, seed):
    """A graph that changes batches, its state, and the state that it begins with."""
    tf = tensorflow()
    augmenter = BatchAugmenter(settings, seed)
    graph = tf.function(
        augmenter,
        input_signature=[
            tf.TensorSpec([None, 16, 20, 3], tf.float32),
            tf.TensorSpec([None, 3], tf.float32),
        ],
    )
    return graph, augmenter.variables, state_of(augmenter.variables)


def state_of(variables):
    return [variable.numpy() for variable in variables]


def augmented(steps, seed=0, settings=EVERYTHING, state=None):
    """Batches that were changed in a graph, one after another, and the state after them."""
    run, variables, first = compiled(settings, seed)
    for variable, array in zip(variables, state or first, strict=True):
        variable.assign(array)
    batches = [tuple(part.numpy() for part in run(IMAGES, SHARES)) for _ in range(steps)]
    return batches, state_of(variables)


def assert_equal(one, other):
    for batches in zip(one, other, strict=True):
        for a, b in zip(*batches, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_images_and_labels_stay_what_they_are():
    batches, _ = augmented(20)
    for images, shares in batches:
        assert images.shape == IMAGES.shape
        assert images.dtype == shares.dtype == np.float32
        assert images.min() >= 0
        assert images.max() <= 255.001
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
        assert shares.min() >= 0


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
@pytest.mark.slow
def test_the_same_seed_gives_the_same_and_the_state_is_all_that_goes_on(seed):
    whole, _ = augmented(5, seed)
    start, state = augmented(2, seed, state=state_of(BatchAugmenter(EVERYTHING, seed).variables))
    rest, _ = augmented(3, state=state)
    assert_equal(whole, start + rest)
    other, _ = augmented(1, seed, state=state_of(BatchAugmenter(EVERYTHING, 1).variables))
    assert not np.array_equal(other[0][0], whole[0][0])


def test_blended_images_have_blended_labels():
    """Every image is of a class of its own, so that labels say which were blended."""
    images, shares = BatchAugmenter(BatchAugmentation(mixup=1.0), 0)(IMAGES, np.eye(6, dtype="f"))
    blends = np.tensordot(shares, IMAGES, axes=1)
    np.testing.assert_allclose(images, blends, atol=0.01)
    assert (np.asarray(shares).max(axis=1) < 0.99).any()


def test_pasted_rectangles_have_their_area_in_the_labels():
    classes = np.arange(6)
    flat = np.broadcast_to(classes[:, None, None, None], (6, 32, 32, 3)).astype(np.float32)
    images, shares = BatchAugmenter(BatchAugmentation(cutmix=1.0), 0)(flat, one_hot(classes, 6))
    area = np.stack([(images.numpy() == one).mean(axis=(1, 2, 3)) for one in classes], axis=1)
    # A rectangle's sides are no whole pixels.
    np.testing.assert_allclose(shares, area, atol=0.07)
    assert (np.asarray(shares).max(axis=1) < 1).any()


def test_of_two_ways_of_mixing_a_batch_gets_one():
    both, _ = augmented(30, settings=BatchAugmentation(mixup=1.0, cutmix=1.0))
    is_pasted = [np.isin(images, IMAGES).mean() > 0.99 for images, _ in both]
    assert 5 < sum(is_pasted) < 25


def test_so_many_images_are_erased():
    """Labels stay; Keras alone would erase half as many."""
    batches, _ = augmented(60, settings=BatchAugmentation(random_erasing=0.8))
    changed = [(images != IMAGES).any(axis=(1, 2, 3)) for images, _ in batches]
    assert 0.7 < np.mean(changed) < 0.9
    for _, shares in batches:
        np.testing.assert_array_equal(shares, SHARES)


def test_mixing_gives_numbers_at_the_smallest_strength():
    """Far less would give 0 / 0, in Keras 3.15."""
    settings = BatchAugmentation(mixup=0.2, cutmix=0.2)
    batches, _ = augmented(300, settings=settings)
    assert all(
        np.isfinite(images).all() and np.isfinite(shares).all() for images, shares in batches
    )
