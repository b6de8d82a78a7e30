"""The report of a run: one page of HTML, and the model card.

:mod:`.gather` reads a bundle into the plain values of :mod:`.content`, which templates write down.
"""

from __future__ import annotations

from pathlib import Path

from ..bundle import Bundle
from ..storage import atomic_file, check_apart
from .content import Report
from .evaluation import gather_evaluation
from .gather import gather
from .heat import Look
from .subject import Subject

__all__ = [
    "Look",
    "Report",
    "Subject",
    "gather",
    "gather_evaluation",
    "prepare",
    "write_card",
    "write_into",
    "write_page",
]


def prepare() -> None:
    """Compile the templates, which takes some time, while something else is waited for."""
    from . import card, page

    page.template()
    card.template()


def write_into(bundle: Bundle, report: Report) -> None:
    """Write a bundle's report and its model card, instead of those that it has."""
    write_page(report, bundle.report_file)
    write_card(report, bundle.model_card_file)


def write_page(report: Report, target: Path, *, overwrite: bool = True) -> None:
    """Write a report as one page of HTML.

    Args:
        report: What it says.
        target: The file.
        overwrite: Whether a file that is there already may be replaced.

    Raises:
        OutputError: it exists and may not be replaced, cannot be written, or would lie among the
            photos.
    """
    from .page import render

    if report.source is not None:
        check_apart(target, report.source)

    _write(render(report), target, overwrite=overwrite)


def write_card(report: Report, target: Path) -> None:
    """Write a report as a model card in Markdown.

    Raises:
        OutputError: the file cannot be written.
    """
    from .card import render_card

    _write(render_card(report), target)


def _write(text: str, target: Path, *, overwrite: bool = True) -> None:
    with atomic_file(target, overwrite=overwrite) as draft:
        # File names may hold bytes that are no UTF-8; they are shown as \udcXX.
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
