"""A saved evaluation as a report."""

import json

import pytest

from cnntransfer.errors import UsageError
from cnntransfer.metrics import figures
from cnntransfer.report import gather_evaluation
from cnntransfer.report.page import render


@pytest.fixture
def saved(small, tmp_path):
    """What evaluate printed of the small run's photos: (file, its content)."""
    import numpy as np

    labels = np.array([0, 0, 1, 1, 2, 2])
    probabilities = np.eye(3)[[0, 1, 1, 1, 2, 0]].astype(np.float32)
    judged = figures(small.class_names, labels, probabilities, [("x.jpg", "is empty (0 bytes)")])
    rows = small.read_table("splits")
    content = {
        "data": str(small.path.parent / "photos"),
        "model": "runs/insects",
        **judged.to_dict(),
        "trained_on": 2,
        "mistakes": [
            {"file": rows[0]["file"], "label": "bee", "predicted": "fly", "probability": 1.0},
            {"file": "gone.jpg", "label": "wasp", "predicted": "bee", "probability": 0.9},
        ],
    }
    file = tmp_path / "evaluation.json"
    file.write_text(json.dumps(content))
    return file, content


def test_the_figures_and_the_mistakes(saved):
    report = gather_evaluation(saved[0])
    assert report.judgement.subset is None
    assert report.judgement.accuracy.value == pytest.approx(4 / 6)
    assert (report.title, report.backbone) == ("photos", "insects")
    assert [photo.cell for photo in report.galleries.cells] == ["0-1", "2-0"]
    assert report.galleries.cells[0].picture is not None
    assert report.missing == {"gone.jpg": "not found"}
    assert report.rejected_count == 1
    assert any("2 photos were trained on" in limit for limit in report.limits)
    assert not any("same collection" in limit for limit in report.limits)
    assert "insects was measured on photos of 3 classes" in " ".join(render(report).split())


def test_without_mistakes(saved):
    file, content = saved
    del content["mistakes"]
    file.write_text(json.dumps(content))
    report = gather_evaluation(file)
    assert report.galleries is None
    assert "data-opens" not in render(report).split("<body>")[1].split("<script>")[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content.pop("confusion"), "without 'confusion'"),
        (lambda content: content.update(models=content.pop("per_class")), "without 'per_class'"),
        (lambda content: content.update(mistakes=[{}]), "without 'file'"),
        (lambda content: content.update(per_class=[]), "empty"),
    ],
)
def test_what_is_no_evaluation(saved, change, reason):
    file, content = saved
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=reason) as caught:
        gather_evaluation(file)
    assert "Expected a bundle, or what 'cnntransfer evaluate MODEL DATA --json'" in str(
        caught.value
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "\xff", "[" * 100_000])
def test_what_is_no_json(tmp_path, text):
    file = tmp_path / "x.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=r"Expected a bundle, or what .* Received: .*x\.json \("):
        gather_evaluation(file)
