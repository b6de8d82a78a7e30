"""What starts fast stays fast: no command imports TensorFlow or Keras before it needs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BIRD = Path(__file__).parents[2] / "sample_images" / "bird.jpg"
_REPORT = """
import sys
from cnntransfer.cli import run
code = run(sys.argv[1:])
heavy = [n for n in ("tensorflow", "keras", "torch", "sklearn", "scipy") if n in sys.modules]
print("code", code, "imported", *heavy, file=sys.stderr)
"""


def imported(*arguments: object) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", _REPORT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return finished.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("command", ["", "finetune", "predict", "evaluate", "export", "reproduce"])
def test_help_imports_nothing_heavy(command):
    assert imported(*filter(None, [command]), "--help") == "code 0 imported"


def test_lists_import_nothing_heavy():
    assert imported("backbones") == "code 0 imported"


def test_predict_imports_nothing_heavy(bundle):
    assert imported("predict", "-m", bundle.path, BIRD) == "code 0 imported"


def test_a_wrong_option_imports_nothing_heavy(photos):
    assert imported("finetune", photos, "--epochs", "0") == "code 2 imported"


def test_the_check_can_fail(bundle, tmp_path, monkeypatch):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('a stand-in')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert imported("export", bundle.path) == "code 8 imported"
    (tmp_path / "tensorflow.py").write_text("import keras")
    (tmp_path / "keras.py").write_text("")
    assert imported("export", bundle.path) == "code 1 imported tensorflow keras"
