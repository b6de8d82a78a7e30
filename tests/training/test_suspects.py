"""Labels that look wrong: found, put first, written down, and few where none is."""

import csv

import numpy as np
import pytest

from cnntransfer.bundle import Bundle
from cnntransfer.data.dataset import Dataset, Group, Sample
from cnntransfer.models.head import HeadModel, head_layers, initial_weights
from cnntransfer.recipe import Head
from cnntransfer.training.features import Features
from cnntransfer.training.out_of_fold import Verdicts
from cnntransfer.training.suspects import (
    SUSPECT_COLUMNS,
    Suspect,
    find_suspects,
    is_confident,
    remark,
    suspect_rows,
)
from tests.conftest import make_photos

COUNT = 200


def blobs(tmp_path, classes=4, swapped=0, seed=0, spread=1.0):
    """Images of classes around centres of their own; some with the next class's label.

    Returns the data set, its features, a head that standardises, the swapped positions.
    """
    random = np.random.default_rng(seed)
    truth = np.arange(COUNT) % classes
    values = random.normal(0, 1, (classes, 20))[truth] * 2
    values = (values + random.normal(0, spread, values.shape)).astype(np.float32)
    wrong = sorted(random.choice(COUNT, swapped, replace=False).tolist())
    labels = truth.copy()
    labels[wrong] = (labels[wrong] + 1) % classes
    samples = tuple(
        Sample(
            tmp_path / f"{i}.png",
            f"c{label}",
            f"{i * 7919 % 1009:04d}",
            "train" if i % 4 else "val",
        )
        for i, label in enumerate(labels)
    )
    dataset = Dataset(tmp_path, tuple(f"c{number}" for number in range(classes)), samples)
    layers = head_layers(Head(), classes)
    head = HeadModel(layers, initial_weights(layers, values))
    return dataset, parts_of(values, dataset), head, wrong


def parts_of(values, dataset):
    return tuple(
        Features(values[rows], np.array(rows), np.zeros(len(rows), np.int64))
        for rows in (dataset.subset("train"), dataset.subset("val"))
    )


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_swapped_labels_come_first(classes, seed, tmp_path):
    dataset, parts, head, wrong = blobs(tmp_path, classes, swapped=10, seed=seed)
    suspects = find_suspects(dataset, parts, head)
    assert sorted(suspect.position for suspect in suspects[:10]) == wrong
    for suspect in suspects[:10]:
        assert suspect.suggested == f"c{suspect.position % classes}"
        assert suspect.p_label < suspect.p_suggested
    confident = [suspect.position for suspect in suspects if suspect.confident]
    assert confident
    assert set(confident) <= set(wrong)


def test_right_labels_are_no_suspects(tmp_path):
    dataset, parts, head, _ = blobs(tmp_path)
    assert find_suspects(dataset, parts, head) == ()


def test_hard_images_are_suspects_but_not_confidently(tmp_path):
    dataset, parts, head, _ = blobs(tmp_path, spread=6.0)
    suspects = find_suspects(dataset, parts, head)
    assert len(suspects) > 20
    assert sum(suspect.confident for suspect in suspects) < len(suspects) / 5
    order = [(not suspect.confident, suspect.p_label) for suspect in suspects]
    assert order == sorted(order)


@pytest.mark.parametrize("are_identical", [True, False], ids=["identical", "near-duplicates"])
def test_copies_do_not_vouch_for_a_wrong_label(tmp_path, are_identical):
    dataset, parts, head, wrong = blobs(tmp_path, swapped=2)
    values = np.empty((COUNT, 20), np.float32)
    for part in parts:
        values[part.samples] = part.values
    copies = [i for i in range(COUNT) if i % 4 == wrong[0] % 4 and i not in wrong][:6]
    samples = list(dataset.samples)
    for i in copies:  # The same picture, seven times under the wrong label.
        values[i] = values[wrong[0]]
        digest = samples[wrong[0] if are_identical else i].digest
        samples[i] = Sample(samples[i].path, samples[wrong[0]].label, digest, samples[i].subset)
    groups = () if are_identical else (Group((wrong[0], *copies), (0.0,) * (1 + len(copies))),)
    dataset = Dataset(dataset.root, dataset.class_names, tuple(samples), groups=groups)
    suspects = find_suspects(dataset, parts_of(values, dataset), head)
    assert {wrong[0], *copies} <= {suspect.position for suspect in suspects[:8]}


def test_the_only_image_of_a_class_is_no_suspect(tmp_path):
    dataset, parts, head, _ = blobs(tmp_path, swapped=10)
    samples = list(dataset.samples)
    samples[3] = Sample(samples[3].path, "d", samples[3].digest, "train")
    dataset = Dataset(dataset.root, (*dataset.class_names, "d"), tuple(samples))
    suspects = find_suspects(dataset, parts, head)
    assert len(suspects) >= 9
    assert 3 not in {suspect.position for suspect in suspects}


def test_the_same_is_found_again(tmp_path):
    first, second = (find_suspects(*blobs(tmp_path, swapped=10)[:3]) for _ in range(2))
    assert first == second


def test_confident_is_what_both_the_label_and_the_other_class_say():
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    verdicts = Verdicts(
        judged=np.array([True] * 6 + [False]),
        p_label=np.array([0.9, 0.04, 0.04, 0.8, 0.8, 0.06, 0.0], np.float32),
        other=np.array([1, 1, 1, 0, 0, 0, 0]),
        # Images of class 1 are sure of it by (0.8 + 0.8 + 0.06) / 3 = 0.553 on average.
        p_other=np.array([0.1, 0.56, 0.55, 0.2, 0.2, 0.94, 0.0], np.float32),
    )
    assert is_confident(verdicts, labels, 3).tolist() == [False, True] + [False] * 5


def test_a_photo_in_the_wrong_folder_is_named(cli, tmp_path):
    photos = make_photos(tmp_path / "photos", per_class=15)
    (photos / "red" / "red3.png").rename(photos / "blue" / "astray.png")
    small = ("--image-size", "64", "--epochs", "3", "-o", tmp_path / "run")
    code, out, err = cli("finetune", photos, *small)
    assert code == 0, err
    first, *_ = Bundle.open(tmp_path / "run").read_table("suspects", *SUSPECT_COLUMNS)
    assert (first["file"], first["label"]) == ("blue/astray.png", "blue")
    assert (first["suggested"], first["confident"]) == ("red", "yes")
    assert (
        "1 label may be wrong (see suspects.csv), such as blue/astray.png: labelled blue, looks "
        "like red\n"
    ) in err
    assert "suspects.csv" not in out


# ---- What is written and said


def test_rows_have_the_columns(tmp_path):
    dataset, *_ = blobs(tmp_path)
    (row,) = suspect_rows(dataset, [Suspect(4, "c2", 0.0123456789, 0.9, True)])
    assert tuple(row) == SUSPECT_COLUMNS
    assert list(row.values()) == ["4.png", "c0", "val", "c2", "0.0123457", "0.9", "yes"]


def test_the_remark_names_the_first_that_is_confident(tmp_path):
    dataset, *_ = blobs(tmp_path)
    doubtful, first, second = (Suspect(i, "c2", 0.1 * i, 0.9, i > 0) for i in range(3))
    assert list(remark(dataset, [doubtful])) == []
    assert list(remark(dataset, [doubtful, first])) == [
        "1 label may be wrong (see suspects.csv), such as 1.png: labelled c1, looks like c2"
    ]
    assert list(remark(dataset, [doubtful, first, second])) == [
        "2 labels may be wrong (see suspects.csv), such as 1.png: labelled c1, looks like c2"
    ]


def test_a_bundle_has_the_table(bundle):
    with (bundle.path / "suspects.csv").open(newline="") as file:
        assert tuple(next(csv.reader(file))) == SUSPECT_COLUMNS
    rows = bundle.read_table("suspects", *SUSPECT_COLUMNS)
    splits = [(row["file"], row["label"], row["subset"]) for row in bundle.read_table("splits")]
    assert {(row["file"], row["label"], row["subset"]) for row in rows} <= set(splits)
    # Its colours are easily told apart.
    assert "yes" not in {row["confident"] for row in rows}
    assert bundle.metadata["seconds"]["look for wrong labels"] > 0
