"""What a report says is what the bundle says, and it does without what is absent."""

import json
import shutil
from pathlib import Path

import pytest

from cnntransfer.bundle import Bundle
from cnntransfer.errors import BundleError
from cnntransfer.held_out import read_held_out
from cnntransfer.report import Subject, gather


@pytest.fixture
def mine(small, tmp_path):
    """A copy of the run and its photos that a test may change: (bundle's folder, photos)."""
    folder = Path(shutil.copytree(small.path.parent, tmp_path / "copy"))
    edit(folder / "run", lambda content: content["dataset"].update(source=str(folder / "photos")))
    return folder / "run", folder / "photos"


def edit(path, change):
    file = path / "metadata.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def gathered(path, photos=None):
    return gather(Subject.of(Bundle.open(path), photos))


def test_the_test_subset_has_the_headline(small):
    report = gathered(small.path)
    metrics = small.metadata["metrics"]
    judged = report.judgement
    assert (judged.subset, judged.words, judged.images) == ("test", "test photos", 40)
    assert judged.accuracy.value == metrics["test"]["accuracy"]
    assert judged.accuracy.interval.method == "Wilson"
    assert judged.mistakes == 40 - round(40 * metrics["test"]["accuracy"])
    assert judged.guessing == 14 / 40
    by_name = {figure.name: figure for figure in judged.figures}
    assert set(by_name["log_loss"].values) == {"val", "test"}
    assert by_name["log_loss"].values["val"].value == metrics["val"]["log_loss"]
    assert "top5_accuracy" not in by_name  # Three classes have none.
    assert [row.name for row in judged.classes] == ["bee", "fly", "wasp"]
    assert judged.classes[0].counts == {"train": 10, "val": 7, "test": 13}
    assert report.title == "photos"
    assert report.counts == {"train": 30, "val": 20, "test": 40}
    assert report.missing == {}


def test_cells_have_their_photos(small):
    report = gathered(small.path)
    test = read_held_out(small, small.class_names).of("test")
    expected = {
        (name, f"{true}-{predicted}")
        for name, true, predicted in zip(test.files, test.labels, test.predicted, strict=True)
        if true != predicted
    }
    shown = {(photo.file, photo.cell) for photo in report.galleries.cells if not photo.is_right}
    assert shown == expected
    assert report.galleries.keys == {cell.key for cell in report.judgement.confusion.cells.values()}
    confidences = [photo.probability for photo in report.galleries.worst.photos]
    assert confidences == sorted(confidences, reverse=True)
    assert {photo.subset for photo in report.galleries.worst.photos} == {"val", "test"}


def test_without_a_test_subset(mine):
    path, _ = mine
    edit(path, lambda content: content["metrics"].pop("test"))
    report = gathered(path)
    assert report.judgement.subset == "val"
    assert any("--test-split 0.2" in limit for limit in report.limits)
    assert {photo.subset for photo in report.galleries.cells} == {"val"}


@pytest.mark.parametrize(
    "name", ["history", "predictions", "splits", "rejected", "recipe", "everything"]
)
def test_what_is_absent_is_not_in_the_report(mine, name):
    path, _ = mine
    for file in path.iterdir():
        if name in (file.stem, "everything") and file.name not in ("metadata.json", "labels.txt"):
            file.unlink()
    report = gathered(path)
    assert report.judgement.images == 40
    assert (report.galleries is None) == (name in ("predictions", "everything"))
    assert bool(report.training.curves) == (name not in ("history", "everything"))
    assert bool(report.training.recipe) == (name not in ("recipe", "everything"))


def test_metadata_without_what_other_versions_write(mine):
    path, _ = mine

    def older(content):
        for name in ("calibration", "seconds", "versions"):
            del content[name]
        for figures in content["metrics"].values():
            for name in ("intervals", "macro_f1", "roc_auc", "average_precision"):
                del figures[name]
            del figures["calibration_error"]
            for row in figures["per_class"]:
                del row["intervals"]

    edit(path, older)
    report = gathered(path)
    assert report.judgement.accuracy.interval is None
    assert report.reliability.after is None
    assert {figure.name for figure in report.judgement.figures} == {
        "accuracy",
        "balanced_accuracy",
        "log_loss",
    }


def test_no_figures_at_all(mine):
    path, _ = mine
    edit(path, lambda content: content["metrics"].clear())
    report = gathered(path)
    assert report.judgement is None
    assert report.reliability is None
    assert report.galleries.worst.photos


def test_suspects_and_near_duplicates(odd):
    report = gathered(odd.path)
    galleries = report.galleries
    assert galleries.suspects.count == len(galleries.suspects.photos) == 12
    assert galleries.doubtful.count == 3
    first = galleries.suspects.photos[0]
    assert (first.label, first.predicted) == tuple(odd.class_names[:2])
    assert (first.own_probability, first.probability) == (0.02, 0.93)
    assert [len(group) for group in galleries.duplicates] == [2, 2, 2]
    assert (galleries.duplicate_count, galleries.straddling) == (3, 0)
    assert (report.rejected_count, len(report.rejected)) == (60, 50)
    assert any("12 labels look wrong" in limit for limit in report.limits)
    assert report.reliability.temperature == 1.4
    assert len(report.training.stages) == 2


def test_of_heads_on_features_from_several_depths_the_kept_one_is_named(mine):
    path, _ = mine
    rows = [
        {
            "stage": stage,
            "epoch": epoch,
            "loss": 1,
            "accuracy": 0.5,
            "val_loss": loss,
            "val_accuracy": 0.5,
        }
        for stage, losses in {
            "head of 1 block": (0.9, 0.7),
            "head of 2 blocks": (0.8, 0.6),
            "head of 3 blocks": (0.65, 0.75),
            "finetune": (0.5, 0.6),
        }.items()
        for epoch, loss in enumerate(losses, start=1)
    ]
    Bundle(path).write_table("history", list(rows[0]), rows)
    assert gathered(path).training.stages == [
        "head of 1 block: the new head, 2 epochs",
        "head of 2 blocks: the new head, 2 epochs (validated best: kept)",
        "head of 3 blocks: the new head, 2 epochs",
        "finetune: the new head, 2 epochs",
    ]


def test_nobody_looked_for_suspects(small):
    galleries = gathered(small.path).galleries
    assert galleries.suspects is None
    assert galleries.duplicates is None


def test_views_of_training_photos(odd, small):
    views = gathered(odd.path).training.views
    assert {len(pictures) for pictures in views.rows.values()} == {3}
    assert (views.per_photo, views.size) == (3, (48, 64))
    first, *others = next(iter(views.rows.values()))
    assert (first.width, first.height) == (64, 48)
    assert first.data not in [other.data for other in others]
    plain = gathered(small.path).training.views
    assert {len(pictures) for pictures in plain.rows.values()} == {1}
    assert len(plain.rows) == 6


def test_photos_that_are_gone_changed_or_broken_are_named(mine):
    path, photos = mine
    files = gathered(path).galleries
    gone, changed, broken = (photo.file for photo in files.worst.photos[:3])
    (photos / gone).unlink()
    shutil.copy(photos / broken, photos / changed)
    (photos / broken).write_bytes(b"")
    missing = gathered(path).missing
    assert missing == {
        gone: "not found",
        changed: "was changed since the run",
        broken: "is empty (0 bytes)",
    }
    shutil.rmtree(photos)
    report = gathered(path)
    assert set(report.missing.values()) == {"not found"}
    assert report.judgement.images == 40
    assert report.training.views is None


def test_photos_that_lie_elsewhere_now(mine, tmp_path):
    path, photos = mine
    photos.rename(tmp_path / "moved")
    assert gathered(path).missing
    assert not gathered(path, tmp_path / "moved").missing
    manifest = tmp_path / "moved" / "list.csv"
    assert not gathered(path, manifest).missing


def test_an_odd_file_name_is_found(mine):
    path, photos = mine
    name = gathered(path).galleries.worst.photos[0].file
    odd = name.replace("photo", "caf\udce9")
    (photos / name).rename(photos / odd)
    for table in ("splits.csv", "predictions.csv"):
        text = (path / table).read_text(encoding="utf-8")
        written = odd.encode("utf-8", "backslashreplace").decode()
        (path / table).write_text(text.replace(f"{name},", f"{written},"), encoding="utf-8")
    report = gathered(path)
    assert report.missing == {}
    assert "caf\\udce9" in report.galleries.worst.photos[0].file


def test_photos_are_only_read(mine):
    path, photos = mine

    def state():
        return {file: file.stat().st_mtime_ns for file in [photos, *photos.rglob("*")]}

    before = state()
    gathered(path)
    assert state() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["metrics"]["test"].pop("confusion"),
        lambda content: content["metrics"]["test"].update(confusion=[[1]]),
        lambda content: content["metrics"]["test"].update(per_class="x"),
        lambda content: content["dataset"].update(images=[]),
        lambda content: (
            content["weights"].clear()
            or content["input"].update(height=3, width=3)
            or content.update(calibration="x")
        ),
    ],
)
def test_damaged_metadata(mine, change):
    path, _ = mine
    edit(path, change)
    with pytest.raises(BundleError, match=r"whose metadata\.json is damaged \("):
        gathered(path)


def test_damaged_tables(mine):
    path, _ = mine
    text = (path / "history.csv").read_text().replace("0.001", "x")
    (path / "history.csv").write_text(text.replace("1.6,", "much,", 1))
    with pytest.raises(BundleError, match=r"whose history\.csv is damaged \("):
        gathered(path)


def test_a_bare_network_was_not_trained_here(mine):
    path, _ = mine
    edit(path, lambda content: content.pop("dataset"))
    with pytest.raises(BundleError, match="a bare pretrained network"):
        gathered(path)
