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
    error = ImageError("is a folder", "a")
    assert (str(error), error.reason, error.path) == ("a: is a folder", "is a folder", "a")
    assert str(ImageError("is empty")) == "is empty"


@pytest.mark.parametrize(
    "reason",
    [
        "is truncated or damaged: broken data stream",
        "is damaged: it was once copied as text, which changed its line ends",
        "is a damaged or unsupported PNG image",
        "is empty (0 bytes)",
        "is not an image (it looks like an HTML page)",
        "is not an image of a known format (it begins with 00)",
    ],
)
def test_an_image_error_says_what_to_do_where_its_reason_does_not(reason):
    error = ImageError(reason, "a.jpg")
    next_step = "Copy or download it again, or save it as JPEG or PNG."
    assert (str(error), error.reason) == (f"a.jpg: {reason}. {next_step}", reason)


@pytest.mark.parametrize(
    "reason",
    [
        "is HEIC, which needs: pip install 'cnntransfer[heif]'",
        "is a CMYK JPEG with ambiguous colours: save it again as RGB",
        "cannot be read: permission denied",
        "does not exist",
    ],
)
def test_an_image_error_that_a_better_copy_would_not_help(reason):
    assert str(ImageError(reason, "a.jpg")) == f"a.jpg: {reason}"


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
