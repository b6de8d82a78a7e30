"""Heads as data: which layers, which first numbers, how features are standardised.

That Keras computes the same of them is in ``tests/training/test_perceptron.py``.
"""

from functools import partial

import numpy as np
import pytest

from cnntransfer.models.head import (
    ACTIVATIONS,
    HeadModel,
    head_layers,
    initial_weights,
    softmax,
    standardisation,
)
from cnntransfer.recipe import Head as AnyHead

#: One head alone.
Head = partial(AnyHead, ensemble=1)

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(5, [0.1, 0.5, 1, 2, 3, 4, 5], (200, 7)).astype(np.float32)


def head_of(features, head=None, classes=3, seed=0):
    layers = head_layers(head or Head(), classes, seed)
    return HeadModel(layers, initial_weights(layers, features))


def standardised(features, values):
    """Values as the first layer of a head that learns from features gives them."""
    layers = head_of(features).layers[:1]
    return HeadModel(layers, {layers[0].name: standardisation(features)})(values)


# ---- Layers


@pytest.mark.parametrize(
    ("head", "names"),
    [
        (Head(), ["standardise", "probabilities"]),
        (
            Head(units=(8,), dropout=0.0),
            ["standardise", "hidden1", "hidden1_relu", "probabilities"],
        ),
        (
            Head(units=(8, 4), activation="gelu", batch_normalization=True, dropout=0.5),
            ["standardise"]
            + [f"hidden{n}{part}" for n in (1, 2) for part in ("", "_bn", "_gelu", "_dropout")]
            + ["probabilities"],
        ),
    ],
)
def test_layers_of_the_head(head, names):
    assert [layer.name for layer in head_layers(head, 5)] == names
    model = head_of(FEATURES, head, classes=5)
    assert (model.features, model.classes) == (7, 5)
    probabilities = model(FEATURES)
    assert (probabilities.shape, probabilities.dtype) == ((200, 5), np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_layers_are_described_as_keras_takes_them():
    head = Head(units=(8,), activation="silu", batch_normalization=True, dropout=0.25, l2=0.5)
    described = {layer.name: (layer.kind, dict(layer.config)) for layer in head_layers(head, 3, 7)}
    assert described["standardise"] == (
        "BatchNormalization",
        {"center": False, "scale": False, "epsilon": 1e-7, "trainable": False},
    )
    assert described["hidden1"] == (
        "Dense",
        {
            "units": 8,
            "activation": "linear",
            "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": 8}},
            "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.5}},
        },
    )
    assert described["hidden1_bn"] == ("BatchNormalization", {"epsilon": 1e-3, "momentum": 0.99})
    assert described["hidden1_silu"] == ("Activation", {"activation": "silu"})
    assert described["hidden1_dropout"] == ("Dropout", {"rate": 0.25, "seed": 8})
    assert described["probabilities"][1]["units"] == 3
    assert described["probabilities"][1]["activation"] == "softmax"


def test_no_penalty_where_none_is_asked_for():
    layers = head_layers(Head(units=(8,), l2=0.0), 3)
    assert [one.config["kernel_regularizer"] for one in layers if one.kind == "Dense"] == [None] * 2


def test_every_seed_of_a_recipe_is_one_of_keras():
    for layer in head_layers(Head(units=(8, 4)), 3, 2**32 - 1):
        seed = layer.config.get("seed")
        if layer.kind == "Dense":
            seed = layer.config["kernel_initializer"]["config"]["seed"]
        assert seed is None or 0 <= seed < 2**32


# ---- First numbers


def test_kernels_fill_glorot_s_range_and_biases_are_zero():
    features = np.zeros((2, 300), np.float32)
    weights = head_of(features, Head(units=(100,)), classes=50).weights
    for name, shape in (("hidden1", (300, 100)), ("probabilities", (100, 50))):
        kernel, bias = weights[name]
        limit = np.sqrt(6 / sum(shape))
        assert kernel.shape == shape
        assert 0.99 * limit < np.abs(kernel).max() <= limit
        # As wide as a uniform distribution is, and as even.
        assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
        assert kernel.mean() == pytest.approx(0, abs=0.02 * limit)
        assert not bias.any()
        assert bias.shape == shape[1:]
        assert kernel.dtype == bias.dtype == np.float32


def test_a_batch_normalisation_begins_with_doing_nothing():
    head = Head(units=(4,), batch_normalization=True)
    gamma, beta, mean, variance = head_of(FEATURES, head).weights["hidden1_bn"]
    assert gamma.tolist() == variance.tolist() == [1] * 4
    assert beta.tolist() == mean.tolist() == [0] * 4
    assert len({id(array) for array in (gamma, beta, mean, variance)}) == 4


def test_the_seed_decides_every_kernel_and_no_two_are_alike():
    head = Head(units=(7, 7))
    first, again, other = (head_of(FEATURES, head, 7, seed).weights for seed in (3, 3, 4))
    kernels = [weights[name][0] for weights in (first, other) for name in weights
               if name != "standardise"]  # fmt: skip
    for name, arrays in first.items():
        for a, b in zip(arrays, again[name], strict=True):
            assert np.array_equal(a, b)
    assert not np.array_equal(first["hidden1"][0], other["hidden1"][0])
    assert not any(np.array_equal(a, b) for a in kernels[:3] for b in kernels[:3] if a is not b)
    # Nothing was drawn from the generator that belongs to the caller.
    state = np.random.get_state()[1].copy()
    head_of(FEATURES, head)
    assert np.array_equal(np.random.get_state()[1], state)


# ---- Standardisation


def test_features_are_standardised_but_none_is_amplified_beyond_the_average():
    result = standardised(FEATURES, FEATURES)
    variance = FEATURES.var(axis=0)
    np.testing.assert_allclose(result.mean(axis=0), 0, atol=1e-5)
    expected = variance / np.maximum(variance, variance.mean())
    np.testing.assert_allclose(result.var(axis=0), expected, rtol=1e-3)
    assert expected[-1] == 1 > expected[0]


@pytest.mark.parametrize("level", [0.0, 7.0])
def test_features_that_hardly_vary_are_not_blown_up(level):
    random = np.random.default_rng(0)
    features = random.normal(0, 1, (200, 6)).astype(np.float32)
    features[:, 0] = level
    features[:, 1] = level + random.normal(0, 1e-6, 200)
    surprise = np.full((1, 6), level + 1, np.float32)
    assert np.abs(standardised(features, surprise))[0, :2].max() < 15


def test_what_hardly_varies_is_measured_by_its_own_depth():
    features = np.random.default_rng(0).normal(0, 1, (500, 6)).astype(np.float32)
    features[:, 3:] *= 0.01
    _, together = standardisation(features)
    _, apart = standardisation(features, (3, 3))
    assert (together[3:] == together[3]).all()
    np.testing.assert_allclose(apart[3:], 1e-4, rtol=0.2)
    np.testing.assert_allclose(apart[:3], 1, rtol=0.2)


def test_features_that_are_all_dead():
    model = head_of(np.zeros((10, 6), np.float32))
    assert np.isfinite(model(np.zeros((2, 6), np.float32))).all()


def test_many_features_are_gone_through_block_by_block():
    features = np.random.default_rng(0).normal(1000, 0.5, (9000, 3)).astype(np.float32)
    mean, variance = standardisation(features)
    exact = features.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(variance, np.maximum(exact.var(0), exact.var(0).mean()), rtol=1e-4)
    assert mean.dtype == variance.dtype == np.float32


# ---- What is computed


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_large_numbers_are_no_trouble(name):
    """A warning would be an error; Keras has the same values in ``test_perceptron.py``."""
    x = np.array([[-1e4, -100, 0, 100, 1e4]], np.float32)
    result = ACTIVATIONS[name](x)
    assert np.isfinite(result).all()
    assert result.dtype == np.float32


@pytest.mark.parametrize("head", [Head(), Head(units=(8,), activation="gelu")])
def test_probabilities_are_the_softmax_of_the_logits(head):
    model = head_of(FEATURES, head)
    logits = model.logits(FEATURES)
    assert logits.shape == (200, 3)
    np.testing.assert_array_equal(softmax(logits), model(FEATURES))


@pytest.mark.parametrize("head", [Head(), Head(units=(8,), batch_normalization=True)])
def test_a_temperature_divides_the_logits_only(head):
    model = head_of(FEATURES, head)
    cooler = model.tempered(2.5)
    np.testing.assert_allclose(
        cooler.logits(FEATURES), model.logits(FEATURES) / 2.5, rtol=1e-5, atol=1e-6
    )
    assert np.array_equal(cooler(FEATURES).argmax(axis=1), model(FEATURES).argmax(axis=1))
    assert cooler.layers == model.layers
    last = model.layers[-1].name
    for name, arrays in model.weights.items():
        for before, after in zip(arrays, cooler.weights[name], strict=True):
            assert np.array_equal(before, after) != (name == last and before.any()), name
            assert after.dtype == np.float32


def test_what_does_not_standardise_lets_features_through():
    layers = head_layers(Head(units=()), 2)
    features = np.random.default_rng(0).normal(5, 3, (9, 4)).astype(np.float32)
    mean, variance = initial_weights(layers, features, standardise=False)["standardise"]
    assert (mean.tolist(), variance.tolist()) == ([0] * 4, [1] * 4)
    np.testing.assert_array_equal(
        initial_weights(layers, features, standardise=False)["probabilities"][0],
        initial_weights(layers, features)["probabilities"][0],
    )
