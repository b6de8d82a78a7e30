"""Plots, as PNG files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

_WIDTH, _HEIGHT, _DPI = 6.4, 3.6, 120


def plot_learning_rates(
    path: Path, rows: Sequence[Mapping[str, Any]], chosen: Mapping[str, float]
) -> None:
    """Draw the loss by learning rate of range tests, one below the other.

    Args:
        path: The PNG file.
        rows: See :data:`cnntransfer.training.rates.RATE_COLUMNS`; the tests one after another.
        chosen: The learning rate that each stage was given.
    """
    from matplotlib.figure import Figure

    tests = [(stage, list(steps)) for stage, steps in groupby(rows, lambda row: row["stage"])]
    figure = Figure(figsize=(_WIDTH, _HEIGHT * len(tests)), dpi=_DPI, layout="constrained")
    all_axes = figure.subplots(len(tests), squeeze=False)[:, 0]
    for axes, (stage, steps) in zip(all_axes, tests, strict=True):
        rates = [row["learning_rate"] for row in steps]
        axes.semilogx(rates, [row["loss"] for row in steps], ".", color="0.75", label="batches")
        axes.semilogx(rates, [row["smoothed_loss"] for row in steps], label="smoothed")
        axes.axvline(chosen[stage], color="C1", label=f"chosen: {chosen[stage]:g}")
        axes.set(xlabel="learning rate", ylabel="loss in nats")
        axes.set_title(f"Stage {stage!r}", parse_math=False)
        axes.set_ylim(0, max(1e-3, 2 * max(row["smoothed_loss"] for row in steps[:10])))
        axes.legend()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of letters that the font lacks.
        figure.savefig(path)
