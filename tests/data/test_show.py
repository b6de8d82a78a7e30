"""What ``--show-input`` writes is what the network sees."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntransfer.data.augment import Augmenter
from cnntransfer.data.dataset import Dataset, Sample, read_dataset
from cnntransfer.data.fitting import InputSpec
from cnntransfer.data.images import read
from cnntransfer.data.index import list_images
from cnntransfer.data.show import MOST_IMAGES, write_inputs, write_views
from cnntransfer.data.split import split
from cnntransfer.errors import OutputError
from cnntransfer.recipe import AUGMENTATION_PRESETS

SPEC = InputSpec((20, 30))


def pictures(folder):
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.iterdir())}


def test_inputs_are_the_decoded_pixels(photos, tmp_path):
    paths = sorted(photos.rglob("*.png"))[:3]
    broken = tmp_path / "broken.png"
    broken.touch()
    write_inputs([broken, *paths], SPEC, tmp_path / "seen")
    shown = pictures(tmp_path / "seen")
    assert list(shown) == ["0000-blue0.png", "0001-blue1.png", "0002-blue2.png"]
    for path, picture in zip(paths, shown.values(), strict=True):
        assert np.array_equal(picture, read(path, SPEC))


def test_views_are_those_of_the_augmenter(photos, tmp_path):
    dataset, pixels = read_dataset(list_images(photos), SPEC)
    dataset = split(dataset, 0.2)
    augmenter = Augmenter(AUGMENTATION_PRESETS["light"], 0)
    write_views(dataset, pixels, augmenter, 25, tmp_path / "seen")
    shown = pictures(tmp_path / "seen")
    assert len(shown) == 25 * 3
    position = dataset.subset("train")[0]
    sample = dataset.samples[position]
    for view in range(3):
        picture = shown[f"{view:04d}-{sample.label}-{sample.path.stem}-view{view}.png"]
        expected = augmenter.view(pixels[position], sample.digest, view)
        assert np.array_equal(picture, expected)


def test_not_more_than_can_be_looked_at(photos, tmp_path):
    write_inputs([photos / "red" / "red0.png"] * (MOST_IMAGES + 5), SPEC, tmp_path / "seen")
    assert len(pictures(tmp_path / "seen")) == MOST_IMAGES


@pytest.mark.parametrize(
    ("classes", "views", "shown_classes", "shown_views"),
    [
        (3, 2, 3, 2),
        (3, 60, 3, 33),
        (3, 1000, 3, 33),
        (30, 3, 30, 3),
        (150, 1, 100, 1),
        (150, 2, 50, 2),
        (150, 9, 11, 9),
        (150, 40, 10, 10),
    ],
)
def test_views_of_many_classes_keep_to_the_limit(
    tmp_path, classes, views, shown_classes, shown_views
):
    names = tuple(f"c{number:03d}" for number in range(classes))
    samples = tuple(Sample(Path(f"{name}.png"), name, name, "train") for name in names)
    pixels = [np.zeros((2, 3, 3), np.uint8)] * classes
    augmenter = Augmenter(AUGMENTATION_PRESETS["none"], 0)
    write_views(Dataset(tmp_path, names, samples), pixels, augmenter, views, tmp_path / "seen")
    files = sorted((tmp_path / "seen").iterdir())
    labels = [file.name.split("-")[1] for file in files]
    assert len(files) == shown_classes * shown_views <= MOST_IMAGES
    assert set(Counter(labels).values()) == {shown_views}
    positions = [names.index(label) for label in dict.fromkeys(labels)]
    assert len(positions) == shown_classes
    # Neither the first ones only nor gaps of different sizes.
    gaps = np.diff([*positions, positions[0] + classes])
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("name", ["a/../b", "𝕒" * 200, "<script>", "x\n"])
def test_odd_names_become_file_names(tmp_path, name):
    source = tmp_path / "source.png"
    Image.new("RGB", (4, 4)).save(source)

    class Odd(type(source)):
        stem = name

    write_inputs([Odd(source)], SPEC, tmp_path / "seen")
    (file,) = (tmp_path / "seen").iterdir()
    assert file.suffix == ".png"


def test_nothing_is_overwritten(photos, tmp_path):
    (tmp_path / "seen").mkdir()
    with pytest.raises(OutputError) as caught:
        write_inputs([photos / "red" / "red0.png"], SPEC, tmp_path / "seen")
    # --overwrite is for --output.
    assert str(caught.value) == (
        f"{tmp_path / 'seen'} exists already and is not overwritten silently. "
        "Choose another --show-input."
    )
