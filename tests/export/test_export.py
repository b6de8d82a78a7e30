"""Exports: every format computes what predict computes, without cnntransfer."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cnntransfer import export as export_module
from cnntransfer.errors import BundleError, OutputError, UsageError
from cnntransfer.export import FORMATS, TOLERANCE, export, get_format
from cnntransfer.predict import predict
from cnntransfer.training.run import run


@pytest.fixture(scope="module")
def bundle(lecture_recipe, tmp_path_factory):
    """Of a small network; tests/real/test_agreement.py exports large ones."""
    return run(lecture_recipe, tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="module")
def exports(bundle, tmp_path_factory):
    """The bundle in every format."""
    folder = tmp_path_factory.mktemp("exports")
    return {name: export(bundle, name, folder / name) for name in FORMATS}


#: How a program without cnntransfer runs each artifact: code that turns images into a result.
PROGRAMS = {
    "saved_model": """
import tensorflow as tf
signature = tf.saved_model.load(path).signatures["serving_default"]
result = signature(image=tf.constant(images))["probabilities"].numpy()
""",
    "keras": """
import keras
result = keras.saving.load_model(path, safe_mode=True).predict(images, verbose=0)
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(path)
interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], images.shape)
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
interpreter.invoke()
result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
""",
}
FORBIDDEN = {
    "saved_model": ("cnntransfer",),
    "keras": ("cnntransfer",),
    "litert": ("cnntransfer", "tensorflow", "keras"),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.slow
def test_a_program_without_cnntransfer_gets_what_predict_gives(exports, bundle, photos, name):
    paths = [photos / colour / f"{colour}1.png" for colour in ("red", "green")]
    program = f"""
import json, sys
import numpy as np
from PIL import Image
path, *files = sys.argv[1:]
sizes = [Image.open(f).convert("RGB").resize((28, 28), Image.Resampling.BILINEAR) for f in files]
images = np.stack([np.asarray(image, np.float32) for image in sizes])
{PROGRAMS[name]}
assert not [name for name in {FORBIDDEN[name]!r} if name in sys.modules]
print(json.dumps(result.tolist()))
"""
    command = [sys.executable, "-c", program, str(exports[name].artifact), *map(str, paths)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=exports[name].folder
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    expected = [prediction.probabilities for prediction in predict(bundle, paths)]
    np.testing.assert_allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written(exports, bundle, name):
    result = exports[name]
    assert sorted(path.name for path in result.folder.iterdir()) == sorted(
        [FORMATS[name].artifact, "input.json", "labels.txt"]
    )
    assert (result.folder / "labels.txt").read_text() == "blue\ngreen\nred\n"
    described = json.loads((result.folder / "input.json").read_text())
    assert described["input"] == bundle.metadata["input"]
    assert 0 <= result.largest_difference <= TOLERANCE
    assert result.bytes > 100_000
    assert str(result.artifact) in result.usage
    assert json.loads(json.dumps(result.to_dict()))["artifact"] == str(result.artifact)


def test_signatures_are_named_after_what_goes_in_and_out(exports):
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    litert = Interpreter(str(exports["litert"].artifact))
    names = {"inputs": ["image"], "outputs": ["probabilities"]}
    assert litert.get_signature_list() == {"serving_default": names}
    saved = tf.saved_model.load(str(exports["saved_model"].artifact))
    assert list(saved.signatures) == ["serving_default"]
    assert saved.serve(image=np.zeros((2, 28, 28, 3), np.float32))["probabilities"].shape == (2, 3)


def test_the_keras_export_is_the_bundle_s_file(exports, bundle):
    assert exports["keras"].artifact.read_bytes() == bundle.keras_file.read_bytes()


# ---- Refusals


class Wrong:
    """An exporter whose result computes something else."""

    @staticmethod
    def write(bundle, target):
        target.write_bytes(b"model")

    @staticmethod
    def run(target, images):
        return np.full((len(images), 3), Wrong.value, np.float32)


@pytest.mark.parametrize("value", [1 / 3, np.nan])
def test_an_export_that_computes_something_else_is_refused(bundle, tmp_path, monkeypatch, value):
    monkeypatch.setattr(Wrong, "value", value, raising=False)
    # Not importlib's own function, by which LiteRT is imported, too.
    monkeypatch.setattr(export_module, "importlib", SimpleNamespace(import_module=lambda *_: Wrong))
    with pytest.raises(OutputError) as caught:
        export(bundle, "litert", tmp_path / "out")
    assert str(caught.value).startswith(
        "Expected the exported litert to compute what the bundle computes, to 0.0001. "
        "Received: a difference of "
    )
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format():
    with pytest.raises(UsageError) as caught:
        get_format("kers")
    assert str(caught.value) == (
        "--format: expected one of: saved_model, keras, litert. Received: 'kers'. "
        "Did you mean 'keras'?"
    )


def test_nothing_is_overwritten_unless_allowed(bundle, tmp_path):
    export(bundle, "keras", tmp_path / "out")
    (tmp_path / "out" / "old").touch()
    with pytest.raises(OutputError, match="exists already"):
        export(bundle, "keras", tmp_path / "out")
    export(bundle, "keras", tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "old").exists()


def test_a_folder_of_something_else_is_never_replaced(bundle, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="holds something else and is left alone"):
        export(bundle, "keras", tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_damaged_bundle_is_not_exported(bundle, tmp_path):
    import shutil

    copy = shutil.copytree(bundle.path, tmp_path / "copy")
    with (copy / "model.keras").open("r+b") as file:
        file.write(b"XX")
    with pytest.raises(BundleError, match=r"model\.keras is damaged"):
        export(type(bundle)(copy), "keras", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_picture_is_decoded_alike(photos, bundle):
    from cnntransfer.data.images import read

    path = photos / "red" / "red1.png"
    plain = Image.open(path).convert("RGB").resize((28, 28), Image.Resampling.BILINEAR)
    assert np.array_equal(np.asarray(plain), read(path, bundle.input_spec))
