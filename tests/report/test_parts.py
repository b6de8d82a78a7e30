"""The parts of a report: charts, matrix, limits, selection, room for pictures."""

import math

import numpy as np
import pytest

from cnntransfer.held_out import HeldOut
from cnntransfer.metrics import Bin
from cnntransfer.report import photos as photos_module
from cnntransfer.report.charts import learning_curves, reliability_chart
from cnntransfer.report.confusion import read_confusion
from cnntransfer.report.content import Galleries, Gallery, Reliability
from cnntransfer.report.judgement import ClassRow, Judgement, Value
from cnntransfer.report.limits import limits
from cnntransfer.report.photos import Album
from cnntransfer.report.selection import Selection

# ---- Charts


def history(values, stage="head"):
    return [
        {
            "stage": stage,
            "epoch": str(i + 1),
            "loss": str(v),
            "accuracy": "0.5",
            "val_loss": str(v),
            "val_accuracy": str(0.8 + i / 100),
        }
        for i, v in enumerate(values)
    ]


def test_curves_lie_on_their_axes():
    loss, accuracy = learning_curves(history([1.0, 0.5, 0.25]))
    (line,) = loss.lines[1].pieces
    assert line == "0,0 200,110 400,165"
    assert (loss.y[0].place, loss.y[0].label) == (220.0, "0.0")
    assert loss.y[-1].label == "1.0"
    assert [tick.label for tick in loss.x] == ["1", "2", "3"]
    assert accuracy.y[-1].label.endswith(" %")
    assert loss.summary == "Loss over 3 epochs; in the last: training 0.25, validation 0.25"
    assert not loss.stages


def test_stages_are_told_apart():
    loss, _ = learning_curves([*history([1, 0.9, 0.8]), *history([0.7, 0.6], "finetune")])
    assert [(stage.label, stage.place) for stage in loss.stages] == [
        ("head", 0.0),
        ("finetune", 300.0),
    ]


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [math.nan, math.nan], [1e-9, 1e9]])
def test_extreme_curves(values):
    for chart in learning_curves(history(values)):
        for line in chart.lines:
            for x, y in line.dots:
                assert math.isfinite(x)
                assert math.isfinite(y)
            assert "nan" not in "".join(line.pieces)
        assert chart.y


def test_a_curve_is_interrupted_where_there_is_no_value():
    loss, _ = learning_curves(history([1, 0.9, math.inf, 0.7, 0.6, math.nan, 0.5]))
    assert len(loss.lines[1].pieces) == 2
    assert len(loss.lines[1].dots) == 1


def test_no_history_no_curves():
    assert learning_curves([]) == []


def test_dots_of_a_reliability_diagram():
    chart = reliability_chart([Bin(0.5, 1.0, 10), Bin(1.0, 0.25, 40)])
    assert [(dot.x, dot.y) for dot in chart.dots] == [(150.0, 0.0), (300.0, 225.0)]
    assert chart.dots[0].radius < chart.dots[1].radius
    assert chart.dots[1].label == "40 photos: 100% sure on average, 25% right"


# ---- Matrix


def rows(*supports, recalls=None, train=None):
    recalls = recalls or [1.0] * len(supports)
    train = train or [20] * len(supports)
    return [
        ClassRow(i, f"class {i}", Value(1.0), Value(r), 1.0, s, s, 0, {"train": t})
        for i, (s, r, t) in enumerate(zip(supports, recalls, train, strict=True))
    ]


def test_cells_and_orders():
    matrix = [[8, 2, 0], [0, 0, 0], [50, 0, 50]]
    confusion = read_confusion(matrix, rows(10, 0, 100, recalls=[0.8, 0.0, 0.5]))
    assert set(confusion.cells) == {(0, 0), (0, 1), (2, 0), (2, 2)}
    assert confusion.cells[0, 1].label == "class 0 taken for class 1: 2 photos"
    assert confusion.cells[0, 0].label == "class 0 recognised: 8 photos"
    assert [(cell.true, cell.predicted) for cell in confusion.largest] == [(2, 0), (0, 1)]
    # A class without photos has no recall to be ordered by.
    assert confusion.orders["worst first"] == [2, 0, 1]
    assert confusion.orders["most photos first"] == [2, 0, 1]
    assert not confusion.is_compact


def test_shades_tell_one_of_fifty_from_none_and_all():
    confusion = read_confusion([[49, 1], [0, 50]], rows(50, 50))
    assert confusion.cells[0, 1].shade == 1
    assert confusion.cells[1, 1].shade == 9


# ---- Limits


def judgement(classes, subset="test", images=500):
    confusion = read_confusion([[1]], rows(1))
    return Judgement(subset, "photos", images, Value(0.9), 0.5, [], classes, confusion)


def said(*arguments, **options):
    return " ".join(limits(*arguments, **options))


def test_what_always_limits():
    sentences = list(limits(judgement(rows(50, 50)), None, None))
    assert [sentence[:10] for sentence in sentences] == ["It knows o", "It was mea"]


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        (judgement(rows(50, 50), images=40), "Only 40 photos were judged"),
        (judgement(rows(50, 5)), "1 class has fewer than 10 judged photos (class 1)"),
        (judgement(rows(5, 5)), "Every class has fewer than 10"),
        (judgement(rows(50, 50), subset="val"), "--test-split 0.2"),
        (judgement(rows(50, 50, recalls=[0.4, 1.0])), "Less than half is recognised of class 0."),
        (judgement(rows(50, 50, train=[100, 20])), "100 photos of class 0, and from 20 of class 1"),
    ],
)
def test_what_limits_some_runs(judged, expected):
    assert expected in said(judged, None, None)
    assert expected not in said(judgement(rows(50, 50)), None, None)


def test_confidence_suspects_duplicates_and_training_photos():
    chart = reliability_chart([])
    assert "surer of itself" in said(None, Reliability(chart, 1, 0.9, 0.8), None)
    assert "too modest" in said(None, Reliability(chart, 1, 0.7, 0.8), None)
    assert "sure on average" not in said(None, Reliability(chart, 1, 0.82, 0.8), None)
    galleries = Galleries(Gallery([], 0), Gallery([], 3), Gallery([], 9), [], 2, 1, [], "")
    assert "3 labels look wrong" in said(None, None, galleries)
    assert "1 group of near-duplicates" in said(None, None, galleries)
    assert "2 photos were trained on" in said(None, None, None, trained_on=2)
    assert "predict --unknown auto" in said(None, None, None, tells_unknown=True)
    assert "--unknown" not in said(None, None, None)


# ---- Which photos, and room for them


def held_out(cells, subset="test"):
    labels = np.array([true for true, _, _ in cells])
    predicted = np.array([p for _, p, _ in cells])
    probabilities = np.zeros((len(cells), 3))
    probabilities[np.arange(len(cells)), predicted] = [confidence for *_, confidence in cells]
    files = tuple(f"{i}" for i in range(len(cells)))
    return HeldOut(files, (subset,) * len(cells), labels, predicted, probabilities)


def test_every_cell_has_its_first_photo_before_any_has_its_second():
    cells = [(0, 1, 0.6), (0, 1, 0.9), (0, 1, 0.7), (2, 1, 0.5), (1, 1, 0.8), (1, 1, 0.4)]
    chosen = Selection(held_out(cells), ("a", "b", "c"), "test")
    # Of mistakes the most confident first; of what is right, which comes last, the least.
    assert chosen.files(chosen.of_cells) == ["1", "3", "2", "0", "5", "4"]
    assert chosen.files(chosen.mistakes) == ["1", "2", "0", "3"]
    assert Selection(held_out(cells), ("a", "b", "c"), "val").of_cells == []


def test_a_cell_with_many_photos_shows_some():
    many = held_out([(0, 1, 0.9)] * 40 + [(1, 1, 0.9)] * 40)
    assert len(Selection(many, ("a", "b", "c"), "test").of_cells) == 12 + 6
    assert len(Selection(many, ("a",) * 100, "test").of_cells) == 12 + 2
    assert len(Selection(many, ("a",) * 1000, "test").of_cells) == 12 + 1


@pytest.fixture
def files(small):
    return [row["file"] for row in small.read_table("splits")]


def test_an_album_stops_when_it_is_full(small, files, monkeypatch):
    monkeypatch.setattr(photos_module, "MOST_PICTURES", 5)
    album = Album(small.path.parent / "photos", {})
    album.load(files)
    assert len(album.pictures) == 5
    assert [file for file in files if album.knows(file)] == files[:5]
    monkeypatch.setattr(photos_module, "MOST_PICTURES", 800)
    monkeypatch.setattr(photos_module, "MOST_CHARACTERS", 3000)
    album = Album(small.path.parent / "photos", {})
    album.load(files)
    used = sum(len(picture.data) for picture in album.pictures)
    assert 3000 <= used < 3000 + max(len(picture.data) for picture in album.pictures)


def test_an_album_reads_so_many_bytes(small, files, monkeypatch):
    root = small.path.parent / "photos"
    sizes = [(root / file).stat().st_size for file in files]
    monkeypatch.setattr(photos_module, "MOST_BYTES", sum(sizes[:4]))
    album = Album(root, {})
    album.load(["gone.jpg", *files])
    assert len(album.pictures) == 4
    assert album.picture("gone.jpg") == (None, "not found")


def test_a_photo_is_embedded_once(small, files):
    album = Album(small.path.parent / "photos", {})
    album.load([files[0], files[1], files[0]])
    album.load([files[1], files[2]])
    assert [picture.number for picture in album.pictures] == [0, 1, 2]
    assert album.picture(files[1])[0] is album.pictures[1]


def test_an_album_without_a_folder():
    album = Album(None, {})
    album.load(["x.jpg"])
    assert album.picture("x.jpg") == (None, "not found")
