"""Near-duplicates: copies are found, others are not, nothing is overlooked by the search."""

import functools
import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntransfer.data import duplicates
from cnntransfer.data.dataset import Dataset, Sample
from cnntransfer.data.duplicates import Pictures, near_duplicates
from cnntransfer.data.fitting import InputSpec
from cnntransfer.data.images import read, resize
from cnntransfer.data.thumbnails import thumbnail

SPEC = InputSpec((224, 224))
SIZE = (320, 240)


@functools.cache
def scene(seed, spread=40.0):
    """A picture with large and small things in it, unlike any of another seed."""
    chance = np.random.default_rng(seed)
    pixels = np.full((SIZE[1], SIZE[0], 3), chance.uniform(80, 170, 3))
    for cells in (3, 6, 12, 24):
        patches = chance.normal(0, spread / 2, (cells, cells, 3)).astype(np.float32)
        for channel in range(3):
            image = Image.fromarray(patches[..., channel])
            pixels[..., channel] += np.asarray(image.resize(SIZE, Image.Resampling.BICUBIC))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def file(image, form="PNG", **options):
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def seen(image):
    """The thumbnail of a picture, or of a file of one."""
    is_file = isinstance(image, bytes)
    return thumbnail(read(image, SPEC) if is_file else resize(np.asarray(image), SPEC))


class Given:
    """Thumbnails by digest."""

    def __init__(self, thumbnails):
        self.thumbnails = dict(thumbnails)

    def of(self, digests):
        return np.stack([self.thumbnails[digest] for digest in digests])


def groups(thumbnails, sizes=None, digests=None):
    """The groups of a data set whose photos have these thumbnails."""
    digests = digests or [f"{number:064x}" for number in range(len(thumbnails))]
    samples = tuple(
        Sample(Path(f"{number}.png"), "a", digest, None, sizes[number] if sizes else 0)
        for number, digest in enumerate(digests)
    )
    given = Given(zip(digests, thumbnails, strict=True))
    return near_duplicates(Dataset(Path(), ("a",), samples), given)


def positions(thumbnails, **options):
    return [sorted(group.positions) for group in groups(thumbnails, **options)]


# ---- What is the same picture

COPIES = {
    "PNG": lambda image: file(image),
    "JPEG": lambda image: file(image, "JPEG", quality=60),
    "half": lambda image: file(image.resize((160, 120), Image.Resampling.BICUBIC)),
    "half JPEG": lambda image: file(
        image.resize((160, 120), Image.Resampling.BICUBIC), "JPEG", quality=60
    ),
    "brighter": lambda image: file(image.point(lambda level: min(255, level * 1.1 + 5)), "JPEG"),
    "darker": lambda image: file(image.point(lambda level: level * 0.9), "JPEG"),
    "less contrast": lambda image: file(image.point(lambda level: 50 + level * 0.6), "JPEG"),
    "mirrored": lambda image: file(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "JPEG"),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_found(how):
    originals = [scene(seed) for seed in range(10)]
    thumbnails = [*map(seen, originals), *(seen(COPIES[how](image)) for image in originals)]
    assert positions(thumbnails) == [[i, i + 10] for i in range(10)]


def test_all_copies_of_a_picture_are_one_group():
    thumbnails = [seen(scene(seed)) for seed in range(5)]
    thumbnails += [seen(make(scene(3))) for make in COPIES.values()]
    assert positions(thumbnails) == [[3, *range(5, 5 + len(COPIES))]]


def test_distances_are_from_the_largest_file():
    image = scene(0)
    thumbnails = [
        seen(file(image.resize((80, 60)), "JPEG", quality=30)),
        seen(image),
        seen(file(image, "JPEG", quality=60)),
        seen(image),
    ]
    (group,) = groups(thumbnails, sizes=[100, 9000, 800, 9000])
    assert group.positions == (1, 3, 2, 0)
    assert group.distances[:2] == (0, 0)
    assert 0 < group.distances[2] < group.distances[3] < 0.05


def test_a_mirrored_copy_is_near():
    image = scene(0)
    (group,) = groups([seen(image), seen(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))])
    assert max(group.distances) < 0.01


def test_byte_identical_files_are_a_group_whatever_they_show():
    flat = np.full((16, 16, 3), 200, np.uint8)
    (group,) = groups([flat, flat], digests=["a" * 64] * 2)
    assert (group.positions, group.distances) == ((0, 1), (0, 0))


# ---- What is not


def test_different_pictures():
    assert positions([seen(scene(seed)) for seed in range(100)]) == []


def changed(pixels, part, colour):
    pixels = pixels.copy()
    pixels[part] = colour
    return pixels


OTHERS = {
    # A photo of the same place with something new in one part of 256.
    "one part": lambda pixels: changed(pixels, np.s_[5, 9], pixels[5, 9] + 128),
    # The same drawing in another colour.
    "another colour": lambda pixels: pixels[:, :, [1, 2, 0]],
    "turned": lambda pixels: pixels.transpose(1, 0, 2),
    "negative": lambda pixels: 255 - pixels,
    "shifted": lambda pixels: np.roll(pixels, 1, axis=1),
}


@pytest.mark.parametrize("what", OTHERS)
def test_others_are_not_found(what):
    for seed in range(10):
        pixels = seen(scene(seed))
        other = OTHERS[what](pixels)
        assert positions([pixels, other.astype(np.uint8)]) == [], seed


def test_colours_count_even_where_the_luminance_is_the_same():
    for seed in range(10):
        pixels = seen(scene(seed, spread=12)).astype(np.float32)
        other = pixels.copy()
        other[:, 8:] += np.array([40, -40 * 0.299 / 0.587, 0])
        both = np.stack([pixels, other])
        assert both.min() > 0
        assert both.max() < 255
        assert positions(both.astype(np.uint8)) == [], seed


def test_the_shading_of_a_lens_is_no_detail():
    chance = np.random.default_rng(0)
    down, across = np.mgrid[-1:1:16j, -1:1:16j]
    shading = 5 * (down**2 + across**2) ** 2
    skies = [chance.uniform(90, 200) - shading + chance.normal(0, 0.1, (16, 16)) for _ in range(30)]
    skies = [np.repeat(sky[..., None], 3, axis=2).round().astype(np.uint8) for sky in skies]
    pictures = Pictures(np.stack(skies))
    assert pictures.correlations(np.array([0]), np.array([1])).max() > 0.95
    assert positions(skies) == []


def test_pictures_without_detail_are_the_same_only_when_equal():
    chance = np.random.default_rng(0)
    sea = [np.full((16, 16, 3), 120) + chance.integers(-1, 2, (16, 16, 3)) for _ in range(50)]
    sea = [thumbnail.astype(np.uint8) for thumbnail in sea]
    assert positions([*sea, sea[7]]) == [[7, 50]]
    assert positions([np.full((16, 16, 3), level, np.uint8) for level in range(20)]) == []


def test_skies_are_not_the_same():
    """Slopes and curvatures alone: any two of one direction correlate with more than 0.99."""
    chance = np.random.default_rng(0)
    down, across = np.mgrid[-1:1:16j, -1:1:16j]
    skies = []
    for _ in range(60):
        x, y, xx, yy = chance.uniform(0.8, 1, 4) * (9, 40, 3, 6)
        noise = chance.normal(0, 0.7, (16, 16))
        sky = 150 + x * across + y * down + xx * across**2 + yy * down**2 + noise
        skies.append(np.repeat(sky[..., None], 3, axis=2).clip(0, 255).astype(np.uint8))
    assert positions(skies) == []


# ---- Names and order


def test_names_and_order_decide_nothing():
    thumbnails = [seen(scene(seed)) for seed in range(8)]
    thumbnails += [seen(make(scene(seed))) for make in COPIES.values() for seed in (1, 4)]
    digests = [f"{7919 * number % 1009:064x}" for number in range(len(thumbnails))]
    sizes = [1000 - number for number in range(len(thumbnails))]

    def found(order):
        return {
            tuple(order[position] for position in group.positions): group.distances
            for group in groups(
                [thumbnails[i] for i in order],
                sizes=[sizes[i] for i in order],
                digests=[digests[i] for i in order],
            )
        }

    order = list(range(len(thumbnails)))
    before = found(order)
    assert sorted(map(len, before)) == [1 + len(COPIES)] * 2
    random.Random(0).shuffle(order)
    assert found(order) == before


# ---- The search


def test_no_pair_is_overlooked(monkeypatch):
    monkeypatch.setattr(duplicates, "_BLOCK", 37)
    chance = np.random.default_rng(0)
    base = np.stack([seen(scene(seed)) for seed in range(40)]).astype(np.float32)
    # Noise that brings the correlations to both sides of the threshold, half of it mirrored.
    noisy = [base + chance.normal(0, spread, base.shape) for spread in (4, 8, 12, 16)]
    noisy = [x if number % 2 else x[:, :, ::-1] for number, x in enumerate(noisy)]
    pictures = Pictures(np.concatenate([base, *noisy]).clip(0, 255).astype(np.uint8))
    everyone = np.arange(len(pictures.thumbnails))
    one, other = (x.ravel() for x in np.meshgrid(everyone, everyone, indexing="ij"))
    correlations = pictures.correlations(one, other).max(axis=0)
    high = (correlations >= 0.97) & (one < other)
    found = [(int(i), int(j)) for a, b in pictures.candidates() for i, j in zip(a, b, strict=True)]
    expected = [(int(i), int(j)) for i, j in zip(one[high], other[high], strict=True)]
    assert sorted(found) == sorted(expected)
    assert 60 < len(expected) < 250


def test_details_and_their_mirror_images():
    """Against the definition: a fit of least squares, and SciPy's cosine transform."""
    from scipy.fft import dctn

    luminance = np.array([0.299, 0.587, 0.114])
    thumbnails = np.stack([seen(scene(seed)) for seed in range(5)])
    down, across = np.mgrid[0:16, 0:16].reshape(2, -1)
    smooth = np.stack([across**i * down**j for i in range(3) for j in range(3 - i)], axis=1)
    for flipped in (thumbnails, thumbnails[:, :, ::-1]):
        values = (flipped @ luminance).reshape(5, -1).T
        rest = values - smooth @ np.linalg.lstsq(smooth, values, rcond=None)[0]
        hashes = dctn(rest.T.reshape(5, 16, 16), axes=(1, 2), norm="ortho")[:, :8, :8].reshape(
            5, 64
        )
        hashes /= np.linalg.norm(hashes, axis=1, keepdims=True)
        assert np.allclose(Pictures(np.ascontiguousarray(flipped)).details, hashes, atol=1e-4)
    mirrored = Pictures(np.concatenate([thumbnails, thumbnails[:, :, ::-1]]))
    plain, flipped = mirrored.correlations(np.arange(5), np.arange(5, 10))
    assert np.allclose(flipped, 1, atol=1e-4)
    assert plain.max() < 0.9


def test_many_copies_are_one_group_though_only_the_nearest_are_compared(monkeypatch):
    monkeypatch.setattr(duplicates, "_NEAREST", 3)
    compared = []
    are_same = Pictures.are_same

    def counting(self, one, other):
        compared.append(len(one))
        return are_same(self, one, other)

    monkeypatch.setattr(Pictures, "are_same", counting)
    chance = np.random.default_rng(0)
    noise = chance.integers(-2, 3, (400, 16, 16, 3))
    thumbnails = (seen(scene(0)) + noise).clip(0, 255).astype(np.uint8)
    assert positions(thumbnails) == [list(range(400))]
    # Three for each of them, and all of them once with the first.
    assert sum(compared) < 2 * 3 * 400 + 400


def film(count):
    """A light moves over the scene: each frame is like the next and unlike later ones."""
    still = seen(scene(0)).astype(np.float32)
    down, across = np.mgrid[0:16, 0:16]
    frames = []
    for number in range(count):
        x = 2 + 12 * number / count
        light = 60 * np.exp(-((across - x) ** 2 + (down - 8) ** 2) / 6)
        frames.append((still + light[..., None]).clip(0, 255).astype(np.uint8))
    return frames


def test_a_series_is_cut_into_groups_that_are_the_same_as_their_first():
    frames = film(60)
    found = groups(frames)
    assert len(found) > 3
    assert sum(len(group.positions) for group in found) > 50
    pictures = Pictures(np.stack(frames))
    for group in found:
        own = np.array(group.positions)
        assert pictures.are_same(np.full(len(own), own[0]), own).all()


def test_few_frames_stay_together():
    frames = film(60)[:20:2]
    pictures = Pictures(np.stack(frames))
    assert not pictures.are_same(np.array([0]), np.array([9]))[0]
    assert positions(frames) == [list(range(10))]


def test_sets():
    chance = random.Random(0)
    sets, labels = duplicates._Sets(300), list(range(300))
    for _ in range(250):
        one, other = chance.randrange(300), chance.randrange(300)
        sets.join(one, other)
        labels = [labels[one] if label == labels[other] else label for label in labels]
    for one in range(300):
        for other in range(0, 300, 7):
            assert (sets.find(one) == sets.find(other)) == (labels[one] == labels[other])
