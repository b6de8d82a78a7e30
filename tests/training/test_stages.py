"""Stages as data: their order, the guard over frozen weights."""

import numpy as np
import pytest

from cnntransfer.errors import TrainingError, UsageError
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import (
    build_trunk,
    set_trainable,
    trained_blocks,
    waist_below,
)
from cnntransfer.models.weights import find_weights
from cnntransfer.recipe import Head, Recipe, Stage
from cnntransfer.training.stages import check_frozen, check_stages, layer_digests

MOBILENET = get_backbone("mobilenet")


def stages(**unfreeze):
    return Recipe(stages=tuple(Stage(name=name, unfreeze=how) for name, how in unfreeze.items()))


@pytest.mark.parametrize(
    "recipe",
    [
        stages(head="none"),
        stages(head="none", more="none", top="block13", everything="all"),
        stages(everything="all"),
        stages(head="0", top="3"),
    ],
)
def test_stages_that_can_follow_one_another(recipe):
    check_stages(recipe, MOBILENET)


def test_a_frozen_stage_after_an_unfrozen_one():
    with pytest.raises(UsageError) as caught:
        check_stages(stages(a="none", b="block13", c="none"), MOBILENET)
    assert str(caught.value) == (
        "stages: expected stages with a frozen trunk first. Received: 'c' (unfreeze: none) "
        "after 'b'. Change their order."
    )


def test_a_block_that_the_backbone_has_not():
    with pytest.raises(UsageError, match="Unknown block of mobilenet"):
        check_stages(stages(a="blok13"), MOBILENET)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("layer_decay", 0.5), ("ema_momentum", 0.99), ("gradient_accumulation_steps", 2)],
)
def test_a_frozen_stage_with_settings_of_others(setting, value):
    with pytest.raises(UsageError) as caught:
        check_stages(Recipe(stages=(Stage(**{setting: value}),)), MOBILENET)
    assert str(caught.value) == (
        f"stages: expected {setting} in a stage that unfreezes layers. Received: {setting}: "
        f"{value} in 'head' (unfreeze: none). Leave it out there."
    )
    check_stages(Recipe(stages=(Stage(unfreeze="all", **{setting: value}),)), MOBILENET)


@pytest.mark.parametrize(
    ("setting", "value"), [("learning_rate", 0.01), ("schedule", "cosine"), ("warmup", 0.1)]
)
def test_a_head_that_is_solved_takes_no_steps(setting, value):
    stage = Stage(**{setting: value})
    with pytest.raises(UsageError) as caught:
        check_stages(Recipe(stages=(stage,)), MOBILENET)
    assert str(caught.value) == (
        "stages: expected a head with hidden layers, which learns step by step. Received: "
        f"{setting}: {value} in 'head' for a head without any, which is solved. Leave it out, or "
        "add --head-units 256"
    )
    check_stages(Recipe(head=Head(units=(8,)), stages=(stage,)), MOBILENET)


MIXED = {"batch_augmentation.mixup": 0.2, "batch_augmentation.random_erasing": 0.5}


def test_batches_are_augmented_only_where_images_go_through_the_whole_network():
    for asked, what, needed in (
        (Recipe(), "features", "--unfreeze and --fresh-augmentation"),
        (Recipe(fresh_augmentation=True), "features", "--unfreeze and --fresh-augmentation"),
        (stages(head="none", top="block13"), "activations", "--fresh-augmentation"),
    ):
        check_stages(asked, MOBILENET)
        with pytest.raises(UsageError) as caught:
            check_stages(asked.override(MIXED), MOBILENET)
        assert str(caught.value) == (
            "batch_augmentation: expected images that go through the whole network in every epoch. "
            f"Received: random_erasing, mixup where training is on kept {what}. Add {needed}, or "
            "leave it out."
        )
    whole = stages(head="none", top="block13").override({"fresh_augmentation": True})
    check_stages(whole.override(MIXED), MOBILENET)


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
