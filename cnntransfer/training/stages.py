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
from functools import partial
from itertools import compress
from typing import Any

import numpy as np

from ..data.views import Views
from ..errors import TrainingError, UsageError, counted
from ..frameworks import arithmetic
from ..models.backbones import Backbone
from ..models.classifier import (
    Trunk,
    build_classifier,
    build_head,
    copy_weights,
    head_layers,
    set_trainable,
    standardise,
    waist_below,
    weights_digest,
)
from ..progress import SILENT, Observer
from ..recipe import Recipe, Stage
from .activations import Activations
from .checkpoint import NO_CHECKPOINT, Checkpoint, StageCheckpoint
from .features import Features
from .fit import fit
from .precision import choose_stage_precision
from .sources import FeatureSource, StreamSource


@dataclass(frozen=True)
class TrainingData:
    """Everything a stage may learn from.

    Attributes:
        views: The images, their labels and subsets.
        count: Number of views of every training image.
        training: The frozen trunk's output for the training views.
        held_out: The same for the images that nothing is learned from.
        describe: What decides the trunk's numbers beside the image, for an arithmetic; see
            :class:`ViewStore`.
    """

    views: Views
    count: int
    training: Features
    held_out: Features
    describe: Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True)
class Trained:
    """What training gave.

    Attributes:
        head: Keras model, features (batch, d) -> probabilities (batch, classes).
        classifier: Keras model, image -> probabilities, with the same head.
        trunk_changed: Whether weights of the backbone are not what they were.
        history: One row per epoch and stage, see :data:`cnntransfer.training.fit.HISTORY_COLUMNS`.
        stages: The recipe's, with everything that was ``auto`` settled.
    """

    head: Any
    classifier: Any
    trunk_changed: bool
    history: tuple[Mapping[str, Any], ...]
    stages: tuple[Stage, ...]


def check_stages(recipe: Recipe, backbone: Backbone) -> None:
    """Check what only the backbone can tell about the stages.

    Raises:
        UsageError: an unknown block, or a frozen stage after one that unfreezes.
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
        trunk: Gives the trunk when it is needed: perhaps it is still being built while the head
            is trained.
        data: What to learn from.
        observer: Hears of every epoch.
        checkpoint: What was done before an interruption, and what is kept for the next.

    Raises:
        TrainingError: the loss is no number, or a frozen weight moved.
        OutputError: a stage cannot go on the way it began.
    """
    dataset = data.views.dataset
    classes = len(dataset.class_names)
    is_frozen = [not backbone.cut(stage.unfreeze) for stage in recipe.stages]
    head = build_head(head_layers(recipe.head, classes, recipe.seed), data.training.values.shape[1])
    standardise(head.layers, data.training.plain)
    history: list[Mapping[str, Any]] = []
    for stage in compress(recipe.stages, is_frozen):
        training, validation = (
            FeatureSource(features, dataset, subset, recipe.batch_size, seed)
            for features, (subset, seed) in zip(
                (data.training, data.held_out), _subsets(recipe), strict=True
            )
        )
        kept = checkpoint.stage(stage)
        work = partial(fit, head, stage, training, validation, observer, kept)
        history += kept.once(head, work)

    # The classifier has a head of its own, so that every layer has one place in one graph.
    top = head_layers(recipe.head, classes, recipe.seed)
    classifier = build_classifier(trunk(), top)
    copy_weights(head.layers, top)
    if all(is_frozen):
        return Trained(head, classifier, False, tuple(history), recipe.stages)
    stages, rows, trunk_changed = _fit_unfrozen(
        recipe, backbone, trunk(), classifier, data, observer, checkpoint
    )
    copy_weights(top, head.layers)
    return Trained(head, classifier, trunk_changed, (*history, *rows), stages)


def _fit_unfrozen(
    recipe: Recipe,
    backbone: Backbone,
    trunk: Trunk,
    classifier: Any,
    data: TrainingData,
    observer: Observer,
    checkpoint: Checkpoint,
) -> tuple[tuple[Stage, ...], list[Mapping[str, Any]], bool]:
    """Run the stages that unfreeze layers.

    Returns:
        The recipe's stages with everything settled, the history, whether the trunk changed.
    """
    history: list[Mapping[str, Any]] = []
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
                    f"the head will. Try unfreeze: {backbone.blocks[0][0]}"
                )
            precision = choose_stage_precision(stage, trunk.model, data.views, observer)
            stage = dataclasses.replace(stage, precision=precision)
            checkpoint.settle(stage)
            kept = checkpoint.stage(stage)
            work = partial(
                _fit_top,
                recipe,
                stage,
                top_layers,
                trunk,
                digests,
                classifier,
                data,
                observer,
                kept,
            )
            history += kept.once(classifier, work)
            digests = check_frozen(trunk, digests)
        stages.append(stage)
    return tuple(stages), history, digests != before


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


def _fit_top(
    recipe: Recipe,
    stage: Stage,
    top_layers: int,
    trunk: Trunk,
    digests: tuple[str, ...],
    classifier: Any,
    data: TrainingData,
    observer: Observer,
    kept: StageCheckpoint,
) -> list[Mapping[str, Any]]:
    """Fit the head and the top layers: on kept activations if there can be any, else on pixels."""
    views = data.views
    on_pixels = recipe.fresh_augmentation or kept.model_name == classifier.name
    waist = None if on_pixels else waist_below(trunk, top_layers)
    if waist is not None:
        activations = Activations(waist, data.describe(stage.precision), digests, views)
        requests = views.requests(data.count, "train") + views.requests(1, "val")
        if activations.prepare(requests, observer):
            sources = [
                StreamSource(
                    activations,
                    activations.shape,
                    activations.dtype,
                    views.dataset,
                    subset,
                    recipe.batch_size,
                    seed,
                    data.count,
                )
                for subset, seed in _subsets(recipe)
            ]
            with arithmetic(stage.precision):
                return fit(waist.upper(classifier), stage, sources[0], sources[1], observer, kept)
    shape = (*views.pixels.spec.image_size, 3)
    sources = [
        StreamSource(views.image, shape, np.uint8, views.dataset, subset, recipe.batch_size, seed)
        for subset, seed in _subsets(recipe)
    ]
    with arithmetic(stage.precision):
        return fit(classifier, stage, sources[0], sources[1], observer, kept)


def _subsets(recipe: Recipe) -> tuple[tuple[str, int | None], ...]:
    """What a stage learns from and what it is stopped by, each with the seed of its order."""
    return ("train", recipe.seed), ("val", None)
