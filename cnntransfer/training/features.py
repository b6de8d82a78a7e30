"""The frozen trunk's output for every (image, view): computed once, kept in the cache."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..data.views import Request, Views
from ..engines.litert import Outputs
from ..progress import SILENT, Observer
from ..rows import RowStore


@dataclass(frozen=True)
class Features:
    """Pooled features of views of images.

    Attributes:
        values: float32, shape (rows, d).
        samples: int64, shape (rows,): the position in the data set that a row belongs to.
        views: int64, shape (rows,): the number of the view; 0 is the image itself.
    """

    values: NDArray[np.float32]
    samples: NDArray[np.int64]
    views: NDArray[np.int64]

    @property
    def plain(self) -> NDArray[np.float32]:
        """Those of unaugmented images, in the order they have here; no copy if all of them are."""
        return self.values if not self.views.any() else self.values[self.views == 0]

    def of(self, samples: Sequence[int]) -> NDArray[np.float32]:
        """The features of unaugmented images, in the order asked for; shape (len(samples), d)."""
        rows = {int(s): row for row, s in enumerate(self.samples) if self.views[row] == 0}
        return self.values[[rows[sample] for sample in samples]]


class Engine(Protocol):
    """What runs a network over many images."""

    def map(
        self, make: Callable[[Request], NDArray[np.uint8]], items: Iterable[Request]
    ) -> Iterator[Outputs]:
        """Make the image of every item and run it; outputs in the order of the items."""


class ViewStore:
    """Kept rows of views. Those of unaugmented images serve whatever the augmentation.

    Args:
        kind: ``features`` or ``activations``.
        description: What decides a row's numbers beside the image: network, precision, ....
        views: Their augmentation and its seed decide the rows of augmented images, too.
        shape: The shape of a row.
        dtype: Its type.
    """

    def __init__(
        self,
        kind: str,
        description: Mapping[str, Any],
        views: Views,
        shape: tuple[int, ...],
        dtype: Any,
    ) -> None:
        augmenter = views.augmenter
        augmented = {
            **description,
            "augmentation": dataclasses.asdict(augmenter.settings),
            "seed": augmenter.seed,
        }
        self._views = views
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._plain = RowStore(kind, description, shape, dtype)
        self._augmented = RowStore(kind, augmented, shape, dtype)

    def find(self, request: Request) -> NDArray[Any] | None:
        """The kept row, memory-mapped; ``None`` where there is none."""
        return self._of(request).find(self._views.key(request))

    def missing(self, requests: Iterable[Request]) -> list[Request]:
        """Those of the requests that have no row."""
        return [request for request in requests if self.find(request) is None]

    def lacks(self, requests: Iterable[Request]) -> int:
        """How many of the requests have no row, be it intact or not: sooner told than which."""
        return sum(self._views.key(request) not in self._of(request) for request in requests)

    def compute(
        self,
        requests: Sequence[Request],
        engine: Callable[[], Engine],
        observer: Observer = SILENT,
        title: str = "Computing features",
    ) -> Iterator[tuple[Request, NDArray[Any]]]:
        """Compute rows and keep them; an interruption keeps those that were finished.

        Args:
            requests: What to compute.
            engine: Makes the engine, when there is anything to compute.
        """
        if not requests:
            return
        with ExitStack() as stack:
            writers = {
                store: stack.enter_context(store.writer())
                for store in {self._of(request) for request in requests}
            }
            advance = stack.enter_context(observer.task(title, total=len(requests)))
            outputs = engine().map(self._views.image, requests)
            for request, output in zip(requests, outputs, strict=True):
                with np.errstate(over="ignore"):
                    row = output.features.astype(self.dtype, copy=False)
                if np.isfinite(row).all():  # Too large for the type: not to be trusted later.
                    writers[self._of(request)].add(self._views.key(request), row)
                yield request, row
                advance(1)
        for writer in writers.values():
            if writer.failure is not None:
                observer.note(
                    f"The cache cannot keep what was computed ({writer.failure.strerror}); "
                    "it will be computed again next time."
                )

    def _of(self, request: Request) -> RowStore:
        return self._augmented if request[1] else self._plain


def features(
    store: ViewStore,
    requests: Sequence[Request],
    engine: Callable[[], Engine],
    observer: Observer = SILENT,
) -> Features:
    """The features of views, kept ones where there are, in the order of the requests."""
    values = np.empty((len(requests), *store.shape), np.float32)
    missing: dict[Request, int] = {}
    for number, request in enumerate(requests):
        row = store.find(request)
        if row is None:
            missing[request] = number
        else:
            values[number] = row
    for request, row in store.compute(list(missing), engine, observer):
        values[missing[request]] = row
    pairs = np.array(requests, dtype=np.int64).reshape(-1, 2)
    return Features(values, pairs[:, 0], pairs[:, 1])
