"""The door to TensorFlow, Keras and LiteRT: quiet, and clear about what is missing."""

import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from cnntransfer import frameworks
from cnntransfer.errors import MissingDependencyError
from cnntransfer.frameworks import quiet


def test_quiet_hides_what_is_written_past_python(capfd):
    print("before")
    with quiet():
        os.write(1, b"noise\n")
        os.write(2, b"noise\n")
    print("after")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("before\nafter\n", "")


def test_quiet_ends_with_an_error_and_nests(capfd):
    def fail():
        with quiet():
            os.write(1, b"noise\n")
        os.write(1, b"noise\n")
        raise ValueError

    with pytest.raises(ValueError), quiet():
        fail()
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


_WITHOUT_TENSORFLOW = """
import sys
from cnntransfer import frameworks
from cnntransfer.errors import MissingDependencyError

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            found.append("numpy.ma" in sys.modules)
            raise ImportError(name)

found = ["numpy.ma" in sys.modules]
sys.meta_path.insert(0, Finder())
try:
    frameworks.tensorflow()
except MissingDependencyError:
    print(*found)
"""


def test_what_goes_through_numpy_s_types_is_imported_before_tensorflow_changes_them():
    """Else SciPy, imported on another thread, may find them changed while it does."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TENSORFLOW], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]


def test_quiet_from_threads_restores_the_streams(capfd):
    def hush():
        for _ in range(50):
            with quiet():
                os.write(1, b"noise\n")

    threads = [threading.Thread(target=hush) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


def test_quiet_leaks_no_descriptor():
    def highest():
        descriptor = os.dup(0)
        os.close(descriptor)
        return descriptor

    before = highest()
    for _ in range(20):
        with quiet():
            pass
    assert highest() == before


def test_debugging_hides_nothing(capfd, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_DEBUG", "1")
    with quiet():
        os.write(1, b"detail\n")
    assert capfd.readouterr().out == "detail\n"


@pytest.mark.slow
def test_importing_keras_and_litert_prints_nothing():
    script = (
        "import warnings; warnings.simplefilter('error')\n"
        "from cnntransfer import frameworks\n"
        "frameworks.keras(); frameworks.litert_interpreter()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(
        MissingDependencyError, match=r"needs LiteRT, .* pip install ai-edge-litert"
    ):
        frameworks.litert_interpreter()
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Refuse(), *sys.meta_path])
    with pytest.raises(
        MissingDependencyError, match=r"needs TensorFlow, .* pip install tensorflow"
    ):
        frameworks.tensorflow()


class _Refuse:
    def find_spec(self, name, *_):
        if name == "tensorflow":
            raise ImportError("no such package")


def test_another_backend_is_refused(monkeypatch):
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(MissingDependencyError, match="imported with backend 'jax'"):
        frameworks.keras()


@pytest.mark.parametrize("devices", [[], ["GPU:0"]])
def test_a_graphics_processor_is_one_that_tensorflow_sees(monkeypatch, tmp_path, devices):
    driver = tmp_path / "driver"
    config = SimpleNamespace(list_physical_devices=lambda kind: devices)
    monkeypatch.setattr(frameworks, "_GPU_DEVICES", (str(driver),))
    monkeypatch.setattr(frameworks, "tensorflow", lambda: SimpleNamespace(config=config))
    assert not frameworks.has_gpu.__wrapped__()  # Without a driver TensorFlow is not asked.
    driver.touch()
    assert frameworks.has_gpu.__wrapped__() is bool(devices)
