"""Labels of real photos that were swapped on purpose."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """``benchmarks/suspects.py``, whose full table is in docs/evaluation.md."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("suspects", BENCHMARKS / "suspects.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_swapped_labels_are_at_the_top(benchmark, shared, weights):
    scores = benchmark.measure(shared / "data" / "trashnet", 0, [])
    assert scores["swapped"] == 10
    assert scores["% of them in the first tenth"] >= 70
    assert scores["nothing swapped: confident"] <= 10
