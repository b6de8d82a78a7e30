"""A bundle's Keras model, SavedModel and LiteRT file in fresh processes without cnntransfer."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

PHOTOS = 50
TOLERANCE = 1e-4

#: Each reads images.npy and the artifact, and writes probabilities.npy.
PROGRAMS = {
    "keras": """
import os; os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
model = keras.saving.load_model(artifact)
probabilities = model.predict(images, verbose=0)
""",
    "saved_model": """
import os; os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
signature = tf.saved_model.load(artifact).signatures["serving_default"]
probabilities = signature(image=tf.constant(images))["probabilities"].numpy()
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(artifact)
interpreter.allocate_tensors()
rows = []
for image in images:
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
    interpreter.invoke()
    rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
probabilities = np.stack(rows)
""",
}


@pytest.fixture(scope="module", params=["mobilenet", "resnet50"])
def trained(request, shared, weights, tmp_path_factory):
    """A run on real photos; ResNet50 has the preprocessing that is easiest to get wrong."""
    import cnntransfer

    return cnntransfer.finetune(
        shared / "data" / "trashnet",
        tmp_path_factory.mktemp("runs") / request.param,
        backbone=request.param,
        image_size=128,
        augmentation="none",
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_exports_agree_with_predict(trained, shared, tmp_path, name):
    files = sorted((shared / "data" / "trashnet").rglob("*.jpg"))[::4][:PHOTOS]
    assert len(files) == PHOTOS
    expected = np.stack([p.probabilities for p in trained.predict(files)])
    artifact = trained.export(name, tmp_path / name).artifact

    # Decoding is the user's part; the pixels are those that predict sees.
    from cnntransfer.data.images import read

    images = np.stack([read(file, trained.bundle.input_spec) for file in files])
    np.save(tmp_path / "images.npy", images.astype(np.float32))
    program = (
        "import sys, json\nimport numpy as np\n"
        f"images = np.load({str(tmp_path / 'images.npy')!r})\n"
        f"artifact = {str(artifact)!r}\n"
        + PROGRAMS[name]
        + f"np.save({str(tmp_path / 'probabilities.npy')!r}, probabilities)\n"
        + "print(json.dumps('cnntransfer' in sys.modules))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert json.loads(result.stdout) is False

    probabilities = np.load(tmp_path / "probabilities.npy")
    assert np.abs(probabilities - expected).max() <= TOLERANCE
    assert (probabilities.argmax(axis=1) == expected.argmax(axis=1)).all()
