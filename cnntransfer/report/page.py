"""A report as one page of HTML that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from .content import SUBSET_WORDS, Report

if TYPE_CHECKING:
    from jinja2 import Template

#: Names of classes that are written out in the introduction.
_NAMED = 12
#: Photos of a gallery, and groups of near-duplicates, that are seen at once.
_OPEN, _OPEN_GROUPS = 12, 4


def render(report: Report) -> str:
    """The page.

    Whatever a name holds, it is text: everything is escaped, and the page forbids itself every
    script and style but its own two, which it knows by their hash.
    """
    style, script = _asset("report.css"), _asset("report.js")
    return template().render(
        report=report,
        style=_markup(style),
        script=_markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        subset_words=SUBSET_WORDS,
        named=_NAMED,
        open_photos=_OPEN,
        open_groups=_OPEN_GROUPS,
    )


@functools.cache
def template() -> Template:
    """The page's template, compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cnntransfer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, probability=probability, figure=figure, count=count)
    return environment.get_template("report.html.j2")


def percent(share: float, digits: int = 1) -> str:
    """``0.829`` -> ``82.9 %``, which does not break."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def probability(value: float) -> str:
    """In whole percent; what is nearly certain is not called certain."""
    if 0.995 <= value < 1:
        return ">99\N{NO-BREAK SPACE}%"
    if 0 < value < 0.005:
        return "<1\N{NO-BREAK SPACE}%"
    return percent(value, 0)


def figure(value: float, is_share: bool) -> str:
    """A figure in percent or as it is."""
    return percent(value) if is_share else f"{value:.3f}"


def count(number: int) -> str:
    """``1234`` -> ``1,234``."""
    return f"{number:,}"


def _asset(name: str) -> str:
    return (files("cnntransfer.report") / "templates" / name).read_text(encoding="utf-8")


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)


def _hash(text: str) -> str:
    """As a Content-Security-Policy names a script or style."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
