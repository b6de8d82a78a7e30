"""Which arithmetic computes the frozen layers: the fastest that is measured to be as good."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import processor
from ..data.fitting import InputSpec
from ..data.views import Request, Views
from ..engines.keras import KerasEngine
from ..engines.litert import LiteRTEngine
from ..errors import counted
from ..frameworks import has_gpu
from ..parallel import available_cores
from ..progress import SILENT, Observer
from ..recipe import AUTO
from .extraction import REFERENCE, Extractor
from .features import Engine, Features

#: What ``auto`` tries. Not int8: its features are not equal (docs/speed.md).
_FASTER = "bfloat16"
#: ``auto`` tries nothing when the float32 features take less than that: TensorFlow would have to be
#: imported.
_WORTH_SECONDS = 20.0
_SAMPLE = 32
#: So many of them tell how fast a way is.
TIMED_IMAGES = 8
_LEAST_COSINE = 0.999
#: Layers that train adapt to their arithmetic (Kalamkar 2019, arXiv:1905.12322): for them the
#: comparison only keeps nonsense out.
_LEAST_STAGE_COSINE = 0.99
_LEAST_RATIO = 1.1
#: As Linux names them: those of Intel and AMD, and that of ARM.
_BFLOAT16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})


@dataclass(frozen=True)
class Choice:
    """The arithmetic for training images, and what it was compared on.

    Attributes:
        precision: ``float32``, ``bfloat16`` or ``int8``.
        sample: Positions of validation samples; empty if nothing was compared.
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
    """Settle ``auto``: bfloat16 where it is faster and equal on some validation images.

    Args:
        wanted: The recipe's precision.
        extractor: Runs the trunk.
        requests: What is to be computed.
        held_out: Reference features to compare with.
    """
    if wanted != AUTO:
        return Choice(wanted)
    if not may_be_faster(wanted):
        return Choice(REFERENCE)
    for precision in (REFERENCE, _FASTER):
        if not extractor.store(precision).missing(requests):
            return Choice(precision)
    missing = len(extractor.store(REFERENCE).missing(requests))
    # Not of the test images: nothing is chosen by those.
    known = extractor.views.dataset.subset("val")
    sample = [int(position) for position in known[:: max(1, len(known) // _SAMPLE)][:_SAMPLE]]
    wanted_rows = [(position, 0) for position in sample]
    _, seconds = timed(extractor.engine(REFERENCE), extractor.views, wanted_rows[:TIMED_IMAGES])
    if missing * seconds < _WORTH_SECONDS:
        return Choice(REFERENCE)

    faster, faster_seconds = timed(extractor.engine(_FASTER), extractor.views, wanted_rows)
    title = f"Features of {counted(missing, 'view')}"
    ratio = seconds / faster_seconds
    if _is_better(title, ratio, cosines(held_out.of(sample), faster), _LEAST_COSINE, observer):
        return Choice(_FASTER, tuple(sample), faster)
    return Choice(REFERENCE)


def may_be_faster(wanted: str) -> bool:
    """Whether another arithmetic than float32 may be taken for features here."""
    if wanted == AUTO:
        return _has_bfloat16() and not has_gpu()
    return wanted != REFERENCE


def is_short(images: int, engine: LiteRTEngine, spec: InputSpec) -> bool:
    """Whether float32 features take less time than it is worth to look for something faster.

    Args:
        images: How many there are.
        engine: The usual one.
        spec: What it takes.
    """
    image = np.zeros((*spec.image_size, 3), np.uint8)
    engine.run(image)
    started = time.perf_counter()
    engine.run(image)
    return images * (time.perf_counter() - started) / available_cores() < _WORTH_SECONDS


def _has_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16; where it does not say, not.

    Without them TensorFlow computes in it, but slower than in float32.
    """
    return not _BFLOAT16_FLAGS.isdisjoint(processor.features())


def choose_stage_precision(model: Any, views: Views, observer: Observer = SILENT) -> str:
    """Settle ``auto`` for stages that unfreeze layers: bfloat16 where it is faster and as exact.

    Args:
        model: Keras model, image -> features; it is TensorFlow that runs such a stage.
        views: Some of their held-out images are what is compared.
        observer: Hears of bfloat16.
    """
    if not _has_bfloat16():
        return REFERENCE
    sample = views.requests(1, "val")[:_SAMPLE]
    (features, seconds), (faster, faster_seconds) = (
        timed(KerasEngine(model, precision), views, sample) for precision in (REFERENCE, _FASTER)
    )
    title, ratio = "Unfrozen layers", seconds / faster_seconds
    is_better = _is_better(title, ratio, cosines(features, faster), _LEAST_STAGE_COSINE, observer)
    return _FASTER if is_better else REFERENCE


def run(engine: Engine, views: Views, requests: Sequence[Request]) -> NDArray[np.float32]:
    """Compute features, kept or not; shape (len(requests), d)."""
    return np.stack([output.features for output in engine.map(views.image, requests)])


def _is_better(
    title: str, ratio: float, similar: NDArray[np.float32], least: float, observer: Observer
) -> bool:
    """Whether the other arithmetic is faster and gives the same; says so."""
    if similar.min() < least or ratio < _LEAST_RATIO:
        return False
    observer.note(
        f"{title} in {_FASTER}: {ratio:.1f} times as fast as {REFERENCE} here, and the same on "
        f"{counted(len(similar), 'validation image')} (cosine of features at least "
        f"{similar.min():.4f})."
    )
    return True


def timed(
    engine: Engine, views: Views, requests: Sequence[Request]
) -> tuple[NDArray[np.float32], float]:
    """Features, and the seconds that one image takes: of the second half, as the first prepares."""
    half = len(requests) // 2
    first = [run(engine, views, requests[:half])] if half else []
    started = time.perf_counter()
    second = run(engine, views, requests[half:])
    seconds = (time.perf_counter() - started) / len(second)
    return np.concatenate([*first, second]), seconds


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine of the angle between each row of ``a`` and the same row of ``b``."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    values: NDArray[np.float32] = (a * b).sum(axis=1) / np.maximum(norms, np.float32(1e-12))
    return values
