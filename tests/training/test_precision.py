"""Which arithmetic: the faster one only where it is faster and as good."""

from types import SimpleNamespace

import numpy as np
import pytest

from cnntransfer.data.fitting import InputSpec
from cnntransfer.recipe import Stage
from cnntransfer.training import precision
from cnntransfer.training.features import Features
from cnntransfer.training.precision import (
    Choice,
    choose_precision,
    choose_stage_precision,
    cosines,
    is_short,
    may_be_faster,
)
from tests.conftest import Notes

FEATURES = np.random.default_rng(0).random((40, 8)).astype(np.float32)
HELD_OUT = Features(FEATURES, np.arange(40), np.zeros(40, np.int64))
#: The other held-out images are test images.
VALIDATION = list(range(4, 40))
TRAINING = [(position, 0) for position in range(100, 1100)]


class Engine:
    def __init__(self, seconds, error):
        self.seconds, self.error = seconds, error

    def map(self, make, items):
        for position, _ in items:
            Engine.clock += self.seconds
            row = FEATURES[position % 40].copy()
            row[0] += self.error
            yield SimpleNamespace(features=row)


@pytest.fixture
def choose(monkeypatch):
    """Choose between a float32 engine of 0.1 s an image and another one."""
    monkeypatch.setattr(precision.time, "perf_counter", lambda: Engine.clock)
    monkeypatch.setattr(precision, "_has_bfloat16", lambda: True)

    def call(seconds=0.02, error=0.0, wanted="auto", kept=(), requests=TRAINING):
        Engine.clock = 0.0
        engines = {"float32": Engine(0.1, 0.0), "bfloat16": Engine(seconds, error)}
        extractor = SimpleNamespace(
            engine=engines.__getitem__,
            views=SimpleNamespace(
                image=None, dataset=SimpleNamespace(subset={"val": VALIDATION}.__getitem__)
            ),
            store=lambda name: SimpleNamespace(
                missing=lambda requests: [] if name in kept else list(requests)
            ),
        )
        notes = Notes()
        return choose_precision(wanted, extractor, requests, HELD_OUT, notes), notes.said

    return call


def test_faster_and_equal(choose):
    choice, notes = choose()
    assert choice.precision == "bfloat16"
    assert len(choice.sample) == len(choice.features) == 32
    assert set(choice.sample) <= set(VALIDATION)
    assert notes == [
        "Features of 1000 views in bfloat16: 5.0 times as fast as float32 here, and the same on "
        "32 validation images (cosine of features at least 1.0000)."
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": 0.095},  # hardly faster
        {"error": 0.5},  # not equal
        {"requests": TRAINING[:90]},  # not worth trying
        {"wanted": "float32"},
        {"kept": ["float32", "bfloat16"]},
    ],
)
def test_float32_otherwise(choose, changes):
    choice, notes = choose(**changes)
    assert choice.precision == "float32"
    assert notes == []


def test_what_is_kept_or_asked_for_is_taken(choose):
    assert choose(seconds=9, kept=["bfloat16"])[0].precision == "bfloat16"
    assert choose(seconds=9, error=9, wanted="int8")[0].precision == "int8"


@pytest.mark.parametrize("kept", [(), ["bfloat16"]])
def test_a_processor_without_bfloat16_measures_nothing(choose, monkeypatch, kept):
    """Not even kept bfloat16 features are taken: those of new photos would take longer."""
    monkeypatch.setattr(precision, "_has_bfloat16", lambda: False)
    monkeypatch.setattr(Engine, "map", None)  # Fails if it is called.
    assert choose(kept=kept) == (Choice("float32"), [])
    assert choose(wanted="bfloat16") == (Choice("bfloat16"), [])
    assert choose_stage_precision(Stage(unfreeze="all"), None, None) == "float32"


@pytest.mark.parametrize(
    ("wanted", "with_it", "without"),
    [
        ("float32", False, False),
        ("auto", True, False),
        ("bfloat16", True, True),
        ("int8", True, True),
    ],
)
def test_where_float32_is_not_the_only_choice(monkeypatch, wanted, with_it, without):
    for has_it, expected in ((True, with_it), (False, without)):
        monkeypatch.setattr(precision, "_has_bfloat16", lambda has_it=has_it: has_it)
        assert may_be_faster(wanted) is expected


@pytest.mark.parametrize(("images", "expected"), [(79, True), (81, False)])
def test_whether_anything_faster_is_looked_for(monkeypatch, images, expected):
    """0.5 s an image on two cores: 80 images take 20 s."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)

    def run(image):
        assert image.shape == (6, 4, 3)
        clock.now += 0.5

    monkeypatch.setattr(precision, "time", clock)
    monkeypatch.setattr(precision, "available_cores", lambda: 2)
    spec = InputSpec((6, 4))
    assert is_short(images, SimpleNamespace(run=run), spec) is expected


def test_beside_a_graphics_processor_the_processor_is_not_asked(monkeypatch):
    monkeypatch.setattr(precision, "_has_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "has_gpu", lambda: True)
    assert not may_be_faster("auto")
    assert may_be_faster("bfloat16")


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("avx512_bf16", True),
        ("amx_bf16", True),
        ("bf16", True),
        ("avx512f", False),
        ("bf16x", False),
    ],
)
def test_which_processors_have_bfloat16(monkeypatch, flag, expected):
    monkeypatch.setattr(precision.processor, "features", lambda: frozenset({"fpu", flag}))
    assert precision._has_bfloat16() is expected


@pytest.mark.parametrize(
    ("seconds", "error", "expected"),
    [
        (0.02, 0.0, "bfloat16"),
        (0.02, 0.05, "bfloat16"),
        (0.095, 0.0, "float32"),
        (0.02, 2.0, "float32"),
    ],
)
def test_unfrozen_layers_are_measured_in_tensorflow(monkeypatch, seconds, error, expected):
    """Layers that train adapt, so a difference that features may not have is forgiven."""
    monkeypatch.setattr(precision.time, "perf_counter", lambda: Engine.clock)
    monkeypatch.setattr(precision, "_has_bfloat16", lambda: True)
    engines = {"float32": Engine(0.1, 0.0), "bfloat16": Engine(seconds, error)}
    monkeypatch.setattr(precision, "KerasEngine", lambda model, name: engines[name])
    Engine.clock = 0.0
    views = SimpleNamespace(
        image=None, requests=lambda *_: [(position, 0) for position in range(40)]
    )
    assert choose_stage_precision(None, views) == expected


def test_cosines():
    a = np.array([[1, 0], [1, 1], [0, 2]], np.float32)
    b = np.array([[2, 0], [1, 0], [0, -1]], np.float32)
    np.testing.assert_allclose(cosines(a, b), [1, np.sqrt(0.5), -1], rtol=1e-6)
