"""Networks whose weights lie in the user's cache as the processor wants them, to begin at once.

Before it computes, LiteRT copies a network's weights into the order in which the processor's
instructions take them. For a single image that takes longer than all the rest: 0.2 s of ResNet50.
LiteRT's newer interface can keep the copy in a file, which is only mapped the next time. It holds
Python's lock while it computes, so it is of use for one image at a time.
"""

from __future__ import annotations

import functools
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import cache
from ..errors import MissingDependencyError, OutputError
from ..frameworks import litert_compiled, litert_version
from ..processor import features
from ..storage import cache_folder, sha256_of_file

_WEIGHTS, _SIZE = "weights", "bytes.txt"
#: Smaller files are packed faster than the newer interface is imported.
_WORTH_BYTES = 20_000_000


class PackedNetwork:
    """A LiteRT file with one input, one output and a batch dimension of 1.

    Args:
        file: The network.
        weights: Its packed weights, which are written where they are missing.
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
        self._model: Any = litert.CompiledModel.from_file(
            str(file), environment=_environment(), options=options
        )
        signature = next(iter(self._model.get_signature_list()))
        inputs = self._model.get_input_tensor_details(signature)
        (output,) = self._model.get_output_tensor_details(signature).values()
        self._shape = tuple(output["shape"][1:])
        self._inputs = self._model.create_input_buffers(0)
        self._outputs = self._model.create_output_buffers(0)
        # What LiteRT has to say it says when a buffer is written for the first time.
        (shape,) = (details["shape"] for details in inputs.values())
        self._inputs[0].write(np.zeros(shape, np.float32))

    def run(self, array: NDArray[Any]) -> NDArray[np.float32]:
        """Run one image, uint8 (height, width, 3), or one vector, float32 (d,).

        Returns:
            float32, the output without its batch dimension.
        """
        self._inputs[0].write(array[np.newaxis].astype(np.float32))
        self._model.run_by_index(0, self._inputs, self._outputs)
        output: NDArray[np.float32] = self._outputs[0].read(int(np.prod(self._shape)), np.float32)
        return output.reshape(self._shape)


def open_packed(file: Path, digest: str, threads: int) -> PackedNetwork | None:
    """Load a network with the weights that are kept, which are packed now if they are not.

    Args:
        file: The network.
        digest: Its SHA-256, as it was recorded when the file was written.
        threads: Processor threads inside a call.

    Returns:
        The network; ``None`` if that saves nothing or is not possible here.
    """
    if file.stat().st_size < _WORTH_BYTES:
        return None
    try:
        folder = cache_folder() / "packed" / f"{digest}-{_machine()}"
        if _is_whole(folder):
            cache.use(folder)
        else:
            _pack(file, digest, folder, threads)
        return PackedNetwork(file, folder / _WEIGHTS, threads)
    except (MissingDependencyError, OutputError, RuntimeError, ValueError, OSError):
        return None


@functools.cache
def _environment() -> Any:
    # One for all, which stays: LiteRT writes to stderr when one begins, and when one ends.
    return litert_compiled().Environment.create()


def _pack(file: Path, digest: str, folder: Path, threads: int) -> None:
    # What is kept is found by the recorded digest, and by other bundles with the same network, too.
    if sha256_of_file(file) != digest:
        raise ValueError(f"{file} is not the file that was recorded")
    with cache.entry(folder) as draft:
        weights = draft / _WEIGHTS
        PackedNetwork(file, weights, threads)
        # LiteRT looks at the beginning only when it reads, so all must be on the disk before.
        with weights.open("rb+") as written:
            os.fsync(written.fileno())
        (draft / _SIZE).write_text(f"{weights.stat().st_size}\n", encoding="ascii")


def _is_whole(folder: Path) -> bool:
    with suppress(OSError, ValueError):
        return (folder / _WEIGHTS).stat().st_size == int((folder / _SIZE).read_text("ascii"))
    return False


def _machine() -> str:
    """What decides the order of the weights: LiteRT's version and the processor's instructions."""
    decisive = " ".join([litert_version(), *sorted(features())])
    return hashlib.sha256(decisive.encode()).hexdigest()[:16]
