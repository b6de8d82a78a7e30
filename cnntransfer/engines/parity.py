"""Whether a LiteRT file computes what the model it was made of computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TrainingError
from .litert import LiteRTEngine

#: Largest difference, relative to the largest output, that is rounding.
TOLERANCE = 1e-4


def check_parity(
    model: Callable[[NDArray[np.float32]], NDArray[np.float32]], file: Path, probes: NDArray[Any]
) -> dict[str, Any]:
    """Run both on the same inputs and compare the outputs.

    Args:
        model: What the file was made of, a function from a batch of inputs to a vector per row.
        file: The LiteRT file.
        probes: Inputs, shape (n, ...); images are uint8 or float32 in 0..255.

    Returns:
        For the metadata: the largest difference, relative to the largest output; the tolerance;
        the number of inputs.

    Raises:
        TrainingError: they differ by more than rounding.
    """
    engine = LiteRTEngine([file])
    received = np.stack([engine.run(probe).features for probe in probes])
    return compared(model(probes.astype(np.float32)), received, file.name)


def compared(
    expected: NDArray[np.float32], received: NDArray[np.float32], name: str
) -> dict[str, Any]:
    """Compare what a model and a file made of it gave; returns and raises as above.

    Args:
        expected: The model's outputs, a vector per row.
        received: The file's.
        name: The file's.
    """
    scale = max(float(np.abs(expected).max()), np.finfo(np.float32).tiny)
    difference = float(np.abs(received - expected).max()) / scale
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"Expected {name} to compute what the model computes, to {TOLERANCE:g}. Received: a "
            f"difference of {difference:.2g}. This is a bug; please report it with the recipe."
        )
    return {"largest_difference": difference, "tolerance": TOLERANCE, "inputs": len(expected)}
