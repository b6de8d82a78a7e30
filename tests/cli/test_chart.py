"""Curves drawn with characters, exactly, and when they are drawn."""

import io

import pytest

from cnntransfer.cli import console as console_module
from cnntransfer.cli.chart import ASCII, BRAILLE, dots_for, history_chart
from cnntransfer.cli.console import Console


def history(losses, accuracies=None, stage="head"):
    accuracies = accuracies or [1 - loss / 4 for loss in losses]
    return [
        {"stage": stage, "epoch": str(i + 1), "val_loss": str(a), "val_accuracy": str(b)}
        for i, (a, b) in enumerate(zip(losses, accuracies, strict=True))
    ]


FALLING = history([2.0, 1.0, 0.5, 0.25, 0.125, 0.0])
TWO_STAGES = [*FALLING, *history([1.0, 0.5], stage="top")]


def test_braille():
    assert history_chart(FALLING, 43) == [
        "      val_loss               val_accuracy",
        "2.000 ⠱⡀               1.000       ⢀⡠⠤⠤⠒⠒⠊⠉",
        "       ⠑⡄                       ⣀⠔⠊⠁",
        "        ⠈⠑⠤⢄⡀                 ⢀⠎",
        "0.000       ⠈⠑⠒⠒⠤⠤⢄⣀   0.500 ⡰⠁",
        "epochs: head 6",
    ]


def test_ascii():
    assert history_chart(TWO_STAGES, 43, ASCII) == [
        "      val_loss               val_accuracy",
        "2.000 :                1.000       .'':",
        "       '.                       .''    '..'",
        "        ''..    .''.          .'        '",
        "0.000       '...'      0.500 .'",
        "epochs: head 6, top 2",
    ]


@pytest.mark.parametrize("dots", [BRAILLE, ASCII])
@pytest.mark.parametrize("width", [43, 60, 80, 200, 1000])
@pytest.mark.parametrize("epochs", [2, 3, 50, 5000])
def test_it_fits(dots, width, epochs):
    lines = history_chart(history([1 / (i + 1) for i in range(epochs)]), width, dots)
    assert len(lines) == 6
    assert max(map(len, lines)) <= min(width, 91)


def test_nothing_to_see():
    assert history_chart([], 80) == []
    assert history_chart(FALLING[:1], 80) == []
    assert history_chart(FALLING, 42) == []


def test_values_that_do_not_change_lie_at_the_bottom():
    lines = history_chart(history([0.5, 0.5, 0.5]), 43, ASCII)
    assert lines[1:4] == [f"0.500{' ' * 18}0.875", "", ""]
    assert lines[4].startswith("0.500 ..............")


@pytest.mark.parametrize("odd", ["nan", "inf"])
def test_what_is_no_number_leaves_a_gap(odd):
    values = [1.0, 0.8, odd, 0.2, 0.0]
    lines = history_chart(history(values, [0.0] * 5), 43, ASCII)
    assert lines[1].startswith("1.000 '")
    assert lines[4][:20].rstrip().endswith(".")
    assert history_chart(history([odd] * 3, [0.0] * 3), 43, ASCII)[1][:20] == f"0.000{' ' * 15}"


@pytest.mark.parametrize(
    ("encoding", "dots"),
    [
        ("utf-8", BRAILLE),
        ("UTF-16", BRAILLE),
        ("ascii", ASCII),
        ("latin-1", ASCII),
        ("cp1252", ASCII),
        ("no such encoding", ASCII),
        (None, ASCII),
    ],
)
def test_dots_that_the_terminal_has(encoding, dots):
    assert dots_for(encoding) is dots


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding="utf-8", *, is_terminal=True):
        super().__init__(io.BytesIO(), encoding, newline="\n")
        self._is_terminal = is_terminal

    def isatty(self):
        return self._is_terminal

    def shown(self):
        self.flush()
        return self.buffer.getvalue().decode(self.encoding).splitlines()


def drawn(monkeypatch, terminal, verbosity=0):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(console_module, "stderr", lambda: terminal)
    Console(verbosity).chart(FALLING)
    return terminal.shown()


@pytest.mark.parametrize(("encoding", "dots"), [("utf-8", BRAILLE), ("latin-1", ASCII)])
@pytest.mark.parametrize("verbosity", [0, 1])
def test_on_a_terminal(monkeypatch, encoding, dots, verbosity):
    assert drawn(monkeypatch, Terminal(encoding), verbosity) == history_chart(FALLING, 60, dots)


def test_not_with_quiet_and_not_into_a_file(monkeypatch):
    assert drawn(monkeypatch, Terminal(), -1) == []
    assert drawn(monkeypatch, Terminal(is_terminal=False)) == []
