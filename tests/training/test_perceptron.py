"""Heads in NumPy are fitted as Keras would fit them."""

import numpy as np
import pytest

from cnntransfer.frameworks import keras, tensorflow
from cnntransfer.models.classifier import build_head
from cnntransfer.models.head import HeadModel, head_layers, initial_weights
from cnntransfer.recipe import Head, Stage
from cnntransfer.training.examples import Examples
from cnntransfer.training.objective import Objective, one_hot
from cnntransfer.training.perceptron import Perceptron, scheduled

RANDOM = np.random.default_rng(0)
FEATURES = (RANDOM.normal(size=(24, 6)) * [1, 2, 3, 4, 5, 0.01] + 3).astype(np.float32)
LABELS = RANDOM.integers(0, 4, 24)
TRAINING = Examples(FEATURES[:20], np.arange(20), LABELS[:20])
VALIDATION = Examples(FEATURES, np.arange(20, 24), LABELS[20:])

HEADS = [
    Head(units=(), dropout=0, l2=0, ensemble=1),
    Head(units=(), dropout=0, l2=0.01, ensemble=1),
    Head(units=(5,), dropout=0, l2=0.003, ensemble=1),
    Head(units=(7, 5), dropout=0, activation="gelu", ensemble=1),
    Head(units=(7,), dropout=0, activation="silu", ensemble=1),
    Head(units=(7,), dropout=0, activation="tanh", l2=0, ensemble=1),
    Head(units=(7, 5), dropout=0, batch_normalization=True, ensemble=1),
]
OBJECTIVES = [Objective(), Objective(0.2), Objective(0.1, (0.5, 1.5, 1.0, 2.0))]


def learner(head, stage=None, aim=OBJECTIVES[0], batch_size=20, seed=0):
    layers = head_layers(head, 4, 3)
    weights = initial_weights(layers, FEATURES[:20])
    stage = stage or Stage(learning_rate=0.01, epochs=5)
    return Perceptron(layers, weights, stage, TRAINING, VALIDATION, batch_size, seed, aim)


def in_keras(model: HeadModel):
    """The same head in Keras, with the same numbers."""
    layers = build_head(model.layers)
    network = keras().Sequential([keras().Input((model.features,)), *layers])
    for layer in layers:
        for variable, array in zip(layer.weights, model.weights.get(layer.name, ()), strict=True):
            variable.assign(array)
    return network


def assert_same(ours: HeadModel, network, tolerance):
    for layer in network.layers:
        for variable, array in zip(layer.weights, ours.weights.get(layer.name, ()), strict=True):
            np.testing.assert_allclose(array, variable.numpy(), rtol=2e-4, atol=tolerance)


@pytest.mark.parametrize("aim", OBJECTIVES, ids=str)
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_steps_of_training_are_those_of_keras(head, aim):
    tf = tensorflow()
    ours = learner(head, aim=aim)
    network = in_keras(ours.model())
    optimizer = keras().optimizers.Adam(0.01)
    variables = network.trainable_variables
    for epoch in range(4):
        with tf.GradientTape() as tape:
            probabilities = network(TRAINING.values, training=True)
            loss = tf.reduce_mean(aim.of_training(one_hot(TRAINING.labels, 4), probabilities))
            loss += tf.add_n(network.losses) if network.losses else 0.0
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        our_loss, our_accuracy = ours.train_epoch(epoch)
        assert our_loss == pytest.approx(float(loss), rel=1e-5)
        assert our_accuracy == np.mean(np.argmax(probabilities, axis=1) == TRAINING.labels)
    # The gradient of a bias below a batch normalisation is rounding, of which Adam makes steps.
    assert_same(ours.model(), network, 2e-3 if head.batch_normalization else 2e-6)
    held_out = network(FEATURES[20:], training=False)
    val_loss, val_accuracy = ours.validate()
    expected = tf.reduce_mean(aim.of_validation(one_hot(VALIDATION.labels, 4), held_out))
    assert val_loss == pytest.approx(float(expected), rel=1e-4)
    assert val_accuracy == np.mean(np.argmax(held_out, axis=1) == VALIDATION.labels)


@pytest.mark.parametrize("head", [*HEADS, Head(units=(5,)), Head()], ids=str)
def test_a_model_computes_what_keras_computes(head):
    ours = learner(head)
    for epoch in range(3):
        ours.train_epoch(epoch)
    model = ours.model()
    expected = np.asarray(in_keras(model)(FEATURES, training=False))
    np.testing.assert_allclose(model(FEATURES), expected, atol=1e-6)
    assert model(FEATURES).dtype == np.float32


def test_dropout_drops_its_share_and_keeps_the_mean():
    head = Head(units=(9,), dropout=0.5)
    ours = learner(head)
    unit = next(u for u in ours._units if type(u).__name__ == "_Dropout")
    ones = np.ones((400, 50), np.float32)
    dropped = unit.forward(ones, 7)
    assert np.mean(dropped == 0) == pytest.approx(head.dropout, abs=0.02)
    assert dropped.mean() == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(unit.forward(ones, 7), dropped)
    assert not np.array_equal(unit.forward(ones, 8), dropped)
    np.testing.assert_array_equal(unit.forward(ones, None), ones)
    unit.forward(ones, 7)
    np.testing.assert_array_equal(unit.backward(ones, is_lowest=False), dropped)


def test_dropout_takes_part_in_training():
    with_it, without = learner(Head(units=(9,), dropout=0.5)), learner(Head(units=(9,), dropout=0))
    assert with_it.train_epoch(0) != without.train_epoch(0)
    assert with_it.validate() != without.validate()


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_learning_rate_goes_as_keras_has_it(schedule):
    stage = Stage(learning_rate=0.3, schedule=schedule, epochs=4)
    keras_s = keras().optimizers.schedules.CosineDecay(0.3, decay_steps=4 * 5)
    for step in (0, 1, 7, 19, 20, 25):
        expected = float(keras_s(step)) if schedule == "cosine" else 0.3
        assert scheduled(stage, step, 5) == pytest.approx(expected, abs=1e-6)


def test_what_was_kept_goes_on_as_if_nothing_had_happened():
    head = Head(units=(9,), dropout=0.5, batch_normalization=True)
    stage = Stage(learning_rate=0.01, schedule="cosine", epochs=6)
    whole = learner(head, stage, batch_size=8)
    for epoch in range(3):
        whole.train_epoch(epoch)
    kept = {name: [np.array(a) for a in arrays] for name, arrays in whole.arrays().items()}
    resumed = learner(head, stage, batch_size=8, seed=0)
    assert resumed.put(kept)
    for epoch in range(3, 6):
        assert whole.train_epoch(epoch) == resumed.train_epoch(epoch)
    assert whole.learning_rate == resumed.learning_rate == pytest.approx(0)
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_numbers_of_another_head_are_not_taken():
    one, other = learner(Head(units=(9,))), learner(Head(units=(8,)))
    before = one.get_weights()
    assert not one.put(other.arrays())
    for a, b in zip(before, one.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_that_are_taken_are_copies():
    ours = learner(Head(units=(5,)))
    weights, model = ours.get_weights(), ours.model()
    before = model(FEATURES)
    ours.train_epoch(0)
    np.testing.assert_array_equal(model(FEATURES), before)
    ours.set_weights(weights)
    np.testing.assert_array_equal(ours.model()(FEATURES), before)


def test_only_the_rows_that_are_meant_are_learned_from():
    layers = head_layers(Head(units=(5,), dropout=0), 4)
    weights = initial_weights(layers, FEATURES)
    few = Examples(FEATURES, np.array([3, 5, 8]), LABELS[[3, 5, 8]])
    copied = Examples(FEATURES[[3, 5, 8]], np.arange(3), LABELS[[3, 5, 8]])
    results = []
    for examples in (few, copied):
        one = Perceptron(layers, weights, Stage(), examples, examples, 2, 1, Objective())
        results.append([one.train_epoch(0), one.train_epoch(1), one.validate()])
    assert results[0] == results[1]
