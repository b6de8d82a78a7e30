"""How a trunk's features are computed here: by which engine, in which arithmetic."""

from __future__ import annotations

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
from ..engines.conversion import ConvertedTrunk, converted_trunk, versions
from ..engines.keras import KerasEngine
from ..engines.litert import LiteRTEngine
from ..models.backbones import Backbone
from ..models.classifier import Trunk
from ..models.weights import WeightsFile
from ..parallel import available_cores
from ..progress import SILENT, Observer
from ..rows import RowStore
from .features import Engine, Features, ViewStore, features

#: What a bundle's LiteRT file computes, on which held-out images are judged.
REFERENCE = "float32"
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
        self.views = views
        self._trunk = trunk
        self._observer = observer
        self.store = cache(self._store)
        self.engine = cache(self._engine)
        #: The trunk for LiteRT in float32, converted if it was not yet.
        self.converted: Callable[[], ConvertedTrunk] = cache(self._converted)

    def features(self, requests: Sequence[Request], precision: str = REFERENCE) -> Features:
        """The features of views, in the order of the requests."""
        engine: Callable[[], Engine] = lambda: self.engine(precision)  # noqa: E731
        return features(self.store(precision), requests, engine, self._observer)

    def _converted(self, calibration: Sequence[NDArray[np.uint8]] = ()) -> ConvertedTrunk:
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

    def _store(self, precision: str) -> ViewStore:
        shape = (self.spec.backbone.features,)
        description = self.spec.description(precision)
        return ViewStore("features", description, self.views, shape, np.float32)

    def _engine(self, precision: str) -> Engine:
        if precision == "bfloat16":
            return KerasEngine(self._trunk.result().model, precision)
        if precision == "int8":
            requests = self.views.requests(1, "train")
            step = max(1, len(requests) // _CALIBRATION_IMAGES)
            chosen = requests[::step][:_CALIBRATION_IMAGES]
            calibration = [self.views.image(request) for request in chosen]
            return LiteRTEngine([self._converted(calibration).file], available_cores())
        return LiteRTEngine([self.converted().file], available_cores())
