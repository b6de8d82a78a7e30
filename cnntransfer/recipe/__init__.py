"""The recipe: everything that decides a run, as one frozen object.

Values come from one place each, the later winning: the defaults of its parts, a YAML file
(``--config``), command-line options. The finished recipe is written into every bundle, and a
bundle's ``recipe.yaml`` given to ``--config`` repeats the run.
"""

from .file import read_recipe
from .parts import (
    AUGMENTATION_PRESETS,
    FILL_MODES,
    FINETUNE_STAGE,
    HEAD_STAGE,
    OF_HIDDEN_LAYERS,
    Augmentation,
    BatchAugmentation,
    Head,
    Stage,
)
from .presets import PRESETS, preset
from .recipe import RESIZES, Recipe, augmentation
from .values import AUTO

#: From so many depths features are taken where the backbone stays frozen (docs/accuracy.md).
FEATURE_BLOCKS = 3

__all__ = [
    "AUGMENTATION_PRESETS",
    "AUTO",
    "FEATURE_BLOCKS",
    "FILL_MODES",
    "FINETUNE_STAGE",
    "HEAD_STAGE",
    "OF_HIDDEN_LAYERS",
    "PRESETS",
    "RESIZES",
    "Augmentation",
    "BatchAugmentation",
    "Head",
    "Recipe",
    "Stage",
    "augmentation",
    "preset",
    "read_recipe",
]
