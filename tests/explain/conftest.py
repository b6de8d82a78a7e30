"""Networks that are small enough to know what must come out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnntransfer.data.fitting import InputSpec, Resize
from cnntransfer.explain.explanation import Photo
from cnntransfer.explain.subject import Subject
from cnntransfer.frameworks import keras
from cnntransfer.models.backbones import get_backbone

SIDE = 12
CLASSES = ("cat", "dog", "owl")


def subject_of(model, classes=CLASSES, backbone="mobilenet"):
    size = tuple(model.input.shape[1:3])
    return Subject(
        "tiny", get_backbone(backbone), InputSpec(size, Resize.STRETCH), classes, lambda: model
    )


def image_input(k):
    return k.Input((SIDE, SIDE, 3), name="image", dtype="float32")


def seeded(model, seed=0):
    """The model with weights that are the same in every run, none of them zero."""
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(0, 0.5, w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="session")
def plain():
    """Two convolutions, the upper one's map averaged, a dense layer."""
    k = keras()
    image = image_input(k)
    x = k.layers.Rescaling(1 / 255)(image)
    x = k.layers.Conv2D(4, 3, activation="relu", name="low")(x)
    x = k.layers.MaxPooling2D(2, name="pool")(x)
    x = k.layers.Conv2D(5, 3, padding="same", activation="relu", name="high")(x)
    x = k.layers.GlobalAveragePooling2D(name="features")(x)
    x = k.layers.Dense(3, activation="softmax", name="probabilities")(x)
    return subject_of(seeded(k.Model(image, x)))


@pytest.fixture(scope="session")
def two_depths():
    """Features of two depths side by side, as heads of bundles have them."""
    k = keras()
    image = image_input(k)
    x = k.layers.Rescaling(1 / 255)(image)
    low = k.layers.Conv2D(4, 3, activation="relu", name="low")(x)
    high = k.layers.Conv2D(5, 3, strides=2, activation="relu", name="high")(low)
    pooled = [k.layers.GlobalAveragePooling2D()(high), k.layers.GlobalAveragePooling2D()(low)]
    x = k.layers.Concatenate(name="features")(pooled)
    x = k.layers.Dense(3, activation="softmax", name="probabilities")(x)
    return subject_of(seeded(k.Model(image, x), 1))


@pytest.fixture(scope="session")
def linear():
    """One weight for every pixel value: gradients are the weights."""
    k = keras()
    image = image_input(k)
    x = k.layers.Flatten()(image)
    x = k.layers.Dense(3, activation="softmax", name="probabilities")(x)
    return subject_of(seeded(k.Model(image, x), 2))


@pytest.fixture
def photo():
    random = np.random.default_rng(5)
    return Photo(Path("some/photo.jpg"), random.integers(0, 256, (SIDE, SIDE, 3), np.uint8))
