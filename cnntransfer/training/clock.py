"""Where the time of a run went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Where the time of a run went, in seconds by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Of all steps together."""
        return sum(self.seconds.values())

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a step."""
        started = time.perf_counter()
        yield
        self._add(name, time.perf_counter() - started)

    def move(self, seconds: float, source: str, target: str) -> None:
        """Count some of a step's time as another's, which was done in between."""
        self._add(source, -seconds)
        self._add(target, seconds)

    def _add(self, name: str, seconds: float) -> None:
        self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 3)
