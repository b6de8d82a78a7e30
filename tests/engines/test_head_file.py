"""Heads as LiteRT files: what they compute, what they look like, and that nothing heavy helps."""

import itertools
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from cnntransfer.engines.conversion import convert
from cnntransfer.engines.head_file import write_head
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.errors import OutputError
from cnntransfer.frameworks import keras, litert_interpreter, litert_schema
from cnntransfer.models.classifier import build_head
from cnntransfer.models.head import HeadModel, head_layers, initial_weights
from cnntransfer.recipe import Head as AnyHead

#: One head alone.
Head = partial(AnyHead, ensemble=1)

ACTIVATIONS = ("relu", "gelu", "silu", "tanh")
HEADS = {
    "none hidden": Head(units=()),
    "none hidden, dropout": Head(units=(), dropout=0.3),
    **{
        f"{activation} {units} {'bn' if normalised else 'plain'} {dropout}": Head(
            units=units, activation=activation, batch_normalization=normalised, dropout=dropout
        )
        for activation, units, normalised, dropout in itertools.product(
            ACTIVATIONS, ((24,), (24, 12)), (False, True), (0.0, 0.4)
        )
    },
}


def features_of(kind, count=40, width=96):
    """Features as backbones give them, or far from zero and some of them nearly constant."""
    random = np.random.default_rng(1)
    deviations = random.choice([1e-4, 0.01, 0.5, 3], width)
    made = {
        "usual": np.abs(random.normal(0, 1, (count, width))),
        "far": random.uniform(0, 50, width) + deviations * random.normal(0, 1, (count, width)),
    }
    return made[kind].astype(np.float32)


def head_for(described, features, classes=5):
    """A head that looks trained: its normalisations have seen something, nothing is zero."""
    layers = head_layers(described, classes, seed=3)
    random = np.random.default_rng(2)
    weights = dict(initial_weights(layers, features))
    for layer in layers[1:]:
        if layer.kind == "Dense":
            kernel, bias = weights[layer.name]
            weights[layer.name] = (kernel, random.normal(0, 0.5, bias.shape).astype(np.float32))
        elif layer.kind == "BatchNormalization":
            shape = weights[layer.name][0].shape
            ranges = ((0.5, 1.5), (-0.5, 0.5), (-1, 1), (0.2, 2))
            drawn = tuple(random.uniform(*ends, shape).astype(np.float32) for ends in ranges)
            weights[layer.name] = drawn
    return HeadModel(layers, weights)


def run(file, features):
    engine = LiteRTEngine([file])
    return np.stack([engine.run(row).probabilities for row in features])


def operators(file):
    """(operation, version) of every code that a file lists, and its model."""
    model = litert_schema().ModelT.InitFromPackedBuf(bytearray(file.read_bytes()))
    return {(code.builtinCode, code.version) for code in model.operatorCodes}, model


@pytest.mark.parametrize("kind", ["usual", "far"])
@pytest.mark.parametrize("name", HEADS)
def test_a_file_computes_what_the_head_computes(name, kind, tmp_path):
    features = features_of(kind)
    head = head_for(HEADS[name], features)
    write_head(head, tmp_path / "head.tflite")
    received = run(tmp_path / "head.tflite", features)
    assert received.dtype == np.float32
    np.testing.assert_allclose(received, head(features), rtol=1e-5)
    np.testing.assert_allclose(received.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("name", HEADS)
def test_a_file_computes_what_keras_computes(name, tmp_path):
    features = features_of("usual")
    head = head_for(HEADS[name], features)
    k = keras()
    model = k.Sequential([k.Input((head.features,)), *build_head(head.layers)])
    model.set_weights(
        [array for layer in head.layers for array in head.weights.get(layer.name, ())]
    )
    write_head(head, tmp_path / "head.tflite")
    expected = np.asarray(model(features, training=False))
    np.testing.assert_allclose(run(tmp_path / "head.tflite", features), expected, rtol=1e-5)


def test_wide_features_far_from_zero(tmp_path):
    features = features_of("far", count=20, width=2048)
    head = head_for(Head(units=(256,)), features, classes=10)
    write_head(head, tmp_path / "head.tflite")
    np.testing.assert_allclose(run(tmp_path / "head.tflite", features), head(features), rtol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_operations_and_their_versions_are_the_converter_s(activation, tmp_path):
    head = head_for(Head(units=(8,), activation=activation), features_of("usual"))
    k = keras()
    convert(
        k.Sequential([k.Input((head.features,)), *build_head(head.layers)]), tmp_path / "c.tflite"
    )
    write_head(head, tmp_path / "head.tflite")
    subtract = {(litert_schema().BuiltinOperator.SUB, 1)}
    assert operators(tmp_path / "head.tflite")[0] == operators(tmp_path / "c.tflite")[0] | subtract


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_batch(activation, tmp_path):
    features = features_of("usual", count=5)
    head = head_for(Head(units=(24,), activation=activation), features)
    write_head(head, tmp_path / "head.tflite")
    interpreter = litert_interpreter()(model_path=str(tmp_path / "head.tflite"))
    interpreter.resize_tensor_input(0, [5, head.features], strict=True)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, features)
    interpreter.invoke()
    received = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(received, head(features), rtol=1e-5)


def test_names_shapes_and_the_signature(tmp_path):
    features = features_of("usual")
    head = head_for(Head(units=(24, 12), activation="silu", batch_normalization=True), features)
    write_head(head, tmp_path / "head.tflite")
    interpreter = litert_interpreter()(model_path=str(tmp_path / "head.tflite"))
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    for tensor, name, width in ((source, "features", 96), (result, "probabilities", 5)):
        assert (tensor["name"], tensor["dtype"]) == (name, np.float32)
        assert tensor["shape"].tolist() == [1, width]
        assert tensor["shape_signature"].tolist() == [-1, width]
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["features"], "outputs": ["probabilities"]}
    }
    signature = interpreter.get_signature_runner("serving_default")
    received = signature(features=features[:1])["probabilities"]
    np.testing.assert_allclose(received, head(features[:1]), rtol=1e-5)
    names = [tensor["name"] for tensor in interpreter.get_tensor_details() if tensor["name"]]
    assert len(names) == len(set(names))


def test_the_file_s_form(tmp_path):
    """What readers of other LiteRT runtimes rely on."""
    head = head_for(Head(units=(23,), activation="gelu"), features_of("usual", width=31))
    write_head(head, tmp_path / "head.tflite")
    content = (tmp_path / "head.tflite").read_bytes()
    assert content[4:8] == b"TFL3"
    _, model = operators(tmp_path / "head.tflite")
    assert model.version == 3
    assert model.buffers[0].data is None
    codes = [(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    schema = litert_schema()
    assert (schema.BuiltinOperator.GELU, 127) in codes
    assert (schema.BuiltinOperator.SOFTMAX, schema.BuiltinOperator.SOFTMAX) in codes
    arrays = [head.weights["standardise"][0], head.weights["probabilities"][0].T]
    for array in arrays:
        assert content.index(np.ascontiguousarray(array).tobytes()) % 16 == 0
    tensors = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    assert tensors["hidden1/kernel"].shape.tolist() == [23, 31]
    assert tensors["hidden1/kernel"].shapeSignature is None


def test_the_same_head_gives_the_same_bytes(tmp_path):
    features = features_of("usual")
    contents = []
    for file in (tmp_path / "a.tflite", tmp_path / "b.tflite"):
        write_head(head_for(HEADS["silu (24, 12) bn 0.4"], features), file)
        contents.append(file.read_bytes())
    assert contents[0] == contents[1]


def test_a_file_is_replaced_and_a_place_that_cannot_be_written_named(tmp_path):
    head = head_for(Head(units=()), features_of("usual"))
    file = tmp_path / "head.tflite"
    file.write_text("old")
    write_head(head, file)
    assert [path.name for path in tmp_path.iterdir()] == ["head.tflite"]
    assert file.read_bytes()[4:8] == b"TFL3"
    with pytest.raises(OutputError, match="Expected a folder"):
        write_head(head, file / "head.tflite")


def test_neither_tensorflow_nor_keras_is_imported(tmp_path):
    script = f"""
import sys
from pathlib import Path
import numpy as np
from cnntransfer.engines.head_file import write_head
from cnntransfer.engines.parity import check_parity
from cnntransfer.models.head import HeadModel, head_layers, initial_weights
from cnntransfer.recipe import Head
assert "ai_edge_litert" not in sys.modules
layers = head_layers(Head(units=(8,)), 3)
features = np.random.default_rng(0).normal(size=(20, 16)).astype(np.float32)
head = HeadModel(layers, initial_weights(layers, features))
file = Path({str(tmp_path / "head.tflite")!r})
write_head(head, file)
assert check_parity(head, file, features)["largest_difference"] < 1e-5
print(*[name for name in ("tensorflow", "keras", "scipy") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.split() == []
