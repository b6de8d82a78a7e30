"""Rows of numbers that are costly to compute, kept on disk by image and view.

A store is a folder for one way of computing; everything that decides a row's numbers, but for the
image and the view, is in its description. Its rows lie in segments::

    features/1f0c.../description.json
    features/1f0c.../SEGMENT/index.npy   one record per row: digest, view, checksum
    features/1f0c.../SEGMENT/rows.bin    the rows one after another, memory-mapped when read

A segment is written under a hidden name, takes its name when it is complete, and never changes
after that. Killing the process at any moment loses the segment that was being written and
nothing else. A row whose checksum does not fit counts as absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from . import cache
from .storage import cache_folder, discard, hidden_beside

#: A writer completes a segment when it is that large, so that a kill loses little.
SEGMENT_BYTES = 64 * 2**20

#: So many segments are mapped at a time; each holds an open file, of which a process has 1,024.
_MOST_MAPPED = 256

_INDEX = "index.npy"
_ROWS = "rows.bin"
_DESCRIPTION = "description.json"
_RECORD = np.dtype([("digest", "V32"), ("view", "<u4"), ("checksum", "<u4")])

#: SHA-256 of the image file, hexadecimal, and the number of the view.
Key = tuple[str, int]
#: Segment, number of the row in it, checksum.
_Place = tuple[Path, int, int]


class RowStore:
    """The rows of one way of computing.

    Args:
        kind: The folder in the cache, ``features`` or ``activations``.
        description: All that decides a row's numbers beside image and view; plain values.
        shape: The shape of one row.
        dtype: Its type.
    """

    def __init__(
        self, kind: str, description: Mapping[str, Any], shape: tuple[int, ...], dtype: Any
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self._description = {**description, "shape": list(shape), "dtype": self.dtype.str}
        text = json.dumps(self._description, sort_keys=True)
        self.folder = cache_folder() / kind / hashlib.sha256(text.encode()).hexdigest()[:32]
        self._row_bytes = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        #: Rows of the segments by folder. Mapped from the start, where there are not too many, so
        #: that they stay readable when another process deletes them.
        self._rows = lru_cache(_MOST_MAPPED)(self._map)
        self._segments: dict[Path, int] = {}
        self._places: dict[Key, _Place] = {}
        #: Where else a row is: it is computed again where it was damaged, or by two at once.
        self._spares: dict[Key, list[_Place]] = {}
        self._sound: set[Key] = set()
        self._lock = threading.Lock()
        self.refresh()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: Key) -> bool:
        """Whether there is a row, intact or not."""
        return key in self._places

    def refresh(self) -> None:
        """Take in the segments that were completed since the store was opened."""
        for folder in sorted(self.folder.glob("[!.]*/")):
            if folder not in self._segments:
                self._open(folder)

    def find(self, key: Key) -> NDArray[Any] | None:
        """The row of an image and view, memory-mapped and read-only; ``None`` when not there."""
        while (place := self._places.get(key)) is not None:
            folder, number, checksum = place
            with suppress(OSError, ValueError):  # Deleted meanwhile.
                row: NDArray[Any] = self._rows(folder)[number]
                if key in self._sound or _checksum(key, row) == checksum:
                    self._sound.add(key)
                    return row
            self._forget(key, place)
        return None

    @contextmanager
    def writer(self) -> Iterator[Writer]:
        """Add rows; what was added is kept even when the block is interrupted."""
        writer = Writer(self.folder, self._description, self._row_bytes)
        try:
            yield writer
        finally:
            writer.complete()
            self.refresh()
            cache.trim()

    def _forget(self, key: Key, place: _Place) -> None:
        with self._lock:
            if self._places.get(key) is place:  # No other thread was faster.
                self._sound.discard(key)
                if spares := self._spares.get(key):
                    self._places[key] = spares.pop()
                else:
                    del self._places[key]

    def _open(self, folder: Path) -> None:
        try:
            index = np.load(folder / _INDEX, allow_pickle=False)
            size = (folder / _ROWS).stat().st_size
            if index.dtype != _RECORD or size != len(index) * self._row_bytes or not len(index):
                raise ValueError("not what was written")
            self._segments[folder] = len(index)
            self._rows(folder)
        except Exception as error:  # A damaged header is read as Python: it may raise anything.
            self._segments.pop(folder, None)
            if isinstance(error, FileNotFoundError) or not isinstance(error, OSError):
                cache.remove(folder)  # Damaged: its rows are computed again.
            return  # Others, such as too many open files, say nothing against it.
        cache.use(folder)
        for number, (digest, view, checksum) in enumerate(index.tolist()):
            key, place = (digest.hex(), view), (folder, number, checksum)
            if self._places.setdefault(key, place) is not place:
                self._spares.setdefault(key, []).append(place)

    def _map(self, folder: Path) -> NDArray[Any]:
        shape = (self._segments[folder], *self.shape)
        return np.memmap(folder / _ROWS, dtype=self.dtype, mode="r", shape=shape)


class Writer:
    """Writes rows into segments. A disk that is full or read-only stops it silently."""

    def __init__(self, folder: Path, description: Mapping[str, Any], row_bytes: int) -> None:
        #: Why nothing more is kept; ``None`` while all is well.
        self.failure: OSError | None = None
        self._folder = folder
        self._description = description
        self._row_bytes = row_bytes
        self._draft: Path | None = None
        self._file: BinaryIO | None = None
        self._index: list[tuple[bytes, int, int]] = []

    def add(self, key: Key, row: NDArray[Any]) -> None:
        """Add the row of an image and view."""
        if self.failure is not None:
            return
        row = np.ascontiguousarray(row)
        try:
            if self._file is None:
                self._begin()
            assert self._file is not None
            self._file.write(row.data)
        except OSError as error:
            self._give_up(error)
            return
        self._index.append((bytes.fromhex(key[0]), key[1], _checksum(key, row)))
        if len(self._index) * self._row_bytes >= SEGMENT_BYTES:
            self.complete()

    def complete(self) -> None:
        """Give the segment its name: from now on it counts.

        After an interruption, at whatever line, it may be called again.
        """
        if self._file is None or self._draft is None:
            return
        try:
            if not self._file.closed:
                self._file.flush()
                # Interrupted, the last row may not have got its record.
                self._file.truncate(len(self._index) * self._row_bytes)
                os.fsync(self._file.fileno())
                self._file.close()
            np.save(self._draft / _INDEX, np.array(self._index, dtype=_RECORD))
            # Its random part makes the name unique among processes, too.
            self._draft.replace(self._folder / self._draft.name.removeprefix("."))
        except OSError as error:
            self._give_up(error)
        self._file, self._draft, self._index = None, None, []

    def _begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        description = self._folder / _DESCRIPTION
        if not description.exists():
            description.write_text(json.dumps(self._description, indent=2), encoding="utf-8")
        self._draft = hidden_beside(self._folder / "segment")
        self._file = (self._draft / _ROWS).open("wb")

    def _give_up(self, error: OSError) -> None:
        self.failure = error
        if self._file is not None:
            with suppress(OSError):  # The same full disk again.
                self._file.close()
        if self._draft is not None:
            discard(self._draft)
        self._file, self._draft, self._index = None, None, []


def _checksum(key: Key, row: NDArray[Any]) -> int:
    """Over key and row, so that a row is never taken for another one's."""
    start = zlib.crc32(f"{key[0]}:{key[1]}".encode())
    return zlib.crc32(np.ascontiguousarray(row).data, start)
