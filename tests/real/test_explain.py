"""Whether explanations are true of networks with real weights, on real photos."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.faithfulness import ORDERS, deletion_areas, interval, photos_of
from cnntransfer.explain import Options, get_method
from cnntransfer.explain.subject import Subject

MODELS = ("mobilenet", "resnet50")


@pytest.fixture(scope="module", params=MODELS)
def subject(request, weights):
    return Subject.open(request.param)


def test_gradcam_marks_what_the_answer_rests_on(weights, shared):
    """``benchmarks/faithfulness.py``, which has more orders, at a grain for which edges do well."""
    mobilenet = Subject.open("mobilenet")
    photos = photos_of(mobilenet, shared / "data" / "imagenet-check", every=2)
    assert len(photos) == 100
    orders = {name: ORDERS[name] for name in ("gradcam", "random", "edges")}
    areas = deletion_areas(mobilenet, photos, orders, (32,))
    for order in ("random", "edges"):
        _, lowest, _ = interval(areas[order, 32] - areas["gradcam", 32])
        assert lowest > 0, order


def test_occlusion_is_the_loop_over_all_places(subject, shared):
    (photo, *_) = photos_of(subject, shared / "data" / "imagenet-check", every=100)
    (height, width), square, grid = photo.pixels.shape[:2], 50, 2
    options = Options(grid=grid, square=square)
    found = get_method("occlusion").run(subject, [photo], options)
    index = subject.index_of(found.facts["class"])
    for row in range(grid):
        for column in range(grid):
            top = round(row * (height - square) / (grid - 1))
            left = round(column * (width - square) / (grid - 1))
            pixels = photo.pixels.copy()
            pixels[top : top + square, left : left + square] = 128
            (probabilities,) = subject.probabilities([pixels])
            assert found.arrays["probability"][row, column] == pytest.approx(
                probabilities[index], abs=1e-6
            )


def test_integrated_gradients_add_up(weights, shared):
    """A photo takes half a minute, and with ResNet50 more."""
    subject = Subject.open("mobilenet")
    (photo, *_) = photos_of(subject, shared / "data" / "imagenet-check", every=100)
    found = get_method("integrated-gradients").run(subject, [photo], Options())
    index = subject.index_of(found.facts["class"])
    (logits,) = subject.part([subject.model.input], [subject.logits])(
        np.stack([photo.pixels, np.zeros_like(photo.pixels)]).astype(np.float32)
    )
    difference = float(logits[0, index]) - float(logits[1, index])
    total = found.arrays["attributions"].sum(dtype=np.float64)
    assert total == pytest.approx(difference, rel=0.0101)
    assert found.remarks == ()
