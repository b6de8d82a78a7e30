"""Real photos of known classes are seldom called unknown, and those of other sets nearly always."""

from __future__ import annotations

import numpy as np
import pytest

import cnntransfer

KNOWN = ("eurosat", "brain-mri")


@pytest.fixture(scope="module")
def runs(shared, weights, tmp_path_factory):
    """A default run on each set, with photos kept apart."""
    return {
        name: cnntransfer.finetune(
            shared / "data" / name, tmp_path_factory.mktemp("runs") / name, test_split=0.25
        )
        for name in KNOWN
    }


def unknown(run, files):
    return [prediction.unknown for prediction in run.predict(files, unknown="auto")]


def test_few_photos_of_known_classes_are_unknown(runs, shared):
    answers = []
    for name, run in runs.items():
        rows = run.bundle.read_table("splits", "file", "subset")
        test = [shared / "data" / name / row["file"] for row in rows if row["subset"] == "test"]
        answers += unknown(run, test)
        recorded = run.bundle.metadata["unknown"]["rejected"]["test"]
        assert recorded == pytest.approx(np.mean(answers[-len(test) :]))
    assert len(answers) > 300
    assert 0.03 <= np.mean(answers) <= 0.08


@pytest.mark.parametrize("known", KNOWN)
def test_photos_of_other_sets_are_unknown(runs, shared, known):
    for name in {*KNOWN, "trashnet", "imagenet-check"} - {known}:
        files = sorted((shared / "data" / name).rglob("*.[jp][pn]g"))
        step = len(files) // 50
        assert np.mean(unknown(runs[known], files[::step])) >= 0.8, name


def test_the_file_is_small(runs):
    sizes = [run.path.joinpath("novelty.npz").stat().st_size for run in runs.values()]
    assert max(sizes) < 3e6
