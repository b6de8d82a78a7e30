"""cnntransfer: transfer learning for image classification, from the command line, in Keras.

>>> import cnntransfer
>>> run = cnntransfer.finetune("photos/")            # doctest: +SKIP
>>> run.predict("bird.jpg").label                    # doctest: +SKIP
'birds'
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

#: Public name -> the module that holds it, imported when the name is first used.
_PUBLIC = {
    "finetune": "api",
    "resume": "api",
    "load": "api",
    "compare": "api",
    "Run": "api",
    "Recipe": "recipe",
    "CnnTransferError": "errors",
}
__all__ = [
    "CnnTransferError",
    "Recipe",
    "Run",
    "__version__",
    "compare",
    "finetune",
    "load",
    "resume",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
