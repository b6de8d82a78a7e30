"""Stages that unfreeze layers: what is trained, the guard over frozen weights."""

import numpy as np
import pytest

from cnntransfer.errors import TrainingError
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import (
    build_trunk,
    set_trainable,
    trained_blocks,
    waist_below,
)
from cnntransfer.models.weights import find_weights
from cnntransfer.training.stages import check_frozen, layer_digests

MOBILENET = get_backbone("mobilenet")


@pytest.fixture(scope="module")
def trunk():
    return build_trunk(MOBILENET, (32, 32), "avg", find_weights(MOBILENET, "none"))


def test_blocks_hold_what_is_trained_from_the_top_downwards(trunk):
    set_trainable(trunk, MOBILENET.cut("block12"), train_batch_normalization=False)
    top, lower, *others = trained_blocks(trunk, MOBILENET)
    names = [[variable.path.split("/")[0] for variable in block] for block in (top, lower)]
    assert names == [["conv_dw_13", "conv_pw_13"], ["conv_dw_12", "conv_pw_12"]]
    assert len(others) == len(MOBILENET.blocks) - 2
    assert not any(others)
    # The very variables that a model of kept activations trains.
    upper = waist_below(trunk, MOBILENET.cut("block12")).upper(trunk.model)
    trained = {id(variable) for variable in upper.trainable_variables}
    assert trained == {id(variable) for variable in (*top, *lower)}


def shift(layer, which=0):
    weights = [np.copy(array) for array in layer.get_weights()]
    weights[which].flat[0] += 1e-6
    layer.set_weights(weights)


@pytest.mark.parametrize(("name", "which"), [("conv1", 0), ("conv1_bn", 2), ("conv1_bn", 3)])
def test_the_guard_names_the_layer_that_moved(trunk, name, which):
    set_trainable(trunk, MOBILENET.cut("block13"), train_batch_normalization=False)
    layer = trunk.model.get_layer(name)
    before = layer_digests(trunk)
    shift(layer, which)
    with pytest.raises(TrainingError) as caught:
        check_frozen(trunk, before)
    assert str(caught.value) == (
        f"Expected frozen layers to stay as they were. Received: changed weights in {name}. "
        "This is a bug; please report it with the recipe."
    )


def test_the_guard_lets_unfrozen_layers_move(trunk):
    set_trainable(trunk, MOBILENET.cut("block13"), train_batch_normalization=False)
    before = layer_digests(trunk)
    shift(trunk.model.get_layer("conv_pw_13"))
    assert check_frozen(trunk, before) != before


def test_batch_normalisation_inside_the_unfrozen_part_is_guarded_too(trunk):
    set_trainable(trunk, MOBILENET.cut("block13"), train_batch_normalization=False)
    layer = trunk.model.get_layer("conv_pw_13_bn")
    before = layer_digests(trunk)
    shift(layer, 2)
    with pytest.raises(TrainingError, match="conv_pw_13_bn"):
        check_frozen(trunk, before)
    set_trainable(trunk, MOBILENET.cut("block13"), train_batch_normalization=True)
    check_frozen(trunk, before)
