"""The one door through which TensorFlow, Keras and LiteRT come in, quietly.

Importing TensorFlow takes seconds and prints several lines of start-up log. Nothing imports
it at module level; functions that need it call :func:`keras` or :func:`tensorflow`.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from .errors import MissingDependencyError

#: What the drivers of graphics processors appear as: Nvidia's, that of Windows' Linux, AMD's.
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
#: Other threads must not see a module that is half imported.
_import_lock = threading.RLock()


class _Silence:
    """stdout and stderr of the whole process, hidden while any thread wants them to be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted_by = 0
        self._saved: list[tuple[int, int]] = []

    def begin(self) -> None:
        with self._lock:
            self._wanted_by += 1
            if self._wanted_by > 1:
                return
            _flush()
            self._saved = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
            with Path(os.devnull).open("wb") as nowhere:
                for descriptor, _ in self._saved:
                    os.dup2(nowhere.fileno(), descriptor)

    def end(self) -> None:
        with self._lock:
            self._wanted_by -= 1
            if self._wanted_by:
                return
            _flush()
            for descriptor, copy in self._saved:
                os.dup2(copy, descriptor)
                os.close(copy)


_silence = _Silence()


@contextmanager
def quiet() -> Iterator[None]:
    """Hide what C++ libraries write straight to the process's stdout and stderr.

    TensorFlow and LiteRT log before any log level can be set. Errors still arrive as
    exceptions. Set ``CNNTRANSFER_DEBUG=1`` to hide nothing.
    """
    if os.environ.get("CNNTRANSFER_DEBUG"):
        yield
        return
    _silence.begin()
    try:
        yield
    finally:
        _silence.end()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def tensorflow() -> Any:
    """Import TensorFlow with its start-up log silenced.

    Raises:
        MissingDependencyError: TensorFlow is not installed, or cannot be imported.
    """
    with _import_lock:
        return sys.modules.get("tensorflow") or _import_tensorflow()


def _import_tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # TensorFlow adds types to a table of NumPy's that this module goes through when it is imported,
    # by SciPy for one. That must not be on another thread at the same time.
    import numpy.ma  # noqa: F401

    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tensorflow as tf

            tf.keras.__version__  # noqa: B018 - tf.keras is lazy; its import warns too
    except ImportError as error:
        raise MissingDependencyError(
            f"This command needs TensorFlow, which cannot be imported ({error}). "
            "Install it with: pip install tensorflow"
        ) from error
    tf.get_logger().setLevel("ERROR")
    return tf


def keras() -> Any:
    """Import Keras 3 on its TensorFlow backend.

    Raises:
        MissingDependencyError: Keras is missing, or already runs on another backend.
    """
    tensorflow()
    with _import_lock:
        import keras as keras_module

    backend = keras_module.backend.backend()
    if backend != "tensorflow":
        raise MissingDependencyError(
            "cnntransfer needs Keras on the TensorFlow backend. "
            f"Received: Keras already imported with backend {backend!r}. "
            "Set KERAS_BACKEND=tensorflow before importing Keras."
        )
    configured = {
        "image_data_format": (keras_module.config.image_data_format(), "channels_last"),
        "floatx": (keras_module.config.floatx(), "float32"),
    }
    for name, (received, expected) in configured.items():
        if received != expected:
            raise MissingDependencyError(
                f"Keras is configured otherwise than cnntransfer needs it: expected {name} "
                f"{expected!r}. Received: {received!r}. Look into ~/.keras/keras.json."
            )
    return keras_module


@cache
def has_gpu() -> bool:
    """Whether TensorFlow sees a graphics processor; it is imported only where there may be one."""
    if not any(Path(device).exists() for device in _GPU_DEVICES):
        return False
    return bool(tensorflow().config.list_physical_devices("GPU"))


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Let TensorFlow compute convolutions and products in ``bfloat16`` while the block runs.

    Weights, sums and what needs the range or digits stay float32: TensorFlow's own rewriting for
    oneDNN decides operation by operation. With ``float32`` nothing changes. The setting is the
    process's; functions must be first called inside the block to be rewritten.
    """
    if precision != "bfloat16":
        yield
        return
    optimizer = tensorflow().config.optimizer
    name = "auto_mixed_precision_onednn_bfloat16"
    before = optimizer.get_experimental_options().get(name, False)
    optimizer.set_experimental_options({name: True})
    try:
        yield
    finally:
        optimizer.set_experimental_options({name: before})


def litert_interpreter() -> Any:
    """The LiteRT ``Interpreter`` class.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
    """
    return _litert("interpreter").Interpreter


def litert_compiled() -> Any:
    """LiteRT's newer interface, the module of ``CompiledModel``, ``Options`` and ``CpuOptions``.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed, or too old.
    """
    module = _litert("compiled_model")
    if not hasattr(module, "CpuOptions"):
        raise MissingDependencyError(
            f"This needs a newer LiteRT. Received: ai-edge-litert {litert_version()}. "
            "Install one with: pip install -U ai-edge-litert"
        )
    return module


def litert_version() -> str:
    """The version of LiteRT, such as ``2.3.0``.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
    """
    return str(_litert("").__version__)


def litert_schema() -> Any:
    """The module of the classes that a LiteRT file is made of; it loads no interpreter.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
    """
    return _litert("schema_py_generated")


def _litert(name: str) -> Any:
    try:
        return importlib.import_module(f"ai_edge_litert.{name}".rstrip("."))
    except ImportError as error:
        raise MissingDependencyError(
            f"This command needs LiteRT, which cannot be imported ({error}). "
            "Install it with: pip install ai-edge-litert"
        ) from error
