"""How weights are changed: layer by layer, averaged, and by several batches at once."""

import numpy as np
import pytest

from cnntransfer.frameworks import keras, tensorflow
from cnntransfer.recipe import Stage
from cnntransfer.training.accumulation import Accumulation
from cnntransfer.training.optimizer import Average, Optimizer

RANDOM = np.random.default_rng(0)
SHAPES = [(3, 2), (2,), (4,), (5,)]
START = [RANDOM.normal(size=shape).astype(np.float32) for shape in SHAPES]
#: Of several steps, and of very different sizes.
GRADIENTS = [
    [np.float32(10.0**i) * RANDOM.normal(size=shape).astype(np.float32) for shape in SHAPES]
    for i in (0, -3, 2, 0, 1)
]


def fresh():
    return [keras().Variable(array) for array in START]


def numbers(variables):
    return [variable.numpy() for variable in variables]


def after(steps=GRADIENTS, blocks=lambda variables: (), **settings):
    """The variables after some steps in a graph."""
    variables = fresh()
    stage = Stage(**{"learning_rate": 0.01, "epochs": 1, **settings})
    optimizer = Optimizer(stage, variables, blocks(variables), len(steps))
    step = tensorflow().function(optimizer.apply)
    for gradients in steps:
        step([tensorflow().constant(gradient) for gradient in gradients])
    return numbers(variables)


def by_adam(learning_rate, steps=GRADIENTS):
    variables = fresh()
    adam = keras().optimizers.Adam(learning_rate)
    for gradients in steps:
        adam.apply([tensorflow().constant(gradient) for gradient in gradients], variables)
    return numbers(variables)


def assert_equal(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def two_blocks(variables):
    """The first variable lies lowest; the last is the head's."""
    return [variables[1:3], variables[:1]]


# ---- Layer by layer


def test_without_a_decay_it_is_adam():
    assert_equal(after(blocks=two_blocks), by_adam(0.01))


def test_every_block_is_changed_less_than_the_one_above():
    """As much less as with a smaller rate: Adam would not notice smaller gradients."""
    low, top_a, top_b, head = after(blocks=two_blocks, layer_decay=0.5)
    assert_equal([head], by_adam(0.01)[3:])
    assert_equal([top_a, top_b], by_adam(0.005)[1:3])
    assert_equal([low], by_adam(0.0025)[:1])


def test_blocks_that_are_frozen_do_no_harm():
    blocks = lambda variables: [*two_blocks(variables), (), ()]  # noqa: E731
    assert_equal(after(blocks=blocks, layer_decay=0.5), after(blocks=two_blocks, layer_decay=0.5))


def test_the_rate_that_is_told_is_the_head_s():
    variables = fresh()
    stage = Stage(learning_rate=0.01, layer_decay=0.1)
    optimizer = Optimizer(stage, variables, two_blocks(variables), 1)
    assert optimizer.learning_rate == pytest.approx(0.01)


# ---- Averaged


def test_the_average_is_that_of_tensorflow():
    tf = tensorflow()
    variables = fresh()
    average = Average(variables, 0.6)
    follow = tf.function(average.follow)
    expected = numbers(variables)
    for step in range(9):
        for variable in variables:
            variable.assign(variable + step)
        follow()
        momentum = min(0.6, (1 + step) / (10 + step))
        expected = [
            momentum * old + (1 - momentum) * variable.numpy()
            for old, variable in zip(expected, variables, strict=True)
        ]
    for a, b in zip(numbers(average.variables), expected, strict=False):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert int(average.variables[-1]) == 9


def test_the_average_is_shown_and_training_goes_on_where_it_was():
    assert_equal(after(ema_momentum=0.9), by_adam(0.01))
    variables = fresh()
    optimizer = Optimizer(Stage(ema_momentum=0.9), variables, (), 1)
    optimizer.apply([tensorflow().constant(gradient) for gradient in GRADIENTS[0]])
    trained = numbers(variables)
    with optimizer.averaged():
        shown = numbers(variables)
    for a, b, c in zip(shown, START, trained, strict=True):
        np.testing.assert_allclose(a, 0.1 * b + 0.9 * c, rtol=1e-5)
    assert_equal(numbers(variables), trained)


def test_nothing_is_averaged_unless_asked():
    variables = fresh()
    optimizer = Optimizer(Stage(), variables, (), 1)
    adam = keras().optimizers.Adam()
    adam.build(fresh())
    assert len(optimizer.variables) == len(adam.variables)
    with optimizer.averaged():
        assert_equal(numbers(variables), START)


# ---- Several batches at once


def accumulated(sizes, batches, epochs=1):
    """Epochs of the given gradients, each the mean over so many examples."""
    variables = fresh()
    optimizer = Optimizer(Stage(learning_rate=0.01), variables, (), 1)
    accumulation = Accumulation(optimizer, variables, batches)

    def step(gradients, size):
        accumulation.add(gradients, tensorflow().constant(size, "float32"))
        return 1.0, 2.0

    for _ in range(epochs):
        learn = accumulation.through(step, len(sizes))
        for gradients, size in zip(GRADIENTS, sizes, strict=True):
            assert learn(gradients, size) == (1.0, 2.0)
    return numbers(variables)


def mean(steps, sizes):
    total = sum(sizes)
    return [
        sum(np.float32(size / total) * gradient for size, gradient in zip(sizes, many, strict=True))
        for many in zip(*steps, strict=True)
    ]


def test_several_batches_are_as_one_of_all_their_examples():
    """The last batch is small, and the last group too: neither is lost nor left for later."""
    sizes = (4, 4, 4, 4, 1)
    groups = [
        mean(GRADIENTS[:3], sizes[:3]),
        mean(GRADIENTS[3:], sizes[3:]),
    ]
    for epochs in (1, 2):
        for a, b in zip(accumulated(sizes, 3, epochs), by_adam(0.01, groups * epochs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4)


def test_what_was_added_before_an_epoch_does_not_count():
    variables = fresh()
    optimizer = Optimizer(Stage(learning_rate=0.01), variables, (), 1)
    accumulation = Accumulation(optimizer, variables, 2)
    step = lambda gradients, size: accumulation.add(gradients, size)  # noqa: E731
    step(GRADIENTS[2], 7.0)
    learn = accumulation.through(step, 2)
    learn(GRADIENTS[0], 1.0)
    learn(GRADIENTS[1], 3.0)
    expected = by_adam(0.01, [mean(GRADIENTS[:2], (1, 3))])
    for a, b in zip(numbers(variables), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
