"""Networks whose weights lie in the user's cache as the processor wants them, to begin at once.

Before it computes, LiteRT copies a network's weights into the order in which the processor's
instructions take them. For a single image that takes longer than all the rest: 0.2 s for ResNet50.
LiteRT's newer interface can keep the copy in a file, which is only mapped the next time. It holds
Python's lock while it computes, so it is of use for one image at a time.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import cache
from ..frameworks import litert_compiled, litert_version
from ..parallel import start
from ..processor import features
from ..storage import cache_folder

_WEIGHTS, _CHECK, _FAILED = "weights", "check.txt", "failed"
#: Smaller files are packed faster than the newer interface is imported.
_WORTH_BYTES = 20_000_000
#: Of the cache's limit, what is kept may take at most this part, so that nothing else has to go.
_PART = 20
#: Networks that were loaded stay: LiteRT may have something to say, on stderr, when one goes.
_loaded: list[Any] = []


class PackedNetwork:
    """A LiteRT file with one input, one output and a batch dimension of 1.

    Args:
        file: The network.
        weights: Its packed weights, which are written where they are missing. LiteRT believes what
            it reads, and ends the process where it cannot write.
        threads: Processor threads inside a call.

    Raises:
        RuntimeError: LiteRT cannot load the network.
    """

    def __init__(self, file: Path, weights: Path, threads: int) -> None:
        litert = litert_compiled()
        options = litert.Options(
            hardware_accelerators=litert.HardwareAccelerator.CPU,
            cpu_options=litert.CpuOptions(
                num_threads=threads, xnnpack_weight_cache_path=str(weights)
            ),
        )
        model = litert.CompiledModel.from_file(
            str(file), environment=_environment(), options=options
        )
        _loaded.append(model)
        signature = next(iter(model.get_signature_list()))
        (taken,) = model.get_input_tensor_details(signature).values()
        (given,) = model.get_output_tensor_details(signature).values()
        self._model: Any = model
        self._shape = tuple(given["shape"][1:])
        self._inputs = model.create_input_buffers(0)
        self._outputs = model.create_output_buffers(0)
        # What LiteRT has to say it says when a buffer is written for the first time.
        self._inputs[0].write(np.zeros(taken["shape"], np.float32))

    def run(self, array: NDArray[Any]) -> NDArray[np.float32]:
        """Run one image, uint8 (height, width, 3), or one vector, float32 (d,).

        Returns:
            float32, the output without its batch dimension.
        """
        self._inputs[0].write(array[np.newaxis].astype(np.float32))
        self._model.run_by_index(0, self._inputs, self._outputs)
        output: NDArray[np.float32] = self._outputs[0].read(int(np.prod(self._shape)), np.float32)
        return output.reshape(self._shape)


def open_packed(file: Path, threads: int) -> PackedNetwork | None:
    """Load a network with its packed weights.

    Returns:
        The network; ``None`` if its weights are not kept, or anything else is in the way.
    """
    with suppress(Exception):
        folder = _folder(file)
        if (folder / _CHECK).is_file():
            intact = start(lambda: _is_intact(folder))
            litert_compiled()  # Imported while the weights are read.
            if intact.result():
                cache.use(folder)
                return PackedNetwork(file, folder / _WEIGHTS, threads)
            (folder / _CHECK).unlink()  # So that they are packed again.
    return None


def keep_packed(file: Path) -> None:
    """Pack a network's weights for the next time, if this is the second one that it is used.

    Who uses a network once, as in a container that is thrown away, never waits for that. Where it
    is not possible, nothing is said: it only saves time.
    """
    with suppress(Exception):
        if not _WORTH_BYTES <= file.stat().st_size <= cache.limit() / _PART:
            return
        folder = _folder(file)
        if not folder.is_dir():
            with cache.entry(folder):
                pass  # An empty one says that it was used.
        elif not any((folder / name).exists() for name in (_CHECK, _FAILED)):
            litert_compiled()
            try:
                _pack(file, folder)
            except Exception:
                (folder / _FAILED).touch()


def _pack(file: Path, folder: Path) -> None:
    with cache.entry(folder) as draft:
        weights = draft / _WEIGHTS
        # In a process of its own, which LiteRT may end: on a full disk it aborts.
        command = [sys.executable, "-c", _program(), str(file), str(weights)]
        subprocess.run(command, check=True, capture_output=True)
        with weights.open("rb+") as written:
            os.fsync(written.fileno())
        (draft / _CHECK).write_text(_checksum(weights), encoding="ascii")


def _program() -> str:
    # Not -m, which would look for modules in the current folder, among the user's photos, first.
    return f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; main()"


def _is_intact(folder: Path) -> bool:
    with suppress(OSError, ValueError):
        return (folder / _CHECK).read_text(encoding="ascii") == _checksum(folder / _WEIGHTS)
    return False


def _checksum(file: Path) -> str:
    """The file's size and the sum of its 64-bit words, which takes a third of the time of a CRC."""
    content = np.memmap(file, np.uint8, "r")
    even = len(content) // 8 * 8
    total = int(np.add.reduce(content[:even].view(np.uint64)))
    return f"{len(content)} {total:016x} {bytes(content[even:]).hex()}\n"


def _folder(file: Path) -> Path:
    """Where a network's weights are kept; another place after any change of the file.

    The order of the weights is decided by LiteRT's version and the processor's instructions.
    """
    path = file.resolve()
    state = path.stat()
    decisive = (
        os.fsencode(path),
        *(state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns),
        *(litert_version(), sorted(features())),
    )
    return cache_folder() / "packed" / hashlib.sha256(repr(decisive).encode()).hexdigest()[:32]


@functools.cache
def _environment() -> Any:
    # One for all, which stays, as do the networks.
    return litert_compiled().Environment.create()


def main() -> None:
    """Write the packed weights of the network ``sys.argv[1]`` to ``sys.argv[2]``, and exit."""
    PackedNetwork(Path(sys.argv[1]), Path(sys.argv[2]), threads=1)
    os._exit(0)
