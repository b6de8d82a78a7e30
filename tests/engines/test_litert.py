"""The engine: one image at a time, on many threads, the same numbers as Keras."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from cnntransfer.engines import litert
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.errors import BundleError

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)


def test_it_computes_what_keras_computes(bundle):
    engine = LiteRTEngine(bundle.litert_files)
    outputs = [engine.run(image) for image in IMAGES]
    expected = bundle.load_keras().predict_on_batch(IMAGES.astype(np.float32))
    probabilities = np.stack([output.probabilities for output in outputs])
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    assert probabilities.dtype == np.float32
    assert outputs[0].features.shape == (1024 + 1024 + 512,)


def test_a_chain_is_its_files_one_after_another(bundle):
    features = LiteRTEngine([bundle.trunk_file]).run(IMAGES[0]).features
    alone = LiteRTEngine([bundle.head_file]).run(features).probabilities
    chained = LiteRTEngine(bundle.litert_files).run(IMAGES[0])
    assert np.array_equal(chained.features, features)
    assert np.array_equal(chained.probabilities, alone)


def test_more_callers_than_workers_get_the_right_results(bundle):
    engine = LiteRTEngine(bundle.litert_files, workers=2)
    alone = [engine.run(image).probabilities for image in IMAGES]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda i: engine.run(IMAGES[i]).probabilities, [*range(12)] * 5))
    for number, probabilities in enumerate(together):
        assert np.array_equal(probabilities, alone[number % 12])


def test_results_are_the_caller_s_own(bundle):
    engine = LiteRTEngine(bundle.litert_files)
    first = engine.run(IMAGES[0]).probabilities
    copy = first.copy()
    engine.run(IMAGES[1])
    assert np.array_equal(first, copy)


def test_a_failed_call_does_not_lose_its_worker(bundle):
    engine = LiteRTEngine(bundle.litert_files)
    for _ in range(3):
        with pytest.raises(ValueError):
            engine.run(IMAGES[0][:10])
    assert engine.run(IMAGES[0]).probabilities.shape == (3,)


@pytest.mark.parametrize("content", [b"", b"not a model", "first half", None])
def test_damaged_files(bundle, tmp_path, content):
    path = tmp_path / "trunk.tflite"
    if content == "first half":
        whole = bundle.trunk_file.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(BundleError) as caught:
        LiteRTEngine([path])
    text = str(caught.value)
    assert text.startswith(f"Expected a LiteRT model. Received: {path}, which cannot be loaded (")
    assert "\n" not in text


def test_names_that_are_damaged(bundle, monkeypatch):
    """LiteRT loads such a file, and cannot say what its tensors are called."""

    def interpreter(**_options):
        def details():
            b"\xb2".decode()

        return SimpleNamespace(allocate_tensors=lambda: None, get_input_details=details)

    monkeypatch.setattr(litert, "litert_interpreter", lambda: interpreter)
    with pytest.raises(BundleError, match=r"which cannot be loaded \(.*\)\. Copy it again"):
        LiteRTEngine([bundle.head_file])
