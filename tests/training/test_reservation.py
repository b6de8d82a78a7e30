"""No two runs write the same output."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnntransfer.errors import OutputError
from cnntransfer.recipe import Recipe
from cnntransfer.training.plan import default_name
from cnntransfer.training.reservation import reserved, reserved_default
from cnntransfer.training.run import resume, run

HOLD = """
import sys
from pathlib import Path
from cnntransfer.training.reservation import reserved
with reserved(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def other(tmp_path):
    """Another process that holds ``runs/x`` until it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, "runs/x"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_names():
    recipe = Recipe(data="/photos/my flowers/", backbone="vgg16")
    assert default_name(recipe) == "my flowers-vgg16"


def test_the_default_is_a_new_folder(notes):
    with reserved_default("x") as output:
        assert output == Path("runs/x")
    output.mkdir(parents=True)
    Path("runs/x-2.unfinished").mkdir()
    Path("runs/x-2.unfinished/run.npz").touch()
    with reserved_default("x", notes) as output:
        assert output == Path("runs/x-3")
        # Nothing is made before there is something to write.
        assert not output.exists()
    assert notes.said == [
        "runs/x-2.unfinished holds an interrupted run, which this one leaves alone. To go on with "
        "that one instead: cnntransfer finetune --resume runs/x-2"
    ]


def test_what_another_run_is_to_write_is_not_chosen(other, notes):
    Path("runs/x.unfinished").mkdir(parents=True)
    Path("runs/x.unfinished/run.npz").touch()
    with reserved_default("x", notes) as first, reserved_default("x") as second:
        assert (first, second) == (Path("runs/x-2"), Path("runs/x-3"))
    assert notes.said == []  # Nobody can go on with it now.
    other.kill()
    other.wait()
    shutil.rmtree("runs/x.unfinished")
    with reserved_default("x") as again:
        assert again == Path("runs/x")


@pytest.mark.parametrize("path", ["runs/x", "runs/../runs/x"])
def test_what_another_run_writes_is_refused(other, path):
    with pytest.raises(OutputError) as caught:
        run(Recipe(data="photos"), Path(path))
    assert str(caught.value) == (
        f"Expected an output that no other run writes. Received: {path}, which one is writing "
        "now. Wait for it, or choose another --output."
    )


def test_nobody_goes_on_with_a_run_that_is_going_on(other):
    for path in ("runs/x", "runs/x.unfinished"):
        with pytest.raises(OutputError, match="which one is writing now"):
            resume(Path(path))


def test_a_run_without_an_output_takes_a_free_name(small_recipe):
    taken = Path("runs") / default_name(small_recipe)
    with reserved(taken):
        bundle = run(small_recipe)
    assert bundle.path == taken.with_name(f"{taken.name}-2")


def test_without_a_place_for_locks_nothing_is_refused(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path / "file"))
    with reserved(Path("runs/x")), reserved(Path("runs/x")):
        pass
