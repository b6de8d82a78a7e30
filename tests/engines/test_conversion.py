"""The cache of converted trunks: made once, made again when damaged."""

import os

import numpy as np
import pytest

from cnntransfer.engines.conversion import converted_trunk
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.errors import OutputError
from cnntransfer.frameworks import keras
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.weights import find_weights

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
    built = []

    def counted():
        built.append(1)
        return build()

    def call(calibration=()):
        built.clear()
        file = converted_trunk(
            MOBILENET, (32, 32), "avg", WEIGHTS, counted, calibration=calibration
        )
        return file, len(built)

    return call


def features(file):
    engine = LiteRTEngine([file])
    return np.stack([engine.run(image).features for image in IMAGES])


@pytest.mark.parametrize("damage", ["cut off", "changed", "no checksum"])
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
        (file.parent / "sha256.txt").unlink()
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
