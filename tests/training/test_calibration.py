"""The temperature is the one of the lowest log loss, and 1 where that may be chance."""

import json

import numpy as np
import pytest

from cnntransfer.metrics import calibration_error
from cnntransfer.models.head import softmax
from cnntransfer.predict import predict
from cnntransfer.recipe import Recipe, read_recipe
from cnntransfer.training import outcome as outcome_module
from cnntransfer.training.calibration import fit_temperature, is_too_sure
from cnntransfer.training.run import run


def case(images, temperature, seed=0, classes=5):
    """Logits that are too great by so much, and labels drawn with the right probabilities."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (images, classes))
    shares = softmax(logits)
    labels = (shares.cumsum(axis=1) < random.uniform(size=(images, 1))).sum(axis=1)
    return (logits * temperature).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.4, 2.0, 4.0])
def test_the_right_temperature_is_found(temperature):
    logits, labels = case(4000, temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.08)
    before, after = (calibration_error(labels, softmax(logits / t)) for t in (1, found))
    assert after < 0.03 < 0.1 < before


def test_it_has_the_lowest_loss():
    logits, labels = case(1000, 2.0)

    def loss(temperature):
        shares = softmax(logits.astype(np.float64) / temperature)
        return -np.log(shares[np.arange(1000), labels]).mean()

    found = fit_temperature(logits, labels)
    assert loss(found) <= min(loss(found * 1.03), loss(found / 1.03))


def test_of_what_is_right_nothing_is_changed_but_by_chance():
    found = np.array([fit_temperature(*case(100, 1.0, seed)) for seed in range(100)])
    assert np.mean(found == 1) >= 0.88


@pytest.mark.parametrize("images", [1, 5, 12])
def test_a_few_images_convince_of_great_errors_only(images):
    found = [fit_temperature(*case(images, 1.15, seed)) for seed in range(40)]
    assert np.mean(np.array(found) == 1) >= 0.85
    assert 0.4 < min(found) <= max(found) < 2.5


@pytest.mark.parametrize("images", [1, 20, 1000])
def test_images_that_are_all_right_do_not_make_it_0(images):
    labels = np.arange(images) % 3
    certain = (np.eye(3, dtype=np.float32) * 4)[labels]
    assert 0.1 < fit_temperature(certain, labels) <= 1
    hesitant = certain / 4
    assert 0.1 < fit_temperature(hesitant, labels) <= 1


def test_a_certain_mistake_is_no_infinity():
    logits = np.array([[0, 1000], [1000, 0]], np.float32)
    assert 0.9 < fit_temperature(logits, np.array([0, 0])) <= 10


@pytest.mark.parametrize("images", [10, 40])
def test_of_what_is_known_to_be_too_sure_few_images_need_not_convince(images):
    truth = 1.7
    cases = [case(images, truth, seed) for seed in range(60)]
    plain = np.array([fit_temperature(*one) for one in cases])
    known = np.array([fit_temperature(*one, too_sure=True) for one in cases])
    assert np.mean(plain == 1) > 0.2
    assert (known > 1).all()
    off = [np.abs(np.log(found / truth)).mean() for found in (plain, known)]
    assert off[1] < 0.75 * off[0]


def test_many_images_that_are_right_convince_all_the_same():
    found = fit_temperature(*case(4000, 1.0), too_sure=True)
    assert found == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, False),
        ({"head.units": 8}, True),
        ({"head.units": 8, "head.ensemble": 3}, False),
        ({"head.units": 8, "stages.head.label_smoothing": 0.1}, False),
    ],
)
def test_heads_with_hidden_layers_are_too_sure(settings, expected):
    assert is_too_sure(Recipe().override(settings)) is expected


# ---- In a run


@pytest.fixture
def halved(monkeypatch):
    """Whatever the validation images say."""
    monkeypatch.setattr(outcome_module, "fit_temperature", lambda *_, **__: 2.0)


def probabilities(bundle):
    rows = bundle.read_table("predictions")
    return np.array([[float(row[f"p_{name}"]) for name in bundle.class_names] for row in rows])


@pytest.mark.slow
def test_every_file_of_a_bundle_has_the_temperature(small_recipe, bundle, photos, tmp_path, halved):
    cooler = run(small_recipe, tmp_path / "cooler")
    assert bundle.metadata["calibration"]["temperature"] != 2
    calibration = cooler.metadata["calibration"]
    assert calibration["temperature"] == 2.0
    assert set(calibration) == {"temperature", "val"}
    check_errors(cooler)
    check_files(cooler, photos)


def check_errors(bundle):
    """What is written is of the files that predict, and of what they were at a temperature of 1."""
    rows = bundle.read_table("predictions")
    for name, figures in bundle.metadata["metrics"].items():
        chosen = [row["subset"] == name for row in rows]
        labels = np.array([bundle.class_names.index(row["label"]) for row in rows])[chosen]
        after = probabilities(bundle)[chosen]
        before = after**2 / (after**2).sum(axis=1, keepdims=True)
        written = bundle.metadata["calibration"][name]
        assert written["before"] == pytest.approx(calibration_error(labels, before), abs=1e-5)
        assert written["after"] == pytest.approx(calibration_error(labels, after), abs=1e-5)
        assert written["after"] == figures["calibration_error"]
        assert written["before"] != written["after"]


def check_files(bundle, photos):
    """Keras computes what the LiteRT files compute, which is what was judged."""
    from cnntransfer.data.images import read

    files = [photos / row["file"] for row in bundle.read_table("predictions")]
    in_litert = np.stack([result.probabilities for result in predict(bundle, files)])
    np.testing.assert_allclose(in_litert, probabilities(bundle), atol=2e-6)
    images = np.stack([read(file, bundle.input_spec) for file in files]).astype(np.float32)
    in_keras = np.asarray(bundle.load_keras()(images, training=False))
    np.testing.assert_allclose(in_keras, in_litert, atol=1e-5)


@pytest.mark.slow
def test_too_modest_heads_become_surer_and_do_so_again(small_recipe, photos, tmp_path):
    recipe = small_recipe.override({"stages.head.label_smoothing": 0.5, "validation_split": 0.5})
    modest = run(recipe, tmp_path / "modest")
    calibration = modest.metadata["calibration"]
    assert 0.1 < calibration["temperature"] < 0.9
    assert calibration["val"]["after"] < calibration["val"]["before"] - 0.05
    again = run(read_recipe(modest.recipe_file), tmp_path / "again")
    assert again.metadata["calibration"] == calibration
    assert np.array_equal(probabilities(again), probabilities(modest))
    assert json.loads((modest.path / "metadata.json").read_text())["calibration"] == calibration
