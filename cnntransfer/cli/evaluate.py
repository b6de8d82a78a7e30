"""``cnntransfer evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import BundleError, ExitCode, UsageError
from .console import Console, print_json, print_table, shell_word
from .figures import print_figures
from .options import NON_EMPTY, as_json, example, with_console

#: A confusion matrix of more classes is shown as its largest confusions.
_LARGEST_MATRIX = 12


if TYPE_CHECKING:
    from ..bundle import Bundle


@click.command(
    epilog=example(
        "cnntransfer evaluate runs/photos-mobilenet new_photos/",
        "cnntransfer evaluate runs/photos-mobilenet my_test_photos.csv --json",
        "cnntransfer evaluate runs/photos-mobilenet photos/ --subset val",
    )
)
@click.argument("model", metavar="MODEL", type=NON_EMPTY)
@click.argument("data", metavar="DATA", type=NON_EMPTY)
@click.option(
    "--subset",
    metavar="[train|val|test]",
    help="Which subset of DATA; of the model's own split, where DATA has no subsets. "
    "[default: test, else val, else all]",
)
@as_json
@with_console
def command(model: str, data: str, subset: str | None, as_json: bool, console: Console) -> int:
    """Measure a classifier on labelled images.

    MODEL is a bundle. DATA is a folder with one sub-folder of images per class or a manifest, as
    for finetune; its classes must be the model's. Measure on images that the model has not been
    trained on: others flatter the figures. A note says how many of those there are, whatever
    their names; so does "trained_on" in --json.

    Every figure comes with a 95 % interval: where it would lie on very many images of the kind.
    Wilson's is for proportions, the bootstrap's for the other figures.
    """
    from ..evaluate import evaluate

    bundle = _open(model, data, console)
    result = evaluate(bundle, Path(data).expanduser(), subset, console)
    for file, reason in result.rejected:
        console.note(f"Rejected {file}: {reason}")
    if as_json:
        print_json({"model": str(model), "data": str(data), **result.to_dict()})
        return ExitCode.PARTIAL if result.rejected else ExitCode.OK

    print_figures(result)
    click.echo()
    names = bundle.class_names
    if len(names) <= _LARGEST_MATRIX:
        print_table(
            ("true \\ predicted", *names),
            [(name, *row) for name, row in zip(names, result.confusion, strict=True)],
        )
    else:
        mistakes = [
            (count, names[true], names[predicted])
            for true, row in enumerate(result.confusion)
            for predicted, count in enumerate(row)
            if count and true != predicted
        ]
        mistakes.sort(key=lambda mistake: -mistake[0])
        print_table(("images", "are", "taken for"), mistakes[:_LARGEST_MATRIX])
    console.next(f"cnntransfer export {shell_word(model)} --format litert")
    return ExitCode.PARTIAL if result.rejected else ExitCode.OK


def _open(model: str, data: str, console: Console) -> Bundle:
    from ..pretrained import open_model

    try:
        return open_model(model, console)
    except BundleError:
        from ..bundle import Bundle

        if Bundle.is_at(Path(data).expanduser()) and Path(model).expanduser().exists():
            raise UsageError(
                f"Expected MODEL, then DATA. Received: {data}, a bundle, as DATA. "
                f"Try: cnntransfer evaluate {shell_word(data)} {shell_word(model)}"
            ) from None
        raise
