"""How good a bundle is on labelled images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .answers import Answers, ask
from .bundle import Bundle
from .metrics import Evaluation, figures
from .progress import SILENT, Observer

#: So many of the most confident mistakes an evaluation holds, unless told otherwise.
MISTAKES = 10


@dataclass(frozen=True)
class Mistake:
    """An image that was taken for another class.

    Attributes:
        file: Name relative to the folder, or to the manifest's.
        label: The right class.
        predicted: The class that the model gave.
        probability: How probable the model said that it is.
    """

    file: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class BundleEvaluation(Evaluation):
    """Figures of a bundle, how many of the images it had been trained on, its worst mistakes.

    Attributes:
        trained_on: How many of the judged images are, byte for byte, training images of the
            bundle's run; ``None`` where the bundle does not tell.
        mistakes: The most confident ones, the most confident first.
    """

    trained_on: int | None = None
    mistakes: tuple[Mistake, ...] = ()

    @property
    def accuracy_lower(self) -> float:
        """The lower end of the accuracy's 95 % interval (Wilson)."""
        return self.intervals["accuracy"].low


def evaluate(
    bundle: Bundle,
    source: Path,
    subset: str | None = None,
    observer: Observer = SILENT,
    mistakes: int = MISTAKES,
) -> BundleEvaluation:
    """Judge a bundle on a folder with one sub-folder per class, or on a manifest.

    Args:
        bundle: The classifier.
        source: Where the labelled images are.
        subset: Which of them; see :func:`cnntransfer.answers.ask`.
        observer: Hears of the progress, of images that were trained on and of those left out.
        mistakes: How many of the most confident mistakes to name.

    Raises:
        DataError: an image's class is none of the model's, there is no such subset, or no
            image can be read.
        BundleError: the bundle is damaged.
    """
    name = str(bundle.path)
    return judge(ask({name: bundle}, source, subset, observer), name, mistakes)


def judge(answers: Answers, model: str, mistakes: int = MISTAKES) -> BundleEvaluation:
    """The figures of one of the models that were asked, and its most confident mistakes."""
    result = figures(
        answers.class_names[model],
        answers.label_positions(model),
        answers.probabilities[model],
        answers.rejected,
    )
    return BundleEvaluation(
        **vars(result),
        trained_on=answers.trained_on[model],
        mistakes=_most_confident(answers, model, mistakes),
    )


def _most_confident(answers: Answers, model: str, count: int) -> tuple[Mistake, ...]:
    rows = answers.probabilities[model]
    wrong = np.flatnonzero(~answers.is_right(model))
    # Equally confident ones stay in the order of the files.
    order = wrong[np.argsort(-rows[wrong].max(axis=1), kind="stable")][:count]
    return tuple(
        Mistake(
            answers.files[position],
            answers.labels[position],
            answers.class_names[model][int(rows[position].argmax())],
            float(rows[position].max()),
        )
        for position in order
    )
