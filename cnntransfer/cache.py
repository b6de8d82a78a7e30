"""What is kept in the user's cache folder: how much, how old, and what goes when it is too much.

::

    trunks/NAME/              a network converted for LiteRT
    packed/NAME/              its weights as this processor wants them
    imagenet/NAME/            a bare network as a bundle
    features/STORE/SEGMENT/   features of images, see rows.py
    thumbnails/STORE/SEGMENT/ small pictures of images
    activations/STORE/SEGMENT/  activations below the layers that a stage trains
    locks/                    empty files, one for every output that was written here

Everything here can be made again. An entry is a folder that was renamed into its place when it
was complete, and is renamed out of it before it is deleted: it is there whole or not at all.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import OutputError, UsageError
from .storage import CACHE_VARIABLE, atomic_folder, cache_folder, discard, hidden_beside

LIMIT_VARIABLE = "CNNTRANSFER_CACHE_LIMIT"
DEFAULT_LIMIT = "10GB"

#: Kind -> (what it is, how many folders deep its entries lie).
KINDS = {
    "features": ("features of images, which a head learns from", 2),
    "activations": ("inner activations of images, which --unfreeze learns from", 2),
    "thumbnails": ("small pictures of images, by which near-duplicates are found", 2),
    "trunks": ("pretrained networks converted for this machine", 1),
    "packed": ("weights of networks as this processor wants them", 1),
    "imagenet": ("pretrained networks with their ImageNet classes", 1),
}
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
#: Hidden folders of that age were left by a killed process.
_STALE_SECONDS = 24 * 3600

#: Entries that this process uses: never evicted by it.
_in_use: set[Path] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class Entry:
    """One thing in the cache.

    Attributes:
        kind: A key of :data:`KINDS`.
        path: Its folder.
        bytes: Size on disk.
        used: When it was last used, in seconds since 1970.
    """

    kind: str
    path: Path
    bytes: int
    used: float


def limit() -> int:
    """The most bytes to keep: ``$CNNTRANSFER_CACHE_LIMIT`` or :data:`DEFAULT_LIMIT`.

    Raises:
        UsageError: the variable is no size such as ``500MB`` or ``20GB``.
    """
    text = os.environ.get(LIMIT_VARIABLE) or DEFAULT_LIMIT
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]B|)\s*", text.upper())
    size = float(match[1]) * _UNITS[match[2]] if match else math.inf
    if math.isinf(size):
        raise UsageError(
            f"{LIMIT_VARIABLE}: expected a size such as 500MB or {DEFAULT_LIMIT}. "
            f"Received: {text!r}."
        )
    return int(size)


def entries(kinds: Iterable[str] = KINDS) -> Iterator[Entry]:
    """Everything that is kept, of some kinds."""
    for kind in kinds:
        depth = KINDS[kind][1]
        for folder in (cache_folder() / kind).glob("/".join(["[!.]*"] * depth)):
            with suppress(FileNotFoundError):  # Evicted meanwhile by another process.
                if folder.is_dir():
                    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
                    yield Entry(kind, folder, size, folder.stat().st_mtime)


@contextmanager
def entry(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes an entry when the block succeeds; a damaged one goes.

    Raises:
        OutputError: the cache cannot be written.
    """
    is_complete = False
    try:
        with atomic_folder(folder, overwrite=True) as draft:
            yield draft
            is_complete = True
    except OutputError:
        # Where another process was a moment faster, what it made is as good.
        if not (is_complete and folder.is_dir()):
            raise OutputError(
                f"Expected a cache folder that can be written. Received: {cache_folder()}. "
                f"Set {CACHE_VARIABLE} to one that can, or make room there."
            ) from None
    use(folder)
    trim()


def use(folder: Path) -> None:
    """Note that an entry is used now, so that it is the last to go."""
    with _lock:
        _in_use.add(folder)
    with suppress(OSError):
        os.utime(folder)


def trim() -> int:
    """Delete the entries that were not used for longest until the rest is within the limit.

    Returns:
        The number of bytes that were freed.
    """
    _sweep()
    allowed = limit()
    kept = sorted(entries(), key=lambda entry: entry.used)
    total = sum(entry.bytes for entry in kept)
    freed = 0
    for entry in kept:
        if total - freed <= allowed:
            break
        if entry.path not in _in_use and remove(entry.path):
            freed += entry.bytes
    return freed


def clear(kinds: Iterable[str] = KINDS) -> int:
    """Delete everything of some kinds; returns the number of bytes that were freed.

    Raises:
        OutputError: it cannot be deleted.
    """
    _sweep()
    freed = 0
    for kind in kinds:
        freed += sum(entry.bytes for entry in entries([kind]))
        if not remove(cache_folder() / kind):
            raise OutputError(
                f"Expected a cache folder that can be written. Received: {cache_folder()}, whose "
                f"{kind} cannot be deleted. Try it as the owner of the folder."
            )
    return freed


def remove(folder: Path) -> bool:
    """Delete a folder so that no reader ever sees half of it; returns whether it is gone."""
    with suppress(OSError):
        if folder.is_dir():
            place = hidden_beside(folder)
            try:
                folder.replace(place / folder.name)
            finally:
                discard(place)
    return not folder.is_dir()


def _sweep() -> None:
    """Delete what killed processes left half-written."""
    root = cache_folder()
    patterns = [f".{kind}-*" for kind in KINDS]
    patterns += [f"{kind}/{'*/' * level}.*" for kind in KINDS for level in range(KINDS[kind][1])]
    for pattern in patterns:
        for folder in root.glob(pattern):
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > _STALE_SECONDS:
                    discard(folder)
