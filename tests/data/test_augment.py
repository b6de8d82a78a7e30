"""Augmented views: always the same pixels, and those of Keras' ``ImageDataGenerator``."""

import dataclasses
import hashlib
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cnntransfer.data.augment import Augmenter, random_transform
from cnntransfer.frameworks import tensorflow
from cnntransfer.recipe import AUGMENTATION_PRESETS, Augmentation

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
DIGESTS = [hashlib.sha256(bytes([i])).hexdigest() for i in range(6)]
STRONG = AUGMENTATION_PRESETS["strong"]


def views(augmenter, work):
    return {item: augmenter.view(IMAGE, *item).tobytes() for item in work}


def test_the_same_view_is_the_same_in_any_order_and_from_threads():
    work = [(digest, number) for digest in DIGESTS for number in range(4)]
    expected = views(Augmenter(STRONG, 0), work)
    shuffled = random.Random(0).sample(work, len(work))
    assert views(Augmenter(STRONG, 0), shuffled) == expected
    augmenter = Augmenter(STRONG, 0)
    with ThreadPoolExecutor(4) as pool:
        pixels = pool.map(lambda item: augmenter.view(IMAGE, *item).tobytes(), shuffled * 3)
    assert list(pixels) == [expected[item] for item in shuffled * 3]


def test_another_view_photo_or_seed_gives_other_pixels():
    pictures = {
        Augmenter(STRONG, seed).view(IMAGE, digest, number).tobytes()
        for seed in (0, 1)
        for digest in DIGESTS[:3]
        for number in (1, 2, 3)
    }
    assert len(pictures) == 2 * 3 * 3


def test_view_zero_is_the_image_itself():
    assert Augmenter(STRONG, 0).view(IMAGE, DIGESTS[0], 0) is IMAGE


def test_an_identity_changes_nothing():
    augmenter = Augmenter(Augmentation(fill_mode="wrap", cval=7.0), 0)
    assert augmenter.view(IMAGE, DIGESTS[0], 5) is IMAGE


def test_the_image_is_not_written_to():
    image = IMAGE.copy()
    image.flags.writeable = False
    changed = Augmenter(STRONG, 0).view(image, DIGESTS[0], 1)
    assert changed.dtype == np.uint8
    assert changed.shape == image.shape
    assert not np.array_equal(changed, image)


DRAWS = {
    "rotation": {"rotation_range": 30.0},
    "shift sideways": {"width_shift_range": 0.2},
    "shift down": {"height_shift_range": 0.9},
    "shift sideways by pixels": {"width_shift_range": 5.5},
    "shift down by pixels": {"height_shift_range": 1.0},
    "shifts by whole pixels": {"width_shift_range": 4, "height_shift_range": 7},
    "shear": {"shear_range": 45.0},
    "zoom by a fraction": {"zoom_range": 0.3},
    "zoom by a whole number": {"zoom_range": 1},
    "zoom in a range": {"zoom_range": (0.5, 1.5)},
    "zoom in a list": {"zoom_range": [0.8, 1.2]},
    "always the same zoom": {"zoom_range": (2.0, 2.0)},
    "no zoom": {"zoom_range": (1.0, 1.0)},
    "brightness": {"brightness_range": (0.3, 1.9)},
    "channel shift": {"channel_shift_range": 40.0},
    "mirror": {"horizontal_flip": True},
    "upside down": {"vertical_flip": True},
    "both flips": {"horizontal_flip": True, "vertical_flip": True},
    **{name: dataclasses.asdict(AUGMENTATION_PRESETS[name]) for name in ("light", "strong")},
    "all": {**dataclasses.asdict(STRONG), "vertical_flip": True},
}


def generator_of(settings):
    return tensorflow().keras.preprocessing.image.ImageDataGenerator(
        **dataclasses.asdict(settings), data_format="channels_last"
    )


def keras_parameters(generator, shape, seed):
    """What Keras draws, with the shifts that it takes for each other put right."""
    parameters = generator.get_random_transform(shape, seed=seed)
    parameters["tx"], parameters["ty"] = parameters["ty"], parameters["tx"]
    return parameters


@pytest.mark.parametrize("kind", DRAWS)
def test_the_draws_are_keras_s_to_the_last_bit(kind):
    settings = Augmentation(**DRAWS[kind])
    generator = generator_of(settings)
    for seed in [*range(300), *range(2**32 - 100, 2**32), *range(10**9, 10**9 + 100)]:
        expected = keras_parameters(generator, IMAGE.shape, seed)
        assert random_transform(settings, *IMAGE.shape[:2], seed) == expected


def test_every_setting_is_drawn_alone_and_with_all_others():
    drawn = {field.name for field in dataclasses.fields(Augmentation)} - {"fill_mode", "cval"}
    neutral = dataclasses.asdict(Augmentation())
    alone = [set(settings) for settings in DRAWS.values() if len(settings) == 1]
    assert set().union(*alone) == drawn
    assert all(DRAWS["all"][name] != neutral[name] for name in drawn)


def test_neither_numpy_s_global_random_numbers_nor_keras_are_touched():
    script = """
import sys
import numpy as np
from cnntransfer.data.augment import Augmenter
from cnntransfer.recipe import AUGMENTATION_PRESETS
np.random.seed(5)
expected = np.random.random(4)
np.random.seed(5)
image = np.zeros((8, 8, 3), np.uint8)
Augmenter(AUGMENTATION_PRESETS["strong"], 0).view(image, "0", 1)
assert np.array_equal(np.random.random(4), expected)
print(*[name for name in ("tensorflow", "keras", "scipy") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    "settings",
    [
        AUGMENTATION_PRESETS["light"],
        STRONG,
        Augmentation(zoom_range=(0.5, 1.5), fill_mode="constant", cval=30.0),
        Augmentation(vertical_flip=True, horizontal_flip=True),
        Augmentation(brightness_range=(0.3, 1.9)),
    ],
)
def test_views_are_those_of_image_data_generator(settings):
    generator = generator_of(settings)
    augmenter = Augmenter(settings, 3)
    for digest in DIGESTS[:3]:
        key = hashlib.sha256(f"{digest}:2:3".encode()).digest()
        seed = int.from_bytes(key[:4], "big")
        parameters = keras_parameters(generator, IMAGE.shape, seed)
        expected = generator.apply_transform(IMAGE.astype(np.float32), parameters)
        view = augmenter.view(IMAGE, digest, 2)
        # Rounded: half a grey level, and what the interpolation in float32 may differ.
        assert np.abs(view - np.clip(expected, 0, 255)).max() <= 0.501


def test_a_mirrored_view():
    augmenter = Augmenter(Augmentation(horizontal_flip=True), 0)
    pictures = [augmenter.view(IMAGE, digest, 1) for digest in DIGESTS]
    mirrored = [np.array_equal(picture, IMAGE[:, ::-1]) for picture in pictures]
    same = [np.array_equal(picture, IMAGE) for picture in pictures]
    assert set(zip(mirrored, same, strict=True)) == {(True, False), (False, True)}


@pytest.mark.parametrize(
    ("settings", "axis"),
    [({"width_shift_range": 0.3}, 1), ({"height_shift_range": 0.3}, 0)],
)
def test_shifts_go_where_their_names_say(settings, axis):
    dot = np.zeros((41, 61, 3), np.uint8)
    dot[20, 30] = 255
    augmenter = Augmenter(Augmentation(**settings, fill_mode="constant"), 0)
    places = [
        np.unravel_index(augmenter.view(dot, DIGESTS[0], view)[..., 0].argmax(), (41, 61))
        for view in range(1, 9)
    ]
    assert {place[1 - axis] for place in places} == {(20, 30)[1 - axis]}
    assert len({place[axis] for place in places}) > 4
