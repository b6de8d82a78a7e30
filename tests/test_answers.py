"""Models are asked about the same images, each in its own way, in one pass."""

import csv
import itertools
import shutil
import tracemalloc

import numpy as np
import pytest

from cnntransfer import answers as module
from cnntransfer.answers import Answer, Answered, Answers, ask, write_answers
from cnntransfer.errors import DataError, OutputError
from cnntransfer.predict import predict


def some_answers(models=("a", "b")):
    """Two images of classes x and y; the second model has the classes in another order."""
    names = {"a": ("x", "y"), "b": ("y", "x", "z")}
    rows = {"a": [[0.75, 0.25], [0.5, 0.5]], "b": [[0.25, 0.5, 0.25], [1.0, 0.0, 0.0]]}
    return Answers(
        class_names={name: names[name] for name in models},
        probabilities={name: np.array(rows[name], np.float32) for name in models},
        files=("x/1.png", "y/2.png"),
        labels=("x", "y"),
        rejected=(),
        trained_on=dict.fromkeys(models),
    )


# ---- Asking


def test_answers_are_predict_s_bit_for_bit(bundle, other_bundle, photos):
    """Whatever the models' sizes, classes and company, and although files are read once."""
    assert bundle.input_spec != other_bundle.input_spec
    assert bundle.class_names != other_bundle.class_names
    models = {"one": bundle, "other": other_bundle}
    together = ask(models, photos)
    paths = [photos / file for file in together.files]
    assert len(paths) == 30
    for name, model in models.items():
        expected = np.stack([result.probabilities for result in predict(model, paths)])
        assert together.class_names[name] == model.class_names
        assert together.probabilities[name].dtype == np.float32
        assert np.array_equal(together.probabilities[name], expected)
        assert np.array_equal(ask({name: model}, photos).probabilities[name], expected)


def test_every_file_is_read_once(bundle, other_bundle, photos, monkeypatch):
    read = []
    original = module.read_bytes

    def counting(path):
        read.append(path)
        return original(path)

    monkeypatch.setattr(module, "read_bytes", counting)
    monkeypatch.setattr("cnntransfer.data.images.read_bytes", counting)
    ask({"one": bundle, "other": other_bundle}, photos, "val")
    assert sorted(read) == sorted(photos.rglob("*.png"))


def test_an_image_that_cannot_be_read_is_in_no_row(bundle, other_bundle, photos, tmp_path):
    data = shutil.copytree(photos, tmp_path / "data")
    (data / "green" / "green4.png").write_bytes(b"")
    content = (data / "red" / "red0.png").read_bytes()
    (data / "red" / "red0.png").write_bytes(content[: len(content) // 2])
    answers = ask({"one": bundle, "other": other_bundle}, data)
    assert answers.rejected == (
        ("green/green4.png", "is empty (0 bytes)"),
        ("red/red0.png", "is truncated or damaged: image file is truncated"),
    )
    assert len(answers.files) == len(answers.labels) == 28
    assert {file.split("/")[0] for file in answers.files} == {"blue", "green", "red"}
    assert [answers.probabilities[name].shape for name in answers.models] == [(28, 3), (28, 4)]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(bundle, photos, tmp_path):
    """But for names and rows. One image as the network sees it has 12 KB."""
    files = sorted(photos.rglob("*.png"))
    peaks = {}
    for count in (60, 600):
        for number, file in zip(range(count), itertools.cycle(files), strict=False):
            place = tmp_path / str(count) / file.parent.name / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file)
        measured = []
        for _ in range(2):  # What other threads import meanwhile is counted, too, but only once.
            tracemalloc.start()
            answers = ask({"one": bundle}, tmp_path / str(count))
            measured.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert len(answers.files) == count
        peaks[count] = min(measured)
    assert (peaks[600] - peaks[60]) / 540 < 3000


def test_every_model_must_know_the_classes(bundle, other_bundle, photos, tmp_path):
    shutil.copytree(photos / "red", tmp_path / "amber")
    assert ask({"other": other_bundle}, tmp_path).labels == ("amber",) * 10
    with pytest.raises(DataError) as caught:
        ask({"other": other_bundle, "one": bundle}, tmp_path)
    assert str(caught.value) == (
        f"Expected one's classes: blue, green, red. Received: 'amber' in {tmp_path}."
    )


# ---- What they say


def test_a_model_s_own_order_of_classes():
    answers = some_answers()
    assert answers.models == ("a", "b")
    assert answers.label_positions("a").tolist() == [0, 1]
    assert answers.label_positions("b").tolist() == [1, 0]
    # Of equally probable classes the first counts, as for predict.
    assert answers.is_right("a").tolist() == [True, False]
    assert answers.is_right("b").tolist() == [True, True]


def test_images_with_every_model_s_answer():
    first, second = some_answers().images()
    assert first == Answered("x/1.png", "x", {"a": Answer("x", 0.75), "b": Answer("x", 0.5)})
    assert second == Answered("y/2.png", "y", {"a": Answer("x", 0.5), "b": Answer("y", 1.0)})
    assert (first.agree, second.agree) == (True, False)


def test_a_table_of_several_models(tmp_path):
    write_answers(some_answers(), tmp_path / "new" / "a.csv")
    assert (tmp_path / "new" / "a.csv").read_text() == (
        "file,label,predicted a,probability a,predicted b,probability b,agree\n"
        "x/1.png,x,x,0.75,x,0.5,yes\n"
        "y/2.png,y,x,0.5,y,1,no\n"
    )


def test_a_table_of_one_model(tmp_path):
    write_answers(some_answers(["b"]), tmp_path / "a.csv")
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["file", "label", "predicted", "probability"],
        ["x/1.png", "x", "x", "0.5"],
        ["y/2.png", "y", "y", "1"],
    ]


def test_a_table_that_is_there(tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_answers(some_answers(), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "mine"
    write_answers(some_answers(), tmp_path / "a.csv", overwrite=True)
    assert (tmp_path / "a.csv").read_text().startswith("file,label,")
