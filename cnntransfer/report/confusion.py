"""The confusion matrix as a report shows it: cells, shades, orders, the largest confusions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import counted
from .judgement import Cell, ClassRow, Confusion

#: More classes make a table too large for a screen.
_LARGEST_TABLE = 20
_LARGEST = 12
_SHADES = 10


def read_confusion(matrix: Sequence[Sequence[int]], classes: Sequence[ClassRow]) -> Confusion:
    """Describe a confusion matrix.

    Args:
        matrix: Photos by true class (row) and predicted class (column).
        classes: One row per class.
    """
    cells = {
        (true, predicted): _cell(true, predicted, int(count), sum(row), classes)
        for true, row in enumerate(matrix)
        for predicted, count in enumerate(row)
        if count
    }
    wrong = [cell for cell in cells.values() if not cell.is_right]
    wrong.sort(key=lambda cell: (-cell.count, -cell.shade, cell.true, cell.predicted))
    numbers = range(len(classes))
    orders = {
        "by name": list(numbers),
        "worst first": sorted(numbers, key=lambda i: (not classes[i].support, _recall(classes[i]))),
        "most photos first": sorted(numbers, key=lambda i: -classes[i].support),
    }
    return Confusion(cells, orders, wrong[:_LARGEST], len(classes) > _LARGEST_TABLE)


def _recall(row: ClassRow) -> float:
    return row.recall.value


def _cell(true: int, predicted: int, count: int, total: int, classes: Sequence[ClassRow]) -> Cell:
    # The root, so that one of fifty can be told from none.
    shade = min(_SHADES - 1, math.floor(math.sqrt(count / total) * _SHADES))
    photos = counted(count, "photo")
    name = classes[true].name
    label = (
        f"{name} recognised: {photos}"
        if true == predicted
        else f"{name} taken for {classes[predicted].name}: {photos}"
    )
    return Cell(true, predicted, count, shade, label)
