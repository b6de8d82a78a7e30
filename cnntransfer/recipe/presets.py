"""How much is spent on a run."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..settings import Rule
from .parts import CAREFUL_STAGE, HEAD_STAGE, SCRATCH_STAGE, Stage
from .values import AUTO

_FROZEN: dict[str, Any] = {
    "feature_blocks": AUTO,
    "stages": (HEAD_STAGE,),
}
#: How much is spent on a run: what each of them changes in a recipe.
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {**_FROZEN, "feature_blocks": 1},
    "balanced": _FROZEN,
    "best": {
        "feature_blocks": AUTO,
        # From the top downwards, the deeper the more carefully (Howard & Ruder 2018,
        # arXiv:1801.06146).
        "stages": (
            HEAD_STAGE,
            dataclasses.replace(CAREFUL_STAGE, name="top", unfreeze="15%"),
            dataclasses.replace(CAREFUL_STAGE, name="deeper", unfreeze="40%", learning_rate=1e-4),
        ),
    },
}
#: What random weights change in a recipe, whatever the preset: features of a frozen random network
#: are of no use, and every image goes through all layers in every epoch anyhow.
FROM_SCRATCH: dict[str, Any] = {
    "feature_blocks": 1,
    "fresh_augmentation": True,
    "stages": (SCRATCH_STAGE,),
}


def is_preset(stages: tuple[Stage, ...]) -> bool:
    """Whether nobody chose these stages but by a preset, or not at all."""
    return any(stages == values["stages"] for values in PRESETS.values())


def preset(name: str) -> dict[str, Any]:
    """What a preset changes in a recipe, for :meth:`Recipe.override`.

    Raises:
        UsageError: there is no such preset.
    """
    return PRESETS[Rule(str, choices=tuple(PRESETS)).parse("--preset", name)]
