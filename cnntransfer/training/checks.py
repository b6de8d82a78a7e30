"""Whether the parts of a recipe go together, as far as that can be told without the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import UsageError
from ..models.backbones import Backbone
from ..recipe import AUTO, HEAD_STAGE, OF_HIDDEN_LAYERS, Augmentation, Head, Recipe, Stage
from ..recipe.recipe import RANDOM

#: What a stage does without that fits a head without hidden layers.
_OF_STEPS = ("learning_rate", "schedule", "warmup")
#: What a stage does without that leaves the backbone frozen.
_OF_UNFROZEN_LAYERS = (
    "min_delta",
    "layer_decay",
    "ema_momentum",
    "gradient_accumulation_steps",
    "train_batch_normalization",
    "precision",
    "jit_compile",
)


def check(recipe: Recipe, backbone: Backbone) -> None:
    """Check what no single setting can tell.

    Raises:
        UsageError: an unknown block, or features of more than there are; a frozen stage after one
            that unfreezes; a setting that would have no effect, because there are no hidden layers,
            none are unfrozen or corners are filled otherwise; or batches to be augmented where none
            go end to end.
    """
    blocks = recipe.feature_blocks
    if blocks != AUTO and int(blocks) > len(backbone.blocks):
        raise UsageError(
            f"--feature-blocks: expected at most {len(backbone.blocks)}, the blocks of "
            f"{backbone.name}. Received: {blocks}."
        )
    head = recipe.head
    for name in () if head.units else _changed(head, Head(), OF_HIDDEN_LAYERS):
        raise UsageError(
            f"head: expected hidden layers, which {name} is for. Received: {name}: "
            f"{getattr(head, name)} for a head without any. Leave it out, or add --head-units 256"
        )
    if head.bagging and head.ensemble == 1:
        raise UsageError(
            "head: expected an ensemble with bagging, which makes its heads differ. Received: "
            "ensemble: 1. Add --ensemble 5, or leave it out."
        )
    _check_augmentation(recipe)
    unfrozen = ""
    for stage in recipe.stages:
        if backbone.cut(stage.unfreeze):
            unfrozen = stage.name
        elif unfrozen:
            raise UsageError(
                f"stages: expected stages with a frozen trunk first. Received: {stage.name!r} "
                f"(unfreeze: none) after {unfrozen!r}. Change their order."
            )
        else:
            _check_frozen_stage(stage, head)
    _check_batch_augmentation(recipe, unfreezes=bool(unfrozen))
    # Of random weights it comes with the preset, whatever is unfrozen.
    if recipe.fresh_augmentation and not unfrozen and recipe.weights != RANDOM:
        raise UsageError(
            "fresh_augmentation: expected a stage that unfreezes layers, whose photos it changes "
            "in every epoch. Received: none. Leave it out, or add --unfreeze "
            f"{backbone.blocks[0].name}"
        )


def without_effect(recipe: Recipe) -> Iterator[str]:
    """One line for every setting that does nothing, and that may be given from habit."""
    default = Recipe().batch_size
    if recipe.batch_size != default and not any(map(recipe.is_in_steps, recipe.stages)):
        yield (
            f"batch_size {recipe.batch_size} has no effect: a head without hidden layers is "
            "solved, with all images at once"
        )
    for stage in recipe.stages:
        if recipe.augmentation.is_identity and stage.views not in (AUTO, 1):
            yield (
                f"The {stage.views} views of every image in stage {stage.name!r} are all the same, "
                "as there is no augmentation; views: 1 takes less time"
            )


def _check_augmentation(recipe: Recipe) -> None:
    augmentation = recipe.augmentation
    if augmentation.cval != Augmentation().cval and augmentation.fill_mode != "constant":
        raise UsageError(
            "augmentation: expected fill_mode: constant with cval, which is its pixel value. "
            f"Received: cval: {augmentation.cval:g} with fill_mode: {augmentation.fill_mode}. "
            "Leave it out, or add --fill-mode constant"
        )


def _check_frozen_stage(stage: Stage, head: Head) -> None:
    for name in () if head.units else _changed(stage, HEAD_STAGE, _OF_STEPS):
        raise UsageError(
            "stages: expected a head with hidden layers, which learns step by step. Received: "
            f"{name}: {getattr(stage, name)} in {stage.name!r} for a head without any, which is "
            "solved. Leave it out, or add --head-units 256"
        )
    for name in _changed(stage, HEAD_STAGE, _OF_UNFROZEN_LAYERS):
        raise UsageError(
            f"stages: expected {name} in a stage that unfreezes layers. Received: {name}: "
            f"{getattr(stage, name)} in {stage.name!r} (unfreeze: none). Leave it out there."
        )


def _changed(settings: Any, defaults: Any, names: Sequence[str]) -> list[str]:
    """Those of the named settings that are not as they are by default."""
    return [name for name in names if getattr(settings, name) != getattr(defaults, name)]


def _check_batch_augmentation(recipe: Recipe, *, unfreezes: bool) -> None:
    names = ", ".join(recipe.batch_augmentation.names)
    if not names or (unfreezes and recipe.fresh_augmentation):
        return
    what, needed = (
        ("kept activations", "--fresh-augmentation")
        if unfreezes
        else ("kept features", "--unfreeze and --fresh-augmentation")
    )
    raise UsageError(
        f"batch_augmentation: expected images that go through the whole network in every epoch. "
        f"Received: {names} where training is on {what}. Add {needed}, or leave it out."
    )
