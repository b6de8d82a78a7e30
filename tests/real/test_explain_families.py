"""Every method of ``explain`` on every family of backbones, random weights and small images."""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntransfer import frameworks
from cnntransfer.data.fitting import InputSpec, Resize
from cnntransfer.explain import METHODS, Of, get_method, integrated_gradients
from cnntransfer.explain.explanation import Explanation, Photo
from cnntransfer.explain.files import Folder
from cnntransfer.explain.gradients import map_gradients
from cnntransfer.explain.layers import is_map, mapped, topmost_maps
from cnntransfer.explain.subject import Subject
from cnntransfer.models.classifier import build_classifier, build_trunk
from cnntransfer.models.head import HeadModel, head_layers, initial_weights
from cnntransfer.models.weights import WeightsFile
from cnntransfer.recipe import Head
from tests.real.families import SMALLEST

CLASSES = ("cat", "dog", "$x_1$\nbird")
PHOTOS, TOP, CHANNELS, GRID = 3, 2, 2, 2
#: The depths that heads of bundles stand on.
DEPTHS = 3
#: Of these nothing depends on the family that does not in others: gradients are those of "saliency"
#: and "gradcam", probabilities are asked for in "gradcam", the features are the head's own, and the
#: maps of "patches" are those of "features".
ALIKE = ("gradcam++", "occlusion", "integrated-gradients", "embedding", "patches")
#: So that little is computed.
SETTINGS = {
    "occlusion": {"grid": GRID},
    "saliency": {"samples": 1},
    "patches": {"top": TOP, "channels": CHANNELS},
    "features": {"channels": CHANNELS},
    "filters": {"channels": CHANNELS},
}


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    """Here the sum of integrated gradients is not in question, and steps take time."""
    for name in ("_PARTS", "_STEPS", "_MOST"):
        monkeypatch.setattr(integrated_gradients, name, 1)


@dataclass(frozen=True)
class Case:
    """A classifier with random weights, and the Keras tensors that are averaged."""

    subject: Subject
    maps: tuple


@pytest.fixture(scope="module", params=SMALLEST, ids=lambda backbone: backbone.module)
def case(request):
    """Images are not square, and large enough that the topmost map has several places."""
    backbone = request.param
    side = 64 if backbone.minimum_size <= 64 else 107
    size = (side, side + 16)
    if backbone.is_one_size:
        size = (backbone.default_size, backbone.default_size)
    depths = DEPTHS if backbone.is_pretrained else 1
    trunk = build_trunk(backbone, size, "avg", WeightsFile(None, "random"), depths)
    layers = head_layers(Head(), len(CLASSES))
    features = np.zeros((4, trunk.model.output.shape[1]), np.float32)
    model = build_classifier(trunk, HeadModel(layers, initial_weights(layers, features)))
    spec = InputSpec(size, Resize.STRETCH)
    yield Case(Subject(backbone.name, backbone, spec, CLASSES, lambda: model), trunk.maps)
    frameworks.keras().backend.clear_session()
    gc.collect()


def photos_for(subject: Subject, count: int) -> list[Photo]:
    height, width = subject.input.image_size
    coarse = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return [
        Photo(
            Path(f"folder{number % 2}/<b>${number}$.jpg"),
            np.asarray(Image.fromarray(pixels).resize((width, height))),
        )
        for number, pixels in enumerate(coarse)
    ]


def explained(subject: Subject, name: str) -> Explanation:
    method = get_method(name)
    count = {Of.NETWORK: 0, Of.EACH_IMAGE: 1, Of.ALL_IMAGES: PHOTOS}[method.of]
    options = method.options(SETTINGS.get(name, {}))
    (found,) = method.explanations(subject, photos_for(subject, count), options)
    return found


def shapes_of(subject: Subject, found: Explanation) -> dict[str, tuple]:
    """By array, the shape and type that the documents promise."""
    size = subject.input.image_size
    float32, int64 = np.float32, np.int64
    if found.method == "features":
        outputs = {layer.name: layer.output.shape[1:] for layer in mapped(subject)}
        return {name: (tuple(shape), float32) for name, shape in outputs.items()}
    if found.method == "filters":
        layer = subject.model.get_layer(found.facts["layer"])
        return {"kernel": (tuple(layer.weights[0].shape), float32)}
    return {
        "gradcam": {"heat": (size, float32)},
        "gradcam++": {"heat": (size, float32)},
        "occlusion": {
            "probability": ((GRID, GRID), float32),
            "tops": ((GRID,), int64),
            "lefts": ((GRID,), int64),
        },
        "saliency": {"saliency": (size, float32)},
        "integrated-gradients": {"attributions": ((*size, 3), float32)},
        "patches": {
            "channels": ((CHANNELS,), int64),
            "activations": ((CHANNELS, TOP), float32),
            "images": ((CHANNELS, TOP), int64),
            "boxes": ((CHANNELS, TOP, 4), int64),
        },
        "embedding": {"points": ((PHOTOS, 2), float32)},
    }[found.method]


def check_drawn(found: Explanation, folder: Path) -> None:
    picture, archive = Folder(folder, arrays=True).write(found)
    with Image.open(picture) as image:
        assert image.format == "PNG"
        assert min(image.size) > 100
        assert np.asarray(image.convert("L")).std() > 5
    read = np.load(archive)
    arrays = dict(read) if archive.suffix == ".npz" else {next(iter(found.arrays)): read}
    assert {name: array.shape for name, array in arrays.items()} == {
        name: array.shape for name, array in found.arrays.items()
    }


def check(subject: Subject, found: Explanation) -> None:
    expected = shapes_of(subject, found)
    assert {n: (a.shape, a.dtype) for n, a in found.arrays.items()} == expected
    assert all(np.isfinite(array).all() for array in found.arrays.values())
    json.dumps(found.to_dict(), allow_nan=False)
    if found.method in ("gradcam", "gradcam++", "saliency"):
        (heat,) = found.arrays.values()
        assert heat.min() >= 0
    if found.method == "occlusion":
        assert 0 <= found.arrays["probability"].min() <= found.arrays["probability"].max() <= 1
    if found.method == "patches":
        height, width = subject.input.image_size
        boxes = found.arrays["boxes"]
        assert boxes.min() >= 0
        assert (boxes[..., :2] < boxes[..., 2:]).all()
        assert (boxes[..., 2:] <= (height, width)).all()
        assert (np.diff(found.arrays["activations"], axis=1) <= 0).all()
    if found.overlay is not None:
        assert found.overlay().shape == (*subject.input.image_size, 3)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ALIKE])
def test_every_method(case, name):
    """What is drawn is the same for all families, and is looked at below."""
    check(case.subject, explained(case.subject, name))


def test_gradcam_takes_the_maps_that_the_head_stands_on(case):
    """Not those that gates of squeeze-and-excite average."""
    found = topmost_maps(case.subject)
    if all(map(is_map, case.maps)):
        assert {id(layer.output) for layer in found} == set(map(id, case.maps))
    else:  # Dense layers are in between, as in AlexNet.
        assert len(found) == 1
    facts = explained(case.subject, "gradcam").facts
    assert facts["layers"] == [layer.name for layer in found]


def test_maps_add_up_to_the_logit(case):
    """The head is linear in what it averages, so that its logit is their parts and a constant."""
    subject, maps = case.subject, list(case.maps)
    assert len(maps) == (DEPTHS if subject.backbone.is_pretrained else 1)
    (photo,) = photos_for(subject, 1)
    image = photo.pixels[np.newaxis].astype(np.float32)
    parts = map_gradients(subject, photo.pixels, maps, 1)
    (logits,) = subject.part([subject.model.input], [subject.logits])(image)
    constant = subject.part([*maps, subject.model.input], [subject.logits])
    (nothing,) = constant(*(np.zeros((1, *values.shape), np.float32) for values, _ in parts), image)
    total = sum(float((values * gradients).sum(dtype=np.float64)) for values, gradients in parts)
    difference = float(logits[0, 1]) - float(nothing[0, 1])
    assert total == pytest.approx(difference, rel=1e-3, abs=1e-4)


@pytest.fixture(scope="module")
def tuned_bundle(small_recipe, tmp_path_factory):
    """One of which layers of the backbone were trained."""
    from cnntransfer.training.run import run

    stage = {"stages.finetune.unfreeze": "block13", "stages.finetune.epochs": 1}
    recipe = small_recipe.override(stage)
    return run(recipe, tmp_path_factory.mktemp("runs") / "tuned")


@pytest.mark.parametrize("kind", ["bundle", "tuned_bundle"])
def test_every_method_on_bundles(request, kind, tmp_path):
    subject = Subject.of_bundle(request.getfixturevalue(kind))
    for name in METHODS:
        found = explained(subject, name)
        check(subject, found)
        check_drawn(found, tmp_path)


def test_every_method_on_a_network_with_its_own_top(weights):
    subject = Subject.open("mobilenet")
    for method in METHODS:
        check(subject, explained(subject, method))


def test_methods_without_class_on_a_network_without_top(weights):
    subject = Subject.open("vgg16", with_classes=False)
    for method in METHODS.values():
        if not method.explains_class:
            check(subject, explained(subject, method.name))
