"""Kept activations: the same training as through all layers, without running the lower ones."""

import dataclasses

import numpy as np
import pytest

from cnntransfer import cache
from cnntransfer.bundle import Bundle
from cnntransfer.data.augment import Augmenter
from cnntransfer.data.dataset import read_dataset
from cnntransfer.data.index import list_images
from cnntransfer.data.split import split
from cnntransfer.data.views import Views
from cnntransfer.engines.keras import KerasEngine
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import build_trunk, waist_below
from cnntransfer.models.weights import find_weights
from cnntransfer.progress import Observer
from cnntransfer.recipe import AUGMENTATION_PRESETS
from cnntransfer.training.activations import Activations
from cnntransfer.training.run import run

MOBILENET = get_backbone("mobilenet")
DIGESTS = [f"{number:064x}" for number in range(MOBILENET.layers)]
DESCRIPTION = {"network": "mobilenet", "precision": "float32"}


class Notes(Observer):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture(scope="module")
def trunk():
    return build_trunk(MOBILENET, (64, 64), "avg", find_weights(MOBILENET))


@pytest.fixture(scope="module")
def views(bundle, photos):
    dataset, pixels = read_dataset(list_images(photos), bundle.input_spec)
    augmenter = Augmenter(AUGMENTATION_PRESETS["light"], 0)
    return Views(split(dataset, 0.2), pixels, augmenter)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path / "cache"))


def test_they_are_the_lower_layers_output(trunk, views, own_cache):
    waist = waist_below(trunk, MOBILENET.cut("block12"))
    activations = Activations(waist, DESCRIPTION, DIGESTS, views)
    requests = [(3, 0), (3, 1), (5, 0)]
    assert activations.prepare(requests)
    for request in requests:
        expected = waist.lower(views.image(request)[np.newaxis].astype(np.float32))
        np.testing.assert_allclose(activations(request), expected[0], rtol=2e-3, atol=2e-3)


def test_they_are_computed_once(trunk, views, own_cache, monkeypatch):
    waist = waist_below(trunk, MOBILENET.cut("block12"))
    assert Activations(waist, DESCRIPTION, DIGESTS, views).prepare([(3, 0), (4, 1)])
    monkeypatch.setattr(KerasEngine, "map", None)  # Fails if it is called.
    assert Activations(waist, DESCRIPTION, DIGESTS, views).prepare([(4, 1), (3, 0)])


def test_lower_layers_that_an_earlier_stage_changed_count(trunk, views, own_cache):
    waist = waist_below(trunk, MOBILENET.cut("block12"))
    assert Activations(waist, DESCRIPTION, DIGESTS, views).prepare([(3, 0)])
    above = [*DIGESTS[: waist.layers], *["f" * 64] * (len(DIGESTS) - waist.layers)]
    below = ["f" * 64, *DIGESTS[1:]]
    assert Activations(waist, DESCRIPTION, above, views)((3, 0)).shape == waist.tensor.shape[1:]
    with pytest.raises(LookupError):
        Activations(waist, DESCRIPTION, below, views)((3, 0))


def test_no_room(trunk, views, own_cache, monkeypatch):
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "1KB")
    notes = Notes()
    waist = waist_below(trunk, MOBILENET.cut("block12"))
    assert not Activations(waist, DESCRIPTION, DIGESTS, views).prepare([(3, 0)], notes)
    assert notes.notes[0].startswith("The activations of 1 view would take 0.0 GB of the cache")
    assert notes.notes[0].endswith("or raise CNNTRANSFER_CACHE_LIMIT.")


def losses(bundle: Bundle) -> list[float]:
    rows = bundle.read_table("history")
    return [float(row["val_loss"]) for row in rows if row["stage"] == "finetune"]


def test_training_on_them_is_training_through_all_layers(small_recipe, tmp_path):
    """Without augmentation both see the same; float16 is all that differs."""
    recipe = small_recipe.override(
        {
            "augmentation": "none",
            "stages.head.epochs": 3,
            "stages.finetune.unfreeze": "block12",
            "stages.finetune.epochs": 3,
            "stages.finetune.learning_rate": 1e-5,
            "stages.finetune.precision": "float32",
        }
    )
    kept = run(recipe, tmp_path / "kept")
    classic = run(dataclasses.replace(recipe, fresh_augmentation=True), tmp_path / "classic")
    np.testing.assert_allclose(losses(kept), losses(classic), rtol=0.02)
    assert list(cache.entries(["activations"]))
