"""A run that is repeated: the same bit for bit, and where not, what is not as it was."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from pathlib import Path

import pytest

import cnntransfer
from cnntransfer import reproduce as reproduce_module
from cnntransfer.bundle import Bundle, write_csv
from cnntransfer.engines.parity import TOLERANCE
from cnntransfer.errors import BundleError, DataError, OutputError
from cnntransfer.reproduce import reproduce
from cnntransfer.reproduction import Change, Verdict
from tests.conftest import Notes, picture


@pytest.fixture
def elsewhere(photos, tmp_path):
    """A copy of the photos that a test may change."""
    return Path(shutil.copytree(photos, tmp_path / "elsewhere"))


@pytest.fixture
def mine(bundle, tmp_path):
    """A copy of the bundle that a test may change."""
    return Bundle.open(Path(shutil.copytree(bundle.path, tmp_path / "mine")))


class Retrained:
    """Stands in for training: the folder of what comes of it, and what it was asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listing = None

    def __call__(self, recipe, output, *, overwrite, observer, listing):
        self.recipe, self.listing = recipe, listing
        return Bundle.open(self.path)


@pytest.fixture
def retrained(bundle, tmp_path, monkeypatch):
    stand_in = Retrained(Path(shutil.copytree(bundle.path, tmp_path / "retrained")))
    monkeypatch.setattr(reproduce_module, "run", stand_in)
    return stand_in


def files_of(bundle, *subsets):
    return [row["file"] for row in bundle.read_table("splits") if row["subset"] in subsets]


def edit_metadata(path, edit):
    content = json.loads((path / "metadata.json").read_text())
    edit(content)
    (path / "metadata.json").write_text(json.dumps(content))


def edit_table(path, name, edit):
    with (path / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    edit(rows)
    write_csv(path / name, list(rows[0]), rows)


# ---- With training


def test_a_run_repeats_bit_for_bit_and_leaves_nothing(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = reproduce(bundle)
    assert result.verdict == Verdict.IDENTICAL
    assert (result.largest_difference, result.farthest, result.other_class) == (0, None, 0)
    assert result.same_files
    assert result.held_out == result.compared == 7
    assert result.photos == 30
    assert (result.changed, result.missing, result.added) == ((), (), ())
    assert (result.weights, result.versions, result.output) == (None, {}, None)
    assert result.reasons == ["Photos, weights and library versions are the same"]
    assert list(tmp_path.iterdir()) == []


def test_added_photos_take_no_part_and_the_new_bundle_can_be_kept(bundle, elsewhere, tmp_path):
    picture((200, 50, 40), 77).save(elsewhere / "red" / "a_new_one.png")
    picture((9, 9, 9), 78).save(elsewhere / "red" / "z_new_one.png")
    run = cnntransfer.load(bundle.path)
    result = run.reproduce(elsewhere, tmp_path / "kept")
    assert result.verdict == Verdict.IDENTICAL
    assert result.added == ("red/a_new_one.png", "red/z_new_one.png")
    assert result.reasons[-1] == (
        "2 photos were added since: red/a_new_one.png, red/z_new_one.png; left out"
    )
    kept = Bundle.open(tmp_path / "kept")
    assert result.output == kept.path
    for table in ("splits", "predictions"):
        assert kept.read_table(table) == bundle.read_table(table)
    losses = [[row["val_loss"] for row in b.read_table("history")] for b in (kept, bundle)]
    assert losses[0] == losses[1]
    assert kept.metadata["dataset"]["source"] == str(elsewhere)
    # The new bundle can be repeated in its turn.
    again = reproduce(kept)
    assert (again.verdict, again.same_files) == (Verdict.IDENTICAL, True)
    assert again.added == result.added


def test_the_one_changed_photo_is_named(bundle, elsewhere):
    name = files_of(bundle, "train")[3]
    picture((120, 120, 120), 5).save(elsewhere / name)
    result = reproduce(bundle, elsewhere)
    assert result.verdict == Verdict.DIFFERENT
    assert result.changed == (name,)
    assert result.reasons == [f"One photo was changed since: {name}"]
    assert result.largest_difference > TOLERANCE
    assert result.farthest in files_of(bundle, "val")
    assert result.compared == 7


def test_a_held_out_photo_that_is_missing_cannot_be_compared(bundle, elsewhere):
    missing, unreadable = files_of(bundle, "val")[0], files_of(bundle, "train")[0]
    (elsewhere / missing).unlink()
    (elsewhere / unreadable).write_bytes(b"no image")
    result = reproduce(bundle, elsewhere)
    assert result.verdict == Verdict.DIFFERENT
    assert (result.missing, result.changed) == ((missing,), (unreadable,))
    assert (result.held_out, result.compared) == (7, 6)
    assert f"One photo is missing: {missing}" in result.reasons


@pytest.mark.parametrize("is_kept", [True, False])
def test_an_interruption_says_how_to_go_on_only_where_one_can(
    bundle, tmp_path, monkeypatch, is_kept
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def stop(*_, **options):
        raise KeyboardInterrupt("Training is kept")

    monkeypatch.setattr(reproduce_module, "run", stop)
    with pytest.raises(KeyboardInterrupt) as caught:
        reproduce(bundle, output=tmp_path / "kept" if is_kept else None)
    assert str(caught.value) == ("Training is kept" if is_kept else "")
    assert list(tmp_path.iterdir()) == []


# ---- What is compared


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [
        (0.0, Verdict.IDENTICAL),
        (0.5 * TOLERANCE, Verdict.WITHIN_TOLERANCE),
        (2 * TOLERANCE, Verdict.DIFFERENT),
    ],
)
def test_the_tolerance(bundle, retrained, shift, verdict):
    def edit(rows):
        rows[2]["p_red"] = f"{float(rows[2]['p_red']) + shift:.12f}" if shift else rows[2]["p_red"]
        rows.reverse()  # Rows are paired by name.

    edit_table(retrained.path, "predictions.csv", edit)
    result = reproduce(bundle)
    assert result.verdict == verdict
    assert result.largest_difference == pytest.approx(shift, abs=1e-9)
    assert result.farthest == (bundle.read_table("predictions")[2]["file"] if shift else None)
    assert ("another processor" in result.reasons[0]) == bool(shift)
    assert json.loads(json.dumps(result.to_dict()))["verdict"] == str(verdict)


def test_another_class_is_counted(bundle, retrained):
    def edit(rows):
        rows[0]["p_blue"], rows[0]["p_green"] = rows[0]["p_green"], rows[0]["p_blue"]

    edit_table(retrained.path, "predictions.csv", edit)
    result = reproduce(bundle)
    assert (result.verdict, result.other_class) == (Verdict.DIFFERENT, 1)


def test_other_weights_versions_and_files(bundle, retrained):
    def edit(metadata):
        metadata["weights"]["sha256"] = "ab" * 32
        metadata["versions"]["keras"] = "9.9"
        del metadata["versions"]["numpy"]
        metadata["files"]["head.tflite"]["sha256"] = "cd" * 32

    edit_metadata(retrained.path, edit)
    result = reproduce(bundle)
    versions = bundle.metadata["versions"]
    assert result.verdict == Verdict.IDENTICAL
    assert not result.same_files
    assert result.weights == Change(bundle.metadata["weights"]["sha256"], "ab" * 32)
    assert result.versions == {
        "keras": Change(versions["keras"], "9.9"),
        "numpy": Change(versions["numpy"], None),
    }
    assert f"Another version of keras: 9.9 now, {versions['keras']} then" in result.reasons
    assert f"Another version of numpy: none now, {versions['numpy']} then" in result.reasons
    assert result.to_dict()["versions"]["keras"] == {"recorded": versions["keras"], "now": "9.9"}


def test_many_names_are_cut_in_sentences_only(bundle, retrained):
    def edit(rows):
        for row in rows:
            row["digest"] = "0"

    edit_table(retrained.path, "splits.csv", edit)
    result = reproduce(bundle)
    assert len(result.changed) == 30
    assert result.reasons[0].startswith("30 photos were changed since: ")
    assert result.reasons[0].endswith(" and 20 more")


# ---- Which photos


def test_the_split_is_the_bundle_s_own(bundle, photos, retrained):
    reproduce(bundle)
    asked = [(e.path, e.label, e.subset) for e in retrained.listing.entries]
    rows = bundle.read_table("splits")
    assert asked == [(photos / r["file"], r["label"], r["subset"]) for r in rows]


def test_photos_that_were_rejected_are_not_new(mine, elsewhere, retrained):
    (elsewhere / "red" / "broken.png").write_bytes(b"no image")
    mine.write_table("rejected", ("file", "reason"), [{"file": "red/broken.png", "reason": "x"}])
    assert reproduce(mine, elsewhere).added == ()


def test_a_manifest_and_one_that_is_gone(bundle, elsewhere, retrained):
    manifest = elsewhere / "list.csv"
    lines = [f"{row['file']},{row['label']}" for row in bundle.read_table("splits")]
    (elsewhere / "new.png").write_bytes(b"")
    manifest.write_text("\n".join(["file,label", *reversed(lines), "new.png,red"]))
    assert reproduce(bundle, manifest).added == ("new.png",)
    first = retrained.listing.entries
    manifest.unlink()
    assert reproduce(bundle, manifest).added == ()
    assert retrained.listing.entries == first


def test_files_given_by_their_whole_path_are_paired(mine, photos, retrained):
    def edit(rows):
        for row in rows:
            row["file"] = str(photos / row["file"])

    for table in ("splits.csv", "predictions.csv"):
        edit_table(mine.path, table, edit)
    result = reproduce(mine)
    assert (result.verdict, result.changed, result.added) == (Verdict.IDENTICAL, (), ())


def test_a_folder_in_no_layout_serves_where_names_fit(bundle, elsewhere, retrained, monkeypatch):
    def refuse(source):
        raise DataError("no layout.")

    monkeypatch.setattr(reproduce_module, "list_images", refuse)
    notes = Notes()
    assert reproduce(bundle, elsewhere, observer=notes).added == ()
    assert notes.said == ["Photos that were added since cannot be told: no layout."]


# ---- What cannot be repeated


def test_photos_that_are_gone(bundle, tmp_path):
    example = bundle.read_table("splits")[0]["file"]
    expected = f"Expected the photos that {bundle.path} was trained on, such as {example}. Received"
    (tmp_path / "empty").mkdir()
    for folder, why in (("nowhere", "does not exist"), ("empty", "has none of them")):
        with pytest.raises(DataError) as caught:
            reproduce(bundle, tmp_path / folder)
        assert str(caught.value) == (
            f"{expected}: {tmp_path / folder}, which {why}. "
            "If they lie elsewhere now, say where with --data FOLDER."
        )


def test_a_class_or_subset_that_is_gone(bundle, elsewhere):
    gone = files_of(bundle, "val")
    for name in gone:
        (elsewhere / name).unlink()
    with pytest.raises(DataError, match=rf"subset 'val' in .* 7 photos missing, such as {gone[0]}"):
        reproduce(bundle, elsewhere)
    shutil.rmtree(elsewhere / "red")
    with pytest.raises(DataError, match=r"every class in .* none of 'red'"):
        reproduce(bundle, elsewhere)


def test_a_bare_network_or_a_bundle_without_its_recipe(mine):
    mine.recipe_file.unlink()
    with pytest.raises(BundleError, match=r"recipe\.yaml is missing\. Copy it again\.$"):
        reproduce(mine)
    edit_metadata(mine.path, lambda metadata: metadata.pop("dataset"))
    with pytest.raises(BundleError, match="bare pretrained network, which was not trained here"):
        reproduce(Bundle.open(mine.path))


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("recipe.yaml", "[", "intact recipe"),
        ("recipe.yaml", "backbones: x", "intact recipe"),
        ("splits.csv", "file,label,subset\n", "no column 'digest'"),
        ("splits.csv", "file,label,subset,digest\nx,red,?,0\n", r"line 2: red, \?"),
        ("splits.csv", "file,label,subset,digest\nx,grey,val,0\n", "line 2: grey, val"),
        ("predictions.csv", "file,subset,label,predicted,p_red\n", "no column 'p_blue'"),
    ],
)
def test_damaged_bundles(mine, name, text, reason):
    (mine.path / name).write_text(text)
    with pytest.raises(BundleError, match=reason):
        reproduce(mine)


def test_the_bundle_is_not_replaced(mine):
    with pytest.raises(OutputError, match="Expected another folder"):
        reproduce(mine, output=mine.path, overwrite=True)
    Bundle.open(mine.path).check_checksums()
