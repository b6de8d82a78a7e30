"""What is settled and foreseen before a run that unfreezes layers begins."""

import pytest

from cnntransfer.data.augment import Augmenter
from cnntransfer.data.dataset import read_dataset
from cnntransfer.data.index import list_images
from cnntransfer.data.split import split
from cnntransfer.data.views import Views
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import weights_digest
from cnntransfer.models.weights import find_weights
from cnntransfer.parallel import Later
from cnntransfer.recipe import AUTO, Recipe
from cnntransfer.training import forecast as module
from cnntransfer.training.extraction import Extractor, TrunkSpec
from cnntransfer.training.forecast import Forecast, settle
from tests.conftest import Notes

pytestmark = pytest.mark.slow

MOBILENET = get_backbone("mobilenet")


@pytest.fixture(scope="module")
def extractor(bundle, photos):
    spec = TrunkSpec(MOBILENET, bundle.input_spec, "avg", find_weights(MOBILENET), 1)
    dataset, pixels = read_dataset(list_images(photos), bundle.input_spec)
    recipe = Recipe()
    views = Views(split(dataset, 0.2), pixels, Augmenter(recipe.augmentation, 0))
    trunk = Later(spec.build)
    trunk.begin()
    return Extractor(spec, views, trunk), trunk.result()


@pytest.fixture
def recipe(bundle):
    return Recipe(image_size=bundle.input_spec.image_size, batch_size=8).override(
        {
            "stages.head.views": 2,
            "stages.finetune.unfreeze": "block12",
            "stages.finetune.views": 2,
            "stages.finetune.epochs": 5,
        }
    )


@pytest.fixture
def clock(monkeypatch):
    """An epoch takes 6 s in float32 and 3 s in bfloat16, an image 0.5 s and 0.25 s."""
    speed = {"float32": 1, "bfloat16": 2}
    asked = []

    def choose_jit(stage, learner, observer):
        asked.append(learner(stage).name)
        return stage, stage.epochs * 6 / speed[stage.precision]

    def timed(engine, views, requests):
        return None, 0.5 / speed[getattr(engine, "_precision", "float32")]

    monkeypatch.setattr(module, "choose_jit", choose_jit)
    monkeypatch.setattr(module, "timed", timed)
    monkeypatch.setattr(
        module, "choose_stage_precision", lambda *_: asked.append("?") or "bfloat16"
    )
    return asked


def test_activations_and_epochs_are_foreseen(extractor, recipe, clock):
    notes = Notes()
    train, val = (len(extractor[0].views.dataset.subset(name)) for name in ("train", "val"))
    views, store = extractor[0].views, extractor[0].store("float32")
    missing = store.lacks(views.requests(2, "train") + views.requests(1, "val"))
    settled, forecast = settle(recipe, *extractor, notes)
    assert clock == ["?", "upper"]
    assert settled == recipe.override({"stages.finetune.precision": "bfloat16"})
    expected = {"features": missing * 0.5, "finetune": (2 * train + val) * 0.25 + 5 * 3}
    assert forecast.seconds == pytest.approx(expected, abs=0.06)
    assert notes.said == [str(forecast)]  # It cannot stop before its five epochs are over.
    assert str(forecast).startswith(f"About {forecast.total:.0f} s from here: features ")


def test_in_float32_the_layers_below_are_converted_first(extractor, recipe, clock):
    recipe = recipe.override({"stages.finetune.precision": "float32"})
    train, val = (len(extractor[0].views.dataset.subset(name)) for name in ("train", "val"))
    converting = extractor[0].litert.converted().seconds
    assert 0 < converting < 120
    _, forecast = settle(recipe, *extractor)
    expected = (2 * train + val) * 0.5 + 5 * 6 + converting
    assert forecast.seconds["finetune"] == pytest.approx(expected, abs=0.06)


def test_on_pixels_there_are_no_activations(extractor, recipe, clock):
    recipe = recipe.override({"fresh_augmentation": True, "stages.finetune.precision": "float32"})
    settled, forecast = settle(recipe, *extractor)
    assert (settled, clock) == (recipe, ["classifier"])
    assert forecast.seconds["finetune"] == 30


def test_where_there_is_no_room_for_activations_all_layers_are_measured(
    extractor, recipe, clock, monkeypatch
):
    monkeypatch.setattr("cnntransfer.training.activations._room", lambda: 1000)
    _, forecast = settle(recipe, *extractor)
    assert clock == ["?", "classifier"]
    assert forecast.seconds["finetune"] == 15


def test_a_stage_that_may_stop_early_is_said_to(extractor, recipe, clock):
    notes = Notes()
    _, forecast = settle(recipe.override({"stages.finetune.patience": 4}), *extractor, notes)
    assert notes.said == [f"{forecast}, less where the validation loss stops falling"]


def test_what_is_kept_takes_no_time(extractor, recipe, clock, monkeypatch, tmp_path):
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path))
    own = Extractor(extractor[0].spec, extractor[0].views, Later(lambda: extractor[1]))
    views = own.views
    count = len(views.requests(2, "train") + views.requests(1, "val"))
    _, before = settle(recipe, own, extractor[1])
    assert before.seconds["features"] == pytest.approx(count * 0.5)
    own.features(views.requests(1, "val"))
    own.features(views.requests(2, "train"))
    again = Extractor(own.spec, views, Later(lambda: extractor[1]))
    _, after = settle(recipe, again, extractor[1])
    assert after.seconds == {"features": 0.0, "finetune": before.seconds["finetune"]}


def test_a_range_test_is_foreseen(extractor, recipe, clock):
    """A hundred steps beside the stage's own."""
    recipe = recipe.override({"fresh_augmentation": True, "stages.finetune.learning_rate": AUTO})
    steps = -(-len(extractor[0].views.dataset.subset("train")) // 8)
    settled, forecast = settle(recipe, *extractor)
    assert settled.stages[1].learning_rate == AUTO
    assert forecast.seconds["finetune"] == pytest.approx(15 * (1 + 100 / (5 * steps)), abs=0.1)


def test_stages_are_measured_as_they_will_be_and_nothing_changes(extractor, recipe):
    trunk = extractor[1]
    before = weights_digest(trunk.layers)
    settled, forecast = settle(recipe.override({"stages.finetune.epochs": 1}), *extractor)
    assert AUTO not in (settled.stages[1].precision, settled.stages[1].jit_compile)
    assert 0 < forecast.seconds["finetune"] < 60
    assert weights_digest(trunk.layers) == before


@pytest.mark.parametrize(
    ("seconds", "said"), [(89.4, "89 s"), (95, "1.6 min"), (599, "10.0 min"), (700, "12 min")]
)
def test_durations(seconds, said):
    assert str(Forecast({"top": seconds})) == f"About {said} from here: top {said}"
