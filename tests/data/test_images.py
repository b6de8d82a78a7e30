"""The decoder and resizer, on images made here: every mode, every way to be broken."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, features
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngInfo

from cnntransfer.data import formats, images
from cnntransfer.data.fitting import InputSpec, Resize
from cnntransfer.data.images import load, read, read_bytes, resize
from cnntransfer.errors import ImageError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
ORIENTATION = 0x0112


def encode(image: Image.Image, format: str = "PNG", **options) -> bytes:
    codec = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}.get(format)
    if codec and not features.check(codec):
        pytest.skip(f"this Pillow has no {format}")
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def photo(width: int = 96, height: int = 64) -> Image.Image:
    """Smooth, colourful, and different in every corner."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    wave = 0.5 + 0.5 * np.sin(9 * x + 5 * y)
    return Image.fromarray((np.stack([x, y, wave], axis=-1) * 255).astype(np.uint8))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks) -> bytes:
    """A PNG by hand, for what Pillow cannot write. ``rows`` start with a filter byte each."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    out = b"\x89PNG\r\n\x1a\n"
    for name, body in (b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""):
        out += struct.pack(">I", len(body)) + name + body
        out += struct.pack(">I", zlib.crc32(name + body))
    return out


def reason(source, spec: InputSpec | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        read(source, spec or InputSpec((8, 8)))
    assert "\n" not in caught.value.reason
    return caught.value.reason


def difference(a, b) -> int:
    return int(np.abs(np.asarray(a, dtype=int) - np.asarray(b, dtype=int)).max())


# ---- Formats and modes


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "GIF", "JPEG2000"])
def test_lossless_formats_give_the_stored_pixels(format):
    flat = Image.new("RGB", (9, 5), (200, 100, 50))
    data = encode(flat, format)
    pixels = load(data)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (5, 9, 3)
    assert pixels.flags.writeable
    assert difference(pixels, np.full((5, 9, 3), (200, 100, 50))) <= (1 if format == "GIF" else 0)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF", "MPO"])
def test_lossy_formats_come_close(format):
    assert difference(load(encode(photo(), format, quality=95)), photo()) <= 24


def test_the_content_decides_the_format_not_the_name(tmp_path: Path):
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(encode(photo(), "PNG"))
    assert np.array_equal(load(path), np.asarray(photo()))
    assert np.array_equal(load(str(path)), np.asarray(photo()))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB"])
def test_opaque_modes(mode):
    image = photo().convert(mode)
    assert np.array_equal(load(encode(image)), np.asarray(image.convert("RGB")))


def test_cmyk_jpeg_and_tiff_are_red_where_they_are_red():
    cmyk = Image.new("RGB", (32, 32), RED).convert("CMYK")
    for data in (encode(cmyk, "JPEG", quality=95), encode(cmyk, "TIFF")):
        assert difference(load(data), np.full((32, 32, 3), RED)) <= 3


def test_lab_tiff():
    lab = Image.frombytes("LAB", (1, 1), bytes([138, 81, 70]))  # L* 54, a* 81, b* 70: red
    pixel = load(encode(lab, "TIFF"))[0, 0]
    assert difference(pixel, RED) <= 12


def test_ycbcr_jpeg2000_and_tiff_do_not_keep_their_colour_space():
    ycbcr = Image.new("RGB", (8, 8), BLUE).convert("YCbCr")
    assert difference(load(encode(ycbcr, "TIFF"))[0, 0], BLUE) <= 2


# ---- Transparency: over white


def test_alpha_is_composited_over_white():
    rgba = Image.new("RGBA", (2, 1))
    rgba.putdata([(255, 0, 0, 128), (0, 0, 0, 0)])
    assert difference(load(encode(rgba))[0], [(255, 127, 127), WHITE]) <= 1
    grey = Image.new("LA", (2, 1))
    grey.putdata([(0, 255), (0, 0)])
    assert load(encode(grey))[0].tolist() == [[0, 0, 0], list(WHITE)]


def test_palette_transparency_as_an_index_and_as_bytes():
    palette = Image.new("P", (3, 1))
    palette.putpalette([*RED, *GREEN, *BLUE])
    palette.putdata([0, 1, 2])
    assert load(encode(palette, transparency=1))[0].tolist() == [list(RED), [255] * 3, list(BLUE)]
    some = load(encode(palette, transparency=bytes([255, 0, 128])))[0]
    assert difference(some, [RED, WHITE, (127, 127, 255)]) <= 1


@pytest.mark.parametrize(
    ("depth", "colour", "rows", "transparent", "expected"),
    [
        (2, 0, b"\0" + bytes([0b00011011]), b"\0\1", [0, 255, 170, 255]),
        (4, 0, b"\0" + bytes([0x05, 0xAF]), b"\0\5", [0, 255, 170, 255]),
        (8, 0, b"\0" + bytes([0, 5, 10, 250]), b"\0\5", [0, 255, 10, 250]),
        (16, 0, b"\0" + struct.pack(">4H", 0, 5, 0x8000, 257), b"\0\5", [0, 255, 128, 1]),
    ],
)
def test_png_transparent_grey_of_every_depth(depth, colour, rows, transparent, expected):
    data = png(4, 1, depth, colour, rows, (b"tRNS", transparent))
    assert load(data)[0, :, 0].tolist() == expected


def test_png_transparent_colour_of_16_bits():
    levels = (0x1234, 0x0000, 0xFFFF, 0x0100, 0x0000, 0x0000)
    rows, transparent = b"\0" + struct.pack(">6H", *levels), struct.pack(">3H", *levels[:3])
    assert load(png(2, 1, 16, 2, rows, (b"tRNS", transparent)))[0].tolist() == [
        [255] * 3,
        [1, 0, 0],
    ]


def test_fully_transparent_is_white():
    assert (load(encode(Image.new("RGBA", (4, 4), (9, 9, 9, 0)))) == 255).all()


# ---- More than 8 bits


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_not_clipped(format):
    values = np.linspace(0, 65535, 256 * 4).astype(np.uint16).reshape(4, 256)
    pixels = load(encode(Image.fromarray(values), format))
    assert np.array_equal(pixels[..., 0], np.round(values / 257.0).astype(np.uint8))
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_16_bit_grey_of_either_byte_order_and_polarity():
    values = struct.pack("<4H", 0, 257, 65535, 0x8000)
    tiff = encode(Image.frombytes("I;16", (4, 1), values), "TIFF")
    assert load(tiff)[0, :, 0].tolist() == [0, 1, 255, 128]
    big = encode(
        Image.frombytes("I;16B", (4, 1), struct.pack(">4H", 0, 257, 65535, 0x8000)), "TIFF"
    )
    assert load(big)[0, :, 0].tolist() == [0, 1, 255, 128]
    # Tag 262 (photometric interpretation): 0 says that white is zero.
    inverted = tiff.replace(struct.pack("<HHII", 262, 3, 1, 1), struct.pack("<HHII", 262, 3, 1, 0))
    assert inverted != tiff
    assert load(inverted)[0, :, 0].tolist() == [255, 254, 0, 127]


def test_32_bit_and_float_grey_are_stretched_to_their_own_finite_range():
    integers = np.array([[-1000, 0, 1000]], dtype=np.int32)
    assert load(encode(Image.fromarray(integers), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    floats = np.array([[0.25, 0.5, 0.75, np.nan, np.inf, -np.inf]], dtype=np.float32)
    pixels = load(encode(Image.fromarray(floats), "TIFF"))[0, :, 0]
    assert pixels.tolist() == [0, 128, 255, 0, 255, 0]
    for value in (7.0, np.nan):
        flat = np.full((2, 2), value, dtype=np.float32)
        assert (load(encode(Image.fromarray(flat), "TIFF")) == 0).all()


# ---- First picture


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_counts(format):
    frames = [Image.new("RGB", (6, 4), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert load(data)[0, 0].tolist() == list(RED)


# ---- EXIF


def oriented(format: str, orientation: int, **options) -> bytes:
    """``photo()`` stored so that a viewer that heeds ``orientation`` shows it upright."""
    undo = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}.get(orientation)
    stored = photo()
    if undo:
        exif = Image.Exif()
        exif[ORIENTATION] = undo
        carrier = Image.open(io.BytesIO(encode(stored, "PNG", exif=exif)))
        stored = ImageOps.exif_transpose(carrier)
        stored.info.clear()
        stored = Image.fromarray(np.asarray(stored))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encode(stored, format, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize(
    ("format", "options", "tolerance"),
    [("PNG", {}, 0), ("TIFF", {}, 0), ("JPEG", {"quality": 98, "subsampling": 0}, 8)],
)
def test_every_exif_orientation_gives_the_same_picture(format, options, tolerance, orientation):
    data = oriented(format, orientation, **options)
    assert difference(load(data), photo()) <= tolerance
    for how in Resize:
        spec = InputSpec((18, 24), how)
        wanted = resize(np.asarray(photo()), spec)
        assert difference(read(data, spec), wanted) <= tolerance + 2, how


def test_a_broken_exif_block_counts_as_none():
    for exif in (b"Exif\0\0", b"Exif\0\0MM\0*\0\0\xff\xff", b"Exif\0\0garbage", b"\0"):
        assert difference(load(encode(photo(), "JPEG", quality=95, exif=exif)), photo()) <= 24


def test_exif_that_pillow_stumbles_over_counts_as_none():
    text = PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n 4\nthis is not hexadecimal")
    data = encode(photo(), pnginfo=text)
    with pytest.raises(ValueError, match="fromhex"):
        Image.open(io.BytesIO(data)).getexif()
    assert np.array_equal(load(data), np.asarray(photo()))


# ---- Resizing


def test_stretch_shows_everything():
    image = Image.new("RGB", (40, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    pixels = read(encode(image), InputSpec((10, 10), Resize.STRETCH))
    assert pixels.shape == (10, 10, 3)
    assert pixels[5, 3].tolist() == list(RED)
    assert pixels[5, 6].tolist() == list(BLUE)


@pytest.mark.parametrize(
    ("size", "band"), [((60, 20), (20, 0, 40, 20)), ((20, 60), (0, 20, 20, 40))]
)
def test_crop_takes_the_middle_undistorted(size, band):
    image = Image.new("RGB", size, RED)
    image.paste(GREEN, band)
    pixels = read(encode(image), InputSpec((10, 10), Resize.CROP))
    assert (pixels[1:-1, 1:-1] == GREEN).all()
    # The outermost pixels mix in what lies just outside, as pixels inside do with their neighbours.
    assert difference(pixels, np.full((10, 10, 3), GREEN)) < 40


def test_crop_keeps_a_circle_round_for_any_target():
    y, x = np.mgrid[:120, :200]
    disc = np.where((x - 99.5) ** 2 + (y - 59.5) ** 2 < 40**2, 255, 0).astype(np.uint8)
    pixels = read(encode(Image.fromarray(disc)), InputSpec((60, 90), Resize.CROP))[..., 0] > 127
    height, width = np.ptp(np.nonzero(pixels), axis=1) + 1
    assert abs(int(height) - int(width)) <= 1
    assert abs(int(height) - 40) <= 1


def test_letterbox_pads_with_grey_and_loses_nothing():
    spec = InputSpec((20, 20), Resize.LETTERBOX)
    wide = read(encode(Image.new("RGB", (40, 20), RED)), spec)
    assert (wide[:5] == 128).all()
    assert (wide[5:15] == RED).all()
    assert (wide[15:] == 128).all()
    tall = read(encode(Image.new("RGB", (20, 40), RED)), spec)
    assert np.array_equal(tall, wide.transpose(1, 0, 2))


@pytest.mark.parametrize("how", Resize)
def test_extreme_shapes_fit_too(how):
    for size in ((1, 1), (1, 3000), (3000, 1), (2, 3)):
        pixels = read(encode(Image.new("RGB", size, GREEN)), InputSpec((7, 11), how))
        assert pixels.shape == (7, 11, 3)
        assert (pixels == GREEN).all(axis=-1).any()


def test_downscaling_is_antialiased():
    board = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8))
    assert difference(read(encode(board), InputSpec((8, 8))), np.full((8, 8, 3), 127.5)) <= 8


def test_resize_of_pixels_is_the_resize_of_files():
    spec = InputSpec((30, 20), Resize.CROP)
    assert np.array_equal(resize(np.asarray(photo()), spec), read(encode(photo()), spec))


@pytest.mark.parametrize("how", Resize)
def test_scaled_jpeg_decoding_looks_like_full_decoding(how, monkeypatch):
    # 801 x 603 is no multiple of 8: fractions of a pixel must not shift the picture.
    data = encode(photo(801, 603), "JPEG", quality=92)
    spec = InputSpec((64, 64), how)
    fast = read(data, spec)
    monkeypatch.setattr(JpegImageFile, "draft", lambda *_: None)
    full = read(data, spec)
    assert 0 < difference(fast, full) <= 4
    assert np.abs(fast.astype(int) - full).mean() < 0.5


@pytest.mark.parametrize(
    ("how", "decoded"),
    [
        # Twice 50 x 50 is needed of the whole, of the middle 200 x 200, of the longer side.
        (Resize.STRETCH, (800, 100)),
        (Resize.CROP, (800, 100)),
        (Resize.LETTERBOX, (200, 25)),
    ],
)
def test_jpeg_decoding_is_scaled_as_far_as_the_resize_mode_allows(how, decoded, monkeypatch):
    sizes = []
    draft = JpegImageFile.draft

    def spy(self, mode, size):
        result = draft(self, mode, size)
        sizes.append(self.size)
        return result

    monkeypatch.setattr(JpegImageFile, "draft", spy)
    assert read(encode(photo(1600, 200), "JPEG"), InputSpec((50, 50), how)).shape == (50, 50, 3)
    assert sizes == [decoded]


# ---- Refusals, word by word


def test_paths_that_are_no_readable_file(tmp_path: Path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    assert reason(empty) == "is empty (0 bytes)"
    assert reason(tmp_path) == "is a folder, not an image file"
    assert reason(tmp_path / "none.jpg") == "does not exist"
    assert reason("nul\0byte.jpg").startswith("cannot be read: ")
    with pytest.raises(ImageError, match=r"empty\.jpg: is empty \(0 bytes\)\. Copy") as caught:
        read_bytes(empty)
    assert caught.value.path == empty


def test_permission_denied(tmp_path: Path, monkeypatch):
    def refuse(*_args):
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "secret.jpg"
    path.touch()
    monkeypatch.setattr(Path, "open", refuse)
    assert reason(path) == "cannot be read: permission denied"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in this system's folders")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg") == "is not a regular file"


def test_a_file_above_the_limit_is_refused_unread(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 2 * 1024 * 1024)
    path = tmp_path / "big.png"
    with path.open("wb") as file:
        file.truncate(2 * 1024 * 1024 + 1)
    assert reason(path) == "is larger than 2 MB"


def test_reading_takes_no_more_memory_than_the_file(tmp_path):
    """Some machines count what a process may use, not what it does use."""
    path = tmp_path / "a.png"
    path.write_bytes(b"x" * 50_000)
    tracemalloc.start()
    assert read_bytes(path) == b"x" * 50_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "is empty (0 bytes)"),
        (b"<!DOCTYPE html><html>", "is not an image (it looks like an HTML page)"),
        (b"\xef\xbb\xbf \n<HTML lang=en>", "is not an image (it looks like an HTML page)"),
        (b"<?xml version='1.0'?>\n<svg>", "is an SVG drawing: export it as PNG first"),
        (b'{"error": "rate limit exceeded"}', "is not an image (it looks like text)"),
        (b"%PDF-1.7 \xff", "is not an image (it looks like a PDF document)"),
        (b"PK\x03\x04\x14\0", "is not an image (it looks like a ZIP archive)"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "is not an image (it looks like a Git LFS pointer: run git lfs pull)",
        ),
        (b"\0\0\0 ftypisom\0\0\2\0", "is not an image (it looks like a video)"),
        (bytes(4096), "is not an image (it contains only zero bytes)"),
        (b"\xde\xad\xbe\xef", "is not an image of a known format (it begins with de ad be ef)"),
        (b"\x89PNG\r\n\x1a\n", "is a damaged or unsupported PNG image"),
        (b"II*\0\x08\0\0\0", "is a damaged or unsupported TIFF image"),
    ],
)
def test_what_is_not_an_image(data, expected):
    assert reason(data) == expected


def test_heic_says_what_to_install(monkeypatch):
    monkeypatch.setattr(formats, "_heif_is_installed", lambda: False)
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
    assert reason(data) == "is HEIC, which needs: pip install 'cnntransfer[heif]'"


@pytest.mark.parametrize(
    "format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000"]
)
def test_cut_off_files_are_refused_not_half_shown(format):
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), format)
    for keep in (0.3, 0.6, 0.9):
        text = reason(data[: int(len(data) * keep)])
        assert text.startswith("is truncated or damaged: ") or "is a damaged or unsupp" in text


def test_a_global_setting_of_pillow_does_not_let_half_pictures_through(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encode(photo(300, 300), "JPEG")
    assert reason(data[: len(data) // 2]).startswith("is truncated or damaged: image file is trunc")


def test_bombs_are_refused_by_their_header(monkeypatch):
    bomb = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";"
    bomb_png = png(50_000, 50_000, 8, 0, b"")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert reason(bomb_png) == "has more than 178 million pixels"
    monkeypatch.undo()
    assert reason(bomb_png) == "has more than 178 million pixels"
    assert reason(bomb).startswith(("has more than", "is "))
    # Between Pillow's warning and its error: decoded, without the warning.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    assert read(encode(Image.new("L", (6, 6))), InputSpec((2, 2))).shape == (2, 2, 3)


def test_running_out_of_memory_is_a_reason_too(monkeypatch):
    def out_of_memory(*_args, **_options):
        raise MemoryError

    monkeypatch.setitem(Image.OPEN, "PNG", (out_of_memory, None))
    assert reason(encode(photo())) == "needs more memory than there is"


@pytest.mark.parametrize("answer", [False, "AVIF support not installed"])
def test_what_the_driver_of_a_format_does_not_take(monkeypatch, answer):
    driver, _ = Image.OPEN["PNG"]
    monkeypatch.setitem(Image.OPEN, "PNG", (driver, lambda prefix: answer))
    assert reason(encode(photo())) == "is a damaged or unsupported PNG image"


def test_a_jpeg_that_was_copied_as_text_is_refused():
    noise = np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "JPEG", quality=90)
    start = data.index(b"\xff\xda")
    mangled = data[:start].replace(b"\r", b"\x0e") + data[start:].replace(b"\r", b"\n")
    expected = "is damaged: it was once copied as text, which changed its line ends"
    assert reason(mangled) == expected
    # A flat picture has no such byte either, and is fine.
    assert load(encode(Image.new("L", (64, 64), 70), "JPEG")).shape == (64, 64, 3)


def test_a_cmyk_jpeg_with_ambiguous_colours_is_refused():
    data = bytearray(encode(Image.new("CMYK", (16, 16)), "JPEG"))
    frame = data.index(b"\xff\xc0")
    scan = data.index(b"\xff\xda")
    data[frame + 10 + 9] = data[frame + 10]  # the fourth component's id becomes the first's
    data[scan + 5 + 6] = data[scan + 5]
    assert reason(bytes(data)) == "is a CMYK JPEG with ambiguous colours: save it again as RGB"


def test_the_error_names_what_the_caller_calls_it(tmp_path: Path):
    with pytest.raises(ImageError, match=r"^upload 3: is empty \(0 bytes\)\. Copy"):
        read(b"", InputSpec((8, 8)), name="upload 3")
    with pytest.raises(ImageError, match=r"^cat\.jpg: does not exist$"):
        load(tmp_path / "cat.jpg", name="cat.jpg")
    with pytest.raises(ImageError, match=r"^is empty \(0 bytes\)$"):
        load(b"")


def test_the_same_broken_file_is_refused_every_time():
    data = encode(photo(), "PNG")[:-40]
    assert len({reason(data) for _ in range(3)}) == 1


# ---- The spec


def test_input_spec_takes_plain_values_and_checks_them():
    assert InputSpec([8, 9], "crop") == InputSpec((8, 9), Resize.CROP)
    assert str(Resize.CROP) == f"{Resize.CROP}" == Resize.CROP.value == "crop"
    with pytest.raises(ValueError, match=r"image_size must be positive. Received: \(0, 3\)"):
        InputSpec((0, 3))
    with pytest.raises(ValueError, match="zoom"):
        InputSpec((1, 1), "zoom")


# ---- Threads and fuzz


def test_four_threads_with_warnings_as_errors():
    warnings.simplefilter("error")
    noisy = Image.new("P", (64, 64))
    noisy.putpalette([*RED, *GREEN])
    tiff = encode(photo(), "TIFF").replace(
        struct.pack("<HHI", 296, 3, 1), struct.pack("<HHI", 296, 3, 9)
    )
    files = [
        encode(photo(400, 300), "JPEG"),
        encode(photo(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff"),
        encode(noisy, transparency=bytes([0, 128])),
        tiff,
        encode(photo(), "WEBP"),
    ]
    spec = InputSpec((32, 32), Resize.LETTERBOX)
    alone = [read(data, spec) for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda data: read(data, spec), files * 40))
    for i, pixels in enumerate(together):
        assert np.array_equal(pixels, alone[i % len(files)])


FORMATS = {
    "JPEG": {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"},
    "PNG": {},
    "GIF": {},
    "WEBP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
    "PPM": {},
    "AVIF": {},
    "JPEG2000": {},
}


@pytest.mark.parametrize("format", FORMATS)
def test_fuzz_only_image_errors_or_pixels(format):
    warnings.simplefilter("error")
    rng = np.random.default_rng(zlib.crc32(format.encode()))
    original = np.frombuffer(encode(photo(24, 16), format, **FORMATS[format]), np.uint8)
    spec = InputSpec((9, 7), Resize.CROP)
    reasons = []
    for _ in range(150):
        data = original.copy()
        # Headers are at the front: that is where damage is interesting.
        where = (len(data) * rng.random(rng.integers(1, 9)) ** 3).astype(int)
        data[where] = rng.integers(0, 256, len(where))
        if rng.random() < 0.2:
            data = data[: rng.integers(1, len(data))]
        try:
            pixels = read(data.tobytes(), spec)
        except ImageError as error:
            reasons.append(error.reason)
        else:
            assert pixels.shape == (9, 7, 3)
            assert pixels.dtype == np.uint8
    assert 0 < len(reasons) < 150
    # One line each, and no memory addresses.
    assert not [text for text in reasons if not text or "\n" in text or " 0x" in text]
