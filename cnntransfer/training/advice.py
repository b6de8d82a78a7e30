"""What the figures of a finished run say about it that its user may want to act on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..metrics import Evaluation

#: In points of accuracy, as fractions.
_ABOVE_CHANCE = 0.05
_LEARNED_BY_HEART = 0.25
#: What to try where nothing was learned, by whether the weights were pretrained.
_RESORTS = {True: "try --preset best", False: "start from pretrained weights instead"}
#: A class with fewer validation images may be missed by chance.
_ENOUGH = 3


def advice(
    validation: Evaluation, history: Sequence[Mapping[str, Any]], *, is_pretrained: bool = True
) -> Iterator[str]:
    """One line for everything that looks wrong, with what to try.

    Args:
        validation: The figures of the validation images.
        history: The run's rows, see :data:`cnntransfer.training.fit.HISTORY_COLUMNS`.
        is_pretrained: Whether the network began with pretrained weights.
    """
    confusion = np.array(validation.confusion)
    guessing = confusion.sum(axis=1).max() / validation.images
    is_chance = validation.accuracy < guessing + _ABOVE_CHANCE
    if is_chance:
        interval = validation.intervals["accuracy"]
        yield (
            f"Validation accuracy {validation.accuracy:.0%} (95 % interval {interval.low:.0%} to "
            f"{interval.high:.0%}) is hardly above guessing the most "
            f"frequent class ({guessing:.0%}). Are the photos in the right folders? Look at what "
            f"the network sees with --show-input, or {_RESORTS[is_pretrained]}"
        )
    predicted = confusion.sum(axis=0)
    missed = [
        figures.label
        for figures, count in zip(validation.per_class, predicted, strict=True)
        if figures.support >= _ENOUGH and not count
    ]
    if missed and not is_chance:
        yield (
            f"Never predicted on the validation images: {', '.join(missed[:5])}. Add photos of "
            f"{'it' if len(missed) == 1 else 'them'}, or try --class-weight balanced"
        )
    best = min(history, key=lambda row: float(row["val_loss"]), default=None)
    if best and best["accuracy"] - best["val_accuracy"] > _LEARNED_BY_HEART:
        yield (
            f"Right on {best['accuracy']:.0%} of the training images but only "
            f"{best['val_accuracy']:.0%} of the validation images: much is learned by heart. "
            "More photos help most; else try --augmentation strong"
        )
