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
#: Between small pictures, below those with captions, and beside labels, in pixels.
_GAP, _CAPTION, _BESIDE = 2, 16, 8
#: A small picture is drawn at least this large, in pixels.
_CELL = 56
#: Sizes of letters in points: of the title, of labels and the foot, of captions.
_LARGE, _MEDIUM, _SMALL = 11, 8, 6


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


#: So many small pictures of one kind are in a row.
IN_ROW = 16


def numbered_rows(label: str, pictures: NDArray[np.float32], numbers: Sequence[int]) -> list[Row]:
    """Rows of some of many pictures, each with its number below it.

    Args:
        label: What they are.
        pictures: Shape (h, w, n) or (h, w, 3, n).
        numbers: Which of the n.
    """
    return [
        Row(label, [normalised(pictures[..., n]) for n in part], [str(n) for n in part])
        for start in range(0, len(numbers), IN_ROW)
        if (part := numbers[start : start + IN_ROW])
    ]


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
    widest = max(_width(figure, row.label, _MEDIUM) for row in rows)
    caption = _CAPTION if any(row.captions for row in rows) else 0
    step = side + _GAP + caption
    text = max(_width(figure, title, _LARGE), _width(figure, legend, _MEDIUM))
    margin, head, foot = (round(inches * DPI) for inches in (_MARGIN, _TITLE, _FOOT))
    left = margin + widest + _BESIDE
    wide = max(left + columns * (side + _GAP), margin + text) + margin
    tall = head + len(rows) * step + foot
    figure.set_size_inches(wide / DPI, tall / DPI)
    # One picture of all: hundreds of axes take matplotlib a minute.
    canvas = np.full((len(rows) * step, columns * (side + _GAP), 3), 255, np.uint8)

    def write(x: float, y: float, words: str, size: int, **how: Any) -> None:
        figure.text(x / wide, 1 - y / tall, words, fontsize=size, parse_math=False, **how)

    for number, row in enumerate(rows):
        top = number * step
        write(left - _BESIDE, head + top + side / 2, row.label, _MEDIUM, ha="right", va="center")
        for column, cell in enumerate(row.cells):
            start = column * (side + _GAP)
            canvas[top : top + side, start : start + side] = _coloured(cell, side)
            if row.captions:
                middle = left + start + side / 2
                write(
                    middle,
                    head + top + side + 2,
                    row.captions[column],
                    _SMALL,
                    ha="center",
                    va="top",
                )
    figure.figimage(canvas, left, foot, origin="upper")
    write(margin, 0.55 * head, title, _LARGE, va="center")
    write(margin, tall - 0.5 * foot, legend, _MEDIUM, va="center")


def _width(figure: Any, words: str, size: int) -> int:
    """Pixels that a text takes; of several lines, the longest."""
    text = figure.text(0, 0, words, fontsize=size, parse_math=False)
    width: float = text.get_window_extent(dpi=DPI).width
    text.remove()
    return math.ceil(width)


def _cell_side(rows: Sequence[Row]) -> int:
    """Pixels of a small picture's side: large enough, and a multiple of what it shows if small."""
    largest = max(max(cell.shape[:2]) for row in rows for cell in row.cells)
    return largest * math.ceil(_CELL / largest) if largest < _CELL else _CELL


def _coloured(cell: NDArray[np.floating[Any]], side: int) -> NDArray[np.uint8]:
    """A small picture as pixels, undistorted on white, uint8 of shape (side, side, 3)."""
    from matplotlib import colormaps

    colours = colormaps[_COLOURS](cell)[..., :3] if cell.ndim == 2 else cell
    image = Image.fromarray((255 * np.clip(colours, 0, 1)).round().astype(np.uint8))
    largest = max(image.size)
    width, height = (max(1, round(length * side / largest)) for length in image.size)
    how = Image.Resampling.BOX if largest > side else Image.Resampling.NEAREST
    pixels = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    shown = np.asarray(image.resize((width, height), how))
    pixels[top : top + height, left : left + width] = shown
    return pixels


def normalised(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Stretched to 0..1; equal values become 0.5."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.full(values.shape, 0.5, np.float32)
    stretched: NDArray[np.float32] = ((values - low) / (high - low)).astype(np.float32)
    return stretched
