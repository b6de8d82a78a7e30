"""The one door through which TensorFlow and Keras come in, quietly.

Importing TensorFlow takes seconds and prints several lines of start-up log. Nothing imports
it at module level; functions that need it call :func:`keras` or :func:`tensorflow`.
"""

from __future__ import annotations

import os
import sys
import warnings
from types import ModuleType

from .errors import MissingDependencyError

#: 0 shows TensorFlow's C++ log, 3 hides all but fatal messages.
_LOG_LEVEL_VARIABLE = "TF_CPP_MIN_LOG_LEVEL"


def tensorflow() -> ModuleType:
    """Import TensorFlow with its start-up log silenced.

    Raises:
        MissingDependencyError: TensorFlow is not installed, or cannot be imported.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(_LOG_LEVEL_VARIABLE, "3")
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tensorflow as tf
    except ImportError as error:
        raise MissingDependencyError(
            f"This command needs TensorFlow, which cannot be imported ({error}). "
            "Install it with: pip install tensorflow"
        ) from error
    return tf


def keras() -> ModuleType:
    """Import Keras 3 on its TensorFlow backend.

    Raises:
        MissingDependencyError: Keras is missing, or already runs on another backend.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    tensorflow()
    import keras as keras_module

    backend = keras_module.backend.backend()
    if backend != "tensorflow":
        raise MissingDependencyError(
            "cnntransfer needs Keras on the TensorFlow backend. "
            f"Received: Keras already imported with backend {backend!r}. "
            "Set KERAS_BACKEND=tensorflow before importing Keras."
        )
    return keras_module
