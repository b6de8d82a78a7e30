"""What a run came to, and writing it down as a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import report
from ..bundle import Bundle
from ..data.dataset import Dataset
from ..data.thumbnails import Thumbnails
from ..data.views import Views
from ..engines.conversion import ConvertedTrunk
from ..engines.litert import LiteRTEngine
from ..metrics import calibration_error, figures
from ..models.classifier import Trunk
from ..models.head import softmax
from ..progress import SILENT, Observer
from ..recipe import Recipe
from ..report import Subject
from .advice import advice
from .calibration import describe as describe_calibration
from .calibration import fit_temperature, is_too_sure
from .clock import Clock
from .extraction import REFERENCE, TrunkSpec
from .features import Features
from .model_files import features_by, write_classifier_and_head, write_frozen_trunk, write_trunk
from .near_duplicates import (
    across_the_split,
    describe_near_duplicates,
    remarks,
    write_near_duplicates,
)
from .novelty import to_learn_from, write_novelty
from .record import describe, describe_data, write_rates, write_tables
from .stages import Trained
from .suspects import SUSPECT_COLUMNS, find_suspects, remark, suspect_rows


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
    trained, dataset, spec = outcome.trained, outcome.views.dataset, outcome.spec
    held_out = dataset.subset("val", "test")
    labels, subsets = dataset.labels()[held_out], _subsets(dataset, held_out)
    with clock.step("look for wrong labels"):
        # Random weights see everything as nearly the same.
        is_pretrained = spec.weights.path is not None
        features = (outcome.training, outcome.held_out)
        suspects = find_suspects(dataset, features, trained.head) if is_pretrained else ()
        alike = across_the_split(dataset, outcome.thumbnails, *features) if is_pretrained else []
    with clock.step("write the bundle"):
        known = to_learn_from(dataset)
        rows, known_rows, parity = _write_trunk(outcome, bundle, trunk, held_out, known, observer)
        logits = trained.head.logits(rows)
        temperature = fit_temperature(
            logits[subsets["val"]], labels[subsets["val"]], too_sure=is_too_sure(outcome.recipe)
        )
        head = trained.head.tempered(temperature)
        parity["head"] = write_classifier_and_head(
            bundle, head, trained.classifier, outcome.converted, rows
        )
    with clock.step("evaluate"):
        engine = LiteRTEngine([bundle.head_file])
        probabilities = np.stack([engine.run(vector).probabilities for vector in rows])
        metrics = {
            name: figures(dataset.class_names, labels[chosen], probabilities[chosen])
            for name, chosen in subsets.items()
        }
        before = {
            name: calibration_error(labels[chosen], softmax(logits[chosen]))
            for name, chosen in subsets.items()
        }
    with clock.step("measure distances"):
        unknown = write_novelty(
            bundle,
            known_rows,
            {name: rows[chosen] for name, chosen in subsets.items()},
            spec.widths,
            is_tuned=trained.classifier is not None,
        )
    for notes in (
        advice(metrics["val"], trained.history, is_pretrained=is_pretrained),
        remark(dataset, suspects),
        remarks(dataset, alike),
    ):
        for line in notes:
            observer.note(line)
    bundle.write_labels(dataset.class_names)
    bundle.write_recipe(outcome.recipe.to_yaml())
    write_tables(bundle, dataset, trained, held_out, probabilities)
    bundle.write_table("suspects", SUSPECT_COLUMNS, suspect_rows(dataset, suspects))
    write_near_duplicates(bundle, dataset, alike)
    write_rates(bundle, outcome.recipe, outcome.rates)
    forecast = {} if outcome.forecast is None else {"forecast": dict(outcome.forecast)}
    described = {
        **describe(spec.backbone, spec.weights, spec.input, len(dataset.class_names)),
        "dataset": {
            **describe_data(dataset, outcome.recipe.data),
            "near_duplicates": describe_near_duplicates(dataset, alike),
        },
        "metrics": {name: judged.to_dict() for name, judged in metrics.items()},
        "calibration": describe_calibration(temperature, before, metrics),
        **({"unknown": unknown} if unknown else {}),
        "undone_stages": list(trained.undone),
        "parity": parity,
        # The clock's own: it still runs.
        "seconds": clock.seconds,
        **forecast,
    }
    with clock.step("write the report"):
        subject = Subject(bundle, described, dataset.class_names, dataset.root)
        report.write_into(bundle, report.gather(subject))
    bundle.write_metadata(described)


def _write_trunk(
    outcome: Outcome,
    bundle: Bundle,
    trunk: Callable[[], Trunk],
    held_out: Sequence[int],
    known: Sequence[int],
    observer: Observer,
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, Any]]:
    """Write the bundle's trunk.

    Args:
        outcome: What to write.
        bundle: Where to.
        trunk: Gives the trunk in Keras, if it was trained.
        held_out: Positions of images, the features of which are wanted.
        known: The same of training images.
        observer: Hears of a conversion.

    Returns:
        The features of both by the trunk that was written; how it compares with Keras'.
    """
    if outcome.trained.classifier is None:
        parity = write_frozen_trunk(bundle, outcome.converted)
        rows = outcome.held_out.of(held_out)
        if outcome.recipe.precision == REFERENCE:
            return rows, outcome.training.of(known), parity
        plain = [(position, 0) for position in known]
        return rows, features_by(bundle.trunk_file, outcome.views, plain), parity
    plain = [(position, 0) for position in (*held_out, *known)]
    with observer.task("Converting the fine-tuned backbone"):
        rows, parity = write_trunk(trunk(), bundle, outcome.views, plain)
    return rows[: len(held_out)], rows[len(held_out) :], parity


def _subsets(dataset: Dataset, positions: Sequence[int]) -> dict[str, NDArray[np.bool_]]:
    """Which of some samples are in each of the held-out subsets that there are."""
    names = np.array([dataset.samples[position].subset for position in positions])
    return {name: names == name for name in ("val", "test") if name in names}
