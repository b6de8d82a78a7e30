"""Ctrl-C and polite kills: each is a ``KeyboardInterrupt``, and none gets lost.

Python drops an exception that a signal's handler raises while a finaliser or the callback of a weak
reference runs ("Exception ignored in ..."); imports have such callbacks, which wait for the imports
of other threads. So the wish is noted, too, and :func:`check` is called wherever work advances.

Nor must one be raised where Python has just taken the lock of all imports and not yet seen to it
that it is given back: every other thread's imports would wait for ever. There it waits a moment.
"""

from __future__ import annotations

import signal
from types import FrameType

#: What a closing terminal and ``kill`` send; not everywhere there are both.
_ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_wishes: list[int] = []
#: Functions of Python's import machinery that take the lock of all imports, for microseconds, and
#: how many seconds an interruption waits for their end.
_IMPORTING, _TAKING_THE_LOCK = "<frozen importlib._bootstrap>", {"_get_module_lock", "cb"}
_MOMENT = 0.01


def expect() -> None:
    """Let a polite kill, or the terminal when it is closed, clean up like Ctrl-C does."""
    _wishes.clear()
    # A background job has SIGINT ignored; nohup has SIGHUP ignored, so that the command outlives
    # its terminal.
    for number in (signal.SIGINT, *_ENDINGS):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt if number == signal.SIGINT else _terminate)


def check() -> None:
    """Raise the ``KeyboardInterrupt`` that was lost, if there was one."""
    if _wishes:
        raise KeyboardInterrupt


def _interrupt(signum: int, frame: FrameType | None) -> None:
    _wishes.append(signum)
    if _may_hold_the_lock(frame) and hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, _MOMENT)
        return
    raise KeyboardInterrupt


def _may_hold_the_lock(frame: FrameType | None) -> bool:
    if frame is None:
        return False
    code = frame.f_code
    return code.co_filename == _IMPORTING and code.co_name in _TAKING_THE_LOCK


def _terminate(signum: int, frame: FrameType | None) -> None:
    # A closing terminal says it twice, itself and through the shell: the second time must not
    # stop the cleaning up.
    for number in _ENDINGS:
        if signal.getsignal(number) is _terminate:
            signal.signal(number, lambda signum, frame: None)
    _interrupt(signum, frame)
