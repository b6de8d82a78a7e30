"""An output that only one run at a time writes: no two choose it, none goes on with another's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from ..errors import OutputError
from ..progress import SILENT, Observer
from ..storage import cache_folder
from .resumption import RUN, resume_command, unfinished

#: Where locks lie in the cache. Empty files stay there: deleting one may take it from a holder.
_LOCKS = "locks"


@contextmanager
def reserved(output: Path) -> Iterator[Path]:
    """Keep an output for one run while the block lasts, or the process.

    Raises:
        OutputError: another run of this computer is writing it.
    """
    lock = _Lock(output)
    if not lock.acquire():
        raise OutputError(
            f"Expected an output that no other run writes. Received: {output}, which one is "
            "writing now. Wait for it, or choose another --output."
        )
    try:
        yield output
    finally:
        lock.release()


@contextmanager
def reserved_default(name: str, observer: Observer = SILENT) -> Iterator[Path]:
    """Keep ``runs/NAME``, or the first ``runs/NAME-2`` ... that nothing is or will be at.

    What is there already, what another run is writing and what an interrupted one left are not
    touched.

    Args:
        name: What the output is to be called.
        observer: Hears of interrupted runs that one could go on with instead.
    """
    for number in count(1):
        output = Path("runs") / (name if number == 1 else f"{name}-{number}")
        lock = _Lock(output)
        if os.path.lexists(output) or not lock.acquire():
            continue
        try:
            if os.path.lexists(output):  # The run that held it has finished a moment ago.
                continue
            if not os.path.lexists(unfinished(output)):
                yield output
                return
            if (unfinished(output) / RUN).is_file():
                observer.note(
                    f"{unfinished(output)} holds an interrupted run, which this one leaves alone. "
                    f"To go on with that one instead: {resume_command(output)}"
                )
        finally:
            lock.release()


class _Lock:
    """A lock that the operating system takes from a process that ends, however it ends.

    Where there is nowhere to keep one, everything is free: a run does not fail for that.
    """

    def __init__(self, output: Path) -> None:
        from filelock import FileLock

        name = hashlib.sha256(os.fsencode(output.resolve())).hexdigest()[:32]
        self._lock = FileLock(cache_folder() / _LOCKS / f"{name}.lock", timeout=0)

    def acquire(self) -> bool:
        """Take it; whether it was free."""
        from filelock import Timeout

        try:
            Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            return False
        except (OSError, NotImplementedError):  # A cache that is read-only, or knows no locks.
            return True
        return True

    def release(self) -> None:
        """Give it back."""
        self._lock.release()
