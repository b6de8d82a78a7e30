"""One way to do the same thing to many items on all cores, in order and in bounded memory."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Processors this process may use (its affinity, not the machine's total)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Hurry:
    """Threads hand Python's lock on ten times as often while any thread wants them to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted_by = 0
        self._usual = 0.0

    def begin(self) -> None:
        with self._lock:
            self._wanted_by += 1
            if self._wanted_by == 1:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(self._usual / 10)

    def end(self) -> None:
        with self._lock:
            self._wanted_by -= 1
            if not self._wanted_by:
                sys.setswitchinterval(self._usual)


_hurry = _Hurry()


def start(function: Callable[[], Result]) -> Future[Result]:
    """Work something out on a thread of its own; ``.result()`` waits for it.

    Until it is done, threads hand Python's lock on ten times as often: what reads images needs it
    often and shortly, and would otherwise wait 5 ms each time for, say, an import.
    """
    _hurry.begin()
    executor = ThreadPoolExecutor(max_workers=1)
    future = executor.submit(function)
    future.add_done_callback(lambda _: _hurry.end())
    executor.shutdown(wait=False)
    return future


class Later(Generic[Result]):
    """Something that is worked out once, on a thread of its own, when it is first wanted."""

    def __init__(self, function: Callable[[], Result]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._future: Future[Result] | None = None

    def begin(self) -> Future[Result]:
        """Begin with it, if nobody has yet."""
        with self._lock:
            if self._future is None:
                self._future = start(self._function)
            return self._future

    def result(self) -> Result:
        """Wait for it."""
        return self.begin().result()


@contextmanager
def products_on_one_thread() -> Iterator[None]:
    """NumPy's and SciPy's products of matrices run on one thread while the block runs.

    For narrow ones more threads gain little, and lose twentyfold as soon as anything else wants a
    core: they wait for each other at every product.
    """
    # Only libraries that are loaded already are limited, and SciPy has one of its own.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int = 0
) -> Generator[Result, None, None]:
    """``map`` on threads: results come in the order of the items.

    Pillow, NumPy and LiteRT release the interpreter lock, so threads are enough. At most
    ``ahead`` items (default: ``4 * workers``) are under way or waiting to be taken, however many
    there are.
    """
    ahead = ahead or 4 * workers
    remaining = iter(items)
    pending: deque[Future[Result]] = deque()
    executor = ThreadPoolExecutor(max_workers=workers)
    try:
        for item in islice(remaining, ahead):
            pending.append(executor.submit(function, item))
        while pending:
            yield pending.popleft().result()
            for item in islice(remaining, 1):
                pending.append(executor.submit(function, item))
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
