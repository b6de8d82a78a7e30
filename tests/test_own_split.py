"""What several models' runs had images in: counted for each, chosen where all agree."""

import shutil

import pytest

from cnntransfer.answers import ask
from cnntransfer.bundle import Bundle
from cnntransfer.errors import DataError
from cnntransfer.own_split import OwnSplits, Tally
from tests.conftest import picture


@pytest.fixture
def models(bundle, other_bundle):
    return {"one": bundle, "other": other_bundle}


@pytest.fixture
def subsets(models, photos):
    """Model -> photo -> the subset that its run had it in."""
    return {
        name: {
            row["file"]: row["subset"]
            for row in model.read_table("splits")
            if row["label"] != "amber"
        }
        for name, model in models.items()
    }


def test_the_fixtures_split_differently(subsets):
    one, other = subsets["one"], subsets["other"]
    assert one.keys() == other.keys()
    pairs = {(one[file], other[file]) for file in one}
    assert {("train", "train"), ("train", "val"), ("val", "train"), ("val", "val")} == pairs


def test_every_model_hears_of_its_own_training_images(models, photos, subsets, notes):
    answers = ask(models, photos, observer=notes)
    count = {name: list(of.values()).count("train") for name, of in subsets.items()}
    assert answers.trained_on == count
    assert notes.said == [
        f"{name}: {count[name]} of 30 images were trained on, so the figures flatter. "
        "For the held-out images only: --subset val"
        for name in models
    ]


def test_a_subset_is_what_all_models_had_in_it(models, photos, subsets, notes):
    answers = ask(models, photos, "validation", notes)
    held_out = {name: {f for f, s in of.items() if s == "val"} for name, of in subsets.items()}
    both = held_out["one"] & held_out["other"]
    some = (held_out["one"] | held_out["other"]) - both
    assert set(answers.files) == both
    assert answers.trained_on == {"one": 0, "other": 0}
    assert notes.said == [
        f"{len(some)} images left out: in 'val' of some of the models, but not of all, as their "
        "own splits differ"
    ]


def test_no_image_is_in_a_subset_of_all_models(models, photos, subsets, tmp_path, notes):
    file = next(f for f, s in subsets["one"].items() if s == "val" != subsets["other"][f])
    (tmp_path / "red").mkdir()
    shutil.copy(photos / file, tmp_path / "red")
    picture((200, 50, 40), 77_000).save(tmp_path / "red" / "new.png")
    with pytest.raises(DataError) as caught:
        ask(models, tmp_path, "val", notes)
    assert str(caught.value) == (
        f"--subset: expected images of the models' own subset 'val' in {tmp_path}. Received: 2 "
        "images, none of them one of those, byte for byte. "
        "To measure on all of them, leave --subset out."
    )
    # Nor is a subset proposed, then.
    ask(models, tmp_path, observer=notes)
    assert notes.said == [
        "other: 1 of 2 images was trained on, so the figures flatter. "
        "Measure on images that the model has not seen."
    ]


def test_a_subset_that_not_all_models_have(models, photos, tmp_path):
    copy = Bundle(shutil.copytree(models["one"].path, tmp_path / "copy"))
    rows = copy.read_table("splits")
    copy.write_table("splits", list(rows[0]), [{**rows[0], "subset": "test"}, *rows[1:]])
    splits = OwnSplits({"copy": copy, "other": models["other"]})
    with pytest.raises(DataError) as caught:
        splits.subset("test", photos)
    assert str(caught.value) == (
        "--subset: expected one of the models' own subsets (train, val), because "
        f"{photos} has none. Received: 'test'."
    )
    assert OwnSplits({"copy": copy}).subset("test", photos) == "test"


def test_a_model_that_does_not_tell(models, photos, tmp_path, notes):
    copy = Bundle(shutil.copytree(models["one"].path, tmp_path / "copy"))
    (copy.path / "splits.csv").unlink()
    mixed = {"one": models["one"], "silent": copy}
    assert ask(mixed, photos, observer=notes).trained_on == {"one": 23, "silent": None}
    assert notes.said == [
        "one: 23 of 30 images were trained on, so the figures flatter. "
        "Measure on images that the model has not seen."
    ]
    # So --subset is not what is proposed.
    with pytest.raises(DataError) as caught:
        ask(mixed, photos, "val")
    assert str(caught.value) == (
        f"--subset: expected models with a split of their own, because {photos} has none. "
        "Received: silent, without one. Leave --subset or that model out."
    )
    with pytest.raises(DataError, match=r"\(no subsets\)"):
        ask({"silent": copy}, photos, "val")


def test_without_lists_nothing_is_looked_up(tmp_path):
    silent = OwnSplits({"silent": Bundle(tmp_path)})
    assert not silent
    assert not silent.tells("silent")
    assert silent.look_up(b"photo") == {}
    assert Tally(silent, None).chooses({})


def test_a_file_that_cannot_be_read_is_in_no_subset(models):
    tally = Tally(OwnSplits(models), "val")
    assert not tally.chooses({})
    assert tally.chooses({"one": frozenset({"val"}), "other": frozenset({"train", "val"})})
    assert not tally.chooses({"one": frozenset({"val"}), "other": frozenset()})


def test_a_folder_with_other_subsets_has_the_run_s_own_too(bundle, photos, tmp_path):
    """As after training on train/ alone, of which validation images were taken."""
    (tmp_path / "train").symlink_to(photos)
    (tmp_path / "test" / "red").mkdir(parents=True)
    picture((200, 50, 40), 9000).save(tmp_path / "test" / "red" / "new.png")
    held_out = {row["file"] for row in bundle.read_table("splits") if row["subset"] == "val"}
    answers = ask({"one": bundle}, tmp_path, "val")
    assert set(answers.files) == {f"train/{file}" for file in held_out}
    # Its own ones come first, and what neither has is named.
    assert ask({"one": bundle}, tmp_path, "test").files == ("test/red/new.png",)
    with pytest.raises(DataError) as caught:
        ask({"one": bundle}, tmp_path, "vla")
    assert str(caught.value) == (
        f"--subset: expected one of those in {tmp_path} (test, train). Received: 'vla'."
    )
