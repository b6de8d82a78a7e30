"""How a trunk's features are computed here: by which engine, in which arithmetic."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..data.fitting import InputSpec
from ..data.thumbnails import Thumbnails
from ..data.views import Request, Views
from ..engines.conversion import ConvertedTrunk, converted_trunk, is_converted, versions
from ..engines.keras import KerasEngine
from ..engines.litert import LiteRTEngine
from ..frameworks import has_gpu
from ..models.backbones import Backbone, get_backbone
from ..models.classifier import Trunk, build_trunk
from ..models.weights import WeightsFile
from ..parallel import Later, available_cores
from ..progress import SILENT, Observer
from ..recipe import AUTO, FEATURE_BLOCKS, Recipe
from ..rows import RowStore, Writer
from .features import Engine, Features, ViewStore, features

#: What a bundle's LiteRT file computes, on which held-out images are judged.
REFERENCE = "float32"
_ON_GPU = "float32 on a graphics processor"
_CALIBRATION_IMAGES = 64


@dataclass(frozen=True)
class TrunkSpec:
    """Which trunk: everything that decides what it computes."""

    backbone: Backbone
    input: InputSpec
    pooling: str
    weights: WeightsFile
    feature_blocks: int

    @property
    def name(self) -> str:
        """Tells the trunk from others, whatever the images are resized by."""
        height, width = self.input.image_size
        features = f"{self.pooling}{self.feature_blocks}"
        return f"{self.backbone.name}-{height}x{width}-{features}-{self.weights.digest}"

    @property
    def widths(self) -> tuple[int, ...]:
        """How many features come from each depth, the topmost first."""
        return self.backbone.widths(self.feature_blocks)

    def build(self) -> Trunk:
        """The trunk as a Keras model."""
        return build_trunk(
            self.backbone, self.input.image_size, self.pooling, self.weights, self.feature_blocks
        )

    def description(self, precision: str) -> dict[str, Any]:
        """What the trunk's numbers depend on beside the image, as plain values."""
        return _description(
            self.backbone,
            self.input,
            self.pooling,
            self.feature_blocks,
            self.weights.digest,
            precision,
        )


def _description(
    backbone: Backbone,
    input: InputSpec,
    pooling: str,
    feature_blocks: int,
    weights_digest: str,
    precision: str,
) -> dict[str, Any]:
    return {
        "backbone": backbone.name,
        "weights": weights_digest,
        "image_size": list(input.image_size),
        "resize": str(input.resize),
        "pooling": pooling,
        "feature_blocks": feature_blocks,
        "precision": precision,
        "versions": f"{versions()}-pillow{version('pillow')}-litert{version('ai-edge-litert')}",
    }


def feature_blocks(recipe: Recipe, backbone: Backbone) -> int:
    """From the ends of how many of the top blocks features are computed.

    A head may stand on those of fewer: see :meth:`cnntransfer.training.heads.HeadData.depths`.
    """
    if recipe.feature_blocks == AUTO:
        return min(FEATURE_BLOCKS, len(backbone.blocks))
    return int(recipe.feature_blocks)


def kept_features(bundle: Bundle) -> RowStore | None:
    """What is kept of the features that a bundle's head stands on; they are read only.

    ``None`` where layers of the backbone were trained, where its weights were random, and for a
    network that no run made.

    Raises:
        BundleError: the recipe is damaged.
    """
    if not bundle.recipe_file.is_file():
        return None
    recipe, digest = bundle.recipe(), bundle.metadata["weights"]["sha256"]
    backbone = get_backbone(recipe.backbone)
    if digest is None or any(backbone.cut(stage.unfreeze) for stage in recipe.stages):
        return None
    blocks = feature_blocks(recipe, backbone)
    described = _description(backbone, bundle.input_spec, recipe.pooling, blocks, digest, REFERENCE)
    return RowStore("features", described, (sum(backbone.widths(blocks)),), np.float32)


class LiteRTTrunk:
    """A trunk as bundles have it: for LiteRT, in float32.

    Args:
        spec: Which trunk.
        trunk: Its Keras model, which is needed where it was not converted yet.
        observer: Hears of a conversion.
    """

    def __init__(self, spec: TrunkSpec, trunk: Later[Trunk], observer: Observer = SILENT) -> None:
        self._spec, self._trunk, self._observer = spec, trunk, observer
        #: Its files, made if they were not yet.
        self.converted: Callable[[], ConvertedTrunk] = cache(self._converted)
        #: Runs it on as many threads as there are cores.
        self.engine: Callable[[], LiteRTEngine] = cache(self._engine)

    @property
    def is_ready(self) -> bool:
        """Whether it was converted before, as far as can be seen."""
        return is_converted(self._spec.name)

    def still_converted(self) -> ConvertedTrunk:
        """Its files; made again if another process has deleted them meanwhile.

        Of a network that is built anew: the one that there is may have been trained.
        """
        return converted_trunk(self._spec.name, lambda: self._spec.build().model, self._observer)

    def int8(self, calibration: Sequence[NDArray[np.uint8]]) -> LiteRTEngine:
        """The same in int8, with the ranges of some images' activations."""
        return LiteRTEngine([self._converted(calibration).litert_file], available_cores())

    def _engine(self) -> LiteRTEngine:
        return LiteRTEngine([self.converted().litert_file], available_cores())

    def _converted(self, calibration: Sequence[NDArray[np.uint8]] = ()) -> ConvertedTrunk:
        return converted_trunk(
            self._spec.name, lambda: self._trunk.result().model, self._observer, calibration
        )


class FirstLook:
    """What is done with images when they are read: thumbnails, and features as far as possible yet.

    So a photo is decoded once, however many there are. Features go where :class:`Extractor` finds
    them; without an engine, none are computed.

    Args:
        spec: Which trunk.
        engine: Runs it; ``None`` where it is not there yet, or something else will be used.
        keep_pixels: Whether pixels are wanted later, for other views.
    """

    def __init__(self, spec: TrunkSpec, engine: LiteRTEngine | None, *, keep_pixels: bool) -> None:
        self._store = RowStore(
            "features", spec.description(REFERENCE), (sum(spec.widths),), np.float32
        )
        #: Those of all images that were read.
        self.thumbnails = Thumbnails(spec.input)
        self._engine = engine
        self._keep_pixels = keep_pixels
        self._lock = threading.Lock()
        self._open = ExitStack()
        self._writer: Writer | None = None
        self._seconds = 0.0

    def __enter__(self) -> FirstLook:
        self._open.enter_context(self.thumbnails)
        if self._engine is not None:
            self._writer = self._open.enter_context(self._store.writer())
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def knows(self, digest: str) -> bool:
        """Whether all of the image itself is kept: then it is known to be readable."""
        return self._has_features(digest) and digest in self.thumbnails

    def __call__(self, digest: str, image: NDArray[np.uint8]) -> bool:
        """Take the pixels of an image; returns whether they are to be kept for later."""
        self.thumbnails.add(digest, image)
        if self._has_features(digest):
            return self._keep_pixels
        if self._engine is None or self._writer is None or self._writer.failure is not None:
            return True
        started = time.perf_counter()
        row = self._engine.run(image).features
        with self._lock:
            self._seconds += time.perf_counter() - started
            self._writer.add((digest, 0), row)
        return self._keep_pixels or self._writer.failure is not None

    def _has_features(self, digest: str) -> bool:
        return self._store.find((digest, 0)) is not None

    @property
    def seconds(self) -> float:
        """How long features took of the time that reading took."""
        return self._seconds / available_cores()


class Extractor:
    """Computes the features of views, or takes those that are kept.

    Args:
        spec: Which trunk.
        views: The images.
        trunk: Its Keras model, for what only that can do.
        observer: Hears of progress.
        litert: The same for LiteRT, for everything else.
    """

    def __init__(
        self,
        spec: TrunkSpec,
        views: Views,
        trunk: Later[Trunk],
        observer: Observer = SILENT,
        litert: LiteRTTrunk | None = None,
    ) -> None:
        self.spec = spec
        self.views = views
        self.litert = litert or LiteRTTrunk(spec, trunk, observer)
        self._trunk = trunk
        self._observer = observer
        self.store = cache(self._store)
        self.engine = cache(self._engine)

    def features(self, requests: Sequence[Request], precision: str = REFERENCE) -> Features:
        """The features of views, in the order of the requests."""
        engine: Callable[[], Engine] = lambda: self.engine(precision)  # noqa: E731
        return features(self.store(precision), requests, engine, self._observer)

    def to_learn_from(self, requests: Sequence[Request], precision: str) -> Features:
        """The same for views that are learned from: from a graphics processor if there is one.

        What that computes differs from the bundle's file by rounding, so it judges nothing.
        """
        way = _ON_GPU if precision == REFERENCE and has_gpu() else precision
        return self.features(requests, way)

    def _store(self, precision: str) -> ViewStore:
        shape = (sum(self.spec.widths),)
        description = self.spec.description(precision)
        if precision == "int8":  # Its ranges are those of some of the images.
            keys = map(self.views.key, self._calibration_requests())
            description["calibration"] = [digest for digest, _ in keys]
        return ViewStore("features", description, self.views, shape, np.float32)

    def _engine(self, precision: str) -> Engine:
        makers: dict[str, Callable[[], Engine]] = {
            REFERENCE: self.litert.engine,
            _ON_GPU: lambda: KerasEngine(self._trunk.result().model),
            "bfloat16": lambda: KerasEngine(self._trunk.result().model, precision),
            "int8": lambda: self.litert.int8(self._calibration()),
        }
        return makers[precision]()

    def _calibration(self) -> list[NDArray[np.uint8]]:
        return [self.views.image(request) for request in self._calibration_requests()]

    def _calibration_requests(self) -> list[Request]:
        requests = self.views.requests(1, "train")
        step = max(1, len(requests) // _CALIBRATION_IMAGES)
        return requests[::step][:_CALIBRATION_IMAGES]
