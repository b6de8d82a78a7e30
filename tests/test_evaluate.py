"""Figures equal those computed by hand and by scikit-learn."""

import json
import math
import shutil

import numpy as np
import pytest
from sklearn import metrics

from cnntransfer.errors import DataError
from cnntransfer.evaluate import evaluate
from cnntransfer.metrics import figures


def random_case(classes, images, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, images)
    probabilities = random.dirichlet(np.ones(classes), images).astype(np.float32)
    return [f"c{i}" for i in range(classes)], labels, probabilities


def test_figures_by_hand():
    probabilities = np.array(
        [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.4, 0.1], [0.2, 0.3, 0.5]], np.float32
    )
    result = figures(["a", "b", "c"], np.array([0, 1, 1, 1]), probabilities, [("x", "is empty")])
    assert result.images == 4
    assert result.accuracy == 0.5
    assert result.top5_accuracy is None
    assert result.confusion == ((1, 0, 0), (1, 1, 1), (0, 0, 0))
    assert [row.label for row in result.per_class] == ["a", "b", "c"]
    assert [row.precision for row in result.per_class] == [0.5, 1.0, 0.0]
    assert [row.recall for row in result.per_class] == pytest.approx([1.0, 1 / 3, 0.0])
    assert [row.f1 for row in result.per_class] == pytest.approx([2 / 3, 0.5, 0.0])
    assert [row.support for row in result.per_class] == [1, 3, 0]
    # Class c does not occur: it counts for the mean F1, not for the mean recall.
    assert result.balanced_accuracy == pytest.approx((1 + 1 / 3) / 2)
    assert result.macro_f1 == pytest.approx((2 / 3 + 0.5) / 3)
    nats = -(math.log(0.7) + math.log(0.6) + math.log(0.4) + math.log(0.3)) / 4
    assert result.log_loss == pytest.approx(nats, rel=1e-6)
    assert result.rejected == (("x", "is empty"),)


@pytest.mark.parametrize(("classes", "images"), [(2, 5), (3, 60), (8, 200), (1000, 50)])
def test_figures_are_scikit_learn_s(classes, images):
    names, labels, probabilities = random_case(classes, images, seed=classes)
    result = figures(names, labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    index = np.arange(classes)
    assert result.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))
    expected = metrics.f1_score(labels, predicted, labels=index, average="macro", zero_division=0)
    assert result.macro_f1 == pytest.approx(expected)
    occurring = np.unique(labels)
    expected = metrics.recall_score(labels, predicted, labels=occurring, average="macro")
    assert result.balanced_accuracy == pytest.approx(expected)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    assert result.log_loss == pytest.approx(metrics.log_loss(labels, exact, labels=index), rel=1e-5)
    confusion = metrics.confusion_matrix(labels, predicted, labels=index)
    assert np.array_equal(result.confusion, confusion)
    if classes > 5:
        expected = metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=index)
        assert result.top5_accuracy == pytest.approx(expected)
    else:
        assert result.top5_accuracy is None


def test_a_certain_mistake_costs_much_but_not_infinitely():
    result = figures(["a", "b"], np.array([1]), np.array([[1.0, 0.0]], np.float32))
    assert 80 < result.log_loss < 100


def test_figures_are_plain_values():
    plain = figures(*random_case(3, 20, seed=0)).to_dict()
    assert json.loads(json.dumps(plain))["confusion"] == [list(row) for row in plain["confusion"]]


# ---- Evaluating a bundle


def test_a_bundle_on_its_photos(bundle, photos):
    result = evaluate(bundle, photos)
    assert result.images == 30
    assert result.accuracy >= 0.9
    assert result.rejected == ()
    assert np.sum(result.confusion, axis=1).tolist() == [10, 10, 10]


def test_the_recorded_figures_are_those_of_the_held_out_photos(bundle, photos, tmp_path):
    rows = [row for row in bundle.read_table("splits") if row["subset"] == "val"]
    lines = [f"{photos / row['file']},{row['label']}" for row in rows]
    manifest = tmp_path / "val.csv"
    manifest.write_text("\n".join(["file,label", *lines]))
    recorded = bundle.metadata["metrics"]["val"]
    result = evaluate(bundle, manifest).to_dict()
    assert result["images"] == recorded["images"] == len(rows)
    assert result["accuracy"] == recorded["accuracy"]
    assert result["log_loss"] == pytest.approx(recorded["log_loss"], abs=1e-4)


def test_subsets(bundle, photos, tmp_path):
    for subset, count in (("train", 1), ("val", 2), ("test", 3)):
        for i in range(count):
            target = tmp_path / "data" / subset / "red" / f"{i}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(photos / "red" / f"red{i}.png", target)
    assert evaluate(bundle, tmp_path / "data").images == 3
    assert evaluate(bundle, tmp_path / "data", "train").images == 1
    shutil.rmtree(tmp_path / "data" / "test")
    assert evaluate(bundle, tmp_path / "data").images == 2
    with pytest.raises(DataError) as caught:
        evaluate(bundle, tmp_path / "data", "test")
    assert str(caught.value) == (
        f"--subset: expected one of those in {tmp_path / 'data'} (train, val). Received: 'test'."
    )
    with pytest.raises(DataError, match=r"\(no subsets\). Received: 'val'"):
        evaluate(bundle, photos, "val")


def test_unreadable_images_are_listed(bundle, photos, tmp_path):
    data = shutil.copytree(photos, tmp_path / "data")
    (data / "red" / "red0.png").write_bytes(b"")
    result = evaluate(bundle, data)
    assert result.images == 29
    assert result.rejected == (("red/red0.png", "is empty (0 bytes)"),)


def test_no_readable_image(bundle, tmp_path):
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "1.png").touch()
    with pytest.raises(DataError) as caught:
        evaluate(bundle, tmp_path)
    assert str(caught.value) == (
        f"Expected readable images in {tmp_path}. Received: none of 1 can be read; "
        "red/1.png: is empty (0 bytes)."
    )


def test_classes_that_the_model_does_not_know(bundle, photos, tmp_path):
    shutil.copytree(photos / "red", tmp_path / "rot")
    with pytest.raises(DataError) as caught:
        evaluate(bundle, tmp_path)
    assert str(caught.value) == (
        f"Expected the model's classes: blue, green, red. Received: 'rot' in {tmp_path}."
    )
