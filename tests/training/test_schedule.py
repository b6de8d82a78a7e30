"""The learning rate of every step, in NumPy and in Keras."""

import pytest

from cnntransfer.frameworks import keras
from cnntransfer.recipe import Stage
from cnntransfer.training.schedule import in_keras, scheduled


def rates(steps_per_epoch=5, **settings):
    stage = Stage(learning_rate=0.3, epochs=4, **settings)
    return [scheduled(stage, step, steps_per_epoch) for step in range(4 * steps_per_epoch + 3)]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.01, 0.25, 0.9])
def test_keras_learns_at_the_same_rates(schedule, warmup):
    stage = Stage(learning_rate=0.3, epochs=4, schedule=schedule, warmup=warmup)
    optimizer = keras().optimizers.Adam(in_keras(stage, 5))
    for expected in rates(schedule=schedule, warmup=warmup):
        assert float(optimizer.learning_rate) == pytest.approx(expected, abs=1e-6)
        optimizer.iterations.assign_add(1)


def test_it_rises_evenly_from_above_zero_and_then_goes_its_way():
    warm = rates(schedule="cosine", warmup=0.25)
    assert warm[:6] == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.25, 0.3])
    assert sorted(warm[5:], reverse=True) == warm[5:]
    assert warm[-3:] == pytest.approx([0, 0, 0])
    assert rates(warmup=0.25) == pytest.approx([*warm[:6], *[0.3] * 17])


def test_a_share_of_less_than_a_step_is_none():
    assert rates(warmup=0.01) == [0.3] * 23
    assert in_keras(Stage(learning_rate=0.3, epochs=1, warmup=0.9), 1) == 0.3
