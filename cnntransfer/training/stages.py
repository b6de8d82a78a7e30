"""The stages of a run that unfreeze layers of the backbone.

Each is data (:class:`cnntransfer.recipe.Stage`), and all go the same way: some layers are made
trainable and fitted together with the head, on kept activations of the layers below them or on
pixels. A stage stops when the validation loss no longer falls and keeps the best weights it saw;
one that does not lower the validation loss, or by no more than may be chance, is undone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..data.views import Views
from ..errors import TrainingError, counted
from ..frameworks import arithmetic
from ..models.backbones import Backbone
from ..models.classifier import Trunk, build_classifier, head_of, weights_digest
from ..models.head import HeadModel
from ..progress import SILENT, Observer
from ..recipe import Recipe, Stage
from .checkpoint import NO_CHECKPOINT, NOTHING_KEPT, Checkpoint, Rows, StageCheckpoint
from .fit import fit
from .heads import FittedHead
from .learner import MODEL
from .network import Network, Variables
from .rates import settle_rate
from .unfrozen import Unfrozen


@dataclass(frozen=True)
class Trained:
    """What training gave.

    Attributes:
        head: Features (n, d) -> probabilities (n, classes).
        classifier: Keras model, image -> probabilities, with the same head; ``None`` where the
            backbone's weights are what they were.
        history: One row per epoch and stage, see :data:`cnntransfer.training.fit.HISTORY_COLUMNS`.
        undone: The names of stages that left the backbone as it was before them.
    """

    head: HeadModel
    classifier: Any | None
    history: tuple[Mapping[str, Any], ...]
    undone: tuple[str, ...] = ()


def frozen_stages(recipe: Recipe, backbone: Backbone) -> list[Stage]:
    """The stages that fit the head alone."""
    return [stage for stage in recipe.stages if not backbone.cut(stage.unfreeze)]


def head_views(recipe: Recipe, backbone: Backbone) -> int:
    """Of how many views of every training image features are needed."""
    return max((int(stage.views) for stage in frozen_stages(recipe, backbone)), default=1)


def unfreezing_stages(recipe: Recipe, backbone: Backbone) -> list[Stage]:
    """The stages that fit layers of the backbone, too."""
    return [stage for stage in recipe.stages if backbone.cut(stage.unfreeze)]


def fit_unfrozen(
    recipe: Recipe,
    backbone: Backbone,
    trunk: Callable[[], Trunk],
    fitted: FittedHead,
    views: Views,
    describe: Callable[[str], Mapping[str, Any]],
    observer: Observer = SILENT,
    checkpoint: Checkpoint = NO_CHECKPOINT,
) -> Trained:
    """Run the stages that unfreeze layers, if there are any, one after another.

    Args:
        recipe: Whose stages, settled by :func:`cnntransfer.training.forecast.settle`.
        backbone: Where its blocks begin.
        trunk: Gives the trunk, if a stage needs it.
        fitted: The head, as the stages before left it.
        views: The images.
        describe: What decides the trunk's numbers beside the image, for an arithmetic; see
            :class:`cnntransfer.training.features.ViewStore`.
        observer: Hears of every epoch.
        checkpoint: What was done before an interruption, and what is kept for the next.

    Raises:
        TrainingError: the loss is no number, or a frozen weight moved.
        OutputError: a stage cannot go on the way it began.
    """
    stages = unfreezing_stages(recipe, backbone)
    if not stages:
        return Trained(fitted.model, None, tuple(fitted.history))
    layers = fitted.model.layers
    classifier = build_classifier(trunk(), fitted.model)
    history: Rows = list(fitted.history)
    digests = before = layer_digests(trunk())
    undone = []
    for stage in stages:
        kept = checkpoint.stage(stage)
        unfrozen = Unfrozen(
            recipe,
            stage,
            backbone,
            trunk(),
            classifier,
            views,
            on_pixels=recipe.fresh_augmentation or kept.model_name == classifier.name,
        )
        if unfrozen.is_empty:
            observer.note(
                f"Stage {stage.name!r}: the top {counted(unfrozen.layers, 'layer')} of "
                f"{backbone.name} (unfreeze: {stage.unfreeze}) hold nothing to train; only "
                f"the head will. Try unfreeze: {backbone.blocks[0].name}"
            )
        description = describe(stage.precision)
        work = partial(_fit, unfrozen, stage, description, digests, observer, checkpoint, kept)
        holder = Variables(classifier.name, **{MODEL: classifier})
        history += kept.once(holder, work)
        after = check_frozen(trunk(), digests)
        if after == digests and not unfrozen.is_empty:
            undone.append(stage.name)
        digests = after
    changed = classifier if digests != before else None
    return Trained(head_of(classifier, layers), changed, tuple(history), tuple(undone))


def _fit(
    unfrozen: Unfrozen,
    stage: Stage,
    description: Mapping[str, Any],
    digests: tuple[str, ...],
    observer: Observer,
    checkpoint: Checkpoint,
    kept: StageCheckpoint,
) -> Rows:
    feed = unfrozen.feed(description, digests, observer)
    with arithmetic(stage.precision):
        stage = settle_rate(stage, partial(unfrozen.learner, feed=feed), checkpoint, observer)
        return fit_if_better(unfrozen.learner(stage, feed), stage, observer, kept)


def fit_if_better(
    network: Network,
    stage: Stage,
    observer: Observer = SILENT,
    checkpoint: StageCheckpoint = NOTHING_KEPT,
) -> Rows:
    """:func:`fit`, undone if the gain may be chance.

    The best of some epochs is better by chance, too, on the few validation images that it is chosen
    by. So the gain, the mean of what the loss of each of them fell by, has to exceed
    ``stage.min_delta`` of its standard errors, after Breiman's rule for pruning (Breiman et al.
    1984, "Classification and Regression Trees", 3.4.3).

    Args:
        network: As it was before the stage, also where that goes on after an interruption.
        stage: See :func:`fit`.
        observer: See there; hears why a stage is undone.
        checkpoint: See there.
    """
    weights, losses = network.get_weights(), network.losses()
    history = fit(network, stage, observer, checkpoint)
    gains = losses - network.losses()
    gain, error = gains.mean(), math.inf
    if len(gains) > 1:
        error = gains.std(ddof=1) / math.sqrt(len(gains))
    if 0 < gain <= stage.min_delta * error:
        network.set_weights(weights)
        observer.note(
            f"Stage {stage.name!r} lowered the validation loss by {gain:.4f}, which over "
            f"{counted(len(gains), 'image')} may be chance (standard error {error:.4f}); its "
            "changes were undone."
        )
    return history


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
