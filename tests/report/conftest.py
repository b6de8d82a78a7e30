"""Runs to report on."""

from __future__ import annotations

import pytest

from cnntransfer.recipe import AUGMENTATION_PRESETS, Recipe
from tests.report.synthetic import ODD_NAMES, make_run


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A run on 90 photos of 3 classes; not to be changed."""
    return make_run(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def odd(tmp_path_factory):
    """A run with everything that a report can show, and with names that break pages."""
    recipe = Recipe(image_size=(48, 64), augmentation=AUGMENTATION_PRESETS["strong"])
    recipe = recipe.override({"stages.head.views": 3})
    return make_run(
        tmp_path_factory.mktemp("odd"),
        ODD_NAMES,
        train=24,
        val=24,
        test=90,
        accuracy=0.6,
        suspects=15,
        groups=3,
        rejected=60,
        recipe=recipe,
    )


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """A run on more classes than a table has room for."""
    names = [f"species {number:03}" for number in range(30)]
    return make_run(tmp_path_factory.mktemp("many"), names, train=30, val=0, test=150)
