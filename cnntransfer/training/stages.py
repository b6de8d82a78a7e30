"""Training in stages: each is data (:class:`cnntransfer.recipe.Stage`), and all go the same way.

A stage whose trunk is frozen fits the head on cached features; a stage that unfreezes layers
fits the whole classifier on pixels. Either stops when the validation loss no longer falls and
keeps the best weights it saw; a stage that ends with a higher validation loss than it began
with is undone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..data.augment import Augmenter
from ..data.dataset import Dataset, Pixels
from ..errors import TrainingError, UsageError
from ..frameworks import keras
from ..models.backbones import Backbone
from ..models.classifier import (
    Trunk,
    build_classifier,
    build_head,
    copy_weights,
    head_layers,
    set_trainable,
    standardise,
    weights_digest,
)
from ..progress import SILENT, Observer
from ..recipe import Recipe, Stage
from .batches import feature_batches, pixel_batches
from .features import Features

#: The columns of a history row.
HISTORY_COLUMNS = (
    "stage",
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
)


@dataclass(frozen=True)
class TrainingData:
    """Everything a stage may learn from.

    Attributes:
        dataset: Samples with subsets.
        pixels: Their images, by the same positions.
        features: The frozen trunk's output for the training views and the validation images.
        augmenter: Makes views.
    """

    dataset: Dataset
    pixels: Pixels
    features: Features
    augmenter: Augmenter


@dataclass(frozen=True)
class Trained:
    """What training gave.

    Attributes:
        head: Keras model, features (batch, d) -> probabilities (batch, classes).
        classifier: Keras model, image -> probabilities, with the same head.
        trunk_changed: Whether a stage trained layers of the backbone and was kept.
        history: One mapping of :data:`HISTORY_COLUMNS` per epoch and stage.
    """

    head: Any
    classifier: Any
    trunk_changed: bool
    history: tuple[Mapping[str, Any], ...]


def check_stages(recipe: Recipe, backbone: Backbone) -> None:
    """Check what only the backbone can tell about the stages.

    Raises:
        UsageError: an unknown block, or a frozen stage after one that unfreezes.
    """
    unfrozen = ""
    for stage in recipe.stages:
        if backbone.cut(stage.unfreeze):
            unfrozen = stage.name
        elif unfrozen:
            raise UsageError(
                f"stages: expected stages with a frozen trunk first. Received: {stage.name!r} "
                f"(unfreeze: none) after {unfrozen!r}. Change their order."
            )


def train(
    recipe: Recipe,
    backbone: Backbone,
    trunk: Trunk,
    data: TrainingData,
    observer: Observer = SILENT,
) -> Trained:
    """Run the recipe's stages one after another.

    Raises:
        TrainingError: the loss is no number, or a frozen weight moved.
    """
    set_random_seed = keras().utils.set_random_seed
    classes = len(data.dataset.class_names)
    set_random_seed(recipe.seed)
    head = build_head(head_layers(recipe.head, classes), data.features.values.shape[1])
    standardise(head.layers, data.features.of(data.dataset.subset("train")))
    # The classifier has a head of its own, so that every layer has one place in one graph.
    top = head_layers(recipe.head, classes)
    classifier = build_classifier(trunk, top)

    history: list[Mapping[str, Any]] = []
    trunk_changed = False
    for number, stage in enumerate(recipe.stages):
        set_random_seed(recipe.seed + number)
        top_layers = backbone.cut(stage.unfreeze)
        set_trainable(trunk, top_layers, train_batch_normalization=stage.train_batch_normalization)
        copy_weights(head.layers, top)
        with frozen_guard(trunk):
            rows, kept = _fit(
                classifier if top_layers else head, stage, recipe, data, bool(top_layers), observer
            )
        history += rows
        if top_layers:
            copy_weights(top, head.layers)
            trunk_changed |= kept
    copy_weights(head.layers, top)
    return Trained(head, classifier, trunk_changed, tuple(history))


@contextmanager
def frozen_guard(trunk: Trunk) -> Iterator[None]:
    """Check that no weight or statistic of a frozen trunk layer moves while the block runs.

    Raises:
        TrainingError: one moved. This is a bug, never the user's doing.
    """
    frozen = [layer for layer in trunk.layers if layer.weights and not layer.trainable]
    before = [weights_digest([layer]) for layer in frozen]
    yield
    after = [weights_digest([layer]) for layer in frozen]
    moved = [layer.name for layer, a, b in zip(frozen, before, after, strict=True) if a != b]
    if moved:
        raise TrainingError(
            "Expected frozen layers to stay as they were. Received: changed weights in "
            f"{', '.join(moved[:5])}. This is a bug; please report it with the recipe."
        )


def _fit(
    model: Any,
    stage: Stage,
    recipe: Recipe,
    data: TrainingData,
    on_pixels: bool,
    observer: Observer,
) -> tuple[list[Mapping[str, Any]], bool]:
    """Fit one model until the stop rule; returns the history and whether the stage was kept."""
    k = keras()
    batches = {
        subset: pixel_batches(
            data.pixels, data.dataset, subset, data.augmenter, recipe.batch_size, recipe.seed
        )
        if on_pixels
        else feature_batches(data.features, data.dataset, subset, recipe.batch_size, recipe.seed)
        for subset in ("train", "val")
    }
    model.compile(
        optimizer=k.optimizers.Adam(stage.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # On a CPU, XLA compiles for longer than it saves.
    )
    before = model.get_weights()
    loss_before = _loss(model, batches["val"])
    stopping = k.callbacks.EarlyStopping(
        monitor="val_loss", patience=stage.patience, restore_best_weights=True
    )
    with observer.task(f"Training {stage.name}", total=stage.epochs, unit="epochs") as advance:
        listener = _listener(stage, observer, advance)
        model.fit(
            batches["train"],
            epochs=stage.epochs,
            validation_data=batches["val"],
            callbacks=[stopping, listener],
            verbose=0,
        )
    if any(not math.isfinite(row["loss"]) for row in listener.rows):
        raise TrainingError(
            f"Stage {stage.name!r}: expected a finite loss. Received: {listener.rows[-1]['loss']} "
            f"in epoch {len(listener.rows)}. Lower its learning rate ({stage.learning_rate:g})."
        )
    kept = min(row["val_loss"] for row in listener.rows) < loss_before
    if not kept:
        model.set_weights(before)
        observer.note(
            f"Stage {stage.name!r} did not lower the validation loss ({loss_before:.4f}); "
            "its changes were undone."
        )
    return listener.rows, kept


def _loss(model: Any, batches: Any) -> float:
    return float(model.evaluate(batches, verbose=0, return_dict=True)["loss"])


def _listener(stage: Stage, observer: Observer, advance: Callable[[int], None]) -> Any:
    """A Keras callback that keeps the history's rows, tells the observer and stops on NaN."""

    class Listener(keras().callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.rows: list[Mapping[str, Any]] = []
            self.started = time.perf_counter()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            figures = {
                "stage": stage.name,
                "epoch": epoch + 1,
                "learning_rate": stage.learning_rate,
                "seconds": round(time.perf_counter() - self.started, 4),
                **{key: float(value) for key, value in (logs or {}).items()},
            }
            row = {key: figures[key] for key in HISTORY_COLUMNS}
            self.rows.append(row)
            observer.epoch(row)
            advance(1)
            if not math.isfinite(row["loss"]):
                self.model.stop_training = True

    return Listener()
