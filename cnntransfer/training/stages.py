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
from numpy.typing import NDArray

from ..data.views import Request
from ..errors import TrainingError, UsageError, counted
from ..frameworks import arithmetic
from ..models.backbones import Backbone
from ..models.classifier import (
    Trunk,
    build_classifier,
    copy_weights,
    head_layers,
    set_trainable,
    waist_below,
    weights_digest,
)
from ..progress import SILENT, Observer
from ..recipe import Recipe, Stage
from .activations import Activations
from .checkpoint import NO_CHECKPOINT, Checkpoint, StageCheckpoint
from .fit import fit
from .heads import HeadData, Rows, fit_head
from .objective import objective
from .precision import choose_stage_precision
from .sources import StreamSource


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
        head: Keras model, features (batch, d) -> probabilities (batch, classes).
        classifier: Keras model, image -> probabilities, with the same head.
        trunk_changed: Whether weights of the backbone are not what they were.
        history: One row per epoch and stage, see :data:`cnntransfer.training.fit.HISTORY_COLUMNS`.
        recipe: With everything settled that was ``auto`` or a choice.
    """

    head: Any
    classifier: Any
    trunk_changed: bool
    history: tuple[Mapping[str, Any], ...]
    recipe: Recipe


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
    is_frozen = [not backbone.cut(stage.unfreeze) for stage in recipe.stages]
    fitted = fit_head(recipe, list(compress(recipe.stages, is_frozen)), data, observer, checkpoint)
    # The classifier has a head of its own, so that every layer has one place in one graph.
    top = head_layers(fitted.head, len(data.views.dataset.class_names), recipe.seed)
    classifier = build_classifier(trunk(), top)
    copy_weights(fitted.model.layers, top)
    recipe = dataclasses.replace(recipe, head=fitted.head, choose_head=False)
    changed = False
    history = fitted.history
    if not all(is_frozen):
        recipe, rows, changed = _fit_unfrozen(
            recipe, backbone, trunk(), classifier, data, observer, checkpoint
        )
        history = history + rows
        copy_weights(top, fitted.model.layers)
    return Trained(fitted.model, classifier, changed, tuple(history), recipe)


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
                    f"the head will. Try unfreeze: {backbone.blocks[0][0]}"
                )
            precision = choose_stage_precision(stage, trunk.model, data.views, observer)
            stage = dataclasses.replace(stage, precision=precision)
            checkpoint.settle_stage(stage)
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
) -> Rows:
    """Fit the head and the top layers: on kept activations if there can be any, else on pixels."""
    views = data.views
    on_pixels = recipe.fresh_augmentation or kept.model_name == classifier.name
    waist = None if on_pixels else waist_below(trunk, top_layers)
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
    aim = objective(recipe, views.dataset)
    with arithmetic(stage.precision):
        return fit(model, stage, training, validation, observer, kept, aim)
