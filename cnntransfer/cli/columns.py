"""Which columns of a table a terminal has room for."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from .console import is_terminal

#: What a table has between columns, and at both edges together.
_GAP, _EDGES = 3, 2


def fitting(
    cells: Mapping[str, Sequence[str | int]], dispensable: Sequence[str], width: int | None
) -> list[str]:
    """The columns that fit into a width without wrapping; all of them where it is ``None``.

    Args:
        cells: Of each column, by its title.
        dispensable: What a narrow terminal can do without, the least important first.
        width: In characters.
    """
    widths = {
        title: max(map(len, [title, *(f"{c:,}" if isinstance(c, int) else c for c in column)]))
        for title, column in cells.items()
    }
    columns = list(cells)
    for title in dispensable:
        needed = sum(widths[name] for name in columns) + _GAP * (len(columns) - 1) + _EDGES
        if width is None or needed <= width:
            break
        columns.remove(title)
    return columns


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is, as the table's printer sees it, or ``None``."""
    if not is_terminal(sys.stdout):
        return None
    from rich.console import Console as RichConsole

    return RichConsole(file=sys.stdout).width
