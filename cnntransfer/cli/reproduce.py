"""``cnntransfer reproduce``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode, counted
from .console import Console, echo, print_json, shell_word
from .options import NON_EMPTY, as_json, example, output_options, with_console

if TYPE_CHECKING:
    from ..reproduction import Reproduction

#: Versions that pip does not install.
_NOT_PACKAGES = ("python", "cnntransfer")


@click.command(
    epilog=example(
        "cnntransfer reproduce runs/photos-mobilenet",
        "cnntransfer reproduce runs/photos-mobilenet --data /media/usb/photos -o runs/again",
        "cnntransfer reproduce runs/photos-mobilenet --json",
    )
)
@click.argument("model", metavar="MODEL", type=NON_EMPTY)
@click.option(
    "--data", metavar="FOLDER", type=NON_EMPTY, help="Where the photos lie now, if elsewhere."
)
@output_options("Folder to keep the new bundle in. [default: none]")
@as_json
@functools.partial(with_console, verbose="Say more: the figures of every epoch.")
def command(
    model: str,
    data: str | None,
    output: str | None,
    overwrite: bool,
    as_json: bool,
    console: Console,
) -> int:
    """Repeat a run and compare the predictions.

    MODEL is a bundle. The classifier is trained again from the bundle's recipe, on the photos of
    its splits.csv, and the predictions of the held-out photos are compared: identical, within
    tolerance (no probability differs by more than 0.0001), or different; the exit code is then
    10. Said too: which photos were changed, are missing, or were added since (these are left
    out), and whether the pretrained weights or the versions of the libraries are others.
    """
    from ..bundle import Bundle

    bundle = Bundle.open(Path(model).expanduser())
    # Heavy imports come after the cheap checks.
    from ..reproduce import reproduce
    from ..reproduction import Verdict

    result = reproduce(
        bundle,
        Path(data).expanduser() if data else None,
        Path(output).expanduser() if output else None,
        overwrite=overwrite,
        observer=console,
    )
    if as_json:
        print_json({"model": model, **result.to_dict()})
    else:
        echo(_headline(result))
        for reason in result.reasons:
            echo(reason)
        if result.output is not None:
            echo(f"Bundle   {result.output}")
    is_different = result.verdict == Verdict.DIFFERENT
    console.next(_next(model, data, result) if is_different else _export(model))
    return ExitCode.DIFFERENT if is_different else ExitCode.OK


def _headline(result: Reproduction) -> str:
    verdict = str(result.verdict).capitalize()
    held_out = counted(result.held_out, "held-out photo")
    if result.largest_difference == 0 and result.compared == result.held_out:
        files = "; the model files too, byte for byte" * result.same_files
        return f"{verdict}: the predictions of {held_out}{files}"
    said = f"{verdict}: {held_out}"
    if result.compared < result.held_out:
        said += f", of which {result.held_out - result.compared} cannot be compared"
    if result.largest_difference is not None:
        said += f"; largest difference of a probability {result.largest_difference:.2g}"
        said += f" ({result.farthest})" if result.farthest else ""
    if result.other_class:
        said += f"; {result.other_class} predicted as another class"
    return said


def _export(model: str) -> str:
    return f"cnntransfer export {shell_word(model)} --format litert"


def _next(model: str, data: str | None, result: Reproduction) -> str:
    """What brings the two together, or what to do without."""
    wanted = [
        f"{name}=={change.recorded}"
        for name, change in result.versions.items()
        if name not in _NOT_PACKAGES and change.recorded
    ]
    if wanted and not (result.changed or result.missing):
        return f"pip install {' '.join(map(shell_word, wanted))}"
    recipe = shell_word(Path(model) / "recipe.yaml")
    return f"cnntransfer finetune {f'{shell_word(data)} ' if data else ''}--config {recipe}"
