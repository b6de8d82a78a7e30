"""A classic from random weights to predictions, and what is said where that cannot be."""

import json

import numpy as np
import pytest

from cnntransfer.bundle import Bundle
from cnntransfer.errors import ExitCode
from cnntransfer.recipe import Recipe
from tests.conftest import Notes, make_photos

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run_and_notes(tmp_path_factory):
    """LeNet-5, trained on pictures of stripes: the recipe is what ``--weights none`` means."""
    from cnntransfer.training.run import run

    folder = tmp_path_factory.mktemp("scratch")
    recipe = Recipe(data=str(make_photos(folder / "photos"))).override(
        {
            "backbone": "lenet5",
            "weights": "none",
            "batch_size": 8,
            "stages.finetune.epochs": 6,
            "stages.finetune.learning_rate": 0.003,
            "stages.finetune.precision": "float32",
        }
    )
    notes = Notes()
    return run(recipe, folder / "run", observer=notes), notes.said


@pytest.fixture(scope="module")
def trained(run_and_notes):
    return run_and_notes[0]


def test_small_images_are_no_news_for_a_network_that_is_made_for_them(run_and_notes):
    _, said = run_and_notes
    assert said[0].startswith("30 images of 3 classes")
    assert not [note for note in said if "--image-size" in note]


def test_all_layers_are_trained_in_one_stage(trained):
    recipe = trained.recipe()
    (stage,) = recipe.stages
    assert (stage.unfreeze, recipe.feature_blocks, stage.views) == ("all", 1, 1)
    assert stage.train_batch_normalization
    assert [row["stage"] for row in trained.read_table("history")] == ["finetune"] * 6
    assert trained.metadata["weights"] == {
        "source": "random",
        "file": None,
        "sha256": None,
        "license": None,
    }
    # Features of random weights suspect everything.
    assert trained.read_table("suspects") == []


def test_every_layer_has_moved(trained):
    from cnntransfer.models.backbones import get_backbone
    from cnntransfer.models.classifier import build_trunk
    from cnntransfer.models.weights import WeightsFile

    backbone, after = get_backbone("lenet5"), trained.load_keras()
    before = build_trunk(backbone, (32, 32), "avg", WeightsFile(None, "random", 0))
    held = [layer for layer in before.layers if layer.weights]
    assert len(held) == 21
    for layer in held:
        kernel = after.get_layer(layer.name).get_weights()[0]
        assert not np.array_equal(layer.get_weights()[0], kernel), layer.name


def test_features_that_are_going_to_be_others_are_not_standardised(trained):
    """By those of the random network they would be eight times as large."""
    mean, variance = trained.load_keras().get_layer("standardise").get_weights()
    assert not mean.any()
    assert (variance == 1).all()


def test_predict_export_and_inspect_know_it(cli, trained, tmp_path):
    image = tmp_path / "photos" / "red" / "red0.png"
    make_photos(tmp_path / "photos", per_class=1)
    code, out, _ = cli("predict", "-m", trained.path, image, "--json")
    assert code == 0
    top = json.loads(out)["predictions"][0]["top"]
    assert sum(one["probability"] for one in top) == pytest.approx(1, abs=1e-5)
    code, out, _ = cli("export", trained.path, "--format", "keras", "-o", tmp_path / "out")
    assert code == 0
    assert "Same as predict" in out
    code, out, _ = cli("inspect", trained.path, "--csv")
    rows = [line.split(",") for line in out.splitlines()]
    assert code == 0
    assert sum(row[0].startswith("c3_") for row in rows) == 16


def test_the_saved_model_needs_no_cnntransfer(trained):
    import subprocess
    import sys

    code = (
        "import keras, sys\n"
        f"model = keras.saving.load_model({str(trained.keras_file)!r}, safe_mode=True)\n"
        "print(model.count_params(), 'cnntransfer' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # 60,000, the head's 84 * 3 + 3, and what it standardises by.
    assert done.stdout.split() == [str(60_000 + 84 * 3 + 3 + 2 * 84), "False"]


def test_without_the_option_one_line_says_what_to_do(cli, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("finetune", photos, "--backbone", "lenet5")
    assert code == ExitCode.WEIGHTS
    assert err == (
        "Error: Expected a network with pretrained weights. Received: lenet5, which has none. "
        "Train it from random ones: cnntransfer finetune DATA --backbone lenet5 --weights none\n"
    )
    assert "There are none of lenet5: train it with --weights none." in cli("weights", "lenet5")[2]


def test_another_size_is_one_line(cli, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--backbone", "lenet5", "--weights", "none", "--image-size", 28)
    code, _, err = cli("finetune", photos, *options)
    assert code == ExitCode.USAGE
    assert err.startswith("Error: --image-size: expected 32x32 pixels for lenet5")


@pytest.mark.parametrize("name", ["lenet5", "lecture_mnist", "googlenet", "alexnet"])
def test_inspect_draws_and_lists(cli, tmp_path, name):
    code, out, _ = cli("inspect", name, "--include-top", "--csv", "--png", tmp_path / "x.png")
    assert code == 0
    assert out.splitlines()[-1].split(",")[1] == "dense"
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_bundle_is_complete(trained):
    assert Bundle.open(trained.path).metadata["backbone"] == "lenet5"
