"""What a run came to, and writing it down as a bundle."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..data.dataset import Dataset
from ..data.thumbnails import Thumbnails
from ..data.views import Request, Views
from ..engines.conversion import ConvertedTrunk, convert, in_keras
from ..engines.head_file import write_head
from ..engines.litert import LiteRTEngine
from ..engines.parity import check_parity
from ..metrics import Evaluation, figures
from ..models.archive import write_classifier
from ..models.classifier import Trunk
from ..parallel import available_cores, meanwhile
from ..progress import SILENT, Observer
from ..recipe import Recipe
from .advice import advice
from .clock import Clock
from .extraction import TrunkSpec
from .features import Features
from .near_duplicates import (
    across_the_split,
    describe_near_duplicates,
    remarks,
    write_near_duplicates,
)
from .record import describe, describe_data, write_rates, write_tables
from .stages import Trained

_PARITY_IMAGES = 4


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        recipe: With everything settled that was ``auto``.
        spec: The backbone, its weights, the input.
        views: The images, with subsets.
        thumbnails: Theirs.
        training: Features of the training views, by the backbone as it was before training.
        held_out: The same of the validation and test images.
        trained: The head; the whole classifier, where layers of the backbone were trained.
        converted: The backbone's files as they were before training.
        forecast: Seconds foreseen and taken, where there was a forecast.
        rates: See :data:`cnntransfer.training.rates.RATE_COLUMNS`.
    """

    recipe: Recipe
    spec: TrunkSpec
    views: Views
    thumbnails: Thumbnails
    training: Features
    held_out: Features
    trained: Trained
    converted: ConvertedTrunk
    forecast: Mapping[str, Any] | None
    rates: Sequence[Mapping[str, Any]]


def write(
    outcome: Outcome,
    bundle: Bundle,
    trunk: Callable[[], Trunk],
    clock: Clock,
    observer: Observer = SILENT,
) -> None:
    """Write a bundle, judged on the held-out images by the files that predict.

    Args:
        outcome: What to write.
        bundle: Where to: an empty folder.
        trunk: Gives the trunk in Keras, if it was trained.
        clock: Its steps become part of the metadata.
        observer: Hears of what the figures say.
    """
    trained, dataset = outcome.trained, outcome.views.dataset
    with clock.step("write the bundle"):
        positions = dataset.subset("val", "test")
        if trained.classifier is None:
            rows, parity = outcome.held_out.of(positions), dict(outcome.converted.parity)
            shutil.copyfile(outcome.converted.litert_file, bundle.trunk_file)
            write_classifier(outcome.converted.keras_file, trained.head, bundle.keras_file)
        else:
            plain = [(position, 0) for position in positions]
            with observer.task("Converting the fine-tuned backbone"):
                rows, parity = _convert_tuned(
                    trunk(), trained.classifier, bundle, outcome.views, plain
                )
        write_head(trained.head, bundle.head_file)
        parity["head"] = check_parity(trained.head, bundle.head_file, rows)
    with clock.step("evaluate"):
        head = LiteRTEngine([bundle.head_file])
        probabilities = np.stack([head.run(vector).probabilities for vector in rows])
        metrics = _judge(dataset, positions, probabilities)
        # Random weights see everything as nearly the same.
        is_pretrained = outcome.spec.weights.path is not None
        features = (outcome.training, outcome.held_out)
        alike = across_the_split(dataset, outcome.thumbnails, *features) if is_pretrained else []
    for line in (*advice(metrics["val"], trained.history), *remarks(dataset, alike)):
        observer.note(line)
    bundle.write_labels(dataset.class_names)
    bundle.write_recipe(outcome.recipe.to_yaml())
    write_tables(bundle, dataset, trained, positions, probabilities)
    write_rates(bundle, outcome.recipe, outcome.rates)
    write_near_duplicates(bundle, dataset, alike)
    forecast = {} if outcome.forecast is None else {"forecast": dict(outcome.forecast)}
    spec = outcome.spec
    bundle.write_metadata(
        {
            **describe(spec.backbone, spec.weights, spec.input, len(dataset.class_names)),
            "dataset": {
                **describe_data(dataset, outcome.recipe.data),
                "near_duplicates": describe_near_duplicates(dataset, alike),
            },
            "metrics": {name: judged.to_dict() for name, judged in metrics.items()},
            "parity": parity,
            "seconds": clock.seconds,
            **forecast,
        }
    )


def _convert_tuned(
    trunk: Trunk, classifier: Any, bundle: Bundle, views: Views, requests: Sequence[Request]
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Write a trunk that was trained; its features of the held-out images, and its parity."""
    with meanwhile(lambda: classifier.save(bundle.keras_file)):
        convert(trunk.model, bundle.trunk_file)
    probes = np.stack([views.image(request) for request in requests[:_PARITY_IMAGES]])
    parity = {"trunk": check_parity(in_keras(trunk.model), bundle.trunk_file, probes)}
    engine = LiteRTEngine([bundle.trunk_file], available_cores())
    outputs = engine.map(views.image, requests)
    return np.stack([output.features for output in outputs]), parity


def _judge(
    dataset: Dataset, held_out: list[int], probabilities: NDArray[np.float32]
) -> dict[str, Evaluation]:
    labels = dataset.labels()[held_out]
    subsets = np.array([dataset.samples[position].subset for position in held_out])
    return {
        name: figures(dataset.class_names, labels[subsets == name], probabilities[subsets == name])
        for name in ("val", "test")
        if name in subsets
    }
