"""How long work tells what it is doing, without knowing whether anyone watches.

The library calls an :class:`Observer`; the command line passes one that draws progress bars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Observer:
    """Hears of progress and does nothing. Subclass it to show something."""

    @contextmanager
    def task(
        self, title: str, total: int | None = None, unit: str = "images"
    ) -> Iterator[Callable[[int], None]]:
        """A piece of work of ``total`` steps; yields ``advance(steps)``."""
        yield lambda steps: None

    def note(self, message: str) -> None:
        """Something the user should know, in one line."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """The figures of one finished epoch, as in ``history.csv``."""


SILENT = Observer()
