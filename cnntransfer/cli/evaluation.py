"""How ``cnntransfer evaluate`` shows figures: of one model, and of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .console import echo, print_table
from .figures import FIGURES, print_figures, with_limits

if TYPE_CHECKING:
    from ..comparison import Comparison
    from ..evaluate import BundleEvaluation

#: A confusion matrix of more classes is shown as its largest confusions.
_LARGEST_MATRIX = 12
#: So many images on which models differ are shown.
_MOST_DIFFERENCES = 10


def print_evaluation(result: BundleEvaluation) -> None:
    """The figures of one model: in all, by class, the confusions, the worst mistakes."""
    print_figures(result)
    echo()
    names = [row.label for row in result.per_class]
    if len(names) <= _LARGEST_MATRIX:
        print_table(
            ("true \\ predicted", *names),
            [(name, *row) for name, row in zip(names, result.confusion, strict=True)],
        )
    else:
        confusions = [
            (count, names[true], names[predicted])
            for true, row in enumerate(result.confusion)
            for predicted, count in enumerate(row)
            if count and true != predicted
        ]
        confusions.sort(key=lambda confusion: -confusion[0])
        print_table(("images", "are", "taken for"), confusions[:_LARGEST_MATRIX])
    _print_mistakes("most confident mistakes", result)


def print_comparison(result: Comparison, *, with_mistakes: bool) -> None:
    """Several models: figures and recall side by side, paired tests, where they differ."""
    evaluations = list(result.evaluations.values())
    short = dict(zip(result.evaluations, _short(list(result.evaluations)), strict=True))
    print_table(("figure (95 % interval)", *short.values()), _figures(evaluations))
    recall = {
        name: {row.label: (row.recall, row.support) for row in evaluation.per_class}
        for name, evaluation in result.evaluations.items()
    }
    first = next(iter(recall.values()))
    echo()
    print_table(
        ("recall", *short.values(), "images"),
        [
            (label, *(by_class[label][0] for by_class in recall.values()), support)
            for label, (_, support) in first.items()
            if support
        ],
    )
    _print_tests(result, short)
    _print_differences(result, short)
    if with_mistakes:
        for name, evaluation in result.evaluations.items():
            _print_mistakes(f"most confident mistakes of {short[name]}", evaluation)


def _figures(evaluations: Sequence[BundleEvaluation]) -> list[tuple[str, ...]]:
    """A row per figure with a cell per model; figures that none has are left out."""
    rows = [("images", *(f"{evaluation.images:,}" for evaluation in evaluations))]
    for title, name, text in FIGURES:
        if any(getattr(evaluation, name) is not None for evaluation in evaluations):
            rows.append((title, *(with_limits(each, name, text) for each in evaluations)))
    return rows


def _print_tests(result: Comparison, short: dict[str, str]) -> None:
    first = short[result.answers.models[0]]
    method = "p, exact McNemar" + ", Holm" * (len(result.tests) > 1)
    echo()
    print_table(
        (f"against {first}", "only it is right", f"only {first} is right", method),
        [
            (short[t.second], t.only_second_right, t.only_first_right, f"{t.p_adjusted:.2g}")
            for t in result.tests
        ],
    )


def _print_differences(result: Comparison, short: dict[str, str]) -> None:
    echo()
    if not result.differences:
        echo("They give the same class for every image.")
        return
    print_table(
        ("they differ on", "true", *short.values()),
        [
            (
                image.file,
                image.label,
                *(f"{a.predicted} {a.probability:.2f}" for a in image.answers.values()),
            )
            for image in result.differences[:_MOST_DIFFERENCES]
        ],
    )
    if (more := len(result.differences) - _MOST_DIFFERENCES) > 0:
        echo(f"and on {more} more: see --json or --output")


def _print_mistakes(title: str, result: BundleEvaluation) -> None:
    if result.mistakes:
        echo()
        print_table(
            (title, "true", "predicted", "probability"),
            [(m.file, m.label, m.predicted, m.probability) for m in result.mistakes],
        )


def _short(models: Sequence[str]) -> list[str]:
    """The last parts of the models' paths, where those tell them apart."""
    names = [Path(name).name for name in models]
    return names if all(names) and len(set(names)) == len(names) else list(models)
