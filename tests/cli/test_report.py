"""``cnntransfer report``, and what ``finetune`` says of its report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cnntransfer.errors import ExitCode


@pytest.fixture
def mine(bundle, tmp_path, monkeypatch):
    """A copy of the bundle in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(bundle.path, "mine"))


@pytest.fixture(autouse=True)
def _on_linux(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")


def named(bundle):
    """The photos that a report shows of a run as small as that of the tests."""
    tables = ("predictions", "suspects", "near_duplicates")
    return {row["file"] for table in tables for row in bundle.read_table(table, "file")}


def test_a_run_has_a_report_and_a_model_card(bundle):
    page = bundle.report_file.read_text(encoding="utf-8")
    assert "photos to tell 3 classes apart" in page
    # Three photos that were learned from are there in four views.
    assert page.count("<image ") == len(named(bundle)) + 3 * 4
    assert bundle.model_card_file.read_text(encoding="utf-8").startswith("# photos: an image")
    assert bundle.metadata["seconds"]["write the report"] > 0


def test_it_is_written_anew(cli, mine):
    before = (mine / "report.html").read_text(encoding="utf-8")
    (mine / "report.html").unlink()
    (mine / "MODEL_CARD.md").write_text("")
    code, out, err = cli("report", "mine")
    assert (code, out) == (ExitCode.OK, "Report   mine/report.html  (0.1 MB)\n")
    assert err == "Next: xdg-open mine/report.html\n"
    assert (mine / "MODEL_CARD.md").read_text(encoding="utf-8")
    after = (mine / "report.html").read_text(encoding="utf-8")
    # The time that the report itself took is not known before it is written.
    assert after.replace("write the report", "").count("\n") >= before.count("\n")
    assert cli("report", "mine")[0] == ExitCode.OK  # It is replaced.


def test_another_file(cli, mine, monkeypatch):
    code, out, err = cli("report", "mine", "-o", "x.html", "--json")
    assert code == ExitCode.OK
    size = Path("x.html").stat().st_size
    assert json.loads(out) == {"report": "x.html", "bytes": size, "missing": []}
    with monkeypatch.context() as patch:  # It is known before anything is read.
        patch.setattr("cnntransfer.report.gather", lambda *_: pytest.fail("gathered"))
        code, out, err = cli("report", "mine", "-o", "x.html")
    assert (code, out) == (ExitCode.OUTPUT, "")
    assert "x.html exists already" in err
    assert cli("report", "mine", "-o", "x.html", "--overwrite", "-q")[2] == ""


def test_photos_that_are_not_there_are_said(cli, mine, photos, bundle):
    code, out, err = cli("report", "mine", "--data", "nowhere", "-o", "x.html", "--json")
    assert code == ExitCode.OK
    missing = json.loads(out)["missing"]
    assert set(missing) == named(bundle)
    count = len(missing)
    assert err.startswith(
        f"{count} of {count} photos cannot be shown, such as {missing[0]}: not found.\n"
    )
    Path("x.html").unlink()
    assert cli("report", "mine", "--data", photos, "-o", "x.html")[2].startswith("Next:")


def test_not_among_the_photos(cli, mine, photos):
    before = sorted(photos.rglob("*"))
    code, _, err = cli("report", "mine", "-o", photos / "report.html")
    assert code == ExitCode.OUTPUT
    assert "Expected an output outside the folder of images" in err
    assert sorted(photos.rglob("*")) == before


def test_what_is_no_run(cli, mine, tmp_path):
    code, _, err = cli("report", "nowhere")
    assert code == ExitCode.BUNDLE
    assert "Expected a bundle" in err
    code, _, err = cli("report", "mine/report.html")
    assert code == ExitCode.USAGE
    assert err == (
        "Error: RUN: expected a bundle, a folder that 'cnntransfer finetune' wrote. Received: "
        "mine/report.html, a page. Try: cnntransfer report mine\n"
    )
    code, _, err = cli("report", "mine/history.csv")
    assert code == ExitCode.USAGE
    assert "Expected a bundle, or what 'cnntransfer evaluate MODEL DATA --json' printed" in err
    code, _, err = cli("report", "mine", "-o", "mine")
    assert code == ExitCode.OUTPUT
    assert "Try: --output mine/report.html" in err


def test_a_saved_evaluation(cli, mine, photos):
    code, out, _ = cli("evaluate", "mine", photos, "--json", "-q")
    assert code == ExitCode.OK
    Path("evaluation.json").write_text(out, encoding="utf-8")
    code, out, _ = cli("report", "evaluation.json")
    assert (code, out) == (ExitCode.OK, "Report   evaluation.html  (0.0 MB)\n")
    assert cli("report", "evaluation.json")[0] == ExitCode.OUTPUT


def test_from_python(mine, photos):
    import cnntransfer

    run = cnntransfer.load("mine")
    assert run.report() == Path("mine/report.html")
    target = run.report("x.html", photos)
    assert (target, target.is_file()) == (Path("x.html"), True)
