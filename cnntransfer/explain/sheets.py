"""Sheets of small pictures: maps, kernels, crops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .explanation import DPI

#: Dark to light evenly, for colour-blind people too.
_COLOURS = "cividis"
#: Inches: of title, foot and margin.
_TITLE, _FOOT, _MARGIN = 0.45, 0.4, 0.15
#: Between small pictures, and below those with captions, in pixels.
_GAP, _CAPTION = 2, 16
#: A small picture is drawn at least this large, in pixels.
_CELL = 56
#: Inches that a character of a label takes, at most.
_CHARACTER = 0.085


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
    caption = _CAPTION if any(row.captions for row in rows) else 0
    step = side + _GAP + caption
    text = math.ceil(max(len(title), len(legend)) * _CHARACTER * DPI)
    margin, head, foot = (round(inches * DPI) for inches in (_MARGIN, _TITLE, _FOOT))
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

    colours = colormaps[_COLOURS](cell)[..., :3] if cell.ndim == 2 else cell
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
