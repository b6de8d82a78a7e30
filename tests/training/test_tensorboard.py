"""Event files are what TensorFlow's own reader takes them for."""

import subprocess
import sys

import numpy as np
import pytest

from cnntransfer.training.fit import HISTORY_COLUMNS
from cnntransfer.training.tensorboard import SCALARS, write_events

FINISHED = 1_700_000_000.0


def row(stage, epoch, seconds=2.0):
    figures = np.random.default_rng(epoch).uniform(size=4).tolist()
    return dict(
        zip(HISTORY_COLUMNS, (stage, epoch, *figures, 1e-3 / epoch, 0.1, seconds), strict=True)
    )


def events_of(folder):
    """The events of the one file in a folder, which TensorFlow found intact."""
    import tensorflow as tf

    (file,) = folder.iterdir()
    return list(tf.compat.v1.train.summary_iterator(str(file)))


def test_what_tensorflow_reads(tmp_path):
    history = [row("head", epoch) for epoch in range(1, 301)]  # 300 takes two bytes of a varint.
    write_events(tmp_path / "curves", history, FINISHED)
    version, *epochs = events_of(tmp_path / "curves" / "1-head")
    assert version.file_version == "brain.Event:2"
    assert [event.step for event in epochs] == list(range(1, 301))
    for event, expected in zip(epochs, history, strict=True):
        values = {value.tag: value.simple_value for value in event.summary.value}
        assert tuple(values) == SCALARS
        assert values == {name: np.float32(expected[name]) for name in SCALARS}
    assert epochs[-1].wall_time == FINISHED
    assert epochs[-2].wall_time == FINISHED - 2


def test_checksums_are_those_that_tensorflow_writes(tmp_path):
    import tensorflow as tf

    write_events(tmp_path, [row("head", 1)], FINISHED)
    (file,) = (tmp_path / "1-head").iterdir()
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(file))]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    assert file.read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_damaged_file_is_noticed(tmp_path):
    """So the reader of these tests does compare checksums."""
    import tensorflow as tf

    write_events(tmp_path, [row("head", 1)], FINISHED)
    (file,) = (tmp_path / "1-head").iterdir()
    content = bytearray(file.read_bytes())
    content[-10] ^= 1
    file.write_bytes(content)
    with pytest.raises(tf.errors.DataLossError):
        events_of(tmp_path / "1-head")


def test_every_stage_has_a_folder(tmp_path):
    history = [row("head", 1), row("head", 2), row("../top", 1, 5.0), row("..", 1, 0.5)]
    write_events(tmp_path, history, FINISHED)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-head", "2-.._top", "3-.."]
    moments = [event.wall_time for event in events_of(tmp_path / "1-head")]
    assert moments == [FINISHED - 7.5, FINISHED - 7.5, FINISHED - 5.5]
    assert len(events_of(tmp_path / "2-.._top")) == 2


def test_no_number_is_shown_as_none(tmp_path):
    write_events(tmp_path, [{**row("head", 1), "val_loss": float("nan")}], FINISHED)
    values = {v.tag: v.simple_value for v in events_of(tmp_path / "1-head")[1].summary.value}
    assert np.isnan(values["val_loss"])


def test_writing_needs_no_tensorflow(tmp_path):
    script = (
        "import sys, pathlib\n"
        "from cnntransfer.training.tensorboard import write_events\n"
        f"write_events(pathlib.Path({str(tmp_path)!r}), [{row('head', 1)!r}])\n"
        "print([n for n in ('tensorflow', 'google.protobuf', 'tensorboard') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
