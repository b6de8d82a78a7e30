"""Small pictures of photos: the right way up, undistorted, of the photo that was meant."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from cnntransfer.data.images import read_within
from cnntransfer.data.miniatures import miniature, miniature_of_file
from cnntransfer.errors import ImageError


def half(width, height, path, **options):
    """A photo whose left half is red and right half is blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2] = (220, 30, 30)
    pixels[:, width // 2 :] = (30, 30, 220)
    Image.fromarray(pixels).save(path, **options)
    return path


def decoded(picture):
    return np.asarray(Image.open(io.BytesIO(picture.jpeg)))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (128, 96)), ((300, 900), (43, 128)), ((64, 40), (64, 40)), ((4000, 3), (128, 1))],
)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_the_shape_of_the_photo_is_kept(tmp_path, size, expected, suffix):
    picture = miniature_of_file(half(*size, tmp_path / f"x.{suffix}"), 128)
    assert (picture.width, picture.height) == expected
    assert decoded(picture).shape == (expected[1], expected[0], 3)


def test_it_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # The top of the picture is at the right.
    path = half(400, 200, tmp_path / "x.jpg", exif=exif)
    pixels = read_within(path, 100)
    assert pixels.shape == (100, 50, 3)
    assert pixels[10, 25, 0] > 150 > pixels[-10, 25, 0]


def test_only_the_photo_that_was_meant(tmp_path):
    path = half(30, 20, tmp_path / "x.png")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert miniature_of_file(path, 128, digest).width == 30
    half(20, 30, path)
    with pytest.raises(ImageError, match="was changed since the run"):
        miniature_of_file(path, 128, digest)
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError, match="is a damaged or unsupported PNG image"):
        miniature_of_file(path, 128)


def test_pixels_stay_as_they_are():
    pixels = np.full((20, 30, 3), 90, np.uint8)
    assert abs(decoded(miniature(pixels)).astype(int) - 90).max() <= 2
