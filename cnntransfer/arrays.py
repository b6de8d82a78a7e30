"""Files of several arrays: NumPy's archives, read without trusting them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The names of each array's lengths, by the array's name; lengths of one name must be equal.
Form = Mapping[str, Sequence[str]]


def read_arrays(path: Path, form: Form) -> dict[str, NDArray[Any]]:
    """Arrays of finite floating-point numbers.

    Nothing that could run is read (no pickle), and every array's checksum is compared.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or its arrays are of another form; the message says which.
    """
    with path.open("rb") as content:
        try:
            with np.load(content, allow_pickle=False) as archive:
                arrays = {name: np.asarray(archive[name]) for name in form if name in archive}
        except Exception as error:  # Zip, its compression and NumPy each have their own.
            raise ValueError(" ".join(str(error).split())[:160]) from None
    lengths: dict[str, int] = {}
    for name in form:
        _check(name, arrays.get(name), form[name], lengths)
    return arrays


def _check(
    name: str, array: NDArray[Any] | None, form: Sequence[str], lengths: dict[str, int]
) -> None:
    """Hold one array against its form; its lengths are added to those known by name."""
    if array is None:
        raise ValueError(f"it has no array {name!r}")
    if array.dtype.kind != "f" or array.ndim != len(form):
        raise ValueError(f"{name}: {array.dtype}, shape {array.shape}")
    for length, of in zip(array.shape, form, strict=True):
        if lengths.setdefault(of, length) != length:
            raise ValueError(f"{name}: {length} {of} instead of {lengths[of]}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: not all numbers are finite")


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write what :func:`read_arrays` reads; equal arrays give equal bytes."""
    with path.open("wb") as file:
        np.savez(file, **arrays)
