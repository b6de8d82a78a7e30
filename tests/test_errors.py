"""Errors: their tree, their exit codes, the nearest word."""

import pytest

from cnntransfer import errors
from cnntransfer.errors import CnnTransferError, ExitCode, ImageError, nearest

KINDS = {
    "UsageError": 2,
    "DataError": 3,
    "ImageError": 3,
    "WeightsError": 4,
    "BundleError": 5,
    "OutputError": 6,
    "TrainingError": 7,
    "MissingDependencyError": 8,
}


def test_every_error_has_its_documented_exit_code():
    found = {
        name: int(kind.exit_code)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, CnnTransferError)
    }
    assert found == {"CnnTransferError": 1, **KINDS}


@pytest.mark.parametrize("name", KINDS)
def test_the_tree_in_the_docstring_names_each_error_with_its_code(name):
    line = next(line for line in errors.__doc__.splitlines() if f" {name} " in line)
    assert f" {KINDS[name]} " in f"{line} "


def test_exit_codes_are_distinct():
    assert len({code.value for code in ExitCode}) == len(ExitCode)
    assert ExitCode.INTERRUPTED == 128 + 2


def test_an_image_error_keeps_reason_and_path():
    error = ImageError("is empty", "a.jpg")
    assert (str(error), error.reason, error.path) == ("a.jpg: is empty", "is empty", "a.jpg")
    assert str(ImageError("is empty")) == "is empty"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("resnet5O", " Did you mean 'ResNet50'?"),
        ("MOBILENET", " Did you mean 'mobilenet'?"),
        ("zebra", ""),
        ("", ""),
        (None, ""),
        (50, ""),
    ],
)
def test_nearest(word, expected):
    assert nearest(word, ["mobilenet", "ResNet50"]) == expected
