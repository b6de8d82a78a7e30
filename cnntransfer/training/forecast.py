"""What a run that unfreezes layers is going to do, settled and timed before it begins."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from ..data.views import Request
from ..engines.keras import KerasEngine
from ..frameworks import arithmetic
from ..models.classifier import Trunk, build_classifier
from ..models.head import HeadModel, head_layers, initial_weights
from ..progress import SILENT, Observer
from ..recipe import AUTO, FINETUNE_STAGE, Recipe
from .extraction import REFERENCE, Extractor
from .features import Engine
from .network import choose_jit
from .precision import TIMED_IMAGES, choose_stage_precision, timed
from .schedule import RISING_STEPS
from .unfrozen import Unfrozen

#: Shorter runs are over before their forecast is read.
_WORTH_SAYING = 10.0


@dataclass(frozen=True)
class Forecast:
    """How long a run will take.

    Attributes:
        seconds: By step: for the features, and for every stage that unfreezes layers.
    """

    seconds: Mapping[str, float]

    @property
    def total(self) -> float:
        """Seconds of all steps together."""
        return sum(self.seconds.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {_duration(value)}" for name, value in self.seconds.items())
        return f"About {_duration(self.total)} from here: {parts}"


def settle(
    recipe: Recipe,
    extractor: Extractor,
    trunk: Trunk,
    requests: Sequence[Request],
    observer: Observer = SILENT,
) -> tuple[Recipe, Forecast]:
    """Settle how stages that unfreeze layers compute, and measure how long they will take.

    One step of every stage is made on zeros and taken back. Of layers that are only run, the whole
    trunk is measured, so a forecast is a little too long; it does not know of early stopping.

    Args:
        recipe: Its stages' ``precision`` and ``jit_compile`` may be ``auto``.
        extractor: Runs the trunk.
        trunk: Its Keras model.
        requests: The views whose features the head needs.
        observer: Hears of what is faster here, and of the forecast.

    Returns:
        The recipe without ``auto`` in those places; the forecast.
    """
    views, backbone = extractor.views, extractor.spec.backbone
    layers = head_layers(recipe.head, len(views.dataset.class_names), recipe.seed)
    widths = extractor.spec.widths
    zeros = np.zeros((1, sum(widths)), np.float32)
    classifier = build_classifier(trunk, HeadModel(layers, initial_weights(layers, zeros, widths)))
    precision = cache(partial(choose_stage_precision, trunk.model, views, observer))

    @cache
    def seconds_per_image(precision: str) -> float:
        engine: Engine = (
            extractor.engine(REFERENCE)
            if precision == REFERENCE
            else KerasEngine(trunk.model, precision)
        )
        return timed(engine, views, views.requests(1, "val")[: 2 * TIMED_IMAGES])[1]

    missing = extractor.store(REFERENCE).missing(requests)
    seconds = {"features": len(missing) * seconds_per_image(REFERENCE)}
    looked_at = len(views.requests(int(recipe.views), "train") + views.requests(1, "val"))
    steps = math.ceil(len(views.dataset.subset("train")) / recipe.batch_size)
    stages = []
    for stage in recipe.stages:
        if backbone.cut(stage.unfreeze):
            if stage.precision == AUTO:
                stage = dataclasses.replace(stage, precision=precision())
            on_pixels = recipe.fresh_augmentation
            unfrozen = Unfrozen(
                recipe, stage, backbone, trunk, classifier, views, on_pixels=on_pixels
            )
            below = looked_at * seconds_per_image(stage.precision)
            rate = stage.learning_rate
            if rate == AUTO:
                stage = dataclasses.replace(stage, learning_rate=FINETUNE_STAGE.learning_rate)
            with arithmetic(stage.precision):
                learner = partial(unfrozen.learner, feed=unfrozen.rehearsal())
                stage, above = choose_jit(stage, learner, observer)
            if rate == AUTO:
                above *= 1 + RISING_STEPS / (stage.epochs * steps)
                stage = dataclasses.replace(stage, learning_rate=AUTO)
            seconds[stage.name] = above + (below if unfrozen.is_above_activations else 0.0)
        stages.append(stage)
    forecast = Forecast({name: round(value, 1) for name, value in seconds.items()})
    if forecast.total >= _WORTH_SAYING:
        observer.note(f"{forecast}, less where the validation loss stops falling.")
    return dataclasses.replace(recipe, stages=tuple(stages)), forecast


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.{0 if seconds >= 600 else 1}f} min"
