"""The form of a bundle's metadata: what it must hold, as far as anything reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Kinds of values. JSON has exact types; isinstance() would take true for a whole number.
_OBJECT, _TEXT, _WHOLE, _NUMBER, _LIST = (dict,), (str,), (int,), (int, float), (list,)
_KIND_NAMES: dict[tuple[type, ...], str] = {
    _OBJECT: "an object",
    _TEXT: "a text",
    _WHOLE: "a whole number",
    _NUMBER: "a number",
    _LIST: "a list",
}
#: What every bundle's metadata holds, as far as anything reads it: dotted place -> kind. ``*`` is
#: every name there is. A place stands after the one that it lies in.
_NEEDED: dict[str, tuple[type, ...]] = {
    "backbone": _TEXT,
    "weights": _OBJECT,
    "input": _OBJECT,
    "input.height": _WHOLE,
    "input.width": _WHOLE,
    "input.resize": _TEXT,
    "output": _OBJECT,
    "output.classes": _WHOLE,
    "files": _OBJECT,
    "files.*": _OBJECT,
    "files.*.bytes": _WHOLE,
    "files.*.sha256": _TEXT,
}
#: The same for what a bundle of a bare network lacks.
_OPTIONAL: dict[str, tuple[type, ...]] = {
    "dataset": _OBJECT,
    "dataset.rejected": _WHOLE,
    "dataset.near_duplicates": _OBJECT,
    "dataset.near_duplicates.*": _WHOLE,
    "metrics": _OBJECT,
    "metrics.*": _OBJECT,
    "metrics.*.images": _WHOLE,
    "metrics.*.accuracy": _NUMBER,
    "metrics.*.balanced_accuracy": _NUMBER,
    "metrics.*.intervals": _OBJECT,
    "metrics.*.intervals.*": _OBJECT,
    "metrics.*.intervals.*.low": _NUMBER,
    "metrics.*.intervals.*.high": _NUMBER,
    "metrics.*.intervals.*.method": _TEXT,
    "calibration": _OBJECT,
    "calibration.temperature": _NUMBER,
    "undone_stages": _LIST,
    "seconds": _OBJECT,
    "seconds.*": _NUMBER,
    "forecast": _OBJECT,
    "forecast.seconds": _OBJECT,
    "forecast.seconds.*": _NUMBER,
    "forecast.took": _NUMBER,
    "versions": _OBJECT,
    "versions.*": _TEXT,
}
_MISSING = object()


def wrong_form(metadata: Mapping[str, Any]) -> str | None:
    """What is not as the tables above say, so that nothing must look that reads it later.

    Args:
        metadata: The content of ``metadata.json``.

    Returns:
        The first place that is wrong, what is expected there and what was found; ``None`` where
        all is right.
    """
    for table in (_NEEDED, _OPTIONAL):
        for place, kind in table.items():
            for found, value in _values(metadata, place.split(".")):
                if value is _MISSING and table is _OPTIONAL:
                    continue
                if type(value) not in kind:
                    shown = "nothing" if value is _MISSING else json.dumps(value)[:40]
                    return f"{found}: expected {_KIND_NAMES[kind]}, found {shown}"
    return None


def _values(
    content: object, parts: Sequence[str], above: tuple[str, ...] = ()
) -> Iterator[tuple[str, object]]:
    """What lies at a dotted place: (its full name, the value or ``_MISSING``)."""
    if not parts:
        yield ".".join(above), content
    elif isinstance(content, dict):
        for name in content if parts[0] == "*" else parts[:1]:
            yield from _values(content.get(name, _MISSING), parts[1:], (*above, name))
