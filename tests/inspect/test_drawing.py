"""Drawings: where boxes stand, and files that can be opened."""

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest
from PIL import Image

from cnntransfer.errors import OutputError, UsageError
from cnntransfer.inspect.drawing import check_target, draw, short
from cnntransfer.inspect.layout import ROW_WIDTH, lay_out
from cnntransfer.models.anatomy import (
    Convolution,
    Dense,
    Flatten,
    GlobalPooling,
    Input,
    Merge,
    PerChannel,
    Placed,
    Pooling,
    Reshape,
    Window,
    chain,
    measure,
)

THREE = Window((3, 3), padding="same")


def lenet():
    five, two = Window((5, 5)), Window((2, 2), (2, 2))
    layers = [Convolution(five, 6), Pooling(two), Convolution(five, 16), Pooling(two), Flatten(),
              Dense(120), Dense(84), Dense(10)]  # fmt: skip
    return chain("lenet", (32, 32, 1), layers)


def residual(units):
    """A network with a shortcut around every second convolution, and gates."""
    placed = [Placed("input", Input((32, 32, 3))), Placed("0", Convolution(THREE, 16), ("input",))]
    for n in range(units):
        below = placed[-1].name
        placed += [
            Placed(f"{n}a", Convolution(THREE, 16), (below,)),
            Placed(f"{n}r", PerChannel("relu"), (f"{n}a",)),
            Placed(f"{n}p", GlobalPooling(), (f"{n}r",)),
            Placed(f"{n}s", Reshape((1, 1, 16)), (f"{n}p",)),
            Placed(f"{n}m", Merge("multiply"), (f"{n}r", f"{n}s")),
            Placed(f"{n}+", Merge("add"), (below, f"{n}m")),
        ]
    return measure("residual", placed)


def test_a_box_for_each_layer_that_computes_or_joins():
    layout = lay_out(lenet())
    looks = [box.look for box in layout.boxes]
    assert looks == ["input", *["convolution", "pooling"] * 2, "dense", "dense", "dense"]
    assert layout.is_roomy
    assert layout.rows == 1
    heights = [box.height for box in layout.boxes]
    assert heights[0] == 1
    assert heights == sorted(heights, reverse=True)
    # As wide as the logarithm of the channels: 16 is twice 4, below which nothing is told apart.
    first, *_, conv, _, _, _, _ = layout.boxes
    assert conv.width == pytest.approx(2 * first.width)


def test_shortcuts_lead_through_what_is_not_drawn():
    boxes = {box.facts.name: box for box in lay_out(residual(1)).boxes}
    names = list(boxes)
    assert "0r" not in names
    by_name = {name: {names[n] for n in box.sources} for name, box in boxes.items()}
    assert by_name["0p"] == {"0a"}
    assert by_name["0m"] == {"0a", "0p"}
    assert by_name["0+"] == {"0", "0m"}


@pytest.mark.parametrize("units", [1, 12, 60, 150])
def test_rows_are_full_and_nothing_overlaps(units):
    layout = lay_out(residual(units))
    by_row = {}
    for box in layout.boxes:
        by_row.setdefault(box.row, []).append(box)
    assert sorted(by_row) == list(range(layout.rows))
    for row in by_row.values():
        assert row[0].left == 0
        assert row[-1].left + row[-1].width <= ROW_WIDTH
        for one, other in pairwise(row):
            assert one.left + one.width < other.left
    for number in range(layout.rows - 1):
        assert by_row[number][-1].left > 0.9 * ROW_WIDTH
    assert min(box.width for box in layout.boxes) > 0.02


def test_stages_are_runs_of_one_size_that_gates_do_not_interrupt():
    assert [stage.size for stage in lay_out(residual(12)).stages] == ["32x32"]
    assert [stage.size for stage in lay_out(lenet()).stages] == [
        "32x32", "28x28", "14x14", "10x10", "5x5", "vectors"
    ]  # fmt: skip


@pytest.mark.parametrize("anatomy", [lenet(), residual(60)], ids=["small", "large"])
@pytest.mark.slow
def test_pictures_can_be_opened(anatomy, tmp_path):
    draw(anatomy, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        image.load()
        assert image.width == 1590
        assert len(image.convert("RGB").getcolors(maxcolors=1 << 20)) > 10
    draw(anatomy, tmp_path / "x.svg")
    drawn = (tmp_path / "x.svg").read_bytes()
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    draw(anatomy, tmp_path / "x.svg")
    assert (tmp_path / "x.svg").read_bytes() == drawn
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.png", "x.svg"]


def texts(anatomy, tmp_path):
    draw(anatomy, tmp_path / "x.svg")
    root = ElementTree.fromstring((tmp_path / "x.svg").read_bytes())
    return ["".join(node.itertext()).strip() for node in root.iter() if node.tag.endswith("}text")]


def test_what_is_drawn_is_said(tmp_path):
    words = texts(lenet(), tmp_path)
    assert words[0] == "lenet: 32x32x1, 9 layers, 61.7 k parameters, 417 k multiply-adds"
    assert {"28x28x6", "5x5x16", "120", "convolution", "pooling", "dense", "trained"} <= set(words)
    assert "separable convolution" not in words


def test_nothing_trained_has_no_entry_in_the_legend(tmp_path):
    network = [
        Placed("input", Input((8, 8, 3))),
        Placed("one", Convolution(THREE, 4), ("input",), trained=False),
    ]
    frozen = measure("x", network)
    assert "trained" not in texts(frozen, tmp_path)


def test_names_are_no_formulas(tmp_path):
    odd = chain("a$b$_{c", (8, 8, 3), [Convolution(THREE, 4)])
    assert texts(odd, tmp_path)[0].startswith("a$b$_{c: 8x8x3")


def test_files_are_not_overwritten_silently(tmp_path):
    there = tmp_path / "x.png"
    there.write_bytes(b"precious")
    with pytest.raises(
        OutputError, match=r"^--png: expected a new file\. Received: .*x\.png, which"
    ):
        check_target("--png", str(there), ".png", overwrite=False)
    assert check_target("--png", str(there), ".png", overwrite=True) == there
    with pytest.raises(UsageError, match=r"^--svg: expected a file name that ends in \.svg"):
        check_target("--svg", str(tmp_path / "x.png"), ".svg", overwrite=True)
    (tmp_path / "y.png").mkdir()
    with pytest.raises(OutputError):
        check_target("--png", str(tmp_path / "y.png"), ".png", overwrite=True)


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0"), (999, "999"), (1000, "1 k"), (23_587_712, "23.6 M"),
                          (3_855_925_248, "3.86 G")],
)  # fmt: skip
def test_short_numbers(number, words):
    assert short(number) == words
