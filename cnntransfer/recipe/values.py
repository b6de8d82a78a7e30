"""Parsers of settings that are more than a number or a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import UsageError
from ..settings import Rule, numbers

AUTO = "auto"


def _whole_numbers(parts: list[Any], expected: str) -> list[int]:
    try:
        return [Rule(int).parse("", part) for part in parts]
    except UsageError:
        raise ValueError(expected) from None


def image_size(raw: Any) -> tuple[int, int]:
    """``224``, ``"224"``, ``"240x320"`` (height x width) or ``[240, 320]``."""
    expected = "an image size in pixels such as 224 or 240x320 (height x width)"
    parts = raw.lower().replace("×", "x").split("x") if isinstance(raw, str) else raw
    parts = list(parts) if isinstance(parts, (list, tuple)) else [parts]
    sides = _whole_numbers(parts, expected)
    if len(sides) not in (1, 2) or not all(1 <= side <= 4096 for side in sides):
        raise ValueError(expected)
    return sides[0], sides[-1]


def units(raw: Any) -> tuple[int, ...]:
    """``"256"``, ``"256,128"``, ``256``, ``[256, 128]``; ``"none"`` or ``[]`` for no layer."""
    expected = "the widths of the hidden dense layers such as 256 or 256,128, or none"
    if raw is None or (isinstance(raw, str) and raw.strip().lower() in ("", "none")):
        return ()
    parts = raw.replace(",", " ").split() if isinstance(raw, str) else raw
    parts = list(parts) if isinstance(parts, (list, tuple)) else [parts]
    widths = tuple(_whole_numbers(parts, expected))
    if not all(1 <= width <= 65536 for width in widths):
        raise ValueError(expected)
    return widths


def unfreeze(raw: Any) -> str:
    """A block, a number of layers or a share of them; ``none`` however that is written."""
    if isinstance(raw, bool) or not isinstance(raw, (str, int)) or not str(raw).strip():
        raise ValueError("none, all, a block such as block5, a number of layers or a share of them")
    text = str(raw).strip()
    return "none" if text.lower() in ("none", "0", "0%") else text


def count_or_auto(things: str, most: int) -> Callable[[Any], int | str]:
    """A number of things, or ``auto``."""

    def parse(raw: Any) -> int | str:
        if _is_auto(raw):
            return AUTO
        expected = f"a number of {things} from 1 to {most} such as 2, or auto"
        (count,) = _whole_numbers([raw], expected)
        if not 1 <= count <= most:
            raise ValueError(expected)
        return count

    return parse


def number_or_auto(noun: str, minimum: float, maximum: float) -> Callable[[Any], float | str]:
    """A number of some kind, or ``auto``.

    Args:
        noun: What it is, with an example: "a strength from 0 to 10 such as 0.01".
        minimum: Smallest allowed one.
        maximum: Largest allowed one.
    """

    def parse(raw: Any) -> float | str:
        if _is_auto(raw):
            return AUTO
        try:
            return float(Rule(float, minimum=minimum, maximum=maximum).parse("", raw))
        except UsageError:
            raise ValueError(f"{noun}, or auto") from None

    return parse


def _is_auto(raw: Any) -> bool:
    return isinstance(raw, str) and raw.strip().lower() == AUTO


def zoom(raw: Any) -> float | tuple[float, ...]:
    """A fraction (0.2 is [0.8, 1.2]) or a range, as ``ImageDataGenerator`` takes it."""
    expected = "a zoom fraction from 0 to 0.9 such as 0.2, or a range such as 0.8,1.2"
    if isinstance(raw, str) and "," not in raw and " " not in raw.strip():
        try:
            raw = float(raw)
        except ValueError:
            raise ValueError(expected) from None
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        if not 0 <= raw <= 0.9:
            raise ValueError(expected)
        return float(raw)
    return numbers(expected, 0.1, 10, size=2)(raw)  # type: ignore[no-any-return]


def alpha(raw: Any) -> float:
    """How strongly two images are mixed; 0 for not at all."""
    # Keras divides two random numbers, which may both be 0 when they are drawn with less.
    expected = "0 for none, or a number from 0.2 to 1"
    try:
        alpha = float(Rule(float).parse("", raw))
    except UsageError:
        raise ValueError(expected) from None
    if alpha and not 0.2 <= alpha <= 1:
        raise ValueError(expected)
    return alpha
