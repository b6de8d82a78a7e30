"""Killing a run with real weights at random moments changes nothing in what comes out of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

SETTINGS = (
    *("--backbone", "mobilenet_v2", "--image-size", "96", "--epochs", "30"),
    *("--views", "2", "--batch-size", "16"),
    *("--unfreeze", "block14", "--finetune-epochs", "5", "--finetune-learning-rate", "1e-3"),
)
#: KILLS=10 takes some minutes; tests/training/test_checkpoint.py kills, too.
KILLS = int(os.environ.get("KILLS", "1"))
#: Every epoch is kept, so that the moments hit writing, too.
_RUN = """
from cnntransfer.training import checkpoint_folder as checkpoint
from cnntransfer.__main__ import script
checkpoint.INTERVAL, checkpoint._SHARE = 0.0, float("inf")
script()
"""


def start(*arguments):
    command = [sys.executable, "-c", _RUN, "finetune", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_kills(shared, weights, tmp_path):
    new = (shared / "data" / "trashnet", *SETTINGS, "-o")
    whole = start(*new, tmp_path / "whole")
    _, complaints = whole.communicate(timeout=600)
    assert whole.returncode == 0, complaints
    # With what is in the cache by now, and a little less, so that none comes too late.
    began = time.monotonic()
    again = start(*new, tmp_path / "again")
    assert again.communicate(timeout=600)
    seconds = time.monotonic() - began
    reference = (tmp_path / "whole" / "predictions.csv").read_bytes()
    assert (tmp_path / "again" / "predictions.csv").read_bytes() == reference

    moments = random.Random(0)
    resumed = 0
    for number in range(KILLS):
        output = tmp_path / f"{number}" / "x"
        moment = moments.uniform(0.3, 0.95) * seconds
        run = start(*new, output)
        try:
            run.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            run.kill()
            run.communicate()
        for _ in range(3):
            if output.exists():
                break
            if output.with_name("x.unfinished").exists():
                resumed += 1
                run = start("--resume", output)
            else:
                run = start(*new, output)
            _, complaints = run.communicate(timeout=600)
            assert run.returncode == 0, complaints
        assert (output / "predictions.csv").read_bytes() == reference, moment
        assert not output.with_name("x.unfinished").exists()
        print(f"killed after {moment:.1f} of {seconds:.1f} s")
    assert resumed >= KILLS // 3
