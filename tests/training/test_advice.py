"""What is said of figures that look wrong, and that nothing is said of good ones."""

import numpy as np
import pytest

from cnntransfer.metrics import figures
from cnntransfer.training.advice import advice

NAMES = ("cats", "dogs", "birds")


def judged(confusion):
    pairs = [(t, p) for t in range(3) for p in range(3) for _ in range(confusion[t][p])]
    labels = np.array([t for t, _ in pairs])
    return figures(NAMES, labels, np.eye(3, dtype=np.float32)[[p for _, p in pairs]])


def history(accuracy, val_accuracy):
    worse = {"val_loss": 2.0, "accuracy": 1.0, "val_accuracy": 0.0}
    return [worse, {"val_loss": 1.0, "accuracy": accuracy, "val_accuracy": val_accuracy}]


GOOD = [[9, 1, 0], [1, 9, 0], [0, 0, 10]]


def test_nothing_is_said_of_a_good_run():
    assert list(advice(judged(GOOD), history(1.0, 0.9))) == []
    assert list(advice(judged(GOOD), [])) == []


@pytest.mark.parametrize("confusion", [[[10, 0, 0], [10, 0, 0], [10, 0, 0]], [[3, 4, 3]] * 3])
def test_chance_level(confusion):
    (line,) = advice(judged(confusion), history(0.4, 0.33))
    assert line.startswith("Validation accuracy 3")
    assert "guessing the most frequent class (33%)" in line
    (line,) = advice(judged(confusion), history(0.4, 0.33), is_pretrained=False)
    assert line.endswith("--show-input, or start from pretrained weights instead")


def test_a_class_that_is_never_predicted():
    (line,) = advice(judged([[10, 0, 0], [0, 10, 0], [2, 1, 0]]), history(0.9, 0.9))
    assert line == (
        "Never predicted on the validation images: birds. Add photos of it, or try "
        "--class-weight balanced"
    )
    # Two images may be missed by chance.
    assert list(advice(judged([[10, 0, 0], [0, 10, 0], [1, 1, 0]]), history(0.9, 0.9))) == []


def test_learning_by_heart_is_judged_in_the_best_epoch():
    (line,) = advice(judged(GOOD), history(1.0, 0.7))
    assert line.startswith("Right on 100% of the training images but only 70% of the validation")
