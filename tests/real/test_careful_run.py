"""A whole run with everything that makes a stage careful, on pixels, stopped and not."""

import pytest

from cnntransfer.progress import Observer
from cnntransfer.training import checkpoint_folder as checkpoint_module
from cnntransfer.training import outcome as outcome_module
from cnntransfer.training.run import resume, run
from tests.conftest import convert_tuned


class Stopped(BaseException):
    """Nothing handles it."""


class Stopper(Observer):
    """Stops in an epoch of the second stage, before that is kept."""

    def epoch(self, row):
        if (row["stage"], row["epoch"]) == ("finetune", 2):
            raise Stopped


@pytest.fixture(autouse=True)
def _every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint_module, "INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint_module, "_SHARE", float("inf"))
    monkeypatch.setattr(outcome_module, "write_trunk", convert_tuned)


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(lecture_recipe, tmp_path):
    recipe = lecture_recipe.override(
        {
            "head.ensemble": 1,
            "class_weight": "balanced",
            "fresh_augmentation": True,
            "batch_augmentation.rand_augment": 0.3,
            "batch_augmentation.random_erasing": 0.5,
            "batch_augmentation.mixup": 0.2,
            "batch_augmentation.cutmix": 1.0,
            "stages.head.epochs": 2,
            "stages.finetune.unfreeze": "conv2",
            "stages.finetune.epochs": 3,
            "stages.finetune.precision": "float32",
            "stages.finetune.jit_compile": "none",
            "stages.finetune.label_smoothing": 0.1,
            "stages.finetune.min_delta": 0.01,
            "stages.finetune.warmup": 0.3,
            "stages.finetune.layer_decay": 0.5,
            "stages.finetune.ema_momentum": 0.9,
            "stages.finetune.gradient_accumulation_steps": 2,
        }
    )
    whole = run(recipe, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(recipe, tmp_path / "stopped", observer=Stopper())
    resumed = resume(tmp_path / "stopped")
    for name in ("predictions.csv", "recipe.yaml", "trunk.tflite", "head.tflite"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    histories = [
        [{**row, "seconds": None} for row in bundle.read_table("history")]
        for bundle in (whole, resumed)
    ]
    assert histories[0] == histories[1]
    heads = ("head of 1 block", "head of 2 blocks", "head of 3 blocks")
    stages = [row["stage"] for row in histories[0]]
    assert stages == [name for name in heads for _ in range(2)] + ["finetune"] * 3
