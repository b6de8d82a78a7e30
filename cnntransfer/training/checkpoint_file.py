"""The files of a checkpoint: arrays by name, with plain values beside them."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..storage import atomic_file

Arrays = dict[str, NDArray[Any]]

#: What reading a damaged file may raise.
DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)

_META = "meta"


def write_arrays(file: Path, meta: Mapping[str, Any], arrays: Arrays) -> None:
    """Write a file of arrays by name, with plain values beside them; complete or not at all."""
    # With the names, as a damaged archive may seem to hold fewer.
    text = np.frombuffer(json.dumps([meta, list(arrays)]).encode("ascii"), np.uint8)
    with atomic_file(file) as draft:
        np.savez(draft, **{_META: text}, **arrays)  # type: ignore[arg-type]


def read_arrays(file: Path, *, only_meta: bool = False) -> tuple[dict[str, Any], Arrays]:
    """What :func:`write_arrays` wrote; raises one of ``DAMAGE`` for anything else."""
    with zipfile.ZipFile(file) as archive:
        if not only_meta and archive.testzip() is not None:
            raise ValueError("damaged")
    with np.load(file, allow_pickle=False) as content:
        meta, names = json.loads(content[_META].tobytes())
        return meta, {name: content[name] for name in (() if only_meta else names)}
