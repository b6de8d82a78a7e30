"""Temperature scaling: how sure a classifier says it is, put right on the validation images.

All logits are divided by one number, the temperature (Guo 2017, arXiv:1706.04599). Which class is
the most probable stays the same; what changes is how probable. The temperature goes into the last
layer, so that every file of the bundle has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..metrics import Evaluation

#: No classifier of this program needs another temperature.
_BOUNDS = (0.1, 10.0)
#: How far the logarithm of a temperature is from 0, before anything is known of it (normal
#: distribution). Images that are all right would by themselves make the temperature 0.
_PRIOR = 0.5
#: How much likelier (twice the logarithm of how many times) another temperature than 1 must make
#: the labels: what chance exceeds in one of 20 cases where 1 is right (Wilks 1938). With few images
#: most temperatures are chance, and make things worse as often as better (docs/evaluation.md).
_CONVINCING = 3.84


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature at which the log loss of some images is lowest; 1 where that may be chance.

    Args:
        logits: float32, shape (n, classes).
        labels: int64, shape (n,).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    exact, rows = logits.astype(np.float64), np.arange(len(labels))

    def loss(temperature: float) -> float:
        return -float(log_softmax(exact / temperature, axis=1)[rows, labels].sum())

    def penalised(logarithm: float) -> float:
        return loss(math.exp(logarithm)) + (logarithm / _PRIOR) ** 2 / 2

    bounds = [math.log(bound) for bound in _BOUNDS]
    found = minimize_scalar(penalised, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    temperature = math.exp(found.x)
    return temperature if 2 * (loss(1.0) - loss(temperature)) >= _CONVINCING else 1.0


def describe(
    temperature: float, before: Mapping[str, float], metrics: Mapping[str, Evaluation]
) -> dict[str, Any]:
    """The metadata's part about calibration.

    Args:
        temperature: What logits were divided by.
        before: Calibration errors at a temperature of 1, by subset.
        metrics: The figures afterwards, by subset.
    """
    after = {name: judged.calibration_error for name, judged in metrics.items()}
    changed = {name: {"before": error, "after": after[name]} for name, error in before.items()}
    return {"temperature": temperature, **changed}
