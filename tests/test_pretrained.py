"""A bare pretrained network as a bundle, made once."""

from pathlib import Path

import numpy as np
import pytest

from cnntransfer import pretrained as pretrained_module
from cnntransfer.data.fitting import InputSpec
from cnntransfer.data.images import read
from cnntransfer.errors import BundleError, OutputError
from cnntransfer.frameworks import keras
from cnntransfer.models.weights import _ASSETS
from cnntransfer.predict import predict
from cnntransfer.pretrained import imagenet_classes, open_model

BIRD = Path(__file__).parent.parent / "sample_images" / "bird.jpg"


@pytest.fixture(scope="module")
def mobilenet():
    return open_model("mobilenet")


def test_it_is_a_bundle_of_the_1000_classes(mobilenet):
    assert mobilenet.class_names == imagenet_classes()
    assert len(mobilenet.class_names) == 1000
    assert mobilenet.input_spec == InputSpec((224, 224), "crop")
    assert {path.name for path in mobilenet.path.iterdir()} == {
        "model.keras",
        "model.tflite",
        "labels.txt",
        "metadata.json",
    }
    mobilenet.check_checksums()


def test_it_is_made_once(mobilenet, monkeypatch):
    monkeypatch.setattr(pretrained_module, "_make", lambda *_: pytest.fail("made again"))
    assert open_model("MobileNet").path == mobilenet.path


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"^Expected a cache folder that can be written\. "):
        open_model("mobilenet")


def test_its_probabilities_are_those_of_keras(mobilenet):
    k = keras()
    (prediction,) = predict(mobilenet, [BIRD])
    model = k.applications.MobileNet(weights=None)
    model.load_weights(_ASSETS / "mobilenet_imagenet.weights.h5")
    image = read(BIRD, mobilenet.input_spec)[None].astype(np.float32)
    expected = model.predict_on_batch(k.applications.mobilenet.preprocess_input(image))
    np.testing.assert_allclose(prediction.probabilities, expected[0], atol=1e-4)


def test_classes_are_in_keras_order():
    names = imagenet_classes()
    assert (names[0], names[1], names[999]) == ("tench", "goldfish", "toilet paper")


def test_a_folder_is_opened_as_a_bundle(bundle):
    assert open_model(bundle.path).class_names == ("blue", "green", "red")


def test_what_is_neither(tmp_path):
    with pytest.raises(BundleError) as caught:
        open_model("mobilenett")
    assert str(caught.value) == (
        "--model: expected a bundle, a folder that 'cnntransfer finetune' wrote, or the name of a "
        "pretrained network. Received: 'mobilenett', which is neither. Did you mean 'mobilenet'?"
    )
    with pytest.raises(BundleError, match="which does not exist"):
        open_model("runs/none")
