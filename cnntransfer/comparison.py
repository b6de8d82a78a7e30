"""Several models on the same images: their figures, paired tests, and where they differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Answered, Answers, ask
from .bundle import Bundle
from .committee import check_members, with_votes
from .errors import UsageError
from .evaluate import MISTAKES, BundleEvaluation, judge
from .progress import SILENT, Observer


@dataclass(frozen=True)
class PairedTest:
    """McNemar's exact test: are two models right equally often?

    Only images of which one model is right and the other wrong say anything about that. If both
    were right equally often, each such image would fall to either like the toss of a coin; so the
    p-value is that of a binomial test with probability 1/2, two-sided.

    Quinn McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12 (1947).

    Attributes:
        first: The one model.
        second: The other.
        both_right: Images of which both are right.
        only_first_right: Images of which only the first is right.
        only_second_right: Images of which only the second is right.
        both_wrong: Images of which both are wrong.
        p_value: Probability of a difference at least that large, were there none.
        p_adjusted: The same after Holm's correction for all tests of a comparison.
    """

    first: str
    second: str
    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    p_value: float
    p_adjusted: float


@dataclass(frozen=True)
class Comparison:
    """One model or several, judged on the same images.

    Attributes:
        answers: What the models said of every image.
        evaluations: The figures of every model.
        tests: Every other model against the first.
        differences: The images of which the models give different classes; those first of which
            a wrong answer is the most confident.
    """

    answers: Answers
    evaluations: Mapping[str, BundleEvaluation]
    tests: tuple[PairedTest, ...]
    differences: tuple[Answered, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the figures of every model, and how they compare."""
        return {
            "models": [
                {"model": name, **evaluation.to_dict()}
                for name, evaluation in self.evaluations.items()
            ],
            "tests": [dataclasses.asdict(test) for test in self.tests],
            "differences": [
                {
                    "file": image.file,
                    "label": image.label,
                    "answers": [
                        {"model": name, **answer._asdict()}
                        for name, answer in image.answers.items()
                    ],
                }
                for image in self.differences
            ],
        }


def distinct(bundles: Iterable[tuple[str, Bundle]]) -> dict[str, Bundle]:
    """Models by name.

    Raises:
        UsageError: there is none, or one of them twice.
    """
    by_name: dict[str, Bundle] = {}
    places: dict[Path, str] = {}
    for name, bundle in bundles:
        first = places.setdefault(bundle.path.resolve(), name)
        if first in by_name:
            said = f"{name} twice" if name == first else f"{first} and {name}, which are the same"
            raise UsageError(f"Expected different models. Received: {said}. Leave one out.")
        by_name[name] = bundle
    if not by_name:
        raise UsageError("Expected one model or several. Received: none.")
    return by_name


def compare(
    bundles: Mapping[str, Bundle],
    source: Path,
    subset: str | None = None,
    observer: Observer = SILENT,
    mistakes: int = MISTAKES,
    *,
    vote: bool = False,
) -> Comparison:
    """Judge models on the same images; every other one is tested against the first.

    Args:
        bundles: The models by the names that the result calls them; one is enough.
        source: Where the labelled images are.
        subset: Which of them; see :func:`cnntransfer.answers.ask`.
        observer: Hears of the progress, of images that were trained on and of those left out.
        mistakes: How many of the most confident mistakes of every model to name.
        vote: Whether to judge what they say together, too; see :mod:`cnntransfer.committee`.

    Raises:
        UsageError: they cannot vote.
        DataError: an image's class is none of a model's, there is no such subset, or no image
            can be read.
        BundleError: a bundle is damaged.
    """
    if vote:
        check_members({name: bundle.class_names for name, bundle in bundles.items()})
    answers = ask(bundles, source, subset, observer)
    if vote:
        answers = with_votes(answers)
    differences = [image for image in answers.images() if not image.agree]
    differences.sort(key=_confidence_in_error, reverse=True)
    return Comparison(
        answers,
        {name: judge(answers, name, mistakes) for name in answers.models},
        paired_tests({name: answers.is_right(name) for name in answers.models}),
        tuple(differences),
    )


def paired_tests(is_right: Mapping[str, NDArray[np.bool_]]) -> tuple[PairedTest, ...]:
    """Test every other model against the first.

    Args:
        is_right: Of every model, whether it is right, bool, shape (n,), for the same n images.
    """
    (first, first_right), *others = is_right.items()
    counts = [_cross(first_right, right) for _, right in others]
    p_values = [_mcnemar(only_first, only_second) for _, only_first, only_second, _ in counts]
    return tuple(
        PairedTest(first, name, *count, p_value=p_value, p_adjusted=adjusted)
        for (name, _), count, p_value, adjusted in zip(
            others, counts, p_values, holm(p_values), strict=True
        )
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several tests, adjusted so that any false alarm is as rare as for one test.

    Sture Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6 (1979).
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def _cross(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """How often both are right, only the first, only the second, neither."""
    cells = (first & second, first & ~second, ~first & second, ~first & ~second)
    both, only_first, only_second, neither = (int(cell.sum()) for cell in cells)
    return both, only_first, only_second, neither


def _mcnemar(only_first: int, only_second: int) -> float:
    if not only_first + only_second:
        return 1.0  # No image tells the two apart.
    from scipy.stats import binomtest

    return float(binomtest(only_first, only_first + only_second).pvalue)


def _confidence_in_error(image: Answered) -> float:
    """How probable a model says its wrong answer is, the most confident one; 0 if all are right."""
    wrong = [a.probability for a in image.answers.values() if a.predicted != image.label]
    return max(wrong, default=0.0)
