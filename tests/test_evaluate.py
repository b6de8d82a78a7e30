"""A bundle on labelled images: which ones are judged, and what is said of them."""

import math
import shutil

import numpy as np
import pytest

from cnntransfer.bundle import Bundle
from cnntransfer.errors import BundleError, DataError
from cnntransfer.evaluate import evaluate
from cnntransfer.predict import predict
from tests.conftest import picture


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


def test_a_manifest_that_repeats_itself(bundle, tmp_path, notes):
    unseen(tmp_path, 2)
    manifest = tmp_path / "list.csv"
    manifest.write_text("file,label\nred/new0.png,red\nred/new1.png,red\nred/new0.png,red\n")
    assert evaluate(bundle, manifest, observer=notes).images == 2
    assert notes.said == [f"1 line of {manifest} repeated: counted once"]


# ---- What the bundle was trained on


@pytest.fixture
def split(bundle, photos):
    """The photos' paths by the subset that the run had them in."""
    paths = {}
    for row in bundle.read_table("splits"):
        paths.setdefault(row["subset"], []).append(photos / row["file"])
    return paths


def renamed(paths, folder):
    """Copies under other names, in a folder per class."""
    for number, path in enumerate(paths):
        target = folder / path.parent.name / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def unseen(folder, count):
    for i in range(count):
        (folder / "red").mkdir(parents=True, exist_ok=True)
        picture((200, 50, 40), 90_000 + i).save(folder / "red" / f"new{i}.png")
    return folder


def test_training_images_are_counted_and_the_held_out_ones_proposed(bundle, photos, split, notes):
    result = evaluate(bundle, photos, observer=notes)
    assert result.trained_on == len(split["train"]) == 23
    assert notes.said == [
        "23 of 30 images were trained on, so the figures flatter. "
        "For the held-out images only: --subset val"
    ]
    assert result.to_dict()["trained_on"] == 23


def test_training_images_are_known_by_their_content(bundle, split, tmp_path, notes):
    folder = unseen(renamed(split["train"][:1], tmp_path / "data"), 2)
    assert evaluate(bundle, folder, observer=notes).trained_on == 1
    assert notes.said == [
        "1 of 3 images was trained on, so the figures flatter. "
        "Measure on images that the model has not seen."
    ]


def test_images_that_were_not_trained_on_need_no_remark(bundle, split, tmp_path, notes):
    folder = unseen(renamed(split["val"], tmp_path / "data"), 2)
    assert evaluate(bundle, folder, observer=notes).trained_on == 0
    assert notes.said == []


def test_a_layout_of_its_own_goes_before_the_run_s(bundle, photos, tmp_path, notes):
    (tmp_path / "data").mkdir()
    for name in ("train", "val"):
        (tmp_path / "data" / name).symlink_to(photos)
    result = evaluate(bundle, tmp_path / "data", "val", observer=notes)
    assert (result.images, result.trained_on) == (30, 23)
    assert notes.said == [
        "23 of 30 images were trained on, so the figures flatter. "
        "Measure on images that the model has not seen."
    ]


@pytest.mark.parametrize(("name", "subset"), [("val", "val"), ("Validation", "val")])
def test_the_run_s_subset_gives_the_run_s_figures(bundle, photos, split, notes, name, subset):
    result = evaluate(bundle, photos, name, notes).to_dict()
    recorded = bundle.metadata["metrics"][subset]
    assert result["images"] == recorded["images"] == len(split[subset])
    assert result["confusion"] == tuple(map(tuple, recorded["confusion"]))
    assert result["log_loss"] == pytest.approx(recorded["log_loss"], abs=1e-4)
    assert (result["trained_on"], notes.said) == (0, [])


def test_the_run_s_training_images(bundle, photos, notes):
    result = evaluate(bundle, photos, "train", notes)
    assert (result.images, result.trained_on) == (23, 23)
    assert notes.said[0].startswith("23 of 23 images were trained on, so the figures flatter. Mea")


def test_images_that_the_run_has_not_seen_are_in_none_of_its_subsets(
    bundle, split, tmp_path, notes
):
    folder = unseen(renamed(split["val"], tmp_path / "data"), 2)
    (folder / "red" / "broken.png").touch()
    result = evaluate(bundle, folder, "val", notes)
    assert (result.images, result.rejected) == (len(split["val"]), ())
    assert notes.said == ["3 images left out: in none of the model's own subsets"]


def test_subsets_that_the_run_does_not_have(bundle, photos, tmp_path):
    for wanted, hint in (("test", ""), ("tset", ""), ("vla", " Did you mean 'val'?")):
        with pytest.raises(DataError) as caught:
            evaluate(bundle, photos, wanted)
        assert str(caught.value) == (
            "--subset: expected one of the model's own subsets (train, val), because "
            f"{photos} has none. Received: {wanted!r}.{hint}"
        )
    folder = unseen(tmp_path / "data", 2)
    with pytest.raises(DataError) as caught:
        evaluate(bundle, folder, "val")
    assert str(caught.value) == (
        f"--subset: expected images of the model's own subset 'val' in {folder}. Received: "
        "2 images, none of them one of those, byte for byte. "
        "To measure on all of them, leave --subset out."
    )


def test_a_copy_in_several_subsets_is_in_each(bundle, photos, tmp_path, notes):
    copy = Bundle(shutil.copytree(bundle.path, tmp_path / "copy"))
    rows = copy.read_table("splits")
    columns = list(rows[0])
    trained = next(row for row in rows if row["subset"] == "train")
    copy.write_table("splits", columns, [*rows, {**trained, "subset": "val"}])
    result = evaluate(copy, photos, "val", notes)
    assert (result.images, result.trained_on) == (8, 1)
    assert notes.said[0].startswith("1 of 8 images was trained on")


def test_a_bundle_that_does_not_tell_what_it_was_trained_on(bundle, photos, tmp_path, notes):
    copy = Bundle(shutil.copytree(bundle.path, tmp_path / "copy"))
    (copy.path / "splits.csv").unlink()
    result = evaluate(copy, photos, observer=notes)
    assert (result.images, result.trained_on, notes.said) == (30, None, [])
    with pytest.raises(DataError, match=r"\(no subsets\). Received: 'val'"):
        evaluate(copy, photos, "val")


def test_a_damaged_table_is_a_damaged_bundle(bundle, photos, tmp_path):
    copy = Bundle(shutil.copytree(bundle.path, tmp_path / "copy"))
    (copy.path / "splits.csv").write_text("file,label\n")
    with pytest.raises(BundleError, match=r"whose splits\.csv is damaged"):
        evaluate(copy, photos)


# ---- Mistakes


def test_the_most_confident_mistakes(bundle, photos, tmp_path):
    """Of a model with two of its classes' names exchanged."""
    copy = Bundle(shutil.copytree(bundle.path, tmp_path / "copy"))
    copy.write_labels(["green", "blue", "red"])
    result = evaluate(Bundle(copy.path), photos, mistakes=4)
    assert len(result.mistakes) == 4
    assert evaluate(Bundle(copy.path), photos, mistakes=0).mistakes == ()
    paths = sorted(photos.rglob("*.png"))
    wrong = {
        p.path.relative_to(photos).as_posix(): p.top()[0]
        for p in predict(Bundle(copy.path), paths)
        if p.label != p.path.parent.name
    }
    worst = sorted(wrong.items(), key=lambda item: -item[1][1])[:4]
    assert [(m.file, (m.predicted, m.probability)) for m in result.mistakes] == worst
    assert [m.label for m in result.mistakes] == [m.file.split("/")[0] for m in result.mistakes]
    assert len(evaluate(Bundle(copy.path), photos).mistakes) == 10


def test_the_lower_end_of_the_accuracy_s_interval(bundle, photos):
    """Wilson's interval by its formula."""
    result = evaluate(bundle, photos)
    p, n, z = result.accuracy, result.images, 1.959963985
    middle = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert result.accuracy_lower == pytest.approx((middle - half) / (1 + z * z / n))


# ---- Refusals


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
