"""Pictures and arrays as files."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cnntransfer.errors import OutputError
from cnntransfer.explain.explanation import DPI, Explanation
from cnntransfer.explain.files import Folder
from cnntransfer.explain.heat import Heat, enlarged
from cnntransfer.explain.sheets import Row, _coloured, draw_sheet, normalised


def explanation(name="bird", arrays=None):
    def draw(figure):
        figure.set_size_inches(2, 1)

    return Explanation(
        "gradcam", name, {"heat": np.ones((2, 3))} if arrays is None else arrays, draw
    )


def test_a_picture_of_the_size_that_was_drawn(tmp_path):
    (file,) = Folder(tmp_path / "new" / "folder").write(explanation())
    assert file == tmp_path / "new" / "folder" / "bird-gradcam.png"
    with Image.open(file) as image:
        assert image.size == (220, 110)
    assert [path.name for path in file.parent.iterdir()] == ["bird-gradcam.png"]


def test_one_array_or_several(tmp_path):
    folder = Folder(tmp_path, arrays=True)
    _, one = folder.write(explanation("one"))
    np.testing.assert_array_equal(np.load(one), np.ones((2, 3)))
    arrays = {"a/b": np.arange(3), "c": np.eye(2)}
    _, several = folder.write(explanation("several", arrays))
    assert (one.suffix, several.suffix) == (".npy", ".npz")
    with np.load(several) as read:
        assert {name: read[name].tolist() for name in read} == {
            name: array.tolist() for name, array in arrays.items()
        }


def test_names_that_occur_twice_get_numbers(tmp_path):
    folder = Folder(tmp_path)
    files = [folder.write(explanation())[0].name for _ in range(3)]
    assert files == ["bird-gradcam.png", "bird-gradcam-2.png", "bird-gradcam-3.png"]


@pytest.mark.parametrize("name", ["<b>$x$", "日本語", "../../up", "a" * 300, "-o", "..", "a\nb"])
def test_odd_names_become_files_in_the_folder(tmp_path, name):
    (file,) = Folder(tmp_path / "out").write(explanation(name))
    assert file.parent == tmp_path / "out"
    assert file.is_file()
    assert not file.name.startswith((".", "-"))


def test_what_is_there_is_not_replaced_unasked(tmp_path):
    Folder(tmp_path).write(explanation())
    with pytest.raises(OutputError, match="expected a folder without bird-gradcam"):
        Folder(tmp_path).write(explanation())
    assert Folder(tmp_path, overwrite=True).write(explanation()) == [tmp_path / "bird-gradcam.png"]


def test_a_drawing_that_fails_leaves_no_file(tmp_path):
    def draw(figure):
        raise MemoryError

    with pytest.raises(MemoryError):
        Folder(tmp_path).write(Explanation("gradcam", "bird", {}, draw))
    assert list(tmp_path.iterdir()) == []


class TestHeat:
    def test_over_a_photo(self, photo):
        values = np.zeros((12, 12))
        values[0, 0], values[0, 1] = 1, np.nan
        over = Heat(values, "x", limits=(0, 1)).over(photo)
        grey = np.asarray(Image.fromarray(photo.pixels).convert("L"))
        assert over[0, 1].tolist() == [grey[0, 1]] * 3  # Nothing is known there.
        assert over[0, 0].astype(int).sum() > over[5, 5].astype(int).sum() or grey[5, 5] > 200

    def test_nothing_at_all_is_dark(self, photo):
        over = Heat(np.zeros((12, 12)), "x").over(photo)
        assert (over[..., 2] > over[..., 0]).all()  # Cividis begins with a dark blue.

    def test_zero_is_white_where_values_have_signs(self, photo):
        white = Heat(np.zeros((12, 12)), "x", is_signed=True).over(photo)
        assert np.ptp(white.astype(int), axis=-1).max() <= 2

    def test_enlarging_keeps_what_is_constant(self):
        np.testing.assert_allclose(enlarged(np.full((3, 2), 7, np.float32), (12, 9)), 7)


class TestSheet:
    def test_is_as_large_as_its_pictures_need(self):
        from matplotlib.figure import Figure

        figure = Figure(dpi=110)
        rows = [Row("a", [np.zeros((2, 2))] * 30, ["1"] * 30), Row("b", [np.zeros((200, 100, 3))])]
        draw_sheet(figure, rows, "title $x$", "legend")
        figure.canvas.draw()
        width, height = figure.get_size_inches() * 110
        assert width > 30 * 56
        assert height < 300

    def test_stretching(self):
        assert normalised(np.array([-2.0, 0, 2])).tolist() == [0, 0.5, 1]
        assert normalised(np.full(3, 4.0)).tolist() == [0.5] * 3


def test_the_folder_may_be_no_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"Received: .*file, a file\."):
        Folder(tmp_path / "file")
    assert Path(tmp_path / "file").read_text() == "x"


def test_small_pictures_keep_their_shape():
    """Kernels of 1 x 7 are no squares, nor are maps of photos that are none."""
    shown = _coloured(np.linspace(0, 1, 7)[None], 56)
    assert shown.shape == (56, 56, 3)
    is_white = (shown == 255).all(axis=-1)
    np.testing.assert_array_equal(np.flatnonzero(~is_white.all(axis=1)), np.arange(24, 32))


@pytest.mark.parametrize("words", ["W" * 60, "i" * 60, "$\\frac{$"])
def test_no_text_is_cut_off(words):
    figure = Figure(dpi=DPI)
    draw_sheet(figure, [Row(words, [np.eye(4)], ["0"])], words, words)
    edges = figure.bbox
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.x0 >= edges.x0
        assert box.x1 <= edges.x1
