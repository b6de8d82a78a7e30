"""docs/commands.md is what --help says."""

from __future__ import annotations

from pathlib import Path

from cnntransfer.cli import COMMANDS
from cnntransfer.cli.reference import markdown

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_docs_are_what_help_says():
    assert PAGE.read_text(encoding="utf-8") == markdown(), (
        "docs/commands.md is stale: run python -m cnntransfer.cli.reference > docs/commands.md"
    )


def test_every_command_is_there():
    titles = [line[3:] for line in markdown().splitlines() if line.startswith("## ")]
    assert titles == ["cnntransfer", *(f"cnntransfer {name}" for name in COMMANDS)]


def test_width_does_not_depend_on_the_terminal(monkeypatch):
    page = markdown()
    monkeypatch.setenv("COLUMNS", "60")
    assert markdown() == page
    assert max(map(len, page.splitlines())) <= 100
