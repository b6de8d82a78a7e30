"""Fitting a head to kept features, and choosing between several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..data.views import Views
from ..models.classifier import build_head, head_layers, standardise
from ..progress import SILENT, Observer
from ..recipe import OTHER_HEADS, Head, Recipe, Stage
from .checkpoint import NO_CHECKPOINT, Checkpoint
from .features import Features
from .fit import fit
from .objective import objective
from .sources import FeatureSource

Rows = list[Mapping[str, Any]]


@dataclass(frozen=True)
class FittedHead:
    """A head and how it was fitted.

    Attributes:
        head: What it is made of.
        model: Keras model, features (batch, d) -> probabilities (batch, classes).
        history: One row per epoch and stage.
    """

    head: Head
    model: Any
    history: Rows

    @property
    def val_loss(self) -> float:
        """The lowest validation loss of its last stage, whose weights it has."""
        last = self.history[-1]["stage"]
        return min(float(row["val_loss"]) for row in self.history if row["stage"] == last)

    def __str__(self) -> str:
        head = self.head
        hidden = f"{'-'.join(map(str, head.units))} units" if head.units else "no hidden layer"
        return f"{hidden}, dropout {head.dropout:g}, L2 {head.l2:g}"


@dataclass(frozen=True)
class HeadData:
    """What a head learns from.

    Attributes:
        views: The images, their labels and subsets.
        training: Features of the training views.
        held_out: Features of the images that nothing is learned from; the validation images
            among them stop the fitting.
    """

    views: Views
    training: Features
    held_out: Features

    def sources(self, recipe: Recipe) -> tuple[FeatureSource, FeatureSource]:
        """Training and validation."""
        size, dataset = recipe.batch_size, self.views.dataset
        return (
            FeatureSource(self.training, dataset, "train", size, recipe.seed),
            FeatureSource(self.held_out, dataset, "val", size, None),
        )


def fit_head(
    recipe: Recipe,
    stages: Sequence[Stage],
    data: HeadData,
    observer: Observer = SILENT,
    checkpoint: Checkpoint = NO_CHECKPOINT,
) -> FittedHead:
    """Fit the recipe's head, or the one of several that validates best.

    Args:
        recipe: Its head; with ``choose_head`` those of :data:`OTHER_HEADS` are fitted too.
        stages: Those with a frozen trunk; where there are none, the head stays as it begins.
        data: What to learn from.
        observer: Hears of every epoch.
        checkpoint: What was done before an interruption. Of a choice it has the result; one that
            was interrupted is made anew.

    Raises:
        TrainingError: the loss is no number.
    """
    if not recipe.choose_head or not stages:
        return _fit(recipe, recipe.head, stages, data, observer, checkpoint)
    heads = dict.fromkeys((recipe.head, *OTHER_HEADS))
    fitted = [_fit(recipe, head, stages, data, observer, NO_CHECKPOINT) for head in heads]
    best = min(fitted, key=lambda one: one.val_loss)
    observer.note(
        f"Head: {best} (validation loss {best.val_loss:.3f}; the others "
        f"{', '.join(f'{one.val_loss:.3f}' for one in fitted if one is not best)})."
    )
    checkpoint.settle_head(best.head)
    for stage in stages:
        rows = [row for row in best.history if row["stage"] == stage.name]
        checkpoint.stage(stage).once(best.model, partial(list, rows))
    return best


def _fit(
    recipe: Recipe,
    head: Head,
    stages: Sequence[Stage],
    data: HeadData,
    observer: Observer,
    checkpoint: Checkpoint,
) -> FittedHead:
    classes = len(data.views.dataset.class_names)
    model = build_head(head_layers(head, classes, recipe.seed), data.training.values.shape[1])
    standardise(model.layers, data.training.plain)
    history: Rows = []
    aim = objective(recipe, data.views.dataset)
    for stage in stages:
        kept = checkpoint.stage(stage)
        training, validation = data.sources(recipe)
        work = partial(fit, model, stage, training, validation, observer, kept, aim)
        history += kept.once(model, work)
    return FittedHead(head, model, history)
