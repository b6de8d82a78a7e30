"""What users do wrong gets one line that helps, a named exit code, and leaves nothing behind."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cnntransfer.cli import run
from cnntransfer.errors import ExitCode
from tests.conftest import COLOURS, make_photos, picture

SMALL = ("--image-size", "64", "--batch-size", "8", "--epochs", "2")
ASSETS = Path(__file__).parents[2] / "cnntransfer" / "assets"
BLOCKS = ", ".join(f"block{number}" for number in range(13, 0, -1)) + ", stem"


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def refused(cli, tmp_path):
    """Check that a command line is refused with exactly this message."""

    def check(code: ExitCode, message: str, *arguments: object) -> None:
        before = sorted(tmp_path.rglob("*"))
        assert cli(*arguments) == (code, "", f"Error: {message}\n")
        assert sorted(tmp_path.rglob("*")) == before

    return check


@pytest.fixture
def broken(tmp_path):
    """Files that are no images, and why; in one folder."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_text("<!DOCTYPE html><html><body>Not found</body></html>")
    picture((200, 50, 40), 1).save(folder / "half.png")
    content = (folder / "half.png").read_bytes()
    (folder / "half.png").write_bytes(content[: len(content) // 2])
    return {
        "broken/empty.jpg": "is empty (0 bytes)",
        "broken/half.png": "is truncated or damaged: image file is truncated",
        "broken/page.jpg": "is not an image (it looks like an HTML page)",
    }


@pytest.fixture
def model(bundle, tmp_path):
    """A bundle that may be damaged."""
    return Path(shutil.copytree(bundle.path, tmp_path / "model"))


def photos_of(folder: Path, **counts: int) -> Path:
    """A class folder for each keyword with that many pictures."""
    for seed, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            colour = list(COLOURS.values())[seed % len(COLOURS)]
            picture(colour, 100 * seed + number).save(folder / name / f"{number}.png")
    return folder


class TestFolders:
    def test_missing(self, refused, tmp_path):
        refused(
            ExitCode.DATA,
            "Expected a folder with one sub-folder per class, or a manifest. "
            f"Received: {tmp_path / 'nowhere'}, which does not exist.",
            "finetune",
            "nowhere",
        )

    def test_misspelt(self, refused, tmp_path):
        (tmp_path / "photos").mkdir()
        refused(
            ExitCode.DATA,
            "Expected a folder with one sub-folder per class, or a manifest. "
            f"Received: {tmp_path / 'photo'}, which does not exist. Did you mean 'photos'?",
            "finetune",
            "photo",
        )

    def test_none_given(self, refused):
        refused(
            ExitCode.USAGE,
            "Expected a folder with one sub-folder of images per class. Received: none. "
            "Try: cnntransfer finetune photos/",
            "finetune",
        )

    def test_empty_text(self, refused):
        refused(
            ExitCode.USAGE,
            "DATA: expected a name. Received: an empty text. Is a variable of the shell not set?",
            "finetune",
            "",
        )

    def test_empty(self, refused, tmp_path):
        (tmp_path / "empty").mkdir()
        refused(
            ExitCode.DATA,
            "Expected a folder with one sub-folder of images per class. "
            f"Received: {tmp_path / 'empty'}, which holds no image. "
            f"Put the photos of a class into a folder of its name, such as "
            f"{tmp_path / 'empty'}/cats/1.jpg",
            "finetune",
            "empty",
        )

    @pytest.mark.parametrize(("count", "words"), [(1, "1 image"), (2, "2 images")])
    def test_loose_images(self, refused, tmp_path, count, words):
        photos_of(tmp_path, loose=count)
        refused(
            ExitCode.DATA,
            "Expected a folder with one sub-folder of images per class, such as "
            f"{tmp_path / 'loose'}/cats/1.jpg. Received: {tmp_path / 'loose'}, with {words} "
            "directly in it and none in sub-folders. Move them into a folder per class.",
            "finetune",
            "loose",
        )

    def test_one_class(self, refused, tmp_path):
        refused(
            ExitCode.DATA,
            "Expected at least two classes to tell apart. Received: one class, 'cat'. "
            "Add a second sub-folder with images of something else.",
            "finetune",
            photos_of(tmp_path / "one", cat=3),
        )

    def test_class_of_one_image(self, refused, tmp_path):
        refused(
            ExitCode.DATA,
            "Expected at least 2 different readable images of every class (train and val). "
            "Received: 1 of class 'dog'. Add images to it or remove the class.",
            "finetune",
            photos_of(tmp_path / "one", cat=3, dog=1),
        )

    def test_class_of_broken_images(self, refused, tmp_path):
        folder = photos_of(tmp_path / "photos", cat=3, dog=0)
        (folder / "dog" / "a.jpg").write_bytes(b"")
        (folder / "dog" / "b.jpg").write_text("<html>")
        refused(
            ExitCode.DATA,
            "Expected readable images of every class. Received: none of class 'dog' can be read; "
            "dog/a.jpg: is empty (0 bytes). Replace the images or remove the class folder.",
            "finetune",
            folder,
        )

    def test_image_as_data(self, refused, photos):
        image = photos / "red" / "red0.png"
        refused(
            ExitCode.DATA,
            "Expected a folder with one sub-folder per class, or a .csv or .tsv manifest. "
            f"Received: {image}, a file. To classify one image: cnntransfer predict {image}",
            "finetune",
            image,
        )

    def test_class_name_with_a_newline(self, cli, tmp_path):
        photos_of(tmp_path / "photos", **{"a\nb": 2, "c": 2})
        code, out, err = cli("finetune", "photos")
        assert (code, out) == (ExitCode.DATA, "")
        assert "'a\\nb'" in err
        assert err.count("\n") == 1


NEW_COPY = "Copy or download it again, or save it as JPEG or PNG."


class TestImages:
    def test_missing(self, refused):
        refused(
            ExitCode.DATA,
            "Expected an image, a folder or a pattern such as 'photos/*.jpg'. "
            "Received: x.jpg, which does not exist.",
            "predict",
            "x.jpg",
        )

    def test_pattern_without_match(self, refused):
        refused(
            ExitCode.DATA,
            "Expected images. Received: *.jpg, which matches no file.",
            "predict",
            "*.jpg",
        )

    def test_empty_folder(self, refused, tmp_path):
        (tmp_path / "empty").mkdir()
        refused(
            ExitCode.DATA,
            "Expected images. Received: empty, a folder without any.",
            "predict",
            "empty",
        )

    def test_empty_text(self, refused):
        message = "expected a name. Received: an empty text. Is a variable of the shell not set?"
        refused(ExitCode.USAGE, f"IMAGE: {message}", "predict", "")
        refused(ExitCode.USAGE, f"--model: {message}", "predict", "-m", "", "x.jpg")

    def test_none(self, refused):
        refused(
            ExitCode.USAGE,
            "Missing argument 'IMAGE...'. Try: cnntransfer predict --help",
            "predict",
        )

    def test_broken_alone(self, refused, bundle, broken):
        for name, reason in broken.items():
            message = f"{name}: {reason}. {NEW_COPY}"
            for extra in ([], ["--json"], ["--csv"]):
                refused(ExitCode.DATA, message, "predict", "-m", bundle.path, *extra, name)

    def test_broken_among_others(self, cli, bundle, photos, broken):
        good = photos / "red" / "red0.png"
        code, out, err = cli("predict", "-m", bundle.path, "broken", good)
        assert code == ExitCode.PARTIAL
        assert out.endswith(f"red\t{good}\n")
        assert out.count("\n") == 1
        listed = [f"Rejected {name}: {reason}" for name, reason in broken.items()]
        assert err.splitlines() == [*listed, "3 of 4 files rejected."]

    def test_broken_in_json_and_csv(self, cli, bundle, photos, broken):
        good = str(photos / "red" / "red0.png")
        code, out, _ = cli("predict", "-m", bundle.path, "--json", "broken", good)
        rows = json.loads(out)["predictions"]
        assert code == ExitCode.PARTIAL
        assert [row["file"] for row in rows] == [*broken, good]
        assert [row["rejected"] for row in rows] == [*broken.values(), None]
        _, out, _ = cli("predict", "-m", bundle.path, "--csv", "broken", good)
        assert [row["rejected"] for row in csv.DictReader(out.splitlines())] == [
            *broken.values(),
            "",
        ]

    def test_all_broken(self, cli, bundle, broken):
        error = (
            "Error: Expected readable images. Received: none of 3 files can be read; the first, "
            f"broken/empty.jpg: is empty (0 bytes). {NEW_COPY}\n"
        )
        command = ("predict", "-m", bundle.path, "broken")
        listed = "".join(f"Rejected {name}: {reason}\n" for name, reason in broken.items())
        assert cli(*command) == (ExitCode.DATA, "", listed + error)
        assert cli(*command, "-q") == (ExitCode.DATA, "", error)

        code, out, err = cli(*command, "-q", "--json")
        assert (code, err) == (ExitCode.DATA, error)
        rejected = [row["rejected"] for row in json.loads(out)["predictions"]]
        assert rejected == list(broken.values())
        code, out, err = cli(*command, "-q", "--csv")
        assert (code, err) == (ExitCode.DATA, error)
        assert [row["rejected"] for row in csv.DictReader(out.splitlines())] == rejected

    def test_the_same_broken_file_twice(self, cli, bundle, broken):
        assert cli("predict", "-m", bundle.path, *["broken/half.png"] * 2)[0] == ExitCode.DATA

    def test_name_that_begins_with_a_dash(self, cli, refused, bundle, tmp_path):
        picture((200, 50, 40), 1).save(tmp_path / "-x.png")
        refused(
            ExitCode.USAGE,
            "No such option '-x'. For the file of that name, write ./-x.png",
            "predict",
            "-m",
            bundle.path,
            "-x.png",
        )
        for arguments in (["./-x.png"], ["--", "-x.png"], ["*.png"]):
            code, out, _ = cli("predict", "-m", bundle.path, *arguments)
            assert (code, out.splitlines()[0]) == (0, "-x.png")


WRONG_OPTIONS = {
    "--backbone": {
        "resnet5": "Unknown backbone. Expected one of the names that 'cnntransfer backbones' "
        "lists. Received: 'resnet5'. Did you mean 'resnet50'?",
        "": "--backbone: expected text. Received: ''.",
    },
    "--epochs": {
        "0": "--epochs: expected a whole number from 1 to 100000. Received: 0. "
        "The nearest allowed value is 1.",
        "-1": "--epochs: expected a whole number from 1 to 100000. Received: -1. "
        "The nearest allowed value is 1.",
        "abc": "--epochs: expected a whole number from 1 to 100000. Received: 'abc'.",
        "1.5": "--epochs: expected a whole number from 1 to 100000. Received: '1.5'.",
    },
    "--dropout": {
        "1.5": "--dropout: expected a number from 0 to 0.95. Received: 1.5. "
        "The nearest allowed value is 0.95.",
    },
    "--learning-rate": {
        "nan": "--learning-rate: expected a learning rate from 1e-8 to 10 such as 0.001, or auto. "
        "Received: 'nan'.",
    },
    "--seed": {
        "-1": "--seed: expected a whole number from 0 to 4294967295. Received: -1. "
        "The nearest allowed value is 0.",
    },
    "--image-size": {
        **{
            size: "--image-size: expected an image size in pixels such as 224 or 240x320 "
            f"(height x width). Received: '{size}'."
            for size in ("0", "abc", "10x", "100000", "64.5", "64x64x3", "")
        },
        "31": "--image-size: expected at least 32 pixels a side for mobilenet (default 224). "
        "Received: 31x31.",
    },
    "--augmentation": {
        "storng": "--augmentation: expected one of: none, light, strong. Received: 'storng'. "
        "Did you mean 'strong'?",
        "": "--augmentation: expected one of: none, light, strong. Received: ''.",
    },
    "--zoom-range": {
        text: "--zoom-range: expected a zoom fraction from 0 to 0.9 such as 0.2, or a range such "
        f"as 0.8,1.2. Received: '{text}'."
        for text in ("x", "1", "1.2,0.8")
    },
    "--brightness-range": {
        text: "--brightness-range: expected a brightness range such as 0.8,1.2. "
        f"Received: '{text}'."
        for text in ("1", "1.2,0.8", "a,b")
    },
    "--unfreeze": {
        "block99": "Unknown block of mobilenet. Expected 'none', 'all', a number of layers from 0 "
        f"to 85, a share such as 20%, or one of its blocks: {BLOCKS}. Received: 'block99'. "
        "Did you mean 'block9'?",
        "1000": "Wrong number of layers to unfreeze in mobilenet. Expected a whole number from 0 "
        "to 85, without a sign. Received: '1000'.",
    },
    "--test-split": {
        "0.9": "validation_split + test_split: expected a sum of at most 0.95, so that training "
        "images remain. Received: 0.2 + 0.9.",
    },
    "--resize": {
        "croop": "--resize: expected one of: stretch, crop, letterbox. Received: 'croop'. "
        "Did you mean 'crop'?",
    },
    "--output": {
        "": "--output: expected a name. Received: an empty text. Is a variable of the shell not "
        "set?",
    },
    "--epoch": {
        "3": "No such option '--epoch'. Did you mean '--epochs'? Try: cnntransfer finetune --help",
    },
}


class TestOptions:
    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [(o, value, m) for o, values in WRONG_OPTIONS.items() for value, m in values.items()],
    )
    def test_wrong_value(self, refused, photos, option, value, message):
        refused(ExitCode.USAGE, message, "finetune", photos, f"{option}={value}")

    def test_extra_argument(self, refused, photos):
        refused(
            ExitCode.USAGE,
            "Got unexpected extra argument (more). Try: cnntransfer finetune --help",
            "finetune",
            photos,
            "more",
        )

    def test_unknown_command(self, refused):
        refused(
            ExitCode.USAGE,
            "Expected one of the commands finetune, predict, evaluate, report, export, "
            "reproduce, explain, inspect, backbones, weights, benchmark, cache, completion. "
            "Received: 'exprt'. Did you mean 'export'? Try: cnntransfer --help",
            "exprt",
        )

    def test_no_command_shows_help(self, cli):
        code, out, err = cli()
        assert (code, out) == (ExitCode.USAGE, "")
        assert err.startswith("Usage: cnntransfer [OPTIONS] COMMAND")

    def test_unknown_format(self, refused, bundle):
        refused(
            ExitCode.USAGE,
            "--format: expected one of: saved_model, keras, litert. Received: 'tflite'. "
            "Did you mean 'litert'?",
            "export",
            bundle.path,
            "--format",
            "tflite",
        )

    def test_json_with_csv(self, refused):
        refused(
            ExitCode.USAGE,
            "Expected --json or --csv. Received: both. Choose one.",
            "predict",
            "--json",
            "--csv",
            "x.jpg",
        )

    @pytest.mark.parametrize(
        ("value", "shown"), [("0", "0. The nearest allowed value is 1."), ("x", "'x'.")]
    )
    def test_top(self, refused, value, shown):
        refused(
            ExitCode.USAGE,
            f"--top: expected a whole number of at least 1. Received: {shown}",
            "predict",
            "--top",
            value,
            "x.jpg",
        )

    def test_unknown_shell(self, refused):
        refused(
            ExitCode.USAGE,
            "Expected one of: bash, zsh, fish. Received: 'csh'.",
            "completion",
            "csh",
        )


WRONG_CONFIGS = {
    "a: [": "--config: expected a recipe, a YAML file. Received: c.yaml "
    "(line 1: expected the node content, but found '<stream end>').",
    "- a": "c.yaml: expected a YAML mapping such as 'backbone: resnet50'. Received: ['a'].",
    "augmentation: {rotation: 3}": "c.yaml: augmentation: unknown key 'rotation'. "
    "Did you mean 'rotation_range'? Known keys: rotation_range, width_shift_range, "
    "height_shift_range, brightness_range, shear_range, zoom_range, channel_shift_range, "
    "fill_mode, cval, horizontal_flip, vertical_flip.",
    "augmentation: {preset: [1]}": "c.yaml: augmentation: expected one of: none, light, strong. "
    "Received: [1].",
    "stages: [{views: 0}]": "c.yaml: stages[0]: views: expected a number of views "
    "from 1 to 1000 such as 2, or auto. Received: 0.",
    "stages: [{views: true}]": "c.yaml: stages[0]: views: expected a number of views "
    "from 1 to 1000 such as 2, or auto. Received: True.",
    "data: ''": "c.yaml: data: expected text. Received: ''.",
    "head: 3": "c.yaml: head: expected a mapping of settings. Received: 3.",
    "head: {units: 3.7}": "c.yaml: head: units: expected the widths of the hidden dense layers "
    "such as 256 or 256,128, or none. Received: 3.7.",
    "stages: {}": "c.yaml: stages: expected a list of stages. Received: {}.",
    "stages: [3]": "c.yaml: stages[0]: expected a mapping of settings. Received: 3.",
    "stages: [{epochs: 0}]": "c.yaml: stages[0]: epochs: expected a whole number from 1 to 100000. "
    "Received: 0. The nearest allowed value is 1.",
    "stages: [{name: finetune, unfreeze: all}, {name: head}]": "stages: expected stages with a "
    "frozen trunk first. Received: 'head' (unfreeze: none) after 'finetune'. Change their order.",
}


class TestConfig:
    @pytest.mark.parametrize(("text", "message"), WRONG_CONFIGS.items())
    def test_wrong_content(self, refused, photos, tmp_path, text, message):
        (tmp_path / "c.yaml").write_text(text)
        refused(ExitCode.USAGE, message, "finetune", photos, "--config", "c.yaml")

    def test_unknown_key(self, cli, photos, tmp_path):
        (tmp_path / "c.yaml").write_text("backbon: vgg16")
        code, out, err = cli("finetune", photos, "--config", "c.yaml")
        assert (code, out) == (ExitCode.USAGE, "")
        assert err.startswith(
            "Error: c.yaml: unknown key 'backbon'. Did you mean 'backbone'? Known"
        )

    @pytest.mark.parametrize(
        ("name", "reason"), [("no.yaml", "no such file or directory"), (".", "is a directory")]
    )
    def test_unreadable(self, refused, photos, name, reason):
        refused(
            ExitCode.USAGE,
            f"--config: expected a recipe, a YAML file. Received: {name} ({reason}).",
            "finetune",
            photos,
            "--config",
            name,
        )


def output_commands(photos, bundle):
    """Every command that writes, without the place."""
    return (
        ("finetune", photos, *SMALL, "--output"),
        ("finetune", photos, *SMALL, "--output", "out", "--show-input"),
        ("export", bundle.path, "--output"),
        ("predict", photos, "-m", bundle.path, "--show-input"),
    )


class TestOutput:
    def test_existing_is_not_overwritten(self, refused, photos, bundle, tmp_path):
        (tmp_path / "there").mkdir()
        (tmp_path / "file").write_text("mine")
        # Only --output has an --overwrite.
        way_out = {"--output": ", or allow it with --overwrite.", "--show-input": "."}
        for command in output_commands(photos, bundle):
            for name in ("there", "file"):
                refused(
                    ExitCode.OUTPUT,
                    f"{name} exists already and is not overwritten silently. "
                    f"Choose another {command[-1]}{way_out[command[-1]]}",
                    *command,
                    name,
                )
        assert (tmp_path / "file").read_text() == "mine"

    def test_nothing_is_written_among_the_photos(self, refused, photos, bundle):
        seen = photos / "red" / "seen"
        refused(
            ExitCode.OUTPUT,
            "Expected an output outside the folder of images, which is only read. Received: "
            f"{seen}. Choose another place with --show-input, such as ../seen",
            *("predict", photos / "red", "-m", bundle.path, "--show-input", seen),
        )

    def test_parent_is_a_file(self, refused, photos, bundle, tmp_path):
        (tmp_path / "file").write_text("mine")
        for command in output_commands(photos, bundle):
            for place, file in (("file/x", "file"), ("/dev/null/x", "/dev/null")):
                refused(
                    ExitCode.OUTPUT,
                    f"Expected a folder to write {place} into. Received: {file}, a file.",
                    *command,
                    place,
                )

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
    def test_not_writable_is_said_before_the_work(self, refused, photos, bundle):
        for command in output_commands(photos, bundle):
            refused(
                ExitCode.OUTPUT,
                "Expected a folder that can be written. Received: /proc (no such file or "
                f"directory when writing x). Choose another place with {command[-1]}.",
                *command,
                "/proc/x",
            )

    def test_overlong_name(self, cli, photos):
        code, out, err = cli("finetune", photos, *SMALL, "-o", "x" * 300)
        assert (code, out) == (ExitCode.OUTPUT, "")
        assert "file name too long" in err
        assert err.count("\n") == 1


NO_BUNDLE = "Expected a bundle, a folder that 'cnntransfer finetune' wrote. "


def damaged(what: str) -> str:
    return (
        f"Expected an intact bundle. Received: model, whose {what}. Copy it again, or repeat the "
        "run with: cnntransfer finetune --config model/recipe.yaml"
    )


class TestBundles:
    def test_neither_bundle_nor_network(self, refused):
        refused(
            ExitCode.BUNDLE,
            "--model: expected a bundle, a folder that 'cnntransfer finetune' wrote, or the name "
            "of a pretrained network. Received: 'mobilnet', which is neither. "
            "Did you mean 'mobilenet'?",
            "predict",
            "-m",
            "mobilnet",
            __file__,
        )

    def test_no_bundle(self, refused, photos):
        commands = (("predict", photos, "-m"), ("export",))
        for command in commands:
            refused(
                ExitCode.BUNDLE,
                f"{NO_BUNDLE}Received: runs/x, which does not exist.",
                *command,
                "runs/x",
            )
            refused(
                ExitCode.BUNDLE,
                f"{NO_BUNDLE}Received: {photos}, a folder without metadata.json.",
                *command,
                photos,
            )

    def test_newer_format(self, refused, model, photos):
        described = json.loads((model / "metadata.json").read_text())
        (model / "metadata.json").write_text(json.dumps({**described, "format_version": 99}))
        refused(
            ExitCode.BUNDLE,
            "Expected a bundle of format version 1 or lower. Received: model of format version "
            "99. Upgrade: pip install --upgrade cnntransfer",
            "predict",
            photos,
            "-m",
            "model",
        )

    def test_truncated_trunk(self, refused, model, photos):
        file = model / "trunk.tflite"
        size = file.stat().st_size
        file.write_bytes(file.read_bytes()[:5000])
        for command in (("predict", photos, "-m", "model"), ("evaluate", "model", photos)):
            refused(
                ExitCode.BUNDLE,
                damaged(f"trunk.tflite is damaged (5000 bytes instead of {size})"),
                *command,
            )

    def test_corrupt_trunk(self, cli, model, photos):
        file = model / "trunk.tflite"
        file.write_bytes(b"x" * 4000 + file.read_bytes()[4000:])
        code, out, err = cli("predict", photos, "-m", "model")
        assert (code, out) == (ExitCode.BUNDLE, "")
        assert "model/trunk.tflite, which cannot be loaded" in err

    def test_corrupt_keras_file(self, refused, model):
        file = model / "model.keras"
        content = bytearray(file.read_bytes())
        content[1000:1100] = b"x" * 100
        file.write_bytes(content)
        for name in ("keras", "litert", "saved_model"):
            refused(
                ExitCode.BUNDLE,
                damaged("model.keras is damaged (its checksum differs from the recorded one)"),
                "export",
                "model",
                "--format",
                name,
            )

    def test_labels(self, refused, model, photos):
        (model / "labels.txt").write_text("one\n")
        refused(
            ExitCode.BUNDLE,
            damaged("labels.txt is damaged (1 names for 3 classes)"),
            "predict",
            photos,
            "-m",
            "model",
        )
        (model / "labels.txt").unlink()
        for command in (("export", "model"), ("predict", photos, "-m", "model")):
            refused(
                ExitCode.BUNDLE,
                damaged("labels.txt is damaged (no such file or directory)"),
                *command,
            )

    def test_metadata(self, cli, model, photos):
        for text in ("", "[]", "{}", '{"format_version": 1}', '{"format_version":1,"files":[]}'):
            (model / "metadata.json").write_text(text)
            code, out, err = cli("predict", photos, "-m", "model")
            assert (code, out) == (ExitCode.BUNDLE, ""), text
            assert err.count("\n") == 1


class TestWeights:
    def test_of_another_network(self, refused, photos):
        file = ASSETS / "mobilenet_v2_imagenet.weights.h5"
        refused(
            ExitCode.WEIGHTS,
            "Expected weights of mobilenet (3,228,864 parameters without its top). Received: "
            f"{file} with 3,538,984. Choose the file that belongs to the backbone, or the "
            "backbone that belongs to the file.",
            "finetune",
            photos,
            "--weights",
            file,
        )

    def test_no_hdf5(self, cli, photos):
        code, out, err = cli("finetune", photos, "--weights", __file__)
        assert (code, out) == (ExitCode.WEIGHTS, "")
        assert err.startswith(
            f"Error: Expected a Keras weights file (.h5, HDF5). Received: {__file__}, which"
        )
        assert err.count("\n") == 1

    @pytest.mark.parametrize(
        ("choice", "what"), [("no.h5", "which does not exist"), (".", "a folder")]
    )
    def test_no_file(self, refused, photos, choice, what):
        refused(
            ExitCode.WEIGHTS,
            f"--weights: expected a weights file, 'auto' or 'none'. Received: '{choice}', {what}.",
            "finetune",
            photos,
            "--weights",
            choice,
        )

    def test_offline(self, refused, photos, monkeypatch, tmp_path):
        monkeypatch.setenv("CNNTRANSFER_WEIGHTS", str(tmp_path))
        cache = Path(os.environ["KERAS_HOME"]) / "models"
        name = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
        refused(
            ExitCode.WEIGHTS,
            "No ImageNet weights of resnet50 found, and the network cannot be reached. Expected a "
            f"file named {name} (or resnet50_imagenet_notop.weights.h5). Looked in: {tmp_path}, "
            f"this package, {cache}. Put the file into a folder named in CNNTRANSFER_WEIGHTS, "
            "or give it to finetune with --weights FILE. Built in and always there: mobilenet, "
            "mobilenet_v2.",
            "finetune",
            photos,
            "--backbone",
            "resnet50",
        )


class TestEvaluate:
    def test_unknown_classes(self, refused, bundle, tmp_path):
        folder = photos_of(tmp_path / "new", blue=1, violet=1)
        refused(
            ExitCode.DATA,
            f"Expected the model's classes: blue, green, red. Received: 'violet' in {folder}.",
            "evaluate",
            bundle.path,
            folder,
        )

    def test_wrong_subset(self, refused, bundle, photos):
        refused(
            ExitCode.DATA,
            "--subset: expected one of the model's own subsets (train, val), because "
            f"{photos} has none. Received: 'tset'.",
            "evaluate",
            bundle.path,
            photos,
            "--subset",
            "tset",
        )

    def test_swapped(self, refused, bundle, photos):
        refused(
            ExitCode.USAGE,
            f"Expected MODEL, then DATA. Received: {bundle.path}, a bundle, as DATA. "
            f"Try: cnntransfer evaluate {bundle.path} {photos}",
            "evaluate",
            photos,
            bundle.path,
        )


def test_a_messy_folder_is_trained_on(cli, tmp_path):
    """Odd class and file names, broken files, few images: all that is no reason to stop."""
    names = ["<script>,\"q' &", "-dash", "日本語"]
    make_photos(tmp_path / "photos", per_class=4)
    for old, new in zip(COLOURS, names, strict=True):
        (tmp_path / "photos" / old).rename(tmp_path / "photos" / new)
    (tmp_path / "photos" / "-dash" / "broken.jpg").write_bytes(b"")
    odd = os.fsdecode(b"caf\xe9.png")
    picture((40, 60, 200), 77).save(tmp_path / "photos" / "日本語" / odd)

    code, out, err = cli("finetune", "photos", "--image-size", "64", "--epochs", "2")
    assert code == ExitCode.PARTIAL
    assert "Bundle   runs/photos-mobilenet\n" in out
    assert "1 unreadable image left out (see rejected.csv), such as -dash/broken.jpg" in err
    assert "fewer than a batch" not in err  # A head that is solved has no batches.
    runs = tmp_path / "runs" / "photos-mobilenet"
    assert (runs / "labels.txt").read_text(encoding="utf-8").splitlines() == sorted(names)
    with (runs / "splits.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == set(names)
    assert {row["file"].split("/")[0] for row in rows} == set(names)
    assert "日本語/caf\\udce9.png" in [row["file"] for row in rows]
    with (runs / "predictions.csv").open(encoding="utf-8", newline="") as file:
        assert {f"p_{name}" for name in names} <= set(next(csv.reader(file)))
    assert (runs / "rejected.csv").read_text() == (
        "file,reason\n-dash/broken.jpg,is empty (0 bytes)\n"
    )

    code, out, _ = cli("predict", "-m", runs, "--json", "photos")
    predictions = json.loads(out)["predictions"]
    assert code == ExitCode.PARTIAL
    assert {row["label"] for row in predictions} <= {*names, None}
    assert f"photos/日本語/{odd}" in [row["file"] for row in predictions]
    code, out, _ = cli("predict", "-m", runs, "--csv", "photos")
    assert {row["label"] for row in csv.DictReader(out.splitlines())} <= {*names, ""}
    assert cli("predict", "-m", runs, "photos")[0] == ExitCode.PARTIAL
    assert cli("evaluate", runs, "photos")[0] == ExitCode.PARTIAL

    model_before = (runs / "model.keras").stat().st_mtime_ns
    again = ("finetune", "photos", "--image-size", "64", "--epochs", "1", "-o", runs)
    assert cli(*again)[0] == ExitCode.OUTPUT
    assert (runs / "model.keras").stat().st_mtime_ns == model_before
    code, out, err = cli(*again, "--overwrite", "--json", "-q")
    assert (code, err) == (ExitCode.PARTIAL, "")
    assert json.loads(out)["bundle"] == str(runs)
    assert (runs / "model.keras").stat().st_mtime_ns > model_before
    assert [path.name for path in runs.parent.iterdir()] == [runs.name]


COMMAND = [sys.executable, "-m", "cnntransfer"]


def process(*arguments: object, env: dict[str, str] | None = None, **options):
    """Run a command line in a process of its own; stdout and stderr are bytes."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 60, **options}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], env={**os.environ, **(env or {})}, **options
    )


def unread() -> int:
    """The writing end of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


class TestEnvironment:
    @pytest.mark.slow
    def test_another_keras_backend(self, bundle, tmp_path):
        arguments = ("export", bundle.path, "--format", "keras", "-o", tmp_path / "out")
        finished = process(*arguments, env={"KERAS_BACKEND": "torch"})
        assert finished.returncode == 0, finished.stderr

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
    @pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
    def test_terminal_without_the_letters(self, model, photos, encoding, form):
        (model / "labels.txt").write_text("日本語\nx\né\n", encoding="utf-8")
        env = {"PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"}
        finished = process("predict", "-m", "model", *form, photos, env=env)
        assert (finished.returncode, finished.stderr) == (0, b"")
        if form == ["--json"]:
            text = finished.stdout.decode("utf-8" if encoding == "ascii" else encoding)
            assert "日本語" in {row["label"] for row in json.loads(text)["predictions"]}

    @pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
    def test_reader_that_leaves(self, bundle, photos, form):
        many = [photos] * 30
        with subprocess.Popen(
            [*COMMAND, "predict", "-m", str(bundle.path), *form, *map(str, many)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as running:
            assert running.stdout.readline()
            running.stdout.close()
            assert running.stderr.read() == b""
        assert running.returncode == 0

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    @pytest.mark.parametrize("form", [[], ["--json"], ["--csv"], ["--help"]])
    def test_full_disk(self, bundle, photos, form):
        with Path("/dev/full").open("wb") as full:
            finished = process("predict", "-m", bundle.path, *form, photos, stdout=full)
        assert finished.returncode == ExitCode.OUTPUT
        assert finished.stderr == (
            b"Error: Cannot read or write the output: no space left on device.\n"
        )

    def test_closed_stdout(self, bundle, photos):
        script = " ".join(["exec", '"$@"', ">&-"])
        finished = subprocess.run(
            ["sh", "-c", script, "sh", *COMMAND, "predict", "-m", bundle.path, photos],
            capture_output=True,
            timeout=300,
        )
        assert (finished.returncode, finished.stderr) == (0, b"")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    @pytest.mark.parametrize("reader", ["gone", "full"])
    def test_nobody_takes_the_notes(self, bundle, photos, tmp_path, reader):
        """They are dropped, and the work is done."""
        (tmp_path / "text.jpg").write_text("no image")
        descriptor = unread() if reader == "gone" else os.open("/dev/full", os.O_WRONLY)
        finished = process(
            "predict", "-m", bundle.path, "--csv", tmp_path, photos, stderr=descriptor
        )
        os.close(descriptor)
        assert finished.returncode == ExitCode.PARTIAL
        images = [path for path in photos.rglob("*") if path.suffix in (".png", ".jpg")]
        assert finished.stdout.count(b"\n") == 2 + len(images)

    def test_nobody_takes_the_result(self, bundle, photos):
        """What it comes to stays the exit code."""
        descriptor = unread()
        finished = process(
            *("evaluate", bundle.path, photos, "--assert-accuracy", "1.0"),
            *("--assert-accuracy-lower", "1.0"),
            stdout=descriptor,
        )
        os.close(descriptor)
        assert finished.returncode == ExitCode.BELOW
        assert b"\nError: --assert-accuracy-lower: expected at least 1." in finished.stderr

    def test_closed_stderr(self, bundle, photos):
        image = photos / "red" / "red0.png"
        finished = subprocess.run(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND, "predict", "-m", bundle.path, image],
            capture_output=True,
            timeout=300,
        )
        assert finished.returncode == 0
        assert finished.stdout.startswith(bytes(image))


_STRIKE = """
import importlib, os, signal, sys
from cnntransfer.__main__ import script

# A second place counts from when the first has been reached.
places, number = sys.argv[1].split(","), int(sys.argv[2])
reached = {places[0]}
sys.argv[1:] = sys.argv[3:]
# A shell's background job is started with SIGINT ignored, and one of nohup's with SIGHUP; both
# would be handed on.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class DuringImport:
    def find_spec(self, name, path=None, target=None):
        if name in places:
            os.kill(os.getpid(), number)


def strike_at(place):
    module, _, dotted = place.partition(":")
    *parts, name = dotted.split(".")
    owner = importlib.import_module(module)
    owner = getattr(owner, parts[0]) if parts else owner
    original = getattr(owner, name)

    def struck(*arguments, **keywords):
        if place in reached:
            reached.update(places)
            os.kill(os.getpid(), number)
        return original(*arguments, **keywords)

    setattr(owner, name, struck)


for place in places:
    if ":" in place:
        strike_at(place)
    else:
        sys.meta_path.insert(0, DuringImport())
script()
"""
MOMENTS = {
    "start": "cnntransfer.training",
    "import": "tensorflow.python.ops",
    "reading": "cnntransfer.data.dataset:read_bytes",
    "features": "cnntransfer.engines.litert:LiteRTEngine.run",
    "training": "cnntransfer.cli.console:Console.epoch",
    "writing": "cnntransfer.bundle:Bundle.write_metadata",
}
#: Once more while what was half-written is taken away.
TWICE = "cnntransfer.bundle:Bundle.write_metadata,shutil:rmtree"


class TestInterruption:
    @pytest.mark.parametrize(
        ("places", "name"),
        [
            *((places, "SIGINT") for places in MOMENTS.values()),
            (MOMENTS["features"], "SIGTERM"),
            (MOMENTS["features"], "SIGHUP"),
            (TWICE, "SIGTERM"),
            (TWICE, "SIGHUP"),
        ],
    )
    @pytest.mark.slow
    def test_leaves_nothing_but_what_was_trained(
        self, photos, tmp_path, tmp_path_factory, monkeypatch, places, name
    ):
        if not hasattr(signal, name):
            pytest.skip(f"no {name} here")
        if places == MOMENTS["import"]:
            # A network that was prepared before needs no TensorFlow.
            monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path_factory.mktemp("empty")))
        number = str(int(getattr(signal, name)))
        settings = ("--augmentation", "none", "-q", "-o", "runs/out")
        command = ["finetune", str(photos), *SMALL, *settings]
        finished = subprocess.run(
            [sys.executable, "-c", _STRIKE, places, number, *command],
            capture_output=True,
            timeout=300,
        )
        assert finished.returncode == ExitCode.INTERRUPTED
        assert finished.stdout == b""
        # The head was trained by then; of features perhaps, if all were in the cache.
        is_trained = "Bundle." in places or ("Engine." in places and any(tmp_path.iterdir()))
        if is_trained:
            assert finished.stderr.strip() == (
                b"Error: Interrupted. Training is kept up to the end of stage 'head'; go on with: "
                b"cnntransfer finetune --resume runs/out"
            )
            (kept,) = (tmp_path / "runs").iterdir()
            assert sorted(f.name for f in kept.iterdir()) == [
                "recipe.yaml",
                "run.npz",
                "stage1.npz",
            ]
        else:
            assert finished.stderr.strip() == b"Error: Interrupted. Nothing was left half-written."
            assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
    def test_nohup_is_heeded(self, cli):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            assert cli("--version")[0] == 0
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_while_the_command_itself_is_imported(self, monkeypatch, capsys):
        from cnntransfer import __main__

        def interrupted(arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr("cnntransfer.cli.run", interrupted)
        assert __main__.main() == ExitCode.INTERRUPTED
        assert capsys.readouterr().err == "Error: Interrupted.\n"


class TestBugs:
    """What the program itself does wrong is said to be a bug, without a traceback."""

    def test_unexpected_error(self, refused, monkeypatch):
        def fail(name):
            raise ZeroDivisionError("two\nlines")

        monkeypatch.setattr("cnntransfer.pretrained.open_model", fail)
        monkeypatch.setattr("cnntransfer.predict.expand", fail)
        refused(
            ExitCode.FAILURE,
            "Unexpected ZeroDivisionError: two lines This is a bug: please report it with the "
            "output of the same command after setting CNNTRANSFER_DEBUG=1.",
            "predict",
            "x.jpg",
        )

    def test_debug_shows_it_all(self, monkeypatch):
        def fail(name):
            raise ZeroDivisionError

        monkeypatch.setenv("CNNTRANSFER_DEBUG", "1")
        monkeypatch.setattr("cnntransfer.predict.expand", fail)
        with pytest.raises(ZeroDivisionError):
            run(["predict", "x.jpg"])

    def test_out_of_memory(self, refused, monkeypatch):
        def fail(name):
            raise MemoryError

        monkeypatch.setattr("cnntransfer.predict.expand", fail)
        refused(
            ExitCode.FAILURE,
            "Out of memory. Try a smaller --batch-size or --image-size.",
            "predict",
            "x.jpg",
        )
