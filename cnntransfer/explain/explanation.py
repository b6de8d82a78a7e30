"""The result of a method: raw arrays, facts, and how to draw them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Dots per inch of the pictures.
DPI = 110


@dataclass(frozen=True)
class Photo:
    """An image as the network sees it.

    Attributes:
        path: Where it came from.
        pixels: uint8, shape (height, width, 3), RGB.
    """

    path: Path
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Explanation:
    """What a method found.

    Attributes:
        method: Its name.
        name: What it is of, for file names and titles: an image, a folder or a network.
        arrays: The raw numbers by name; shapes and units are in the method's docstring.
        draw: Draws it, legend included, onto a ``matplotlib.figure.Figure`` that it sizes.
        facts: What else is to be said, as plain values: file, class, probability, layer, ....
        remarks: What the user should know of it, a line each.
        overlay: Gives the photo in grey with the result on it, uint8 of shape (height, width, 3);
            ``None`` where the result is not of the photo's pixels.
    """

    method: str
    name: str
    arrays: Mapping[str, NDArray[Any]]
    draw: Callable[[Any], None]
    facts: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    overlay: Callable[[], NDArray[np.uint8]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values: method and facts; the arrays' shapes, not their numbers."""
        shapes = {name: list(array.shape) for name, array in self.arrays.items()}
        return {"method": self.method, **self.facts, "arrays": shapes}
