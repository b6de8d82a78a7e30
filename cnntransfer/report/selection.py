"""Which held-out photos a report shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import TypeVar

import numpy as np

from ..held_out import HeldOut
from .content import Photo
from .photos import Album

Item = TypeVar("Item")

#: Photos behind a cell of the matrix: of mistakes; of those recognised; and of these in all, where
#: there are many classes.
_MISTAKES, _RIGHT, _ALL_RIGHT = 12, 6, 240


@dataclass(frozen=True)
class Selection:
    """Photos by their place among the held-out ones.

    Attributes:
        held_out: Predictions of all subsets.
        class_names: In the order of the model's output.
        subset: The one that the report's matrix is of.
    """

    held_out: HeldOut
    class_names: Sequence[str]
    subset: str | None

    @cached_property
    def mistakes(self) -> list[int]:
        """Those of any subset, the most confident first."""
        wrong = np.flatnonzero(self.held_out.labels != self.held_out.predicted).tolist()
        return sorted(wrong, key=lambda i: -self._probability(i))

    @cached_property
    def of_cells(self) -> list[int]:
        """Photos of every cell: of each the first, of each the second, and so on; mistakes first.

        So that where there is no room for all, every cell has some. Of a mistake the most confident
        photos come first, of a class that was recognised the least confident.
        """
        cells: dict[tuple[int, int], list[int]] = {}
        for i, subset in enumerate(self.held_out.subsets):
            if subset == self.subset:
                cells.setdefault(self._cell(i), []).append(i)
        for (true, predicted), places in cells.items():
            sign = 1 if true == predicted else -1
            places.sort(key=lambda i: sign * self._probability(i))
        wrong = [places[:_MISTAKES] for (t, p), places in cells.items() if t != p]
        few = max(1, min(_RIGHT, _ALL_RIGHT // len(self.class_names)))
        right = [places[:few] for (t, p), places in cells.items() if t == p]
        return [*_in_turns(wrong), *_in_turns(right)]

    def files(self, places: Iterable[int]) -> list[str]:
        """The names of photos."""
        return [self.held_out.files[i] for i in places]

    def photo(self, i: int, album: Album) -> Photo:
        """A photo and what was said of it."""
        true, predicted = self._cell(i)
        picture, problem = album.picture(self.held_out.files[i])
        return Photo(
            file=self.held_out.files[i],
            label=self.class_names[true],
            subset=self.held_out.subsets[i],
            picture=picture,
            problem=problem,
            predicted=self.class_names[predicted],
            probability=self._probability(i),
            own_probability=float(self.held_out.probabilities[i, true]),
            cell=f"{true}-{predicted}" if self.held_out.subsets[i] == self.subset else "",
        )

    def _cell(self, i: int) -> tuple[int, int]:
        return int(self.held_out.labels[i]), int(self.held_out.predicted[i])

    def _probability(self, i: int) -> float:
        return float(self.held_out.probabilities[i, self.held_out.predicted[i]])


def _in_turns(groups: Iterable[Sequence[Item]]) -> list[Item]:
    """The first of every group, then the second of every group, and so on."""
    missing = object()
    rounds = zip_longest(*groups, fillvalue=missing)
    return [item for items in rounds for item in items if item is not missing]  # type: ignore[misc]
