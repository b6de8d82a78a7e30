"""Figures of a classifier from labels and probabilities, with 95 % intervals.

All figures equal scikit-learn's on the same predictions; how the intervals are made, and how often
they hold the truth, is in ``docs/evaluation.md``.
"""

from .evaluation import ClassFigures, Evaluation, figures
from .intervals import Interval
from .reliability import BINS, Bin, calibration_error, reliability

__all__ = [
    "BINS",
    "Bin",
    "ClassFigures",
    "Evaluation",
    "Interval",
    "calibration_error",
    "figures",
    "reliability",
]
