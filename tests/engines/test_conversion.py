"""The cache of converted trunks: made once, made again when damaged."""

import dataclasses
import os

import numpy as np
import pytest

from cnntransfer.engines import conversion
from cnntransfer.engines.conversion import converted_trunk, is_converted, noise
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.engines.parity import TOLERANCE
from cnntransfer.errors import OutputError, TrainingError
from cnntransfer.frameworks import keras
from cnntransfer.models.archive import write_classifier
from cnntransfer.progress import Observer
from cnntransfer.storage import sha256_of_file

NAME = "mobilenet-32x32-avg-0123456789"
FILES = ["trunk.json", "trunk.keras", "trunk.tflite"]
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def build():
    """A stand-in that is converted in no time."""
    k = keras()
    k.utils.set_random_seed(0)
    image = k.Input((32, 32, 3))
    x = k.layers.Conv2D(32, 5, strides=2, activation="relu")(k.layers.Rescaling(1 / 255)(image))
    x = k.layers.Conv2D(64, 5, activation="relu")(x)
    features = k.layers.GlobalAveragePooling2D(name="features")(x)
    return k.Model(image, features, name="mobilenet")


@pytest.fixture
def convert(tmp_path, monkeypatch):
    """``convert()`` -> the trunk, how often it was built, what the observer heard."""
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path))

    def call(calibration=()):
        built, notes = [], []

        def counted():
            built.append(1)
            return build()

        observer = Observer()
        observer.note = notes.append
        trunk = converted_trunk(NAME, counted, observer, calibration)
        for file, digest in trunk.files.items():
            assert sha256_of_file(trunk.folder / file) == digest
        return trunk, len(built), notes

    return call


def features(file):
    engine = LiteRTEngine([file])
    return np.stack([engine.run(image).features for image in IMAGES])


def test_it_is_made_and_compared_once(convert):
    assert not is_converted(NAME)
    first, built, notes = convert()
    assert is_converted(NAME)
    assert built == 1
    assert notes == ["Preparing mobilenet for this machine: some seconds, once ..."]
    assert sorted(file.name for file in first.folder.iterdir()) == FILES
    assert set(first.files) == {first.litert_file.name, first.keras_file.name}
    assert convert() == (first, 0, [])
    assert set(first.parity) == {"trunk", "keras"}
    for parity in first.parity.values():
        assert 0 <= parity["largest_difference"] <= parity["tolerance"] == TOLERANCE
        assert parity["inputs"] == 2


def test_both_files_compute_what_the_model_computes(convert):
    trunk, _, _ = convert()
    images = IMAGES.astype(np.float32)
    expected = np.asarray(build()(images))
    np.testing.assert_allclose(features(trunk.litert_file), expected, atol=1e-5)
    loaded = keras().saving.load_model(trunk.keras_file, compile=False)
    np.testing.assert_allclose(np.asarray(loaded(images)), expected, atol=1e-5)


def test_large_networks_go_another_way_to_the_same_numbers(tmp_path, monkeypatch):
    conversion.convert(build(), tmp_path / "small")
    monkeypatch.setattr(conversion, "_of_constants", None)  # Would fail.
    monkeypatch.setattr(conversion, "_MANY_PARAMETERS", 1000)
    conversion.convert(build(), tmp_path / "large")
    assert np.array_equal(features(tmp_path / "small"), features(tmp_path / "large"))


@pytest.mark.parametrize("name", ["trunk.tflite", "trunk.keras"])
@pytest.mark.parametrize("damage", ["cut off", "changed", "gone"])
@pytest.mark.slow
def test_a_damaged_file_is_made_again(convert, name, damage):
    trunk, _, _ = convert()
    file, expected = trunk.folder / name, features(trunk.litert_file)
    content = file.read_bytes()
    if damage == "cut off":
        os.truncate(file, 1000)
    elif damage == "changed":
        file.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    else:
        file.unlink()
    assert is_converted(NAME)  # As far as can be seen.
    again, built, _ = convert()
    assert (again.folder, built) == (trunk.folder, 1)
    assert np.array_equal(features(again.litert_file), expected)


#: The last is what an earlier version wrote.
@pytest.mark.parametrize(
    "content", [None, "", "[]", '{"files": 3}', '{"sha256": "", "parity": {}}']
)
@pytest.mark.slow
def test_files_without_a_description_are_made_again(convert, content):
    trunk, _, _ = convert()
    file = trunk.folder / "trunk.json"
    file.unlink()
    if content is not None:
        file.write_text(content)
    again, built, _ = convert()
    assert (again.folder, built) == (trunk.folder, 1)


def test_int8_is_similar_and_another_file(convert):
    exact, _, _ = convert()
    small, built, _ = convert(IMAGES)
    assert built == 1
    assert small.folder != exact.folder
    assert small.litert_file.stat().st_size < exact.litert_file.stat().st_size / 2
    rough, true = features(small.litert_file), features(exact.litert_file)
    cosines = (rough * true).sum(1) / np.linalg.norm(rough, axis=1) / np.linalg.norm(true, axis=1)
    assert cosines.min() > 0.9
    assert convert(IMAGES) == (small, 0, [])
    assert convert(IMAGES[:2])[0].folder != small.folder
    # It computes something else than Keras, and nobody makes a bundle of it.
    assert small.parity == {}
    assert not small.keras_file.exists()


def test_a_file_that_computes_something_else_is_refused(convert, monkeypatch, tmp_path):
    right = conversion.convert

    def wrong(model, target, calibration=()):
        *others, kernel, bias = model.get_weights()
        model.set_weights([*others, kernel, bias + 0.1])
        right(model, target, calibration)
        model.set_weights([*others, kernel, bias])

    monkeypatch.setattr(conversion, "convert", wrong)
    with pytest.raises(TrainingError, match=r"trunk\.tflite to compute what the model computes"):
        convert()
    assert not list(tmp_path.rglob("*.tflite"))


def test_a_classifier_that_this_keras_reads_otherwise_is_refused(convert, monkeypatch, tmp_path):
    def wrong(trunk_file, head, target):
        kernel, bias = head.weights["probabilities"]
        weights = {**head.weights, "probabilities": (kernel, bias + np.float32([0.1, 0, 0]))}
        write_classifier(trunk_file, dataclasses.replace(head, weights=weights), target)

    monkeypatch.setattr(conversion, "write_classifier", wrong)
    with pytest.raises(TrainingError, match=r"model\.keras to compute what the model computes"):
        convert()
    assert not list(tmp_path.rglob("*.keras"))


def test_noise_is_always_the_same_and_fits_the_model():
    images = noise(build())
    assert (images.shape, images.dtype) == ((2, 32, 32, 3), np.uint8)
    assert np.array_equal(noise(build(), 2), images)
    assert len(np.unique(images)) > 200


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
