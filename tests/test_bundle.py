"""The bundle's files, and what is said of one that is damaged, too new or none."""

import json
import os
import shutil

import pytest

from cnntransfer import bundle as bundle_module
from cnntransfer.bundle import FORMAT_VERSION, Bundle, write_csv, write_labels
from cnntransfer.data.images import InputSpec
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
    opened.write_metadata({"output": {"classes": 3}})
    assert refusal(Bundle.open(mine).load_keras).startswith(
        damaged(mine, "model.keras", "x").partition("(x)")[0]
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_damaged_metadata(mine, content):
    (mine / "metadata.json").write_bytes(content)
    text = refusal(Bundle.open, mine)
    assert text.startswith(f"Expected an intact bundle. Received: {mine}, whose metadata.json is")


@pytest.mark.parametrize("files", [[], {"model.keras": {}}, {"model.keras": 3}, None])
def test_metadata_with_another_list_of_files(mine, files):
    edit_metadata(mine, files=files)
    assert "whose metadata.json is damaged (files: " in refusal(Bundle.open, mine)


@pytest.mark.parametrize(
    "described",
    [
        {},
        None,
        {"height": 64, "width": 64, "resize": "zoom"},
        {"height": 0, "width": 1, "resize": "crop"},
    ],
)
def test_metadata_without_a_usable_input(mine, described):
    edit_metadata(mine, input=described)
    opened = Bundle.open(mine)
    assert "whose metadata.json is damaged (input: " in refusal(lambda: opened.input_spec)


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
    (mine / "history.csv").unlink()
    assert "whose history.csv is damaged (" in refusal(Bundle.open(mine).read_table, "history")


# ---- Writing


def test_odd_class_names_survive(tmp_path):
    names = ("<script>", "a b ", "猫", "a,b\"c'", "\u2028x", "👩‍🔬")
    edited = Bundle(tmp_path)
    edited.write_labels(names)
    edited.write_metadata({"output": {"classes": len(names)}})
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
    edited.write_metadata({"source": name})
    assert Bundle.open(tmp_path).metadata["source"] == name


def test_labels_end_with_a_line_break(tmp_path):
    write_labels(tmp_path / "labels.txt", ["a", "b"])
    assert (tmp_path / "labels.txt").read_bytes() == b"a\nb\n"
