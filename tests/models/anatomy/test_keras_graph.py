"""Descriptions of Keras layers give what Keras itself counts."""

import random

import pytest

from cnntransfer import frameworks
from cnntransfer.errors import CnnTransferError
from cnntransfer.models.anatomy import measure
from cnntransfer.models.anatomy.keras_graph import graph_of, layer_entries, placed
from cnntransfer.models.backbones import BACKBONES, get_backbone


@pytest.fixture(scope="module")
def k():
    return frameworks.keras()


def anatomy(model):
    return measure("model", placed(graph_of(model), lambda entry: False))


def check_against(model):
    """Every output and every number of parameters, layer by layer; returns the anatomy."""
    result = anatomy(model)
    rows = {facts.name: facts for facts in result.layers}
    compared = 0
    for operation in model.operations:
        facts = rows.get(operation.name)
        if facts is not None:
            assert tuple(operation.output.shape[1:]) == facts.output, operation.name
            if hasattr(operation, "count_params"):
                assert operation.count_params() == facts.parameters.total, operation.name
            compared += 1
    assert compared
    assert result.parameters == model.count_params()
    statistics = sum(weight.shape.num_elements() for weight in model.non_trainable_weights)
    assert result.statistics == statistics
    return result


CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_convolutions(k, kind, padding, seed):
    chance = random.Random(f"{kind}{padding}{seed}")
    stride = chance.choice([1, 2, 3])
    options = {
        "kernel_size": (chance.randint(1, 5), chance.randint(1, 5)),
        "strides": stride,
        "padding": padding,
        "dilation_rate": chance.choice([1, 2]) if stride == 1 else 1,
        "use_bias": chance.random() < 0.5,
    }
    if kind == "Conv2D":
        options["groups"] = chance.choice([1, 2, 4])
    if kind in ("DepthwiseConv2D", "SeparableConv2D"):
        options["depth_multiplier"] = chance.choice([1, 3])
    if kind != "DepthwiseConv2D":
        options["filters"] = 8
    image = k.Input((17, 14, 4))
    check_against(k.Model(image, getattr(k.layers, kind)(**options)(image)))


def test_the_other_layers(k):
    layers = k.layers
    image = x = k.Input((23, 20, 3))
    x = layers.Normalization()(x)
    x = layers.Rescaling(2.0)(x)
    x = layers.Conv2D(8, 3)(k.ops.flip(x, axis=-1))
    x = layers.ZeroPadding2D(((0, 1), (2, 3)))(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.LayerNormalization()(layers.ReLU()(x))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    y = layers.AveragePooling2D(2, strides=1, padding="same")(x)
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    x = layers.Concatenate()([layers.Add()([x, y]), layers.Multiply()([x, gate])])
    x = layers.Cropping2D(((1, 0), (0, 2)))(x * 0.5 + 3.0)
    x = layers.Dense(5, use_bias=False)(layers.Dropout(0.2)(x))
    x = layers.Softmax()(layers.Flatten()(layers.GlobalMaxPooling2D(keepdims=True)(x)))
    result = check_against(k.Model(image, x))
    kinds = {facts.kind for facts in result.layers}
    assert {"zero padding", "crop", "global avg pool", "global max pool", "concat"} <= kinds


def test_operations_on_channels(k):
    image = k.Input((6, 5, 4))
    chosen = k.ops.take(image, [3, 0, 3, 1, 2], axis=-1)
    grey = k.ops.sum(image, axis=-1, keepdims=True)
    x = k.layers.Conv2D(2, 3)(k.layers.Concatenate()([chosen, grey]))
    result = check_against(k.Model(image, x))
    assert [facts.output for facts in result.layers if facts.kind in ("choose", "sum")] == [
        (6, 5, 5),
        (6, 5, 1),
    ]
    assert result.layers[-1].field.size == (3, 3)


def test_a_normalisation_with_given_numbers_holds_none(k):
    image = k.Input((4, 4, 3))
    x = k.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 1.0, 1.0])(image)
    assert check_against(k.Model(image, x)).parameters == 0


def test_nested_models_lie_flat(k):
    inner_image = k.Input((8, 8, 4))
    x = k.layers.Conv2D(4, 3, padding="same", name="conv")(inner_image)
    inner = k.Model(inner_image, k.layers.Add()([x, inner_image]), name="inner")
    row = k.Sequential([k.Input((8, 8, 4)), k.layers.Conv2D(2, 3, name="conv")], name="row")
    image = k.Input((8, 8, 3), name="image")
    model = k.Model(image, row(inner(k.layers.Conv2D(4, 1, name="first")(image))))
    graph = graph_of(model)
    assert [entry["class_name"] for entry in layer_entries(graph)] == [
        "Conv2D",
        "Functional",
        "Sequential",
    ]
    rows = placed(graph, lambda entry: entry["config"]["name"] == "inner")
    names = {one.name: (one.inputs, one.trained) for one in rows}
    assert names["first"] == (("image",), False)
    assert names["conv"] == (("first",), True)
    (added,) = (one for one in rows if one.layer.name_of_kind == "add")
    assert set(added.inputs) == {"conv", "first"}
    assert names["row/conv"] == ((added.name,), False)
    result = anatomy(model)
    assert result.parameters == model.count_params()
    assert result.layers[-1].output == (6, 6, 2)
    assert result.layers[-1].field.size == (5, 5)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda k, x: k.layers.UpSampling2D(name="big")(x), "'big', a UpSampling2D"),
        (
            lambda k, x: (lambda layer: layer(layer(x)))(k.layers.ReLU(name="twice")),
            "'twice', it is called several times",
        ),
        (
            lambda k, x: k.ops.sum(x, axis=1, keepdims=True),
            "'sum[0-9_]*', an operation on other axes than the channels'",
        ),
        (lambda k, x: k.ops.sum(x, axis=-1), "'sum[0-9_]*', an operation on other axes"),
    ],
)
def test_what_has_no_description_is_refused(k, make, reason):
    image = k.Input((8, 8, 3))
    with pytest.raises(CnnTransferError, match=f"Received: layer {reason}.*Please report this."):
        anatomy(k.Model(image, make(k, image)))


def built(name, side, include_top=False):
    backbone = get_backbone(name)
    image = frameworks.keras().Input((side, side, 3), name="image")
    return backbone.full(image) if include_top else backbone.trunk(image)


def test_resnet50_is_what_keras_counts():
    model = built("resnet50", 224, include_top=True)
    result = check_against(model)
    assert result.parameters == model.count_params() == 25_636_712
    assert result.frozen == sum(w.shape.num_elements() for w in model.trainable_weights)
    maps = {facts.name: facts for facts in result.layers}
    # Araujo, Norris and Sim 2019, table 2.
    assert maps["conv5_block3_out"].field.size == (483, 483)
    assert maps["conv5_block3_out"].jump == (32, 32)


@pytest.mark.parametrize(("name", "field"), [("vgg16", 212), ("mobilenet", 315)])
def test_fields_are_those_that_were_published(name, field):
    last = check_against(built(name, 224)).layers[-1]
    assert last.field.size == (field, field)


@pytest.mark.slow
def test_a_network_of_each_kind_of_input(k):
    """Convolutions with groups, nested models and gates; the other families are in tests/real."""
    for name in ("convnext_tiny", "mobilenet_v3_small"):
        assert check_against(built(name, 64)).parameters == BACKBONES[name].parameters
