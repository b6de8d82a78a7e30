"""Resamples: drawn with replacement, the same every time, never too many at once."""

import numpy as np
import pytest

from cnntransfer.metrics import resampling
from cnntransfer.metrics.resampling import resamples


def test_every_resample_has_as_many_images():
    (weights,) = resamples(50, 3)
    assert weights.shape == (50, 1000)
    assert weights.dtype == np.float32
    assert (weights.sum(axis=0) == 50).all()
    # Each is drawn once on average, with a variance of nearly 1.
    assert weights.var() == pytest.approx(1 - 1 / 50, abs=0.03)


def test_the_same_ones_every_time():
    first, second = (np.concatenate(list(resamples(20, 2)), axis=1) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(("images", "count"), [(1000, 1000), (10_000, 100), (100_000, 50)])
def test_fewer_of_many_images_in_blocks(images, count, monkeypatch):
    blocks = [block.shape for block in resamples(images, 200)]
    assert sum(shape[1] for shape in blocks) == count
    assert max(shape[0] * shape[1] for shape in blocks) <= resampling._BLOCK


def test_one_image():
    (weights,) = resamples(1, 2)
    assert (weights == 1).all()
