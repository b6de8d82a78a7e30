"""Every command does what its help says: results on stdout, notes on stderr."""

from __future__ import annotations

import csv
import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from cnntransfer import __version__
from cnntransfer.cli import COMMANDS, main
from cnntransfer.models.backbones import BACKBONES
from tests.conftest import make_photos

SAMPLES = Path(__file__).parents[2] / "sample_images"
BIRD = SAMPLES / "bird.jpg"
SMALL = ("--image-size", "64", "--batch-size", "8", "--epochs", "3")


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def some(bundle, photos):
    """Arguments for predict: the model and three images."""
    files = [photos / "red" / "red0.png", photos / "blue" / "blue1.png", photos / "red/red2.png"]
    return ["predict", "-m", str(bundle.path)], [str(file) for file in files]


def command_of(name: str) -> click.Command:
    return importlib.import_module(f"cnntransfer.cli.{name}").command


def next_commands(notes: str) -> list[list[str]]:
    """The command lines that a command's notes propose."""
    lines = [line for line in notes.splitlines() if line.startswith(("Next: ", "  or: "))]
    assert lines, notes
    return [shlex.split(line[6:].split("   ")[0])[1:] for line in lines]


class TestHelp:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_summary_and_examples(self, cli, name):
        code, out, err = cli(name, "--help")
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0].startswith(f"Usage: cnntransfer {name} ")
        assert lines[2].strip() == COMMANDS[name]
        assert "  Examples:" in lines
        assert cli(name, "-h") == (code, out, err)

    @pytest.mark.parametrize("name", COMMANDS)
    def test_examples_can_be_parsed(self, name):
        command = command_of(name)
        examples = [line.strip() for line in command.epilog.splitlines()[2:]]
        assert examples
        for line in examples:
            _, _, call = line.partition(f"cnntransfer {name}")
            words = shlex.split(call.split(")")[0].split(">")[0], comments=True)
            command.make_context(name, words)

    def test_every_option_is_explained(self):
        for name in COMMANDS:
            for parameter in command_of(name).params:
                if isinstance(parameter, click.Option) and not parameter.hidden:
                    assert parameter.help, f"{name} {parameter.name}"
                    assert parameter.help.split(" [default")[0].endswith((".", "none"))

    def test_first_page(self, cli):
        code, out, err = cli("--help")
        assert (code, err) == (0, "")
        for name, summary in COMMANDS.items():
            assert f"  {name:<12}{summary}\n" in out

    def test_version(self, cli):
        assert cli("--version") == (0, f"cnntransfer, version {__version__}\n", "")


class TestFinetune:
    def test_from_folder_to_next_command(self, cli, photos, tmp_path):
        code, out, err = cli("finetune", photos, *SMALL, "-v", "--show-input", "seen")
        assert code == 0
        lines = out.splitlines()
        assert lines[0].startswith("Validation accuracy ")
        pattern = r".* on 7 images \(95 % interval [\d.]+\.\.100\.0 %, Wilson; balanced .*\)"
        assert re.fullmatch(pattern, lines[0])
        assert re.match(r"Calibration error 0\.\d{3} on the validation images", lines[1])
        assert lines[2] == "Bundle   runs/photos-mobilenet"
        assert lines[3] == "Report   runs/photos-mobilenet/report.html"
        assert lines[4].startswith("Time ")
        assert "30 images of 3 classes: 23 train, 7 val\n" in err
        assert err.count("head ") >= 3  # -v: one line per epoch.
        seen = sorted((tmp_path / "seen").iterdir())
        assert len(seen) == 92  # 23 images of so few are learned from in 4 views each.
        assert {path.suffix for path in seen} == {".png"}
        with Image.open(seen[0]) as image:
            assert (image.size, image.mode) == ((64, 64), "RGB")
        proposals = next_commands(err)
        assert [words[0] for words in proposals] == ["predict", "export"]
        for words in proposals:
            assert cli(*words)[0] == 0

    def test_json_from_a_config(self, cli, bundle, photos, tmp_path):
        config = ("--config", bundle.recipe_file)
        code, out, err = cli("finetune", *config, "--epochs", "1", "--json", "-q", "-o", "out")
        assert (code, err) == (0, "")
        result = json.loads(out)
        assert result["bundle"] == "out"
        assert {"format_version", "input", "output", "dataset", "metrics", "parity", "seconds"} <= (
            result.keys()
        )
        assert result["dataset"]["source"] == str(photos)
        assert result["input"]["height"] == 64  # From the recipe.


class TestPredict:
    def test_one_image(self, cli, some):
        command, files = some
        code, out, err = cli(*command, files[0])
        lines = out.splitlines()
        assert (code, err, lines[0]) == (0, "", files[0])
        assert lines[1].endswith(" %  red")
        assert len(lines) == 4

    def test_a_network_s_packed_weights_change_nothing(self, cli, some, monkeypatch, tmp_path):
        command, files = some
        plain = cli(*command, files[0])
        monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path))
        monkeypatch.setattr("cnntransfer.engines.packed._WORTH_BYTES", 1_000_000)
        kept = []
        for _ in range(3):  # Noted, packed, taken from the cache.
            assert cli(*command, files[0]) == plain
            kinds = json.loads(cli("cache", "--json")[1])["kinds"]
            kept += [kind["bytes"] for kind in kinds if kind["kind"] == "packed"]
        assert kept[0] == 0
        assert kept[1] == kept[2] > 1_000_000

    def test_several_images_keep_their_order(self, cli, some, photos):
        command, files = some
        code, out, err = cli(*command, *files)
        assert (code, err) == (0, "")
        assert [line.split("\t")[1] for line in out.splitlines()] == files
        assert [line.split("\t")[0].split()[-1] for line in out.splitlines()] == [
            "red",
            "blue",
            "red",
        ]
        mixed = [files[1], photos / "green", str(photos / "red" / "red[12].png")]
        _, out, _ = cli(*command, *mixed)
        shown = [Path(line.split("\t")[1]).name for line in out.splitlines()]
        assert shown == [
            "blue1.png",
            *(f"green{number}.png" for number in range(10)),
            "red1.png",
            "red2.png",
        ]

    def test_folder_with_all_below(self, cli, some, photos):
        _, out, _ = cli(*some[0], photos)
        assert len(out.splitlines()) == 30

    def test_json(self, cli, some, bundle):
        command, files = some
        _, out, err = cli(*command, "--json", "--top", "2", *files)
        result = json.loads(out)
        assert err == ""
        assert result.keys() == {"model", "predictions"}
        assert result["model"] == str(bundle.path)
        rows = result["predictions"]
        assert [row["file"] for row in rows] == files
        assert [row["label"] for row in rows] == ["red", "blue", "red"]
        assert rows[0].keys() == {"file", "label", "probability", "top", "rejected"}
        assert [len(row["top"]) for row in rows] == [2, 2, 2]
        assert rows[0]["top"][0] == {"label": "red", "probability": rows[0]["probability"]}

    def test_csv(self, cli, some):
        command, files = some
        _, out, _ = cli(*command, "--csv", *files)
        rows = list(csv.DictReader(out.splitlines()))
        assert list(rows[0]) == ["file", "label", "probability", "rejected"]
        assert [row["file"] for row in rows] == files
        _, out, _ = cli(*command, "--csv", "--top", "2", *files)
        header = "file,label1,probability1,label2,probability2,rejected"
        assert out.splitlines()[0] == header

    def test_top(self, cli, some):
        command, files = some
        assert len(cli(*command, "--top", "1", files[0])[1].splitlines()) == 2
        assert len(cli(*command, "--top", "2", *files)[1].splitlines()) == 9
        assert len(cli(*command, "--top", "99", files[0])[1].splitlines()) == 4

    def test_forms_agree(self, cli, some):
        command, files = some
        rows = json.loads(cli(*command, "--json", *files)[1])["predictions"]
        table = list(csv.DictReader(cli(*command, "--csv", *files)[1].splitlines()))
        for row, cells in zip(rows, table, strict=True):
            assert (row["label"], f"{row['probability']:.6f}") == (
                cells["label"],
                cells["probability"],
            )

    def test_unknown_images(self, cli, some):
        command, files = some
        code, out, err = cli(*command, "--unknown", "auto", *files, BIRD)
        assert code == 0
        *known, unknown = out.splitlines()
        assert known == cli(*command, *files)[1].splitlines()
        assert unknown.split("\t") == ["         unknown", str(BIRD)]
        said, counted = err.splitlines()
        assert said.startswith("Unknown is what is farther than ")
        assert "Expect 5 % of those to be called unknown, too (of 7 validation photos: " in said
        assert counted == "1 of 4 files unknown."
        _, alone, note = cli(*command, "--unknown", "0.05", BIRD)
        assert alone.startswith(f"{BIRD}\n  unknown  at a distance of ")
        assert note == f"{said}\n"
        assert cli(*command, "--unknown", "auto", "-q", BIRD) == (0, alone, "")

    def test_known_images_are_shown_as_without_the_option(self, cli, some):
        command, files = some
        for more in ([], ["--top", "2"]):
            plain = cli(*command, *more, files[0])
            code, out, _ = cli(*command, *more, "--unknown", "auto", files[0])
            assert (code, out, "") == plain

    def test_unknown_images_for_programs(self, cli, some, tmp_path):
        command, files = some
        broken = tmp_path / "broken.png"
        broken.touch()
        paths = [files[0], BIRD, broken]
        asked = (*command, "--unknown", "auto", "-q", *paths)
        code, out, err = cli(*asked, "--json")
        assert (code, err) == (9, "")
        known, unknown, rejected = json.loads(out)["predictions"]
        keys = ["file", "label", "probability", "top", "rejected", "unknown", "distance"]
        assert list(known) == list(unknown) == list(rejected) == keys
        assert (known["unknown"], known["label"]) == (False, "red")
        assert (unknown["unknown"], unknown["label"], unknown["probability"]) == (
            True,
            "unknown",
            None,
        )
        assert known["distance"] < 1.5 < unknown["distance"]
        assert len(unknown["top"]) == 3
        assert sum(one["probability"] for one in unknown["top"]) == pytest.approx(1)
        assert (rejected["unknown"], rejected["distance"], rejected["label"]) == (False, None, None)

        rows = list(csv.DictReader(cli(*asked, "--csv")[1].splitlines()))
        header = ["file", "label", "unknown", "distance", "label1", "probability1", "rejected"]
        assert list(rows[0]) == header
        assert [row["label"] for row in rows] == ["red", "unknown", ""]
        assert [row["unknown"] for row in rows] == ["false", "true", ""]
        assert float(rows[1]["distance"]) == pytest.approx(unknown["distance"], abs=1e-4)
        assert rows[1]["label1"] == unknown["top"][0]["label"]
        assert rows[2]["rejected"].startswith("is empty")

    def test_the_rate_moves_the_boundary(self, cli, some, tmp_path):
        make_photos(tmp_path / "new", first=5000)
        counts = []
        for rate in ("0.01", "0.2", "0.6"):
            _, out, err = cli(*some[0], "--unknown", rate, "--json", tmp_path / "new")
            rows = json.loads(out)["predictions"]
            counts.append(sum(row["unknown"] for row in rows))
            assert ("cannot tell where 1 % lie" in err) == (rate == "0.01")
        assert counts[0] < counts[1] < counts[2]

    @pytest.mark.parametrize("rate", ["5%", "2", "-1", ""])
    def test_what_is_no_rate(self, cli, some, rate):
        code, out, err = cli(*some[0], "--unknown", rate, BIRD)
        assert (code, out) == (2, "")
        assert err.startswith("Error: --unknown: expected a share of known photos from 0 to 1")
        assert err.count("\n") == 1

    @pytest.mark.slow
    def test_a_bare_network_knows_no_training_photos(self, cli):
        code, out, err = cli("predict", "--unknown", "auto", BIRD)
        assert (code, out) == (5, "")
        assert err.splitlines()[-1].startswith("Error: --unknown: expected a bundle that")
        assert err.splitlines()[-1].endswith("and name the bundle: -m MODEL")

    def test_show_input(self, cli, some, tmp_path):
        command, files = some
        assert cli(*command, "--show-input", "seen", *files)[0] == 0
        seen = sorted(path.name for path in (tmp_path / "seen").iterdir())
        assert seen == ["0000-red0.png", "0001-blue1.png", "0002-red2.png"]
        with Image.open(tmp_path / "seen" / seen[0]) as image:
            assert np.asarray(image).shape == (64, 64, 3)

    def test_without_a_model_imagenet_answers(self, cli, photos):
        code, out, err = cli("predict", BIRD)
        lines = out.splitlines()
        assert (code, lines[0], len(lines)) == (0, str(BIRD), 6)
        assert lines[1].endswith(" %  duck")
        (words,) = next_commands(err)
        assert words == ["finetune", "FOLDER"]
        assert cli("predict", "-q", BIRD) == (0, out, "")

    def test_pretrained_network_by_name(self, cli):
        code, out, err = cli("predict", "-m", "mobilenet", BIRD, "--json")
        assert (code, err) == (0, "")
        result = json.loads(out)
        assert result["model"] == "mobilenet"
        assert result["predictions"][0]["label"] == "duck"


class TestEvaluate:
    def test_text(self, cli, bundle, photos, tmp_path):
        code, out, err = cli("evaluate", bundle.path, photos)
        assert code == 0
        for figure in ("images", "accuracy (top-1)", "balanced accuracy", "macro F1", "log loss"):
            assert f"\n {figure} " in f"\n{out}"
        assert re.search(r"\n accuracy \(top-1\) +[\d.]+ % +[\d.]+\.\.[\d.]+ % +Wilson\n", out)
        assert re.search(r"\n log loss +[\d.]+ +[\d.]+\.\.[\d.]+ +Bootstrap\n", out)
        assert re.search(r"\n red +[\d.]+ +[\d.]+\.\.[\d.]+ +[\d.]+ +[\d.]+\.\.[\d.]+ +", out)
        assert "top-5" not in out  # Three classes.
        # Run in TestFinetune.
        assert next_commands(err) == [["export", str(bundle.path), "--format", "litert"]]
        assert err.startswith("23 of 30 images were trained on, so the figures flatter. ")
        assert cli("evaluate", "-q", bundle.path, photos) == (0, out, "")

    def test_json(self, cli, bundle, photos):
        code, out, err = cli("evaluate", bundle.path, photos, "--json")
        assert code == 0
        assert err == (
            "23 of 30 images were trained on, so the figures flatter. "
            "For the held-out images only: --subset val\n"
        )
        result = json.loads(out)
        assert result["trained_on"] == 23
        assert (result["model"], result["data"]) == (str(bundle.path), str(photos))
        assert result["images"] == 30
        assert 0.5 < result["accuracy"] <= 1
        assert np.array(result["confusion"]).sum() == 30
        interval = result["intervals"]["accuracy"]
        assert interval["low"] < result["accuracy"] <= interval["high"]
        assert interval["method"] == "wilson"
        assert set(result["per_class"][0]["intervals"]) == {"precision", "recall", "f1"}

    def test_held_out_by_the_run(self, cli, bundle, photos):
        code, out, err = cli("evaluate", bundle.path, photos, "--subset", "val", "--json")
        assert (code, err) == (0, "")
        result = json.loads(out)
        assert (result["images"], result["trained_on"]) == (7, 0)

    @pytest.mark.slow
    def test_a_bare_network_has_no_training_images(self, cli, tmp_path):
        (tmp_path / "data" / "duck").mkdir(parents=True)
        (tmp_path / "data" / "duck" / "1.jpg").symlink_to(BIRD)
        code, out, err = cli("evaluate", "mobilenet", "data", "--json", "-q")
        assert (code, err) == (0, "")
        assert json.loads(out)["trained_on"] is None
        code, out, err = cli("evaluate", "mobilenet", "data", "--subset", "val")
        assert (code, out) == (3, "")
        assert "(no subsets). Received: 'val'." in err

    def test_subset(self, cli, bundle, photos, tmp_path):
        (tmp_path / "data").mkdir()
        for name in ("train", "test"):
            (tmp_path / "data" / name).symlink_to(photos)
        _, out, _ = cli("evaluate", bundle.path, "data", "--subset", "train", "--json")
        assert json.loads(out)["images"] == 30
        # The folder has none; the run had, and among these photos, each of which is there twice.
        _, out, _ = cli("evaluate", bundle.path, "data", "--subset", "val", "--json")
        assert json.loads(out)["images"] == 2 * 7
        assert cli("evaluate", bundle.path, "data", "--subset", "vla")[0] == 3


class TestExport:
    def test_text_and_next(self, cli, bundle):
        code, out, err = cli("export", bundle.path, "--format", "keras")
        folder = f"exports/{bundle.path.name}-keras"
        lines = out.splitlines()
        assert code == 0
        assert lines[0].startswith(f"{folder}/model.keras  (")
        assert lines[1] == f"{folder}/labels.txt"
        assert lines[2].startswith("Same as predict: largest difference of a probability ")
        prefix = "Next: in Python: "
        assert err.startswith(prefix)
        import keras

        images = np.zeros((2, 64, 64, 3), np.float32)
        call = err.removeprefix(prefix).strip().replace("(images)", "(images, verbose=0)")
        assert eval(call, {"keras": keras, "images": images}).shape == (2, 3)

    def test_json(self, cli, bundle):
        code, out, err = cli("export", bundle.path, "--format", "keras", "-o", "o", "--json", "-q")
        assert (code, err) == (0, "")
        result = json.loads(out)
        assert result.keys() == {
            "format",
            "folder",
            "artifact",
            "bytes",
            "largest_difference",
            "usage",
        }
        assert Path(result["artifact"]).stat().st_size == result["bytes"]
        assert sorted(path.name for path in Path("o").iterdir()) == [
            "input.json",
            "labels.txt",
            "model.keras",
        ]


class TestLists:
    def test_backbones(self, cli):
        code, out, err = cli("backbones")
        assert code == 0
        assert len(out.splitlines()) == len(BACKBONES) + 2
        assert err == "Next: cnntransfer finetune FOLDER --backbone NAME\n"

    @pytest.mark.parametrize("width", [*range(40, 120, 10), 107, 108])
    def test_backbones_on_a_terminal_never_wrap(self, cli, monkeypatch, width):
        _, piped, _ = cli("backbones")
        for module in ("columns", "console"):
            monkeypatch.setattr(f"cnntransfer.cli.{module}.is_terminal", lambda stream: True)
        monkeypatch.setenv("COLUMNS", str(width))
        code, out, err = cli("backbones")
        lines = out.splitlines()
        assert code == 0
        assert len(lines) == len(BACKBONES) + 2
        assert max(map(len, lines)) <= width
        titles = lines[0].replace("top block", "top-block").split()
        assert titles[0] == "name"
        assert titles[-1] == "weights"
        if width >= 108:
            assert (out, err) == (piped, "Next: cnntransfer finetune FOLDER --backbone NAME\n")
        else:
            assert err.startswith("No room here for: licence")
        if width == 60:
            assert titles == ["name", "size", "parameters", "weights"]
            lacking = "licence, min, input, features, top block"
            assert f"{lacking}. A wider terminal or --json" in err

    def test_backbones_json(self, cli):
        rows = json.loads(cli("backbones", "--json")[1])
        assert [row["name"] for row in rows] == list(BACKBONES)
        assert rows[0].keys() == {
            "name",
            "constructor",
            "image_size",
            "minimum_size",
            "features",
            "parameters",
            "preprocessing",
            "blocks",
            "license",
            "weights",
        }

    def test_backbones_offline(self, cli):
        rows = json.loads(cli("backbones", "--offline", "--json")[1])
        assert [(row["name"], row["weights"]) for row in rows] == [
            ("mobilenet", "built-in"),
            ("mobilenet_v2", "built-in"),
        ]

    def test_weights(self, cli):
        code, out, err = cli("weights")
        assert code == 0
        assert [line.split()[0] for line in out.splitlines()[2:]] == ["mobilenet", "mobilenet_v2"]
        pretrained = sum(backbone.is_pretrained for backbone in BACKBONES.values())
        assert f"Not here: {pretrained - 2} others. Keras downloads them" in err
        (words,) = next_commands(err)
        assert cli(*words)[0] == 0

    def test_weights_json(self, cli):
        code, out, _ = cli("weights", "mobilenet", "--json", "-q")
        (row,) = json.loads(out)
        assert code == 0
        assert row.keys() == {"backbone", "source", "top", "verified", "file"}
        assert (row["source"], row["top"], row["verified"]) == ("built-in", "with top", "ok")

    def test_damaged_weights(self, cli, tmp_path, monkeypatch):
        (tmp_path / "resnet50_imagenet.weights.h5").write_bytes(b"no weights")
        monkeypatch.setenv("CNNTRANSFER_WEIGHTS", str(tmp_path))
        code, out, _ = cli("weights", "resnet50", "--json")
        assert code == 4
        assert "cannot be read" in json.loads(out)[0]["verified"]


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_script(self, cli, shell):
        code, out, err = cli("completion", shell)
        assert (code, err) == (0, "")
        assert f"_CNNTRANSFER_COMPLETE={shell}_complete" in out

    def test_shell_of_the_environment(self, cli, monkeypatch):
        monkeypatch.setenv("SHELL", "/usr/bin/fish")
        assert cli("completion") == cli("completion", "fish")

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("cnntransfer ex", ["export", "explain"]),
            ("cnntransfer ", list(COMMANDS)),
            ("cnntransfer predict --sh", ["--show-input"]),
        ],
    )
    def test_names(self, words, expected, monkeypatch):
        monkeypatch.setenv("_CNNTRANSFER_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
        finished = subprocess.run(
            [sys.executable, "-c", "from cnntransfer.__main__ import script; script()"],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert [line.partition(",")[2] for line in finished.stdout.splitlines()] == expected
        assert (finished.returncode, finished.stderr) == (0, "")


def test_the_group_knows_its_commands():
    context = click.Context(main)
    assert main.list_commands(context) == list(COMMANDS)
    assert main.get_command(context, "nothing") is None


class TestCache:
    @pytest.fixture(autouse=True)
    def own_cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path / "cache"))

    def test_serves_shows_and_clears(self, cli, lecture_recipe, tmp_path):
        (tmp_path / "recipe.yaml").write_text(lecture_recipe.to_yaml())
        for output in ("cold", "warm"):
            code, _, err = cli("finetune", "--config", tmp_path / "recipe.yaml", "-o", output)
            assert code == 0, err
        cold, warm = (Path(name, "predictions.csv").read_bytes() for name in ("cold", "warm"))
        assert cold == warm
        code, out, err = cli("cache", "--json")
        assert (code, err) == (0, "")
        kinds = {kind["kind"]: kind for kind in json.loads(out)["kinds"]}
        assert kinds["features"]["entries"] == 3  # Held out, training, its other views.
        assert kinds["trunks"]["entries"] == 1
        code, out, err = cli("cache", "--clear", "features")
        assert code == 0
        assert out.splitlines()[-1].endswith(f"MB of at most 10,000 MB in {tmp_path / 'cache'}")
        assert err.startswith("Freed ")
        assert "Next: cnntransfer cache --clear all\n" in err
        assert cli("cache", "--clear", "all")[0] == 0
        assert json.loads(cli("cache", "--json")[1])["kinds"][2]["bytes"] == 0

    def test_wrong_limit(self, cli, monkeypatch):
        monkeypatch.setenv("CNNTRANSFER_CACHE_LIMIT", "much")
        code, out, err = cli("cache")
        assert (code, out) == (2, "")
        assert err == (
            "Error: CNNTRANSFER_CACHE_LIMIT: expected a size such as 500MB or 10GB. "
            "Received: 'much'.\n"
        )

    def test_wrong_kind(self, cli):
        code, _, err = cli("cache", "--clear", "feature")
        assert code == 2
        assert "Did you mean 'features'?" in err


@pytest.mark.slow
def test_benchmark(cli, monkeypatch):
    monkeypatch.setattr("cnntransfer.benchmark._MEASURED_SECONDS", 0.01)
    monkeypatch.setattr("cnntransfer.benchmark.WAYS", (("LiteRT", "float32"),))
    code, out, err = cli("benchmark", "mobilenet", "--json")
    assert code == 0, err
    (row,) = json.loads(out)
    assert (row["backbone"], row["engine"], row["precision"]) == ("mobilenet", "LiteRT", "float32")
    assert row["images_per_second"] > 1
    assert row["cosine"] == pytest.approx(1, abs=1e-5)
    assert row["finetune_seconds"] > 1000 / row["images_per_second"]
