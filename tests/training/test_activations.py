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
from cnntransfer.engines.conversion import convert
from cnntransfer.engines.keras import KerasEngine
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.errors import OutputError, TrainingError
from cnntransfer.frameworks import keras
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import Waist, build_trunk, waist_below
from cnntransfer.models.weights import find_weights
from cnntransfer.recipe import AUGMENTATION_PRESETS
from cnntransfer.training.activations import Activations
from cnntransfer.training.run import run
from tests.conftest import Notes, convert_tuned

pytestmark = pytest.mark.slow

MOBILENET = get_backbone("mobilenet")
DIGESTS = [f"{number:064x}" for number in range(MOBILENET.layers)]
DESCRIPTION = {"network": "mobilenet", "precision": "float32"}
#: float16 has eleven binary digits; LiteRT and Keras differ by much less.
HALF_STEP = 2**-11


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


@pytest.fixture(scope="module")
def waist(trunk):
    return waist_below(trunk, MOBILENET.cut("block12"))


@pytest.fixture(scope="module")
def computed(waist, views, tmp_path_factory):
    """A cache with some activations, which LiteRT computed; not to be changed."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNTRANSFER_CACHE", str(folder))
        patch.setattr(KerasEngine, "map", None)  # Fails if it is called.
        assert Activations(waist, DESCRIPTION, DIGESTS, views).prepare([(3, 0), (3, 1), (5, 0)])
    return folder


@pytest.fixture
def same_cache(computed, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(computed))
    monkeypatch.setattr(KerasEngine, "map", None)
    monkeypatch.setattr(LiteRTEngine, "map", None)


def test_litert_s_are_the_lower_layers_output_as_keras_has_it(waist, views, same_cache):
    activations = Activations(waist, DESCRIPTION, DIGESTS, views)
    assert activations.shape == tuple(waist.tensors[0].shape[1:])
    for request in [(3, 0), (3, 1), (5, 0)]:
        found = activations(request)
        assert found.dtype == np.float16
        image = views.image(request)[np.newaxis].astype(np.float32)
        expected = np.asarray(waist.lower(image, training=False))[0]
        np.testing.assert_allclose(found, expected, rtol=HALF_STEP, atol=1e-5 * expected.max())


def test_they_are_computed_once(waist, views, same_cache):
    assert Activations(waist, DESCRIPTION, DIGESTS, views).prepare([(3, 1), (3, 0)])


@pytest.fixture
def small_waist():
    """A stand-in that is converted in no time."""
    k = keras()
    image = k.Input((64, 64, 3))
    tensor = k.layers.Conv2D(4, 3, strides=8)(k.layers.Rescaling(1 / 255)(image))
    return Waist((tensor,), 3, k.Model(image, tensor, name="lower"))


def test_a_lower_half_that_litert_computes_otherwise_is_refused(
    small_waist, views, own_cache, monkeypatch
):
    def wrong(model, target):
        convert(keras().Model(model.input, model.output + 0.01), target)

    monkeypatch.setattr("cnntransfer.training.activations.convert", wrong)
    with pytest.raises(TrainingError, match=r"lower\.tflite to compute what the model computes"):
        Activations(small_waist, DESCRIPTION, DIGESTS, views).prepare([(3, 0)])


def test_bfloat16_is_tensorflow_s(small_waist, views, own_cache, monkeypatch):
    asked = []

    class Recorded(KerasEngine):
        def __init__(self, model, precision):
            asked.append((model, precision))
            super().__init__(model, "float32", batch_size=1)

    monkeypatch.setattr("cnntransfer.training.activations.KerasEngine", Recorded)
    monkeypatch.setattr("cnntransfer.training.activations.convert", None)
    described = {**DESCRIPTION, "precision": "bfloat16"}
    activations = Activations(small_waist, described, DIGESTS, views)
    assert activations.prepare([(3, 0)])
    assert asked == [(small_waist.lower, "bfloat16")]
    assert np.isfinite(activations((3, 0))).all()


def test_lower_layers_that_an_earlier_stage_changed_count(waist, views, same_cache):
    above = [*DIGESTS[: waist.layers], *["f" * 64] * (len(DIGESTS) - waist.layers)]
    below = ["f" * 64, *DIGESTS[1:]]
    assert Activations(waist, DESCRIPTION, above, views)((3, 0)).shape == waist.tensors[0].shape[1:]
    with pytest.raises(OutputError, match="a cache that was cleared or damaged meanwhile"):
        Activations(waist, DESCRIPTION, below, views)((3, 0))


def test_no_room(waist, views, own_cache, monkeypatch):
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "1KB")
    notes = Notes()
    assert not Activations(waist, DESCRIPTION, DIGESTS, views).prepare([(3, 0)], notes)
    assert notes.said[0].startswith("The activations of 1 view would take 0.0 GB of the cache")
    assert notes.said[0].endswith("or raise CNNTRANSFER_CACHE_LIMIT.")


def losses(bundle: Bundle) -> list[float]:
    rows = bundle.read_table("history")
    return [float(row["val_loss"]) for row in rows if row["stage"] == "finetune"]


def test_training_on_them_is_training_through_all_layers(lecture_recipe, tmp_path, monkeypatch):
    """Without augmentation both see the same; float16 is all that differs."""
    recipe = lecture_recipe.override(
        {
            "augmentation": "none",
            "stages.head.epochs": 3,
            "stages.finetune.unfreeze": "conv2",
            "stages.finetune.epochs": 3,
            "stages.finetune.learning_rate": 1e-5,
            "stages.finetune.precision": "float32",
            "stages.finetune.jit_compile": "none",
        }
    )
    monkeypatch.setattr("cnntransfer.training.outcome.write_trunk", convert_tuned)
    kept = run(recipe, tmp_path / "kept")
    classic = run(dataclasses.replace(recipe, fresh_augmentation=True), tmp_path / "classic")
    np.testing.assert_allclose(losses(kept), losses(classic), rtol=0.02)
    assert list(cache.entries(["activations"]))
