"""Every row of the table of backbones against the model that Keras builds (minutes).

What a row says is compared without allocating the weights. They are made for one of every family,
which is saved and read again: the others differ in how many layers there are, and how wide.

Run with: pytest -o addopts="" tests/real/test_all_backbones.py
"""

import gc

import numpy as np
import pytest

from cnntransfer import frameworks
from cnntransfer.engines.conversion import convert
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.inspect.layout import lay_out
from cnntransfer.models import backbones
from cnntransfer.models.anatomy import measure
from cnntransfer.models.anatomy.keras_graph import graph_of, placed
from cnntransfer.models.backbones import Preprocessing
from cnntransfer.models.classifier import build_classifier, build_trunk
from cnntransfer.models.head import HeadModel, head_layers, initial_weights
from cnntransfer.models.weights import WeightsFile
from cnntransfer.recipe import Head
from tests.real.families import SMALLEST

#: Those of Keras; the classics are in tests/models/test_classics.py.
BACKBONES = {name: row for name, row in backbones.BACKBONES.items() if row.is_pretrained}

# Tensors that cross the lower boundary of a block, where it is not one.
NASNET_TENSORS = {"stack3": 2, "stack2": 2, "stack1": 3}

FAMILIES = [backbone for backbone in SMALLEST if backbone.is_pretrained]

# Receptive fields of their last maps in pixels: Araujo, Norris and Sim, "Computing Receptive Fields
# of Convolutional Neural Networks", Distill 2019, table 2.
PUBLISHED_FIELDS = {
    "vgg16": 212,
    "resnet50": 483,
    "resnet101": 1027,
    "resnet152": 1507,
    "inception_v3": 1311,
    "inception_resnet_v2": 3039,
    "mobilenet": 315,
}


# Converting takes 10 s and more, so other tests do it for the networks with real weights.
CONVERTED_HERE = ("mobilenet_v3_small", "convnext_tiny")


@pytest.fixture
def forget_models():
    yield
    frameworks.keras().backend.clear_session()
    gc.collect()


def image_of(side):
    return frameworks.keras().Input((side, side, 3), name="image")


def tensors_into(trunk, first):
    """How many tensors computed before layer ``first`` are needed by it or after it."""
    operations = list(trunk.operations)
    position = {id(operation): index for index, operation in enumerate(operations)}
    start = position[id(first)]
    crossing = set()
    for operation in operations[start:]:
        for node in operation._inbound_nodes:
            for parent in node.parent_nodes:
                # Nodes of the graph before Backbone rebuilt it have operations not in here.
                if position.get(id(parent.operation), start) < start:
                    crossing.add(id(parent.operation))
    return len(crossing)


def trunk_of(backbone):
    size = (backbone.minimum_size, backbone.minimum_size)
    return build_trunk(backbone, size, "avg", WeightsFile(None, "random"))


@pytest.fixture(scope="module", params=BACKBONES.values(), ids=BACKBONES)
def built(request):
    """A row and its trunk, of which no weight is allocated, built once for the tests below."""
    with frameworks.keras().StatelessScope(initialize_variables=False):
        trunk = trunk_of(request.param)
    yield request.param, trunk
    frameworks.keras().backend.clear_session()
    gc.collect()


def test_trunk(built):
    backbone, pooled = built
    trunk = frameworks.keras().Model(pooled.model.input, pooled.model.layers[-2].output)
    own = backbone.own_layers(trunk)
    added = 1 if backbone.preprocessing is Preprocessing.BUILT_IN else 2

    assert trunk.output.shape[-1] == backbone.features
    assert min(trunk.output.shape[1:3]) >= 1
    assert trunk.count_params() == backbone.parameters
    assert backbone.layers == len(trunk.layers) - added

    channels = [tensor.shape[-1] for tensor in backbone.block_outputs(trunk)]
    assert channels == [block.channels for block in backbone.blocks]

    above = 0
    for block, count, _ in backbone.blocks:
        first = own[-count]
        assert sum(len(layer.weights) for layer in own[-count:]) > above, block
        above = sum(len(layer.weights) for layer in own[-count:])
        expected = NASNET_TENSORS.get(block, 1) if backbone.module == "nasnet" else 1
        assert tensors_into(trunk, first) == expected, block


def test_anatomy(built):
    backbone, pooled = built
    model = pooled.model
    anatomy = measure(backbone.name, placed(graph_of(model), lambda entry: False))
    facts = {facts.name: facts for facts in anatomy.layers}

    assert anatomy.parameters == model.count_params()
    compared = [operation for operation in model.operations if operation.name in facts]
    assert len(compared) >= backbone.layers - 4  # Four of ConvNeXt's are models themselves.
    for operation in compared:
        assert tuple(operation.output.shape[1:]) == facts[operation.name].output, operation.name
    last_map = anatomy.layers[-2]
    if backbone.name in PUBLISHED_FIELDS:
        side = PUBLISHED_FIELDS[backbone.name]
        assert last_map.field.size == (side, side)
    layout = lay_out(anatomy)
    assert layout.rows <= 8
    assert min(box.width for box in layout.boxes) > 0.02


@pytest.mark.parametrize("backbone", FAMILIES, ids=lambda backbone: backbone.name)
def test_saved_classifier_agrees_after_reloading(backbone, tmp_path, forget_models):
    trunk = trunk_of(backbone)
    shape = (2, *trunk.model.input_shape[1:])
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    layers = head_layers(Head(), 3)
    features = np.zeros((4, trunk.model.output.shape[1]), np.float32)
    classifier = build_classifier(trunk, HeadModel(layers, initial_weights(layers, features)))
    classifier.save(tmp_path / "model.keras")

    reloaded = frameworks.keras().saving.load_model(tmp_path / "model.keras", compile=False)

    # Called, not predict(): that would compile every network with XLA.
    expected = np.asarray(classifier(images, training=False))
    assert expected.shape == (2, 3)
    reread = np.asarray(reloaded(images, training=False))
    np.testing.assert_allclose(reread, expected, atol=1e-6)
    (tmp_path / "model.keras").unlink()
    if backbone.name in CONVERTED_HERE:
        convert(classifier, tmp_path / "model.tflite")
        engine = LiteRTEngine([tmp_path / "model.tflite"])
        converted = np.stack([engine.run(image).probabilities for image in images])
        np.testing.assert_allclose(converted, expected, atol=1e-4)


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_smaller_images_are_refused(backbone):
    with pytest.raises(ValueError, match="at least"):
        backbone.trunk(image_of(backbone.minimum_size - 1))


@pytest.fixture
def asked(monkeypatch):
    """The names of the weights files that Keras asks for; it gets none and loads nothing."""
    from keras.src.utils import file_utils

    names = []
    monkeypatch.setattr(file_utils, "get_file", lambda fname, *args, **kwargs: names.append(fname))
    monkeypatch.setattr(frameworks.keras().Model, "load_weights", lambda *args, **kwargs: None)
    return names


def use_imagenet(monkeypatch, backbone):
    """Let the backbone's constructor be called with weights="imagenet" instead of None."""
    applications = frameworks.keras().applications
    constructor = getattr(applications, backbone.constructor)

    def imagenet(weights, **options):
        return constructor(weights="imagenet", **options)

    monkeypatch.setattr(applications, backbone.constructor, imagenet)


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_full_model_and_its_official_file(backbone, asked, monkeypatch, forget_models):
    use_imagenet(monkeypatch, backbone)
    with frameworks.keras().StatelessScope(initialize_variables=False):
        model = backbone.full(image_of(backbone.default_size))
    assert model.output.shape == (None, 1000)
    assert model.count_params() > backbone.parameters
    assert asked == [backbone.official_top]


# The names of a family differ in their start only, which the test above compares.
@pytest.mark.parametrize("backbone", FAMILIES, ids=lambda backbone: backbone.name)
def test_official_headless_file(backbone, asked, monkeypatch, forget_models):
    use_imagenet(monkeypatch, backbone)
    with frameworks.keras().StatelessScope(initialize_variables=False):
        backbone.trunk(image_of(backbone.default_size))
    assert asked == [backbone.official_notop]
