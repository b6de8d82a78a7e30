"""What starts fast stays fast: no command imports TensorFlow or Keras before it needs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnntransfer.bundle import Bundle
from cnntransfer.data.images import read
from cnntransfer.predict import predict
from tests.conftest import COLOURS, picture

BIRD = Path(__file__).parents[2] / "sample_images" / "bird.jpg"
#: What takes milliseconds to import and is of no use to a prediction of a JPEG.
_FOR_OTHERS = {"PIL.PngImagePlugin", "tempfile", "zipfile"}
_REPORT = """
import sys
from cnntransfer.cli import run
code = run(sys.argv[1:])
heavy = [n for n in ("tensorflow", "keras", "torch", "sklearn", "scipy") if n in sys.modules]
print("code", code, "imported", *heavy, file=sys.stderr)
"""
#: What a head needs that is trained: for its solution, its figures and the augmented views.
_NEEDED = {"scipy"}


def imported(*arguments: object) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", _REPORT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    return finished.stderr.strip().splitlines()[-1]


@pytest.fixture
def new_photos(tmp_path):
    """Photos that nothing is kept of."""
    folder = tmp_path / "photos"
    for number, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            picture(colour, 5000 + 100 * number + i).save(folder / name / f"{i}.png")
    return folder


def finetune(photos: Path, output: Path) -> str:
    """Train heads on a network that is prepared for this size."""
    settings = ("--image-size", 64, "--batch-size", 8, "--epochs", 4)
    settings += ("--head-units", 16, "--ensemble", 3)
    return imported("finetune", photos, *settings, "-o", output)


@pytest.mark.parametrize(
    "command", ["", "finetune", "predict", "evaluate", "export", "reproduce", "inspect"]
)
def test_help_imports_nothing_heavy(command):
    assert imported(*filter(None, [command]), "--help") == "code 0 imported"


def test_lists_import_nothing_heavy():
    assert imported("backbones") == "code 0 imported"


def test_predict_imports_nothing_heavy(bundle):
    assert imported("predict", "-m", bundle.path, BIRD) == "code 0 imported"
    assert imported("predict", "-m", bundle.path, "--unknown", "auto", BIRD) == "code 0 imported"


def test_predict_imports_little(bundle):
    command = ["cnntransfer", "predict", "-m", str(bundle.path), str(BIRD)]
    finished = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *command],
        capture_output=True,
        text=True,
        timeout=300,
    )
    modules = {line.split("|")[-1].strip() for line in finished.stderr.splitlines()}
    assert {"PIL.JpegImagePlugin", "numpy"} <= modules
    assert not modules & _FOR_OTHERS


@pytest.mark.usefixtures("bundle")
def test_a_head_is_trained_without_tensorflow_and_keras_loads_what_it_gave(new_photos, tmp_path):
    """Everything random takes part: views, dropout, order; and several heads."""
    code, _, *modules = finetune(new_photos, tmp_path / "out").removeprefix("code ").split()
    assert code == "0"
    assert set(modules) <= _NEEDED
    trained = Bundle.open(tmp_path / "out")
    assert len(trained.read_table("history")) == 3 * 4
    assert len(trained.read_table("splits")) == 18

    model = trained.load_keras()
    files = sorted(new_photos.rglob("*.png"))
    images = np.stack([read(file, trained.input_spec) for file in files]).astype(np.float32)
    probabilities = np.stack([result.probabilities for result in predict(trained, files)])
    np.testing.assert_allclose(np.asarray(model(images, training=False)), probabilities, atol=1e-5)
    assert np.ptp(probabilities, axis=0).min() > 0.1  # It tells the pictures apart.


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """A TensorFlow that is found first and is good for nothing."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "tensorflow.py").write_text("import keras")
    (folder / "keras.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def test_that_check_can_fail(new_photos, stand_ins, tmp_path, monkeypatch):
    """A network that is not prepared needs TensorFlow."""
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path / "cache"))
    code, _, *modules = finetune(new_photos, tmp_path / "out").removeprefix("code ").split()
    assert code != "0"
    assert {"tensorflow", "keras"} <= set(modules)


def test_a_wrong_option_imports_nothing_heavy(photos):
    assert imported("finetune", photos, "--epochs", "0") == "code 2 imported"


def test_the_check_can_fail(bundle, stand_ins):
    assert imported("export", bundle.path) == "code 1 imported tensorflow keras"
    (stand_ins / "tensorflow.py").write_text("raise ImportError('a stand-in')")
    assert imported("export", bundle.path) == "code 8 imported"
