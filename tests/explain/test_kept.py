"""Features that a run has left are not computed again."""

from pathlib import Path

import numpy as np
import pytest

from cnntransfer.explain import embedding, get_method
from cnntransfer.explain.explanation import Photo
from cnntransfer.explain.subject import Subject
from cnntransfer.training.extraction import kept_features


@pytest.fixture
def counted(monkeypatch):
    """How many photos are computed."""
    computed = []
    original = embedding._computed

    def watched(subject, photos):
        computed.extend(photos)
        return original(subject, photos)

    monkeypatch.setattr(embedding, "_computed", watched)
    return computed


def points(bundle, paths):
    subject, method = Subject.of_bundle(bundle), get_method("embedding")
    (found,) = method.explanations(subject, subject.photos(paths), method.options({}))
    return found.arrays["points"]


def test_photos_of_the_run_are_not_computed_again(bundle, photos, counted, monkeypatch):
    paths = sorted(photos.rglob("*.png"))
    kept = points(bundle, paths)
    assert counted == []
    monkeypatch.setattr(embedding, "kept_features", lambda bundle: None)
    np.testing.assert_allclose(points(bundle, paths), kept, atol=1e-4)
    assert len(counted) == len(paths)


def test_others_are(bundle, photos, counted, tmp_path):
    from tests.conftest import picture

    picture((1, 2, 3), 77).save(tmp_path / "new.png")
    points(bundle, [*sorted(photos.rglob("*.png"))[:5], tmp_path / "new.png"])
    assert [photo.path.name for photo in counted] == ["new.png"]


def test_a_photo_without_a_file_is_computed(bundle, counted):
    subject, method = Subject.of_bundle(bundle), get_method("embedding")
    height, width = bundle.input_spec.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), np.uint8)
    photos = [Photo(Path(f"nowhere/{n}.png"), one) for n, one in enumerate(pixels)]
    (found,) = method.explanations(subject, photos, method.options({}))
    assert found.arrays["points"].shape == (3, 2)
    assert len(counted) == 3


def test_nothing_is_kept_of_layers_that_were_trained(bundle, tmp_path):
    import shutil

    from cnntransfer.bundle import Bundle
    from cnntransfer.pretrained import open_model
    from cnntransfer.recipe import Recipe

    copy = Bundle(shutil.copytree(bundle.path, tmp_path / "copy"))
    assert kept_features(copy) is not None
    recipe = copy.recipe().to_dict()
    recipe["stages"][0]["unfreeze"] = "block13"
    copy.write_recipe(Recipe.from_dict(recipe).to_yaml())
    assert kept_features(copy) is None
    assert kept_features(open_model("mobilenet")) is None
