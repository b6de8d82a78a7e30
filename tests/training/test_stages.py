"""Stages that unfreeze layers: what is trained, the guard over frozen weights, what is undone."""

import math

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
from cnntransfer.progress import Observer
from cnntransfer.recipe import Stage
from cnntransfer.training.stages import check_frozen, fit_if_better, layer_digests

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


# ---- A gain that may be chance


class Scripted:
    """A network whose losses of every validation image are known before and after the stage."""

    name, learning_rate, l2 = "scripted", 0.0, 0.0

    def __init__(self, before, after):
        self.weights = "before"
        self._losses = {"before": np.array(before), "after": np.array(after)}

    def train_epoch(self, epoch):
        self.weights = "after"
        return 1.0, 0.5

    def validate(self):
        return float(self.losses().mean()), 0.5

    def losses(self):
        return self._losses[self.weights]

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights


class Listener(Observer):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


# The gains are 0.5, 0.2, -0.1 and 0.2: 0.2 on average, with a standard deviation of 0.245.
BEFORE, AFTER = [1.0, 0.7, 0.4, 0.7], [0.5, 0.5, 0.5, 0.5]
ERRORS = 0.2 / (math.sqrt(0.18 / 3) / math.sqrt(4))


@pytest.mark.parametrize(
    ("min_delta", "kept"), [(0, "after"), (ERRORS - 0.01, "after"), (ERRORS + 0.01, "before")]
)
def test_a_gain_has_to_exceed_its_standard_errors(min_delta, kept):
    network, listener = Scripted(BEFORE, AFTER), Listener()
    history = fit_if_better(network, Stage(name="top", epochs=1, min_delta=min_delta), listener)
    assert len(history) == 1
    assert network.weights == kept
    notes = [
        "Stage 'top' lowered the validation loss by 0.2000, which over 4 images may be chance "
        "(standard error 0.1225); its changes were undone."
    ]
    assert listener.notes == (notes if kept == "before" else [])


@pytest.mark.parametrize(("min_delta", "kept"), [(0, "after"), (0.01, "before")])
def test_a_single_image_shows_nothing(min_delta, kept):
    network, listener = Scripted([1.0], [0.1]), Listener()
    fit_if_better(network, Stage(epochs=1, min_delta=min_delta), listener)
    assert network.weights == kept
    assert ["over 1 image may be chance" in note for note in listener.notes] == (
        [True] if kept == "before" else []
    )


@pytest.mark.parametrize("min_delta", [0, 1])
def test_a_stage_that_lowers_nothing_is_undone_once(min_delta):
    network, listener = Scripted(AFTER, BEFORE), Listener()
    fit_if_better(network, Stage(epochs=1, min_delta=min_delta), listener)
    assert network.weights == "before"
    (note,) = listener.notes
    assert "did not lower the validation loss" in note
