"""Augmented views: always the same pixels, and those of Keras' ``ImageDataGenerator``."""

import dataclasses
import hashlib
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cnntransfer.data.augment import Augmenter
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


def test_keras_is_imported_once_and_for_the_first_view_that_needs_it(monkeypatch):
    imports = []

    def counted():
        imports.append(1)
        return tensorflow()

    monkeypatch.setattr("cnntransfer.data.augment.tensorflow", counted)
    augmenter = Augmenter(STRONG, 0)
    augmenter.view(IMAGE, DIGESTS[0], 0)
    Augmenter(Augmentation(), 0).view(IMAGE, DIGESTS[0], 1)
    assert not imports
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda digest: augmenter.view(IMAGE, digest, 1), DIGESTS))
    assert len(imports) == 1


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


def test_numpy_s_global_random_numbers_are_left_alone():
    np.random.seed(5)
    expected = np.random.random(4)
    np.random.seed(5)
    Augmenter(STRONG, 0).view(IMAGE, DIGESTS[0], 1)
    assert np.array_equal(np.random.random(4), expected)


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
    generator = tensorflow().keras.preprocessing.image.ImageDataGenerator(
        **dataclasses.asdict(settings), data_format="channels_last"
    )
    augmenter = Augmenter(settings, 3)
    for digest in DIGESTS[:3]:
        key = hashlib.sha256(f"{digest}:2:3".encode()).digest()
        seed = int.from_bytes(key[:4], "big")
        parameters = generator.get_random_transform(IMAGE.shape, seed=seed)
        parameters["tx"], parameters["ty"] = parameters["ty"], parameters["tx"]
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
