"""The command line's reference as Markdown, made of every ``--help``.

``python -m cnntransfer.cli.reference > docs/commands.md``
"""

from __future__ import annotations

import click

from . import COMMANDS, main

_INTRODUCTION = """\
# Commands

What `--help` says, for reading in one place. Made by
`python -m cnntransfer.cli.reference > docs/commands.md`; a test compares the two.
"""


def markdown() -> str:
    """The whole page."""
    top = _context(main, "cnntransfer", None)
    sections = [_INTRODUCTION, _section("cnntransfer", top)]
    for name in COMMANDS:
        command = main.get_command(top, name)
        if command is not None:
            sections.append(_section(f"cnntransfer {name}", _context(command, name, top)))
    return "\n".join(sections)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    # A fixed width, whatever the terminal's.
    settings = {**command.context_settings, "terminal_width": 100}
    return click.Context(command, parent, info_name=name, **settings)


def _section(title: str, context: click.Context) -> str:
    lines = (line.rstrip() for line in context.get_help().splitlines())
    return f"## {title}\n\n```text\n" + "\n".join(lines) + "\n```\n"


if __name__ == "__main__":
    click.echo(markdown(), nl=False)
