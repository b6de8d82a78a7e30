"""Confidence on photos that were kept apart, with the real weights; docs/evaluation.md has more."""

from __future__ import annotations

import pytest

import cnntransfer


@pytest.mark.parametrize("settings", [{}, {"stages.head.label_smoothing": 0.1}])
def test_confidence_is_right_on_eurosat(shared, weights, tmp_path, settings):
    """Both runs share the features."""
    run = cnntransfer.finetune(
        shared / "data" / "eurosat", tmp_path / "bundle", test_split=0.5, **settings
    )
    assert run.metrics["test"]["images"] >= 400
    error = run.bundle.metadata["calibration"]["test"]
    assert error["after"] <= 0.05
    assert error["after"] <= error["before"] + 0.01
    if settings:  # Smoothed labels make a head too modest.
        assert error["before"] > 0.1
