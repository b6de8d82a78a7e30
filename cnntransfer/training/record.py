"""What a run writes down about itself: its tables and its metadata."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..bundle import Bundle
from ..data.dataset import Dataset
from ..data.fitting import InputSpec
from ..models.backbones import Backbone
from ..models.weights import WeightsFile
from ..plots import plot_learning_rates
from ..recipe import Recipe
from .fit import HISTORY_COLUMNS
from .rates import RATE_COLUMNS
from .stages import Trained

_VERSIONED = ("tensorflow", "keras", "ai-edge-litert", "numpy", "pillow", "scipy")


def write_tables(
    bundle: Bundle,
    dataset: Dataset,
    trained: Trained,
    held_out: list[int],
    probabilities: NDArray[np.float32],
) -> None:
    """Write the history, the split, the rejected files and the held-out predictions.

    Args:
        bundle: Where to.
        dataset: All samples, with subsets.
        trained: Holds the history.
        held_out: Positions of the validation and test samples.
        probabilities: float32, shape (len(held_out), classes).
    """
    bundle.write_table("history", HISTORY_COLUMNS, trained.history)
    bundle.write_table(
        "splits",
        ("file", "label", "subset", "digest"),
        (
            {
                "file": dataset.name_of(sample.path),
                "label": sample.label,
                "subset": sample.subset,
                "digest": sample.digest,
            }
            for sample in dataset.samples
        ),
    )
    bundle.write_table(
        "rejected",
        ("file", "reason"),
        ({"file": dataset.name_of(r.path), "reason": r.reason} for r in dataset.rejected),
    )
    samples = [dataset.samples[position] for position in held_out]
    bundle.write_table(
        "predictions",
        ("file", "subset", "label", "predicted", *(f"p_{n}" for n in dataset.class_names)),
        (
            {
                "file": dataset.name_of(sample.path),
                "subset": sample.subset,
                "label": sample.label,
                "predicted": dataset.class_names[int(row.argmax())],
                **{
                    f"p_{name}": f"{value:.6g}"
                    for name, value in zip(dataset.class_names, row, strict=True)
                },
            }
            for sample, row in zip(samples, probabilities, strict=True)
        ),
    )


def write_rates(bundle: Bundle, recipe: Recipe, rates: Sequence[Mapping[str, Any]]) -> None:
    """Write the range tests of learning rates, if there were any.

    Args:
        bundle: Where to.
        recipe: Its stages have the rates that were taken.
        rates: See :data:`cnntransfer.training.rates.RATE_COLUMNS`.
    """
    if rates:
        chosen = {stage.name: float(stage.learning_rate) for stage in recipe.stages}
        bundle.write_table("learning_rates", RATE_COLUMNS, rates)
        plot_learning_rates(bundle.rates_plot, rates, chosen)


def describe_data(dataset: Dataset, source: str | None) -> dict[str, Any]:
    """The metadata's part about the images."""
    return {
        "source": source,
        "fingerprint": dataset.fingerprint(),
        "images": {name: dict(counts) for name, counts in dataset.counts().items()},
        "rejected": len(dataset.rejected),
        "ignored": dataset.ignored,
    }


def describe(
    backbone: Backbone, weights: WeightsFile, spec: InputSpec, classes: int
) -> dict[str, Any]:
    """The part of the metadata that every bundle has: origin, input, output, versions."""
    height, width = spec.image_size
    return {
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "backbone": backbone.name,
        "weights": {
            "source": weights.source,
            "file": weights.path.name if weights.path else None,
            "sha256": weights.digest if weights.path else None,
            "license": backbone.weights_license if weights.path else None,
        },
        "input": {
            "name": "image",
            "height": height,
            "width": width,
            "channels": 3,
            "colour": "RGB",
            "dtype": "float32",
            "range": [0, 255],
            "resize": str(spec.resize),
        },
        "output": {"name": "probabilities", "classes": classes, "dtype": "float32"},
        "versions": {
            "cnntransfer": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in _VERSIONED},
        },
    }
