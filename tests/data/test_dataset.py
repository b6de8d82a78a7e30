"""Reading a data set: digests, rejections, pixels within and over the budget."""

import hashlib
import shutil

import numpy as np
import pytest

from cnntransfer.data.dataset import Dataset, Pixels, Sample, read_dataset, relative_name
from cnntransfer.data.fitting import InputSpec
from cnntransfer.data.images import read
from cnntransfer.data.index import list_images
from cnntransfer.errors import DataError
from cnntransfer.progress import SILENT

SPEC = InputSpec((24, 32))


@pytest.fixture
def mine(photos, tmp_path):
    """A copy of the photos that a test may change."""
    return shutil.copytree(photos, tmp_path / "photos")


def test_every_image_has_label_digest_and_pixels(photos):
    dataset, pixels = read_dataset(list_images(photos), SPEC)
    assert dataset.class_names == ("blue", "green", "red")
    assert len(dataset) == len(pixels) == 30
    assert dataset.rejected == ()
    for position in (0, 17, 29):
        sample = dataset.samples[position]
        data = sample.path.read_bytes()
        assert sample.digest == hashlib.sha256(data).hexdigest()
        assert sample.label == sample.path.parent.name
        assert np.array_equal(pixels[position], read(data, SPEC))
    assert dataset.labels().tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert dataset.labels().dtype == np.int64


def test_unreadable_images_are_left_out_with_their_reason(mine):
    (mine / "red" / "red0.png").write_bytes(b"")
    (mine / "red" / "red9.png").write_text("<html>")
    (mine / "blue" / "cut.png").write_bytes((mine / "blue" / "blue0.png").read_bytes()[:-500])
    dataset, pixels = read_dataset(list_images(mine), SPEC)
    reasons = {dataset.name_of(r.path): r.reason for r in dataset.rejected}
    assert list(reasons) == ["blue/cut.png", "red/red0.png", "red/red9.png"]
    assert reasons["red/red0.png"] == "is empty (0 bytes)"
    assert reasons["red/red9.png"] == "is not an image (it looks like an HTML page)"
    assert reasons["blue/cut.png"].startswith("is truncated or damaged")
    assert len(dataset) == len(pixels) == 28
    for position, sample in enumerate(dataset.samples):
        assert np.array_equal(pixels[position], read(sample.path, SPEC))


@pytest.mark.parametrize("keeps", [True, False])
def test_images_are_given_away_while_they_are_read(mine, keeps):
    (mine / "red" / "red0.png").write_bytes(b"")
    known = hashlib.sha256((mine / "blue" / "blue3.png").read_bytes()).hexdigest()
    taken = {}

    def take(digest, image):
        taken[digest] = image
        return keeps

    dataset, pixels = read_dataset(list_images(mine), SPEC, SILENT, lambda d: d == known, take)
    # Neither what cannot be read nor what is known.
    assert sorted(taken) == sorted(s.digest for s in dataset.samples if s.digest != known)
    assert len(taken) == 28
    for position, sample in enumerate(dataset.samples):
        expected = read(sample.path, SPEC)
        if sample.digest != known:
            assert np.array_equal(taken[sample.digest], expected)
            assert (pixels[position] is taken[sample.digest]) is keeps
        assert np.array_equal(pixels[position], expected)


def test_a_class_without_a_readable_image(mine):
    for path in (mine / "red").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        read_dataset(list_images(mine), SPEC)
    assert str(caught.value) == (
        "Expected readable images of every class. Received: none of class 'red' can be read; "
        "red/red0.png: is empty (0 bytes). Replace the images or remove the class folder."
    )


@pytest.mark.parametrize("kept", [0, 1, 3, 30])
def test_pixels_over_the_budget_are_decoded_again(photos, kept):
    one = 24 * 32 * 3
    paths = sorted(photos.rglob("*.png"))
    pixels = Pixels(SPEC, budget=kept * one + one // 2)
    for path in paths:
        pixels.append(path, read(path, SPEC))
    assert len(pixels) == 30
    assert [np.array_equal(pixels[i], read(path, SPEC)) for i, path in enumerate(paths)] == [
        True
    ] * 30
    assert sum(pixels[i] is pixels[i] for i in range(30)) == kept


def test_subsets_and_counts():
    samples = [
        Sample("1", "a", "d1", "train"),
        Sample("2", "b", "d2", "val"),
        Sample("3", "a", "d3", "train"),
    ]
    dataset = Dataset("/x", ("a", "b"), tuple(samples))
    assert dataset.subset("train") == [0, 2]
    assert dataset.subset("val", "test") == [1]
    assert dataset.counts() == {"train": {"a": 2}, "val": {"b": 1}}


def test_the_fingerprint_follows_the_photos_not_their_names(mine, photos):
    def fingerprint(folder):
        return read_dataset(list_images(folder), SPEC)[0].fingerprint()

    original = fingerprint(photos)
    (mine / "red" / "red0.png").rename(mine / "red" / "zzz.png")
    assert fingerprint(mine) == original
    (mine / "red" / "zzz.png").rename(mine / "blue" / "zzz.png")
    assert fingerprint(mine) != original


def test_relative_names(tmp_path):
    assert relative_name(tmp_path / "a" / "b.png", tmp_path) == "a/b.png"
    assert relative_name(tmp_path / "b.png", tmp_path / "other") == f"{tmp_path}/b.png"
