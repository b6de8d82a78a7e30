"""Features: the trunk's output for (image, view), computed once, in the order asked for."""

import dataclasses

import numpy as np
import pytest

from cnntransfer.data.augment import Augmenter
from cnntransfer.data.dataset import read_dataset
from cnntransfer.data.index import list_images
from cnntransfer.data.split import split
from cnntransfer.data.views import Views
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import build_trunk
from cnntransfer.models.weights import find_weights
from cnntransfer.progress import Observer
from cnntransfer.recipe import AUGMENTATION_PRESETS, FEATURE_BLOCKS
from cnntransfer.training.features import Features, ViewStore, features

WIDTH = sum(get_backbone("mobilenet").widths(FEATURE_BLOCKS))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def views(bundle, photos):
    dataset, pixels = read_dataset(list_images(photos), bundle.input_spec)
    augmenter = Augmenter(AUGMENTATION_PRESETS["light"], 0)
    return Views(split(dataset, 0.2), pixels, augmenter)


class CountingEngine(LiteRTEngine):
    ran = 0

    def run(self, array):
        type(self).ran += 1
        return super().run(array)


@pytest.fixture
def compute(bundle, views):
    """``compute(requests, views)`` -> features; ``compute.ran()`` images since last asked."""

    def call(requests, views=views, observer=None):
        store = ViewStore("features", {"network": "mobilenet"}, views, (WIDTH,), np.float32)
        make = lambda: CountingEngine([bundle.trunk_file], 2)  # noqa: E731
        return features(store, requests, make, observer or Observer())

    def ran():
        number, CountingEngine.ran = CountingEngine.ran, 0
        return number

    ran()
    call.ran = ran
    return call


def test_rows_follow_the_requests(bundle, views, compute):
    requests = [(7, 1), (0, 0), (7, 0), (29, 2)]
    found = compute(requests)
    assert found.samples.tolist() == [7, 0, 7, 29]
    assert found.views.tolist() == [1, 0, 0, 2]
    assert found.values.dtype == np.float32
    engine = LiteRTEngine([bundle.trunk_file])
    for row, request in enumerate(requests):
        expected = engine.run(views.image(request)).features
        assert np.array_equal(found.values[row], expected)
    assert not np.array_equal(found.values[0], found.values[2])


def test_features_are_those_of_the_keras_trunk(views, compute):
    found = compute([(position, 0) for position in range(4)])
    mobilenet = get_backbone("mobilenet")
    trunk = build_trunk(mobilenet, (64, 64), "avg", find_weights(mobilenet), FEATURE_BLOCKS)
    images = np.stack([views.image((position, 0)) for position in range(4)]).astype(np.float32)
    np.testing.assert_allclose(found.values, np.asarray(trunk.model(images)), atol=2e-4)


def test_only_what_is_new_is_computed(compute):
    first = compute([(0, 0), (1, 0), (1, 1)])
    assert compute.ran() == 3
    second = compute([(1, 1), (2, 0), (0, 0)])
    assert compute.ran() == 1
    assert np.array_equal(second.values[[2, 0]], first.values[[0, 2]])


def test_another_augmentation_computes_augmented_views_only(views, compute):
    compute([(0, 0), (0, 1)])
    compute.ran()
    for augmenter in (
        Augmenter(AUGMENTATION_PRESETS["strong"], 0),
        Augmenter(AUGMENTATION_PRESETS["light"], 1),
    ):
        compute([(0, 0), (0, 1)], dataclasses.replace(views, augmenter=augmenter))
        assert compute.ran() == 1


def test_what_was_computed_before_an_interruption_is_kept(compute):
    class Impatient(Observer):
        def task(self, title, total=None, unit="images"):
            from contextlib import contextmanager

            @contextmanager
            def watched():
                steps = iter(range(3))

                def advance(number):
                    if next(steps, None) is None:
                        raise KeyboardInterrupt

                yield advance

            return watched()

    requests = [(position, 0) for position in range(10)]
    with pytest.raises(KeyboardInterrupt):
        compute(requests, observer=Impatient())
    compute.ran()
    compute(requests)
    assert compute.ran() == 6


def test_numbers_that_do_not_fit_are_not_kept(views):
    store = ViewStore("activations", {"network": "large"}, views, (2,), np.float16)

    class Large:
        def map(self, make, items):
            from cnntransfer.engines.litert import Outputs

            for item in items:
                yield Outputs((np.array([1.0, 1e6 if item[0] else 2.0], np.float32),))

    assert len(list(store.compute([(0, 0), (1, 0)], Large))) == 2
    assert store.missing([(0, 0), (1, 0)]) == [(1, 0)]


def test_only_training_images_have_views(views):
    training, held_out = views.dataset.subset("train"), views.dataset.subset("val")
    requests = views.requests(3, "train")
    assert sorted(set(requests)) == sorted(requests)
    assert len(requests) == 3 * len(training)
    assert [position for position, view in requests if view == 2] == training
    assert views.requests(1, "val", "test") == [(position, 0) for position in held_out]


def test_of_gives_unaugmented_rows_in_the_asked_order():
    values = np.arange(4, dtype=np.float32)[:, None]
    found = Features(values, np.array([5, 2, 9, 5]), np.array([0, 0, 0, 1]))
    assert found.of([9, 5, 2]).ravel().tolist() == [2, 0, 1]
    assert found.plain.ravel().tolist() == [0, 1, 2]
    plain = Features(values, found.samples, np.zeros(4, np.int64))
    assert plain.plain is plain.values
