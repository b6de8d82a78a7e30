"""IDX files on the command line: trained on, judged, repeated and shown like folders of images."""

import csv
import gzip
import io
import json

import numpy as np
import pytest

from cnntransfer.recipe import Recipe
from tests.conftest import SMALL_RECIPE, idx_bytes

TRAIN, T10K = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"


def write(folder, name, values):
    (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(idx_bytes(values)))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Bright and dark noise of 28 x 28 pixels: 30 training images, 10 test images."""
    folder = tmp_path_factory.mktemp("data") / "noise"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, count in (("train", 30), ("t10k", 10)):
        labels = (np.arange(count) % 2).astype(np.uint8)
        noise = random.integers(0, 128, (count, 28, 28)) + 127 * labels[:, None, None]
        write(folder, f"{name}-images-idx3", noise.astype(np.uint8))
        write(folder, f"{name}-labels-idx1", labels)
    (folder / "labels.txt").write_text("dark\nbright\n")
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    from cnntransfer.training.run import run

    recipe = Recipe(data=str(data)).override(SMALL_RECIPE)
    return run(recipe, tmp_path_factory.mktemp("runs") / "noise-mobilenet")


def test_a_run(trained):
    subsets = [(row["file"], row["subset"]) for row in trained.read_table("splits")]
    assert {name for file, name in subsets if file.startswith(f"{TRAIN}/")} == {"train", "val"}
    assert subsets[-1] == (f"{T10K}/00009", "test")
    assert trained.class_names == ("bright", "dark")
    assert trained.metadata["dataset"]["rejected"] == 0
    assert trained.metadata["metrics"]["test"]["accuracy"] == 1


@pytest.mark.parametrize(("many", "first"), [(40, "Small images: "), (41, "40 images of 2 ")])
def test_the_command(cli, data, tmp_path, monkeypatch, many, first):
    monkeypatch.setattr("cnntransfer.training.run._MANY", many)
    options = ["--image-size", 64, "--epochs", 2, "-o", tmp_path / "out"]
    code, _, err = cli("finetune", data, *options)
    assert code == 0
    said = [line for line in err.splitlines() if line.startswith(("Small images: ", "40 images"))]
    assert len(said) == 2
    assert said[0].startswith(first)
    (line,) = [line for line in err.splitlines() if line.startswith("Next: ")]
    assert f"{data / TRAIN}/000" in line


def test_evaluate(cli, trained, data):
    code, out, err = cli("evaluate", trained.path, data, "--subset", "test", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["images"], found["accuracy"], found["trained_on"]) == (10, 1, 0)
    code, out, _ = cli("evaluate", trained.path, data, "--subset", "train", "--json")
    assert json.loads(out)["trained_on"] > 0


def test_predict(cli, trained, data):
    code, out, _ = cli("predict", "-m", trained.path, data / TRAIN / "00003")
    assert code == 0
    assert out.startswith(f"{data / TRAIN / '00003'}\n")
    for source, first, count in ((data, T10K, 40), (data / TRAIN, TRAIN, 30)):
        code, out, _ = cli("predict", "-m", trained.path, "--csv", source)
        rows = list(csv.DictReader(io.StringIO(out)))
        assert (code, len(rows)) == (0, count)
        assert rows[0]["file"] == str(data / first / "00000")
        assert [row["label"] for row in rows[:4]] == ["dark", "bright"] * 2


def test_what_predict_says_is_in_the_table(cli, trained, data):
    row = trained.read_table("predictions")[-1]
    _, out, _ = cli("predict", "-m", trained.path, "--json", data / row["file"])
    (said,) = json.loads(out)["predictions"]
    for top in said["top"]:
        assert top["probability"] == pytest.approx(float(row[f"p_{top['label']}"]), abs=1e-6)


def test_an_image_that_is_not_there(cli, trained, data):
    code, _, err = cli("predict", "-m", trained.path, data / TRAIN / "00030")
    assert code == 3
    assert "expected a number from 00000 to 00029" in err


def test_reproduce(cli, trained):
    code, out, err = cli("reproduce", trained.path, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["verdict"], found["missing"], found["added"]) == ("identical", [], [])


def test_reproduce_misses_what_is_gone(cli, trained, data, tmp_path):
    for name in ("images-idx3", "labels-idx1"):
        source = data / f"train-{name}-ubyte.gz"
        (tmp_path / source.name).write_bytes(source.read_bytes())
    code, _, err = cli("reproduce", trained.path, "--data", tmp_path)
    assert code == 3
    assert f"10 photos missing, such as {T10K}/00000" in err


def test_the_report_shows_images(trained):
    page = trained.report_file.read_text(encoding="utf-8")
    assert "not found" not in page
    assert page.count("data:image/jpeg;base64,") > 5


def test_nothing_is_written_into_the_folder(cli, data):
    before = sorted(path.name for path in data.iterdir())
    code, _, err = cli("finetune", data, "-o", data / "out")
    assert code == 6
    assert "only read" in err
    assert sorted(path.name for path in data.iterdir()) == before
