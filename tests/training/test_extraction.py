"""Features while images are read, and which engine computes the rest."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnntransfer import cache
from cnntransfer.data.augment import Augmenter
from cnntransfer.data.dataset import read_dataset
from cnntransfer.data.images import read
from cnntransfer.data.index import list_images
from cnntransfer.data.split import split
from cnntransfer.data.views import Views
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.weights import find_weights
from cnntransfer.parallel import Later
from cnntransfer.progress import SILENT
from cnntransfer.recipe import AUGMENTATION_PRESETS, FEATURE_BLOCKS
from cnntransfer.rows import Writer
from cnntransfer.training import extraction
from cnntransfer.training.extraction import Extractor, FirstLook, LiteRTTrunk, TrunkSpec

MOBILENET = get_backbone("mobilenet")


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def spec(bundle):
    return TrunkSpec(MOBILENET, bundle.input_spec, "avg", find_weights(MOBILENET), FEATURE_BLOCKS)


class CountingEngine(LiteRTEngine):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.ran = 0

    def run(self, array):
        self.ran += 1
        return super().run(array)


@pytest.fixture
def engine(bundle):
    return CountingEngine([bundle.trunk_file], 2)


def look(spec, engine, photos, *, keep_pixels=True):
    """Read photos; the data set, its pixels, what looked at them first."""
    with FirstLook(spec, engine, keep_pixels=keep_pixels) as first:
        dataset, pixels = read_dataset(list_images(photos), spec.input, SILENT, first.knows, first)
    return split(dataset, 0.2), pixels, first


def unwanted():
    pytest.fail("the Keras model was built")


def features_of(spec, dataset, pixels, engine):
    views = Views(dataset, pixels, Augmenter(AUGMENTATION_PRESETS["light"], 0))
    litert = SimpleNamespace(engine=lambda: engine)
    extractor = Extractor(spec, views, Later(unwanted), litert=litert)
    return extractor.features(views.requests(1, "train", "val"))


# ---- The first look


def test_features_computed_while_reading_are_found_afterwards(spec, engine, photos, own_cache):
    dataset, pixels, first = look(spec, engine, photos)
    assert engine.ran == 30
    assert first.seconds > 0
    found = features_of(spec, dataset, pixels, engine)
    assert engine.ran == 30
    for position, row in zip(found.samples.tolist(), found.values, strict=True):
        assert np.array_equal(row, engine.run(pixels[position]).features)


def test_a_second_run_computes_nothing_and_decodes_nothing(
    spec, engine, photos, own_cache, monkeypatch
):
    before = features_of(spec, *look(spec, engine, photos)[:2], engine)
    monkeypatch.setattr(engine, "run", None)  # Fails if it is called.
    monkeypatch.setattr("cnntransfer.data.dataset.read", None)
    dataset, pixels, first = look(spec, engine, photos)
    assert first.seconds == 0
    assert np.array_equal(features_of(spec, dataset, pixels, engine).values, before.values)


def test_new_photos_among_known_ones_are_all_that_is_computed(
    spec, engine, photos, tmp_path, own_cache
):
    for path in sorted(photos.rglob("*[0-4].png")):
        copy = tmp_path / "photos" / path.relative_to(photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    look(spec, engine, tmp_path / "photos")
    assert engine.ran == 15
    look(spec, engine, photos)
    assert engine.ran == 30


def test_thumbnails_that_were_lost_are_made_again_without_features(spec, engine, photos, own_cache):
    _, _, first = look(spec, engine, photos)
    before = first.thumbnails.of([s.digest for s in look(spec, engine, photos)[0].samples])
    cache.clear(["thumbnails"])
    dataset, pixels, again = look(spec, engine, photos, keep_pixels=False)
    assert engine.ran == 30
    assert len(pixels._kept) == 0
    assert np.array_equal(again.thumbnails.of([s.digest for s in dataset.samples]), before)


def test_without_an_engine_nothing_is_computed(spec, photos, own_cache):
    dataset, pixels, first = look(spec, None, photos, keep_pixels=False)
    assert len(pixels._kept) == 30
    assert first.seconds == 0
    assert not [
        first.knows(sample.digest) for sample in dataset.samples if first.knows(sample.digest)
    ]
    assert not Path(first._store.folder).exists()


@pytest.mark.parametrize("wanted", [True, False])
def test_pixels_are_kept_where_they_are_wanted_later(spec, engine, photos, own_cache, wanted):
    dataset, pixels, _ = look(spec, engine, photos, keep_pixels=wanted)
    assert len(pixels._kept) == (30 if wanted else 0)
    for position in (0, 17):  # They can be had all the same.
        assert np.array_equal(pixels[position], read(dataset.samples[position].path, spec.input))


def test_a_disk_that_is_full_keeps_pixels_for_the_second_time(
    spec, engine, photos, own_cache, monkeypatch
):
    def full(self):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_begin", full)
        dataset, pixels, _ = look(spec, engine, photos, keep_pixels=False)
    assert len(pixels._kept) == 30
    assert engine.ran <= 2  # On two threads; nothing more is computed to be thrown away.
    features_of(spec, dataset, pixels, engine)
    assert engine.ran <= 32


def test_reading_that_is_stopped_keeps_what_was_computed(spec, engine, photos, own_cache):
    def stop(digest, image):
        first(digest, image)
        if engine.ran >= 10:
            raise KeyboardInterrupt
        return True

    with (
        pytest.raises(KeyboardInterrupt),
        FirstLook(spec, engine, keep_pixels=True) as first,
    ):
        read_dataset(list_images(photos), spec.input, SILENT, first.knows, stop)
    done = engine.ran
    assert 10 <= done < 30
    look(spec, engine, photos)
    assert engine.ran == 30


def test_other_pixels_are_no_known_images(spec, engine, photos, own_cache):
    """How photos are fitted decides their features: nothing is taken from another size."""
    from dataclasses import replace

    from cnntransfer.data.fitting import Resize

    look(spec, engine, photos)
    cropped = replace(spec, input=replace(spec.input, resize=Resize.CROP))
    look(cropped, engine, photos)
    assert engine.ran == 60


# ---- Who computes


def test_the_trunk_that_was_prepared_needs_no_keras(spec, small_recipe, bundle):
    notes = []
    trunk = LiteRTTrunk(spec, Later(unwanted), SimpleNamespace(note=notes.append))
    assert trunk.is_ready
    assert trunk.converted().litert_file.read_bytes() == bundle.trunk_file.read_bytes()
    assert trunk.engine() is trunk.engine()
    assert notes == []


def test_a_trunk_that_was_not_prepared_is_built(spec, own_cache):
    trunk = LiteRTTrunk(spec, Later(lambda: 1 / 0))
    assert not trunk.is_ready
    with pytest.raises(ZeroDivisionError):
        trunk.engine()


def test_every_arithmetic_has_its_engine(spec, photos, monkeypatch):
    """float32 and int8 are LiteRT's; int8 takes its ranges from training images."""
    dataset, pixels = read_dataset(list_images(photos), spec.input)
    views = Views(split(dataset, 0.2), pixels, Augmenter(AUGMENTATION_PRESETS["none"], 0))
    litert = SimpleNamespace(engine=lambda: "float32", int8=lambda images: images)
    model = object()
    monkeypatch.setattr(extraction, "KerasEngine", lambda model, precision: (model, precision))
    extractor = Extractor(spec, views, Later(lambda: SimpleNamespace(model=model)), litert=litert)
    assert extractor.engine("float32") == "float32"
    assert extractor.engine("bfloat16") == (model, "bfloat16")
    training = {views.image(request).tobytes() for request in views.requests(1, "train")}
    images = extractor.engine("int8")
    assert {image.tobytes() for image in images} == training
    assert extractor.engine("int8") is images


def test_a_graphics_processor_computes_what_is_learned_from(spec, photos, monkeypatch, own_cache):
    """And not what is judged: that comes from what the bundle will hold."""
    dataset, pixels = read_dataset(list_images(photos), spec.input)
    views = Views(split(dataset, 0.2), pixels, Augmenter(AUGMENTATION_PRESETS["none"], 0))
    width = sum(spec.widths)

    class Engine:
        def __init__(self, value):
            self.value = value

        def map(self, make, items):
            return (SimpleNamespace(features=np.full(width, self.value, np.float32)) for _ in items)

    litert = SimpleNamespace(engine=lambda: Engine(1.0))
    monkeypatch.setattr(extraction, "KerasEngine", lambda model: Engine(2.0))
    extractor = Extractor(spec, views, Later(lambda: SimpleNamespace(model=None)), litert=litert)
    requests = views.requests(1, "train")
    for has_it, expected in ((True, 2.0), (False, 1.0)):
        monkeypatch.setattr(extraction, "has_gpu", lambda has_it=has_it: has_it)
        assert (extractor.to_learn_from(requests, "float32").values == expected).all()
        assert (extractor.features(requests).values == 1.0).all()


def test_features_of_other_versions_and_other_calibrations_are_others(
    spec, engine, photos, own_cache, monkeypatch
):
    dataset, pixels = read_dataset(list_images(photos), spec.input)

    def folder(precision, split_seed=0):
        chosen = split(dataset, 0.2, seed=split_seed)
        views = Views(chosen, pixels, Augmenter(AUGMENTATION_PRESETS["light"], 0))
        extractor = Extractor(spec, views, Later(unwanted), litert=SimpleNamespace())
        return extractor.store(precision)._plain.folder

    assert folder("int8") != folder("int8", split_seed=1)
    assert folder("float32") == folder("float32", split_seed=1) != folder("int8")
    before = folder("float32")
    version = extraction.version
    monkeypatch.setattr(
        extraction, "version", lambda name: "9" if name == "ai-edge-litert" else version(name)
    )
    assert folder("float32") != before
