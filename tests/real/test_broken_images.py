"""The 64 troublesome files of ``../shared/data/broken-images``: each is refused with the right
reason or decoded to the right picture. Every decoded picture was looked at once; the mean colours
below are of what was seen to be right, so that a decoder which changes its mind is noticed.

Two files that the manifest lists as decodable are refused on purpose, because what the decoders
make of them, without complaint, is not the picture:

- ``pillow__hopper_bad_exif.jpg`` has lost every carriage return byte to a copy in text mode: all
  decoders show shreds.
- ``tm-jpeg__duplicate-component-ids.jpg`` is CMYK from a PDF whose Adobe marker promises inverted
  inks that are not inverted: decoders show the negative.

One file that the manifest calls corrupt is accepted: ``me__xcsn0g01.png`` has a wrong checksum at
the end of the compressed data, but every pixel of it is intact (a black W and a white B), and the
checks of the chunk pass.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from cnntransfer.data.fitting import InputSpec, Resize
from cnntransfer.data.images import load, read
from cnntransfer.errors import ImageError

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "broken-images"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no such folder: {FOLDER}")

DAMAGED = "is truncated or damaged: "
REFUSED = {
    "1_undecodable": {
        "html_page_image_06734.jpg": "is not an image (it looks like an HTML page)",
        "me__0b7d50ac449fd59eb3de00647636d0c9.png": DAMAGED + "Truncated cHRM chunk",
        "me__40bb78b1ac031125a6d8466b374962a8.jpg": DAMAGED + "broken data stream",
        "me__IMG_1034.heic": "is HEIC, which needs: pip install 'cnntransfer[heif]'",
        "me__fddcfc778ada60229380c2493fc4c243.jpg": DAMAGED + "cannot load this image",
        "me__xd0n2c08.png": "is a damaged or unsupported PNG image",
        "me__xdtn0g01.png": DAMAGED + "cannot load this image",
        "me__xhdn0g08.png": "is a damaged or unsupported PNG image",
        "me__xs1n0g01.png": "is not an image of a known format (it begins with 09 50 4e 47",
        "pillow__broken_data_stream.png": DAMAGED,
        "pillow__shortfile.bmp": DAMAGED + "image file is truncated",
        "pillow__truncated_image.png": DAMAGED + "image file is truncated",
        "sharp__corrupt-header.jpg": DAMAGED + "Truncated File Read",
        "sharp__truncated.png": DAMAGED + "image file is truncated",
        "tm-jpeg__24_ls.jpg": DAMAGED + "broken data stream",
        "tm-jpeg__5145e95a-02a8-11e7-8372-4787a7307ab8.jpg": "is not an image of a known format",
        "tm-jpeg__514c48ea-02a8-11e7-8789-bb75321f404f.jpg": DAMAGED + "Truncated File Read",
        "tm-jpeg__broken-bogus-data-prepended-real-jfif-start-at-4801.jpg": DAMAGED,
        "tm-jpeg__broken-bogus-segment-length.jpg": DAMAGED + "broken data stream",
        "tm-jpeg__broken-sos-before-sof.jpg": "is a damaged or unsupported JPEG image",
        "zero_bytes.jpg": "is empty (0 bytes)",
    },
    "2_huge_bomb": {"pillow__decompression_bomb.gif": "has more than 178 million pixels"},
    "3_decodable_odd_mode": {
        "pillow__hopper_bad_exif.jpg": "is damaged: it was once copied as text",
        "tm-jpeg__duplicate-component-ids.jpg": "is a CMYK JPEG with ambiguous colours",
    },
}
# file: ((height, width), mean colour)
DECODED = {
    "2_huge_bomb": {"me__multipage.tif": ((6170, 4670), (246.6, 246.6, 246.6))},
    "3_decodable_odd_mode": {
        "avif__hato.profile0.8bpc.yuv420.avif": ((2048, 3082), (104.4, 92.5, 81.1)),
        "me__basn0g16.png": ((32, 32), (143.8, 143.8, 143.8)),
        "me__rgb24.bmp": ((64, 127), (121.5, 118.4, 122.9)),
        "me__xcsn0g01.png": ((32, 32), (124.5, 124.5, 124.5)),
        "pillow__200x32_la.png": ((32, 200), (181.3, 181.3, 181.3)),
        "pillow__hopper.tif": ((128, 128), (89.7, 80.1, 95.4)),
        "pillow__hopper_gray.jpg": ((128, 128), (84.7, 84.7, 84.7)),
        "pillow__iss634.webp": ((245, 245), (134.6, 136.6, 90.2)),
        "pillow__jfif_unit_cm.jpg": ((1, 1), (0, 0, 0)),
        "pillow__junk_jpeg_header.jpg": ((768, 1024), (117.1, 115.8, 116.8)),
        "pillow__l_trns.png": ((64, 64), (123.9, 123.9, 123.9)),
        "pillow__p_trns_single.png": ((64, 64), (127.9, 176.3, 162.7)),
        "pillow__pil123p.png": ((150, 162), (190.1, 188.8, 171.6)),
        "pillow__tRNS_null_1x1.png": ((1, 1), (255, 255, 255)),
        "pillow__tiff_strip_cmyk_jpeg.tif": ((100, 100), (30.2, 5.4, 7.4)),
        "pillow__transparent.gif": ((150, 200), (211.0, 202.7, 204.1)),
        "sharp__16-bit-grey-alpha.png": ((96, 109), (247.8, 247.8, 247.8)),
        "sharp__Flag_of_the_Netherlands-16bit.png": ((600, 900), (154.2, 117.6, 144.5)),
        "sharp__big-height.webp": ((169, 13), (255, 255, 255)),
        "sharp__full-transparent.png": ((300, 300), (255, 255, 255)),
        "sharp__rotating-squares.webp": ((80, 80), (199.4, 216.1, 226.2)),
        "tm-jpeg__dnl-marker.jpg": ((132, 194), (229.3, 235.5, 238.5)),
    },
    "4_exif_orientation": {
        **{
            f"exif__Landscape_{orientation}.jpg": ((1200, 1800), (98.4, 115.7, 134.1))
            for orientation in (0, 1, 3, 4, 8)
        },
        **{
            f"exif__Portrait_{orientation}.jpg": ((1800, 1200), (144.5, 155.8, 163.1))
            for orientation in (0, 1, 6, 7)
        },
    },
    "5_wrong_extension_real": {
        "brain-mri__no__No15.jpg": ((400, 393), (57.0, 57.0, 57.0)),
        "brain-mri__no__no 98.jpg": ((725, 728), (42.0, 42.0, 42.0)),
        "face-mask__with_mask__with_mask129.jpg": ((458, 458), (207.3, 210.9, 218.0)),
        "imageNotFound.gif": ((300, 300), (242.3, 242.3, 242.3)),
        "weather__test_Rain__rain195.jpg": ((735, 1028), (122.6, 124.6, 121.2)),
        "weather__train_Rain__rain141.jpg": ((288, 384), (115.7, 134.5, 124.5)),
        "weather__train_Rain__rain26.jpg": ((329, 590), (151.3, 152.0, 150.8)),
        "weather__train_Shine__shine131.jpg": ((360, 480), (84.6, 119.7, 159.1)),
    },
}
ODD = "3_decodable_odd_mode"


def rows(table: dict) -> list[tuple]:
    return [(group, name, value) for group in table for name, value in table[group].items()]


def pixels_of(name: str, group: str = ODD) -> np.ndarray:
    return load(FOLDER / group / name).astype(int)


def test_the_tables_cover_every_file():
    with (FOLDER / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        manifest = {(row["group"], row["file"]) for row in csv.DictReader(file)}
    tables = [(group, name) for group, name, _ in rows(REFUSED) + rows(DECODED)]
    assert len(tables) == len(manifest) == 64
    assert set(tables) == manifest


@pytest.mark.parametrize(("group", "name", "reason"), rows(REFUSED))
def test_refused(group, name, reason):
    if name.endswith(".heic"):
        try:
            import pillow_heif  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("pillow-heif is installed: HEIC is readable here")
    path = FOLDER / group / name
    for call in (lambda: load(path), lambda: read(path, InputSpec((224, 224))), lambda: load(path)):
        with pytest.raises(ImageError) as caught:
            call()
        assert caught.value.reason.startswith(reason)
        assert caught.value.path == path


@pytest.mark.parametrize(("group", "name", "expected"), rows(DECODED))
def test_decoded(group, name, expected):
    shape, colour = expected
    pixels = load(FOLDER / group / name)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (*shape, 3)
    np.testing.assert_allclose(pixels.mean((0, 1)), colour, atol=0.6)
    for how in Resize:
        small = read(FOLDER / group / name, InputSpec((96, 128), how))
        assert small.shape == (96, 128, 3)
        if how is Resize.STRETCH and min(shape) > 64:
            np.testing.assert_allclose(small.mean((0, 1)), colour, atol=1.5)


@pytest.mark.parametrize("kind", ["Landscape", "Portrait"])
def test_every_orientation_shows_the_same_picture(kind):
    folder = "4_exif_orientation"
    names = [name for name in DECODED[folder] if kind in name]
    spec = InputSpec((224, 224))
    reference = read(FOLDER / folder / f"exif__{kind}_1.jpg", spec).astype(int)
    for name in names:
        turned = read(FOLDER / folder / name, spec).astype(int)
        # Compressed again, and with another number in the middle; all else is the same.
        assert np.abs(turned - reference).mean() < 1.5, name
        assert np.abs(turned[:, ::-1] - reference).mean() > 20, name
        assert np.abs(turned[::-1] - reference).mean() > 20, name


def test_16_bit_grey_keeps_its_range():
    grey = pixels_of("me__basn0g16.png")[..., 0]
    assert grey.min() == 0
    assert grey.max() == 255
    assert len(np.unique(grey)) > 100
    assert (grey == 255).mean() < 0.05


def test_transparent_ground_is_white():
    for name in ("pillow__pil123p.png", "pillow__transparent.gif", "sharp__rotating-squares.webp"):
        assert (pixels_of(name)[0, 0] == 255).all(), name
    assert (pixels_of("pillow__l_trns.png")[32, 32] == 255).all()
    assert (pixels_of("pillow__p_trns_single.png")[32, 32] == 255).all()


def test_known_places_have_known_colours():
    flag = pixels_of("sharp__Flag_of_the_Netherlands-16bit.png")
    np.testing.assert_allclose(flag[100, 450], (174, 28, 40), atol=2)
    np.testing.assert_allclose(flag[300, 450], (255, 255, 255), atol=2)
    np.testing.assert_allclose(flag[500, 450], (33, 70, 139), atol=3)
    # Red letters on black, a red corner at the top left: neither inverted nor CMYK as RGB.
    cmyk = pixels_of("pillow__tiff_strip_cmyk_jpeg.tif")
    assert cmyk[2, 2, 0] > 180
    assert cmyk[2, 2, 1:].max() < 60
    assert cmyk[95, 95].max() < 40
    # A bilevel TIFF with its polarity swapped would be a black page.
    page = load(FOLDER / "2_huge_bomb" / "me__multipage.tif")
    assert (page[500:600, 500:600] == 255).all()
    assert (page == 255).mean() > 0.9
    # A JPEG whose height stands behind its pixels (DNL): all rows are there, white to the end.
    assert pixels_of("tm-jpeg__dnl-marker.jpg")[-1].min() > 240
