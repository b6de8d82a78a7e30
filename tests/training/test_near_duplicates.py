"""Held-out photos that a training photo gives away; the table and the notes of a run."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntransfer.bundle import Bundle
from cnntransfer.data.dataset import Dataset, Group, Sample
from cnntransfer.recipe import Recipe
from cnntransfer.training import near_duplicates
from cnntransfer.training.features import Features
from cnntransfer.training.near_duplicates import across_the_split
from cnntransfer.training.run import run
from tests.conftest import SMALL_RECIPE, Notes, make_photos

TRAINING, HELD_OUT = 50, 20


class Given:
    """Thumbnails by digest: the same noise for what is alike, for the others noise of their own."""

    def __init__(self, alike=(), flat=()):
        self._alike, self._flat = set(alike), set(flat)

    def of(self, digests):
        pictures = []
        for digest in digests:
            number = int(digest)
            chance = np.random.default_rng(0 if number in self._alike else number + 1)
            spread = 1 if number in self._flat else 60
            pictures.append(chance.normal(128, spread, (16, 16, 3)).clip(0, 255))
        return np.array(pictures, np.uint8)


def dataset(groups=()):
    samples = tuple(
        Sample(Path(f"/p/{n}.png"), "a", f"{n:064d}", "train" if n < TRAINING else "val")
        for n in range(TRAINING + HELD_OUT)
    )
    return Dataset(Path("/p"), ("a",), samples, groups=groups)


def features(width, views=1, cosine=0.95):
    """Of the data set; that of the last photo makes an angle with that of photo 7."""
    chance = np.random.default_rng(0)
    # As far from 0 as real ones, which are never negative.
    values = chance.normal(0, 1, (TRAINING + HELD_OUT, width))
    other = chance.normal(0, 1, width)
    other -= values[7] * (other @ values[7]) / (values[7] @ values[7])
    other *= np.linalg.norm(values[7]) / np.linalg.norm(other)
    values[-1] = cosine * values[7] + np.sqrt(1 - cosine**2) * other
    values += 5
    pairs = [(n, view) for n in range(TRAINING) for view in range(views)]
    samples, numbers = np.array(pairs).T
    rows = [values[n] + 0.1 * view for n, view in pairs]
    return (
        Features(np.array(rows, np.float32), samples, numbers),
        Features(
            values[TRAINING:].astype(np.float32),
            np.arange(TRAINING, TRAINING + HELD_OUT),
            np.zeros(HELD_OUT, np.int64),
        ),
    )


LAST = TRAINING + HELD_OUT - 1


@pytest.mark.parametrize("width", [100, 1000])
@pytest.mark.parametrize("views", [1, 3])
def test_the_photo_that_is_nearly_the_same(width, views, monkeypatch):
    monkeypatch.setattr(near_duplicates, "_BLOCK", 7)
    (pair,) = across_the_split(dataset(), Given({7, LAST}), *features(width, views))
    assert pair[:2] == (LAST, 7)
    assert pair.distance == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize(
    ("thumbnails", "cosine"),
    [
        (Given({7, LAST}), 0.8),  # Features that differ.
        (Given(), 0.95),  # Thumbnails that differ.
        (Given({7, LAST}, flat={7, LAST}), 0.95),  # No detail to tell by.
    ],
)
def test_photos_that_are_not(thumbnails, cosine):
    assert across_the_split(dataset(), thumbnails, *features(500, cosine=cosine)) == []


def test_what_is_a_group_already_is_not_said_again():
    group = Group((7, LAST), (0.0, 0.01))
    assert across_the_split(dataset((group,)), Given({7, LAST}), *features(500)) == []
    # Each in a group of its own is another matter.
    others = Group((7, 8), (0.0, 0.01)), Group((LAST - 1, LAST), (0.0, 0.01))
    assert len(across_the_split(dataset(others), Given({7, LAST}), *features(500))) == 1


# ---- A run


def table(bundle):
    with (bundle.path / "near_duplicates.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A run on photos of which three have copies; its notes."""
    folder = tmp_path_factory.mktemp("planted")
    photos = make_photos(folder / "photos")
    for source, target in (
        ("red/red1.png", "red/copy.jpg"),
        ("red/red1.png", "red/again.png"),
        ("blue/blue3.png", "green/copy.png"),
        ("green/green2.png", "green/same.png"),
    ):
        with Image.open(photos / source) as image:
            if target.endswith("copy.png"):
                image.resize((72, 60), Image.Resampling.BICUBIC).save(photos / target)
            elif target.endswith("same.png"):
                (photos / target).write_bytes((photos / source).read_bytes())
            else:
                image.save(photos / target, quality=90, compress_level=1)
    notes = Notes()
    recipe = Recipe(data=str(photos)).override({**SMALL_RECIPE, "test_split": 0.2})
    return run(recipe, folder / "run", observer=notes), notes.said


def test_copies_are_in_the_table_on_one_side(planted):
    bundle, _ = planted
    groups = {}
    for row in table(bundle):
        groups.setdefault(row["group"], []).append(row)
    by_pixels = [rows for rows in groups.values() if rows[0]["by"] == "pixels"]
    assert sorted(sorted(row["file"] for row in rows) for rows in by_pixels) == [
        ["blue/blue3.png", "green/copy.png"],
        ["green/green2.png", "green/same.png"],
        ["red/again.png", "red/copy.jpg", "red/red1.png"],
    ]
    subsets = {row["file"]: row["subset"] for row in bundle.read_table("splits")}
    for rows in by_pixels:
        assert len({row["subset"] for row in rows}) == 1
        assert float(rows[0]["distance"]) == 0
        assert all(row["subset"] == subsets[row["file"]] for row in rows)


def test_metadata_and_notes(planted):
    bundle, notes = planted
    counts = Bundle.open(bundle.path).metadata["dataset"]["near_duplicates"]
    assert (counts["groups"], counts["photos"]) == (3, 7)
    pairs = [row for row in table(bundle) if row["by"] == "features"]
    assert counts["pairs_by_features"] == len(pairs) / 2
    assert any(
        note.startswith("3 groups of near-duplicates, 7 photos, each kept on one side")
        for note in notes
    )
    assert any(
        note.startswith(
            "1 group of near-duplicates in more than one class, such as blue/blue3.png and "
            "green/copy.png: "
        )
        or note.startswith(
            "1 group of near-duplicates in more than one class, such as green/copy.png and "
            "blue/blue3.png: "
        )
        for note in notes
    )


def test_a_run_without_any_has_an_empty_table(bundle):
    assert [row for row in table(bundle) if row["by"] == "pixels"] == []
    assert bundle.metadata["dataset"]["near_duplicates"]["groups"] == 0


def test_features_of_random_weights_tell_nothing(lecture_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("cnntransfer.training.outcome.across_the_split", None)  # Fails if called.
    recipe = dataclasses.replace(lecture_recipe, weights="none")
    made = run(recipe, tmp_path / "run")
    assert made.metadata["dataset"]["near_duplicates"]["pairs_by_features"] == 0


def test_the_note_on_photos_that_features_give_away():
    data = dataset()
    pairs = across_the_split(data, Given({7, LAST}), *features(500))
    (note,) = near_duplicates.remarks(data, pairs)
    assert note.startswith(
        "1 held-out photo nearly the same to the network as a training photo (see "
        f"near_duplicates.csv), such as {LAST}.png and 7.png: "
    )
    assert list(near_duplicates.remarks(data, [])) == []
