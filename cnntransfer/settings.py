"""What one setting of a recipe may be: its type, its range, its help text, its error message.

A setting is declared once, as the metadata of a dataclass field. The YAML reader, the
command-line options and the validation all work from that one declaration.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .errors import UsageError, nearest

_KEY = "cnntransfer.rule"


@dataclass(frozen=True)
class Rule:
    """What values a setting may take.

    Attributes:
        kind: ``bool``, ``int``, ``float`` or ``str``, or a parser ``(raw value) -> value``
            that raises ``ValueError`` with the words for "Expected ...".
        help: One line for ``--help``, without the default.
        minimum: Smallest allowed number, inclusive.
        maximum: Largest allowed number, inclusive.
        choices: The allowed words, if the setting is an enumeration.
        optional: Whether ``None`` (YAML ``null``) is allowed.
        metavar: What ``--help`` shows for the value of an option with a parser.
    """

    kind: type | Callable[[Any], Any]
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    metavar: str | None = None

    def expected(self) -> str:
        """The words that follow "Expected" in an error message."""
        if self.choices:
            return "one of: " + ", ".join(self.choices)
        noun = {bool: "true or false", int: "a whole number", float: "a number"}.get(
            self.kind,  # type: ignore[arg-type]
            "text",
        )
        if self.minimum is not None and self.maximum is not None:
            return f"{noun} from {_shown(self.minimum)} to {_shown(self.maximum)}"
        if self.minimum is not None:
            return f"{noun} of at least {_shown(self.minimum)}"
        return noun

    def parse(self, name: str, raw: object) -> Any:
        """Turn a raw value (from YAML, the command line or Python) into the setting's value.

        Raises:
            UsageError: the value is of the wrong type, out of range or not a choice.
        """
        if raw is None and self.optional:
            return None
        if not isinstance(self.kind, type):
            try:
                return self.kind(raw)
            except ValueError as error:
                raise UsageError(f"{name}: expected {error}. Received: {raw!r}.") from None
        value = self._converted(name, raw)
        if self.choices and value not in self.choices:
            raise self._wrong(name, raw, nearest(value, self.choices))
        if self.kind in (int, float):
            self._check_range(name, value)
        return value

    def _converted(self, name: str, raw: object) -> Any:
        if self.kind is bool and isinstance(raw, bool):
            return raw
        if self.kind is str and isinstance(raw, (str, int, float)) and not isinstance(raw, bool):
            if not str(raw).strip():
                raise self._wrong(name, raw)
            return str(raw)
        if self.kind in (int, float) and not isinstance(raw, bool):
            try:
                number = float(raw)  # type: ignore[arg-type]
            except (TypeError, ValueError, OverflowError):
                raise self._wrong(name, raw) from None
            if math.isfinite(number) and (self.kind is float or number.is_integer()):
                return self.kind(number)
        raise self._wrong(name, raw)

    def _check_range(self, name: str, value: float) -> None:
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if not low <= value <= high:
            allowed = min(max(value, low), high)
            raise self._wrong(name, value, f" The nearest allowed value is {_shown(allowed)}.")

    def _wrong(self, name: str, raw: object, hint: str = "") -> UsageError:
        return UsageError(f"{name}: expected {self.expected()}. Received: {raw!r}.{hint}")


def _shown(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else f"{number:g}"


def setting(default: Any, kind: Any, help: str = "", **limits: Any) -> Any:
    """A dataclass field with its :class:`Rule`."""
    return dataclasses.field(default=default, metadata={_KEY: Rule(kind, help, **limits)})


def rules(settings: type) -> dict[str, Rule]:
    """The rules of a dataclass by field name. Fields without a rule (sections) are left out."""
    return {f.name: f.metadata[_KEY] for f in dataclasses.fields(settings) if _KEY in f.metadata}


def reject_unknown(where: str, received: Iterable[object], known: Iterable[str]) -> None:
    """Raise a :class:`UsageError` for the first key that is not known, naming the nearest."""
    known = list(known)
    for key in received:
        if key not in known:
            raise UsageError(
                f"{where}: unknown key {key!r}.{nearest(key, known)} "
                f"Known keys: {', '.join(known)}."
            )


def numbers(expected: str, low: float, high: float, size: int) -> Callable[[Any], Any]:
    """A parser for ``size`` rising numbers in ``[low, high]``: a list, or text like ``0.8,1.2``."""

    def parse(raw: Any) -> tuple[float, ...]:
        parts = raw.replace(",", " ").split() if isinstance(raw, str) else raw
        try:
            values = tuple(Rule(float).parse("", part) for part in parts)
        except (TypeError, UsageError):
            raise ValueError(expected) from None
        in_range = all(low <= value <= high for value in values)
        if len(values) != size or not in_range or list(values) != sorted(values):
            raise ValueError(expected)
        return values

    return parse
