"""What is asked about a textbook's layer: the settings, and how they are typed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..models.anatomy import SAME, VALID, Pair, Shape, Sides, Window
from ..settings import setting

#: Larger numbers are slips of the finger.
_MOST = 1_000_000


def _numbers(raw: Any, least: int) -> tuple[int, ...] | None:
    """The whole numbers of a text like ``32x32x3``; ``None`` where it is something else."""
    text = str(raw).strip().lower().replace("×", "x")
    if not re.fullmatch(r"\d{1,9}(x\d{1,9})*", text):
        return None
    numbers = tuple(map(int, text.split("x")))
    return numbers if all(least <= number <= _MOST for number in numbers) else None


def _shape(raw: Any) -> Shape:
    """``32x32x3``, height x width x channels; ``320``, the units of a vector."""
    numbers = _numbers(raw, 1)
    if numbers is None or len(numbers) not in (1, 3):
        raise ValueError("an input, height x width x channels, such as 32x32x3")
    return numbers


def _pair(noun: str) -> Callable[[Any], tuple[int, int]]:
    """A parser of ``5`` or ``5x3``: height x width.

    Args:
        noun: What it is, with its article.
    """

    def parse(raw: Any) -> tuple[int, int]:
        numbers = _numbers(raw, 1)
        if numbers is None or len(numbers) > 2:
            raise ValueError(f"{noun} such as 3, or height x width such as 5x3")
        return numbers[0], numbers[-1]

    return parse


def _padding(raw: Any) -> str | Sides:
    """``2``, ``2x1`` (above and below, left and right), ``same`` or ``valid``."""
    word = str(raw).strip().lower()
    if word in (SAME, VALID):
        return word
    numbers = _numbers(raw, 0)
    if numbers is None or len(numbers) > 2:
        raise ValueError("same, valid, or zeros on each side such as 2 or 2x1 (height x width)")
    vertical, horizontal = numbers[0], numbers[-1]
    return (vertical, vertical), (horizontal, horizontal)


@dataclass(frozen=True)
class Question:
    """A layer and its input; each word of :data:`WORDS` needs and takes some of these."""

    input: tuple[int, ...] | None = setting(
        None,
        _shape,
        "What goes in: height x width x channels, such as 32x32x3.",
        optional=True,
        metavar="HxWxC",
    )
    filters: int | None = setting(
        None, int, "Filters: the channels that come out.", minimum=1, optional=True
    )
    units: int | None = setting(None, int, "Units of a dense layer.", minimum=1, optional=True)
    kernel: tuple[int, int] | None = setting(
        None, _pair("a kernel"), "Size of the window.", optional=True, metavar="N|HxW"
    )
    stride: tuple[int, int] | None = setting(
        None,
        _pair("a stride"),
        "Positions that the window moves on. [default: 1; of pool: the kernel]",
        optional=True,
        metavar="N|HxW",
    )
    padding: str | tuple[tuple[int, int], tuple[int, int]] = setting(
        VALID,
        _padding,
        "Zeros on each side, or Keras' words; of a transposed convolution, outputs cut off.",
        metavar="N|HxW|same|valid",
    )
    dilation: tuple[int, int] | None = setting(
        None,
        _pair("a dilation"),
        "Positions from one number of the kernel to the next. [default: 1]",
        optional=True,
        metavar="N|HxW",
    )
    groups: int = setting(1, int, "Groups of channels that see nothing of each other.", minimum=1)
    multiplier: int = setting(
        1, int, "Filters per channel of depthwise and separable convolutions.", minimum=1
    )
    pooling: str = setting(
        "max", str, "The largest number of a window, or the mean.", choices=("max", "avg")
    )
    transposed: bool = setting(
        False, bool, "The convolution backwards: a stride of 2 doubles the size."
    )
    bias: bool = setting(True, bool, "One more parameter for each filter or unit.")
    round_down: bool = setting(
        False,
        bool,
        "Where the stride does not fit, leave the last positions out, as Keras does, instead of "
        "refusing.",
    )

    def given(self) -> list[str]:
        """The settings that are not as they are by default."""
        default = Question()
        return [name for name, value in vars(self).items() if value != getattr(default, name)]

    def window(self, stride: Pair = (1, 1)) -> Window:
        """What slides over the map.

        Args:
            stride: The one that is meant if none is given.
        """
        return Window(
            self.kernel or (1, 1),
            self.stride or stride,
            self.padding,
            self.dilation or (1, 1),
            self.transposed,
        )
