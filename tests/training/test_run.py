"""A run from folder to bundle: complete, repeatable, and nothing left behind when it fails."""

import dataclasses
import shutil
import zipfile
from itertools import groupby

import h5py
import numpy as np
import pytest

from cnntransfer import cache
from cnntransfer.data.images import read
from cnntransfer.engines.parity import TOLERANCE
from cnntransfer.errors import DataError, OutputError, TrainingError, UsageError
from cnntransfer.metrics import calibration_error
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import build_trunk
from cnntransfer.models.weights import find_weights
from cnntransfer.predict import predict
from cnntransfer.progress import Observer
from cnntransfer.recipe import Recipe, read_recipe
from cnntransfer.training import model_files
from cnntransfer.training import outcome as outcome_module
from cnntransfer.training import run as run_module
from cnntransfer.training.fit import HISTORY_COLUMNS
from cnntransfer.training.plan import resolve
from cnntransfer.training.run import run
from tests.conftest import Notes

#: One for each number of blocks that features may be from.
HEAD_STAGES = ["head of 1 block", "head of 2 blocks", "head of 3 blocks"]


def test_bundle_learns_the_colours(bundle):
    assert bundle.metadata["metrics"]["val"]["accuracy"] == 1.0
    assert bundle.class_names == ("blue", "green", "red")


def test_cli_fixture(cli, bundle, photos):
    code, out, err = cli("predict", "-m", bundle.path, photos / "red" / "red0.png")
    assert code == 0, err
    assert "red" in out.splitlines()[1]


# ---- What is written down


def test_splits_name_every_image_once(bundle, photos):
    rows = bundle.read_table("splits")
    files = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    assert sorted(row["file"] for row in rows) == files
    assert {row["subset"] for row in rows} == {"train", "val"}
    assert all(row["file"].startswith(row["label"]) for row in rows)
    assert len({row["digest"] for row in rows}) == 30


def test_predictions_are_those_of_the_held_out_images(bundle):
    held_out = [r for r in bundle.read_table("splits") if r["subset"] != "train"]
    rows = bundle.read_table("predictions")
    assert [row["file"] for row in rows] == [row["file"] for row in held_out]
    for row in rows:
        probabilities = [float(row[f"p_{name}"]) for name in bundle.class_names]
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)
        assert row["predicted"] == bundle.class_names[int(np.argmax(probabilities))]


def test_history_has_every_epoch(bundle):
    rows = bundle.read_table("history")
    assert tuple(rows[0]) == HISTORY_COLUMNS
    stages = [list(stage) for _, stage in groupby(rows, key=lambda row: row["stage"])]
    assert [stage[0]["stage"] for stage in stages] == HEAD_STAGES
    for stage in stages:
        assert [int(row["epoch"]) for row in stage] == list(range(1, len(stage) + 1))
        assert float(stage[-1]["loss"]) < float(stage[0]["loss"])
    # Of these names, it knows which one was kept.
    assert bundle.report_file.read_text().count("(validated best: kept)") == 1


def test_parity_is_recorded(bundle):
    parity = bundle.metadata["parity"]
    for part in ("trunk", "head"):
        assert 0 <= parity[part]["largest_difference"] <= parity[part]["tolerance"] == TOLERANCE
    assert parity["keras"]["largest_difference"] <= TOLERANCE
    assert parity["head"]["inputs"] == len(bundle.read_table("predictions"))


def test_keras_computes_what_the_litert_files_compute(bundle, photos):
    model = bundle.load_keras()
    files = sorted(photos.rglob("*[0-2].png"))
    images = np.stack([read(file, bundle.input_spec) for file in files])
    probabilities = [result.probabilities for result in predict(bundle, files)]
    in_keras = np.asarray(model(images.astype(np.float32), training=False))
    np.testing.assert_allclose(probabilities, in_keras, atol=1e-5)


def test_metadata_tell_where_everything_comes_from(bundle, photos):
    metadata = bundle.metadata
    assert metadata["backbone"] == "mobilenet"
    assert metadata["weights"]["source"] == "built-in"
    assert metadata["dataset"]["source"] == str(photos)
    assert metadata["output"]["classes"] == 3
    assert metadata["versions"]["keras"].startswith("3.")
    assert metadata["seconds"]["train"] > 0


# ---- Repeating


def head_weights(bundle, folder):
    """Every array in model.keras outside the backbone."""
    with zipfile.ZipFile(bundle.keras_file) as archive:
        path = archive.extract("model.weights.h5", folder)
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return arrays


def test_the_recipe_of_a_bundle_repeats_the_run_bit_by_bit(bundle, tmp_path):
    again = run(read_recipe(bundle.recipe_file), tmp_path / "again")
    for name in ("predictions.csv", "splits.csv", "suspects.csv", "recipe.yaml", "labels.txt"):
        assert (again.path / name).read_bytes() == (bundle.path / name).read_bytes(), name
    first, second = head_weights(bundle, tmp_path / "1"), head_weights(again, tmp_path / "2")
    assert first.keys() == second.keys()
    assert any("dense" in name for name in first)
    for name, array in first.items():
        assert np.array_equal(array, second[name]), name
    for column in ("loss", "val_loss"):
        losses = [[row[column] for row in b.read_table("history")] for b in (bundle, again)]
        assert losses[0] == losses[1]


# ---- Fine-tuning


TEMPERATURE = 0.5


@pytest.fixture(scope="module")
def finetuned(photos, tmp_path_factory):
    """A bundle with a fine-tuned backbone, made of the photos in subsets and a broken one."""
    folder = tmp_path_factory.mktemp("finetuned")
    data = folder / "photos"
    for path in sorted(photos.rglob("*.png")):
        subset = {"6": "val", "7": "val", "8": "test", "9": "test"}.get(path.stem[-1], "train")
        target = data / subset / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (data / "train" / "red" / "broken.png").write_bytes(b"")
    recipe = Recipe(data=str(data)).override(
        {
            "image_size": 64,
            "batch_size": 64,
            "stages.head.epochs": 3,
            "stages.finetune.unfreeze": "block13",
            "stages.finetune.epochs": 2,
            "stages.finetune.learning_rate": 1e-5,
        }
    )
    notes = Notes()
    with pytest.MonkeyPatch.context() as patch:
        # Six validation images would not convince it of any.
        patch.setattr(outcome_module, "fit_temperature", lambda *_, **__: TEMPERATURE)
        return run(recipe, folder / "bundle", observer=notes), notes.said


@pytest.mark.slow
def test_finetuning_changes_the_unfrozen_layers_only(finetuned, bundle):
    tuned, _ = finetuned
    assert tuned.trunk_file.read_bytes() != bundle.trunk_file.read_bytes()
    model = tuned.load_keras()
    mobilenet = get_backbone("mobilenet")
    original = build_trunk(mobilenet, (64, 64), "avg", find_weights(mobilenet))
    changed = [
        layer.name
        for layer in original.layers
        for before, after in zip(
            layer.get_weights(), model.get_layer(layer.name).get_weights(), strict=True
        )
        if not np.array_equal(before, after)
    ]
    # Kernels of the top block; its batch normalisation stays as it was.
    assert changed == ["conv_dw_13", "conv_pw_13"]


@pytest.mark.slow
def test_a_finetuned_bundle_is_as_consistent_as_a_frozen_one(finetuned):
    tuned, _ = finetuned
    stages = [row["stage"] for row in tuned.read_table("history")]
    assert stages == [name for name in HEAD_STAGES for _ in range(3)] + ["finetune"] * 2
    for parity in tuned.metadata["parity"].values():
        assert 0 < parity["largest_difference"] <= TOLERANCE
    assert set(tuned.metadata["metrics"]) == {"val", "test"}
    rows = tuned.read_table("predictions")
    data = read_recipe(tuned.recipe_file).data
    results = predict(tuned, [f"{data}/{row['file']}" for row in rows])
    for row, result in zip(rows, results, strict=True):
        recorded = [float(row[f"p_{name}"]) for name in tuned.class_names]
        np.testing.assert_allclose(result.probabilities, recorded, atol=2e-6)


@pytest.mark.slow
def test_a_finetuned_bundle_has_its_temperature_in_every_file(finetuned):
    tuned, _ = finetuned
    assert tuned.metadata["calibration"]["temperature"] == TEMPERATURE
    data = read_recipe(tuned.recipe_file).data
    rows = tuned.read_table("predictions")
    written = [[float(row[f"p_{name}"]) for name in tuned.class_names] for row in rows]
    images = [read(f"{data}/{row['file']}", tuned.input_spec) for row in rows]
    in_keras = tuned.load_keras()(np.stack(images).astype(np.float32), training=False)
    np.testing.assert_allclose(in_keras, written, atol=1e-5)
    for name in ("val", "test"):
        chosen = [row["subset"] == name for row in rows]
        labels = np.array([tuned.class_names.index(row["label"]) for row in rows])[chosen]
        shares = np.array(written)[chosen] ** TEMPERATURE
        before = calibration_error(labels, shares / shares.sum(axis=1, keepdims=True))
        errors = tuned.metadata["calibration"][name]
        assert errors["before"] == pytest.approx(before, abs=1e-5)
        assert errors["after"] == tuned.metadata["metrics"][name]["calibration_error"]


@pytest.mark.slow
def test_broken_images_are_listed(finetuned):
    tuned, notes = finetuned
    assert tuned.read_table("rejected") == [
        {"file": "train/red/broken.png", "reason": "is empty (0 bytes)"}
    ]
    assert any("red/broken.png: is empty (0 bytes)" in note for note in notes)


@pytest.mark.slow
def test_the_user_s_subsets_are_kept(finetuned):
    tuned, _ = finetuned
    for row in tuned.read_table("splits"):
        assert row["file"].startswith(f"{row['subset']}/{row['label']}/")


@pytest.mark.slow
def test_fewer_images_than_a_batch_are_told_and_trained_on(finetuned):
    tuned, notes = finetuned
    assert read_recipe(tuned.recipe_file).batch_size == 64
    assert any("fewer than a batch (batch_size 64)" in note for note in notes)


@pytest.mark.parametrize("place", [".", "runs/x", ".."])
def test_nothing_is_written_into_or_over_the_images(small_recipe, photos, place):
    before = sorted(photos.rglob("*"))
    with pytest.raises(OutputError, match=r"outside the folder of images|left alone"):
        run(small_recipe, photos / place, overwrite=True)
    assert sorted(photos.rglob("*")) == before


def test_what_another_run_wrote_meanwhile_is_not_replaced(small_recipe, tmp_path):
    target = tmp_path / "x"

    class Rival(Observer):
        def epoch(self, row):
            target.mkdir(exist_ok=True)
            (target / "metadata.json").write_text("theirs")

    with pytest.raises(OutputError, match="exists already"):
        run(small_recipe, target, observer=Rival())
    assert [file.name for file in target.iterdir()] == ["metadata.json"]


# ---- Failing


@pytest.mark.slow
def test_a_cache_that_is_cleared_meanwhile_is_no_error(small_recipe, bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path / "cache"))
    wanted = run_module.fit_unfrozen

    def clear(*arguments):
        cache.clear()
        return wanted(*arguments)

    monkeypatch.setattr(run_module, "fit_unfrozen", clear)
    again = run(small_recipe, tmp_path / "out")
    for name in ("trunk_file", "head_file"):
        assert getattr(again, name).read_bytes() == getattr(bundle, name).read_bytes()
    assert again.metadata["metrics"] == bundle.metadata["metrics"]


def test_a_head_file_that_computes_something_else_is_noticed(small_recipe, tmp_path, monkeypatch):
    write_head = model_files.write_head

    def broken(head, target):
        kernel, bias = head.weights["probabilities"]
        shifted = bias + np.array([0.1, 0, 0], np.float32)
        weights = {**head.weights, "probabilities": (kernel, shifted)}
        write_head(dataclasses.replace(head, weights=weights), target)

    monkeypatch.setattr(model_files, "write_head", broken)
    recipe = small_recipe.override({"stages.head.epochs": 1})
    with pytest.raises(TrainingError, match=r"head\.tflite to compute what the model computes"):
        run(recipe, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_run_that_is_stopped_leaves_what_it_trained(small_recipe, tmp_path, monkeypatch, error):
    def stop(*_args, **_options):
        raise error

    monkeypatch.setattr(model_files, "check_parity", stop)
    with pytest.raises(error):
        run(small_recipe.override({"stages.head.epochs": 1}), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out.unfinished"]


@pytest.fixture
def no_work(monkeypatch):
    """Fails the test when images are read or weights are looked up."""

    def work(*_args, **_options):
        pytest.fail("work was begun")

    monkeypatch.setattr(run_module, "read_dataset", work)
    monkeypatch.setattr(run_module, "list_images", work)


def test_an_existing_output_is_refused_before_any_work(small_recipe, tmp_path, no_work):
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        run(small_recipe, tmp_path / "out")
    with pytest.raises(OutputError, match="exists already"):
        run(small_recipe, tmp_path / "new", show_input=tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": None}, "Expected a folder with one sub-folder of images per class"),
        ({"backbone": "mobilenett"}, "Did you mean 'mobilenet'"),
        ({"image_size": 16}, "--image-size: expected at least 32 pixels a side"),
        ({"stages.finetune.unfreeze": "blok1"}, "Unknown block of mobilenet"),
    ],
)
def test_wrong_recipes_are_refused_before_any_work(
    small_recipe, tmp_path, no_work, changes, message
):
    with pytest.raises(UsageError, match=message):
        run(small_recipe.override(changes), tmp_path / "out")


def test_data_that_cannot_be_split(small_recipe, photos, tmp_path):
    shutil.copytree(photos / "red", tmp_path / "data" / "red")
    with pytest.raises(DataError, match="Expected at least two classes"):
        run(small_recipe.override({"data": str(tmp_path / "data")}), tmp_path / "out")


# ---- Resolving


def test_resolving_fills_in_what_the_backbone_decides(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    backbone, recipe = resolve(Recipe(data="photos", backbone="Inception-V3"))
    assert backbone.name == recipe.backbone == "inception_v3"
    assert recipe.image_size == (299, 299)
    assert recipe.data == str(photos)
