"""Fitting a head to kept features, and choosing between several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..data.views import Views
from ..models.head import HeadModel, head_layers, initial_weights
from ..progress import SILENT, Observer
from ..recipe import HEAD_STAGE, OTHER_HEADS, Head, Recipe, Stage
from .checkpoint import NO_CHECKPOINT, Checkpoint
from .features import Features
from .fit import fit
from .objective import objective
from .perceptron import Examples, Perceptron

Rows = list[Mapping[str, Any]]


@dataclass(frozen=True)
class FittedHead:
    """A head and how it was fitted.

    Attributes:
        head: What it is made of.
        learner: Holds its numbers.
        history: One row per epoch and stage.
    """

    head: Head
    learner: Perceptron
    history: Rows

    @property
    def model(self) -> HeadModel:
        """Features (n, d) -> probabilities (n, classes)."""
        return self.learner.model()

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

    def examples(self, features: Features, subset: str) -> Examples:
        """Those features that belong to images of a subset."""
        dataset = self.views.dataset
        rows = np.flatnonzero(np.isin(features.samples, dataset.subset(subset)))
        return Examples(features.values, rows, dataset.labels()[features.samples[rows]])


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
        checkpoint.stage(stage).once(best.learner, partial(list, rows))
    return best


def _fit(
    recipe: Recipe,
    head: Head,
    stages: Sequence[Stage],
    data: HeadData,
    observer: Observer,
    checkpoint: Checkpoint,
) -> FittedHead:
    layers = head_layers(head, len(data.views.dataset.class_names), recipe.seed)
    training, validation = (
        data.examples(data.training, "train"),
        data.examples(data.held_out, "val"),
    )
    aim = objective(recipe, data.views.dataset)
    weights = initial_weights(layers, data.training.plain)

    def learner(stage: Stage) -> Perceptron:
        return Perceptron(
            layers, weights, stage, training, validation, recipe.batch_size, recipe.seed, aim
        )

    history: Rows = []
    fitted = learner(HEAD_STAGE)  # As it begins, should there be no stage.
    for stage in stages:
        kept = checkpoint.stage(stage)
        fitted = learner(stage)
        history += kept.once(fitted, partial(fit, fitted, stage, observer, kept))
        weights = fitted.model().weights
    return FittedHead(head, fitted, history)
