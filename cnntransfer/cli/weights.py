"""``cnntransfer weights``."""

from __future__ import annotations

import click

from ..errors import ExitCode, WeightsError, counted
from .console import Console, print_json, print_table
from .options import as_json, example, with_console


@click.command(
    epilog=example(
        "cnntransfer weights",
        "CNNTRANSFER_WEIGHTS=/data/keras cnntransfer weights resnet50",
    )
)
@click.argument("backbones", nargs=-1, metavar="[BACKBONE]...")
@as_json
@with_console
def command(backbones: tuple[str, ...], as_json: bool, console: Console) -> int:
    """List and verify the pretrained weights on this machine.

    Looked for in the folders of CNNTRANSFER_WEIGHTS, in this package and in Keras' cache, by
    this project's and by Keras' official file names. Every file found is opened and its number
    of parameters compared with the network's; those of this package by checksum.
    """
    from ..models.backbones import BACKBONES, get_backbone
    from ..models.weights import candidates, check_fits, keras_cache, weights_folders

    chosen = [get_backbone(name) for name in backbones] or [
        backbone for backbone in BACKBONES.values() if backbone.is_pretrained
    ]
    rows = []
    for backbone in chosen:
        for found in candidates(backbone):
            try:
                top = "with top" if check_fits(backbone, found.path) else "without top"  # type: ignore[arg-type]
                verdict = "ok"
            except WeightsError as error:
                top, verdict = "-", str(error)
            rows.append((backbone.name, found.source, top, verdict, str(found.path)))
    if as_json:
        columns = ("backbone", "source", "top", "verified", "file")
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(("backbone", "source", "top", "verified", "file"), rows)
    looked = ", ".join(str(folder) for folder in [*weights_folders(), keras_cache()])
    console.note(f"Looked in: this package, {looked}")
    for name in (backbone.name for backbone in chosen if not backbone.is_pretrained):
        console.note(f"There are none of {name}: train it with --weights none.")
    here = {row[0] for row in rows}
    if missing := [b.name for b in chosen if b.is_pretrained and b.name not in here]:
        named = ", ".join(missing) if backbones else counted(len(missing), "other")
        console.note(
            f"Not here: {named}. Keras "
            "downloads them when needed; or set CNNTRANSFER_WEIGHTS to a folder with them."
        )
    console.next("cnntransfer backbones --offline")
    return ExitCode.OK if all(row[3] == "ok" for row in rows) else ExitCode.WEIGHTS
