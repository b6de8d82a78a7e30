"""Whole runs that look for their learning rates, with a small network."""

from __future__ import annotations

import pytest
from PIL import Image

from cnntransfer.progress import Observer
from cnntransfer.recipe import read_recipe
from cnntransfer.training import outcome as outcome_module
from cnntransfer.training.rates import RATE_COLUMNS
from cnntransfer.training.run import resume, run
from tests.conftest import convert_tuned


class Stopped(BaseException):
    """Nothing handles it."""


class Stopper(Observer):
    def epoch(self, row):
        if (row["stage"], row["epoch"]) == ("finetune", 2):
            raise Stopped


def same(one, other):
    histories = [
        [{**row, "seconds": None} for row in bundle.read_table("history")]
        for bundle in (one, other)
    ]
    assert histories[0] == histories[1]
    for name in ("predictions.csv", "recipe.yaml", "trunk.tflite", "head.tflite"):
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name


@pytest.mark.parametrize(
    "settings",
    [
        {"head.units": 8, "head.ensemble": 2},
        {"head.units": 8, "fresh_augmentation": True, "batch_augmentation.mixup": 0.2},
    ],
    ids=["several heads, activations", "pixels, mixed"],
)
def test_a_run_writes_down_what_it_found(lecture_recipe, tmp_path, monkeypatch, settings):
    """Also one that was stopped after it had looked; and its recipe gives the same without."""
    monkeypatch.setattr(outcome_module, "write_trunk", convert_tuned)
    monkeypatch.setattr("cnntransfer.training.checkpoint_folder.INTERVAL", 0.0)
    recipe = lecture_recipe.override(
        {
            "stages.head.epochs": 3,
            "stages.finetune.unfreeze": "conv2",
            "stages.finetune.epochs": 2,
            "stages.finetune.precision": "float32",
            "stages.finetune.jit_compile": "none",
            **settings,
        }
    )
    recipe = recipe.finding_rates()
    whole = run(recipe, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(recipe, tmp_path / "stopped", observer=Stopper())
    resumed = resume(tmp_path / "stopped")
    same(whole, resumed)
    same(whole, run(read_recipe(whole.recipe_file), tmp_path / "again"))
    rows = whole.read_table("learning_rates", *RATE_COLUMNS)
    assert resumed.read_table("learning_rates") == rows
    assert sorted({row["stage"] for row in rows}) == ["finetune", "head"]
    with Image.open(whole.rates_plot) as plot:
        assert plot.size[1] > plot.size[0]  # Two, one below the other.
    assert whole.rates_plot.read_bytes() == resumed.rates_plot.read_bytes()
    assert "learning_rate: auto" not in whole.recipe_file.read_text()
