"""Explanations as files: a PNG each, and the raw arrays if they are wanted."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..errors import OutputError
from ..storage import atomic_file, check_apart, check_target
from .explanation import DPI, Explanation

_LONGEST_NAME = 80


class Folder:
    """Where explanations are written; names that occur twice get a number.

    Args:
        path: The folder; made when the first file is written.
        arrays: Whether raw arrays are written too.
        overwrite: Whether files that are there already may be replaced.
        sources: What photos come from; into a folder of these nothing is written, because it would
            be among the photos of the next run.
        option: What the folder was chosen with, for messages.

    Raises:
        OutputError: nothing can be written there. That is known before anything is computed.
    """

    def __init__(
        self,
        path: Path,
        *,
        arrays: bool = False,
        overwrite: bool = False,
        sources: Iterable[str] = (),
        option: str = "--output",
    ) -> None:
        for source in map(Path, sources):
            if source.is_dir():
                check_apart(path, source, option)
        check_target(path / "picture.png", overwrite=True)
        self._path, self._arrays, self._overwrite = path, arrays, overwrite
        self._taken: set[str] = set()

    def check(self, photos: Iterable[Path], method: str) -> None:
        """Fail early, before long work, where the picture of a photo may not be written.

        Raises:
            OutputError: it exists already.
        """
        for photo in photos:
            self._free(f"{_safe(f'{photo.stem}-{method}')}.png")

    def write(self, explanation: Explanation) -> list[Path]:
        """Write a picture and, if wanted, arrays: one as ``.npy``, several as ``.npz``.

        Raises:
            OutputError: a file exists already or cannot be written.
        """
        stem = self._stem(f"{explanation.name}-{explanation.method}")
        picture = self._free(f"{stem}.png")
        several = len(explanation.arrays) > 1
        archive = self._free(f"{stem}.{'npz' if several else 'npy'}") if self._arrays else None
        self._path.mkdir(parents=True, exist_ok=True)
        _draw(explanation, picture)
        if archive is None:
            return [picture]
        with atomic_file(archive) as draft, draft.open("wb") as file:
            if several:
                np.savez_compressed(file, **explanation.arrays)  # type: ignore[arg-type]
            else:
                np.save(file, next(iter(explanation.arrays.values())))
        return [picture, archive]

    def _stem(self, name: str) -> str:
        safe = _safe(name)
        stem, number = safe, 1
        while stem in self._taken:
            number += 1
            stem = f"{safe}-{number}"
        self._taken.add(stem)
        return stem

    def _free(self, name: str) -> Path:
        path = self._path / name
        if path.exists() and not self._overwrite:
            raise OutputError(
                f"--output: expected a folder without {name}. Received: {self._path}, which has "
                "it. Choose another folder, or allow it with --overwrite."
            )
        return path


def _safe(name: str) -> str:
    """A name that is a plain one for every file system and shell."""
    return re.sub(r"[^\w.+-]", "_", name)[-_LONGEST_NAME:].lstrip("-.")


def _draw(explanation: Explanation, target: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(dpi=DPI, facecolor="white")
    with atomic_file(target) as draft, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of letters that the font lacks.
        explanation.draw(figure)
        figure.savefig(draft, dpi=DPI, format="png")
