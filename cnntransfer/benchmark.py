"""What to expect of a network on this machine: images per second, and seconds to the first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .data.augment import Augmenter
from .data.dataset import Dataset, Pixels, Sample
from .data.fitting import InputSpec
from .data.views import Views
from .engines.keras import BATCH, KerasEngine
from .models.backbones import Backbone
from .models.weights import find_weights
from .parallel import Later
from .progress import SILENT, Observer
from .recipe import FEATURE_BLOCKS, Augmentation, Recipe
from .training.extraction import Extractor, TrunkSpec
from .training.features import Engine
from .training.precision import cosines, run

#: Engine and precision, the one that every bundle uses first.
WAYS = (
    ("LiteRT", "float32"),
    ("TensorFlow", "float32"),
    ("TensorFlow", "bfloat16"),
    ("LiteRT", "int8"),
)
_MEASURED_SECONDS = 3.0
_IMAGES = 2 * BATCH


@dataclass(frozen=True)
class Speed:
    """How fast one network runs in one way.

    Attributes:
        backbone: Its name.
        engine: ``LiteRT`` or ``TensorFlow``.
        precision: ``float32``, ``bfloat16`` or ``int8``.
        images_per_second: Features of images that are decoded already.
        first_image_seconds: From nothing loaded but the library to the first features; the
            conversion for LiteRT, once per machine, left out.
        cosine: Smallest similarity with LiteRT's float32 features; at most 1.
    """

    backbone: str
    engine: str
    precision: str
    images_per_second: float
    first_image_seconds: float
    cosine: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure(backbone: Backbone, observer: Observer = SILENT) -> Iterator[Speed]:
    """Measure a network in every way.

    Raises:
        WeightsError: its weights are not found.
    """
    size = (backbone.default_size, backbone.default_size)
    weights = find_weights(backbone, observer=observer)
    spec = TrunkSpec(backbone, InputSpec(size), Recipe().pooling, weights, FEATURE_BLOCKS)
    views = noise(size)
    requests = [(position, 0) for position in range(_IMAGES)]
    trunk = Later(spec.build)
    extractor = Extractor(spec, views, trunk, observer)
    extractor.litert.converted()
    reference = None
    for engine, precision in WAYS:
        with observer.task(f"{backbone.name}: {engine} {precision}"):
            if engine == "TensorFlow" and precision == "float32":
                model = trunk.result().model
                begun = time.perf_counter()
                runner: Engine = KerasEngine(model)
            else:
                if precision == "int8":
                    extractor.engine(precision)  # Converts, too.
                    extractor.engine.cache_clear()
                begun = time.perf_counter()
                runner = extractor.engine(precision)
            run(runner, views, requests[:1])
            first_seconds = time.perf_counter() - begun
            features = run(runner, views, requests)
            images, begun = 0, time.perf_counter()
            while time.perf_counter() - begun < _MEASURED_SECONDS:
                images += len(run(runner, views, requests))
            rate = images / (time.perf_counter() - begun)
        reference = features if reference is None else reference
        cosine = float(cosines(features, reference).min())
        yield Speed(backbone.name, engine, precision, rate, first_seconds, min(cosine, 1.0))


def noise(size: tuple[int, int], images: int = _IMAGES) -> Views:
    """Images that are as much work as any others."""
    random = np.random.default_rng(0)
    samples = tuple(Sample(Path(str(i)), "noise", f"{i:064x}", "train") for i in range(images))
    pixels = Pixels(InputSpec(size))
    for sample in samples:
        coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        fine = np.resize(coarse.repeat(size[0] // 8 + 1, 0).repeat(size[1] // 8 + 1, 1), (*size, 3))
        pixels.append(sample.path, fine)
    return Views(Dataset(Path(), ("noise",), samples), pixels, Augmenter(Augmentation(), 0))
