"""Fitting a head to kept features; or several, to join them into one or to keep the best."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..data.views import Views
from ..errors import counted
from ..models.head import HeadModel, Layer, head_layers, initial_weights, joined
from ..parallel import products_on_one_thread
from ..progress import SILENT, Observer
from ..recipe import AUTO, HEAD_STAGE, Recipe, Stage
from .checkpoint import NO_CHECKPOINT, Checkpoint, Rows
from .examples import Examples
from .features import Features
from .fit import fit
from .learner import HeadLearner
from .linear import LinearHead, as_path, penalties
from .objective import objective
from .perceptron import Perceptron
from .rates import settle_rate

#: With so many validation images, all depths of the trunk are as good as the depths that validate
#: best (docs/accuracy.md).
_TELLING = 250
#: Between the seeds of an ensemble's members: a head uses some that follow each other.
_SEED_STEP = 7919


@dataclass(frozen=True)
class FittedHead:
    """A head and how it was fitted.

    Attributes:
        learner: Holds its numbers.
        history: One row per epoch and stage.
    """

    learner: HeadLearner
    history: Rows

    @property
    def model(self) -> HeadModel:
        """Features (n, d) -> probabilities (n, classes)."""
        return self.learner.model()


@dataclass(frozen=True)
class HeadData:
    """What a head learns from.

    Attributes:
        views: The images, their labels and subsets.
        training: Features of the training views.
        held_out: Features of the images that nothing is learned from; the validation images
            among them stop the fitting.
        widths: How many features come from each depth of the trunk.
        standardise: Whether by these features; not where they are those of random weights, which
            are going to be others.
    """

    views: Views
    training: Features
    held_out: Features
    widths: tuple[int, ...]
    standardise: bool = True

    def examples(self, features: Features, subset: str, views: int | str = AUTO) -> Examples:
        """Those features that belong to images of a subset; of their first so many views."""
        dataset = self.views.dataset
        is_meant = np.isin(features.samples, dataset.subset(subset))
        if views != AUTO:
            is_meant &= features.views < int(views)
        rows = np.flatnonzero(is_meant)
        return Examples(features.values, rows, dataset.labels()[features.samples[rows]])

    def layers(self, recipe: Recipe) -> tuple[Layer, ...]:
        """The layers of the recipe's head."""
        return head_layers(recipe.head, len(self.views.dataset.class_names), recipe.seed)

    def initial_head(self, recipe: Recipe) -> HeadModel:
        """A single head before anything was learned but what to standardise by."""
        layers = self.layers(recipe)
        features = self.training.plain
        weights = initial_weights(layers, features, self.widths, standardise=self.standardise)
        return HeadModel(layers, weights)

    def depths(self, recipe: Recipe) -> Sequence[int]:
        """From how many depths of the trunk, the topmost first, the head's features may be."""
        every = range(1, len(self.widths) + 1)
        is_open = recipe.feature_blocks == AUTO and not recipe.head.units
        is_few = len(self.views.dataset.subset("val")) < _TELLING
        return every if is_open and is_few else every[-1:]

    def learner(
        self, recipe: Recipe, head: HeadModel, stage: Stage, depths: int | None = None
    ) -> HeadLearner:
        """What fits a head in a stage.

        Args:
            recipe: Whose head it is.
            head: What to begin with.
            stage: How to train.
            depths: From how many depths a head without hidden layers takes features; all by
                default.
        """
        training = self.examples(self.training, "train", stage.views)
        if recipe.head.bagging:
            training = training.resampled(self.training.samples, recipe.seed)
        validation = self.examples(self.held_out, "val")
        aim = objective(recipe, stage, self.views.dataset)
        if not recipe.head.units:
            strengths = penalties(recipe.head)
            features = sum(self.widths[:depths])
            return LinearHead(
                head.layers, head.weights, strengths, training, validation, aim, features
            )
        return Perceptron(
            head.layers,
            head.weights,
            stage,
            training,
            validation,
            recipe.batch_size,
            recipe.seed,
            aim,
        )


def fit_head(
    recipe: Recipe,
    stages: Sequence[Stage],
    data: HeadData,
    observer: Observer = SILENT,
    checkpoint: Checkpoint = NO_CHECKPOINT,
) -> FittedHead:
    """Fit the recipe's head; or several, which are joined into one, or of which the best is kept.

    Args:
        recipe: Its head and the seed; the members of an ensemble have seeds of their own.
        stages: Those with a frozen trunk; where there are none, the head stays as it begins.
        data: What to learn from.
        observer: Hears of every epoch. The stages of an ensemble's further members are called
            ``head-2`` and so on; those of heads on features from one block, two and three ``head of
            1 block`` and so on.
        checkpoint: What was done before an interruption. Of an ensemble it has the result; one that
            was interrupted is fitted anew.

    Raises:
        TrainingError: the loss is no number.
    """
    with products_on_one_thread():
        if recipe.head.ensemble == 1:
            return _fit(recipe, stages, data, observer, checkpoint)
        return _fit_ensemble(recipe, stages, data, observer, checkpoint)


def _fit_ensemble(
    recipe: Recipe,
    stages: Sequence[Stage],
    data: HeadData,
    observer: Observer,
    checkpoint: Checkpoint,
) -> FittedHead:
    members = _members(recipe)
    # All members learn at the rates of the first, before which nothing was learned.
    first: Callable[[Stage], Any] = partial(data.learner, members[0], data.initial_head(members[0]))
    stages = [settle_rate(stage, first, checkpoint, observer) for stage in stages]
    layers = data.layers(recipe)
    begun = joined(layers, [data.initial_head(member) for member in members])
    whole = data.learner(recipe, begun, HEAD_STAGE)

    def fit_members() -> Rows:
        fitted = [
            _fit(member, _numbered(stages, number), data, observer, NO_CHECKPOINT)
            for number, member in enumerate(members, start=1)
        ]
        whole.take(joined(layers, [member.model for member in fitted]))
        return [row for member in fitted for row in member.history]

    history: Rows = []
    for number, stage in enumerate(stages):
        # All stages of a member come before the next member: they are one piece of work.
        work = partial(list, history) if number else fit_members
        history = checkpoint.stage(stage).once(whole, work)
    return FittedHead(whole, history)


def _members(recipe: Recipe) -> list[Recipe]:
    """A recipe for every head of an ensemble; the first is what it would be alone."""
    alone = dataclasses.replace(recipe.head, ensemble=1)
    seeds = ((recipe.seed + _SEED_STEP * number) % 2**32 for number in range(recipe.head.ensemble))
    return [dataclasses.replace(recipe, head=alone, seed=seed) for seed in seeds]


def _numbered(stages: Sequence[Stage], number: int) -> list[Stage]:
    if number == 1:
        return list(stages)
    return [dataclasses.replace(stage, name=f"{stage.name}-{number}") for stage in stages]


def _fit(
    recipe: Recipe,
    stages: Sequence[Stage],
    data: HeadData,
    observer: Observer,
    checkpoint: Checkpoint,
) -> FittedHead:
    """Fit one head, stage after stage."""
    history: Rows = []
    # As it begins, should there be no stage.
    fitted = data.learner(recipe, data.initial_head(recipe), HEAD_STAGE)
    for stage in stages:
        kept = checkpoint.stage(stage)
        begun: Callable[[Stage], Any] = partial(data.learner, recipe, fitted.model())
        stage = settle_rate(stage, begun, checkpoint, observer)
        fitted = begun(stage)
        if not recipe.head.units:
            stage = as_path(stage, len(penalties(recipe.head)))
        work = partial(fit, fitted, stage, observer, kept)
        if len(depths := data.depths(recipe)) > 1:
            by_depth = {
                depth: data.learner(recipe, fitted.model(), stage, depth) for depth in depths
            }
            work = partial(_fit_best, fitted, by_depth, stage, observer)
        history += kept.once(fitted, work)
    return FittedHead(fitted, history)


def _fit_best(
    whole: HeadLearner, by_depth: Mapping[int, HeadLearner], stage: Stage, observer: Observer
) -> Rows:
    """Fit with features from one depth, from two and so on; the whole is what validates best.

    As with an ensemble, what was interrupted is fitted anew.
    """
    history: Rows = []
    losses = {}
    for depth, learner in by_depth.items():
        named = dataclasses.replace(stage, name=f"{stage.name} of {counted(depth, 'block')}")
        history += fit(learner, named, observer)
        losses[depth] = learner.validate()[0]
    best = min(losses, key=losses.__getitem__)
    whole.take(by_depth[best].model())
    compared = ", ".join(f"{depth}: {loss:.4f}" for depth, loss in losses.items())
    observer.note(
        f"Features of the top {'block' if best == 1 else counted(best, 'block')} validate best "
        f"(loss by number of blocks: {compared})."
    )
    return history
