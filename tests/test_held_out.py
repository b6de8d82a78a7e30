"""Held-out predictions as tables of a bundle have them."""

import shutil

import numpy as np
import pytest

from cnntransfer.bundle import Bundle
from cnntransfer.errors import BundleError
from cnntransfer.held_out import read_held_out

NAMES = ("blue", "green", "red")
HEADER = "file,subset,label,predicted,p_blue,p_green,p_red\n"


@pytest.fixture
def mine(bundle, tmp_path):
    return Bundle(shutil.copytree(bundle.path, tmp_path / "mine"))


def test_the_predictions_of_a_run(bundle):
    held_out = read_held_out(bundle, bundle.class_names)
    rows = bundle.read_table("predictions")
    assert list(held_out.files) == [row["file"] for row in rows]
    assert [NAMES[i] for i in held_out.labels] == [row["label"] for row in rows]
    assert [NAMES[i] for i in held_out.predicted] == [row["predicted"] for row in rows]
    np.testing.assert_array_equal(held_out.probabilities[:, 2], [float(r["p_red"]) for r in rows])


def test_one_subset(mine):
    lines = ["a,val,red,red,0,0,1", "b,test,blue,green,0.3,0.6,0.1", "c,val,green,green,0,1,0"]
    (mine.path / "predictions.csv").write_text(HEADER + "\n".join(lines) + "\n")
    test = read_held_out(mine, NAMES).of("test")
    assert (test.files, test.subsets) == (("b",), ("test",))
    assert (test.labels.tolist(), test.predicted.tolist()) == ([0], [1])
    assert test.probabilities.tolist() == [[0.3, 0.6, 0.1]]
    assert len(read_held_out(mine, NAMES).of("train")) == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a,val,red,red,1,0,", "line 2 lacks a probability"),
        ("a,val,red,red,1,0,nan", "line 2 lacks a probability"),
        ("a,val,grey,red,1,0,0", "line 2 has the unknown class 'grey'"),
        ("a,val,red,,1,0,0", "line 2 has the unknown class ''"),
    ],
)
def test_damaged(mine, line, reason):
    (mine.path / "predictions.csv").write_text(f"{HEADER}{line}\n")
    with pytest.raises(BundleError, match=rf"predictions\.csv is damaged \({reason}\)"):
        read_held_out(mine, NAMES)
