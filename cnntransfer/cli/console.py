"""What a command shows: results on stdout; notes and progress on stderr."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, TextIO

import click

from ..progress import Observer
from .interruption import check

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Console(Observer):
    """An observer that writes to the terminal.

    Args:
        verbosity: -1 says only errors, 0 notes and progress bars, 1 every epoch too.
    """

    def __init__(self, verbosity: int = 0) -> None:
        self.verbosity = verbosity
        self._bars: Any = None
        stderr()  # Opened before anything can silence the process.

    @contextmanager
    def task(
        self, title: str, total: int | None = None, unit: str = "images"
    ) -> Iterator[Callable[[int], None]]:
        """A progress bar, where stderr is a terminal."""
        if self.verbosity < 0 or not is_terminal(stderr()):
            yield lambda steps: check()
            return
        with _progress_bars() as bars:
            self._bars = bars
            bar = bars.add_task(title, total=total, unit=unit)

            def advance(steps: int) -> None:
                check()
                bars.advance(bar, steps)

            try:
                yield advance
            finally:
                self._bars = None

    def task_with_lines(
        self, title: str, total: int | None = None
    ) -> AbstractContextManager[Callable[[int], None]]:
        """The same where every step prints a line: on a terminal these are the progress.

        A bar would be drawn through them.
        """
        return (
            nullcontext(lambda steps: check())
            if is_terminal(sys.stdout)
            else self.task(title, total)
        )

    def note(self, message: str) -> None:
        """One line on stderr."""
        if self.verbosity >= 0:
            self._to_stderr(message)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """One line on stderr with ``-v``."""
        if self.verbosity > 0:
            self._to_stderr(
                f"{row['stage']} {row['epoch']}: loss {row['loss']:.4f}, "
                f"accuracy {row['accuracy']:.3f}, val_loss {row['val_loss']:.4f}, "
                f"val_accuracy {row['val_accuracy']:.3f}"
            )

    def chart(self, history: Sequence[Mapping[str, Any]]) -> None:
        """The curves of a finished run, where stderr is a terminal."""
        stream = stderr()
        if self.verbosity < 0 or stream is None or not is_terminal(stream):
            return
        from rich.console import Console as RichConsole

        from .chart import dots_for, history_chart

        width = RichConsole(file=stream).width
        for line in history_chart(history, width, dots_for(stream.encoding)):
            complain(line)

    def next(self, *commands: str) -> None:
        """What to type now."""
        for number, command in enumerate(commands):
            self.note(f"{'Next:' if number == 0 else '  or:'} {command}")

    def _to_stderr(self, message: str) -> None:
        if self._bars is not None:
            self._bars.console.print(
                visible(message), markup=False, highlight=False, soft_wrap=True
            )
        else:
            complain(message)


def stderr() -> TextIO | None:
    """Standard error, out of reach of :func:`cnntransfer.frameworks.quiet`.

    That one silences the whole process while another thread imports TensorFlow; what the user is
    to read meanwhile goes through a descriptor of our own.
    """
    stream = sys.stderr
    try:
        is_the_process_s = stream is not None and stream.fileno() == 2
    except (OSError, ValueError):
        is_the_process_s = False
    return _own_stderr() if is_the_process_s else stream


@functools.cache
def _own_stderr() -> TextIO:
    return os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding, errors="backslashreplace")


def complain(message: str) -> None:
    """A line on stderr, whatever is in it. Where nothing takes it, the work goes on without."""
    with suppress(OSError):
        click.echo(visible(message), file=stderr(), err=True)


def visible(text: object) -> str:
    """A text as one line: line ends, commands to terminals and odd bytes are escaped."""
    shown = str(text).encode("utf-8", "backslashreplace").decode("utf-8")
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), shown)


@contextmanager
def may_go_unread() -> Iterator[None]:
    """Results whose reader (head, less) may have seen enough, while the exit code still counts."""
    try:
        yield
    except BrokenPipeError:
        drop_stdout()


def drop_stdout() -> None:
    """Keep Python from complaining, when it exits, of output that nothing takes any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def echo(text: str = "", *, nl: bool = True) -> None:
    """A line on stdout; what is no Unicode (bytes of odd file names) as ``\\udcXX``."""
    click.echo(text.encode("utf-8", "backslashreplace").decode("utf-8"), nl=nl)


def json_text(value: object, indent: int | None = None) -> str:
    """JSON with readable letters, where the terminal has them."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode("utf-8" if encoding.lower() in ("ascii", "us-ascii") else encoding)
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


def print_json(value: object) -> None:
    """A result for programs, on stdout."""
    click.echo(json_text(value, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; columns of numbers are aligned right."""
    from rich import box
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for position, column in enumerate(columns):
        is_number = all(isinstance(row[position], (int, float)) for row in rows)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    # Piped output is not cut at 80 columns.
    width = None if is_terminal(sys.stdout) else 1000
    console = RichConsole(file=sys.stdout, width=width, highlight=False)
    with console.capture() as capture:
        console.print(table)
    echo("\n".join(line.rstrip() for line in capture.get().splitlines()).strip("\n"))


def is_terminal(stream: Any) -> bool:
    """Whether a person watches a stream; a closed one is ``None``."""
    return stream is not None and bool(stream.isatty())


def percent(fraction: float) -> str:
    """``0.9473`` -> ``94.7 %``."""
    return f"{100 * fraction:.1f} %"


def shell_word(value: object) -> str:
    """A path as it must be typed in a shell."""
    import shlex

    text = str(value)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _progress_bars() -> Any:
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            if task.total is None:
                return Text(f"{task.elapsed or 0:.0f} s")
            return Text(f"{task.speed or 0:,.0f} {task.fields['unit']}/s")

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=RichConsole(file=stderr()),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
