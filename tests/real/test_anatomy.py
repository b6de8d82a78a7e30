"""Multiply-adds of whole networks against TensorFlow's profiler.

``test_all_backbones.py`` holds outputs and parameters of every network to Keras' own.
"""

import gc

import pytest

from benchmarks.multiply_adds import BACKBONES, PRODUCTS, profiled
from cnntransfer import frameworks
from cnntransfer.inspect.network import of_backbone
from cnntransfer.models.backbones import get_backbone
from tests.inspect.test_network import check_order


@pytest.fixture(autouse=True)
def _forget_models():
    yield
    frameworks.keras().backend.clear_session()
    gc.collect()


def test_the_order_that_unfreeze_counts_is_the_graph_s():
    """Building this one takes long."""
    check_order("convnext_tiny")


# The benchmark has all families. Those left out here take long and have no layer of their own kind:
# VGG16's 138 million weights a minute.
LIKE_OTHERS = (
    "vgg16",
    "resnet50_v2",
    "inception_v3",
    "densenet121",
    "nasnet_mobile",
    "inception_resnet_v2",
    "efficientnet_v2_b0",
)


@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in LIKE_OTHERS])
def test_multiply_adds_are_those_that_tensorflow_counts(name):
    counts = profiled(name)
    products = sum(count for kind, count in counts.items() if kind in PRODUCTS)
    layers = of_backbone(get_backbone(name), include_top=True).layers
    # Keras compiles convolutions of groups by themselves, where the profiler does not look.
    hidden = ("conv", True)
    seen = [facts for facts in layers if (facts.kind, facts.groups > 1) != hidden]
    assert (len(seen) < len(layers)) is (name == "convnext_tiny")
    assert sum(facts.multiply_adds for facts in seen) == products / 2
