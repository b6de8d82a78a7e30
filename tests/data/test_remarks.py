"""What is said of small images and of near-duplicates."""

from pathlib import Path

import pytest
from PIL import Image

from cnntransfer.data.dataset import Dataset, Group, Sample
from cnntransfer.data.fitting import InputSpec
from cnntransfer.data.images import stored_size
from cnntransfer.data.index import Entry, Listing
from cnntransfer.data.remarks import remarks, size_remarks
from cnntransfer.errors import ImageError

BATCH = 1


def small(folder, sizes, side=224):
    """The remarks on images of these (width, height)."""
    entries = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}.png"
        Image.new("RGB", size).save(path)
        entries.append(Entry(path, "ab"[number % 2]))
    return list(size_remarks(Listing(folder, tuple(entries)), InputSpec((side, side))))


def test_small_images(tmp_path):
    assert small(tmp_path, [(32, 40)] * 4) == [
        "Small images: their shorter side has about 32 pixels, and the network sees them enlarged "
        "to 224x224. Try --image-size 96, which is faster, or --unfreeze 20%, which lets the "
        "network adapt"
    ]


@pytest.mark.parametrize(
    ("shorter", "side", "proposed"),
    [(60, 224, "96"), (70, 224, "128"), (111, 224, "192"), (149, 299, "288")],
)
def test_the_size_that_is_proposed_is_smaller(tmp_path, shorter, side, proposed):
    (line,) = small(tmp_path, [(shorter, 400)] * 2, side)
    assert f"Try --image-size {proposed}, which is faster, or --unfreeze 20%," in line


def test_no_size_is_proposed_that_would_be_larger(tmp_path):
    (line,) = small(tmp_path, [(20, 20)] * 2, 64)
    assert "enlarged to 64x64. Try --unfreeze 20%, which" in line


def test_a_network_that_sees_too_little(tmp_path):
    assert small(tmp_path, [(28, 28)] * 2, 32) == [
        "The network sees only 32x32 pixels, of which its last layers leave hardly any: "
        "--image-size 96 is better, for images that are smaller, too"
    ]
    assert len(small(tmp_path, [(28, 28)] * 2, 63)) == 2
    assert small(tmp_path, [(32, 32)] * 2, 64) == []


@pytest.mark.parametrize("size", [(112, 112), (1000, 112), (4000, 3000)])
def test_nothing_is_said_of_others(tmp_path, size):
    assert small(tmp_path, [size] * 2) == []


def test_most_of_the_images_decide(tmp_path):
    assert small(tmp_path, [(32, 32), (500, 500), (500, 500)]) == []
    assert len(small(tmp_path, [(32, 32), (32, 32), (500, 500)])) == 1


def test_some_files_are_looked_at(tmp_path, monkeypatch):
    looked_at = []
    monkeypatch.setattr(
        "cnntransfer.data.remarks.stored_size", lambda path: looked_at.append(path) or (9, 9)
    )
    small(tmp_path, [(9, 9)] * 200)
    assert len(looked_at) == 32
    assert {int(path.stem) % 6 for path in looked_at} == {0}


def test_a_file_that_is_gone(tmp_path):
    listing = Listing(tmp_path, (Entry(tmp_path / "gone.png", "a"),))
    assert list(size_remarks(listing, InputSpec((224, 224)))) == []


def test_stored_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # Lies on its side.
    Image.new("RGB", (30, 20)).save(tmp_path / "x.jpg", exif=exif)
    assert stored_size(tmp_path / "x.jpg") == (20, 30)
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(ImageError, match=r"text\.jpg"):
        stored_size(Path(tmp_path / "text.jpg"))


# ---- Near-duplicates


def near_duplicates(*groups):
    """The remarks on near-duplicates, given as (subset, label) of every photo of every group."""
    samples = [
        Sample(Path(f"/p/{subset}/{label}/{g}{i}.png"), label, f"{g}{i}", subset)
        for g, group in enumerate(groups)
        for i, (subset, label) in enumerate(group)
    ]
    ends = [sum(map(len, groups[: g + 1])) for g in range(len(groups))]
    found = tuple(
        Group(tuple(range(end - len(group), end)), (0.0,) * len(group))
        for end, group in zip(ends, groups, strict=True)
    )
    dataset = Dataset(Path("/p"), ("a", "b"), tuple(samples), groups=found)
    lines = remarks(Listing(Path("/p"), ()), dataset, BATCH)
    return [line for line in lines if "near-duplicates" in line]


def test_near_duplicates_on_one_side():
    assert near_duplicates([("train", "a")] * 3, [("val", "b")] * 2) == [
        "2 groups of near-duplicates, 5 photos, each kept on one side of the split (see "
        "near_duplicates.csv), such as train/a/00.png and train/a/01.png"
    ]


def test_near_duplicates_in_several_subsets_of_the_user():
    group = [("train", "a"), ("train", "a"), ("test", "a")]
    assert near_duplicates([("val", "b")] * 2, group) == [
        "2 groups of near-duplicates, 5 photos (see near_duplicates.csv), such as val/b/00.png "
        "and val/b/01.png",
        "1 group of near-duplicates in more than one of your subsets, such as train/a/10.png and "
        "test/a/12.png: the held-out figures flatter the model. Keep each in one of them",
    ]


def test_near_duplicates_of_several_classes():
    group = [("train", "a"), ("train", "a"), ("train", "b")]
    assert near_duplicates(group)[1:] == [
        "1 group of near-duplicates in more than one class, such as train/a/00.png and "
        "train/b/02.png: one of the labels is wrong, or the difference too small to see"
    ]


def test_no_near_duplicates():
    assert near_duplicates() == []
