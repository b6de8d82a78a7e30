"""Thumbnails: mean colours, kept by digest."""

import numpy as np
import pytest

from cnntransfer.data import thumbnails as module
from cnntransfer.data.fitting import InputSpec, Resize
from cnntransfer.data.thumbnails import Thumbnails, thumbnail
from cnntransfer.rows import Writer

SPEC = InputSpec((48, 64))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path / "cache"))


def digest(number):
    return f"{number:064x}"


def images(count, size=(48, 64)):
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def kept(spec=SPEC, count=3):
    with Thumbnails(spec) as thumbnails:
        for number, image in enumerate(images(count)):
            thumbnails.add(digest(number), image)
    return thumbnails


@pytest.mark.parametrize("size", [(224, 224), (64, 96), (16, 16)])
def test_a_thumbnail_is_the_mean_colour_of_every_part(size):
    (image,) = images(1, size)
    height, width = size
    parts = image.reshape(16, height // 16, 16, width // 16, 3)
    small = thumbnail(image)
    assert small.dtype == np.uint8
    assert np.abs(small - parts.mean(axis=(1, 3))).max() <= 1


@pytest.mark.parametrize("size", [(299, 299), (7, 500), (1, 1)])
def test_any_size_will_do(size):
    assert (
        thumbnail(np.full((*size, 3), (9, 99, 199), np.uint8)).reshape(-1, 3).tolist()
        == [[9, 99, 199]] * 256
    )


def test_they_are_kept():
    first = kept()
    again = Thumbnails(SPEC)
    assert [digest(number) in again for number in range(4)] == [True, True, True, False]
    order = [digest(number) for number in (2, 0, 2)]
    expected = np.stack([thumbnail(images(3)[number]) for number in (2, 0, 2)])
    for thumbnails in (first, again):
        assert np.array_equal(thumbnails.of(order), expected)


def test_what_is_kept_is_not_written_again():
    kept()
    with Thumbnails(SPEC) as thumbnails:
        thumbnails.add(digest(0), images(1)[0])
        thumbnails.add(digest(7), images(1)[0])
    assert len(Thumbnails(SPEC)._store) == 4
    assert len(list(thumbnails._store.folder.glob("*/index.npy"))) == 2


@pytest.mark.parametrize("spec", [InputSpec((48, 65)), InputSpec((48, 64), Resize.CROP)])
def test_others_belong_to_images_that_are_decoded_otherwise(spec):
    kept()
    assert digest(0) not in Thumbnails(spec)


def test_one_that_is_not_there():
    with pytest.raises(KeyError, match=digest(9)):
        kept().of([digest(0), digest(9)])


def test_a_disk_that_is_full_takes_none_away(monkeypatch):
    def full(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Writer, "_begin", full)
    assert kept().of([digest(1)]).shape == (1, 16, 16, 3)
    assert digest(1) not in Thumbnails(SPEC)


def test_another_version_may_decode_otherwise(monkeypatch):
    kept()
    assert digest(0) in Thumbnails(SPEC)
    monkeypatch.setattr(module, "__version__", "9")
    assert digest(0) not in Thumbnails(SPEC)
