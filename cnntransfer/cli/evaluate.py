"""``cnntransfer evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import BundleError, ExitCode, OutputError, UsageError, counted
from ..settings import Rule
from .console import Console, complain, may_go_unread, print_json, shell_word
from .evaluation import print_comparison, print_evaluation
from .options import NON_EMPTY, as_json, checked, example, output_options, with_console

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..evaluate import BundleEvaluation

_FRACTION = Rule(float, minimum=0, maximum=1)


@click.command(
    epilog=example(
        "cnntransfer evaluate runs/photos-mobilenet new_photos/",
        "cnntransfer evaluate runs/photos-mobilenet my_test_photos.csv --json",
        "cnntransfer evaluate runs/photos-mobilenet photos/ --subset val",
        "cnntransfer evaluate runs/fast runs/best new_photos/ -o answers.csv",
        "cnntransfer evaluate runs/a runs/b runs/c new_photos/ --vote",
        "cnntransfer evaluate runs/photos-mobilenet new_photos/ --assert-accuracy 0.9",
    )
)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=NON_EMPTY)
@click.argument("data", metavar="DATA", type=NON_EMPTY)
@click.option(
    "--subset",
    metavar="[train|val|test]",
    help="Which subset of DATA; of the model's own split, where DATA has no subsets. "
    "[default: test, else val, else all]",
)
@click.option(
    "--mistakes",
    metavar="N",
    callback=checked("--mistakes", Rule(int, minimum=0)),
    help="How many of the most confident mistakes to list, of each model. "
    "[default: 10; of several models with --json only]",
)
@click.option(
    "--vote",
    is_flag=True,
    help="Also judge what several models say together: by the mean of their probabilities and by "
    "majority.",
)
@click.option(
    "--assert-accuracy",
    metavar="X",
    callback=checked("--assert-accuracy", _FRACTION),
    help="End with exit code 11 if an accuracy is below X, such as 0.9.",
)
@click.option(
    "--assert-accuracy-lower",
    metavar="X",
    callback=checked("--assert-accuracy-lower", _FRACTION),
    help="The same for the lower end of the accuracy's 95 % interval.",
)
@output_options("Also write a CSV row per image: its label and every answer.", "FILE")
@as_json
@with_console
def command(
    models: tuple[str, ...],
    data: str,
    subset: str | None,
    mistakes: int | None,
    vote: bool,
    assert_accuracy: float | None,
    assert_accuracy_lower: float | None,
    output: str | None,
    overwrite: bool,
    as_json: bool,
    console: Console,
) -> int:
    """Measure a classifier on labelled images.

    MODEL is a bundle. DATA is a folder with one sub-folder of images per class, a manifest or
    anything else that finetune takes; its classes must be the model's. Measure on images that the
    model has not been trained on: others flatter the figures. A note says how many of those there
    are, whatever their names; so does "trained_on" in --json.

    Every figure comes with a 95 % interval: where it would lie on very many images of the kind.
    Wilson's is for proportions, Feldman's and Cousins' for the calibration error, the bootstrap's
    for the other figures.

    Several models are compared on the same images: their figures side by side, McNemar's exact
    test of every other one against the first (p-values by Holm's method, where there are
    several), and the images on which they differ. With --vote, two more rows of figures are those
    of the models together.
    """
    from ..answers import write_answers
    from ..comparison import compare
    from ..evaluate import MISTAKES

    source = Path(data).expanduser()
    target = Path(output).expanduser() if output else None
    if target is not None:
        _check_output(target, source, overwrite=overwrite)
    bundles = _open(models, data, console)
    most = MISTAKES if mistakes is None else mistakes
    result = compare(bundles, source, subset, console, most, vote=vote)
    for file, reason in result.answers.rejected:
        console.note(f"Rejected {file}: {reason}")
    if target is not None:
        write_answers(result.answers, target, overwrite=overwrite)
        console.note(f"Answers  {target}")

    with may_go_unread():
        if as_json and len(models) == 1:
            print_json({"data": data, **result.to_dict()["models"][0]})
        elif as_json:
            print_json({"data": data, **result.to_dict()})
        elif len(models) == 1:
            print_evaluation(result.evaluations[models[0]])
        else:
            print_comparison(result, with_mistakes=mistakes is not None)
    expected = {"accuracy": assert_accuracy, "accuracy_lower": assert_accuracy_lower}
    if is_below := _below(result.evaluations, expected):
        complain(f"Error: {is_below}")
        return ExitCode.BELOW
    if not as_json:
        best = max(models, key=lambda name: result.evaluations[name].accuracy)
        console.next(f"cnntransfer export {shell_word(best)} --format litert")
    return ExitCode.PARTIAL if result.answers.rejected else ExitCode.OK


def _check_output(target: Path, source: Path, *, overwrite: bool) -> None:
    """Fail before anything is judged, if the answers could not be written."""
    from ..storage import check_apart, check_target

    if target.is_dir():
        raise OutputError(
            f"--output: expected a file to write. Received: {target}, a folder. "
            f"Try: --output {shell_word(target / 'answers.csv')}"
        )
    check_apart(target, source)
    check_target(target, overwrite=overwrite)


def _below(
    evaluations: Mapping[str, BundleEvaluation], expected: Mapping[str, float | None]
) -> str:
    """What is below what was asserted, in one line; empty, where nothing is."""
    said = []
    for name, least in expected.items():
        found = {model: getattr(judged, name) for model, judged in evaluations.items()}
        below = [(model, x) for model, x in found.items() if least is not None and x < least]
        if below:
            received = ", ".join(
                f"{value:.4f} of {model} on {counted(evaluations[model].images, 'image')}"
                for model, value in below
            )
            option = f"--assert-{name.replace('_', '-')}"
            said.append(f"{option}: expected at least {least:g}. Received: {received}.")
    return " ".join(said)


def _open(models: Sequence[str], data: str, console: Console) -> dict[str, Bundle]:
    from ..bundle import Bundle
    from ..comparison import distinct
    from ..pretrained import open_model

    data_is_bundle = Bundle.is_at(Path(data).expanduser())

    def opened(name: str) -> Bundle:
        try:
            return open_model(name, console)
        except BundleError:
            if data_is_bundle and Path(name).expanduser().exists():
                others = [model for model in models if model != name]
                raise _not_last(data, [*others, data, name]) from None
            raise

    bundles = distinct((name, opened(name)) for name in models)
    if data_is_bundle and _opens(Path(data).expanduser()):
        raise _not_last(data, [*models, data, "photos/"])
    return bundles


def _opens(path: Path) -> bool:
    """Whether a folder is a bundle, and not images beside a file of that name."""
    from ..bundle import Bundle

    try:
        Bundle.open(path)
    except BundleError:
        return False
    return True


def _not_last(data: str, better: Sequence[str]) -> UsageError:
    return UsageError(
        f"Expected MODEL, then DATA. Received: {data}, a bundle, as DATA. "
        f"Try: cnntransfer evaluate {' '.join(map(shell_word, better))}"
    )
