"""Which learning rate: a range test (Smith 2017, arXiv:1506.01186).

The rate rises from step to step until the loss does, too. A tenth of where it begins to, a stage
learns fast and nothing is lost.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol

from ..progress import SILENT, Observer
from ..recipe import AUTO, FINETUNE_STAGE, Stage
from .checkpoint import Checkpoint, Rows
from .schedule import RISING, RISING_STEPS

#: The columns of ``learning_rates.csv``. The smoothed loss is what the suggestion rests on.
RATE_COLUMNS = ("stage", "learning_rate", "loss", "smoothed_loss")
_LOWEST = 1e-6
#: The weight of what came before in the smoothed loss, as ``fastai`` has it for so few steps.
_SMOOTHING = 0.9
#: From so many times the lowest smoothed loss on, nothing is learned from going on.
_EXPLODED = 4.0
#: The first steps' mean is of too few batches to be the lowest.
_SETTLED = 10
_MARGIN = 10.0
#: So much more than the lowest smoothed loss is as low: a share of it, or of the spread of losses
#: about their mean in the first steps.
_TOLERANCE, _NOISE, _EARLY = 0.02, 1.0, 30


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
    """
    if stage.learning_rate != AUTO:
        return stage
    with observer.task(f"Learning rates for {stage.name}", RISING_STEPS, "steps") as advance:
        rows = range_test(stage, stepper, advance)
    rate = suggested(rows)
    if rate is None:
        rate = float(FINETUNE_STAGE.learning_rate)
        why = "the usual one, as the range test shows none that lowers the loss"
    else:
        why = "a tenth of where the loss begins to rise"
    stage = dataclasses.replace(stage, learning_rate=rate)
    observer.note(f"Stage {stage.name!r}: learning rate {rate:g}, {why} (learning_rates.png).")
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


def suggested(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """A learning rate from a range test, with two digits; ``None`` where none can be told.

    It is a tenth of the highest rate at which the smoothed loss is as low as anywhere, but for
    chance: where a stage has much to learn, of about the rate with the lowest loss, and where it
    begins well, of that from which on the loss rises.
    """
    settled = rows[_SETTLED - 1 :]
    if not settled:
        return None
    smoothed = [float(row["smoothed_loss"]) for row in settled]
    noise = statistics.pstdev(
        float(row["loss"]) - float(row["smoothed_loss"]) for row in rows[:_EARLY]
    )
    chance = max(_TOLERANCE * min(smoothed), _NOISE * noise)
    *_, highest = (
        float(row["learning_rate"])
        for row, loss in zip(settled, smoothed, strict=True)
        if loss <= min(smoothed) + chance
    )
    lowest_sensible = _MARGIN * float(settled[0]["learning_rate"])
    return float(f"{highest / _MARGIN:.2g}") if highest > lowest_sensible else None
