"""An output that only one run at a time writes: no two choose it, none goes on with another's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from ..errors import OutputError
from ..storage import cache_folder
from .resumption import unfinished

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
def reserved_default(name: str) -> Iterator[Path]:
    """Keep ``runs/NAME``, or the first ``runs/NAME-2`` ... that nothing is or will be at.

    What is there already, what another run is writing and what an interrupted one left are not
    touched.
    """
    for number in count(1):
        output = Path("runs") / (name if number == 1 else f"{name}-{number}")
        lock = _Lock(output)
        if not _is_free(output) or not lock.acquire():
            continue
        try:
            # Again: the run that held it may have finished a moment ago.
            if _is_free(output):
                yield output
                return
        finally:
            lock.release()


def _is_free(output: Path) -> bool:
    return not os.path.lexists(output) and not os.path.lexists(unfinished(output))


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
