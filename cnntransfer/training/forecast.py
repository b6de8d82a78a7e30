"""What a run that unfreezes layers is going to do, settled and timed before it begins."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from ..engines.keras import KerasEngine
from ..frameworks import arithmetic
from ..models.classifier import Trunk, build_classifier
from ..models.head import HeadModel, head_layers, initial_weights
from ..progress import SILENT, Observer
from ..recipe import AUTO, FINETUNE_STAGE, Recipe, Stage
from .extraction import REFERENCE, Extractor
from .network import Network, choose_jit
from .precision import TIMED_IMAGES, choose_stage_precision, timed
from .schedule import RISING_STEPS
from .stages import head_views, layer_digests
from .unfrozen import Unfrozen

#: Shorter runs are over before their forecast is read.
_WORTH_SAYING = 10.0
_EARLIER = ", less where the validation loss stops falling"


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
    recipe: Recipe, extractor: Extractor, trunk: Trunk, observer: Observer = SILENT
) -> tuple[Recipe, Forecast]:
    """Settle how stages that unfreeze layers compute, and measure how long they will take.

    Some steps of every stage are made on images, or on zeros in place of activations, and taken
    back. Of layers that are only run, the whole trunk is measured, and the time that it took to
    convert. What the head takes that is fitted first, and early stopping, are not foreseen.

    Args:
        recipe: Its stages' ``precision`` and ``jit_compile`` may be ``auto``.
        extractor: Runs the trunk.
        trunk: Its Keras model.
        observer: Hears of what is faster here, and of the forecast.

    Returns:
        The recipe without ``auto`` in those places; the forecast.
    """
    views, spec = extractor.views, extractor.spec
    layers = head_layers(recipe.head, len(views.dataset.class_names), recipe.seed)
    zeros = np.zeros((1, sum(spec.widths)), np.float32)
    head = HeadModel(layers, initial_weights(layers, zeros, spec.widths))
    classifier = build_classifier(trunk, head)
    digests = layer_digests(trunk)
    precision = cache(partial(choose_stage_precision, trunk.model, views, observer))

    @cache
    def seconds_per_image(precision: str) -> float:
        is_reference = precision == REFERENCE
        engine = (
            extractor.engine(precision) if is_reference else KerasEngine(trunk.model, precision)
        )
        return timed(engine, views, views.requests(1, "val")[: 2 * TIMED_IMAGES])[1]

    def running(images: int, precision: str) -> float:
        return images * seconds_per_image(precision) if images else 0.0

    kept = (extractor.store(way) for way in (REFERENCE, "bfloat16"))
    requests = views.requests(head_views(recipe, spec.backbone), "train")
    lacking = min(store.lacks(requests) for store in kept)
    lacking += extractor.store(REFERENCE).lacks(views.requests(1, "val", "test"))
    seconds = {"features": running(lacking, REFERENCE)}
    steps = math.ceil(len(views.dataset.subset("train")) / recipe.batch_size)
    stages = []
    for stage in recipe.stages:
        if spec.backbone.cut(stage.unfreeze):
            if stage.precision == AUTO:
                stage = dataclasses.replace(stage, precision=precision())
            unfrozen = Unfrozen(
                recipe,
                stage,
                spec.backbone,
                trunk,
                classifier,
                views,
                on_pixels=recipe.fresh_augmentation,
            )
            below = unfrozen.lacks(spec.description(stage.precision), digests)
            with arithmetic(stage.precision):
                learner = partial(unfrozen.learner, feed=unfrozen.rehearsal())
                stage, above = _rehearsed(stage, learner, steps, observer)
            seconds[stage.name] = above + running(below, stage.precision)
            if below and stage.precision == REFERENCE:
                seconds[stage.name] += extractor.litert.converted().seconds
            # Above those that a stage has trained, activations will be others.
            digests = (*digests[: -unfrozen.layers], *("" for _ in range(unfrozen.layers)))
        stages.append(stage)
    forecast = Forecast({name: round(value, 1) for name, value in seconds.items()})
    if forecast.total >= _WORTH_SAYING:
        may_stop = any(
            spec.backbone.cut(stage.unfreeze) and stage.patience < stage.epochs for stage in stages
        )
        observer.note(f"{forecast}{_EARLIER * may_stop}")
    return dataclasses.replace(recipe, stages=tuple(stages)), forecast


def _rehearsed(
    stage: Stage, learner: Callable[[Stage], Network], steps: int, observer: Observer
) -> tuple[Stage, float]:
    """A stage with its ``jit_compile`` settled, and the seconds of its epochs and range test."""
    rate = stage.learning_rate
    known = FINETUNE_STAGE.learning_rate if rate == AUTO else rate
    stage, seconds = choose_jit(dataclasses.replace(stage, learning_rate=known), learner, observer)
    if rate == AUTO:
        seconds *= 1 + RISING_STEPS / (stage.epochs * steps)
    return dataclasses.replace(stage, learning_rate=rate), seconds


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.{0 if seconds >= 600 else 1}f} min"
