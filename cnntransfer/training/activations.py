"""What the layers below a fine-tuning stage's cut make of every view: computed once, on disk.

Those layers are frozen, so running them every epoch would compute the same numbers again. Their
output is kept as float16, which has more digits than the bfloat16 that networks are trained in.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import cache
from ..data.views import Request, Views
from ..engines.conversion import convert, in_keras, noise
from ..engines.keras import KerasEngine
from ..engines.litert import LiteRTEngine
from ..engines.parity import check_parity
from ..errors import OutputError, counted
from ..models.classifier import Waist
from ..parallel import available_cores
from ..progress import SILENT, Observer
from ..storage import cache_folder
from .extraction import REFERENCE
from .features import Engine, ViewStore

_DTYPE = np.float16


class Activations:
    """The activations at a waist, by (image, view).

    Args:
        waist: Where the network is cut.
        description: What decides the numbers beside the image, see :class:`ViewStore`.
        digests: SHA-256 of the weights of every layer of the trunk; those below the waist count,
            which an earlier stage may have changed.
        views: The images.
    """

    def __init__(
        self,
        waist: Waist,
        description: Mapping[str, Any],
        digests: Sequence[str],
        views: Views,
    ) -> None:
        self.shape, self.dtype = self.form(waist)
        below = hashlib.sha256("".join(digests[: waist.layers]).encode()).hexdigest()
        described = {**description, "cut": waist.layers, "below": below}
        self._store = ViewStore("activations", described, views, self.shape, _DTYPE)
        self._waist = waist
        self._precision = str(description["precision"])

    @staticmethod
    def form(waist: Waist) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of the activation of one view."""
        return tuple(int(side) for side in waist.lower.output_shape[1:]), np.dtype(_DTYPE)

    def __call__(self, request: Request) -> NDArray[Any]:
        """The activation of a view, float16; :meth:`prepare` has made it.

        Raises:
            OutputError: it is not there any more.
        """
        row = self._store.find(request)
        if row is None:
            raise OutputError(
                "Expected the activations that this stage learns from to stay in the cache. "
                "Received: a cache that was cleared or damaged meanwhile. Repeat the command: what "
                "is missing is computed again."
            )
        return row

    def prepare(self, requests: Sequence[Request], observer: Observer = SILENT) -> bool:
        """Compute what is missing.

        Returns:
            Whether all is there. If not, the observer was told why: there is no room for it, or
            the numbers are too large for float16.
        """
        missing = self._store.missing(requests)
        if not missing:
            return True
        needed, room = self._needed(len(missing)), _room()
        if needed > room:
            observer.note(
                f"The activations of {counted(len(missing), 'view')} would take "
                f"{needed / 1e9:.1f} GB of the cache, which has room for {room / 1e9:.1f} GB; the "
                "frozen layers run in every epoch instead. Unfreeze fewer layers, or raise "
                f"{cache.LIMIT_VARIABLE}."
            )
            return False

        with tempfile.TemporaryDirectory() as scratch:
            engine = partial(self._engine, Path(scratch))
            for _ in self._store.compute(missing, engine, observer, "Computing activations"):
                pass
        if self._store.missing(requests):
            observer.note("The activations cannot be kept; the frozen layers run in every epoch.")
            return False
        return True

    def lacks(self, requests: Sequence[Request]) -> int | None:
        """How many of them would have to be computed; ``None`` where there is no room for that."""
        count = self._store.lacks(requests)
        return count if self._needed(count) <= _room() else None

    def _needed(self, rows: int) -> int:
        """Bytes that so many rows take."""
        return rows * int(np.prod(self.shape)) * self.dtype.itemsize

    def _engine(self, scratch: Path) -> Engine:
        """What computes activations: in float32 LiteRT, which is faster even with converting."""
        if self._precision != REFERENCE:
            return KerasEngine(self._waist.lower, self._precision)
        file = scratch / "lower.tflite"
        convert(self._waist.lower, file)
        check_parity(in_keras(self._waist.lower), file, noise(self._waist.lower))
        return LiteRTEngine([file], available_cores())


def _room() -> int:
    """Bytes that activations may take."""
    folder = cache_folder()
    while not folder.exists():
        folder = folder.parent
    return min(cache.limit(), shutil.disk_usage(folder).free // 2)
