"""What users of ``explain`` do wrong gets one line that helps, early, and leaves nothing behind."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from cnntransfer.errors import ExitCode
from cnntransfer.explain.subject import Subject
from tests.conftest import picture

BLUE = (40, 60, 200)


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "blue.png"
    picture(BLUE, 1).save(path)
    return path


@pytest.fixture
def refused(cli, tmp_path):
    """Check that a command line is refused with a line that holds this message."""

    def check(code: ExitCode, message: str, *arguments: object) -> None:
        before = sorted(tmp_path.rglob("*"))
        received, out, err = cli("explain", *arguments)
        assert (received, out) == (code, "")
        assert err.startswith("Error: ")
        assert err.count("\n") == 1
        assert message in err
        assert sorted(tmp_path.rglob("*")) == before

    return check


class TestOutput:
    """Before a model is opened: a folder of photos may take minutes."""

    @pytest.fixture(autouse=True)
    def _nothing_is_opened(self, monkeypatch):
        monkeypatch.delattr(Subject, "open")

    def test_is_a_file(self, refused, photo, tmp_path):
        (tmp_path / "taken").write_text("mine")
        message = "to write taken/picture.png into. Received: taken, a file."
        refused(ExitCode.OUTPUT, message, "mobilenet", photo, "-o", "taken")

    def test_lies_below_a_file(self, refused, photo, tmp_path):
        (tmp_path / "taken").write_text("mine")
        refused(ExitCode.OUTPUT, "taken, a file.", "mobilenet", photo, "-o", "taken/deeper")

    def test_cannot_be_written(self, refused, photo):
        message = "Expected a folder that can be written. Received: /proc"
        refused(ExitCode.OUTPUT, message, "mobilenet", photo, "-o", "/proc/pictures")

    def test_is_there_already(self, refused, photo, tmp_path):
        (tmp_path / "explanations").mkdir()
        (tmp_path / "explanations" / "blue-gradcam++.png").write_text("mine")
        message = "--output: expected a folder without blue-gradcam++.png. Received: explanations"
        refused(ExitCode.OUTPUT, message, "mobilenet", photo, "--method", "gradcam++")

    @pytest.mark.parametrize("output", ["photos", "photos/explanations"])
    def test_is_among_the_photos(self, refused, tmp_path, output):
        """They would be photos of the next run."""
        (tmp_path / "photos").mkdir()
        picture(BLUE, 1).save(tmp_path / "photos" / "blue.png")
        message = "Expected an output outside the folder of images"
        refused(ExitCode.OUTPUT, message, "mobilenet", "photos", "-o", output)

    def test_here_among_the_photos(self, refused, photo):
        message = "Choose another place with --output, such as ../explanations"
        refused(ExitCode.OUTPUT, message, "mobilenet", ".")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--class", "navy"), "--class: expected one of the 3 classes"),
        (("--class", "$x$\n"), "--class: expected one of the 3 classes"),
        (("--layer", "0"), "--layer: expected a number from 1 to"),
        (("--layer", "1e3"), "--layer: expected a number from 1 to"),
        (("--layer", "-9999"), "--layer: expected a number from 1 to"),
        (("--layer", "conv_pw_99"), "Did you mean 'conv_pw_9'?"),
        (("--layer", "features"), "Received: 'features'."),
        (
            ("--method", "features", "--layer", "conv_pw_1", "--channel", "64"),
            "--channel: expected a number from 0 to 63 for conv_pw_1. Received: 64.",
        ),
        (("--method", "occlusion", "--square", "65"), "--square: expected at most 64 pixels"),
        (("--grid", "3"), "--grid: expected with --method occlusion. Received: with gradcam."),
        (("--method", "cam"), "--method: expected one of: gradcam, gradcam++"),
    ],
)
@pytest.mark.slow
def test_settings(refused, bundle, photo, arguments, message):
    refused(ExitCode.USAGE, message, bundle.path, photo, *arguments)


def test_a_truncated_photo(refused, bundle, tmp_path):
    picture(BLUE, 1).save(tmp_path / "half.png")
    content = (tmp_path / "half.png").read_bytes()
    (tmp_path / "half.png").write_bytes(content[: len(content) // 2])
    refused(ExitCode.DATA, "is truncated or damaged", bundle.path, "half.png")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("embedding", "Expected at least 3 photos to lay out. Received: 1."),
        ("patches", "Expected at least 9 photos, the crops of a channel. Received: 1."),
    ],
)
def test_too_few_photos(refused, bundle, photo, method, message):
    refused(ExitCode.DATA, message, bundle.path, photo, "--method", method)


@pytest.mark.slow
def test_names_that_mean_something_elsewhere(cli, bundle, tmp_path):
    """In matplotlib's formulas, HTML, shells and paths; two that are the same."""
    names = ("<b>$x$", "日本語", "$\\frac{$", "new\nline", "-dash", "x" * 200, "blue")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name in names if folder == "one" else ("blue",):
            picture(BLUE, 1).save(tmp_path / folder / f"{name}.png")
    code, out, err = cli("explain", bundle.path, "one", "two", "--json", "--npy")
    assert code == ExitCode.OK, err
    written = [file for found in json.loads(out)["explanations"] for file in found["written"]]
    assert len(set(written)) == 2 * (len(names) + 1)
    assert {"explanations/blue-gradcam.png", "explanations/blue-gradcam-2.png"} < set(written)
    there = [f"explanations/{file.name}" for file in (tmp_path / "explanations").iterdir()]
    assert sorted(written) == sorted(there)
    for file in written:
        if file.endswith(".png"):
            with Image.open(file) as image:
                image.load()
        else:
            assert np.load(file).shape == (64, 64)
