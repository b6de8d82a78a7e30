"""Every row of the table of backbones against the model that Keras builds (minutes).

Run with: pytest -o addopts="" tests/real/test_all_backbones.py
"""

import gc

import pytest

from cnntransfer import frameworks
from cnntransfer.models.backbones import BACKBONES, Preprocessing

# Tensors that cross the lower boundary of a block, where it is not one.
NASNET_TENSORS = {"stack3": 2, "stack2": 2, "stack1": 3}

FIRST_OF_FAMILY = {backbone.module: backbone for backbone in reversed(BACKBONES.values())}.values()


@pytest.fixture(autouse=True)
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


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_trunk(backbone):
    trunk = backbone.trunk(image_of(backbone.minimum_size))
    own = backbone.own_layers(trunk)
    added = 1 if backbone.preprocessing is Preprocessing.BUILT_IN else 2

    assert trunk.output.shape[-1] == backbone.features
    assert min(trunk.output.shape[1:3]) >= 1
    assert trunk.count_params() == backbone.parameters
    assert backbone.layers == len(trunk.layers) - added

    above = 0
    for block, count in backbone.blocks:
        first = own[-count]
        assert sum(len(layer.weights) for layer in own[-count:]) > above, block
        above = sum(len(layer.weights) for layer in own[-count:])
        expected = NASNET_TENSORS.get(block, 1) if backbone.module == "nasnet" else 1
        assert tensors_into(trunk, first) == expected, block


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
def test_full_model_and_its_official_file(backbone, asked, monkeypatch):
    use_imagenet(monkeypatch, backbone)
    model = backbone.full(image_of(backbone.default_size))
    assert model.output.shape == (None, 1000)
    assert model.count_params() > backbone.parameters
    assert asked == [backbone.official_top]


# The names of a family differ in their start only, which the test above compares.
@pytest.mark.parametrize("backbone", FIRST_OF_FAMILY, ids=lambda backbone: backbone.name)
def test_official_headless_file(backbone, asked, monkeypatch):
    use_imagenet(monkeypatch, backbone)
    backbone.trunk(image_of(backbone.default_size))
    assert asked == [backbone.official_notop]
