"""How a trunk's features are computed here: by which engine, in which arithmetic."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.images import InputSpec
from ..data.views import Request, Views
from ..engines.keras import KerasEngine
from ..engines.litert import LiteRTEngine
from ..models.backbones import Backbone
from ..models.classifier import Trunk
from ..models.conversion import converted_trunk, versions
from ..models.weights import WeightsFile
from ..parallel import available_cores
from ..progress import SILENT, Observer
from ..recipe import AUTO
from ..rows import RowStore
from .features import Engine, Features, ViewStore, features

#: What a bundle's LiteRT file computes, on which held-out images are judged.
REFERENCE = "float32"
#: What ``auto`` tries. Not int8: its features are not equal (docs/speed.md).
_FASTER = "bfloat16"
#: ``auto`` tries nothing when the float32 features take less than that.
_WORTH_SECONDS = 5.0
_SAMPLE = 32
_LEAST_COSINE = 0.999
_CALIBRATION_IMAGES = 64


@dataclass(frozen=True)
class TrunkSpec:
    """Which trunk: everything that decides what it computes."""

    backbone: Backbone
    input: InputSpec
    pooling: str
    weights: WeightsFile

    def description(self, precision: str) -> dict[str, Any]:
        """What the trunk's numbers depend on beside the image, as plain values."""
        return {
            "backbone": self.backbone.name,
            "weights": self.weights.digest,
            "image_size": list(self.input.image_size),
            "resize": str(self.input.resize),
            "pooling": self.pooling,
            "precision": precision,
            "versions": f"{versions()}-pillow{version('pillow')}",
        }


def reference_rows(spec: TrunkSpec) -> RowStore:
    """The kept float32 features of unaugmented images."""
    shape = (spec.backbone.features,)
    return RowStore("features", spec.description(REFERENCE), shape, np.float32)


class Extractor:
    """Computes the features of views, or takes those that are kept.

    Args:
        spec: Which trunk.
        views: The images.
        trunk: Its Keras model, perhaps still being built.
        observer: Hears of progress.
    """

    def __init__(
        self, spec: TrunkSpec, views: Views, trunk: Future[Trunk], observer: Observer = SILENT
    ) -> None:
        self.spec = spec
        self._views = views
        self._trunk = trunk
        self._observer = observer
        self.store = cache(self._store)
        self.engine = cache(self._engine)

    def features(self, requests: Sequence[Request], precision: str = REFERENCE) -> Features:
        """The features of views, in the order of the requests."""
        engine: Callable[[], Engine] = lambda: self.engine(precision)  # noqa: E731
        return features(self.store(precision), requests, engine, self._observer)

    def trunk_file(self, calibration: Sequence[NDArray[np.uint8]] = ()) -> Any:
        """The trunk for LiteRT, converted if it was not yet."""
        spec = self.spec
        return converted_trunk(
            spec.backbone,
            spec.input.image_size,
            spec.pooling,
            spec.weights,
            lambda: self._trunk.result().model,
            self._observer,
            calibration,
        )

    def run(self, precision: str, requests: Sequence[Request]) -> NDArray[np.float32]:
        """Compute features, kept or not; shape (len(requests), d)."""
        outputs = self.engine(precision).map(self._views.image, requests)
        return np.stack([output.features for output in outputs])

    def _store(self, precision: str) -> ViewStore:
        shape = (self.spec.backbone.features,)
        description = self.spec.description(precision)
        return ViewStore("features", description, self._views, shape, np.float32)

    def _engine(self, precision: str) -> Engine:
        if precision == "bfloat16":
            return KerasEngine(self._trunk.result().model, precision)
        if precision == "int8":
            requests = self._views.requests(1, "train")
            step = max(1, len(requests) // _CALIBRATION_IMAGES)
            chosen = requests[::step][:_CALIBRATION_IMAGES]
            calibration = [self._views.image(request) for request in chosen]
            return LiteRTEngine([self.trunk_file(calibration)], available_cores())
        return LiteRTEngine([self.trunk_file()], available_cores())


@dataclass(frozen=True)
class Choice:
    """The arithmetic for training images, and what it was compared on.

    Attributes:
        precision: ``float32``, ``bfloat16`` or ``int8``.
        sample: Positions of held-out samples; empty if nothing was compared.
        features: Their features in that arithmetic, float32 (len(sample), d).
    """

    precision: str
    sample: tuple[int, ...] = ()
    features: NDArray[np.float32] | None = None


def choose_precision(
    wanted: str,
    extractor: Extractor,
    requests: Sequence[Request],
    held_out: Features,
    observer: Observer = SILENT,
) -> Choice:
    """Settle ``auto``: bfloat16 where it is faster and equal on some of the held-out images.

    Args:
        wanted: The recipe's precision.
        extractor: Runs the trunk.
        requests: What is to be computed.
        held_out: Reference features to compare with.
    """
    if wanted != AUTO:
        return Choice(wanted)
    for precision in (REFERENCE, _FASTER):
        if not extractor.store(precision).missing(requests):
            return Choice(precision)
    missing = len(extractor.store(REFERENCE).missing(requests))
    step = max(1, len(held_out.samples) // _SAMPLE)
    sample = [int(position) for position in held_out.samples[::step][:_SAMPLE]]
    wanted_rows = [(position, 0) for position in sample]
    seconds = _seconds_per_image(extractor, REFERENCE, wanted_rows[:8])
    if missing * seconds < _WORTH_SECONDS:
        return Choice(REFERENCE)

    faster = extractor.run(_FASTER, wanted_rows)
    faster_seconds = _seconds_per_image(extractor, _FASTER, wanted_rows)
    cosine = _cosines(faster, held_out.of(sample)).min()
    ratio = seconds / faster_seconds
    if cosine < _LEAST_COSINE or ratio < 1.1:
        return Choice(REFERENCE)
    observer.note(
        f"Computing in {_FASTER}: {ratio:.1f} times as fast as {REFERENCE} here, and the same on "
        f"{len(sample)} held-out images (cosine of features at least {cosine:.4f})."
    )
    return Choice(_FASTER, tuple(sample), faster)


def _seconds_per_image(extractor: Extractor, precision: str, requests: Sequence[Request]) -> float:
    extractor.run(precision, requests[:2])  # The first call prepares.
    started = time.perf_counter()
    extractor.run(precision, requests)
    return (time.perf_counter() - started) / len(requests)


def _cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: NDArray[np.float32] = (a * b).sum(axis=1) / np.maximum(norms, 1e-12)
    return cosines
