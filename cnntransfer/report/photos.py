"""Which photos a report shows, and their small pictures."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from ..data.miniatures import Miniature, miniature_of_file
from ..errors import ImageError
from ..parallel import available_cores, ordered_map
from .content import Picture

#: What neither width nor height of a small picture exceeds, in pixels.
SIDE = 128
#: Small pictures in a report, and the most characters that they may take up together.
MOST_PICTURES = 800
MOST_CHARACTERS = 6_500_000
#: Bytes of photo files that are read for them: 7 ms of processor time a megabyte, about.
MOST_BYTES = 600_000_000
_PREFIX = "data:image/jpeg;base64,"
#: How tables show a byte of a file name that is no UTF-8.
_ODD_BYTE = re.compile(r"\\udc([89a-f][0-9a-f])")


class Album:
    """Small pictures of photos, each once, within the bounds of one report.

    Args:
        root: Folder that file names are relative to; ``None`` if it is not known.
        digests: File name -> SHA-256 of its content in the run.
    """

    def __init__(self, root: Path | None, digests: Mapping[str, str]) -> None:
        self._root, self._digests = root, digests
        self._found: dict[str, Picture | str] = {}
        self._pictures: list[Picture] = []
        self._room, self._to_read = MOST_CHARACTERS, MOST_BYTES

    @property
    def pictures(self) -> Sequence[Picture]:
        """All of them, in the order of their numbers."""
        return self._pictures

    def load(self, files: Iterable[str]) -> None:
        """Read photos, in this order, as long as there is room."""
        wanted = [file for file in dict.fromkeys(files) if file not in self._found]
        with closing(ordered_map(self._read, wanted, available_cores())) as results:
            for file in wanted:
                if not self._has_room:
                    break
                result = next(results)
                self._to_read -= self._size(file)
                self._found[file] = result if isinstance(result, str) else self.add(result)

    def add(self, miniature: Miniature) -> Picture:
        """Add a picture that was made already."""
        data = _PREFIX + base64.b64encode(miniature.jpeg).decode("ascii")
        self._room -= len(data)
        picture = Picture(len(self._pictures), data, miniature.width, miniature.height)
        self._pictures.append(picture)
        return picture

    def knows(self, file: str) -> bool:
        """Whether there was room for a photo; else it is not to be shown."""
        return file in self._found

    def picture(self, file: str) -> tuple[Picture | None, str]:
        """A photo's small picture, or none and the reason."""
        found = self._found.get(file, "not read")
        return (None, found) if isinstance(found, str) else (found, "")

    def path(self, file: str) -> Path | None:
        """Where a photo lies."""
        if self._root is None:
            return None
        path = self._root / file
        return path if path.exists() else self._root / _ODD_BYTE.sub(_odd_byte, file)

    @property
    def _has_room(self) -> bool:
        return len(self._pictures) < MOST_PICTURES and self._room > 0 and self._to_read > 0

    def _size(self, file: str) -> int:
        path = self.path(file)
        try:
            return 0 if path is None else path.stat().st_size
        except OSError:
            return 0

    def _read(self, file: str) -> Miniature | str:
        path = self.path(file)
        if path is None:
            return "not found"
        try:
            return miniature_of_file(path, SIDE, self._digests.get(file))
        except ImageError as error:
            return "not found" if error.reason == "does not exist" else error.reason


def _odd_byte(match: re.Match[str]) -> str:
    return chr(0xDC00 + int(match[1], 16))
