"""Runs that are stopped go on, and end as if nobody had stopped them."""

import dataclasses
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cnntransfer
from cnntransfer.data.dataset import Dataset, Sample
from cnntransfer.errors import DataError, OutputError, TrainingError, UsageError, WeightsError
from cnntransfer.frameworks import keras
from cnntransfer.inspect.network import of_bundle
from cnntransfer.models.head import head_layers, initial_weights
from cnntransfer.progress import Observer
from cnntransfer.recipe import Head, Recipe, Stage
from cnntransfer.training import checkpoint_folder as module
from cnntransfer.training import outcome as outcome_module
from cnntransfer.training import run as run_module
from cnntransfer.training import unfrozen
from cnntransfer.training.checkpoint import NOTHING_KEPT, FitState
from cnntransfer.training.checkpoint_file import DAMAGE, read_arrays, write_arrays
from cnntransfer.training.checkpoint_folder import CheckpointFolder
from cnntransfer.training.examples import Examples
from cnntransfer.training.features import Features
from cnntransfer.training.fit import fit
from cnntransfer.training.forecast import Forecast
from cnntransfer.training.network import Variables
from cnntransfer.training.objective import Objective
from cnntransfer.training.perceptron import Perceptron
from cnntransfer.training.precision import Choice
from cnntransfer.training.resumption import unfinished
from cnntransfer.training.run import resume, run
from tests.conftest import convert_tuned

FILES = ["recipe.yaml", "run.npz", "stage1.npz", "stage2.npz"]


class Stopped(BaseException):
    """Nothing handles it."""


class Listener(Observer):
    """Stops a run after an epoch of a stage, before that is kept; hears notes and epochs."""

    def __init__(self, *stop, error=Stopped):
        self.stop, self.error = stop, error
        self.notes, self.rows = [], []

    def note(self, message):
        self.notes.append(message)

    def epoch(self, row):
        self.rows.append({name: value for name, value in row.items() if name != "seconds"})
        if (row["stage"], row["epoch"]) == self.stop:
            raise self.error

    @property
    def epochs(self):
        return [(row["stage"], row["epoch"]) for row in self.rows]


@pytest.fixture(scope="module", autouse=True)
def _every_epoch():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "INTERVAL", 0.0)
        patch.setattr(module, "_SHARE", float("inf"))
        patch.setattr(outcome_module, "write_trunk", convert_tuned)
        # Nothing is left to settle, and a rehearsal takes as long as a stage of these.
        patch.setattr(run_module, "settle", lambda recipe, *_: (recipe, Forecast({})))
        yield


@pytest.fixture(scope="module")
def recipe(lecture_recipe):
    """Two stages of a small network; everything random takes part: dropout, views, order."""
    return lecture_recipe.override(
        {
            "head.units": 16,
            "stages.head.epochs": 3,
            "stages.head.learning_rate": 1e-3,
            "stages.finetune.unfreeze": "conv2",
            "stages.finetune.epochs": 4,
            "stages.finetune.precision": "float32",
            "stages.finetune.jit_compile": "none",
        }
    )


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """A run that nobody stopped: what was heard, and its bundle."""
    listener = Listener()
    return listener.rows, run(recipe, tmp_path_factory.mktemp("whole") / "x", observer=listener)


@pytest.fixture(scope="module")
def kept(recipe, tmp_path_factory):
    """What is left of a run that was stopped in the third epoch of its second stage."""
    output = tmp_path_factory.mktemp("stopped") / "x"
    stop(recipe, output, "finetune", 3)
    return unfinished(output)


@pytest.fixture
def stopped(kept, tmp_path):
    """The output of a stopped run of one's own."""
    output = tmp_path / "runs" / "x"
    shutil.copytree(kept, unfinished(output))
    return output


def stop(recipe, output, *moment, error=Stopped):
    with pytest.raises(error) as caught:
        run(recipe, output, observer=Listener(*moment, error=error))
    assert not output.exists()
    return caught.value


def interrupted(*_):
    raise KeyboardInterrupt


def assert_same(bundle, whole):
    rows, other = whole
    for name in ("predictions.csv", "recipe.yaml", "splits.csv", "trunk.tflite", "head.tflite"):
        assert (bundle.path / name).read_bytes() == (other.path / name).read_bytes(), name
    history = [dict(row) for row in bundle.read_table("history")]
    for row in history:
        del row["seconds"]
    assert history == [{name: str(value) for name, value in row.items()} for row in rows]
    assert [path.name for path in bundle.path.parent.iterdir()] == [bundle.path.name]


# ---- Going on


@pytest.mark.slow
def test_stopped_again_and_again(recipe, whole, tmp_path, cli):
    target = tmp_path / "a run"
    stop(recipe, target, "head", 2)
    listener = Listener("finetune", 2)
    with pytest.raises(Stopped):
        resume(target, observer=listener)
    assert listener.rows == whole[0][1:5]
    assert "Going on after epoch 1 of stage 'head'" in listener.notes
    code, out, err = cli("finetune", "--resume", target)
    assert code == 0, err
    assert f"Bundle   {target}" in out
    assert "Going on after epoch 1 of stage 'finetune'" in err
    assert_same(cnntransfer.load(target).bundle, whole)


@pytest.mark.slow
def test_stopped_while_the_bundle_is_written(stopped, whole, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(outcome_module, "write_tables", full)
        with pytest.raises(OutputError) as caught:
            resume(stopped)
    assert str(caught.value) == (
        f"Cannot write {stopped}: No space left on device. Choose another place with --output, or "
        "make room there. Training is kept up to the end of stage 'finetune'; go on with: "
        f"cnntransfer finetune --resume {stopped}"
    )
    listener = Listener()
    # A shell completes the name to that of the folder that is there.
    again = cnntransfer.resume(f"{stopped}.unfinished/", observer=listener)
    assert again.path == stopped
    assert_same(again.bundle, whole)
    assert listener.rows == []


_KILL = """
import os, signal, sys
import numpy as np
from cnntransfer.cli.console import Console
from cnntransfer.training import checkpoint_folder as checkpoint
from cnntransfer.__main__ import script

where, count = sys.argv[1].split(":")
sys.argv[1:] = sys.argv[2:]
checkpoint.INTERVAL, checkpoint._SHARE = 0.0, float("inf")
reached = 0

def struck(original, before):
    def call(*arguments, **keywords):
        global reached
        before(*arguments)
        reached += 1
        if reached == int(count):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **keywords)
    return call

if where == "epoch":
    Console.epoch = struck(Console.epoch, lambda *_: None)
else:  # A file is half there.
    np.savez = struck(np.savez, lambda draft, **_: draft.write_bytes(b"PK half"))
script()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.slow
def test_killed(recipe, whole, tmp_path):
    """While the first epoch of the second stage is written; tests/real has other moments."""
    config = tmp_path / "recipe.yaml"
    config.write_text(recipe.to_yaml())
    output = tmp_path / "runs" / "x"
    command = [
        sys.executable,
        "-c",
        _KILL,
        "writing:6",
        "finetune",
        "--config",
        config,
        "-o",
        output,
    ]
    killed = subprocess.run(command, capture_output=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    listener = Listener()
    bundle = resume(output, observer=listener)
    assert listener.epochs[0] == ("finetune", 1)
    assert_same(bundle, whole)


@pytest.mark.slow
def test_a_stage_that_was_undone_is_not_said_to_be_trained(recipe, tmp_path):
    """Interrupted or not."""
    recipe = recipe.override({"stages.finetune.min_delta": 10})
    stop(recipe, tmp_path / "x", "finetune", 3)
    bundle = resume(tmp_path / "x")
    assert bundle.metadata["undone_stages"] == ["finetune"]
    words = "finetune: the head and the layers of &#39;conv2&#39;, 4 epochs (no clear gain: undone)"
    assert words in bundle.report_file.read_text()
    anatomy = of_bundle(bundle)
    assert 0 < anatomy.trained < anatomy.frozen


@pytest.mark.slow
def test_a_run_that_may_overwrite_still_may(recipe, tmp_path, bundle):
    output = tmp_path / "x"
    shutil.copytree(bundle.path, output)
    with pytest.raises(Stopped):
        run(recipe, output, overwrite=True, observer=Listener("finetune", 1))
    assert (output / "metadata.json").read_bytes() == (bundle.path / "metadata.json").read_bytes()
    assert CheckpointFolder.open(output).overwrite


# ---- What is settled stays so


def test_what_was_auto_is_not_settled_again(tmp_path):
    recipe = Recipe().override({"stages.finetune.unfreeze": "block13"})
    head, finetune = recipe.stages
    folder = CheckpointFolder(tmp_path / "x")
    folder.begin(recipe, Choice("float32"))
    folder.stage(head).once(head_of(3), list)
    settled = dataclasses.replace(finetune, precision="bfloat16", jit_compile="xla")
    folder.settle_stage(settled, [])
    assert CheckpointFolder.open(tmp_path / "x").recipe.stages == (head, settled)


def test_an_ensemble_that_was_fitted_is_not_fitted_again(recipe, tmp_path):
    head = dataclasses.replace(recipe.head, units=(8,), ensemble=2)
    recipe = dataclasses.replace(recipe, head=head, stages=recipe.stages[:1])
    before, after = Listener(), Listener()
    output = tmp_path / "x"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcome_module, "write_tables", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, output, observer=before)
    assert {stage for stage, _ in before.epochs} == {"head", "head-2"}
    again = resume(output, observer=after)
    assert after.epochs == []
    rows = again.read_table("history")
    assert [(row["stage"], int(row["epoch"])) for row in rows] == before.epochs
    whole = run(recipe, tmp_path / "whole")
    assert whole.litert_files[-1].read_bytes() == again.litert_files[-1].read_bytes()


@pytest.fixture
def no_good(monkeypatch):
    """Features that are no good in float32, after all."""

    def choose(wanted, extractor, requests, held_out, observer):
        sample = tuple(int(position) for position in held_out.samples)
        return Choice("float32", sample, held_out.values) if wanted == "auto" else Choice(wanted)

    def of(features, samples, original=Features.of):
        rows = original(features, samples)
        return -rows if isinstance(samples, tuple) else rows  # Those that are compared.

    monkeypatch.setattr(run_module, "choose_precision", choose)
    monkeypatch.setattr(Features, "of", of)


def test_faster_arithmetic_is_still_judged_after_training(small_recipe, tmp_path, no_good):
    """The head is fitted once more, interrupted or not."""
    recipe = small_recipe.override(
        {"stages.head.epochs": 3, "stages.head.views": 1, "feature_blocks": 3}
    )
    stop(recipe, tmp_path / "x", "head", 3)
    first, second = Listener("head", 2), Listener()
    with pytest.raises(Stopped):
        resume(tmp_path / "x", observer=first)
    assert any("learning from float32 features instead" in note for note in first.notes)
    assert first.epochs == [("head", 3), ("head", 1), ("head", 2)]
    resume(tmp_path / "x", observer=second)
    assert not any("instead" in note for note in second.notes)
    assert second.epochs == [("head", 2), ("head", 3)]


@pytest.mark.slow
def test_the_head_is_judged_before_layers_are_unfrozen(recipe, tmp_path, no_good):
    """Otherwise the stage would be run twice; and it adapts to its own arithmetic anyway."""
    watched = Listener()
    recipe = recipe.override({"stages.head.learning_rate": "auto"})
    bundle = run(recipe, tmp_path / "x", observer=watched)
    finetune = [("finetune", epoch) for epoch in range(1, len(watched.epochs) - 5)]
    assert watched.epochs == [("head", 1), ("head", 2), ("head", 3)] * 2 + finetune
    # The rate was found again, and once more after an interruption.
    stop(recipe, tmp_path / "y", "head", 3)
    resumed = resume(tmp_path / "y")
    assert resumed.recipe_file.read_bytes() == bundle.recipe_file.read_bytes()
    rates = [one.read_table("learning_rates") for one in (bundle, resumed)]
    assert rates[0] == rates[1]


@pytest.mark.slow
def test_a_stage_that_began_on_pixels_stays_there(recipe, tmp_path, monkeypatch):
    """Activations are dearer to be without: there may be no room for them any more."""
    monkeypatch.setattr(unfrozen.Activations, "prepare", lambda *_: False)
    before, after = Listener("finetune", 2), Listener("finetune", 2)
    with pytest.raises(Stopped):
        run(recipe, tmp_path / "x", observer=before)
    monkeypatch.delattr(unfrozen.Activations, "prepare")
    with pytest.raises(Stopped):
        resume(tmp_path / "x", observer=after)
    assert after.rows == before.rows[-1:]


@pytest.mark.slow
def test_a_stage_that_began_on_activations_cannot_go_on_without(stopped, monkeypatch):
    monkeypatch.setattr(unfrozen.Activations, "prepare", lambda *_: False)
    with pytest.raises(OutputError, match="Expected room in the cache for the activations"):
        resume(stopped)
    assert unfinished(stopped).is_dir()


# ---- Interruptions


def test_ctrl_c_says_how_to_go_on(recipe, tmp_path):
    error = stop(recipe, tmp_path / "a run", "head", 3, error=KeyboardInterrupt)
    assert str(error) == (
        "Interrupted. Training is kept up to epoch 2 of stage 'head'; go on with: "
        f"cnntransfer finetune --resume '{tmp_path}/a run'"
    )


def test_ctrl_c_before_anything_is_kept(recipe, tmp_path):
    error = stop(recipe, tmp_path / "runs" / "x", "head", 1, error=KeyboardInterrupt)
    assert str(error) == ""
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_again_before_it_has_gone_on(stopped, monkeypatch):
    monkeypatch.setattr(run_module, "list_images", interrupted)
    with pytest.raises(KeyboardInterrupt, match="up to epoch 2 of stage 'finetune'; go on with"):
        resume(stopped)
    assert sorted(file.name for file in unfinished(stopped).iterdir()) == FILES


def test_a_checkpoint_that_cannot_be_written_stops_nothing(recipe, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_arrays", full)
    listener = Listener()
    run(dataclasses.replace(recipe, stages=recipe.stages[:1]), tmp_path / "x", observer=listener)
    (note,) = [note for note in listener.notes if "An interruption would lose" in note]
    assert "No space left on device" in note
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_an_error_that_would_come_again_leaves_nothing(recipe, tmp_path):
    stop(recipe, tmp_path / "runs" / "x", "head", 3, error=TrainingError)
    assert list(tmp_path.iterdir()) == []


# ---- A new run with the same output


def test_a_new_run_says_what_it_replaces_and_replaces_it(recipe, stopped):
    recipe = recipe.override({"seed": 1})
    listener = Listener("head", 1)
    with pytest.raises(Stopped):
        run(recipe, stopped, observer=listener)
    assert (
        f"{stopped}.unfinished holds an unfinished run, which this one replaces. To go on with "
        f"that one instead: cnntransfer finetune --resume {stopped}"
    ) in listener.notes
    # It had nothing to keep yet.
    assert CheckpointFolder.open(stopped).recipe.seed == 0
    stop(recipe, stopped, "head", 3)
    assert CheckpointFolder.open(stopped).recipe.seed == 1
    assert sorted(file.name for file in unfinished(stopped).iterdir()) == FILES[:3]


def test_somebody_else_s_folder_is_left_alone(tmp_path):
    folder = tmp_path / "x.unfinished"
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    listener = Listener()
    with CheckpointFolder(tmp_path / "x", observer=listener) as checkpoint:
        checkpoint.stage(Stage()).once(head_of(3), list)
    assert [note.partition(":")[0] for note in listener.notes] == [
        "An interruption would lose what is trained now"
    ]
    assert [file.name for file in folder.iterdir()] == ["thesis.tex"]


# ---- What cannot go on


def test_nothing_to_go_on_with(stopped):
    with pytest.raises(UsageError) as caught:
        resume(stopped.with_name("xx"))
    assert str(caught.value) == (
        "--resume: expected the output of a run that was stopped while it trained. Received: "
        f"{stopped}x, of which nothing is kept. Did you mean 'x'? Start the run again: features "
        "that were computed are kept."
    )
    for path in (".", "/", stopped.parent):
        with pytest.raises(UsageError, match="of which nothing is kept"):
            resume(Path(path))


def test_a_finished_run(bundle):
    with pytest.raises(OutputError) as caught:
        resume(bundle.path)
    assert str(caught.value) == (
        f"Expected an unfinished run. Received: {bundle.path}, which is finished. "
        f"Try: cnntransfer evaluate {bundle.path} photos/"
    )


def test_another_run_was_faster(bundle, stopped):
    shutil.copytree(bundle.path, stopped)
    with pytest.raises(OutputError, match="there already: finished or made by another run"):
        resume(stopped)


SAMPLES = tuple(Sample(Path(f"/p/{n}/{n}.png"), n, n * 64, "train") for n in "abc")
TRUNK = {"weights": "1" * 64, "image_size": [32, 32], "versions": "keras3"}


def checked_again(output, samples=SAMPLES, **trunk):
    """Stop a run of some images, and check others."""
    folder = CheckpointFolder(output)
    folder.check(Dataset(Path("/p"), ("a", "b", "c"), SAMPLES), TRUNK)
    folder.stage(Stage()).once(head_of(3), list)
    listener = Listener()
    again = CheckpointFolder.open(output, listener)
    again.check(Dataset(Path("/p"), ("a", "b", "c"), samples), {**TRUNK, **trunk})
    return listener.notes


def test_the_same_images(tmp_path):
    assert checked_again(tmp_path / "x") == ["Going on after the end of stage 'head'"]


A, B, C = SAMPLES
NEW = Sample(Path("/p/c/new.png"), "c", "d" * 64, "val")


@pytest.mark.parametrize(
    ("samples", "received"),
    [
        ((A, B), "1 image gone or changed (such as c/c.png)"),
        ((A, B, C, NEW), "1 image new or changed (such as c/new.png)"),
        (
            (A, B, dataclasses.replace(C, path=NEW.path)),
            "1 image gone or changed (such as c/c.png) and 1 image new or changed "
            "(such as c/new.png)",
        ),
        (
            (A, *(dataclasses.replace(sample, subset="val") for sample in (B, C))),
            "2 images gone or changed (such as b/b.png) and 2 images new or changed "
            "(such as b/b.png)",
        ),
        ((B, A, C), "another order"),
    ],
)
def test_other_images(tmp_path, samples, received):
    with pytest.raises(DataError) as caught:
        checked_again(tmp_path / "x", samples)
    assert str(caught.value) == (
        f"Expected the 3 images that the run began with. Received: {received}. Put them back. "
        f"To start it again: cnntransfer finetune --config {tmp_path}/x.unfinished/recipe.yaml "
        f"-o {tmp_path}/x"
    )


def test_images_are_checked_when_a_run_goes_on(stopped, monkeypatch):
    monkeypatch.setattr(Dataset, "name_of", lambda self, path: f"elsewhere/{path.name}")
    with pytest.raises(DataError, match="Expected the 30 images that the run began with"):
        resume(stopped)


def test_other_weights(tmp_path):
    with pytest.raises(WeightsError) as caught:
        checked_again(tmp_path / "x", weights="2" * 64)
    assert "SHA-256 111111111111...). Received: others (222222222222...). Put them back." in str(
        caught.value
    )


def test_other_versions(tmp_path):
    notes = checked_again(tmp_path / "x", versions="keras4")
    assert notes[0].startswith("Other versions of TensorFlow, Keras, LiteRT or Pillow than")


def test_another_recipe(stopped):
    file = unfinished(stopped) / "recipe.yaml"
    file.write_text(file.read_text().replace("patience: 5", "patience: 6"))
    with pytest.raises(UsageError) as caught:
        resume(stopped)
    assert str(caught.value) == (
        f"Expected the recipe that the run began with. Received: {file} with "
        "stages.finetune.patience 6 instead of 5. Delete the file to go on without that. To start "
        f"it again: cnntransfer finetune --config {file} -o {stopped}"
    )
    file.unlink()
    assert CheckpointFolder.open(stopped).recipe.stages[1].patience == 5


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        (["photos/"], "DATA"),
        (["--seed", "1", "-o", "y"], "--seed, -o"),
        (["--augmentation", "none", "--config", "r.yaml"], "--augmentation, --config"),
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


@pytest.mark.parametrize(
    ("number", "name", "size"), [(1, "head", 0), (2, "finetune", 100), (2, "finetune", -1)]
)
@pytest.mark.slow
def test_a_damaged_stage_is_done_again(whole, stopped, number, name, size):
    file = unfinished(stopped) / f"stage{number}.npz"
    file.write_bytes(file.read_bytes()[:size])
    listener = Listener(name, 2)
    with pytest.raises(Stopped):
        resume(stopped, observer=listener)
    assert f"{file} is damaged: stage {name!r} is done once more." in listener.notes
    assert listener.rows == [row for row in whole[0] if row["stage"] == name][:2]


def test_a_changed_bit_is_noticed_wherever_it_is(tmp_path):
    file = tmp_path / "stage1.npz"
    arrays = {"a0": np.arange(50.0), "b0": np.zeros((3, 0), np.float32)}
    write_arrays(file, {"x": 1}, arrays)
    sound = file.read_bytes()
    for position in range(len(sound)):
        spoilt = bytearray(sound)
        spoilt[position] ^= 1 << position % 8
        file.write_bytes(spoilt)
        try:
            meta, read = read_arrays(file)
        except DAMAGE:
            continue
        assert meta == {"x": 1}  # A date, say.
        assert read.keys() == arrays.keys()
        assert all(np.array_equal(read[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize("spoil", [b"", b"PK", None])
def test_a_damaged_checkpoint(stopped, spoil):
    file = unfinished(stopped) / "run.npz"
    if spoil is None:
        write_arrays(file, {"recipe": {"layers": 3}}, {})
    else:
        file.write_bytes(spoil)
    with pytest.raises(OutputError) as caught:
        resume(stopped)
    assert str(caught.value) == (
        f"Expected what a run needs to go on. Received: {file}, which is damaged or of another "
        f"version. To start it again: cnntransfer finetune --config {file.parent}/recipe.yaml "
        f"-o {stopped}"
    )


# ---- The part of a stage


FEATURES = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
EXAMPLES = Examples(FEATURES, np.arange(20), np.arange(20) % 3)


def head_of(width, stage=None):
    """A head while it is fitted; with everything that a step moves, chance included."""
    layers = head_layers(Head(units=(width,), batch_normalization=True, ensemble=1), 3)
    weights = initial_weights(layers, FEATURES)
    stage = stage or Stage(epochs=6, learning_rate=0.01, schedule="cosine")
    return Perceptron(layers, weights, stage, EXAMPLES, EXAMPLES, 8, 0, Objective())


def network_of(width):
    """A Keras model and its optimizer, after some steps."""
    k = keras()
    model = k.Sequential([k.Input((2,)), k.layers.Dense(width), k.layers.Dropout(0.5)])
    optimizer = k.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    for step in range(3):
        model(np.ones((1, 2)), training=True)  # The random generator goes on.
        gradients = [np.full(v.shape, step, np.float32) for v in model.trainable_variables]
        optimizer.apply(gradients, model.trainable_variables)
    return Variables("head", model=model, optimizer=optimizer)


def numbers(holder):
    return {name: [a.tolist() for a in arrays] for name, arrays in holder.arrays().items()}


def fitted(width):
    learner = head_of(width)
    learner.train_epoch(0)
    return learner


@pytest.mark.parametrize(("moved", "new"), [(fitted, head_of), (network_of, network_of)])
def test_all_numbers_are_kept(tmp_path, moved, new):
    state = FitState(3.0, 2.0, 1, [np.ones(3)], [{"epoch": 1, "loss": 0.1}])
    with CheckpointFolder(tmp_path / "x") as folder:
        holder, other = moved(3), new(3)
        assert numbers(other) != numbers(holder)
        folder.stage(Stage()).save(holder, state)
        restored = folder.stage(Stage()).restore(other)
        assert numbers(other) == numbers(holder)
        assert np.array_equal(restored.best_weights[0], np.ones(3))
        assert dataclasses.replace(restored, best_weights=[]) == dataclasses.replace(
            state, best_weights=[]
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("epoch", [5, 6])
def test_a_head_goes_on_bit_by_bit(tmp_path, epoch):
    """After an epoch that was the best so far and after one that was not."""
    stage = Stage(epochs=6, learning_rate=0.5, schedule="cosine")

    def fit_one(listener, kept):
        learner = head_of(9, stage)
        return learner, fit(learner, stage, listener, kept)

    heard = Listener()
    whole, _ = fit_one(heard, NOTHING_KEPT)
    losses = [row["val_loss"] for row in heard.rows]
    best = int(np.argmin(losses)) + 1
    before, after = Listener(stage.name, epoch), Listener()
    with pytest.raises(Stopped):
        fit_one(before, CheckpointFolder(tmp_path / "x").stage(stage))
    resumed, _ = fit_one(after, CheckpointFolder.open(tmp_path / "x").stage(stage))
    assert after.rows == heard.rows[epoch - 1 :]
    assert numbers(resumed) == numbers(whole)
    assert best == 4, losses


def test_a_finished_head_is_taken_as_it_is(tmp_path):
    learner, other, rows = fitted(3), head_of(3), [{"stage": "head", "epoch": 1}]
    CheckpointFolder(tmp_path / "x").stage(Stage()).once(learner, lambda: rows)
    again = CheckpointFolder.open(tmp_path / "x").stage(Stage())
    assert again.once(other, lambda: pytest.fail("it was done again")) == rows
    for a, b in zip(other.get_weights(), learner.get_weights(), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("make", [head_of, network_of])
def test_the_numbers_of_another_model_are_not_taken(tmp_path, make):
    listener = Listener()
    with CheckpointFolder(tmp_path / "x", observer=listener) as folder:
        folder.stage(Stage()).save(make(3), FitState(1.0, 1.0, 0, [], []))
        assert folder.stage(Stage()).restore(make(4)) is None
    assert listener.notes == [
        f"{tmp_path}/x.unfinished/stage1.npz is of another version of Keras: stage 'head' is done "
        "once more."
    ]


def test_not_every_epoch_is_written(tmp_path, monkeypatch):
    with CheckpointFolder(tmp_path / "x") as folder:
        monkeypatch.setattr(module, "INTERVAL", 3600.0)
        stage = folder.stage(Stage())
        stage.save(head_of(3), FitState(1.0, 1.0, 0, [], []))
        assert list(tmp_path.iterdir()) == []
        stage.once(head_of(3), list)
        assert unfinished(tmp_path / "x").is_dir()


def test_writing_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    """Each time something is written, ten seconds pass."""
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(module, "_SHARE", 0.05)
    written = []
    with CheckpointFolder(tmp_path / "x") as folder:
        monkeypatch.setattr(folder, "write", lambda *arguments: written.append(arguments[-1]))
        stage, holder = folder.stage(Stage()), head_of(3)
        for epoch in range(40):
            stage.save(holder, FitState(1.0, 1.0, 0, [], [{}] * epoch))
    # From 10 to 20 s, and 200 s later.
    assert written == [f"epoch {number} of stage 'head'" for number in (0, 20)]
