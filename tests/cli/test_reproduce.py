"""``cnntransfer reproduce``: the verdict on stdout, in the exit code, and what to do next."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cnntransfer import reproduce as reproduce_module
from cnntransfer.bundle import Bundle
from cnntransfer.errors import ExitCode
from tests.conftest import picture


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def retrained(bundle, tmp_path, monkeypatch):
    """Stands in for what training gives; may be edited."""
    path = Path(shutil.copytree(bundle.path, tmp_path / "retrained"))
    monkeypatch.setattr(reproduce_module, "run", lambda *_, **options: Bundle.open(path))
    return path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_identical(cli, bundle, tmp_path):
    code, out, err = cli("reproduce", bundle.path, "-o", "again", "-v")
    assert (code, out.splitlines()) == (
        ExitCode.OK,
        [
            "Identical: the predictions of 7 held-out photos; the model files too, byte for byte",
            "Photos, weights and library versions are the same",
            "Bundle   again",
        ],
    )
    assert "30 images of 3 classes: 23 train, 7 val\n" in err
    assert err.count("head ") >= 3  # -v: one line per epoch.
    assert err.splitlines()[-1] == f"Next: cnntransfer export {bundle.path} --format litert"
    assert Bundle.open(tmp_path / "again").read_table("splits") == bundle.read_table("splits")
    code, out, err = cli("reproduce", bundle.path, "-o", "again")
    assert (code, out) == (ExitCode.OUTPUT, "")
    assert "exists already" in err


def test_one_changed_photo_is_named(cli, bundle, photos):
    shutil.copytree(photos, "photos")
    held_out = bundle.read_table("predictions")[0]["file"]
    picture((120, 120, 120), 5).save(Path("photos", held_out))
    code, out, err = cli("reproduce", bundle.path, "--data", "photos")
    assert code == ExitCode.DIFFERENT == 10
    first, *others = out.splitlines()
    assert first.startswith("Different: 7 held-out photos; largest difference of a probability 0.")
    assert others == [f"One photo was changed since: {held_out}"]
    assert err.splitlines()[-1] == (
        f"Next: cnntransfer finetune photos --config {bundle.recipe_file}"
    )


def test_within_tolerance_is_fine(cli, bundle, retrained):
    row = bundle.read_table("predictions")[0]
    value = row["p_red"]
    edit(retrained / "predictions.csv", f",{value}", f",{float(value) + 5e-5:.12f}")
    code, out, _ = cli("reproduce", bundle.path)
    assert code == ExitCode.OK
    assert out.splitlines()[0] == (
        "Within tolerance: 7 held-out photos; largest difference of a probability 5e-05 "
        f"({row['file']})"
    )
    assert cli("reproduce", bundle.path, "-q") == (code, out, "")


def test_json_and_what_pip_can_put_right(cli, bundle, retrained):
    version = bundle.metadata["versions"]["keras"]
    edit(retrained / "metadata.json", f'"keras": "{version}"', '"keras": "9.9"')
    lines = (retrained / "predictions.csv").read_text().splitlines()
    (retrained / "predictions.csv").write_text("\n".join(lines[:-1]))
    code, out, err = cli("reproduce", bundle.path, "--json")
    result = json.loads(out)
    assert code == ExitCode.DIFFERENT
    assert result["model"] == str(bundle.path)
    assert (result["verdict"], result["held_out"], result["compared"]) == ("different", 7, 6)
    assert result["versions"] == {"keras": {"recorded": version, "now": "9.9"}}
    assert (result["changed"], result["missing"], result["weights"]) == ([], [], None)
    assert err.splitlines()[-1] == f"Next: pip install keras=={version}"
    _, out, _ = cli("reproduce", bundle.path)
    assert out.startswith(
        "Different: 7 held-out photos, of which 1 cannot be compared; "
        "largest difference of a probability 0\n"
    )


def test_refusals(cli, bundle, tmp_path):
    assert cli("reproduce")[0] == ExitCode.USAGE
    assert cli("reproduce", "nowhere")[0] == ExitCode.BUNDLE
    code, out, err = cli("reproduce", bundle.path, "--data", "nowhere")
    assert (code, out) == (ExitCode.DATA, "")
    assert "which does not exist. If they lie elsewhere now" in err
    bare = Path(shutil.copytree(bundle.path, tmp_path / "bare"))
    (bare / "recipe.yaml").unlink()
    assert cli("reproduce", bare)[0] == ExitCode.BUNDLE
    assert cli("reproduce", bundle.path, "-o", bundle.path, "--overwrite")[0] == ExitCode.OUTPUT
