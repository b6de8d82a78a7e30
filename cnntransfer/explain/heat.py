"""Explanations that are numbers of every pixel: drawn as heat on the photo.

Colours run from dark to light evenly (cividis) or from blue over white to red (signed values), so
that they are told apart by colour-blind people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .explanation import Explanation, Photo
from .subject import Scores

#: Inches: a photo's longer side, room for title and colour bar, a margin.
_PHOTO, _TITLE, _BAR, _MARGIN = 3.6, 0.45, 1.0, 0.15
_PLAIN, _SIGNED = "cividis", "RdBu_r"
#: How much of an overlay is heat, the rest being photo.
_SHARE = 0.65
#: Characters of a class that find room above the pictures.
_LONGEST = 70


@dataclass(frozen=True)
class Heat:
    """Numbers of every pixel of a photo.

    Attributes:
        values: Shape (height, width), as the photo; NaN where nothing is known.
        label: What the values are, and their unit.
        limits: Values of the darkest and the lightest colour; ``None``: from 0 to the largest, or
            as far on both sides of 0.
        is_signed: Whether 0 is the middle.
    """

    values: NDArray[np.floating[Any]]
    label: str
    limits: tuple[float, float] | None = None
    is_signed: bool = False

    def draw(self, figure: Any, photo: Photo, title: str) -> None:
        """The photo, and beside it the same in grey under the heat, with the heat's legend.

        Args:
            figure: Of matplotlib.
            photo: As the network saw it.
            title: In plain text.
        """
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        height, width = self.values.shape
        scale = _PHOTO / max(height, width)
        tall, wide = height * scale, width * scale
        total = (2 * wide + 3 * _MARGIN + _BAR, tall + _TITLE + 2 * _MARGIN)
        figure.set_size_inches(*total)

        def place(left: float, across: float) -> Any:
            return figure.add_axes(
                (left / total[0], _MARGIN / total[1], across / total[0], tall / total[1])
            )

        pictures = (photo.pixels, self.over(photo))
        for picture, left in zip(pictures, (_MARGIN, 2 * _MARGIN + wide), strict=True):
            axes = place(left, wide)
            axes.imshow(picture)
            axes.set_axis_off()
        colours = ScalarMappable(Normalize(*self._range), self._colours)
        bar = figure.colorbar(colours, cax=place(3 * _MARGIN + 2 * wide, 0.14), label=self.label)
        bar.formatter.set_powerlimits((-2, 4))
        top = 1 - 0.6 * _TITLE / total[1]
        figure.text(_MARGIN / total[0], top, title, fontsize=11, parse_math=False)

    def over(self, photo: Photo) -> NDArray[np.uint8]:
        """The photo in grey under the heat, uint8 of shape (height, width, 3)."""
        from matplotlib import colormaps

        low, high = self._range
        known = np.isfinite(self.values)
        shares = (np.where(known, self.values, low) - low) / (high - low)
        colours = 255 * colormaps[self._colours](shares)[..., :3]
        grey = np.asarray(Image.fromarray(photo.pixels).convert("L"), np.float64)[..., None]
        mixed = np.where(known[..., None], _SHARE * colours + (1 - _SHARE) * grey, grey)
        pixels: NDArray[np.uint8] = mixed.round().astype(np.uint8)
        return pixels

    @property
    def _colours(self) -> str:
        return _SIGNED if self.is_signed else _PLAIN

    @property
    def _range(self) -> tuple[float, float]:
        if self.limits is not None:
            return self.limits
        sizes = np.abs(self.values)
        # A single value far out must not hide the others.
        most = float(np.nanpercentile(sizes, 99.5)) or float(np.nanmax(sizes)) or 1.0
        return (-most, most) if self.is_signed else (0.0, most)


def explanation(
    method: str,
    photo: Photo,
    scores: Scores,
    heat: Heat,
    arrays: Mapping[str, NDArray[Any]],
    facts: Mapping[str, Any] | None = None,
    remarks: tuple[str, ...] = (),
) -> Explanation:
    """What a method found of a class in a photo.

    Args:
        method: Its name.
        photo: As the network saw it.
        scores: The class, and how probable it is.
        heat: The numbers of the pixels.
        arrays: See :class:`Explanation`.
        facts: What else is to be said.
        remarks: See :class:`Explanation`.
    """
    said = {"file": str(photo.path), "class": scores.label, "probability": scores.probability}

    def draw(figure: Any) -> None:
        is_long = len(scores.label) > _LONGEST
        label = scores.label[: _LONGEST - 1] + "…" if is_long else scores.label
        heat.draw(figure, photo, f"{label}  {100 * scores.probability:.1f} %")

    return Explanation(
        method,
        photo.path.stem,
        arrays,
        draw,
        {**said, **(facts or {})},
        remarks,
        lambda: heat.over(photo),
    )


def enlarged(values: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """A map at the size of an image, between its places linearly.

    Args:
        values: float32, shape (h, w).
        size: (height, width).
    """
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    resized = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)
