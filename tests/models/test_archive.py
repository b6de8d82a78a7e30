"""``model.keras`` written without Keras is the file that Keras writes, and what it loads."""

import json
import re
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

from cnntransfer.frameworks import keras
from cnntransfer.models.archive import write_classifier
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import Trunk, build_classifier, build_trunk, set_trainable
from cnntransfer.models.head import HeadModel, Layer, head_layers, initial_weights
from cnntransfer.models.preprocessing import Preprocessing, preprocess
from cnntransfer.models.weights import find_weights
from cnntransfer.recipe import Head

WEIGHTS = "model.weights.h5"
#: Noise of rising contrast, so that features and probabilities differ from one to the next.
IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 64, 48, 3)).astype(np.float32)
IMAGES *= np.float32([5, 80, 255])[:, None, None, None]

# Fractions of two: Keras 3.14 rounds an L2 factor to float32 before it writes it.
HEADS = {
    "none": Head(units=(), dropout=0.25, l2=0.5),
    "bare": Head(units=(), dropout=0.0, l2=0.0),
    "relu": Head(units=(8,), activation="relu", dropout=0.5, l2=0.0),
    "gelu": Head(units=(8,), activation="gelu", dropout=0.0, l2=0.125),
    "silu": Head(units=(8,), activation="silu", batch_normalization=True, dropout=0.0, l2=0.0),
    "tanh": Head(units=(8, 5), activation="tanh", dropout=0.5, l2=0.25),
    "all": Head(units=(8, 5), activation="relu", batch_normalization=True, dropout=0.5, l2=0.25),
}


def make_head(head, features, seed=0):
    """A head of 3 classes in which every number is another one."""
    random = np.random.default_rng(seed)
    layers = head_layers(head, 3, seed + 7)
    initial = initial_weights(layers, random.normal(1, 2, (50, features)).astype(np.float32))
    weights = {
        name: tuple(a + random.normal(0, 0.05, a.shape).astype(np.float32) for a in arrays)
        for name, arrays in initial.items()
    }
    return HeadModel(layers, weights)


def read(file):
    """All that an archive holds: its members, the graph as written, groups, names and arrays."""
    with zipfile.ZipFile(file) as archive:
        members = [(member.filename, member.compress_type) for member in archive.infolist()]
        config, metadata = archive.read("config.json").decode(), archive.read("metadata.json")
        with archive.open(WEIGHTS) as content, h5py.File(content) as weights:
            state = {}
            weights.visititems(
                lambda path, found: state.update(
                    {path: found[()] if isinstance(found, h5py.Dataset) else dict(found.attrs)}
                )
            )
    return members, config, json.loads(metadata), state


def assert_same_state(ours, theirs):
    assert list(ours) == list(theirs)
    for path, value in theirs.items():
        assert type(ours[path]) is type(value), path
        if isinstance(value, dict):
            assert ours[path] == value, path
        else:
            assert ours[path].dtype == value.dtype, path
            np.testing.assert_array_equal(ours[path], value, err_msg=path)


def assert_same_file(ours, theirs):
    """Two archives are alike but for the date."""
    members, config, metadata, state = read(ours)
    other_members, other_config, other_metadata, other_state = read(theirs)
    assert members == other_members
    assert json.loads(config) == json.loads(other_config)
    assert config == other_config
    assert list(metadata) == list(other_metadata)
    assert metadata["keras_version"] == other_metadata["keras_version"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d", metadata["date_saved"])
    assert_same_state(state, other_state)


def plain(described):
    """A graph as JSON has it, without the marks of what is shared, which differ at every save."""
    kept = json.dumps(described)
    return json.loads(re.sub(r', "shared_object_id": \d+', "", kept))


def load(file):
    return keras().saving.load_model(file, compile=False, safe_mode=True)


def small_trunk():
    """A trunk that flips channels by an operation and has layers of a head's kinds itself."""
    k = keras()
    image = k.Input((64, 48, 3), name="image")
    x = preprocess(image, Preprocessing.CAFFE)
    x = k.layers.BatchNormalization()(k.layers.Conv2D(4, 3, strides=8)(x))
    x = k.layers.Dense(6)(k.layers.Activation("relu")(x))
    x = k.ops.relu(k.layers.Dropout(0.5, name="drop")(x)) + x
    features = k.layers.GlobalAveragePooling2D(name="features")(x)
    return Trunk(k.Model(image, features, name="small"), (), (), ())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small trunk, all of it trainable, and its file."""
    k = keras()
    k.utils.set_random_seed(0)
    trunk, file = small_trunk(), tmp_path_factory.mktemp("small") / "trunk.keras"
    trunk.model.save(file)
    return trunk, file


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory):
    """The real MobileNet, frozen, and its file."""
    backbone = get_backbone("mobilenet")
    trunk = build_trunk(backbone, (64, 48), "avg", find_weights(backbone))
    set_trainable(trunk, 0, train_batch_normalization=False)
    file = tmp_path_factory.mktemp("mobilenet") / "trunk.keras"
    trunk.model.save(file)
    return trunk, file


@pytest.mark.parametrize(
    ("name", "head"),
    [*(("small", head) for head in HEADS), ("mobilenet", "all")],
)
@pytest.mark.slow
def test_the_file_is_the_one_that_keras_writes_and_loads(name, head, request, tmp_path):
    trunk, trunk_file = request.getfixturevalue(name)
    head = make_head(HEADS[head], trunk.model.output.shape[1])
    expected = build_classifier(trunk, head)
    ours, theirs, again = (tmp_path / f"{name}.keras" for name in ("ours", "theirs", "again"))
    expected.save(theirs)
    write_classifier(trunk_file, head, ours)
    assert_same_file(ours, theirs)

    model = load(ours)
    assert model.name == "classifier"
    assert plain(model.get_config()) == plain(expected.get_config())
    names = [layer.name for layer in trunk.model.layers] + [layer.name for layer in head.layers]
    assert [layer.name for layer in model.layers] == names
    for layer in model.layers:
        source = expected.get_layer(layer.name)
        arrays = head.weights.get(layer.name, source.get_weights())
        np.testing.assert_equal([np.asarray(v) for v in layer.weights], list(arrays))
        assert layer.trainable is source.trainable
    assert not model.get_layer("standardise").trainable
    np.testing.assert_array_equal(model.losses, expected.losses)

    probabilities = np.asarray(model(IMAGES))
    np.testing.assert_allclose(probabilities, np.asarray(expected(IMAGES)), atol=1e-6)
    features = np.asarray(trunk.model(IMAGES))
    np.testing.assert_allclose(probabilities, head(features), atol=1e-5)
    assert probabilities.std(axis=0).min() > 1e-3  # No constants are compared.

    model.save(again)
    assert plain(json.loads(read(ours)[1])) == plain(json.loads(read(again)[1]))
    assert_same_state(read(ours)[3], read(again)[3])


# ---- Other trunks


def test_layers_are_counted_on_from_the_trunk_s(tmp_path):
    trunk, head = small_trunk(), make_head(HEADS["all"], 6)
    trunk.model.trainable = False
    trunk.model.save(tmp_path / "trunk.keras")
    build_classifier(trunk, head).save(tmp_path / "theirs.keras")
    write_classifier(tmp_path / "trunk.keras", head, tmp_path / "ours.keras")
    assert_same_file(tmp_path / "ours.keras", tmp_path / "theirs.keras")
    state = read(tmp_path / "ours.keras")[3]
    names = {path.split("/")[1]: value["name"] for path, value in state.items() if path[-1] == "s"
             and path.count("/") == 2}  # fmt: skip
    assert names["batch_normalization_1"] == "standardise"
    assert names["dense_3"] == "probabilities"
    assert names["dropout_2"] == "hidden2_dropout"
    assert load(tmp_path / "ours.keras").get_layer("probabilities").trainable


def test_arguments_that_a_layer_is_not_given_have_keras_s_values(small, tmp_path):
    given = [
        Layer("BatchNormalization", "standardise", {}),
        Layer("Dense", "hidden1", {"units": 5}),
        Layer("Activation", "hidden1_relu", {"activation": "relu"}),
        Layer("Dropout", "hidden1_dropout", {"rate": 0.5}),
        Layer("Dense", "probabilities", {"units": 3, "activation": "softmax"}),
    ]
    shapes = {"standardise": [(6,)] * 4, "hidden1": [(6, 5), (5,)], "probabilities": [(5, 3), (3,)]}
    weights = {n: tuple(np.full(a, 0.5, np.float32) for a in s) for n, s in shapes.items()}
    head = HeadModel(tuple(given), weights)
    build_classifier(small[0], head).save(tmp_path / "theirs.keras")
    write_classifier(small[1], head, tmp_path / "ours.keras")
    assert_same_file(tmp_path / "ours.keras", tmp_path / "theirs.keras")


def test_weights_that_are_larger_than_the_first_zip_format_allows(small, tmp_path, monkeypatch):
    write_classifier(small[1], make_head(HEADS["all"], 6), tmp_path / "ours.keras")
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", 30_000)
        write_classifier(small[1], make_head(HEADS["all"], 6), tmp_path / "large.keras")
    assert (tmp_path / "large.keras").stat().st_size > (tmp_path / "ours.keras").stat().st_size
    assert_same_file(tmp_path / "large.keras", tmp_path / "ours.keras")


@pytest.mark.slow
def test_a_trunk_with_branches(tmp_path):
    backbone = get_backbone("mobilenet_v2")
    trunk = build_trunk(backbone, (64, 64), "max", find_weights(backbone, "none"))
    head = make_head(HEADS["all"], 1280)
    trunk.model.save(tmp_path / "trunk.keras")
    build_classifier(trunk, head).save(tmp_path / "theirs.keras")
    write_classifier(tmp_path / "trunk.keras", head, tmp_path / "ours.keras")
    assert_same_file(tmp_path / "ours.keras", tmp_path / "theirs.keras")


# ---- Other versions of Keras


def rewritten(file, target, change):
    """An archive whose graph and metadata are changed."""
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(target, "w") as archive:
        metadata, config = (json.loads(source.read(f"{n}.json")) for n in ("metadata", "config"))
        change(metadata, config["config"])
        archive.writestr("metadata.json", json.dumps(metadata))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr(WEIGHTS, source.read(WEIGHTS))
    return target


@pytest.mark.parametrize(
    ("version", "written"),
    [
        ("3.9.2", set()),
        ("3.12.0", set()),
        ("3.13.0", {"quantization_config"}),
        ("3.14.1", {"quantization_config", "renorm"}),
        ("3.15.0.dev2", {"quantization_config", "renorm", "input_axes"}),
        ("4.0.0", {"quantization_config", "renorm", "input_axes"}),
    ],
)
def test_arguments_are_those_of_the_trunk_s_keras(version, written, small, tmp_path):
    def change(metadata, graph):
        metadata["keras_version"] = version

    trunk_file = rewritten(small[1], tmp_path / "trunk.keras", change)
    write_classifier(trunk_file, make_head(HEADS["all"], 6), tmp_path / "ours.keras")
    _, config, metadata, _ = read(tmp_path / "ours.keras")
    assert metadata["keras_version"] == version
    entries = json.dumps(json.loads(config)["config"]["layers"][-10:])
    newer = ("quantization_config", "renorm", "input_axes")
    assert {name for name in newer if f'"{name}"' in entries} == written


def test_an_output_that_is_nested_stays_so(small, tmp_path):
    """As Keras 3.10 writes it."""

    def change(metadata, graph):
        graph["output_layers"] = [["features", 0, 0]]

    trunk_file = rewritten(small[1], tmp_path / "trunk.keras", change)
    write_classifier(trunk_file, make_head(HEADS["bare"], 6), tmp_path / "ours.keras")
    graph = json.loads(read(tmp_path / "ours.keras")[1])["config"]
    assert graph["output_layers"] == [["probabilities", 0, 0]]


# ---- Without Keras, and when something is wrong


def test_keras_is_not_imported(small, tmp_path):
    target = tmp_path / "ours.keras"
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from cnntransfer.models.archive import write_classifier\n"
        "from cnntransfer.models.head import HeadModel, head_layers, initial_weights\n"
        "from cnntransfer.recipe import Head\n"
        "layers = head_layers(Head(units=(4,), batch_normalization=True), 3)\n"
        "weights = initial_weights(layers, np.eye(9, 6, dtype=np.float32))\n"
        "write_classifier(Path(sys.argv[1]), HeadModel(layers, weights), Path(sys.argv[2]))\n"
        "print(*[name for name in ('tensorflow', 'keras') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, small[1], target],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert done.stdout.split() == []
    assert load(target).output.shape == (None, 3)


def test_an_older_file_is_replaced_and_nothing_is_left_beside_it(small, tmp_path):
    target = tmp_path / "new" / "model.keras"
    write_classifier(small[1], make_head(HEADS["bare"], 6), target)
    write_classifier(small[1], make_head(HEADS["bare"], 6, seed=1), target)
    expected = make_head(HEADS["bare"], 6, seed=1).weights["probabilities"]
    np.testing.assert_array_equal(read(target)[3]["layers/dense_1/vars/0"], expected[0])
    assert [file.name for file in target.parent.iterdir()] == ["model.keras"]


def test_a_damaged_trunk_leaves_the_target_as_it_was(small, tmp_path):
    head, target = make_head(HEADS["bare"], 6), tmp_path / "model.keras"
    target.write_text("old")
    flipped = tmp_path / "flipped.keras"
    content = bytearray(small[1].read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    text = tmp_path / "text.keras"
    text.write_text("no archive")
    lacking = tmp_path / "lacking.keras"
    with zipfile.ZipFile(small[1]) as source, zipfile.ZipFile(lacking, "w") as archive:
        for member in ("metadata.json", "config.json"):
            archive.writestr(member, source.read(member))
    for file, error in [
        (flipped, zipfile.BadZipFile),
        (text, zipfile.BadZipFile),
        (lacking, KeyError),
        (tmp_path / "absent.keras", FileNotFoundError),
    ]:
        with pytest.raises(error):
            write_classifier(file, head, target)
        assert target.read_text() == "old"
        assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("a weight", lambda state: state["layers/dense/vars/0"].__setitem__((0, 0), 9)),
        ("a name", lambda state: state["layers/dense/vars"].update(name="other")),
        ("a group", lambda state: state.pop("layers/dense/vars")),
    ],
)
def test_the_comparison_notices_what_differs(what, change, small, tmp_path):
    file = tmp_path / "ours.keras"
    write_classifier(small[1], make_head(HEADS["bare"], 6), file)
    state, changed = read(file)[3], read(file)[3]
    assert_same_state(changed, state)
    change(changed)
    with pytest.raises(AssertionError):
        assert_same_state(changed, state)
