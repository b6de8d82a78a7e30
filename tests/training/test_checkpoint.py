"""Runs that are stopped go on, and end as if nobody had stopped them."""

import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import cnntransfer
from cnntransfer.errors import DataError, OutputError, TrainingError, UsageError, WeightsError
from cnntransfer.frameworks import keras
from cnntransfer.progress import Observer
from cnntransfer.recipe import Recipe, Stage, read_recipe
from cnntransfer.training import checkpoint as module
from cnntransfer.training import run as run_module
from cnntransfer.training import stages
from cnntransfer.training.checkpoint import CheckpointFolder, FitState, unfinished
from cnntransfer.training.precision import Choice
from cnntransfer.training.run import resume, run
from tests.conftest import make_photos


class Stopped(BaseException):
    """Nothing handles it."""


class Listener(Observer):
    """Stops a run after an epoch of a stage; hears notes and epochs."""

    def __init__(self, stop=None, error=Stopped):
        self.stop, self.error = stop, error
        self.notes, self.epochs = [], []

    def note(self, message):
        self.notes.append(message)

    def epoch(self, row):
        self.epochs.append((row["stage"], row["epoch"]))
        if self.epochs[-1] == self.stop:
            raise self.error


@pytest.fixture(autouse=True)
def _every_epoch(monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    monkeypatch.setattr(module, "_SHARE", float("inf"))


@pytest.fixture(scope="module")
def recipe(photos):
    """Two stages; everything random takes part: dropout, views, order."""
    return Recipe(data=str(photos)).override(
        {
            "image_size": 32,
            "batch_size": 8,
            "stages.head.epochs": 3,
            "stages.head.learning_rate": 1e-3,
            "stages.finetune.unfreeze": "block13",
            "stages.finetune.epochs": 4,
            "stages.finetune.precision": "float32",
        }
    )


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """The bundle of a run that nobody stopped."""
    return run(recipe, tmp_path_factory.mktemp("whole") / "x")


def figures(bundle):
    rows = [dict(row) for row in bundle.read_table("history")]
    for row in rows:
        del row["seconds"]
    return rows


def assert_same(bundle, whole):
    for name in ("predictions.csv", "recipe.yaml", "splits.csv"):
        assert (bundle.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert bundle.trunk_file.read_bytes() == whole.trunk_file.read_bytes()
    assert figures(bundle) == figures(whole)
    assert [p.name for p in bundle.path.parent.iterdir()] == [bundle.path.name]


def stop(recipe, output, *moment, error=Stopped):
    with pytest.raises(error) as caught:
        run(recipe, output, observer=Listener(moment, error))
    assert not output.exists()
    return caught.value


# ---- Going on


@pytest.mark.parametrize(
    ("moment", "seen"),
    [
        (("head", 2), [("head", 2), ("head", 3), *[("finetune", n) for n in (1, 2, 3, 4)]]),
        (("finetune", 1), [("finetune", n) for n in (1, 2, 3, 4)]),
        (("finetune", 3), [("finetune", n) for n in (3, 4)]),
    ],
)
def test_it_ends_as_if_nobody_had_stopped_it(recipe, whole, tmp_path, moment, seen):
    stop(recipe, tmp_path / "x", *moment)
    listener = Listener()
    assert_same(resume(tmp_path / "x", observer=listener), whole)
    assert listener.epochs == seen


def test_stopped_again_and_again(recipe, whole, tmp_path):
    stop(recipe, tmp_path / "x", "head", 3)
    for moment in (("finetune", 2), ("finetune", 2), ("finetune", 4)):
        with pytest.raises(Stopped):
            resume(tmp_path / "x", observer=Listener(moment))
    assert_same(resume(tmp_path / "x"), whole)


def test_stopped_while_the_bundle_is_written(recipe, whole, tmp_path, monkeypatch):
    def strike(*_):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_tables", strike)
        with pytest.raises(Stopped):
            run(recipe, tmp_path / "x")
    listener = Listener()
    assert_same(resume(tmp_path / "x", observer=listener), whole)
    assert listener.epochs == []
    assert listener.notes[-1] == "Going on after the end of stage 'finetune'"


_KILL = """
import os, signal, sys
import numpy as np
from cnntransfer.cli.console import Console
from cnntransfer.training import checkpoint
from cnntransfer.__main__ import script

where, count = sys.argv[1].split(":")
sys.argv[1:] = sys.argv[2:]
checkpoint.INTERVAL, checkpoint._SHARE = 0.0, float("inf")
reached = 0

def struck(original, before):
    def call(*arguments, **keywords):
        global reached
        if before:
            before(*arguments)
        reached += 1
        if reached == int(count):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **keywords)
    return call

if where == "epoch":
    Console.epoch = struck(Console.epoch, None)
else:  # A file is half there.
    np.savez = struck(np.savez, lambda draft, **arrays: draft.write_bytes(b"PK half"))
script()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("moment", ["epoch:5", "writing:6"])
def test_killed(recipe, whole, tmp_path, monkeypatch, moment):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "recipe.yaml"
    config.write_text(recipe.to_yaml())
    command = [sys.executable, "-c", _KILL, moment, "finetune", "--config", config, "-o", "runs/x"]
    killed = subprocess.run(command, capture_output=True, timeout=100)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    listener = Listener()
    assert_same(resume(tmp_path / "runs" / "x", observer=listener), whole)
    assert listener.epochs[0][0] == "finetune"


def test_from_python_and_by_the_checkpoint_s_own_name(recipe, whole, tmp_path):
    stop(recipe, tmp_path / "x", "finetune", 2)
    again = cnntransfer.resume(tmp_path / "x.unfinished")
    assert again.path == tmp_path / "x"
    assert_same(again.bundle, whole)


def test_from_the_command_line(recipe, whole, tmp_path, cli):
    target = tmp_path / "a run"
    stop(recipe, target, "finetune", 2)
    code, out, err = cli("finetune", "--resume", target)
    assert code == 0
    assert f"Bundle   {target}" in out
    assert "Going on after epoch 1 of stage 'finetune'" in err
    assert_same(cnntransfer.load(target).bundle, whole)


def test_a_run_that_may_overwrite_still_may(recipe, whole, tmp_path):
    shutil.copytree(whole.path, tmp_path / "x")
    before = (tmp_path / "x" / "metadata.json").read_bytes()
    with pytest.raises(Stopped):
        run(recipe, tmp_path / "x", overwrite=True, observer=Listener(("finetune", 2)))
    assert (tmp_path / "x" / "metadata.json").read_bytes() == before
    assert_same(resume(tmp_path / "x"), whole)


# ---- What is settled stays so


def test_what_was_auto_is_not_settled_again(recipe, tmp_path, monkeypatch):
    recipe = recipe.override({"stages.finetune.precision": "auto"})
    settled = []

    def settle(stage, *_):
        if stage.precision != "auto":
            return stage.precision
        settled.append(stage.name)
        return "bfloat16"

    monkeypatch.setattr(stages, "choose_stage_precision", settle)
    whole = run(recipe, tmp_path / "whole" / "x")
    stop(recipe, tmp_path / "parts" / "x", "finetune", 3)
    assert_same(resume(tmp_path / "parts" / "x"), whole)
    assert settled == ["finetune"] * 2
    assert read_recipe(whole.recipe_file).stages[1].precision == "bfloat16"


def test_faster_arithmetic_is_still_judged_after_training(small_recipe, tmp_path, monkeypatch):
    """Features that are no good: the head is trained once more, also when that was interrupted."""

    def choose(wanted, extractor, requests, held_out, observer):
        sample = tuple(int(position) for position in held_out.samples)
        return Choice("float32", sample, -held_out.values)

    monkeypatch.setattr(run_module, "choose_precision", choose)
    recipe = small_recipe.override({"stages.head.epochs": 3, "views": 1})
    whole = Listener()
    run(recipe, tmp_path / "whole", observer=whole)
    assert any("training again" in note for note in whole.notes)
    stop(recipe, tmp_path / "x", "head", 3)
    monkeypatch.delattr(run_module, "choose_precision")
    listener = Listener()
    resume(tmp_path / "x", observer=listener)
    assert [note for note in listener.notes if "training again" in note]
    # What was left of the first training, and all of the second.
    assert listener.epochs == [("head", 3), *(("head", n) for n in (1, 2, 3))]


def test_a_stage_that_began_on_pixels_stays_there(recipe, tmp_path, monkeypatch):
    prepare = stages.Activations.prepare
    monkeypatch.setattr(stages.Activations, "prepare", lambda *_: False)
    whole = run(recipe, tmp_path / "whole" / "x")
    stop(recipe, tmp_path / "parts" / "x", "finetune", 2)
    monkeypatch.setattr(stages.Activations, "prepare", prepare)
    assert_same(resume(tmp_path / "parts" / "x"), whole)


def test_a_stage_that_began_on_activations_cannot_go_on_without(recipe, tmp_path, monkeypatch):
    stop(recipe, tmp_path / "x", "finetune", 2)
    monkeypatch.setattr(stages.Activations, "prepare", lambda *_: False)
    with pytest.raises(OutputError, match="Expected room in the cache for the activations"):
        resume(tmp_path / "x")
    assert unfinished(tmp_path / "x").is_dir()


# ---- Interruptions


def test_ctrl_c_says_how_to_go_on(recipe, tmp_path):
    error = stop(recipe, tmp_path / "a run", "finetune", 3, error=KeyboardInterrupt)
    assert str(error) == (
        "Interrupted. Training is kept up to epoch 2 of stage 'finetune'; go on with: "
        f"cnntransfer finetune --resume '{tmp_path}/a run'"
    )


def test_ctrl_c_before_anything_is_kept(recipe, tmp_path):
    error = stop(recipe, tmp_path / "runs" / "x", "head", 1, error=KeyboardInterrupt)
    assert str(error) == ""
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_again_before_it_has_gone_on(recipe, tmp_path, monkeypatch):
    stop(recipe, tmp_path / "x", "finetune", 3)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "read_dataset", interrupted)
    with pytest.raises(KeyboardInterrupt, match="up to epoch 2 of stage 'finetune'; go on with"):
        resume(tmp_path / "x")


def test_a_full_disk_says_how_to_go_on(recipe, whole, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_tables", full)
        with pytest.raises(OutputError, match=r"make room there\. Training is kept up to the end"):
            run(recipe, tmp_path / "x")
    assert_same(resume(tmp_path / "x"), whole)


def test_a_checkpoint_that_cannot_be_written_stops_nothing(recipe, whole, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    listener = Listener()
    assert_same(run(recipe, tmp_path / "x", observer=listener), whole)
    assert len([note for note in listener.notes if "An interruption would lose" in note]) == 1


def test_an_error_that_would_come_again_leaves_nothing(recipe, tmp_path):
    with pytest.raises(TrainingError):
        run(recipe, tmp_path / "runs" / "x", observer=Listener(("finetune", 2), TrainingError))
    assert list(tmp_path.iterdir()) == []


def test_not_every_epoch_is_written(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 3600.0)
    error = stop(recipe, tmp_path / "x", "finetune", 4, error=KeyboardInterrupt)
    assert "up to the end of stage 'head'" in str(error)


# ---- A new run with the same output


def test_a_new_run_says_what_it_replaces_and_replaces_it(recipe, whole, tmp_path):
    stop(recipe.override({"seed": 1}), tmp_path / "x", "finetune", 3)
    listener = Listener(("head", 1))
    with pytest.raises(Stopped):
        run(recipe, tmp_path / "x", observer=listener)
    assert (
        f"{tmp_path}/x.unfinished holds an unfinished run, which this one replaces. To go on with "
        f"that one instead: cnntransfer finetune --resume {tmp_path}/x"
    ) in listener.notes
    # It had nothing to keep yet.
    assert CheckpointFolder.open(tmp_path / "x").recipe.seed == 1
    stop(recipe, tmp_path / "x", "finetune", 1)
    assert_same(resume(tmp_path / "x"), whole)


def test_somebody_else_s_folder_is_left_alone(recipe, whole, tmp_path):
    folder = tmp_path / "x.unfinished"
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    listener = Listener()
    run(recipe, tmp_path / "x", observer=listener)
    assert any(note.startswith("An interruption would lose") for note in listener.notes)
    assert [file.name for file in folder.iterdir()] == ["thesis.tex"]


# ---- What cannot go on


def test_nothing_to_go_on_with(tmp_path, recipe):
    stop(recipe, tmp_path / "flowers", "finetune", 1)
    with pytest.raises(UsageError) as caught:
        resume(tmp_path / "flower")
    assert str(caught.value) == (
        "--resume: expected the output of a run that was stopped while it trained. Received: "
        f"{tmp_path}/flower, of which nothing is kept. Did you mean 'flowers'? Start the run "
        "again: features that were computed are kept."
    )


def test_a_finished_run(whole):
    with pytest.raises(OutputError) as caught:
        resume(whole.path)
    assert str(caught.value) == (
        f"Expected an unfinished run. Received: {whole.path}, which is finished. "
        f"Try: cnntransfer evaluate {whole.path} photos/"
    )


def test_another_run_was_faster(recipe, whole, tmp_path):
    stop(recipe, tmp_path / "x", "finetune", 1)
    shutil.copytree(whole.path, tmp_path / "x")
    with pytest.raises(OutputError, match="there already: finished or made by another run"):
        resume(tmp_path / "x")


@pytest.fixture
def own(recipe, tmp_path):
    """A stopped run of photos that may be changed."""
    photos = make_photos(tmp_path / "photos", 5)
    stop(recipe.override({"data": str(photos)}), tmp_path / "x", "finetune", 2)
    return photos


@pytest.mark.parametrize(
    ("change", "received"),
    [
        (lambda red: (red / "red1.png").unlink(), "1 image gone or changed (such as red/red1.png)"),
        (
            lambda red: shutil.copy(red / "red1.png", red / "red9.png"),
            "1 image new or changed (such as red/red9.png)",
        ),
        (
            lambda red: (red / "red1.png").rename(red / "red9.png"),
            "1 image gone or changed (such as red/red1.png) and 1 image new or changed "
            "(such as red/red9.png)",
        ),
    ],
)
def test_other_images(own, tmp_path, change, received):
    change(own / "red")
    with pytest.raises(DataError) as caught:
        resume(tmp_path / "x")
    assert str(caught.value) == (
        f"Expected the 15 images that the run began with. Received: {received}. Put them back. "
        f"To start it again: cnntransfer finetune --config {tmp_path}/x.unfinished/recipe.yaml "
        f"-o {tmp_path}/x"
    )


def test_another_recipe(recipe, tmp_path):
    stop(recipe, tmp_path / "x", "finetune", 2)
    file = tmp_path / "x.unfinished" / "recipe.yaml"
    file.write_text(file.read_text().replace("patience: 5", "patience: 6"))
    with pytest.raises(UsageError) as caught:
        resume(tmp_path / "x")
    assert str(caught.value) == (
        f"Expected the recipe that the run began with. Received: {file} with "
        "stages.finetune.patience 6 instead of 5. Delete the file to go on without that. To start "
        f"it again: cnntransfer finetune --config {file} -o {tmp_path}/x"
    )
    file.unlink()
    assert CheckpointFolder.open(tmp_path / "x").recipe.stages[1].patience == 5


def test_other_weights_and_versions(recipe, tmp_path, monkeypatch):
    stop(recipe, tmp_path / "x", "finetune", 2)
    described = run_module.TrunkSpec.description
    for name, error in (("weights", WeightsError), ("versions", None)):
        changed = lambda self, p, name=name: {**described(self, p), name: "0" * 64}  # noqa: E731
        monkeypatch.setattr(run_module.TrunkSpec, "description", changed)
        listener = Listener()
        if error:
            with pytest.raises(error, match="Expected the pretrained weights that the run began"):
                resume(tmp_path / "x", observer=listener)
        else:
            resume(tmp_path / "x", observer=listener)
            assert any(note.startswith("Other versions of") for note in listener.notes)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        (["photos/"], "DATA"),
        (["--seed", "1", "-o", "y"], "--seed, -o"),
        (["--config", "r.yaml", "--augmentation", "none"], "--augmentation, --config"),
    ],
)
def test_settings_beside_it(cli, arguments, received):
    code, _, err = cli("finetune", "--resume", "runs/x", *arguments)
    assert code == 2
    assert err.strip() == (
        "Error: --resume: expected no other settings, because the run goes on with its own. "
        f"Received: {received}. Leave that out, or start a new run without --resume."
    )


# ---- Damage


def test_a_damaged_stage_is_done_again(recipe, whole, tmp_path):
    for number, size in ((1, 0), (2, 100), (2, -1)):
        output = tmp_path / f"{number}{size}" / "x"
        stop(recipe, output, "finetune", 3)
        file = unfinished(output) / f"stage{number}.npz"
        file.write_bytes(file.read_bytes()[:size])
        listener = Listener()
        assert_same(resume(output, observer=listener), whole)
        name = ("head", "finetune")[number - 1]
        assert f"{file} is damaged: stage {name!r} is done once more." in listener.notes
        assert (name, 1) in listener.epochs


def test_a_changed_bit_is_noticed_wherever_it_is(tmp_path):
    file = tmp_path / "stage1.npz"
    arrays = {"a0": np.arange(50.0), "b0": np.zeros((3, 0), np.float32)}
    module._write(file, {"x": 1}, arrays)
    sound = file.read_bytes()
    for position in range(len(sound)):
        spoilt = bytearray(sound)
        spoilt[position] ^= 1 << position % 8
        file.write_bytes(spoilt)
        try:
            meta, read = module._read(file)
        except module._DAMAGE:
            continue
        assert meta == {"x": 1}  # A date, say.
        assert read.keys() == arrays.keys()
        assert all(np.array_equal(read[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize("spoil", [b"", b"PK", None])
def test_a_damaged_checkpoint(recipe, tmp_path, spoil):
    stop(recipe, tmp_path / "x", "finetune", 1)
    file = tmp_path / "x.unfinished" / "run.npz"
    if spoil is None:
        module._write(file, {"recipe": {"layers": 3}}, {})
    else:
        file.write_bytes(spoil)
    with pytest.raises(OutputError) as caught:
        resume(tmp_path / "x")
    assert str(caught.value) == (
        f"Expected what a run needs to go on. Received: {file}, which is damaged or of another "
        f"version. To start it again: cnntransfer finetune --config {file.parent}/recipe.yaml "
        f"-o {tmp_path}/x"
    )


def test_the_variables_of_another_model_are_not_taken(tmp_path):
    k = keras()

    def model(width):
        net = k.Sequential([k.Input((2,)), k.layers.Dense(width)], name="head")
        optimizer = k.optimizers.Adam()
        optimizer.build(net.trainable_variables)
        return net, optimizer

    with CheckpointFolder(tmp_path / "x") as folder:
        folder.begin(Recipe(), Choice("float32"))
        folder.stage(Stage()).save(*model(3), FitState(1.0, 1.0, 0, [], []))
        assert folder.stage(Stage()).restore(*model(3)) == FitState(1.0, 1.0, 0, [], [])
        assert folder.stage(Stage()).restore(*model(4)) is None
    assert list(tmp_path.iterdir()) == []
