"""``cnntransfer backbones``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from .columns import fitting, terminal_width
from .console import Console, print_json, print_table
from .options import as_json, example, with_console

if TYPE_CHECKING:
    from ..models.backbones import Backbone

#: The table's columns, of which the last is not the network's own: where its weights are.
_COLUMNS: dict[str, Callable[[Backbone], str | int] | None] = {
    "name": lambda b: b.name,
    "size": lambda b: b.default_size,
    "min": lambda b: b.minimum_size,
    "features": lambda b: b.features,
    "parameters": lambda b: b.parameters,
    "input": lambda b: b.preprocessing.value,
    "top block": lambda b: b.blocks[0].name,
    "licence": lambda b: b.weights_license.partition(" (")[0],
    "weights": None,
}
#: What a narrow terminal can do without, the least important first.
_DISPENSABLE = ("licence", "min", "input", "features", "top block", "parameters", "size")


@click.command(epilog=example("cnntransfer backbones", "cnntransfer backbones --offline"))
@click.option("--offline", is_flag=True, help="Only those whose weights are on this machine.")
@as_json
@with_console
def command(offline: bool, as_json: bool, console: Console) -> None:
    """List the networks.

    "weights" says where their ImageNet weights were found; "download" means that Keras would
    fetch them, "none" that there are none: train it with --weights none. "top block" is the first
    that --unfreeze takes. --json lists all blocks.
    """
    from ..models.backbones import BACKBONES
    from ..models.weights import candidates

    rows = []
    for backbone in BACKBONES.values():
        found = next(candidates(backbone), None)
        if found or not offline:
            missing = "download" if backbone.is_pretrained else "none"
            rows.append((backbone, found.source if found else missing))
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
                    "blocks": [block.name for block in b.blocks],
                    "license": b.weights_license,
                    "weights": source,
                }
                for b, source in rows
            ]
        )
        return
    cells = {
        title: [source if cell is None else cell(backbone) for backbone, source in rows]
        for title, cell in _COLUMNS.items()
    }
    columns = fitting(cells, _DISPENSABLE, terminal_width())
    print_table(columns, list(zip(*(cells[title] for title in columns), strict=True)))
    if lacking := [title for title in _DISPENSABLE if title not in columns]:
        console.note(f"No room here for: {', '.join(lacking)}. A wider terminal or --json has them")
    console.next("cnntransfer finetune FOLDER --backbone NAME")
