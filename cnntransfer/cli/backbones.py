"""``cnntransfer backbones``."""

from __future__ import annotations

import click

from .console import Console, print_json, print_table
from .options import as_json, example, with_console


@click.command(epilog=example("cnntransfer backbones", "cnntransfer backbones --offline"))
@click.option("--offline", is_flag=True, help="Only those whose weights are on this machine.")
@as_json
@with_console
def command(offline: bool, as_json: bool, console: Console) -> None:
    """List the pretrained networks.

    "weights" says where their ImageNet weights were found; "download" means that Keras would
    fetch them; "top block" is the first that --unfreeze takes. --json lists all blocks.
    """
    from ..models.backbones import BACKBONES
    from ..models.weights import candidates

    rows = []
    for backbone in BACKBONES.values():
        found = next(candidates(backbone), None)
        if found or not offline:
            rows.append((backbone, found.source if found else "download"))
    if as_json:
        print_json(
            [
                {
                    "name": b.name,
                    "constructor": b.constructor,
                    "image_size": b.default_size,
                    "minimum_size": b.minimum_size,
                    "features": b.features,
                    "parameters": b.parameters,
                    "preprocessing": b.preprocessing.value,
                    "blocks": [name for name, _ in b.blocks],
                    "license": b.weights_license,
                    "weights": source,
                }
                for b, source in rows
            ]
        )
        return
    print_table(
        (
            "name",
            "size",
            "min",
            "features",
            "parameters",
            "input",
            "top block",
            "licence",
            "weights",
        ),
        [
            (
                b.name,
                b.default_size,
                b.minimum_size,
                b.features,
                b.parameters,
                b.preprocessing.value,
                b.blocks[0][0],
                b.weights_license.partition(" (")[0],
                source,
            )
            for b, source in rows
        ],
    )
    console.next("cnntransfer finetune FOLDER --backbone NAME")
