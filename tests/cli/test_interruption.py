"""Ctrl-C is heeded even where Python drops its exception."""

import contextlib
import os
import signal
import time

import pytest

from cnntransfer.cli import interruption
from cnntransfer.cli.console import Console


@pytest.fixture
def handlers():
    """Python's own, as in a foreground process; put back afterwards."""
    numbers = [
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
    ]
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    interruption.expect()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_lost_one_is_raised_when_work_advances(handlers, number):
    interruption.expect()
    with contextlib.suppress(KeyboardInterrupt):  # As Python does in a weak reference's callback.
        os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt), Console(-1).task("Reading images") as advance:
        advance(1)
    interruption.expect()
    with Console(-1).task("Reading images") as advance:
        advance(1)


def test_one_that_is_ignored_stays_so(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interruption.expect()
    os.kill(os.getpid(), signal.SIGINT)
    interruption.check()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


#: What looks to a handler like a function of Python's import machinery.
_IMPORTING = """
def cb():
    import os, signal, time
    os.kill(os.getpid(), number)
    time.sleep(0.05)
    done.append("cb")

cb()
until = time.monotonic() + 5
while time.monotonic() < until:
    pass
done.append("too late")
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs SIGALRM")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_none_is_raised_where_the_lock_of_imports_is_held(handlers, number):
    """Threads that import would wait for ever; it is raised a moment later."""
    interruption.expect()
    done: list[str] = []
    code = compile(_IMPORTING, "<frozen importlib._bootstrap>", "exec")
    before = signal.getsignal(signal.SIGALRM)
    try:
        with pytest.raises(KeyboardInterrupt):
            exec(code, {"number": number, "done": done, "time": time})
    finally:
        signal.signal(signal.SIGALRM, before)
    assert done == ["cb"]
