"""Every network of the table, taken apart: against what Keras and TensorFlow count (minutes)."""

import gc

import pytest

from benchmarks.multiply_adds import BACKBONES as PROFILED
from benchmarks.multiply_adds import PRODUCTS, profiled
from cnntransfer import frameworks
from cnntransfer.inspect.layout import lay_out
from cnntransfer.inspect.network import of_backbone
from cnntransfer.models.anatomy import measure
from cnntransfer.models.anatomy.keras_graph import graph_of, placed
from cnntransfer.models.backbones import BACKBONES, get_backbone

# Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks",
# Distill 2019, table 2.
PUBLISHED_FIELDS = {
    "vgg16": 212,
    "resnet50": 483,
    "resnet101": 1027,
    "resnet152": 1507,
    "inception_v3": 1311,
    "inception_resnet_v2": 3039,
    "mobilenet": 315,
}


@pytest.fixture(autouse=True)
def _forget_models():
    yield
    frameworks.keras().backend.clear_session()
    gc.collect()


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_outputs_and_parameters_are_keras_own(backbone):
    side = backbone.minimum_size
    model = backbone.full(frameworks.keras().Input((side, side, 3), name="image"))
    rows = placed(graph_of(model), lambda entry: True)
    anatomy = measure(backbone.name, rows)
    assert anatomy.parameters == model.count_params()
    weights = sum(weight.shape.num_elements() for weight in model.trainable_weights)
    assert (anatomy.trained, anatomy.frozen) == (weights, 0)
    facts = {facts.name: facts for facts in anatomy.layers}
    for operation in model.operations:
        if operation.name in facts:
            assert tuple(operation.output.shape[1:]) == facts[operation.name].output
    layout = lay_out(anatomy)
    assert layout.rows <= 8
    assert min(box.width for box in layout.boxes) > 0.02


@pytest.mark.parametrize(("name", "side"), PUBLISHED_FIELDS.items())
def test_fields_are_those_that_were_published(name, side):
    last = of_backbone(get_backbone(name)).layers[-1]
    assert last.field.size == (side, side)


@pytest.mark.parametrize("name", PROFILED)
def test_multiply_adds_are_tensorflow_s(name):
    counts = profiled(name)
    products = sum(count for kind, count in counts.items() if kind in PRODUCTS) / 2
    ours = of_backbone(get_backbone(name), include_top=True).multiply_adds
    assert ours == pytest.approx(products, rel=0.01)
