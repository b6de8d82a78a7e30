"""The distance is Mahalanobis', left-out ones are exact, and known photos tell what is usual."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cnntransfer.bundle import Bundle
from cnntransfer.data.dataset import Dataset, Sample
from cnntransfer.models.head import standardisation
from cnntransfer.novelty import AUTO_RATE, Boundary, Novelty, normalised
from cnntransfer.training import novelty as module
from cnntransfer.training.novelty import fit_novelty, to_learn_from, write_novelty

WIDTH = 60


def photos(count, seed, centre=0, spread=0.3):
    """Features like those of photos of one kind: positive, around a centre of their own."""
    direction = np.random.default_rng(1000 + centre).uniform(0, 2, WIDTH)
    noise = np.random.default_rng(seed).normal(0, spread, (count, WIDTH))
    return np.maximum(direction + noise, 0).astype(np.float32)


def fitted(training, validation=None, **options):
    validation = photos(40, 99) if validation is None else validation
    return fit_novelty(training, validation, (WIDTH,), **{"is_tuned": False} | options)


def by_definition(training, rows, leave_out=None):
    """Mahalanobis' distances with the shrunk covariance written out, shape (len(rows),)."""
    features = normalised(training.astype(np.float64))
    mean, variance = standardisation(features.astype(np.float32), (WIDTH,))
    scale = np.sqrt(variance)
    count = len(features)
    standard = (features - mean) / scale
    level = 0.1 * np.square(standard - standard.mean(axis=0)).mean()
    if leave_out is not None:
        standard = np.delete(standard, leave_out, axis=0)
    centred = standard - standard.mean(axis=0)
    covariance = 0.9 / (count - 1) * centred.T @ centred + level * np.eye(WIDTH)
    asked = (normalised(rows.astype(np.float64)) - mean) / scale - standard.mean(axis=0)
    return np.sqrt(np.einsum("nd,de,ne->n", asked, np.linalg.inv(covariance), asked))


@pytest.mark.parametrize("count", [20, 200])  # Fewer than features, and more.
def test_the_distance_is_mahalanobis_with_a_shrunk_covariance(count):
    training, rows = photos(count, 0), np.concatenate([photos(9, 1), photos(9, 2, centre=1)])
    expected = by_definition(training, rows)
    ratio = fitted(training).distances(rows) / expected
    np.testing.assert_allclose(ratio / np.median(ratio), 1, rtol=2e-3)  # Components are float16.


@pytest.mark.parametrize("count", [3, 20, 200])
def test_training_images_are_measured_by_the_others(count):
    training = photos(count, 0)
    found = fitted(training)
    expected = [by_definition(training, training[i : i + 1], leave_out=i)[0] for i in range(count)]
    ratio = found.training / np.sort(expected)
    np.testing.assert_allclose(ratio / np.median(ratio), 1, rtol=2e-3)


def test_known_images_lie_at_one_and_others_beyond_the_boundary():
    found = fitted(photos(150, 0))
    boundary = Boundary(found, 0.05)
    known, other = found.distances(photos(2000, 5)), found.distances(photos(200, 6, centre=1))
    assert np.median(known) == pytest.approx(1, abs=0.03)
    assert 0.03 <= boundary.rejected(known) <= 0.08
    assert boundary.rejected(other) == 1


def test_a_few_photos_are_enough_for_a_boundary():
    shares = []
    for seed in range(20):
        found = fitted(photos(24, seed), photos(8, 100 + seed))
        new = found.distances(photos(400, 200 + seed))
        shares.append(Boundary(found, 0.05).rejected(new))
    assert 0.03 <= np.mean(shares) <= 0.08


def test_training_images_of_a_tuned_trunk_are_not_known():
    found = fitted(photos(150, 0), is_tuned=True)
    assert (len(found.training), len(found.validation)) == (0, 40)
    assert np.median(found.validation) == pytest.approx(1)


def test_validation_images_that_are_farther_count_alone():
    assert len(fitted(photos(150, 0), photos(40, 1)).training) == 150
    farther = fitted(photos(150, 0), photos(40, 1, spread=0.36))
    assert len(farther.training) == 0
    rejected = Boundary(farther, 0.05).rejected(farther.distances(photos(500, 2, spread=0.36)))
    assert rejected <= 0.1


def test_nearer_validation_images_do_not_narrow_the_boundary():
    assert len(fitted(photos(150, 0), photos(40, 1, spread=0.2)).training) == 150


def test_one_training_image_tells_nothing():
    assert fitted(photos(1, 0)) is None


def test_training_images_that_are_all_equal():
    found = fitted(np.repeat(photos(1, 0), 5, axis=0), np.repeat(photos(1, 0), 3, axis=0))
    same, other = found.distances(np.concatenate([photos(1, 0), photos(1, 1)]))
    boundary = Boundary(found, 0.05)
    assert (boundary.is_beyond(float(same)), boundary.is_beyond(float(other))) == (False, True)


def test_features_of_all_depths_count():
    """Without their own standard deviations, the large ones would be all that is seen."""
    training, known = photos(150, 0), photos(200, 1)
    changed = known.copy()
    changed[:, WIDTH // 2 :] = photos(200, 2, centre=1)[:, WIDTH // 2 :]
    loud = np.repeat([30.0, 1.0], WIDTH // 2).astype(np.float32)
    widths = (WIDTH // 2, WIDTH // 2)
    found = fit_novelty(training * loud, photos(40, 9) * loud, widths, is_tuned=False)
    assert Boundary(found, 0.05).rejected(found.distances(changed * loud)) == 1


def test_many_images_are_measured_block_by_block(monkeypatch):
    whole = fitted(photos(50, 0), photos(41, 1))
    monkeypatch.setattr(module, "_BLOCK", 7)
    parts = fitted(photos(50, 0), photos(41, 1)).validation
    np.testing.assert_allclose(parts, whole.validation, rtol=1e-5)


# ---- What is learned from


def dataset(labels, digests=None, subsets=None):
    digests = digests or [f"{i:04}" for i in range(len(labels))]
    subsets = subsets or ["train"] * len(labels)
    samples = tuple(
        Sample(Path(f"{i}.png"), label, digest, subset)
        for i, (label, digest, subset) in enumerate(zip(labels, digests, subsets, strict=True))
    )
    return Dataset(Path("photos"), tuple(sorted(set(labels))), samples)


def test_of_copies_one_is_learned_from_and_held_out_images_are_not():
    data = dataset("aabbb", ["x", "x", "y", "x", "z"], ["train", "train", "val", "train", "train"])
    assert to_learn_from(data) == [0, 4]


def test_of_many_images_every_class_has_its_share(monkeypatch):
    monkeypatch.setattr(module, "MOST", 9)
    positions = to_learn_from(dataset("a" * 60 + "b" * 30))
    assert len(positions) == 9
    assert sum(position < 60 for position in positions) == 6
    assert to_learn_from(dataset("ab" * 4)) == list(range(8))


# ---- What is written


def test_the_metadata_says_what_is_rejected(tmp_path):
    held_out = {"val": photos(40, 1), "test": np.concatenate([photos(30, 2), photos(10, 3, 1)])}
    said = write_novelty(Bundle(tmp_path), photos(100, 0), held_out, (WIDTH,), is_tuned=False)
    found = Novelty.open(Bundle(tmp_path))
    boundary = Boundary(found, AUTO_RATE)
    assert said == {
        "rate": 0.05,
        "distance": boundary.threshold,
        "known": {"val": 40, "train": 100},
        "rejected": {
            name: boundary.rejected(found.distances(rows)) for name, rows in held_out.items()
        },
    }
    assert 0.25 <= said["rejected"]["test"] <= 0.35


def test_nothing_is_written_where_nothing_was_fitted(tmp_path):
    held_out = {"val": photos(2, 1)}
    said = write_novelty(Bundle(tmp_path), photos(1, 0), held_out, (WIDTH,), is_tuned=False)
    assert (said, list(tmp_path.iterdir())) == (None, [])


def test_the_same_photos_give_the_same_bytes(tmp_path):
    contents = []
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        held_out = {"val": photos(30, 1)}
        write_novelty(Bundle(tmp_path / name), photos(90, 0), held_out, (WIDTH,), is_tuned=False)
        contents.append((tmp_path / name / "novelty.npz").read_bytes())
    assert contents[0] == contents[1]


def test_what_is_read_measures_as_what_was_fitted(tmp_path):
    found = fitted(photos(90, 0))
    Bundle(tmp_path).write_arrays("novelty", found.arrays())
    opened = Novelty.open(Bundle(tmp_path))
    assert np.array_equal(opened.distances(photos(9, 1)), found.distances(photos(9, 1)))
    assert dataclasses.asdict(opened).keys() == found.arrays().keys()
    assert Boundary(opened, 0.1).threshold == Boundary(found, 0.1).threshold
