"""``cnntransfer completion``."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from ..errors import UsageError
from .options import example

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog=example(
        'eval "$(cnntransfer completion bash)"        # in ~/.bashrc',
        "cnntransfer completion fish > ~/.config/fish/completions/cnntransfer.fish",
    )
)
@click.argument("shell", required=False, metavar="[bash|zsh|fish]")
def command(shell: str | None) -> None:
    """Print the shell's completion script.

    Without an argument, for the shell in $SHELL.
    """
    from . import main

    name = shell or Path(os.environ.get("SHELL", "")).name
    completion = get_completion_class(name) if name in _SHELLS else None
    if completion is None:
        raise UsageError(f"Expected one of: {', '.join(_SHELLS)}. Received: {name!r}.")
    click.echo(completion(main, {}, "cnntransfer", "_CNNTRANSFER_COMPLETE").source())
