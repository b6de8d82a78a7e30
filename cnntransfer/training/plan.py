"""What a run is to do, settled before it begins."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

from ..data.dataset import Dataset
from ..data.fitting import InputSpec, Resize
from ..errors import UsageError
from ..models.backbones import Backbone, get_backbone
from ..models.classifier import check_image_size
from ..recipe import AUTO, Augmentation, Recipe, Stage
from .checks import check

#: Up to so many training images, so many views for a head, as measured in docs/speed.md.
_AUTO_VIEWS = ((100, 4), (math.inf, 1))
#: Layers that are unfrozen learn by heart what they see too often.
_FINETUNE_VIEWS = 2
#: Who chooses an augmentation expects to learn from what it makes.
_CHOSEN_VIEWS = 4


def with_views(recipe: Recipe, backbone: Backbone, dataset: Dataset) -> Recipe:
    """The recipe with the number of views settled that every stage learns from."""
    images = len(dataset.subset("train"))

    def views(stage: Stage) -> int:
        if recipe.augmentation.is_identity:
            return 1
        if stage.views != AUTO:
            return int(stage.views)
        if is_augmentation_chosen(recipe):
            return _CHOSEN_VIEWS
        return _FINETUNE_VIEWS if backbone.cut(stage.unfreeze) else auto_views(images)

    stages = tuple(dataclasses.replace(stage, views=views(stage)) for stage in recipe.stages)
    return dataclasses.replace(recipe, stages=stages)


def is_augmentation_chosen(recipe: Recipe) -> bool:
    """Whether images are to be augmented otherwise than by default."""
    return recipe.augmentation not in (Augmentation(), Recipe().augmentation)


def auto_views(images: int) -> int:
    """The head's number of views for a number of training images, as measured in docs/speed.md."""
    return next(views for most, views in _AUTO_VIEWS if images <= most)


def resolve(recipe: Recipe) -> tuple[Backbone, Recipe]:
    """Check what only the backbone can tell, and fill in what it decides.

    Raises:
        UsageError: no data, a value out of range, an unknown backbone or block, or too small an
            image size.
    """
    recipe = Recipe.from_dict(recipe.to_dict())  # Python builds one without these checks.
    if recipe.data is None:
        raise UsageError(
            "Expected a folder with one sub-folder of images per class. Received: none. "
            "Try: cnntransfer finetune photos/"
        )
    backbone = get_backbone(recipe.backbone)
    size = recipe.image_size or (backbone.default_size, backbone.default_size)
    check_image_size(backbone, size)
    check(recipe, backbone)
    resolved = dataclasses.replace(
        recipe,
        backbone=backbone.name,
        image_size=size,
        # A bundle's recipe repeats the run from any folder.
        data=str(Path(recipe.data).expanduser().absolute()),
        weights=_absolute(recipe.weights),
    )
    return backbone, resolved


def default_name(recipe: Recipe) -> str:
    """What a bundle is called that no name was given: ``DATA-BACKBONE``."""
    data = Path(str(recipe.data))
    name = data.stem if data.is_file() else Path(os.path.normpath(data)).name
    return f"{name or 'data'}-{recipe.backbone}"


def _absolute(weights: str) -> str:
    file = Path(weights).expanduser()
    return str(file.absolute()) if file.is_file() else weights


def input_spec(recipe: Recipe) -> InputSpec:
    """The size that the network sees, and how photos are fitted to it.

    Raises:
        UsageError: the recipe was not resolved and names no size.
    """
    if recipe.image_size is None:
        raise UsageError("image_size: expected a size. Received: none.")
    return InputSpec(recipe.image_size, Resize(recipe.resize))
