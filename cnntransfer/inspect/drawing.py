"""A drawing of a network, as PNG or SVG."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import OutputError, UsageError
from ..models.anatomy import Anatomy, Facts
from ..storage import atomic_file
from .layout import ROW_WIDTH, Box, Layout, lay_out
from .tables import times

_DPI = 120
#: Inches. A row has from its top: arcs, boxes, sizes, two tracks.
_MARGIN, _LEFT = 0.3, 0.95
_ARCS, _BOXES, _SIZES, _TRACK, _ROW_GAP = 0.55, 1.7, 0.68, 0.42, 0.2
_ROW = _ARCS + _BOXES + _SIZES + 2 * _TRACK + _ROW_GAP
_TITLE, _LEGEND = 0.5, 0.75
#: A map of one position is still seen.
_LOWEST = 0.05
#: Inches that a character of a text takes, at most.
_CHARACTER = 0.075
_FONT = 8

#: Look -> (colour, words of the legend). Colours of Okabe and Ito, which colour-blind people tell
#: apart (https://jfly.uni-koeln.de/color/).
_LOOKS = {
    "input": ("#FFFFFF", "input"),
    "convolution": ("#0072B2", "convolution"),
    "grouped": ("#56B4E9", "depthwise or grouped convolution"),
    "separable": ("#009E73", "separable convolution"),
    "pooling": ("#E69F00", "pooling"),
    "dense": ("#D55E00", "dense"),
    "merge": ("#F0E442", "add, multiply, concatenate"),
}
#: What the bars show.
_TRACKS: dict[str, Callable[[Facts], int]] = {
    "parameters": lambda facts: facts.parameters.total,
    "multiply-adds": lambda facts: facts.multiply_adds,
}


def check_target(option: str, file: str, suffix: str, *, overwrite: bool) -> Path:
    """Where a drawing is to be written.

    Args:
        option: What it was given with, for the message.
        file: What was given.
        suffix: What its name must end in.
        overwrite: Whether an existing file may be replaced.

    Raises:
        UsageError: the name ends otherwise.
        OutputError: it exists, or is a folder.
    """
    target = Path(file).expanduser()
    if target.suffix.lower() != suffix:
        raise UsageError(
            f"{option}: expected a file name that ends in {suffix}. Received: {file!r}."
        )
    if target.is_dir() or (target.exists() and not overwrite):
        raise OutputError(
            f"{option}: expected a new file. Received: {file}, which exists. "
            "Choose another name, or allow it with --overwrite."
        )
    return target


def draw(anatomy: Anatomy, target: Path) -> None:
    """Draw a network.

    Args:
        anatomy: What to draw.
        target: A file whose name ends in ``.png`` or ``.svg``; replaced if it exists.

    Raises:
        OutputError: it cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    layout = lay_out(anatomy)
    width = _LEFT + ROW_WIDTH + _MARGIN
    height = _TITLE + layout.rows * _ROW + _LEGEND
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    axes.text(_MARGIN, height - 0.3, _title(anatomy), fontsize=12, va="center", parse_math=False)
    tops = [height - _TITLE - row * _ROW for row in range(layout.rows)]
    _Picture(axes, layout, tops).draw()
    _draw_legend(axes, layout)
    # Letters as letters, so that the file can be searched; no date, so that it is the same again.
    settings = {"svg.fonttype": "none", "svg.hashsalt": "cnntransfer"}
    metadata = {"Date": None} if target.suffix.lower() == ".svg" else {}
    with (
        atomic_file(target) as draft,
        matplotlib.rc_context(settings),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # Of letters that the font lacks.
        figure.savefig(draft, metadata=metadata)


class _Picture:
    """The rows of a drawing."""

    def __init__(self, axes: Any, layout: Layout, tops: list[float]) -> None:
        self._axes, self._layout, self._tops = axes, layout, tops

    def draw(self) -> None:
        """Draw all of them."""
        for number, box in enumerate(self._layout.boxes):
            self._draw_box(box)
            for source in box.sources:
                if number - source > 1:
                    self._draw_connection(self._layout.boxes[source], box)
        if self._layout.is_roomy:
            for box in self._layout.boxes:
                self._label(box)
        else:
            self._draw_stages()
        self._draw_tracks()

    def _middle(self, box: Box) -> float:
        """The height of the line that a row's boxes are threaded on."""
        return self._tops[box.row] - _ARCS - _BOXES / 2

    def _half(self, box: Box) -> float:
        return max(_LOWEST, box.height * _BOXES) / 2

    def _draw_box(self, box: Box) -> None:
        from matplotlib.patches import Rectangle

        half, bottom = self._half(box), self._middle(box) - self._half(box)
        colour = _LOOKS[box.look][0]
        self._axes.add_patch(
            Rectangle(
                (_LEFT + box.left, bottom), box.width, 2 * half, facecolor=colour,
                edgecolor="0.25", linewidth=0.5, zorder=2,
            )
        )  # fmt: skip
        if _is_trained(box.facts):
            x = _LEFT + box.left
            self._axes.plot(
                (x, x + box.width), (bottom - 0.05,) * 2, color="black", linewidth=2.5,
                solid_capstyle="butt", zorder=3,
            )  # fmt: skip

    def _draw_connection(self, source: Box, target: Box) -> None:
        """What goes around its neighbours; at the end of a row it goes on in the next."""
        if source.row == target.row:
            self._arc(source.row, source.middle, self._half(source), target.middle,
                      self._half(target))  # fmt: skip
            return
        self._arc(source.row, source.middle, self._half(source), ROW_WIDTH + 0.15, _BOXES / 2)
        self._arc(target.row, -0.15, _BOXES / 2, target.middle, self._half(target))

    def _arc(self, row: int, left: float, low: float, right: float, high: float) -> None:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path as Curve

        middle = self._tops[row] - _ARCS - _BOXES / 2
        rise = _BOXES / 2 * 1.02 + min(_ARCS, 0.08 + 0.25 * (right - left))
        points = [
            (_LEFT + left, middle + low), (_LEFT + left, middle + rise),
            (_LEFT + right, middle + rise), (_LEFT + right, middle + high),
        ]  # fmt: skip
        codes = [Curve.MOVETO, *[Curve.CURVE4] * 3]
        self._axes.add_patch(
            PathPatch(Curve(points, codes), facecolor="none", edgecolor="0.55", linewidth=0.7)
        )

    def _label(self, box: Box) -> None:
        """What it is above it, what comes out below it."""
        window, middle = box.facts.window, self._middle(box)
        kind = box.facts.kind + (f"\n{times(window.kernel)}" if window else "")
        self._text(box.middle, middle + self._half(box) + 0.06, kind, box.width + 0.15, "bottom")
        below = middle - self._half(box) - 0.12
        self._text(box.middle, below, times(box.facts.output), box.width + 0.15, "top")

    def _text(self, x: float, y: float, words: str, room: float, va: str) -> None:
        """Words at an x of a row, turned where there is too little room."""
        longest = max(map(len, words.split("\n")))
        self._axes.text(
            _LEFT + x, y, words, ha="center", va=va, fontsize=_FONT, parse_math=False,
            rotation=90 if longest * _CHARACTER > room else 0,
        )  # fmt: skip

    def _draw_stages(self) -> None:
        """The sizes of maps, below those that have them."""
        boxes = self._layout.boxes
        for stage in self._layout.stages:
            first, last = boxes[stage.first], boxes[stage.last]
            y, room = self._middle(first) - _BOXES / 2 - 0.1, last.left + last.width - first.left
            x = first.left + room / 2
            self._axes.plot(
                (_LEFT + first.left, _LEFT + first.left + room), (y, y), color="0.4", linewidth=1
            )
            channels = max(box.facts.output[-1] for box in boxes[stage.first : stage.last + 1])
            for more in (f"up to {channels:,} channels", f"to {channels:,}", ""):
                words = f"{stage.size}\n{more}".strip()
                if not more or max(map(len, words.split("\n"))) * _CHARACTER < room:
                    self._text(x, y - 0.05, words, room, "top")
                    break

    def _draw_tracks(self) -> None:
        """Where parameters and multiply-adds are: bars below the boxes."""
        from matplotlib.patches import Rectangle

        boxes = self._layout.boxes
        for track, (title, number) in enumerate(_TRACKS.items()):
            most = max(number(box.facts) for box in boxes) or 1
            for row, top in enumerate(self._tops):
                bottom = top - _ARCS - _BOXES - _SIZES - (track + 1) * _TRACK
                last = [box for box in boxes if box.row == row][-1]
                end = _LEFT + last.left + last.width
                self._axes.plot((_LEFT, end), (bottom, bottom), color="0.7", linewidth=0.5)
                words = f"{title}\nup to {short(most)}"
                self._axes.text(
                    _LEFT - 0.08, bottom + 0.02, words, ha="right", va="bottom", fontsize=7
                )
                for box in boxes:
                    if box.row == row and number(box.facts):
                        size = (_TRACK - 0.1) * number(box.facts) / most
                        colour = _LOOKS[box.look][0]
                        self._axes.add_patch(
                            Rectangle(
                                (_LEFT + box.left, bottom), box.width, size, facecolor=colour,
                                edgecolor="0.25", linewidth=0.3,
                            )
                        )  # fmt: skip


def _draw_legend(axes: Any, layout: Layout) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    there = {box.look for box in layout.boxes}
    handles: list[Any] = [
        Patch(facecolor=colour, edgecolor="0.25", label=words)
        for look, (colour, words) in _LOOKS.items()
        if look in there
    ]
    if any(_is_trained(box.facts) for box in layout.boxes):
        handles.append(Line2D([], [], color="black", linewidth=2.5, label="trained"))
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.015, 0.01), ncols=len(handles),
        fontsize=_FONT, frameon=False, title_fontsize=_FONT, alignment="left",
        title="Height: side of the map (square root). Width: channels (logarithm). "
        "Arcs: what goes around its neighbours.",
    )  # fmt: skip


def _is_trained(facts: Facts) -> bool:
    return facts.trained and facts.parameters.weights + facts.parameters.biases > 0


def _title(anatomy: Anatomy) -> str:
    size = times(anatomy.layers[0].output)
    return (
        f"{anatomy.name}: {size}, {len(anatomy.layers)} layers, "
        f"{short(anatomy.parameters)} parameters, {short(anatomy.multiply_adds)} multiply-adds"
    )


def short(number: int) -> str:
    """``23587712`` -> ``23.6 M``."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return str(number)
