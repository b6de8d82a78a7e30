"""Keras networks as learners: what moves, what XLA changes, and when it is taken."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnntransfer.data.dataset import Dataset, Sample
from cnntransfer.frameworks import keras
from cnntransfer.recipe import Stage
from cnntransfer.training.fit import fit
from cnntransfer.training.network import _TEMPERATURES, Network, Variables, choose_jit
from cnntransfer.training.objective import Objective
from cnntransfer.training.sources import Feed, StreamSource
from tests.conftest import Notes

pytestmark = pytest.mark.slow

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, 20)
IMAGES = RANDOM.integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
DATASET = Dataset(
    Path(),
    ("a", "b", "c"),
    tuple(
        Sample(Path(str(i)), "abc"[label], f"{i:064x}", "train" if i % 4 else "val")
        for i, label in enumerate(LABELS)
    ),
)


def tiny(dropout=0.5):
    """A network with everything that a step of training moves: weights, statistics, chance."""
    k = keras()
    k.utils.set_random_seed(0)
    return k.Sequential(
        [
            k.Input((6, 5, 3)),
            k.layers.Rescaling(1 / 255),
            k.layers.Conv2D(4, 3, use_bias=False, name="conv"),
            k.layers.BatchNormalization(),
            k.layers.Flatten(),
            k.layers.Dropout(dropout, seed=1),
            k.layers.Dense(3, activation="softmax", kernel_regularizer=k.regularizers.L2(0.01)),
        ],
        name="tiny",
    )


def network_of(model, **settings):
    """It learns from batches of four, four in an epoch, the last one of three."""
    feed = Feed(lambda request: IMAGES[request[0]], (6, 5, 3), np.uint8, 1)
    training, validation = (
        StreamSource(feed, DATASET, subset, 4, seed)
        for subset, seed in (("train", 0), ("val", None))
    )
    stage = Stage(**{"learning_rate": 0.01, "epochs": 3, **settings})
    return Network(model, stage, training, validation, Objective(0.1))


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, arrays in one.items():
        for a, b in zip(arrays, other[name], strict=True):
            assert np.array_equal(a, b), name


def test_frozen_weights_stay():
    model = tiny()
    model.get_layer("conv").trainable = False
    frozen = model.get_layer("conv").get_weights()
    others = model.layers[-1].get_weights()
    network = network_of(model)
    fit(network, Stage(epochs=2))
    for before, after in zip(frozen, model.get_layer("conv").get_weights(), strict=True):
        assert np.array_equal(before, after)
    assert not np.array_equal(others[0], model.layers[-1].get_weights()[0])


def test_what_was_kept_goes_on_as_if_nothing_had_happened():
    whole = network_of(tiny(), schedule="cosine")
    whole.train_epoch(0)
    kept = whole.arrays()
    assert {name: len(arrays) > 0 for name, arrays in kept.items()} == {
        "model": True,
        "optimizer": True,
    }
    resumed = network_of(tiny(), schedule="cosine")
    assert resumed.put(kept)
    for epoch in (1, 2):
        assert resumed.train_epoch(epoch) == whole.train_epoch(epoch)
        assert resumed.validate() == whole.validate()
    assert_equal(resumed.arrays(), whole.arrays())


def test_the_numbers_of_another_network_are_not_taken():
    network, other = Variables("tiny", model=tiny()), keras().Sequential([keras().Input((2,))])
    before = network.arrays()
    assert not network.put({"model": list(before["model"][:-1])})
    assert not network.put({"model": [np.zeros((*a.shape, 1), a.dtype) for a in before["model"]]})
    assert not network.put(Variables("other", model=other).arrays())
    assert_equal(network.arrays(), before)


# ---- Validation


@pytest.mark.parametrize("sureness", [0.5, 1, 30])
def test_being_too_sure_counts_for_nothing(sureness):
    """The validation loss is that at the best of some temperatures."""
    model = tiny(dropout=0.0)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([sureness * kernel, sureness * bias])
    images, labels = (array[DATASET.subset("val")] for array in (IMAGES, LABELS))
    logits = np.log(np.maximum(model.predict_on_batch(images), 1e-30)).astype(np.float64)

    def loss_at(temperature):
        powers = np.exp(logits / temperature)
        shares = powers[range(len(labels)), labels] / powers.sum(axis=1)
        return -np.log(shares).mean()

    network = network_of(model)
    loss, accuracy = network.validate()
    assert accuracy == pytest.approx(np.mean(logits.argmax(axis=1) == labels))
    assert network.losses().shape == labels.shape
    assert network.losses().mean() == loss
    assert loss == pytest.approx(min(map(loss_at, _TEMPERATURES)), rel=1e-3)
    if sureness == 30:
        assert loss < loss_at(1) - 0.1


# ---- XLA


def test_measuring_an_epoch_changes_nothing():
    model = tiny()
    network = network_of(model)
    network.train_epoch(0)  # So that the optimizer has something to lose.
    before, name = network.arrays(), network.name
    assert 0 < network.seconds_per_epoch() < 60
    assert_equal(network.arrays(), before)
    assert name == network.name == "tiny"
    # The random generator is among what was put back: dropout goes on as it would have.
    other = network_of(tiny())
    assert other.put(before)
    assert network.train_epoch(1) == other.train_epoch(1)


def test_xla_learns_the_same():
    """But for dropout, whose random numbers are its own."""
    plain, compiled = (
        network_of(tiny(dropout=0.0), jit_compile=how, learning_rate=1e-3)
        for how in ("none", "xla")
    )
    for epoch in range(2):
        expected = plain.train_epoch(epoch)
        assert compiled.train_epoch(epoch) == pytest.approx(expected, rel=1e-4)
    assert compiled.validate() == pytest.approx(plain.validate(), rel=1e-4)
    for a, b in zip(plain.get_weights(), compiled.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.fixture
def learner():
    """``learner(stage)`` takes 5 s an epoch without XLA; ``learner.made`` is which were asked."""
    made = []

    def make(stage):
        made.append(stage.jit_compile)
        seconds = {"none": 5.0, "xla": make.compiled}[stage.jit_compile]
        return SimpleNamespace(seconds_per_epoch=lambda: seconds)

    make.made, make.compiled = made, 2.0
    return make


LONG = Stage(name="finetune", precision="float32", epochs=12)


@pytest.mark.parametrize(("settled", "seconds"), [("none", 60), ("xla", 24)])
def test_what_is_settled_is_left_alone_and_timed(learner, settled, seconds):
    stage = dataclasses.replace(LONG, jit_compile=settled)
    assert choose_jit(stage, learner) == (stage, seconds)
    assert learner.made == [settled]


@pytest.mark.parametrize(
    "stage",
    [
        dataclasses.replace(LONG, epochs=11),  # A minute is not worth it.
        dataclasses.replace(LONG, epochs=10**6, precision="bfloat16"),
    ],
)
def test_nothing_is_compiled_where_it_is_not_worth_it_or_the_arithmetic_is_another(learner, stage):
    notes = Notes()
    settled, seconds = choose_jit(stage, learner, notes)
    assert (settled.jit_compile, seconds) == ("none", 5 * stage.epochs)
    assert learner.made == ["none"]
    assert not notes.said


@pytest.mark.parametrize(
    ("compiled", "taken"), [(2.0, True), (4.5, True), (4.6, False), (90, False)]
)
def test_a_long_stage_is_compiled_where_that_is_faster(learner, compiled, taken):
    notes = Notes()
    learner.compiled = compiled
    stage, seconds = choose_jit(LONG, learner, notes)
    assert learner.made == ["none", "xla"]
    assert stage.jit_compile == ("xla" if taken else "none")
    assert seconds == 12 * (compiled if taken else 5)
    said = f"Stage 'finetune' compiled by XLA: {5 / compiled:.1f} times as fast here."
    assert notes.said == ([said] if taken else [])
