"""``finetune --tensorboard``: the history once more, in the bundle."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cnntransfer.bundle import Bundle

pytestmark = pytest.mark.slow

SMALL = ("--preset", "fast", "--image-size", "64", "--batch-size", "8", "--epochs", "3")


def test_curves_are_in_the_bundle_and_nothing_else_changes(cli, photos, tmp_path):
    for output, more in (("plain", ()), ("with", ("--tensorboard",))):
        code, _, err = cli("finetune", photos, *SMALL, "-o", tmp_path / output, *more)
        assert code == 0, err
        assert (f"  or: tensorboard --logdir {tmp_path}\n" in err) is bool(more)
    plain, with_curves = (Bundle.open(tmp_path / name) for name in ("plain", "with"))
    assert not plain.tensorboard_folder.exists()
    assert [path.name for path in with_curves.tensorboard_folder.iterdir()] == ["1-head"]
    assert plain.recipe_file.read_text() == with_curves.recipe_file.read_text()
    seconds = {"seconds": ""}
    histories = [
        [row | seconds for row in bundle.read_table("history")] for bundle in (plain, with_curves)
    ]
    assert histories[0] == histories[1]


def test_a_run_with_a_frozen_backbone_imports_no_tensorflow(bundle, tmp_path):
    """``bundle`` has converted the backbone before."""
    script = (
        "import sys\n"
        "from cnntransfer.cli import run\n"
        f"code = run(['finetune', '--config', {str(bundle.recipe_file)!r}, '-q', '--tensorboard', "
        f"'-o', {str(tmp_path / 'out')!r}])\n"
        "print(code, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr
    assert Bundle(tmp_path / "out").tensorboard_folder.is_dir()
