"""Networks with everything that makes a stage careful: averaged, layer by layer, augmented."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cnntransfer.data.dataset import Dataset, Sample
from cnntransfer.frameworks import keras
from cnntransfer.progress import Observer
from cnntransfer.recipe import BatchAugmentation, Recipe, Stage
from cnntransfer.training import checkpoint_folder as checkpoint_module
from cnntransfer.training.batch_augmenter import BatchAugmenter
from cnntransfer.training.checkpoint_folder import CheckpointFolder
from cnntransfer.training.network import Network
from cnntransfer.training.objective import Objective
from cnntransfer.training.precision import Choice
from cnntransfer.training.sources import Feed, StreamSource
from cnntransfer.training.stages import fit_if_better

pytestmark = pytest.mark.slow

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, 20)
IMAGES = RANDOM.integers(0, 256, (20, 12, 10, 3), dtype=np.uint8)
DATASET = Dataset(
    Path(),
    ("a", "b", "c"),
    tuple(
        Sample(Path(str(i)), "abc"[label], f"{i:064x}", "train" if i % 4 else "val")
        for i, label in enumerate(LABELS)
    ),
)
CAREFUL = {
    "warmup": 0.2,
    "schedule": "cosine",
    "layer_decay": 0.5,
    "ema_momentum": 0.9,
    "gradient_accumulation_steps": 3,
}
#: All but RandAugment, whose graph takes seconds to build: tests/real/test_careful_run.py.
AUGMENTATION = BatchAugmentation(random_erasing=0.5, mixup=0.2, cutmix=1.0)


def network(augmentation=AUGMENTATION, batch_size=4, depends_on_batch=True, **settings):
    """A tiny network; it learns from four batches an epoch, the last one of three."""
    k = keras()
    k.utils.set_random_seed(0)
    model = k.Sequential(
        [
            k.Input((12, 10, 3)),
            k.layers.Rescaling(1 / 255),
            k.layers.Conv2D(4, 3, use_bias=False, name="conv"),
            k.layers.BatchNormalization(name="normalise", trainable=depends_on_batch),
            k.layers.Flatten(),
            k.layers.Dropout(0.5 if depends_on_batch else 0, seed=1),
            k.layers.Dense(3, activation="softmax", kernel_regularizer=k.regularizers.L2(0.01)),
        ],
        name="tiny",
    )
    feed = Feed(lambda request: IMAGES[request[0]], (12, 10, 3), np.uint8, 1)
    training, validation = (
        StreamSource(feed, DATASET, subset, batch_size, seed)
        for subset, seed in (("train", 0), ("val", None))
    )
    blocks = [model.get_layer(name).trainable_variables for name in ("normalise", "conv")]
    stage = Stage(**{"learning_rate": 0.01, "epochs": 4, **settings})
    augmenter = BatchAugmenter(augmentation, 0) if augmentation else None
    aim = Objective(0.1, (0.5, 1.0, 1.5))
    return Network(model, stage, training, validation, aim, blocks, augmenter)


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, arrays in one.items():
        for a, b in zip(arrays, other[name], strict=True):
            assert np.array_equal(a, b), name


class Stopped(BaseException):
    """Nothing handles it."""


class Listener(Observer):
    """Stops after an epoch, before that is kept."""

    def __init__(self, stop=None):
        self.stop, self.rows = stop, []

    def epoch(self, row):
        self.rows.append({name: value for name, value in row.items() if name != "seconds"})
        if row["epoch"] == self.stop:
            raise Stopped


STAGE = Stage(name="finetune", unfreeze="all", learning_rate=0.01, epochs=4, **CAREFUL)


def begun(output, stage=STAGE):
    folder = CheckpointFolder(output)
    folder.begin(Recipe(stages=(stage,)), Choice("float32"))
    return folder


def fitted(folder, stop=None, stage=STAGE, augmentation=AUGMENTATION):
    learner, listener = network(augmentation, **CAREFUL), Listener(stop)
    fit_if_better(learner, stage, listener, folder.stage(stage))
    return learner.arrays(), listener.rows


def test_a_stage_that_was_stopped_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint_module, "_SHARE", float("inf"))
    whole, rows = fitted(begun(tmp_path / "whole"))
    again, same = fitted(begun(tmp_path / "again"))
    assert_equal(again, whole)
    assert same == rows
    with pytest.raises(Stopped):
        fitted(begun(tmp_path / "stopped"), stop=3)
    resumed, rest = fitted(CheckpointFolder.open(tmp_path / "stopped"))
    assert rest == rows[2:]
    assert_equal(resumed, whole)


@pytest.mark.parametrize("min_delta", [0.01, 10.0])
def test_what_is_undone_does_not_depend_on_where_it_was_stopped(tmp_path, monkeypatch, min_delta):
    monkeypatch.setattr(checkpoint_module, "INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint_module, "_SHARE", float("inf"))
    stage = dataclasses.replace(STAGE, min_delta=min_delta)
    # Whether batches are augmented is not the matter; their graphs take seconds to build.
    settings = {"stage": stage, "augmentation": None}
    before = network(None, **CAREFUL).get_weights()
    whole, _ = fitted(begun(tmp_path / "whole", stage), **settings)
    with pytest.raises(Stopped):
        fitted(begun(tmp_path / "stopped", stage), stop=4, **settings)
    resumed, _ = fitted(CheckpointFolder.open(tmp_path / "stopped"), **settings)
    assert_equal(resumed, whole)
    after = network(None, **CAREFUL)
    assert after.put({"model": whole["model"]})
    is_as_before = all(map(np.array_equal, after._model.get_weights(), before))
    assert is_as_before == (min_delta == 10.0)


def test_measuring_an_epoch_changes_nothing():
    learner, other = network(**CAREFUL), network(**CAREFUL)
    before = learner.arrays()
    assert learner.seconds_per_epoch() > 0
    assert_equal(learner.arrays(), before)
    assert learner.train_epoch(0) == other.train_epoch(0)
    assert_equal(learner.arrays(), other.arrays())


def test_what_is_validated_is_what_is_kept():
    """The average; training goes on from its own weights."""
    learner = network(None, ema_momentum=0.9)
    learner.train_epoch(0)
    trained, loss = learner.arrays(), learner.validate()
    assert_equal(learner.arrays(), trained)
    averaged = learner.get_weights()
    assert not np.array_equal(averaged[0], trained["model"][0])
    learner.train_epoch(1)
    assert learner.validate() != pytest.approx(loss, rel=1e-5)
    # Put back, it is what is validated, with an average as without one.
    for other in (network(None), learner):
        other.set_weights(averaged)
        assert other.validate() == pytest.approx(loss, rel=1e-5)
        assert other.losses().mean() == pytest.approx(loss[0], rel=1e-5)


def test_an_average_does_not_change_what_is_trained():
    averaged, plain = network(None, ema_momentum=0.9), network(None)
    for epoch in range(3):
        assert averaged.train_epoch(epoch) == plain.train_epoch(epoch)
        averaged.validate()
    assert_equal({"model": averaged.arrays()["model"]}, {"model": plain.arrays()["model"]})


def test_several_small_batches_are_as_one():
    """Without trained normalisation, dropout and augmentation, which go by batches."""

    def trained(**settings):
        learner = network(None, depends_on_batch=False, learning_rate=1e-3, **settings)
        return [learner.train_epoch(epoch)[0] for epoch in range(3)], learner.get_weights()

    whole, weights = trained(batch_size=12)
    parts, others = trained(batch_size=4, gradient_accumulation_steps=3)
    assert parts == pytest.approx(whole, rel=1e-4)
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_xla_compiles_all_but_the_augmentation():
    learner = network(jit_compile="xla", **CAREFUL)
    loss, _ = learner.train_epoch(0)
    assert np.isfinite(loss)
