"""Batches on TensorFlow: every row in its place, whatever stands beside it."""

import numpy as np
import pytest

from cnntransfer.engines.keras import BATCH, KerasEngine
from cnntransfer.frameworks import keras, tensorflow


@pytest.fixture(scope="module")
def model():
    k = keras()
    k.utils.set_random_seed(0)
    image = k.Input((8, 8, 3))
    x = k.layers.Conv2D(16, 3, activation="relu")(image)
    return k.Model(image, k.layers.GlobalAveragePooling2D()(x))


def image(number):
    return np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [0, 1, BATCH, 2 * BATCH + 3])
def test_rows_are_the_model_s_in_order(model, count):
    rows = [out.features for out in KerasEngine(model).map(image, range(count))]
    assert len(rows) == count
    for number, row in enumerate(rows):
        expected = np.asarray(model(image(number)[np.newaxis].astype(np.float32)))[0]
        np.testing.assert_allclose(row, expected, rtol=1e-5)
        assert row.dtype == np.float32


def test_a_row_does_not_depend_on_how_many_there_are(model):
    engine = KerasEngine(model)
    many = [out.features for out in engine.map(image, range(20))]
    (alone,) = [out.features for out in engine.map(image, [17])]
    (first,) = [out.features for out in engine.map(image, [0])]
    np.testing.assert_allclose(alone, many[17], rtol=1e-6)
    assert np.array_equal(first, many[0])


def test_bfloat16_is_near_and_the_setting_is_given_back(model):
    options = tensorflow().config.optimizer.get_experimental_options
    before = options()
    exact = np.stack([out.features for out in KerasEngine(model).map(image, range(4))])
    rough = np.stack([out.features for out in KerasEngine(model, "bfloat16").map(image, range(4))])
    np.testing.assert_allclose(rough, exact, rtol=0.05, atol=0.5)
    name = "auto_mixed_precision_onednn_bfloat16"
    assert options().get(name, False) == before.get(name, False)
