"""The bundle's files, and what is said of one that is damaged, too new or none."""

import json
import os
import shutil

import pytest

from cnntransfer import bundle as bundle_module
from cnntransfer.bundle import FORMAT_VERSION, Bundle, write_csv, write_labels
from cnntransfer.data.fitting import InputSpec
from cnntransfer.errors import BundleError
from cnntransfer.predict import predict


@pytest.fixture
def mine(bundle, tmp_path):
    """A copy of the bundle that a test may damage."""
    return shutil.copytree(bundle.path, tmp_path / "mine")


def refusal(call, *arguments):
    with pytest.raises(BundleError) as caught:
        call(*arguments)
    return str(caught.value)


def damaged(path, name, reason):
    return (
        f"Expected an intact bundle. Received: {path}, whose {name} is damaged ({reason}). "
        "Copy it again, or repeat the run with: "
        f"cnntransfer finetune --config {path / 'recipe.yaml'}"
    )


def edit_metadata(path, **changes):
    file = path / "metadata.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_every_file_that_the_docstring_names_is_there_and_no_other(bundle):
    block = bundle_module.__doc__.split("::")[1].split("\n\n")[1]
    documented = {line.split()[0] for line in block.splitlines() if line.strip()}
    assert {path.name for path in bundle.path.iterdir()} == documented


def test_a_bundle_tells_what_it_holds(bundle):
    opened = Bundle.open(bundle.path)
    assert opened.class_names == ("blue", "green", "red")
    assert opened.input_spec == InputSpec((64, 64), "stretch")
    assert opened.metadata["format_version"] == FORMAT_VERSION
    assert {row["subset"] for row in opened.read_table("splits")} == {"train", "val"}
    assert set(opened.metadata["files"]) == {"model.keras", "trunk.tflite", "head.tflite"}
    opened.check_checksums()


def test_a_bundle_can_be_moved(bundle, tmp_path, photos):
    moved = shutil.copytree(bundle.path, tmp_path / "else where" / "Übung")
    (prediction,) = predict(Bundle.open(moved), [photos / "red" / "red0.png"])
    assert prediction.label == "red"


# ---- No bundle


def test_what_is_no_bundle(tmp_path):
    expected = "Expected a bundle, a folder that 'cnntransfer finetune' wrote. Received: "
    assert (
        refusal(Bundle.open, tmp_path) == f"{expected}{tmp_path}, a folder without metadata.json."
    )
    (tmp_path / "file").touch()
    assert refusal(Bundle.open, tmp_path / "file") == f"{expected}{tmp_path}/file, a file."
    assert (
        refusal(Bundle.open, tmp_path / "no") == f"{expected}{tmp_path}/no, which does not exist."
    )


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 99, "2", None])
def test_a_newer_format(mine, version):
    edit_metadata(mine, format_version=version)
    assert refusal(Bundle.open, mine) == (
        f"Expected a bundle of format version {FORMAT_VERSION} or lower. Received: {mine} of "
        f"format version {version}. Upgrade: pip install --upgrade cnntransfer"
    )


# ---- Damage


@pytest.mark.parametrize("name", ["model.keras", "trunk.tflite", "head.tflite"])
def test_missing_and_truncated_model_files(mine, name):
    size = (mine / name).stat().st_size
    with (mine / name).open("r+b") as file:
        file.truncate(1000)
    assert refusal(Bundle.open, mine) == damaged(mine, name, f"1000 bytes instead of {size}")
    (mine / name).unlink()
    assert refusal(Bundle.open, mine) == damaged(mine, name, "it is missing")


def test_changed_model_files_are_noticed_before_they_are_loaded(mine):
    with (mine / "model.keras").open("r+b") as file:
        file.seek(5000)
        file.write(b"changed")
    opened = Bundle.open(mine)
    expected = damaged(mine, "model.keras", "its checksum differs from the recorded one")
    assert refusal(opened.check_checksums) == expected
    assert refusal(opened.load_keras) == expected


def test_a_keras_file_that_is_none(mine):
    (mine / "model.keras").write_bytes(b"not a zip")
    opened = Bundle(mine)
    opened.write_metadata(opened.metadata)
    assert refusal(Bundle.open(mine).load_keras).startswith(
        damaged(mine, "model.keras", "x").partition("(x)")[0]
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000])
def test_damaged_metadata(mine, content):
    (mine / "metadata.json").write_bytes(content)
    text = refusal(Bundle.open, mine)
    assert text.startswith(f"Expected an intact bundle. Received: {mine}, whose metadata.json is")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"files": []}, "files: expected an object, found []"),
        ({"files": None}, "files: expected an object, found null"),
        ({"files": {"x": 3}}, "files.x: expected an object, found 3"),
        ({"files": {"x": {}}}, "files.x.bytes: expected a whole number, found nothing"),
        ({"files": {"x": {"bytes": 1}}}, "files.x.sha256: expected a text, found nothing"),
        ({"backbone": ["vgg16"]}, 'backbone: expected a text, found ["vgg16"]'),
        ({"weights": "auto"}, 'weights: expected an object, found "auto"'),
        ({"output": 3}, "output: expected an object, found 3"),
        ({"output": {}}, "output.classes: expected a whole number, found nothing"),
        ({"output": {"classes": "3"}}, 'output.classes: expected a whole number, found "3"'),
        ({"output": {"classes": True}}, "output.classes: expected a whole number, found true"),
        ({"dataset": "x"}, 'dataset: expected an object, found "x"'),
        ({"dataset": {"rejected": []}}, "dataset.rejected: expected a whole number, found []"),
        ({"metrics": []}, "metrics: expected an object, found []"),
        ({"metrics": {"val": 1}}, "metrics.val: expected an object, found 1"),
        (
            {"metrics": {"val": {"accuracy": None}}},
            "metrics.val.accuracy: expected a number, found null",
        ),
        (
            {"metrics": {"val": {"intervals": {"accuracy": {"low": "0"}}}}},
            'metrics.val.intervals.accuracy.low: expected a number, found "0"',
        ),
        ({"calibration": 1.5}, "calibration: expected an object, found 1.5"),
        ({"seconds": 3.5}, "seconds: expected an object, found 3.5"),
        ({"seconds": {"train": "1"}}, 'seconds.train: expected a number, found "1"'),
    ],
)
def test_metadata_of_another_shape(mine, change, reason):
    edit_metadata(mine, **change)
    assert refusal(Bundle.open, mine) == damaged(mine, "metadata.json", reason)


@pytest.mark.parametrize("name", ["backbone", "weights", "input", "output", "files"])
def test_metadata_that_lacks_what_every_bundle_has(mine, name):
    content = json.loads((mine / "metadata.json").read_text())
    del content[name]
    (mine / "metadata.json").write_text(json.dumps(content))
    assert f"whose metadata.json is damaged ({name}: expected" in refusal(Bundle.open, mine)


def test_metadata_may_lack_what_a_bare_network_has_not(mine):
    content = json.loads((mine / "metadata.json").read_text())
    for name in ("dataset", "metrics", "calibration", "seconds"):
        del content[name]
    (mine / "metadata.json").write_text(json.dumps(content))
    Bundle.open(mine)


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        (None, "input: expected an object, found null"),
        ({}, "input.height: expected a whole number, found nothing"),
        ({"height": "64"}, 'input.height: expected a whole number, found "64"'),
        ({"height": 64, "width": 6.5}, "input.width: expected a whole number, found 6.5"),
        (
            {"height": 64, "width": 64, "resize": 3},
            "input.resize: expected a text, found 3",
        ),
        (
            {"height": 64, "width": 64, "resize": "zoom"},
            "input: 'zoom' is not a valid Resize",
        ),
        (
            {"height": 0, "width": 1, "resize": "crop"},
            "input: image_size must be positive. Received: (0, 1)",
        ),
    ],
)
def test_metadata_without_a_usable_input(mine, described, reason):
    edit_metadata(mine, input=described)
    assert refusal(Bundle.open, mine) == damaged(mine, "metadata.json", reason)


def test_labels(mine):
    def names():
        return Bundle.open(mine).class_names

    labels = mine / "labels.txt"
    labels.write_bytes(b"blue\r\ngreen\r\nrot")
    assert names() == ("blue", "green", "rot")
    labels.write_text("blue\ngreen\n")
    assert refusal(names) == damaged(mine, "labels.txt", "2 names for 3 classes")
    labels.write_bytes(b"\xff\n")
    assert "whose labels.txt is damaged (" in refusal(names)
    labels.unlink()
    assert "whose labels.txt is damaged (" in refusal(names)


def test_a_missing_table(mine):
    assert Bundle(mine).has_table("history")
    (mine / "history.csv").unlink()
    opened = Bundle.open(mine)
    assert not opened.has_table("history")
    assert "whose history.csv is damaged (" in refusal(opened.read_table, "history")


@pytest.mark.parametrize("text", ["", "file,label\na,b\n", "<html>\n"])
def test_a_table_that_lacks_a_column(mine, text):
    (mine / "splits.csv").write_text(text)
    assert refusal(Bundle.open(mine).read_table, "splits", "file", "digest") == damaged(
        mine, "splits.csv", f"it has no column {'digest' if 'file' in text else 'file'!r}"
    )


def test_a_row_that_was_cut_off_has_empty_cells(mine):
    (mine / "splits.csv").write_text("file,label,digest\na,b\n")
    assert Bundle.open(mine).read_table("splits", "digest") == [
        {"file": "a", "label": "b", "digest": ""}
    ]


# ---- Writing


def described(classes):
    """The least that metadata holds."""
    return {
        "backbone": "mobilenet",
        "weights": {},
        "input": {"height": 8, "width": 8, "resize": "stretch"},
        "output": {"classes": classes},
    }


def test_odd_class_names_survive(tmp_path):
    names = ("<script>", "a b ", "猫", "a,b\"c'", "\u2028x", "👩‍🔬")
    edited = Bundle(tmp_path)
    edited.write_labels(names)
    edited.write_metadata(described(len(names)))
    assert Bundle.open(tmp_path).class_names == names


def test_tables_survive(tmp_path):
    rows = [{"file": 'a,"b"\n.png', "label": "é"}, {"file": "", "label": " x "}]
    edited = Bundle(tmp_path)
    edited.write_table("splits", ("file", "label"), rows)
    assert edited.read_table("splits") == rows


def test_file_names_that_are_no_utf8_can_be_written(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_csv(tmp_path / "x.csv", ["file"], [{"file": name}])
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == "file\ncaf\\udce9.png\n"
    edited = Bundle(tmp_path)
    edited.write_labels(["a", "b"])
    edited.write_metadata({**described(2), "source": name})
    assert Bundle.open(tmp_path).metadata["source"] == name


def test_labels_end_with_a_line_break(tmp_path):
    write_labels(tmp_path / "labels.txt", ["a", "b"])
    assert (tmp_path / "labels.txt").read_bytes() == b"a\nb\n"
