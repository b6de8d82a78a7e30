"""``cnntransfer inspect``: tables, formulas, files."""

from __future__ import annotations

import csv
import io
import json

import pytest

from cnntransfer.errors import ExitCode
from tests.cli.test_startup import imported

CONV = ("inspect", "conv", "--input", "32x32x3", "--filters", 10, "--kernel", 5, "--padding", 2)


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class TestLayer:
    def test_text(self, cli):
        assert cli(*CONV) == (
            0,
            "output            32x32x10\n"
            "height and width  (32 - 5 + 2*2)/1 + 1 = 32\n"
            "parameters        (5*5*3 + 1) * 10 = 760   (750 weights, 10 biases)\n"
            "multiply-adds     32*32*10 * 5*5*3 = 768,000\n"
            "activation bytes  32*32*10 * 4 = 40,960\n"
            "receptive field   (5 - 1)*1 + 1 = 5\n"
            "jump              1\n",
            "",
        )

    def test_json(self, cli):
        code, out, err = cli(*CONV, "--json")
        result = json.loads(out)
        assert (code, err) == (0, "")
        assert result["output"] == [32, 32, 10]
        assert (result["parameters"], result["weights"], result["biases"]) == (760, 750, 10)
        assert result["padding"] == [[2, 2], [2, 2]]
        assert {"quantity": "parameters", "formula": "(5*5*3 + 1) * 10", "value": 760} in (
            result["formulas"]
        )

    def test_csv(self, cli):
        code, out, err = cli(*CONV, "--csv")
        assert (code, err) == (0, "")
        below, row = csv.DictReader(io.StringIO(out))
        assert below["output"] == "32x32x3"
        assert (row["output"], row["parameters"], row["receptive_field"]) == (
            "32x32x10",
            "760",
            "5x5",
        )

    def test_rounding_down_is_said(self, cli):
        code, out, _ = cli("inspect", "pool", "--input", "6x7x3", "--kernel", 2, "--round-down")
        assert code == 0
        assert "height            (6 - 2 + 2*0)/2 + 1 = 3\n" in out
        assert "width             (7 - 2 + 2*0)/2 + 1 = 3.5, rounded down 3\n" in out
        assert "parameters        0\n" in out

    def test_a_jump_below_one(self, cli):
        arguments = ("--input", "7x7x8", "--filters", 4, "--kernel", 2, "--stride", "2x1")
        code, out, _ = cli("inspect", "conv", *arguments, "--transposed")
        assert code == 0
        assert out.splitlines()[-1].split() == ["jump", "1/2x1"]

    def test_imports_nothing_heavy(self):
        assert imported(*CONV) == "code 0 imported"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--png", "x.png"),
             "--png: expected with a network or a bundle. Received: with conv. What conv takes: "
             "--input, --filters, --kernel, --stride, --padding, --round-down, --dilation, "
             "--groups, --transposed, --bias."),
            (("--groups", "0"), "--groups: expected a whole number of at least 1. Received: 0. "),
            (("--json", "--csv"), "Expected --json or --csv. Received: both. Choose one."),
            (("--units", "3"), "--units: expected with dense. Received: with conv. "),
        ],
    )  # fmt: skip
    def test_slips(self, cli, tmp_path, options, message):
        code, out, err = cli(*CONV, *options)
        assert (code, out) == (ExitCode.USAGE, "")
        assert err.startswith(f"Error: {message.rstrip()}")
        assert err.count("\n") == 1
        assert not list(tmp_path.iterdir())


class TestNetwork:
    def test_a_bundle_as_text(self, cli, bundle):
        code, out, err = cli("inspect", bundle.path)
        assert code == 0
        lines = out.splitlines()
        assert lines[0].split() == [
            "layer", "kind", "kernel", "stride", "padding", "output", "parameters",
            "multiply-adds", "bytes", "field", "jump", "weights",
        ]  # fmt: skip
        rows = {line.split()[0]: line.split() for line in lines[2:] if line}
        assert rows["conv1"][1:] == [
            "conv", "3x3", "2", "same", "32x32x32", "864", "884,736", "131,072", "3", "2", "frozen",
        ]  # fmt: skip
        assert rows["probabilities"][-1] == "trained"
        model = bundle.load_keras()
        assert rows["parameters"][1] == f"{model.count_params():,}"
        assert f"Next: cnntransfer inspect {bundle.path} --png photos-mobilenet.png\n" in err

    @pytest.mark.parametrize("width", [80, 110, 160])
    def test_a_terminal_is_not_wrapped(self, cli, bundle, monkeypatch, width):
        for module in ("columns", "console"):
            monkeypatch.setattr(f"cnntransfer.cli.{module}.is_terminal", lambda stream: True)
        monkeypatch.setenv("COLUMNS", str(width))
        code, out, err = cli("inspect", bundle.path, "-q")
        table = out.split("\n\n")[0].splitlines()
        assert (code, err) == (0, "")
        assert max(map(len, table)) <= width
        assert ("bytes" in table[0].split()) is (width == 160)
        assert {"layer", "output", "parameters", "multiply-adds"} <= set(table[0].split())

    def test_a_bundle_as_json_and_csv(self, cli, bundle):
        _, out, err = cli("inspect", bundle.path, "--json")
        assert err == ""
        result = json.loads(out)
        _, table, _ = cli("inspect", bundle.path, "--csv")
        rows = list(csv.DictReader(io.StringIO(table)))
        assert [row["name"] for row in rows] == [layer["name"] for layer in result["layers"]]
        assert sum(int(row["parameters"]) for row in rows) == result["totals"]["parameters"]
        assert sum(int(row["multiply_adds"]) for row in rows) == result["totals"]["multiply_adds"]

    def test_a_bundle_needs_no_tensorflow(self, bundle):
        assert imported("inspect", bundle.path, "--svg", "x.svg") == "code 0 imported"

    def test_a_network_by_name(self, cli, tmp_path):
        code, out, err = cli(
            "inspect", "mobilenet", "--image-size", 64, "--unfreeze", "block13", "--json",
            "--png", "x.png", "--svg", "x.svg",
        )  # fmt: skip
        assert (code, err) == (0, "Drawing x.png\nDrawing x.svg\n")
        assert json.loads(out)["totals"]["trained"] == 9 * 1024 + 1024 * 1024
        assert {path.name for path in tmp_path.iterdir()} == {"x.png", "x.svg"}

    def test_a_drawing_is_not_overwritten_silently(self, cli, bundle, tmp_path):
        (tmp_path / "x.png").write_bytes(b"precious")
        code, out, err = cli("inspect", bundle.path, "--png", "x.png")
        assert (code, out) == (ExitCode.OUTPUT, "")
        assert err == (
            "Error: --png: expected a new file. Received: x.png, which exists. "
            "Choose another name, or allow it with --overwrite.\n"
        )
        assert (tmp_path / "x.png").read_bytes() == b"precious"
        assert cli("inspect", bundle.path, "--png", "x.png", "--overwrite")[0] == 0
        assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (("mobilnet",), ExitCode.BUNDLE,
             "Expected a network that 'cnntransfer backbones' lists, a bundle's folder or one of "
             "the layers conv, depthwise, separable, pool, dense. Received: 'mobilnet'. "
             "Did you mean 'mobilenet'?"),
            (("pol",), ExitCode.BUNDLE, "Expected a network that 'cnntransfer backbones' lists, "
             "a bundle's folder or one of the layers conv, depthwise, separable, pool, dense. "
             "Received: 'pol'. Did you mean 'pool'?"),
            (("./nowhere",), ExitCode.BUNDLE, "Expected a bundle, a folder that 'cnntransfer "
             "finetune' wrote. Received: nowhere, which does not exist."),
            (("mobilenet", "--kernel", "3"), ExitCode.USAGE,
             "--kernel: expected with one of conv, depthwise, separable, pool, dense. Received: "
             "with mobilenet. Try: cnntransfer inspect conv --input 32x32x3 --filters 10 "
             "--kernel 5 --padding 2"),
            (("mobilenet", "--png", "x.jpg"), ExitCode.USAGE,
             "--png: expected a file name that ends in .png. Received: 'x.jpg'."),
        ],
    )  # fmt: skip
    def test_slips(self, cli, arguments, code, message):
        assert cli("inspect", *arguments) == (code, "", f"Error: {message}\n")
