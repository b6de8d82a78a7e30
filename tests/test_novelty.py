"""Where the unknown begins, and what is said where a bundle does not know."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest

from cnntransfer.bundle import Bundle
from cnntransfer.data.images import read
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.errors import BundleError, UsageError
from cnntransfer.novelty import Boundary, Novelty, normalised, rate_of


def known_at(validation, training=()):
    """Distances that nothing but the boundary is asked of."""
    rows = [np.array(some, np.float32) for some in (validation, training)]
    one = np.ones(2, np.float32)
    none = np.zeros((0, 2), np.float16)
    return Novelty(one * 0, one, none, none[:, 0], np.array(1, np.float32), *rows)


@pytest.mark.parametrize(
    ("rate", "threshold"),
    [
        (0.5, 5),  # As many of nine distances lie beyond as do not.
        (0.1, 9),
        (0.2, 8),
        (0.25, 7.5),
        (0.05, 9),  # Farther than all nine are one of ten.
        (0.0, 9),
        (0.9, 1),
        (1.0, 1),
    ],
)
def test_the_boundary_lies_between_known_distances(rate, threshold):
    novelty = known_at([2, 4, 6, 8], [1, 3, 5, 7, 9])
    assert Boundary(novelty, rate).threshold == pytest.approx(threshold)
    assert novelty.smallest_rate == pytest.approx(0.1)


def test_the_share_of_new_photos_beyond_is_on_average_what_was_asked_for():
    random = np.random.default_rng(0)
    for count, rate in ((19, 0.05), (30, 0.1), (200, 0.05)):
        novelties = [known_at(np.sort(random.gamma(9, size=count))) for _ in range(1500)]
        new = random.gamma(9, size=1000)
        shares = [Boundary(novelty, rate).rejected(new) for novelty in novelties]
        assert np.mean(shares) == pytest.approx(rate, abs=0.006)


def test_what_cannot_be_measured_is_unknown():
    boundary = Boundary(known_at([1, 2]), 0.5)
    assert [boundary.is_beyond(d) for d in (0.0, 1.5, 1.6, np.inf, np.nan)] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert boundary.rejected(np.array([1, np.nan, 3, 1], np.float32)) == 0.5


def test_features_are_scaled_to_one_length():
    rows = np.array([[3, 4], [0.3, 0.4], [0, 0]], np.float32)
    scaled = normalised(rows)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled[0], scaled[1], rtol=1e-6)
    np.testing.assert_allclose(np.square(scaled).mean(axis=1), [1, 1, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("raw", "rate"), [("auto", 0.05), (" AUTO", 0.05), ("0.2", 0.2), (0, 0), (1, 1), ("1e-2", 0.01)]
)
def test_rates(raw, rate):
    assert rate_of("--unknown", raw) == rate


@pytest.mark.parametrize("raw", ["", "5%", "1.01", -0.1, "nan", True, None, "photo.jpg"])
def test_what_is_no_rate(raw):
    with pytest.raises(UsageError) as caught:
        rate_of("--unknown", raw)
    assert str(caught.value) == (
        "--unknown: expected a share of known photos from 0 to 1 such as 0.05, or auto. "
        f"Received: {raw!r}."
    )


def test_remarks():
    novelty = known_at(np.arange(1, 11) / 5, np.arange(1, 30) / 15)
    (said,) = Boundary(novelty, 0.1).remarks()
    assert said == (
        "Unknown is what is farther than 1.80 from the training photos; 1 is typical of photos "
        "like them. Expect 10 % of those to be called unknown, too (of 10 validation photos: "
        "10.0 %)."
    )
    _, few = Boundary(novelty, 0.01).remarks()
    assert few == (
        "39 photos cannot tell where 1 % lie: expect 2.5 %. Train and validate with more photos, "
        "or ask for a higher rate."
    )
    assert len(Boundary(novelty, 1 / 40).remarks()) == 1


# ---- In a bundle


@pytest.fixture
def mine(bundle, tmp_path):
    """A copy of the bundle that a test may damage."""
    return shutil.copytree(bundle.path, tmp_path / "mine")


def test_a_run_knows_its_own_photos(bundle, photos):
    novelty = Novelty.open(bundle)
    assert (len(novelty.validation), len(novelty.training)) == (7, 23)
    files = sorted(photos.rglob("*.png"))
    engine = LiteRTEngine([bundle.trunk_file])
    features = np.stack([engine.run(read(file, bundle.input_spec)).features for file in files])
    assert Boundary(novelty, 0.05).rejected(novelty.distances(features)) <= 0.1
    assert bundle.metadata["unknown"]["known"] == {"val": 7, "train": 23}


def damage(path, kind):
    """Spoil a file of arrays; returns how its reason begins."""
    with np.load(path) as file:
        arrays = dict(file)
    if kind == "object":
        arrays["mean"] = np.array([{}], dtype=object)
        np.savez(path, **arrays)
        return "Object arrays cannot be loaded"
    changes = {
        "lacking": ("unit", None, "it has no array 'unit'"),
        "text": ("scale", np.array(["1"] * 8), "scale: <U1, shape (8,)"),
        "whole": ("scale", np.ones(8, np.int64), "scale: int64, shape (8,)"),
        "flat": ("components", np.ones(8, np.float16), "components: float16, shape (8,)"),
        "short": ("scale", np.ones(8, np.float32), "scale: 8 features instead of 2560"),
        "nan": ("unit", np.array(np.nan, np.float32), "unit: not all numbers are finite"),
    }
    name, array, reason = changes[kind]
    del arrays[name]
    np.savez(path, **arrays, **({} if array is None else {name: array}))
    return reason


@pytest.mark.parametrize("kind", ["object", "lacking", "text", "whole", "flat", "short", "nan"])
def test_arrays_of_another_form(mine, kind):
    reason = damage(mine / "novelty.npz", kind)
    with pytest.raises(BundleError) as caught:
        Novelty.open(Bundle.open(mine))
    text = str(caught.value)
    start = f"Expected an intact bundle. Received: {mine}, whose novelty.npz is damaged ({reason}"
    assert text.startswith(start)
    assert text.endswith(f"cnntransfer finetune --config {mine / 'recipe.yaml'}")
    assert "\n" not in text


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"no archive", "truncated", "bits"])
def test_files_that_are_no_arrays(mine, content):
    path = mine / "novelty.npz"
    whole = path.read_bytes()
    if content == "truncated":
        content = whole[: len(whole) // 2]
    elif content == "bits":
        place = len(whole) // 2
        content = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    path.write_bytes(content)
    with pytest.raises(BundleError) as caught:
        Novelty.open(Bundle.open(mine))
    assert f"Received: {mine}, whose novelty.npz is damaged (" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_archive_of_something_else(mine):
    with zipfile.ZipFile(mine / "novelty.npz", "w") as archive:
        archive.writestr("mean.npy", "no array")
    with pytest.raises(BundleError, match=r"whose novelty\.npz is damaged"):
        Novelty.open(Bundle.open(mine))


def test_a_bundle_without_distances(mine):
    (mine / "novelty.npz").unlink()
    with pytest.raises(BundleError) as caught:
        Novelty.open(Bundle.open(mine))
    assert str(caught.value) == (
        "--unknown: expected a bundle that knows how far its training photos lie apart. Received: "
        f"{mine}, which an older version wrote, or whose training photos were too few. Repeat its "
        f"run: cnntransfer reproduce {mine} -o NEW"
    )


def test_a_bare_network(mine):
    for name in ("novelty.npz", "recipe.yaml"):
        (mine / name).unlink()
    with pytest.raises(BundleError) as caught:
        Novelty.open(Bundle.open(mine))
    assert str(caught.value) == (
        "--unknown: expected a bundle that 'cnntransfer finetune' wrote. Received: the bare "
        "pretrained mobilenet, whose training photos are not known. Train on photos of yours "
        "(cnntransfer finetune FOLDER) and name the bundle: -m MODEL"
    )


def test_distances_of_another_network(bundle):
    with pytest.raises(BundleError, match=r"are of: 2560\. Received: 8\. Files of two bundles"):
        Novelty.open(bundle).distances(np.ones((1, 8), np.float32))
