"""Which learning rate: a range test (Smith 2017, arXiv:1506.01186).

The rate rises from step to step until the loss does, too. Where the loss is still falling, a tenth
below the rate at which it is lowest, a stage can begin.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol

from ..errors import TrainingError
from ..progress import SILENT, Observer
from ..recipe import AUTO, Stage
from .checkpoint import Checkpoint
from .schedule import RISING, RISING_STEPS

#: The columns of ``learning_rates.csv``. The smoothed loss is what the suggestion rests on.
RATE_COLUMNS = ("stage", "learning_rate", "loss", "smoothed_loss")
Rows = list[Mapping[str, Any]]

_LOWEST = 1e-6
#: The weight of what came before in the smoothed loss, as ``fastai`` has it for so few steps.
_SMOOTHING = 0.9
#: From so many times the lowest smoothed loss on, nothing is learned from going on.
_EXPLODED = 4.0
#: The first steps' mean is of too few batches to be the lowest.
_SETTLED = 10
_MARGIN = 10.0


class Stepper(Protocol):
    """What is fitted, for some steps."""

    @property
    def learning_rate(self) -> float:
        """Of the next step."""

    def step_losses(self) -> Generator[float, None, None]:
        """Make one step of training after the other; the mean loss of each one's batch in nats.

        What is fitted is as it was when the generator is closed, or nothing else depends on it.
        """


def settle_rate(
    stage: Stage,
    stepper: Callable[[Stage], Stepper],
    checkpoint: Checkpoint,
    observer: Observer = SILENT,
) -> Stage:
    """A stage with a number where its learning rate is ``auto``.

    Args:
        stage: See there.
        stepper: Makes what is fitted, as the stage finds it; what it learns is not kept.
        checkpoint: Takes the number, and what it comes from.
        observer: Hears of it.

    Raises:
        TrainingError: no rate gives a finite loss.
    """
    if stage.learning_rate != AUTO:
        return stage
    with observer.task(f"Learning rates for {stage.name}", RISING_STEPS, "steps") as advance:
        rows = range_test(stage, stepper, advance)
    rate = suggested(stage.name, rows)
    stage = dataclasses.replace(stage, learning_rate=rate)
    observer.note(
        f"Stage {stage.name!r}: learning rate {rate:g}, a tenth of the one with the lowest loss "
        "(learning_rates.png)."
    )
    checkpoint.settle_stage(stage, rows)
    return stage


def range_test(
    stage: Stage,
    stepper: Callable[[Stage], Stepper],
    advance: Callable[[int], None] = lambda _: None,
) -> Rows:
    """Make steps with rising rates.

    Returns:
        One mapping of :data:`RATE_COLUMNS` per step.
    """
    rising = dataclasses.replace(
        stage, learning_rate=_LOWEST, schedule=RISING, warmup=0.0, ema_momentum=0.0
    )
    rising = dataclasses.replace(rising, gradient_accumulation_steps=1)
    learner = stepper(rising)
    rows: Rows = []
    mean, lowest = 0.0, math.inf
    with closing(learner.step_losses()) as losses:
        for step in range(1, RISING_STEPS + 1):
            rate, loss = learner.learning_rate, next(losses)
            advance(1)
            if not math.isfinite(loss):
                break
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
            smoothed = mean / (1 - _SMOOTHING**step)
            rows.append(dict(zip(RATE_COLUMNS, (stage.name, rate, loss, smoothed), strict=True)))
            if step >= _SETTLED:
                lowest = min(lowest, smoothed)
                if smoothed > _EXPLODED * lowest:
                    break
    return rows


def suggested(name: str, rows: Sequence[Mapping[str, Any]]) -> float:
    """A learning rate from a range test, with two digits.

    Raises:
        TrainingError: there is nothing to see.
    """
    settled = rows[_SETTLED - 1 :]
    if not settled:
        raise TrainingError(
            f"Stage {name!r}: expected a loss that falls at some learning rate. Received: one that "
            f"is infinite from {_LOWEST:g} on. Give a number with --learning-rate."
        )
    best = min(settled, key=lambda row: float(row["smoothed_loss"]))
    return float(f"{best['learning_rate'] / _MARGIN:.2g}")
