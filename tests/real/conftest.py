"""Real ImageNet weights and real photos, from the folder ``shared`` beside the project."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

_SHARED = Path(os.environ.get("CNNTRANSFER_SHARED") or Path(__file__).parents[2].parent / "shared")


def pytest_collection_modifyitems(items):
    """All of these are slow.

    Files of few tests have the long ones: first, so that no process works alone at the end.
    """
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)
    counts = Counter(item.path for item in items)
    items.sort(key=lambda item: counts[item.path])


@pytest.fixture(scope="session")
def shared() -> Path:
    if not (_SHARED / "weights").is_dir():
        pytest.skip(f"no real weights and photos: {_SHARED} is not there")
    return _SHARED


@pytest.fixture(scope="session")
def weights(shared, _own_environment):
    """Put the real weights where they are looked up."""
    patch = pytest.MonkeyPatch()
    patch.setenv("CNNTRANSFER_WEIGHTS", str(shared / "weights"))
    yield shared / "weights"
    patch.undo()
