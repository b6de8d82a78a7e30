"""Settings that do not go together."""

import pytest

from cnntransfer.errors import UsageError
from cnntransfer.models.backbones import get_backbone
from cnntransfer.recipe import Augmentation, Head, Recipe, Stage
from cnntransfer.training.checks import check, without_effect

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
    check(recipe, MOBILENET)


def test_a_frozen_stage_after_an_unfrozen_one():
    with pytest.raises(UsageError) as caught:
        check(stages(a="none", b="block13", c="none"), MOBILENET)
    assert str(caught.value) == (
        "stages: expected stages with a frozen trunk first. Received: 'c' (unfreeze: none) "
        "after 'b'. Change their order."
    )


def test_a_block_that_the_backbone_has_not():
    with pytest.raises(UsageError, match="Unknown block of mobilenet"):
        check(stages(a="blok13"), MOBILENET)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("layer_decay", 0.5),
        ("ema_momentum", 0.99),
        ("gradient_accumulation_steps", 2),
        ("train_batch_normalization", True),
        ("precision", "float32"),
        ("jit_compile", "none"),
    ],
)
def test_a_frozen_stage_with_settings_of_others(setting, value):
    with pytest.raises(UsageError) as caught:
        check(Recipe(stages=(Stage(**{setting: value}),)), MOBILENET)
    assert str(caught.value) == (
        f"stages: expected {setting} in a stage that unfreezes layers. Received: {setting}: "
        f"{value} in 'head' (unfreeze: none). Leave it out there."
    )
    check(Recipe(stages=(Stage(unfreeze="all", **{setting: value}),)), MOBILENET)


@pytest.mark.parametrize(
    ("setting", "value"), [("learning_rate", 0.01), ("schedule", "cosine"), ("warmup", 0.1)]
)
def test_a_head_that_is_solved_takes_no_steps(setting, value):
    stage = Stage(**{setting: value})
    with pytest.raises(UsageError) as caught:
        check(Recipe(stages=(stage,)), MOBILENET)
    assert str(caught.value) == (
        "stages: expected a head with hidden layers, which learns step by step. Received: "
        f"{setting}: {value} in 'head' for a head without any, which is solved. Leave it out, or "
        "add --head-units 256"
    )
    check(Recipe(head=Head(units=(8,)), stages=(stage,)), MOBILENET)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("activation", "gelu"),
        ("batch_normalization", True),
        ("dropout", 0.3),
        ("ensemble", 3),
        ("bagging", True),
    ],
)
def test_a_head_without_hidden_layers_has_none_of_their_settings(setting, value):
    with pytest.raises(UsageError) as caught:
        check(Recipe(head=Head(**{setting: value})), MOBILENET)
    assert str(caught.value) == (
        f"head: expected hidden layers, which {setting} is for. Received: {setting}: {value} for a "
        "head without any. Leave it out, or add --head-units 256"
    )
    needed = {"ensemble": 2} if setting == "bagging" else {}
    check(Recipe(head=Head(units=(8,), **{setting: value}, **needed)), MOBILENET)


def test_bagging_needs_several_heads():
    with pytest.raises(UsageError) as caught:
        check(Recipe(head=Head(units=(8,), bagging=True)), MOBILENET)
    assert str(caught.value) == (
        "head: expected an ensemble with bagging, which makes its heads differ. Received: "
        "ensemble: 1. Add --ensemble 5, or leave it out."
    )


def test_with_the_hidden_layers_goes_what_was_set_for_them():
    hidden = Recipe(head=Head(units=(8,), dropout=0.3, ensemble=2, l2=0.1))
    assert hidden.override({"head.units": "none"}).head == Head(l2=0.1)
    with pytest.raises(UsageError, match=r"Received: dropout: 0\.2"):
        check(hidden.override({"head.units": "none", "head.dropout": 0.2}), MOBILENET)


@pytest.mark.parametrize("nothing", ["none", "NONE", " 0", 0, "0%"])
def test_unfreezing_nothing(nothing):
    recipe = Recipe.from_dict({"stages": [{"name": "head", "unfreeze": nothing}]})
    assert recipe == Recipe()
    check(recipe, MOBILENET)


MIXED = {"batch_augmentation.mixup": 0.2, "batch_augmentation.random_erasing": 0.5}


def test_batches_are_augmented_only_where_images_go_through_the_whole_network():
    for asked, what, needed in (
        (Recipe(), "features", "--unfreeze and --fresh-augmentation"),
        (stages(head="none", top="block13"), "activations", "--fresh-augmentation"),
    ):
        check(asked, MOBILENET)
        with pytest.raises(UsageError) as caught:
            check(asked.override(MIXED), MOBILENET)
        assert str(caught.value) == (
            "batch_augmentation: expected images that go through the whole network in every epoch. "
            f"Received: random_erasing, mixup where training is on kept {what}. Add {needed}, or "
            "leave it out."
        )
    whole = stages(head="none", top="block13").override({"fresh_augmentation": True})
    check(whole.override(MIXED), MOBILENET)


def test_photos_are_changed_anew_only_where_layers_are_unfrozen():
    with pytest.raises(UsageError) as caught:
        check(Recipe(fresh_augmentation=True), MOBILENET)
    assert str(caught.value) == (
        "fresh_augmentation: expected a stage that unfreezes layers, whose photos it changes in "
        "every epoch. Received: none. Leave it out, or add --unfreeze block13"
    )
    # What --weights none brings with it is no mistake of the user's.
    check(Recipe(fresh_augmentation=True, weights="none"), MOBILENET)


def test_a_pixel_value_is_for_constant_corners():
    with pytest.raises(UsageError) as caught:
        check(Recipe().override({"augmentation.cval": 128}), MOBILENET)
    assert str(caught.value) == (
        "augmentation: expected fill_mode: constant with cval, which is its pixel value. "
        "Received: cval: 128 with fill_mode: nearest. Leave it out, or add --fill-mode constant"
    )
    check(
        Recipe().override({"augmentation.cval": 128, "augmentation.fill_mode": "constant"}),
        MOBILENET,
    )


def test_batches_where_there_are_none():
    recipe = Recipe(batch_size=16)
    assert list(without_effect(recipe)) == [
        "batch_size 16 has no effect: a head without hidden layers is solved, with all images at "
        "once"
    ]
    for in_steps in ({"head.units": "8"}, {"stages.finetune.unfreeze": "20%"}, {"batch_size": 32}):
        assert not list(without_effect(recipe.override(in_steps)))


def test_views_that_are_all_the_same():
    recipe = Recipe(augmentation=Augmentation(fill_mode="wrap"), stages=(Stage(views=5),))
    assert list(without_effect(recipe)) == [
        "The 5 views of every image in stage 'head' are all the same, as there is no augmentation; "
        "views: 1 takes less time"
    ]
    for other in (
        {"augmentation.horizontal_flip": True},
        {"stages.head.views": "1"},
        {"stages.head.views": "auto"},
    ):
        assert not list(without_effect(recipe.override(other)))
