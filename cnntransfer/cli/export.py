"""``cnntransfer export``."""

from __future__ import annotations

from pathlib import Path

import click

from .console import Console, print_json
from .options import NON_EMPTY, as_json, example, output_options, with_console


@click.command(
    epilog=example(
        "cnntransfer export runs/photos-mobilenet",
        "cnntransfer export runs/photos-mobilenet --format litert -o phone/",
        "cnntransfer export mobilenet --format keras",
    )
)
@click.argument("model", metavar="MODEL", type=NON_EMPTY)
@click.option(
    "--format",
    "format_name",
    default="saved_model",
    metavar="[saved_model|keras|litert]",
    help="What to write. [default: saved_model]",
)
@output_options("Folder to write. [default: exports/MODEL-FORMAT]")
@as_json
@with_console
def command(
    model: str,
    format_name: str,
    output: str | None,
    overwrite: bool,
    as_json: bool,
    console: Console,
) -> None:
    """Write a classifier for TensorFlow, Keras or LiteRT.

    MODEL is a bundle, or a pretrained network by name. The exported model takes RGB pixels from
    0 to 255 as float32 and gives probabilities; preprocessing is inside. Before anything is
    written, its probabilities are compared with predict's. Like predict without --unknown, it names
    one of its classes whatever it is shown.
    """
    from ..export import export, get_format
    from ..pretrained import open_model

    row = get_format(format_name)
    bundle = open_model(model, console)
    name = Path(model).expanduser().resolve().name
    target = Path(output).expanduser() if output else Path("exports") / f"{name}-{row.name}"
    with console.task(f"Exporting {row.name}"):
        result = export(bundle, row.name, target, overwrite=overwrite)
    if as_json:
        print_json(result.to_dict())
    else:
        click.echo(f"{result.artifact}  ({result.bytes / 1e6:.1f} MB)")
        click.echo(f"{result.folder / 'labels.txt'}")
        click.echo(
            f"Same as predict: largest difference of a probability {result.largest_difference:.1g}"
        )
    console.next(f"in Python: {result.usage}")
