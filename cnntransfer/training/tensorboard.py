"""The history of a run for TensorBoard: event files, written without TensorFlow.

An event file is a sequence of records (TFRecord). A record is the length of its content, a checksum
of the length, the content, a checksum of the content. The content is an ``Event``, a Protocol
Buffers message of four fields, so a dozen lines encode it; tests read it with TensorFlow.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

#: The columns of the history that become curves.
SCALARS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")

#: TensorBoard reads every file with ``tfevents`` in its name.
_FILE = "events.out.tfevents.cnntransfer"
#: What the first record says.
_VERSION = b"brain.Event:2"
#: Field numbers of ``Event``, ``Summary`` and ``Summary.Value`` in TensorFlow's event.proto and
#: summary.proto.
_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY = 1, 2, 3, 5
_VALUE = 1
_TAG, _SIMPLE_VALUE = 1, 2
#: Wire types of Protocol Buffers.
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5


def write_events(
    folder: Path, history: Sequence[Mapping[str, Any]], finished: float | None = None
) -> None:
    """Write a folder of curves for every stage: ``1-head``, ``2-finetune``, ....

    Args:
        folder: Where to; it is made.
        history: Rows of :data:`cnntransfer.training.fit.HISTORY_COLUMNS`, stage after stage.
        finished: When the last epoch ended, in seconds since 1970; now if not given. The times of
            the others follow from how long each took.
    """
    finished = time.time() if finished is None else finished
    elapsed = list(accumulate(float(row["seconds"]) for row in history))
    times = (finished - elapsed[-1] + seconds for seconds in elapsed)
    stages = groupby(zip(history, times, strict=True), key=lambda pair: str(pair[0]["stage"]))
    for number, (stage, pairs) in enumerate(stages, start=1):
        run = folder / f"{number}-{_file_name(stage)}"
        run.mkdir(parents=True)
        (run / _FILE).write_bytes(b"".join(map(_record, _events(list(pairs)))))


def _events(rows: Sequence[tuple[Mapping[str, Any], float]]) -> Iterator[bytes]:
    """The messages of a file: a version, then one for every epoch."""
    start = _field(_WALL_TIME, _DOUBLE, struct.pack("<d", rows[0][1]))
    yield start + _text(_FILE_VERSION, _VERSION)
    for row, moment in rows:
        summary = b"".join(
            _text(
                _VALUE,
                _text(_TAG, name.encode())
                + _field(_SIMPLE_VALUE, _FLOAT, struct.pack("<f", float(row[name]))),
            )
            for name in SCALARS
        )
        yield (
            _field(_WALL_TIME, _DOUBLE, struct.pack("<d", moment))
            + _field(_STEP, _VARINT, _varint(int(row["epoch"])))
            + _text(_SUMMARY, summary)
        )


def _field(number: int, kind: int, content: bytes) -> bytes:
    return _varint(number << 3 | kind) + content


def _text(number: int, content: bytes) -> bytes:
    """A field with a text or a message in it."""
    return _field(number, _BYTES, _varint(len(content)) + content)


def _varint(value: int) -> bytes:
    """A whole number from 0, seven bits a byte, the lowest first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _checksum(length) + content + _checksum(content)


def _checksum(content: bytes) -> bytes:
    """CRC-32C, turned and shifted, so that a checksum of checksums is none."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    turned = crc >> 15 | crc << 17 & 0xFFFFFFFF
    return struct.pack("<I", turned + 0xA282EAD8 & 0xFFFFFFFF)


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


#: What each byte does to a CRC-32C (Castagnoli's polynomial, its bits reversed).
_CRC = tuple(map(_crc_of, range(256)))


def _file_name(text: str) -> str:
    """A stage's name without what a path may not hold."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in text)[:60]
