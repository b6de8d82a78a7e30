"""Predictions, and what paths stand for."""

import shutil

import numpy as np
import pytest

from cnntransfer.data.images import read
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.errors import BundleError, DataError
from cnntransfer.predict import Prediction, expand, predict

NAMES = ("a", "b", "c", "d")


def of(*probabilities):
    return Prediction("x.png", NAMES, np.array(probabilities, np.float32))


def test_predictions_are_the_engine_s_for_the_decoded_file(bundle, photos):
    paths = sorted(photos.rglob("*.png"))
    engine = LiteRTEngine(bundle.litert_files)
    results = list(predict(bundle, paths))
    assert [result.path for result in results] == paths
    for result in results[::7]:
        expected = engine.run(read(result.path, bundle.input_spec)).probabilities
        assert np.array_equal(result.probabilities, expected)
        assert result.rejected is None
    right = [result.label == result.path.parent.name for result in results]
    assert sum(right) >= 28


def test_the_bundle_s_own_table_is_repeated(bundle, photos):
    rows = bundle.read_table("predictions")
    results = predict(bundle, [photos / row["file"] for row in rows])
    for row, result in zip(rows, results, strict=True):
        assert result.label == row["predicted"]
        recorded = [float(row[f"p_{name}"]) for name in bundle.class_names]
        np.testing.assert_allclose(result.probabilities, recorded, atol=2e-6)


def test_one_image_and_many_give_the_same(bundle, photos):
    path = photos / "green" / "green3.png"
    (alone,) = predict(bundle, [path])
    many = list(predict(bundle, [path] * 9))
    for result in many:
        np.testing.assert_allclose(result.probabilities, alone.probabilities, atol=1e-6)


def test_broken_files_are_rejected_in_place(bundle, photos, tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    good = photos / "red" / "red0.png"
    results = list(predict(bundle, [empty, good, tmp_path / "no.jpg"]))
    assert [result.rejected for result in results] == [
        "is empty (0 bytes)",
        None,
        "does not exist",
    ]
    assert results[0].label is None
    assert results[0].top(3) == []
    assert results[0].to_dict() == {
        "file": str(empty),
        "label": None,
        "probability": None,
        "top": [],
        "rejected": "is empty (0 bytes)",
    }


def test_nothing_to_predict(bundle):
    assert list(predict(bundle, [])) == []


def test_a_damaged_bundle_fails_at_once(bundle, tmp_path):
    copy = shutil.copytree(bundle.path, tmp_path / "copy")
    (copy / "head.tflite").write_bytes(b"x")
    with pytest.raises(BundleError):
        predict(type(bundle)(copy), [])


def test_the_best_come_first_and_equals_in_order():
    prediction = of(0.25, 0.25, 0.4, 0.1)
    assert [label for label, _ in prediction.top(4)] == ["c", "a", "b", "d"]
    assert prediction.top(1)[0][1] == pytest.approx(0.4)
    assert prediction.top(99) == prediction.top(4)
    assert prediction.label == "c"


def test_as_plain_values():
    plain = of(0.25, 0.5, 0.125, 0.125).to_dict(count=2)
    assert plain == {
        "file": "x.png",
        "label": "b",
        "probability": 0.5,
        "top": [{"label": "b", "probability": 0.5}, {"label": "a", "probability": 0.25}],
        "rejected": None,
    }
    assert type(plain["probability"]) is float


# ---- Paths


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("b.png", "a/c.jpg", "a/deep/d.JPEG", "a/notes.txt", ".hidden.png", "[x].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "none").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (["b.png"], ["b.png"]),
        (["b.png", "a", "b.png"], ["b.png", "a/c.jpg", "a/deep/d.JPEG", "b.png"]),
        (["a/notes.txt"], ["a/notes.txt"]),
        (["*.png"], ["[x].png", "b.png"]),
        (["[x].png"], ["[x].png"]),
        (["**/*.[jJ]*"], ["a/c.jpg", "a/deep/d.JPEG"]),
        (["a/*"], ["a/c.jpg", "a/notes.txt"]),
        ([], []),
    ],
)
def test_what_arguments_stand_for(tree, arguments, files):
    assert [path.as_posix() for path in expand(arguments)] == files


@pytest.mark.parametrize(
    ("argument", "received"),
    [
        ("none", "none, a folder without any."),
        ("*.gif", "*.gif, which matches no file."),
        ("no.png", "no.png, which does not exist."),
    ],
)
def test_arguments_that_stand_for_nothing(tree, argument, received):
    with pytest.raises(DataError) as caught:
        expand([argument])
    assert str(caught.value).startswith("Expected ")
    assert str(caught.value).endswith(f"Received: {received}")


def test_a_broken_link_is_left_to_be_rejected(tree, tmp_path):
    (tmp_path / "link.png").symlink_to("nowhere.png")
    assert [path.name for path in expand(["link.png"])] == ["link.png"]
