"""The model card: what whoever gets the classifier should know of it, in Markdown.

After Mitchell et al. 2019, "Model Cards for Model Reporting", arXiv:1810.03993.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from .content import SUBSET_WORDS, Report
from .page import figure, percent

if TYPE_CHECKING:
    from jinja2 import Template

#: Every character that means something in Markdown between words, HTML and formulas included.
_SPECIAL = re.compile(r"([\\`*_\[\]<>&|#~$!])")

#: What may end a line or a cell, but not spaces that do not break.
_BREAK = re.compile(r"[^\S\u00a0\u202f]+")


class Markdown(str):
    """Text that is Markdown already."""


def render_card(report: Report) -> str:
    """The card. Names are text, whatever they hold: what would be Markdown or HTML is escaped."""
    return template().render(report=report, subset_words=SUBSET_WORDS)


def escape(text: str) -> Markdown:
    """Any text so that Markdown shows it as it is, on one line."""
    return Markdown(_SPECIAL.sub(r"\\\1", _BREAK.sub(" ", text).strip()))


@functools.cache
def template() -> Template:
    """The card's template, compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cnntransfer.report"),
        # Not HTML: what is inserted is escaped for Markdown instead, wherever it stands.
        autoescape=False,
        finalize=lambda value: value if isinstance(value, Markdown) else escape(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=percent, figure=figure)
    return environment.get_template("model_card.md.j2")
