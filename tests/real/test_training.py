from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import cnntransfer

SEEDS = range(3)


@pytest.fixture(scope="module")
def accuracy():
    """``benchmarks/accuracy.py``, whose full table is in docs/accuracy.md."""
    path = Path(__file__).parents[2] / "benchmarks" / "accuracy.py"
    spec = importlib.util.spec_from_file_location("accuracy", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_head_is_not_behind_logistic_regression(accuracy, shared, weights):
    """MobileNet on two small sets and three seeds; others take too long for every run."""
    scores = [
        setting.measure(seed)
        for name in ("trashnet", "brain-mri")
        for setting in [accuracy.Setting("mobilenet", shared / "data" / name, views=(1,))]
        for seed in SEEDS
    ]
    mean = {key: np.mean([score[key] for score in scores]) for key in scores[0]}
    assert mean["head"] >= mean["logistic regression"] - 1.5


def test_same_seed_gives_the_same_predictions_bit_for_bit(shared, weights, tmp_path):
    import cnntransfer

    texts = []
    for number in (1, 2):
        run = cnntransfer.finetune(
            shared / "data" / "trashnet",
            tmp_path / str(number),
            backbone="mobilenet_v2",
            image_size=96,
            stages=[
                {"name": "head", "epochs": 5},
                {"name": "finetune", "unfreeze": "block16", "epochs": 2, "learning_rate": 1e-3},
            ],
        )
        table = run.bundle.read_table("predictions")
        probabilities = np.stack(
            [p.probabilities for p in run.predict(shared / "data" / "trashnet")]
        )
        texts.append((table, probabilities.tobytes()))
    assert texts[0] == texts[1]
    history = run.bundle.read_table("history")
    heads = {"head of 1 block", "head of 2 blocks", "head of 3 blocks"}
    assert {row["stage"] for row in history} == {*heads, "finetune"}


def test_a_run_that_unfroze_layers_is_reproduced(shared, weights, tmp_path):
    run = cnntransfer.finetune(
        shared / "data" / "trashnet",
        tmp_path / "run",
        image_size=96,
        stages=[
            {"name": "head", "epochs": 5},
            {"name": "finetune", "unfreeze": "15%", "epochs": 2},
        ],
    )
    result = run.reproduce()
    assert (str(result.verdict), result.same_files) == ("identical", True)
