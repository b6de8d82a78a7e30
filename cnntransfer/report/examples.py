"""What the network saw of some training photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data.augment import Augmenter
from ..data.fitting import InputSpec, Resize
from ..data.images import read, resize
from ..data.miniatures import miniature, read_same
from ..errors import ImageError
from ..recipe import Recipe
from .content import Picture, Views
from .photos import SIDE, Album

#: Photos that are shown where they have several views, and where they have one.
_SEVERAL, _SINGLE = 3, 6
_MOST_VIEWS = 6
#: Views shown where every epoch makes new ones.
_FRESH = 5


def read_examples(
    recipe: Recipe, training: Sequence[Mapping[str, str]], album: Album
) -> Views | None:
    """Some training photos, one of a class, in the views that were learned from.

    Args:
        recipe: Of the run.
        training: The rows of its training photos: file, label, digest.
        album: Where the pictures go.
    """
    if recipe.image_size is None:
        return None
    spec = InputSpec(recipe.image_size, Resize(recipe.resize))
    fresh = recipe.fresh_augmentation and not recipe.augmentation.is_identity
    per_photo = 0 if fresh else max(int(stage.views) for stage in recipe.stages)
    count = min(_MOST_VIEWS, 1 + _FRESH if fresh else per_photo)
    rows: dict[str, list[Picture]] = {}
    for row in _spread(training, _SEVERAL if count > 1 else _SINGLE):
        path = album.path(row["file"])
        try:
            pixels = None if path is None else read(read_same(path, row["digest"]), spec)
        except ImageError:
            continue
        if pixels is not None:
            augmenter = Augmenter(recipe.augmentation, recipe.seed)
            views = [augmenter.view(pixels, row["digest"], number) for number in range(count)]
            rows[row["file"]] = [album.add(miniature(resize(view, _small(spec)))) for view in views]
    if not rows:
        return None
    batch = [name.replace("_", " ") for name in recipe.batch_augmentation.names]
    return Views(rows, spec.image_size, str(spec.resize), per_photo, batch)


def _spread(rows: Sequence[Mapping[str, str]], count: int) -> list[Mapping[str, str]]:
    """One row each of classes that are evenly spread, then others."""
    first: dict[str, Mapping[str, str]] = {}
    for row in rows:
        first.setdefault(row["label"], row)
    candidates = list(first.values())
    if len(candidates) > count:
        return [candidates[place * len(candidates) // count] for place in range(count)]
    chosen = {row["file"] for row in candidates}
    return (candidates + [row for row in rows if row["file"] not in chosen])[:count]


def _small(spec: InputSpec) -> InputSpec:
    """The same shape, small."""
    scale = min(1.0, SIDE / max(spec.image_size))
    height, width = (max(1, round(side * scale)) for side in spec.image_size)
    return InputSpec((height, width))
