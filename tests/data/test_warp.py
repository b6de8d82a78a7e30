"""The transformations are those of Keras' ``ImageDataGenerator``, which is asked each time."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cnntransfer.data.warp import warp
from cnntransfer.frameworks import tensorflow
from cnntransfer.recipe import FILL_MODES

SHIFTS = {"width_shift_range": 0.9, "height_shift_range": 0.9}
FLIPS = {"horizontal_flip": True, "vertical_flip": True}
PLACES = {
    "rotation_range": 180,
    "shear_range": 60,
    "zoom_range": (0.3, 4.0),
    **SHIFTS,
    **FLIPS,
}
KINDS = {
    "rotation": {"rotation_range": 180},
    "small rotation": {"rotation_range": 5},
    "shift sideways or down": {"width_shift_range": 0.9},
    "shift down or sideways": {"height_shift_range": 0.9},
    "both shifts": SHIFTS,
    "whole pixels": {"width_shift_range": 7, "height_shift_range": [3, 5]},
    "shear": {"shear_range": 90},
    "zoom": {"zoom_range": (0.1, 10)},
    "halves": {"zoom_range": (0.5, 0.5)},
    "horizontal flip": {"horizontal_flip": True},
    "vertical flip": {"vertical_flip": True},
    "channel shift": {"channel_shift_range": 255.0},
    "brightness": {"brightness_range": (0.0, 10.0)},
    "grey levels": {"channel_shift_range": 100.0, "brightness_range": (0.2, 3.0), **FLIPS},
    "places": PLACES,
    "places and channel shift": {**PLACES, "channel_shift_range": 100.0},
    "all": {**PLACES, "channel_shift_range": 50.0, "brightness_range": (0.2, 3.0)},
}
CVAL = 37.5
UNCHANGED = {
    **{"theta": 0, "tx": 0, "ty": 0, "shear": 0, "zx": 1, "zy": 1},
    **{"flip_horizontal": False, "flip_vertical": False},
    **{"channel_shift_intensity": None, "brightness": None},
}


def structured(height, width):
    """Gradients with noise, a white and a black rectangle; like itself in no other direction."""
    y, x = np.mgrid[:height, :width]
    ramps = [x * 255 / width, 40 + y * 170 / height, (3 * x + 5 * y) % 256]
    noise = np.random.default_rng(0).normal(0, 10, (height, width, 3))
    image = np.clip(np.stack(ramps, axis=-1) + noise, 0, 255).astype(np.uint8)
    image[height // 3 : height // 2, width // 3 : width // 2] = 255
    image[height // 2 :, : width // 4] = 0
    return image


SQUARE, WIDE = structured(48, 48), structured(36, 62)


def generator(fill_mode, **settings):
    return tensorflow().keras.preprocessing.image.ImageDataGenerator(
        **settings, fill_mode=fill_mode, cval=CVAL, data_format="channels_last"
    )


def keras_warp(source, image, parameters):
    changed = source.apply_transform(image.astype(np.float32), parameters)
    return np.clip(np.rint(changed), 0, 255)


@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_as_keras(kind, fill_mode):
    source = generator(fill_mode, **KINDS[kind])
    differences, changes = [], 0
    for image in (SQUARE, WIDE):
        for seed in range(6):
            parameters = source.get_random_transform(image.shape, seed=seed)
            expected = keras_warp(source, image, parameters)
            changed = warp(image, parameters, fill_mode, CVAL)
            assert changed.dtype == np.uint8
            assert changed.shape == image.shape
            differences.append(np.abs(changed - expected).ravel())
            changes += not np.array_equal(expected, image)
    difference = np.concatenate(differences)
    assert difference.max() <= 1
    assert np.mean(difference != 0) < 1e-4
    assert changes  # A flip may leave some as they are.


@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (7, 1), (2, 2), (3, 1)])
def test_small_images(shape, fill_mode):
    source = generator(fill_mode, **PLACES)
    image = structured(*shape)
    for seed in range(6):
        parameters = source.get_random_transform(image.shape, seed=seed)
        expected = keras_warp(source, image, parameters)
        assert np.abs(warp(image, parameters, fill_mode, CVAL) - expected).max() <= 1


def test_an_image_of_several_blocks():
    image = structured(301, 333)
    source = generator("reflect", **KINDS["all"])
    parameters = source.get_random_transform(image.shape, seed=1)
    expected = keras_warp(source, image, parameters)
    assert np.abs(warp(image, parameters, "reflect") - expected).max() <= 1


@pytest.mark.parametrize(
    ("parameters", "target", "origin"),
    [
        ({"tx": 5}, np.s_[:, :-5], np.s_[:, 5:]),
        ({"tx": -5}, np.s_[:, 5:], np.s_[:, :-5]),
        ({"ty": 5}, np.s_[:-5], np.s_[5:]),
        ({"ty": -5}, np.s_[5:], np.s_[:-5]),
        ({"theta": 180}, np.s_[:], np.s_[::-1, ::-1]),
        ({"flip_horizontal": True}, np.s_[:], np.s_[:, ::-1]),
        ({"flip_vertical": 1}, np.s_[:], np.s_[::-1]),
        ({"tx": 5, "flip_horizontal": True}, np.s_[:, 5:], np.s_[:, :4:-1]),
        ({"ty": 5, "flip_vertical": True}, np.s_[5:], np.s_[:4:-1]),
    ],
)
def test_which_pixel_goes_where(parameters, target, origin):
    changed = warp(SQUARE, {**UNCHANGED, **parameters})
    assert np.array_equal(changed[target], SQUARE[origin])


def test_what_is_outside():
    image = np.repeat(np.array([10, 20, 40, 80], np.uint8), 3).reshape(1, 4, 3)
    rows = {
        fill_mode: warp(image, {**UNCHANGED, "tx": -3}, fill_mode, 7.0)[0, :, 0].tolist()
        for fill_mode in FILL_MODES
    }
    assert rows == {
        "nearest": [10, 10, 10, 10],
        "constant": [7, 7, 7, 10],
        "reflect": [40, 20, 10, 10],
        "wrap": [80, 20, 40, 10],  # The last pixel counts as the first one.
    }


def test_unchanged_is_a_copy():
    changed = warp(SQUARE, UNCHANGED)
    assert np.array_equal(changed, SQUARE)
    assert not np.shares_memory(changed, SQUARE)


@pytest.mark.parametrize("kind", ["grey levels", "all"])
def test_an_image_that_is_read_only_or_not_contiguous(kind):
    parameters = generator("nearest", **KINDS[kind]).get_random_transform(WIDE.shape, seed=3)
    expected = warp(WIDE, parameters)
    read_only = WIDE.copy()
    read_only.flags.writeable = False
    scattered = np.asfortranarray(WIDE)
    for image in (read_only, scattered):
        changed = warp(image, parameters)
        assert np.array_equal(changed, expected)
        changed[:] = 0  # The result is the caller's.
        assert np.array_equal(image, WIDE)


def test_threads_do_not_get_into_each_other_s_way():
    sources = {mode: generator(mode, **KINDS["all"]) for mode in FILL_MODES}
    work = [
        (image, source.get_random_transform(image.shape, seed=seed), mode)
        for seed in range(10)
        for image in (SQUARE, WIDE)
        for mode, source in sources.items()
    ]
    expected = [warp(*item).tobytes() for item in work]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda item: warp(*item).tobytes(), work)) == expected
