"""``cnntransfer evaluate``: several models, assertions, and JSON as its schema says."""

from __future__ import annotations

import copy
import csv
import json
import os
import shutil
from importlib.resources import files

import jsonschema
import pytest

from cnntransfer.bundle import Bundle
from cnntransfer.errors import ExitCode

SCHEMA = json.loads(
    (files("cnntransfer") / "schemas" / "evaluation.schema.json").read_text(encoding="utf-8")
)


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def wrong(bundle, tmp_path):
    """The bundle with two of its classes' names exchanged: right of red only."""
    model = Bundle(shutil.copytree(bundle.path, tmp_path / "wrong"))
    model.write_labels(["green", "blue", "red"])
    return model.path


@pytest.fixture
def both(bundle, wrong):
    """The two models' paths."""
    return [bundle.path, wrong]


def columns_of(line: str) -> list[str]:
    """The cells of a line of a table."""
    return [cell.strip() for cell in line.split("   ") if cell.strip()]


class TestSeveralModels:
    def test_text(self, cli, both, photos):
        code, out, err = cli("evaluate", *both, photos)
        assert code == 0
        rows = [columns_of(line) for line in out.splitlines()]
        assert rows[0] == ["figure (95 % interval)", "photos-mobilenet", "wrong"]
        assert ["images", "30", "30"] in rows
        assert ["recall", "photos-mobilenet", "wrong", "images"] in rows
        (tests,) = (row for row in rows if row and row[0] == "against photos-mobilenet")
        assert tests == [
            "against photos-mobilenet",
            "only it is right",
            "only photos-mobilenet is right",
            "p, exact McNemar",
        ]
        differing = rows.index(["they differ on", "true", "photos-mobilenet", "wrong"])
        assert len(rows[differing + 2 : -1]) == 10  # Ten of them are shown.
        assert out.splitlines()[-1].startswith("and on ")
        assert out.splitlines()[-1].endswith(" more: see --json or --output")
        assert "mistakes" not in out
        # The most accurate one is the one to go on with.
        assert err.splitlines()[-1] == f"Next: cnntransfer export {both[0]} --format litert"
        # A note for each, by the name that was typed.
        assert [line.split(": ")[0] for line in err.splitlines()[:2]] == [*map(str, both)]

    @pytest.mark.slow
    def test_three_models_are_corrected_for(self, cli, both, other_bundle, photos):
        code, out, _ = cli("evaluate", *both, other_bundle.path, photos)
        assert code == 0
        assert "   p, exact McNemar, Holm\n" in out
        assert out.index("\n wrong ") < out.index("\n more-mobilenet ")

    def test_models_that_agree(self, cli, bundle, photos, tmp_path):
        twin = shutil.copytree(bundle.path, tmp_path / "twin" / bundle.path.name)
        code, out, _ = cli("evaluate", bundle.path, twin, photos)
        assert code == 0
        assert out.splitlines()[-1] == "They give the same class for every image."
        # Of the same last name, so they are called by their whole.
        assert columns_of(out.splitlines()[0]) == [
            "figure (95 % interval)",
            str(bundle.path),
            str(twin),
        ]

    def test_mistakes_where_they_are_asked_for(self, cli, both, photos):
        _, out, _ = cli("evaluate", *both, photos, "--mistakes", "3", "-q")
        lines = out.splitlines()
        start = next(i for i, line in enumerate(lines) if "mistakes of wrong" in line)
        assert len(lines[start + 2 :]) == 3

    def test_answers_as_csv(self, cli, both, photos, tmp_path):
        target = tmp_path / "out" / "answers.csv"
        code, _, err = cli("evaluate", *both, photos, "--json", "-o", target)
        assert (code, err.splitlines()[-1]) == (0, f"Answers  {target}")
        with target.open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 30
        for row in rows:
            names = {row[f"predicted {model}"] for model in both}
            assert row["agree"] == ("yes" if len(names) == 1 else "no")
        assert cli("evaluate", *both, photos, "-o", target)[0] == ExitCode.OUTPUT
        assert cli("evaluate", *both, photos, "-o", target, "--overwrite")[0] == 0


class TestOneModel:
    def test_mistakes(self, cli, wrong, photos):
        _, out, _ = cli("evaluate", wrong, photos, "-q")
        lines = out.splitlines()
        start = next(i for i, line in enumerate(lines) if "most confident mistakes" in line)
        shown = [columns_of(line) for line in lines[start + 2 :]]
        assert len(shown) == 10
        assert [float(row[3]) for row in shown] == sorted(
            (float(r[3]) for r in shown), reverse=True
        )
        for file, true, predicted, _ in shown:
            assert file.startswith(f"{true}/")
            assert predicted != true
        assert cli("evaluate", wrong, photos, "-q", "--mistakes", "0")[1] == (
            "\n".join(lines[: start - 1]) + "\n"
        )

    def test_names_of_every_kind(self, cli, wrong, photos, tmp_path):
        """In tables, in JSON and in CSV: bytes that are no text, markup, separators."""
        data = shutil.copytree(photos, tmp_path / "data")
        odd = [os.fsdecode(b"caf\xe9.png"), "[red]a,b.png", "日本語.png"]
        for number, name in enumerate(odd):
            (data / "blue" / f"blue{number}.png").rename(data / "blue" / name)
        code, out, _ = cli("evaluate", wrong, data, "-q", "--mistakes", "30")
        assert code == 0
        for shown in ("blue/caf\\udce9.png", "blue/[red]a,b.png", "blue/日本語.png"):
            assert f" {shown} " in out
        _, out, _ = cli("evaluate", wrong, data, "--mistakes", "30", "--json", "-o", "x.csv")
        assert f"blue/{odd[0]}" in {mistake["file"] for mistake in json.loads(out)["mistakes"]}


class TestAssertions:
    def test_that_hold(self, cli, bundle, photos):
        asserted = ("--assert-accuracy", "0.9", "--assert-accuracy-lower", "0.7")
        assert cli("evaluate", bundle.path, photos, *asserted)[0] == ExitCode.OK

    def test_that_fail(self, cli, both, photos):
        """The figures are printed all the same, and -q does not silence why."""
        wrong = both[1]
        plain = cli("evaluate", *both, photos, "-q")
        code, out, err = cli("evaluate", *both, photos, "-q", "--assert-accuracy", "0.9")
        accuracy = json.loads(cli("evaluate", wrong, photos, "--json")[1])["accuracy"]
        assert (code, out) == (ExitCode.BELOW, plain[1])
        assert err == (
            "Error: --assert-accuracy: expected at least 0.9. "
            f"Received: {accuracy:.4f} of {wrong} on 30 images.\n"
        )
        asserted = ("--assert-accuracy", accuracy)  # Exactly so much is enough.
        assert cli("evaluate", *both, photos, *asserted)[0] == ExitCode.OK

    def test_the_lower_end_of_the_interval(self, cli, bundle, photos):
        accuracy = json.loads(cli("evaluate", bundle.path, photos, "--json")[1])["accuracy"]
        code, _, err = cli("evaluate", bundle.path, photos, "--assert-accuracy-lower", accuracy)
        assert code == ExitCode.BELOW
        assert "Error: --assert-accuracy-lower: expected at least " in err
        assert cli("evaluate", bundle.path, photos, "--assert-accuracy", accuracy)[0] == 0

    def test_a_rejected_image_is_said_unless_an_assertion_fails(
        self, cli, bundle, photos, tmp_path
    ):
        data = shutil.copytree(photos, tmp_path / "data")
        (data / "red" / "red0.png").write_bytes(b"")
        assert cli("evaluate", bundle.path, data)[0] == ExitCode.PARTIAL
        assert cli("evaluate", bundle.path, data, "--assert-accuracy", "0.5")[0] == ExitCode.PARTIAL
        assert cli("evaluate", bundle.path, data, "--assert-accuracy-lower", "1")[0] == (
            ExitCode.BELOW
        )


class TestRefusals:
    @pytest.mark.parametrize("option", ["--assert-accuracy", "--assert-accuracy-lower"])
    def test_percent(self, cli, bundle, photos, option):
        code, out, err = cli("evaluate", bundle.path, photos, option, "90")
        assert (code, out) == (ExitCode.USAGE, "")
        assert err == (
            f"Error: {option}: expected a number from 0 to 1. Received: 90.0. "
            "The nearest allowed value is 1.\n"
        )

    def test_no_data(self, cli, both):
        code, out, err = cli("evaluate", *both)
        assert (code, out) == (ExitCode.USAGE, "")
        assert err == (
            f"Error: Expected MODEL, then DATA. Received: {both[1]}, a bundle, as DATA. "
            f"Try: cnntransfer evaluate {both[0]} {both[1]} photos/\n"
        )

    def test_data_first(self, cli, both, photos):
        code, out, err = cli("evaluate", photos, *both)
        assert (code, out) == (ExitCode.USAGE, "")
        assert err.endswith(f"Try: cnntransfer evaluate {both[0]} {both[1]} {photos}\n")

    def test_photos_beside_a_file_that_is_called_as_in_a_bundle(
        self, cli, bundle, photos, tmp_path
    ):
        data = shutil.copytree(photos, tmp_path / "data")
        (data / "metadata.json").write_text("{}")
        assert cli("evaluate", bundle.path, data)[0] == 0

    def test_twice_the_same(self, cli, bundle, photos):
        code, out, err = cli("evaluate", bundle.path, f"{bundle.path}/", photos)
        assert (code, out) == (ExitCode.USAGE, "")
        assert err.startswith("Error: Expected different models. Received: ")

    @pytest.mark.parametrize(
        ("place", "message"),
        [
            ("data/answers.csv", "outside the folder of images"),
            ("there.csv", "exists already"),
            ("folder", "expected a file to write. Received: folder, a folder. Try: --output "),
        ],
    )
    def test_output(self, cli, bundle, photos, tmp_path, monkeypatch, place, message):
        """Nothing is judged first."""
        shutil.copytree(photos, "data")
        (tmp_path / "there.csv").write_text("mine")
        (tmp_path / "folder").mkdir()
        monkeypatch.setattr("cnntransfer.comparison.compare", None)
        code, out, err = cli("evaluate", bundle.path, "data", "-o", place)
        assert (code, out) == (ExitCode.OUTPUT, "")
        assert message in err
        assert (tmp_path / "there.csv").read_text() == "mine"

    def test_output_over_the_manifest(self, cli, bundle, photos, tmp_path):
        manifest = tmp_path / "list.csv"
        manifest.write_text(f"file,label\n{photos / 'red' / 'red0.png'},red\n")
        code, _, err = cli("evaluate", bundle.path, manifest, "-o", manifest, "--overwrite")
        assert code == ExitCode.OUTPUT
        assert "Expected an output beside the manifest, which is only read." in err
        assert manifest.read_text().startswith("file,label")


class TestSchema:
    @pytest.fixture
    def printed(self, cli, both, other_bundle, photos, tmp_path):
        """Real output: of one model, of three."""
        data = shutil.copytree(photos, tmp_path / "data")
        (data / "red" / "red0.png").write_bytes(b"")
        several = [*reversed(both), other_bundle.path]
        return {
            "one": json.loads(cli("evaluate", both[1], data, "--json")[1]),
            "several": json.loads(cli("evaluate", *several, data, "--json")[1]),
        }

    def test_the_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def test_real_output_is_documented(self, printed):
        assert printed["one"]["mistakes"]
        assert printed["one"]["rejected"]
        assert printed["several"]["differences"]
        assert len(printed["several"]["tests"]) == 2
        for output in printed.values():
            jsonschema.validate(output, SCHEMA)

    @pytest.mark.slow
    def test_a_field_that_is_not_documented_fails(self, printed):
        """Wherever there is an object, and that is in every place that the schema describes."""
        places = 0
        for output in printed.values():
            for place in objects(output):
                changed = copy.deepcopy(output)
                at(changed, place)["undocumented"] = 1
                with pytest.raises(jsonschema.ValidationError):
                    jsonschema.validate(changed, SCHEMA)
                places += 1
        assert places >= 10

    @pytest.mark.slow
    def test_a_field_that_is_missing_fails(self, printed):
        for output in printed.values():
            for name in output:
                with pytest.raises(jsonschema.ValidationError):
                    jsonschema.validate({k: v for k, v in output.items() if k != name}, SCHEMA)

    def test_figures_that_are_not_always_there(self, printed):
        interval = {"low": 0.8, "high": 0.9, "method": "wilson"}
        output = copy.deepcopy(printed["one"])
        output |= {"roc_auc": None, "average_precision": 0.9, "calibration_error": 0.02}
        output["intervals"] = {"accuracy": interval, "log_loss": {**interval, "high": 2.5}}
        output["per_class"][0]["intervals"] = {"recall": interval}
        jsonschema.validate(output, SCHEMA)
        output["intervals"]["accuracy"] = {**interval, "method": "guess"}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(output, SCHEMA)


def objects(value, place=()):
    """The places of all objects of a JSON value; of the items of a list, the first."""
    if isinstance(value, dict):
        yield place
        for name, inner in value.items():
            yield from objects(inner, (*place, name))
    elif isinstance(value, list) and value:
        yield from objects(value[0], (*place, 0))


def at(value, place):
    for step in place:
        value = value[step]
    return value
