"""The same verbs from Python."""

import random
from pathlib import Path

import numpy as np
import pytest

import cnntransfer
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.errors import BundleError, ImageError, UsageError
from cnntransfer.novelty import Novelty


@pytest.fixture
def run(bundle):
    return cnntransfer.load(bundle.path)


def test_finetune_leaves_the_caller_s_random_numbers_alone(small_recipe, tmp_path):
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist()
    recipe = small_recipe.override({"stages.head.epochs": 2})
    run = cnntransfer.finetune(output=tmp_path / "run", recipe=recipe, seed=3)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert run.path == tmp_path / "run"
    assert run.metrics["val"]["images"] == 7
    assert "seed: 3" in run.bundle.recipe_file.read_text()


def test_one_image_is_one_prediction_and_several_a_list(run, photos):
    one = run.predict(photos / "red" / "red0.png")
    assert one.label == "red"
    several = run.predict([str(photos / "red"), str(photos / "blue" / "*1.png")])
    assert [p.path.name for p in several][:2] == ["red0.png", "red1.png"]
    assert several[-1].label == "blue"
    np.testing.assert_allclose(several[0].probabilities, one.probabilities, atol=1e-6)
    assert len(run.predict(photos)) == 30


def test_the_model_is_loaded_once(run, photos, monkeypatch):
    run.predict(photos / "red" / "red0.png")
    monkeypatch.setattr(LiteRTEngine, "__init__", None)  # Fails if it is called.
    assert run.predict(photos / "blue" / "blue0.png").label == "blue"


def test_images_of_something_else_are_unknown_where_that_is_asked_for(run, photos, monkeypatch):
    bird = Path(__file__).parents[1] / "sample_images" / "bird.jpg"
    red = photos / "red" / "red0.png"
    plain = run.predict(bird)
    assert (plain.label in run.class_names, plain.unknown, plain.distance) == (True, None, None)
    known, unknown = run.predict([red, bird], unknown="auto")
    assert (known.label, known.unknown) == ("red", False)
    assert (unknown.label, unknown.unknown) == ("unknown", True)
    assert known.distance < unknown.distance
    assert unknown.top(1) == [(plain.label, pytest.approx(plain.top(1)[0][1], abs=1e-6))]
    monkeypatch.setattr(Novelty, "open", None)  # Fails if it is called again.
    assert run.predict(red, unknown=1.0).unknown
    with pytest.raises(UsageError, match=r"^unknown: expected a share"):
        run.predict(red, unknown=2)


def test_what_cannot_be_read_or_opened(run, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        run.predict(broken)
    with pytest.raises(BundleError, match="neither"):
        cnntransfer.load("no_such_network")


def test_evaluate_knows_what_was_trained_on(run, photos):
    evaluation = run.evaluate(photos)
    assert evaluation.images == 30
    assert evaluation.trained_on == 23
    assert repr(run) == f"Run({str(run.path)!r}, 3 classes)"


def test_compare(run, bundle, other_bundle, photos):
    result = cnntransfer.compare([run, other_bundle.path], photos, "val", mistakes=1)
    first, second = result.evaluations
    assert (first, second) == (str(bundle.path), str(other_bundle.path))
    assert result.evaluations[first].images == len(result.answers.files) < 7
    assert result.tests[0].second == second
    with pytest.raises(UsageError, match="twice"):
        cnntransfer.compare([run, run.path], photos)
