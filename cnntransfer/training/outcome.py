"""What a run came to, and writing it down as a bundle."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..data.dataset import Dataset
from ..data.views import Request, Views
from ..engines.conversion import ConvertedTrunk, convert, in_keras
from ..engines.head_file import write_head
from ..engines.litert import LiteRTEngine
from ..engines.parity import check_parity
from ..metrics import calibration_error, figures
from ..models.archive import write_classifier
from ..models.classifier import Trunk, put_head
from ..models.head import softmax
from ..parallel import available_cores
from ..progress import SILENT, Observer
from ..recipe import Recipe
from .advice import advice
from .calibration import describe as describe_calibration
from .calibration import fit_temperature
from .clock import Clock
from .extraction import REFERENCE, TrunkSpec
from .features import Features
from .novelty import to_learn_from, write_novelty
from .record import describe, describe_data, write_rates, write_tables
from .stages import Trained
from .suspects import SUSPECT_COLUMNS, find_suspects, remark, suspect_rows

_PARITY_IMAGES = 4


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        recipe: With everything settled that was ``auto``.
        spec: The backbone, its weights, the input.
        views: The images, with subsets.
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
    positions = dataset.subset("val", "test")
    labels, subsets = dataset.labels()[positions], _subsets(dataset, positions)
    with clock.step("look for wrong labels"):
        suspects = find_suspects(dataset, (outcome.training, outcome.held_out), trained.head)
    sample = to_learn_from(dataset)
    with clock.step("write the bundle"):
        if trained.classifier is None:
            rows, parity = outcome.held_out.of(positions), dict(outcome.converted.parity)
            shutil.copyfile(outcome.converted.litert_file, bundle.trunk_file)
        else:
            plain = [(position, 0) for position in (*positions, *sample)]
            with observer.task("Converting the fine-tuned backbone"):
                rows, parity = _convert_tuned(trunk(), bundle, outcome.views, plain)
            rows, known = np.split(rows, [len(positions)])
        logits = trained.head.logits(rows)
        temperature = fit_temperature(logits[subsets["val"]], labels[subsets["val"]])
        head = trained.head.tempered(temperature)
        if trained.classifier is None:
            write_classifier(outcome.converted.keras_file, head, bundle.keras_file)
        else:
            put_head(trained.classifier, head)
            trained.classifier.save(bundle.keras_file)
        write_head(head, bundle.head_file)
        parity["head"] = check_parity(head, bundle.head_file, rows)
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
        if trained.classifier is None:
            known = _of_frozen(outcome, sample)
        is_tuned = trained.classifier is not None
        held_out = {name: rows[chosen] for name, chosen in subsets.items()}
        unknown = write_novelty(bundle, known, held_out, spec.widths, is_tuned=is_tuned)
    for line in (*advice(metrics["val"], trained.history), *remark(dataset, suspects)):
        observer.note(line)
    bundle.write_labels(dataset.class_names)
    bundle.write_recipe(outcome.recipe.to_yaml())
    write_tables(bundle, dataset, trained, positions, probabilities)
    bundle.write_table("suspects", SUSPECT_COLUMNS, suspect_rows(dataset, suspects))
    write_rates(bundle, outcome.recipe, outcome.rates)
    forecast = {} if outcome.forecast is None else {"forecast": dict(outcome.forecast)}
    bundle.write_metadata(
        {
            **describe(spec.backbone, spec.weights, spec.input, len(dataset.class_names)),
            "dataset": describe_data(dataset, outcome.recipe.data),
            "metrics": {name: judged.to_dict() for name, judged in metrics.items()},
            "calibration": describe_calibration(temperature, before, metrics),
            **({"unknown": unknown} if unknown else {}),
            "parity": parity,
            "seconds": clock.seconds,
            **forecast,
        }
    )


def _convert_tuned(
    trunk: Trunk, bundle: Bundle, views: Views, requests: Sequence[Request]
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Write a trunk that was trained; its features of some views, and its parity."""
    convert(trunk.model, bundle.trunk_file)
    probes = np.stack([views.image(request) for request in requests[:_PARITY_IMAGES]])
    parity = {"trunk": check_parity(in_keras(trunk.model), bundle.trunk_file, probes)}
    return _run(bundle.trunk_file, views, requests), parity


def _of_frozen(outcome: Outcome, positions: Sequence[int]) -> NDArray[np.float32]:
    """Features of training images by the bundle's trunk, which is as it was before training."""
    if outcome.recipe.precision == REFERENCE:
        return outcome.training.of(positions)
    plain = [(position, 0) for position in positions]
    return _run(outcome.converted.litert_file, outcome.views, plain)


def _run(trunk: Path, views: Views, requests: Sequence[Request]) -> NDArray[np.float32]:
    """Features of views by a LiteRT file."""
    engine = LiteRTEngine([trunk], available_cores())
    return np.stack([output.features for output in engine.map(views.image, requests)])


def _subsets(dataset: Dataset, positions: Sequence[int]) -> dict[str, NDArray[np.bool_]]:
    """Which of some samples are in each of the held-out subsets that there are."""
    names = np.array([dataset.samples[position].subset for position in positions])
    return {name: names == name for name in ("val", "test") if name in names}
