"""``cnntransfer cache``."""

from __future__ import annotations

import datetime

import click

from .. import cache
from ..errors import ExitCode
from ..settings import Rule
from ..storage import cache_folder
from .console import Console, echo, print_json, print_table
from .options import as_json, checked, example, with_console


@click.command(
    epilog=example(
        "cnntransfer cache",
        "cnntransfer cache --clear features",
        "CNNTRANSFER_CACHE_LIMIT=2GB cnntransfer cache --trim",
    )
)
@click.option(
    "--clear",
    metavar="[KIND|all]",
    callback=checked(
        "--clear",
        Rule(str, choices=("all", *cache.KINDS)),
    ),
    help="Delete what is kept of a kind.",
)
@click.option("--trim", is_flag=True, help="Delete the oldest until the limit is kept.")
@as_json
@with_console
def command(clear: str | None, trim: bool, as_json: bool, console: Console) -> int:
    """Show or clear what is kept to save time.

    Features and activations of images are kept by the images' content, so a second run on the
    same photos, or with a few more of them, starts from there. Weights of a large network that
    predicts single images are kept as the processor wants them. Everything here can be made
    again. The folder is CNNTRANSFER_CACHE or the platform's own; when it grows beyond
    CNNTRANSFER_CACHE_LIMIT (10GB), what was not used for longest goes.
    """
    limit = cache.limit()
    freed = 0
    if clear:
        freed += cache.clear(cache.KINDS if clear == "all" else [clear])
    if trim:
        freed += cache.trim()
    rows = []
    for kind, (meaning, _) in cache.KINDS.items():
        kept = list(cache.entries([kind]))
        used = max((entry.used for entry in kept), default=None)
        rows.append((kind, len(kept), sum(entry.bytes for entry in kept), used, meaning))
    if as_json:
        keys = ("kind", "entries", "bytes", "last_used", "meaning")
        print_json(
            {
                "folder": str(cache_folder()),
                "limit": limit,
                "freed": freed,
                "kinds": [dict(zip(keys, row, strict=True)) for row in rows],
            }
        )
        return ExitCode.OK
    print_table(
        ("kind", "entries", "MB", "last used", "what"),
        [
            (kind, entries, round(size / 1e6, 1), _date(used), meaning)
            for kind, entries, size, used, meaning in rows
        ],
    )
    total = sum(row[2] for row in rows)
    echo(f"{total / 1e6:,.1f} MB of at most {limit / 1e6:,.0f} MB in {cache_folder()}")
    if freed:
        console.note(f"Freed {freed / 1e6:,.1f} MB.")
    if total:
        console.next("cnntransfer cache --clear all")
    return ExitCode.OK


def _date(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
