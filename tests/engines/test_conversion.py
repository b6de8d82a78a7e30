"""The cache of converted trunks: made once, made again when damaged."""

import os

import numpy as np
import pytest

from cnntransfer.engines import conversion
from cnntransfer.engines.conversion import converted_trunk
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.engines.parity import TOLERANCE
from cnntransfer.errors import OutputError, TrainingError
from cnntransfer.frameworks import keras
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.weights import find_weights
from cnntransfer.storage import sha256_of_file

MOBILENET = get_backbone("mobilenet")
WEIGHTS = find_weights(MOBILENET, "none")
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def build():
    """A stand-in that is converted in no time."""
    k = keras()
    k.utils.set_random_seed(0)
    image = k.Input((32, 32, 3))
    x = k.layers.Conv2D(32, 5, strides=2, activation="relu")(k.layers.Rescaling(1 / 255)(image))
    x = k.layers.Conv2D(64, 5, activation="relu")(x)
    return k.Model(image, k.layers.GlobalAveragePooling2D()(x))


@pytest.fixture
def convert(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path))
    built, parities = [], []

    def counted():
        built.append(1)
        return build()

    def call(calibration=()):
        built.clear()
        trunk = converted_trunk(
            MOBILENET, (32, 32), "avg", WEIGHTS, counted, calibration=calibration
        )
        assert sha256_of_file(trunk.file) == trunk.sha256
        parities.append(trunk.parity)
        return trunk.file, len(built)

    call.parities = parities
    return call


def features(file):
    engine = LiteRTEngine([file])
    return np.stack([engine.run(image).features for image in IMAGES])


@pytest.mark.parametrize("damage", ["cut off", "changed", "not described"])
def test_a_damaged_file_is_made_again(convert, damage):
    file, built = convert()
    assert built == 1
    content, expected = file.read_bytes(), features(file)
    assert convert() == (file, 0)
    if damage == "cut off":
        os.truncate(file, 1000)
    elif damage == "changed":
        file.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    else:
        (file.parent / "trunk.json").unlink()
    assert convert() == (file, 1)
    assert np.array_equal(features(file), expected)


def test_int8_is_similar_and_another_file(convert):
    exact, _ = convert()
    file, built = convert(IMAGES)
    assert built == 1
    assert file != exact
    assert file.stat().st_size < exact.stat().st_size / 2
    rough, true = features(file), features(exact)
    cosines = (rough * true).sum(1) / np.linalg.norm(rough, axis=1) / np.linalg.norm(true, axis=1)
    assert cosines.min() > 0.9
    assert convert(IMAGES) == (file, 0)
    assert convert(IMAGES[:2])[0] != file
    assert [parity is None for parity in convert.parities] == [False, True, True, True]


def test_a_file_is_compared_with_keras_once(convert):
    convert()
    convert()
    first, second = convert.parities
    assert first == second
    assert 0 <= first["largest_difference"] <= first["tolerance"] == TOLERANCE
    assert first["inputs"] == 2


def test_a_file_that_computes_something_else_is_refused(convert, monkeypatch, tmp_path):
    right = conversion.convert

    def wrong(model, target, calibration=()):
        *others, kernel, bias = model.get_weights()
        model.set_weights([*others, kernel, bias + 0.1])
        right(model, target, calibration)
        model.set_weights([*others, kernel, bias])

    monkeypatch.setattr(conversion, "convert", wrong)
    with pytest.raises(TrainingError, match=r"trunk\.tflite to compute what Keras computes"):
        convert()
    assert not list(tmp_path.rglob("*.tflite"))


def test_a_cache_that_cannot_be_written(convert, tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("no folder")
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(file))
    with pytest.raises(OutputError) as caught:
        convert()
    assert str(caught.value) == (
        f"Expected a cache folder that can be written. Received: {file}. "
        "Set CNNTRANSFER_CACHE to one that can, or make room there."
    )
