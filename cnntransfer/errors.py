"""The errors that cnntransfer raises on purpose, and the exit codes they end a command with.

::

    CnnTransferError            1
    ├── UsageError              2   an option, argument or recipe value is wrong
    ├── DataError               3   a folder, manifest or data set cannot be used
    │   └── ImageError          3   one image file cannot be used
    ├── WeightsError            4   pretrained weights are missing or do not fit
    ├── BundleError             5   a folder is no (intact, readable) bundle
    ├── OutputError             6   a result cannot be written
    ├── TrainingError           7   training went wrong (NaN loss, a frozen weight moved, ...)
    └── MissingDependencyError  8   an optional or mandatory package is not installed

Every message says what was expected, what was received and what to do next, on one line.
The library raises; only ``cnntransfer.cli`` prints and exits.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status means."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    DATA = 3
    WEIGHTS = 4
    BUNDLE = 5
    OUTPUT = 6
    TRAINING = 7
    DEPENDENCY = 8
    #: The command finished, but some inputs were rejected and are listed.
    PARTIAL = 9
    #: 'cnntransfer reproduce' finished, and what came out differs from the bundle.
    DIFFERENT = 10
    #: 'cnntransfer evaluate' finished, and an accuracy is below the one that was asserted.
    BELOW = 11
    #: Ctrl-C, as shells report it (128 + SIGINT).
    INTERRUPTED = 130


class CnnTransferError(Exception):
    """Base of every error that is the user's to solve rather than a bug."""

    exit_code = ExitCode.FAILURE


class UsageError(CnnTransferError):
    """An option, an argument or a value of a recipe is wrong."""

    exit_code = ExitCode.USAGE


class DataError(CnnTransferError):
    """A folder, a manifest or the images in it cannot be used."""

    exit_code = ExitCode.DATA


#: How the reasons begin that say only what is wrong, because a better file is all that helps.
_SPOILT = (
    "is truncated or damaged",
    "is damaged",
    "is a damaged or unsupported",
    "is empty",
    "is not an image",
)


class ImageError(DataError):
    """One image file cannot be used.

    ``reason`` is short enough for a table cell; the message adds the file and, where the reason
    does not say it, what to do.
    """

    def __init__(self, reason: str, path: object = None) -> None:
        self.reason = reason
        self.path = path
        message = reason if path is None else f"{path}: {reason}"
        if path is not None and reason.startswith(_SPOILT):
            message += ". Copy or download it again, or save it as JPEG or PNG."
        super().__init__(message)


class WeightsError(CnnTransferError):
    """Pretrained weights are missing, damaged or made for another backbone."""

    exit_code = ExitCode.WEIGHTS


class BundleError(CnnTransferError):
    """A path is no bundle, or a bundle that is damaged or too new."""

    exit_code = ExitCode.BUNDLE


class OutputError(CnnTransferError):
    """A result cannot be written where it was asked for."""

    exit_code = ExitCode.OUTPUT


class TrainingError(CnnTransferError):
    """Training cannot go on, or did what it must not do."""

    exit_code = ExitCode.TRAINING


class MissingDependencyError(CnnTransferError):
    """A package is needed that is not installed."""

    exit_code = ExitCode.DEPENDENCY


def counted(number: int, noun: str, plural: str = "") -> str:
    """``"1 image"``, ``"2 images"``; the plural is the noun with an s, if not given."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def nearest(word: object, known: Iterable[str]) -> str:
    """``" Did you mean 'x'?"`` for the known word nearest to ``word``, or an empty string.

    It only ever suggests: a wrong name is an error however near it is to a right one.
    """
    known_by_fold = {name.casefold(): name for name in known}
    matches = difflib.get_close_matches(str(word).casefold(), known_by_fold, n=1, cutoff=0.6)
    return f" Did you mean {known_by_fold[matches[0]]!r}?" if matches else ""
