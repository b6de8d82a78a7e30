"""Running a bundle's LiteRT files: from a uint8 image to probabilities, on several threads."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError
from ..frameworks import litert_interpreter, quiet
from ..parallel import ordered_map
from .packed import PackedNetwork, open_packed

Item = TypeVar("Item")


@dataclass(frozen=True)
class Outputs:
    """What one image gave: the output of every file of the chain, float32 vectors."""

    of_files: tuple[NDArray[np.float32], ...]

    @property
    def features(self) -> NDArray[np.float32]:
        """Output of the first file, shape (d,)."""
        return self.of_files[0]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Output of the last file, shape (classes,)."""
        return self.of_files[-1]


class LiteRTEngine:
    """A chain of LiteRT files (trunk, head), each run on the output of the one before.

    Images are run one at a time, so that a result never depends on its neighbours; speed comes
    from ``workers`` chains side by side, which :meth:`run` hands out to the calling threads.

    Args:
        files: LiteRT files, each with one input and one output and a batch dimension of 1.
        workers: How many calls of :meth:`run` may go on at the same time.
        threads: Processor threads inside each call.
        packed: Take packed weights from the user's cache where they are kept (:mod:`.packed`); for
            one worker.

    Raises:
        BundleError: a file is damaged.
    """

    def __init__(
        self,
        files: Sequence[Path],
        workers: int = 1,
        threads: int = 1,
        *,
        packed: bool = False,
    ) -> None:
        self._workers = workers
        self._chains: queue.SimpleQueue[list[_Step | PackedNetwork]] = queue.SimpleQueue()
        with quiet():
            for _ in range(workers):
                self._chains.put([_load(file, threads, packed) for file in files])

    def run(self, array: NDArray[Any]) -> Outputs:
        """Run one image, uint8 (height, width, 3), or one vector of features, float32 (d,)."""
        chain = self._chains.get()
        try:
            outputs = []
            for step in chain:
                array = step.run(array)
                outputs.append(array)
            return Outputs(tuple(outputs))
        finally:
            self._chains.put(chain)

    def map(self, make: Callable[[Item], NDArray[Any]], items: Iterable[Item]) -> Iterator[Outputs]:
        """Make an array of every item and run it, on all workers; outputs in order."""
        return ordered_map(lambda item: self.run(make(item)), items, self._workers)


def _load(file: Path, threads: int, packed: bool) -> _Step | PackedNetwork:
    return (open_packed(file, threads) if packed else None) or _Step(file, threads)


class _Step:
    """One interpreter of one file."""

    def __init__(self, file: Path, threads: int) -> None:
        interpreter = litert_interpreter()
        try:
            str(file).encode()
        except UnicodeEncodeError:
            raise BundleError(
                f"Expected a model in a folder with a name of UTF-8. Received: {file}. Rename it."
            ) from None
        try:
            self._interpreter = interpreter(model_path=str(file), num_threads=threads)
            self._interpreter.allocate_tensors()
            self._input = self._interpreter.get_input_details()[0]["index"]
            self._output = self._interpreter.get_output_details()[0]["index"]
        except (ValueError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())[:160]
            raise BundleError(
                f"Expected a LiteRT model. Received: {file}, which cannot be loaded ({reason}). "
                "Copy it again, or repeat what wrote it."
            ) from None

    def run(self, array: NDArray[Any]) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input, array[np.newaxis].astype(np.float32))
        self._interpreter.invoke()
        output: NDArray[np.float32] = self._interpreter.get_tensor(self._output)[0]
        return output
