"""Training in stages: each is data (:class:`cnntransfer.recipe.Stage`), and all go the same way.

A stage whose trunk is frozen fits the head on cached features; a stage that unfreezes layers
fits these layers on kept activations of those below them, or the whole classifier on pixels.
Either stops when the validation loss no longer falls and
keeps the best weights it saw; a stage that ends with a higher validation loss than it began
with is undone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.views import Request
from ..errors import TrainingError, UsageError, counted
from ..frameworks import arithmetic
from ..models.backbones import Backbone
from ..models.classifier import (
    Trunk,
    Waist,
    build_classifier,
    head_of,
    set_trainable,
    trained_blocks,
    waist_below,
    weights_digest,
)
from ..models.head import HeadModel
from ..progress import SILENT, Observer
from ..recipe import AUTO, HEAD_STAGE, Head, Recipe, Stage
from .activations import Activations
from .batch_augmenter import BatchAugmenter
from .checkpoint import NO_CHECKPOINT, Checkpoint, StageCheckpoint
from .fit import fit
from .heads import HeadData, Rows, fit_head
from .learner import MODEL
from .network import Network, Variables, choose_jit
from .objective import Objective, objective
from .precision import choose_stage_precision
from .sources import StreamSource

#: What a head without hidden layers does without.
_HIDDEN_ONLY = ("learning_rate", "schedule", "warmup")
#: What a head that is trained on features does without.
_UNFROZEN_ONLY = ("layer_decay", "ema_momentum", "gradient_accumulation_steps")


@dataclass(frozen=True)
class TrainingData(HeadData):
    """Everything a stage may learn from.

    Attributes:
        count: Number of views of every training image.
        describe: What decides the trunk's numbers beside the image, for an arithmetic; see
            :class:`ViewStore`.
    """

    count: int
    describe: Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True)
class Trained:
    """What training gave.

    Attributes:
        head: Features (n, d) -> probabilities (n, classes).
        classifier: Keras model, image -> probabilities, with the same head; ``None`` where the
            backbone's weights are what they were.
        history: One row per epoch and stage, see :data:`cnntransfer.training.fit.HISTORY_COLUMNS`.
        recipe: With everything settled that was ``auto`` or a choice.
    """

    head: HeadModel
    classifier: Any | None
    history: tuple[Mapping[str, Any], ...]
    recipe: Recipe


def check_stages(recipe: Recipe, backbone: Backbone) -> None:
    """Check what only the backbone can tell about the stages.

    Raises:
        UsageError: an unknown block, a frozen stage after one that unfreezes, or with a setting
            that only such a stage has, or only a head with hidden layers; or batches to be
            augmented where none go end to end.
    """
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
            _check_frozen_stage(stage, recipe.head)
    _check_batch_augmentation(recipe, unfreezes=bool(unfrozen))


def _check_frozen_stage(stage: Stage, head: Head) -> None:
    for name in () if head.units else _HIDDEN_ONLY:
        value = getattr(stage, name)
        if value != getattr(HEAD_STAGE, name):
            raise UsageError(
                f"stages: expected a head with hidden layers, which learns step by step. Received: "
                f"{name}: {value} in {stage.name!r} for a head without any, which is solved. Leave "
                "it out, or add --head-units 256"
            )
    for name in _UNFROZEN_ONLY:
        value = getattr(stage, name)
        if value != getattr(HEAD_STAGE, name):
            raise UsageError(
                f"stages: expected {name} in a stage that unfreezes layers. Received: {name}: "
                f"{value:g} in {stage.name!r} (unfreeze: none). Leave it out there."
            )


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


def train(
    recipe: Recipe,
    backbone: Backbone,
    trunk: Callable[[], Trunk],
    data: TrainingData,
    observer: Observer = SILENT,
    checkpoint: Checkpoint = NO_CHECKPOINT,
) -> Trained:
    """Run the recipe's stages one after another.

    Args:
        recipe: Whose stages; those with a frozen trunk come first (:func:`check_stages`).
        backbone: Where its blocks begin.
        trunk: Gives the trunk, if a stage needs it.
        data: What to learn from.
        observer: Hears of every epoch.
        checkpoint: What was done before an interruption, and what is kept for the next.

    Raises:
        TrainingError: the loss is no number, or a frozen weight moved.
        OutputError: a stage cannot go on the way it began.
    """
    is_frozen = [not backbone.cut(stage.unfreeze) for stage in recipe.stages]
    fitted = fit_head(recipe, list(compress(recipe.stages, is_frozen)), data, observer, checkpoint)
    if all(is_frozen):
        return Trained(fitted.model, None, tuple(fitted.history), recipe)
    classifier = build_classifier(trunk(), fitted.model)
    recipe, history, changed = _fit_unfrozen(
        recipe, backbone, trunk(), classifier, data, observer, checkpoint
    )
    head = head_of(classifier, fitted.model.layers)
    history = [*fitted.history, *history]
    return Trained(head, classifier if changed else None, tuple(history), recipe)


def _fit_unfrozen(
    recipe: Recipe,
    backbone: Backbone,
    trunk: Trunk,
    classifier: Any,
    data: TrainingData,
    observer: Observer,
    checkpoint: Checkpoint,
) -> tuple[Recipe, Rows, bool]:
    """Run the stages that unfreeze layers.

    Returns:
        The recipe with its stages settled, the history, whether the trunk changed.
    """
    history: Rows = []
    stages: list[Stage] = []
    digests = before = layer_digests(trunk)
    for stage in recipe.stages:
        top_layers = backbone.cut(stage.unfreeze)
        if top_layers:
            set_trainable(
                trunk, top_layers, train_batch_normalization=stage.train_batch_normalization
            )
            if not any(layer.trainable_weights for layer in trunk.layers):
                observer.note(
                    f"Stage {stage.name!r}: the top {counted(top_layers, 'layer')} of "
                    f"{backbone.name} (unfreeze: {stage.unfreeze}) hold nothing to train; only "
                    f"the head will. Try unfreeze: {backbone.blocks[0].name}"
                )
            precision = choose_stage_precision(stage, trunk.model, data.views, observer)
            stage = dataclasses.replace(stage, precision=precision)
            kept = checkpoint.stage(stage)
            on_pixels = recipe.fresh_augmentation or kept.model_name == classifier.name
            waist = None if on_pixels else waist_below(trunk, top_layers)
            blocks = trained_blocks(trunk, backbone)
            top = cache(
                partial(_top, recipe, stage, waist, blocks, digests, classifier, data, observer)
            )
            stage = _settle_jit(stage, top, observer)
            checkpoint.settle_stage(stage)
            holder = Variables(classifier.name, **{MODEL: classifier})
            history += kept.once(holder, partial(_fit_top, stage, top, observer, kept))
            digests = check_frozen(trunk, digests)
        stages.append(stage)
    return dataclasses.replace(recipe, stages=tuple(stages)), history, digests != before


def layer_digests(trunk: Trunk) -> tuple[str, ...]:
    """SHA-256 of the weights and statistics of every layer of a trunk."""
    return tuple(weights_digest([layer]) for layer in trunk.layers)


def check_frozen(trunk: Trunk, before: tuple[str, ...]) -> tuple[str, ...]:
    """Check that no weight or statistic of a frozen layer has moved; returns the new digests.

    Raises:
        TrainingError: one moved. This is a bug, never the user's doing.
    """
    after = layer_digests(trunk)
    moved = [
        layer.name
        for layer, old, new in zip(trunk.layers, before, after, strict=True)
        if old != new and not layer.trainable
    ]
    if moved:
        raise TrainingError(
            "Expected frozen layers to stay as they were. Received: changed weights in "
            f"{', '.join(moved[:5])}. This is a bug; please report it with the recipe."
        )
    return after


@dataclass(frozen=True)
class _Top:
    """What a stage that unfreezes layers fits, and to what."""

    model: Any
    training: StreamSource
    validation: StreamSource
    objective: Objective
    blocks: tuple[tuple[Any, ...], ...]
    augmenter: BatchAugmenter | None

    def learner(self, stage: Stage) -> Network:
        return Network(
            self.model,
            stage,
            self.training,
            self.validation,
            self.objective,
            self.blocks,
            self.augmenter,
        )


def _top(
    recipe: Recipe,
    stage: Stage,
    waist: Waist | None,
    blocks: tuple[tuple[Any, ...], ...],
    digests: tuple[str, ...],
    classifier: Any,
    data: TrainingData,
    observer: Observer,
) -> _Top:
    """The layers above a waist with kept activations, if there can be any; else all on pixels."""
    views = data.views
    model, count = classifier, None
    fetch: Callable[[Request], NDArray[Any]] = views.image
    shape: tuple[int, ...] = (*views.pixels.spec.image_size, 3)
    dtype: Any = np.uint8
    if waist is not None:
        activations = Activations(waist, data.describe(stage.precision), digests, views)
        requests = views.requests(data.count, "train") + views.requests(1, "val")
        if activations.prepare(requests, observer):
            model, count, fetch = waist.upper(classifier), data.count, activations
            shape, dtype = activations.shape, activations.dtype
    training, validation = (
        StreamSource(fetch, shape, dtype, views.dataset, subset, recipe.batch_size, seed, count)
        for subset, seed in (("train", recipe.seed), ("val", None))
    )
    augmentation = recipe.batch_augmentation
    augmenter = BatchAugmenter(augmentation, recipe.seed) if augmentation.names else None
    aim = objective(recipe, views.dataset)
    return _Top(model, training, validation, aim, blocks, augmenter)


def _settle_jit(stage: Stage, top: Callable[[], _Top], observer: Observer) -> Stage:
    if stage.jit_compile != AUTO:
        return stage  # Settled by an earlier run, whose work may be there already.
    with arithmetic(stage.precision):
        steps = stage.epochs * top().training.steps
        return choose_jit(stage, steps, top().learner, observer)


def _fit_top(
    stage: Stage, top: Callable[[], _Top], observer: Observer, kept: StageCheckpoint
) -> Rows:
    with arithmetic(stage.precision):
        return fit(top().learner(stage), stage, observer, kept)
