"""How explanations are drawn: photos with heat on them, and sheets of small maps.

Colours run from dark to light evenly (cividis) or from blue over white to red (signed values), so
that they are told apart by colour-blind people and in grey.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .explanation import Photo

DPI = 110
HEAT, SIGNED = "cividis", "RdBu_r"
#: Inches: a photo's longer side, room for title and colour bar, a margin.
_PHOTO, _TITLE, _BAR, _MARGIN = 3.6, 0.45, 1.0, 0.15
#: Between the small pictures of a sheet, in pixels.
_GAP = 2
#: A small picture of a sheet is drawn at least this large, in pixels.
_CELL = 56
#: Inches that a character of a label takes, at most.
_CHARACTER = 0.085


def enlarged(values: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """A map at the size of an image, between its places linearly.

    Args:
        values: float32, shape (h, w).
        size: (height, width).
    """
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    resized = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def draw_heat(
    figure: Any,
    *,
    photo: Photo,
    heat: NDArray[np.floating[Any]],
    title: str,
    label: str,
    limits: tuple[float, float] | None = None,
    signed: bool = False,
) -> None:
    """A photo, and beside it the same photo in grey under heat, with the heat's legend.

    Args:
        figure: Of matplotlib.
        photo: As the network saw it.
        heat: Shape (height, width), as the photo.
        title: In plain text.
        label: What the heat is, and its unit.
        limits: Values of the darkest and the lightest colour; default: from 0 to the largest, or
            as far on both sides of 0.
        signed: Whether 0 is the middle.
    """
    height, width = heat.shape
    scale = _PHOTO / max(height, width)
    tall, wide = height * scale, width * scale
    total = (2 * wide + 3 * _MARGIN + _BAR, tall + _TITLE + 2 * _MARGIN)
    figure.set_size_inches(*total)
    low, high = limits or _limits(heat, signed=signed)

    def place(left: float, across: float) -> Any:
        return figure.add_axes(
            (left / total[0], _MARGIN / total[1], across / total[0], tall / total[1])
        )

    plain, heated = place(_MARGIN, wide), place(2 * _MARGIN + wide, wide)
    plain.imshow(photo.pixels)
    grey = np.asarray(Image.fromarray(photo.pixels).convert("L"))
    heated.imshow(grey, cmap="gray", vmin=0, vmax=255)
    colours = SIGNED if signed else HEAT
    shown = heated.imshow(heat, cmap=colours, vmin=low, vmax=high, alpha=0.65)
    for axes in (plain, heated):
        axes.set_axis_off()
    bar = figure.colorbar(shown, cax=place(3 * _MARGIN + 2 * wide, 0.14), label=label)
    bar.solids.set_alpha(1)
    bar.formatter.set_powerlimits((-2, 4))
    figure.text(
        _MARGIN / total[0], 1 - 0.6 * _TITLE / total[1], title, fontsize=11, parse_math=False
    )


def _limits(heat: NDArray[np.floating[Any]], *, signed: bool) -> tuple[float, float]:
    # A single value far out must not hide the others.
    most = float(np.percentile(np.abs(heat), 99.5)) or float(np.abs(heat).max()) or 1.0
    return (-most, most) if signed else (0.0, most)


@dataclass(frozen=True)
class Row:
    """A row of small pictures.

    Attributes:
        label: What stands left of it, in plain text.
        cells: float32 in 0..1 of shape (h, w), or of shape (h, w, 3) for colours.
        captions: What stands below each; none if empty.
    """

    label: str
    cells: Sequence[NDArray[np.floating[Any]]]
    captions: Sequence[str] = ()


def draw_sheet(figure: Any, rows: Sequence[Row], title: str, legend: str) -> None:
    """Rows of small pictures.

    Args:
        figure: Of matplotlib.
        rows: From the top downwards.
        title: In plain text.
        legend: How the colours are to be read.
    """
    side = _cell_side(rows)
    columns = max(len(row.cells) for row in rows)
    longest = max(len(line) for row in rows for line in row.label.split("\n"))
    left = math.ceil((longest * _CHARACTER + 0.2) * DPI)
    caption = 16 if any(row.captions for row in rows) else 0
    step = side + _GAP + caption
    text = math.ceil(max(len(title), len(legend)) * _CHARACTER * DPI)
    margin, head, foot = (round(inches * DPI) for inches in (_MARGIN, _TITLE, 0.4))
    wide = max(left + columns * (side + _GAP), text) + margin
    tall = head + len(rows) * step + foot
    figure.set_size_inches(wide / DPI, tall / DPI)
    # One picture of all: hundreds of axes take matplotlib a minute.
    canvas = np.full((len(rows) * step, columns * (side + _GAP), 3), 255, np.uint8)

    def write(x: float, y: float, words: str, size: int, **how: Any) -> None:
        figure.text(x / wide, 1 - y / tall, words, fontsize=size, parse_math=False, **how)

    for number, row in enumerate(rows):
        top = number * step
        write(left - 8, head + top + side / 2, row.label, 8, ha="right", va="center")
        for column, cell in enumerate(row.cells):
            start = column * (side + _GAP)
            canvas[top : top + side, start : start + side] = _coloured(cell, side)
            if row.captions:
                middle = left + start + side / 2
                write(middle, head + top + side + 2, row.captions[column], 6, ha="center", va="top")
    figure.figimage(canvas, left, foot, origin="upper")
    write(margin, 0.55 * head, title, 11, va="center")
    write(margin, tall - 0.5 * foot, legend, 8, va="center")


def _cell_side(rows: Sequence[Row]) -> int:
    """Pixels of a small picture's side: large enough, and a multiple of what it shows if small."""
    largest = max(max(cell.shape[:2]) for row in rows for cell in row.cells)
    return largest * math.ceil(_CELL / largest) if largest < _CELL else _CELL


def _coloured(cell: NDArray[np.floating[Any]], side: int) -> NDArray[np.uint8]:
    """A small picture as pixels, uint8 of shape (side, side, 3)."""
    from matplotlib import colormaps

    colours = colormaps[HEAT](cell)[..., :3] if cell.ndim == 2 else cell
    image = Image.fromarray((255 * np.clip(colours, 0, 1)).round().astype(np.uint8))
    larger = max(cell.shape[:2]) > side
    how = Image.Resampling.BOX if larger else Image.Resampling.NEAREST
    return np.asarray(image.resize((side, side), how))


def normalised(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Stretched to 0..1; equal values become 0.5."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.full(values.shape, 0.5, np.float32)
    stretched: NDArray[np.float32] = ((values - low) / (high - low)).astype(np.float32)
    return stretched
