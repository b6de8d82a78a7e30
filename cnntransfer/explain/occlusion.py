"""A grey square moved over the image: where hiding it makes the class less probable.

Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901,
section 4.2 and figure 7.

Arrays: ``probability``, float32, shape (grid, grid): that of the class with the square at that
place. ``tops`` and ``lefts``, int64, shape (grid,): where the square's upper and left edges were,
in pixels of the network's image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .explanation import Explanation, Photo
from .heat import Heat, explanation
from .options import Options
from .subject import Subject

#: The grey of the square: the middle of 0..255, as for padding.
GREY = 128
#: The square's side as a share of the image's shorter one.
_SHARE = 5


def explain(subject: Subject, photo: Photo, options: Options) -> Explanation:
    """The class's probability by the place of the square.

    Raises:
        UsageError: there is no such class, or the square does not fit into the image.
    """
    found = subject.scores(photo.pixels, options.target)
    height, width = photo.pixels.shape[:2]
    square = options.square or max(1, min(height, width) // _SHARE)
    if square > min(height, width):
        raise UsageError(
            f"--square: expected at most {min(height, width)} pixels, as {subject.name} sees "
            f"{height}x{width}. Received: {square}."
        )
    tops, lefts = _places(height, square, options.grid), _places(width, square, options.grid)
    places = [(int(top), int(left)) for top in tops for left in lefts]
    rows = subject.probabilities([covered(photo.pixels, place, square) for place in places])
    values = np.array([row[found.index] for row in rows], np.float32)
    probability = values.reshape(len(tops), len(lefts))
    arrays: dict[str, NDArray[Any]] = {"probability": probability, "tops": tops, "lefts": lefts}
    heat = Heat(
        _spread(photo.pixels.shape[:2], arrays, square),
        f"probability with a {square}-pixel square there",
        limits=(0.0, max(found.probability, float(values.max()))),
    )
    facts = {"lowest": float(values.min()), "square": square}
    return explanation("occlusion", photo, found, heat, arrays, facts)


def covered(image: NDArray[np.uint8], place: tuple[int, int], square: int) -> NDArray[np.uint8]:
    """An image with a grey square.

    Args:
        image: uint8, shape (height, width, 3).
        place: (top, left) of the square.
        square: Its side in pixels.
    """
    top, left = place
    copy: NDArray[np.uint8] = image.copy()
    copy[top : top + square, left : left + square] = GREY
    return copy


def _places(side: int, square: int, grid: int) -> NDArray[np.int64]:
    """Where the square begins: evenly from edge to edge, each place once."""
    places: NDArray[np.int64] = np.linspace(0, side - square, grid).round().astype(np.int64)
    unique: NDArray[np.int64] = np.unique(places)
    return unique


def _spread(
    size: tuple[int, ...], arrays: dict[str, NDArray[Any]], square: int
) -> NDArray[np.float32]:
    """Of every pixel, the mean probability with a square that covers it."""
    total, count = np.zeros(size), np.zeros(size)
    for row, top in enumerate(arrays["tops"]):
        for column, left in enumerate(arrays["lefts"]):
            area = np.s_[top : top + square, left : left + square]
            total[area] += arrays["probability"][row, column]
            count[area] += 1
    # Between squares that stand apart nothing was covered.
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
