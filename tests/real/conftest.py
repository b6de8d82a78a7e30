"""Real ImageNet weights and real photos, from the folder ``shared`` beside the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_SHARED = Path(os.environ.get("CNNTRANSFER_SHARED") or Path(__file__).parents[2].parent / "shared")
#: A process takes whole files, in this order: the longest first, so that none is alone at the end.
_LONGEST = [
    "test_all_backbones.py",
    "test_explain_families.py",
    "test_agreement.py",
    "test_resume.py",
    "test_explain.py",
    "test_training.py",
    "test_anatomy.py",
]


def pytest_collection_modifyitems(items):
    """All of these are slow."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)
    places = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


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
