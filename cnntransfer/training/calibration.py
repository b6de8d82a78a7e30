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
from ..recipe import Recipe

#: No classifier of this program needs another temperature.
_BOUNDS = (0.1, 10.0)
#: What the logarithm of a temperature is, before anything is known of it: mean and standard
#: deviation of a normal distribution. Images that are all right would by themselves make it 0.
_PRIOR = (0.0, 0.5)
#: The same of heads that are known to be too sure: see :func:`is_too_sure`.
_TOO_SURE = (0.4, 0.3)
#: How much likelier (twice the logarithm of how many times) another temperature than 1 must make
#: the labels: what chance exceeds in one of 20 cases where 1 is right (Wilks 1938). With few images
#: most temperatures are chance, and make things worse as often as better (docs/evaluation.md).
_CONVINCING = 3.84


def is_too_sure(recipe: Recipe) -> bool:
    """Whether heads as this one's have been found too sure wherever that was measured.

    Those with hidden layers are: they stop where the validation images' loss is lowest, so that
    these look better calibrated than others do, and few of them do not convince of the opposite.
    Smoothed labels make up for it, and so may the mean of several heads.
    """
    head = recipe.head
    is_smoothed = any(stage.label_smoothing for stage in recipe.stages)
    return bool(head.units) and head.ensemble == 1 and not is_smoothed


def fit_temperature(
    logits: NDArray[np.float32], labels: NDArray[np.int64], *, too_sure: bool = False
) -> float:
    """The temperature at which the log loss of some images is lowest; 1 where that may be chance.

    Args:
        logits: float32, shape (n, classes).
        labels: int64, shape (n,).
        too_sure: Whether a temperature above 1 is expected, and 1 is nothing special.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    exact, rows = logits.astype(np.float64), np.arange(len(labels))

    def loss(temperature: float) -> float:
        return -float(log_softmax(exact / temperature, axis=1)[rows, labels].sum())

    mean, deviation = _TOO_SURE if too_sure else _PRIOR

    def penalised(logarithm: float) -> float:
        return loss(math.exp(logarithm)) + ((logarithm - mean) / deviation) ** 2 / 2

    bounds = [math.log(bound) for bound in _BOUNDS]
    found = minimize_scalar(penalised, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    temperature = math.exp(found.x)
    is_convincing = too_sure or 2 * (loss(1.0) - loss(temperature)) >= _CONVINCING
    return temperature if is_convincing else 1.0


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
