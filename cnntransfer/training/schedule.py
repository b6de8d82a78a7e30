"""The learning rate of every step of a stage: a warm-up, then constant or along a cosine."""

from __future__ import annotations

import math
from typing import Any

from ..frameworks import keras
from ..recipe import Stage

#: A schedule for range tests, not for recipes: the rate rises exponentially to a million times its
#: beginning, over so many steps.
RISING, RISING_STEPS, _RISE = "rising", 100, 1e6
#: What share of the learning rate the other schedules end with.
_LAST = {"constant": 1.0, "cosine": 0.0}


def scheduled(stage: Stage, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step.

    It rises evenly (Goyal 2017, arXiv:1706.02677), from above zero, so that no step is wasted; then
    it stays, or falls along a cosine (Loshchilov 2016, arXiv:1608.03983) to zero at the end of the
    stage's last epoch.

    Args:
        stage: Learning rate, schedule, warm-up and most epochs.
        step: From 0.
        steps_per_epoch: Updates of the weights in an epoch.
    """
    rate = float(stage.learning_rate)
    if stage.schedule == RISING:
        return float(rate * _RISE ** (step / RISING_STEPS))
    rising, falling = _phases(stage, steps_per_epoch)
    if step < rising:
        return rate * (step + 1) / (rising + 1)
    last = _LAST[stage.schedule]
    share = min(1.0, (step - rising) / falling)
    return rate * (last + (1 - last) * 0.5 * (1 + math.cos(math.pi * share)))


def in_keras(stage: Stage, steps_per_epoch: int) -> Any:
    """What a Keras optimizer takes as its learning rate, for the same rates as :func:`scheduled`.

    Returns:
        A number, or a schedule over the steps.
    """
    rate, schedules = float(stage.learning_rate), keras().optimizers.schedules
    if stage.schedule == RISING:
        return schedules.ExponentialDecay(rate, RISING_STEPS, _RISE)
    rising, falling = _phases(stage, steps_per_epoch)
    if stage.schedule == "constant" and not rising:
        return rate
    return schedules.CosineDecay(
        rate / (rising + 1),
        decay_steps=falling,
        alpha=_LAST[stage.schedule],
        warmup_target=rate if rising else None,
        warmup_steps=rising,
    )


def _phases(stage: Stage, steps_per_epoch: int) -> tuple[int, int]:
    """How many steps the warm-up takes, and how many are left for the rest: at least one."""
    steps = stage.epochs * steps_per_epoch
    rising = int(stage.warmup * steps)
    return rising, steps - rising
