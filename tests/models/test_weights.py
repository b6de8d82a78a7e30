"""Where weights are found, what fits, and what is said when nothing does."""

import shutil
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest

from cnntransfer.errors import WeightsError
from cnntransfer.frameworks import keras
from cnntransfer.models import weights
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import build_trunk
from cnntransfer.models.weights import (
    WeightsFile,
    check_fits,
    count_parameters,
    find_weights,
    weights_folders,
)

MOBILENET = get_backbone("mobilenet")
MOBILENET_V2 = get_backbone("mobilenet_v2")
#: Not built in, and small.
SMALL = get_backbone("mobilenet_v3_small")
BUILT_IN_FILE = weights._ASSETS / "mobilenet_imagenet.weights.h5"


def fake(path, parameters):
    """A file that holds this many numbers and no layer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/dense/vars/0", (parameters,), "float32")
        file.create_dataset("optimizer/vars/0", (12345,), "float32")
    return path


def refusal(call, *arguments, **options):
    with pytest.raises(WeightsError) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Two weights folders and a Keras cache, all empty."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setenv("CNNTRANSFER_WEIGHTS", ":".join(map(str, folders)))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return [*folders, tmp_path / "keras" / "models"]


# ---- The order of looking


def test_folders_come_before_the_built_in_files(places):
    one, two, _ = places
    assert find_weights(MOBILENET).source == "built-in"
    (two / MOBILENET.official_top).symlink_to(BUILT_IN_FILE)
    assert find_weights(MOBILENET).path == two / MOBILENET.official_top
    (one / "mobilenet_imagenet.weights.h5").symlink_to(BUILT_IN_FILE)
    found = find_weights(MOBILENET)
    assert (found.path, found.source) == (one / "mobilenet_imagenet.weights.h5", "folder")


def test_keras_cache_comes_last(places):
    _, two, cache = places
    fake(cache / SMALL.official_notop, SMALL.parameters)
    assert find_weights(SMALL) == WeightsFile(cache / SMALL.official_notop, "keras cache")
    fake(two / SMALL.official_notop, SMALL.parameters)
    assert find_weights(SMALL).source == "folder"
    fake(cache / MOBILENET.official_notop, MOBILENET.parameters)
    assert find_weights(MOBILENET).source == "built-in"


def test_within_a_folder_a_file_without_top_is_preferred_unless_the_top_is_needed(places):
    one = places[0]
    with_top = fake(one / SMALL.official_top, SMALL.parameters + 1_615_848)
    assert find_weights(SMALL).path == with_top
    without = fake(one / SMALL.official_notop, SMALL.parameters)
    assert find_weights(SMALL).path == without
    assert find_weights(SMALL, top=True).path == with_top


def test_a_given_file_comes_first(places):
    one = places[0]
    (one / "mobilenet_imagenet.weights.h5").symlink_to(BUILT_IN_FILE)
    given = fake(one / "mine.h5", MOBILENET.parameters)
    assert find_weights(MOBILENET, str(given)) == WeightsFile(given, "given")


def test_a_home_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_WEIGHTS", "~/weights::/other")
    assert weights_folders() == [Path.home() / "weights", Path("/other")]


# ---- What fits


def test_whether_a_file_has_a_top(tmp_path):
    assert check_fits(MOBILENET, BUILT_IN_FILE)
    assert not check_fits(SMALL, fake(tmp_path / "notop.h5", SMALL.parameters))
    assert count_parameters(tmp_path / "notop.h5") == SMALL.parameters


def test_another_network_s_file(places):
    path = fake(places[0] / SMALL.official_notop, SMALL.parameters - 1)
    expected = (
        "Expected weights of mobilenet_v3_small (939,120 parameters without its top). "
        f"Received: {path} with 939,119. Choose the file that belongs to the backbone, "
        "or the backbone that belongs to the file."
    )
    assert refusal(find_weights, SMALL) == expected
    assert refusal(find_weights, SMALL, str(path)) == expected


def test_a_file_without_the_top_that_is_needed(tmp_path):
    path = fake(tmp_path / "notop.h5", SMALL.parameters)
    assert refusal(find_weights, SMALL, str(path), top=True) == (
        "Expected weights of mobilenet_v3_small with its 1000-class top. "
        f"Received: {path}, which has none. Provide {SMALL.official_top} instead."
    )


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_the_right_number_of_parameters_in_the_wrong_layers(tmp_path):
    path = fake(tmp_path / "x.weights.h5", SMALL.parameters)
    text = refusal(build_trunk, SMALL, (32, 32), "avg", WeightsFile(path, "given"))
    assert text.startswith(
        f"Expected weights of mobilenet_v3_small. Received: {path}, whose layers differ ("
    )
    assert text.endswith("). Choose the file that belongs to the backbone.")


@pytest.mark.parametrize("content", [b"", b"<html>", None])
def test_a_damaged_file(tmp_path, content):
    path = tmp_path / "x.h5"
    path.write_bytes(BUILT_IN_FILE.read_bytes()[:100_000] if content is None else content)
    text = refusal(find_weights, MOBILENET, str(path))
    assert text.startswith(
        f"Expected a Keras weights file (.h5, HDF5). Received: {path}, which cannot be read ("
    )
    assert text.endswith("). Download or copy it again.")


def test_a_given_file_that_is_none(tmp_path):
    assert refusal(find_weights, MOBILENET, "nope.h5") == (
        "--weights: expected a weights file, 'auto' or 'none'. "
        "Received: 'nope.h5', which does not exist."
    )
    assert refusal(find_weights, MOBILENET, str(tmp_path)).endswith(f"'{tmp_path}', a folder.")


def test_a_changed_built_in_file(tmp_path, monkeypatch):
    path = tmp_path / BUILT_IN_FILE.name
    shutil.copyfile(BUILT_IN_FILE, path)
    monkeypatch.setattr(weights, "_ASSETS", tmp_path)
    assert find_weights(MOBILENET).path == path
    with path.open("r+b") as file:
        file.seek(-100, 2)
        file.write(b"\1")
    assert refusal(find_weights, MOBILENET) == (
        f"Expected {path} as it was published (SHA-256 323964e452aa...). Received: a changed file."
        " Install the package again: pip install --force-reinstall cnntransfer"
    )


# ---- Without a network


def test_a_closed_network_names_the_file_the_places_and_two_ways_out(places, monkeypatch):
    one, two, cache = places
    tries = []
    monkeypatch.setattr(weights.socket, "create_connection", lambda *_, **__: tries.append(1))
    text = refusal(find_weights, SMALL)
    assert not tries
    assert text == (
        "No ImageNet weights of mobilenet_v3_small found, and the network cannot be reached. "
        f"Expected a file named {SMALL.official_notop} (or "
        "mobilenet_v3_small_imagenet_notop.weights.h5). "
        f"Looked in: {one}, {two}, this package, {cache}. "
        "Put the file into a folder named in CNNTRANSFER_WEIGHTS, or give it to finetune with "
        "--weights FILE. "
        "Built in and always there: mobilenet, mobilenet_v2."
    )


@pytest.mark.parametrize("way", ["refuses", "hangs"])
def test_a_network_that_does_not_answer_is_given_up_soon(monkeypatch, way):
    released = threading.Event()
    answered = []

    def knock(*_args, **_options):
        if way == "hangs":
            answered.append(released.wait(100))
        raise OSError("unreachable")

    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CNNTRANSFER_OFFLINE")
    monkeypatch.setattr(weights, "_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(weights.socket, "create_connection", knock)
    assert "the network cannot be reached" in refusal(find_weights, SMALL)
    assert not answered
    released.set()


def test_a_download_that_fails(monkeypatch):
    def fail(**_options):
        raise Exception("URL fetch failure on\n https://example.org: None")

    monkeypatch.setattr(weights, "_network_is_open", lambda: True)
    monkeypatch.setattr(keras().applications, SMALL.constructor, fail)
    assert refusal(find_weights, SMALL) == (
        f"Downloading {SMALL.official_notop} failed (URL fetch failure on https://example.org: "
        "None). Try again, or give the file with --weights FILE or in a folder named in "
        "CNNTRANSFER_WEIGHTS."
    )


def test_a_download_is_found_in_keras_cache(places, monkeypatch):
    def download(weights, include_top):
        assert (weights, include_top) == ("imagenet", False)
        fake(places[2] / SMALL.official_notop, SMALL.parameters)

    monkeypatch.setattr(weights, "_network_is_open", lambda: True)
    monkeypatch.setattr(keras().applications, SMALL.constructor, download)
    assert find_weights(SMALL).source == "keras cache"


# ---- Random weights


@pytest.mark.slow
def test_random_weights_follow_the_seed():
    digests = [
        build_trunk(SMALL, (32, 32), "avg", find_weights(SMALL, "none", seed=seed)).digest
        for seed in (1, 1, 2)
    ]
    assert digests[0] == digests[1] != digests[2]
    assert find_weights(SMALL, "none", seed=1).digest == "random-1"


# ---- Files with a top serve a trunk


@pytest.fixture(scope="module")
def full():
    """MobileNet with its top and random weights."""
    k = keras()
    k.utils.set_random_seed(3)
    model = k.applications.MobileNet(weights=None)
    random = np.random.default_rng(0)
    for layer in model.layers:
        # Statistics of their own, so that a mix-up of layers shows.
        if isinstance(layer, k.layers.BatchNormalization):
            layer.set_weights([w + random.uniform(0, 0.2, w.shape) for w in layer.get_weights()])
    return model


@pytest.mark.parametrize("layout", ["weights", "legacy model", "legacy weights", "legacy notop"])
@pytest.mark.slow
def test_every_layout_gives_the_same_features(full, layout, tmp_path, caplog):
    k = keras()
    last = full.get_layer("conv_pw_13_relu").output
    if layout == "weights":
        path = tmp_path / "x.weights.h5"
        full.save_weights(path)
    elif layout == "legacy model":
        path = tmp_path / "x.h5"
        full.save(path)
    else:
        from keras.src.legacy.saving import legacy_h5_format

        path = tmp_path / "x.h5"
        model = full if layout == "legacy weights" else k.Model(full.input, last)
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
    trunk = build_trunk(MOBILENET, (224, 224), "avg", find_weights(MOBILENET, str(path)))
    image = np.random.default_rng(1).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    maps = k.Model(full.input, last)(image / 127.5 - 1)
    expected = np.asarray(maps).mean(axis=(1, 2))
    assert expected.std() > 0
    np.testing.assert_allclose(np.asarray(trunk.model(image)), expected, atol=1e-5)
