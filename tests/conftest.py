"""What the tests share: a cache of their own, a folder of small pictures, a bundle made of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntransfer.bundle import Bundle
from cnntransfer.progress import Observer
from cnntransfer.recipe import Recipe

#: Small, so that training takes seconds; the backbone is the real built-in MobileNet.
SMALL_RECIPE = {
    "image_size": 64,
    "batch_size": 8,
    "stages.head.epochs": 40,
}

#: Seeds of pictures that would else be near-duplicates of others: seed -> another one.
_OTHER_SEEDS = {0: 161, 2002: 2187, 2008: 2315}

#: Processes that test side by side wait for each other where each of them uses every core.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if _WORKER and hasattr(os, "sched_setaffinity"):
    _CORES = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_CORES[int(_WORKER.removeprefix("gw")) % len(_CORES)]})

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory):
    """No test touches the user's cache, weights or network.

    The processes of a run share a cache, so that a backbone is prepared in one of them.
    """
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.getbasetemp()
    shared = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    patch.setenv("CNNTRANSFER_CACHE", str(shared / "cache"))
    patch.setenv("CNNTRANSFER_OFFLINE", "1")
    patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
    patch.delenv("CNNTRANSFER_WEIGHTS", raising=False)
    patch.delenv("CNNTRANSFER_DEBUG", raising=False)
    yield
    patch.undo()


class Notes(Observer):
    """Hears what is said."""

    def __init__(self):
        self.said = []

    def note(self, message):
        self.said.append(message)


def picture(colour: tuple[int, int, int], seed: int, size: tuple[int, int] = (48, 40)):
    """Stripes and noise of about one colour; another seed, another picture."""
    random = np.random.default_rng(seed)
    stripes = np.sin(np.arange(size[0]) / random.uniform(1, 4))[None, :, None] * 40
    noise = random.normal(0, 10, (size[1], size[0], 3))
    return Image.fromarray(np.clip(colour + stripes + noise, 0, 255).astype(np.uint8))


def make_photos(folder: Path, per_class: int = 10, first: int = 0) -> Path:
    """A folder with one sub-folder of pictures per colour."""
    for number, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            seed = first + 1000 * number + i
            another = picture(colour, _OTHER_SEEDS.get(seed, seed))
            another.save(folder / name / f"{name}{i}.png")
    return folder


def idx_bytes(values: np.ndarray, magic: bytes | None = None) -> bytes:
    """A uint8 array as an IDX file, or as one that begins otherwise."""
    magic = bytes((0, 0, 8, values.ndim)) if magic is None else magic
    return magic + np.array(values.shape, ">u4").tobytes() + values.tobytes()


@pytest.fixture
def notes() -> Notes:
    """An observer, and what it heard."""
    return Notes()


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """30 pictures of 3 classes; not to be changed."""
    return make_photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="session")
def small_recipe(photos) -> Recipe:
    """A recipe that trains on ``photos`` in seconds."""
    return Recipe(data=str(photos)).override(SMALL_RECIPE)


@pytest.fixture(scope="session")
def lecture_recipe(photos, tmp_path_factory) -> Recipe:
    """A recipe with a network of three layers from a file, for what any network shows."""
    from cnntransfer.frameworks import keras
    from cnntransfer.models.backbones import get_backbone

    backbone = get_backbone("lecture_mnist")
    weights = tmp_path_factory.mktemp("weights") / "network.weights.h5"
    keras().utils.set_random_seed(0)
    backbone.trunk(keras().Input((28, 28, 3))).save_weights(weights)
    settings = {"backbone": backbone.name, "weights": str(weights), "image_size": 28}
    return Recipe(data=str(photos)).override({**settings, "batch_size": 8})


@pytest.fixture(scope="session")
def bundle(small_recipe, tmp_path_factory) -> Bundle:
    """A bundle trained on ``photos``; not to be changed."""
    from cnntransfer.training.run import run

    return run(small_recipe, tmp_path_factory.mktemp("runs") / "photos-mobilenet")


@pytest.fixture(scope="session")
def other_bundle(photos, tmp_path_factory) -> Bundle:
    """Trained on ``photos`` and a class more that is the first, cropped, split otherwise."""
    from cnntransfer.training.run import run

    data = tmp_path_factory.mktemp("data") / "more"
    (data / "amber").mkdir(parents=True)
    for i in range(10):
        picture((220, 160, 30), 8000 + i).save(data / "amber" / f"amber{i}.png")
    for name in COLOURS:
        (data / name).symlink_to(photos / name)
    recipe = Recipe(data=str(data)).override({**SMALL_RECIPE, "resize": "crop", "split_seed": 1})
    return run(recipe, tmp_path_factory.mktemp("runs") / "more-mobilenet")


def convert_tuned(trunk, bundle, views, requests):
    """Instead of ``outcome.write_trunk``, where the weights are all that counts: writes them.

    Conversion takes seconds.
    """
    bundle.trunk_file.write_bytes(b"".join(w.tobytes() for w in trunk.model.get_weights()))
    images = np.stack([views.image(request) for request in requests])
    return trunk.model(images.astype(np.float32)).numpy(), {}


@pytest.fixture
def cli(capfd):
    """Run a command line in this process: ``code, stdout, stderr = cli("predict", path)``."""
    from cnntransfer.cli import run

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call
