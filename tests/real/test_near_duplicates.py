"""Copies of real photos land on the side of their originals; published duplicates are named."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import shutil
from pathlib import Path

import pytest
from PIL import Image

import cnntransfer
from cnntransfer.data.dataset import read_dataset
from cnntransfer.data.duplicates import near_duplicates
from cnntransfer.data.fitting import InputSpec
from cnntransfer.data.images import load
from cnntransfer.data.index import image_files, list_images
from cnntransfer.data.split import split
from cnntransfer.data.thumbnails import Thumbnails

SPEC = InputSpec((224, 224))
SAMPLE_IMAGES = Path(__file__).parents[2] / "sample_images"


def half(image):
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


#: Suffix of the copy's name -> how it is written.
COPIES = {
    "_byte": None,
    "_half.png": lambda image, path: half(image).save(path),
    "_q60.jpg": lambda image, path: image.save(path, quality=60),
    "_png.png": lambda image, path: image.save(path),
}


def with_groups(folder):
    with Thumbnails(SPEC) as thumbnails:

        def take(digest, image):
            thumbnails.add(digest, image)
            return False

        dataset, _ = read_dataset(list_images(folder), SPEC, take=take)
    return dataclasses.replace(dataset, groups=near_duplicates(dataset, thumbnails))


@pytest.fixture(scope="module")
def planted(shared, tmp_path_factory):
    """Photos of nine classes from four sets; four copies of 20 of them, all in other folders."""
    data = shared / "data"
    sources = {
        **{name: data / "trashnet" / name for name in ("cardboard", "glass", "metal", "paper")},
        **{name: data / "eurosat" / name for name in ("Highway", "Residential", "River")},
        "photos": data / "imagenet-check",
        "fruit": SAMPLE_IMAGES / "fruit",
    }
    folder = tmp_path_factory.mktemp("planted")
    chance = random.Random(0)
    originals = []
    for name, source in sources.items():
        files = sorted(image_files(source))
        (folder / name).mkdir()
        for file in files:
            shutil.copy(file, folder / name)
        originals += [folder / name / file.name for file in chance.sample(files, 3)]
    groups = []
    for number, original in enumerate(originals[:20]):
        image = Image.fromarray(load(original))
        others = [name for name in sources if name != original.parent.name]
        group = {original.relative_to(folder).as_posix()}
        for suffix, write in COPIES.items():
            ending = suffix if "." in suffix else suffix + original.suffix
            copy = folder / chance.choice(others) / f"{number}{ending}"
            if write is None:
                shutil.copy(original, copy)
            else:
                write(image, copy)
            group.add(copy.relative_to(folder).as_posix())
        groups.append(frozenset(group))
    return with_groups(folder), set(groups)


def test_all_planted_copies_and_nothing_else_are_found(planted):
    dataset, groups = planted
    found = {
        frozenset(dataset.name_of(dataset.samples[position].path) for position in group.positions)
        for group in dataset.groups
    }
    assert found == groups
    assert len(groups) == 20


@pytest.mark.parametrize("seed", range(5))
def test_every_group_is_on_one_side(planted, seed):
    dataset, groups = planted
    subsets = {
        dataset.name_of(sample.path): sample.subset
        for sample in split(dataset, 0.2, 0.1, seed).samples
    }
    assert [group for group in groups if len({subsets[file] for file in group}) > 1] == []
    # Without the groups, hardly one of them would be.
    apart = {
        dataset.name_of(sample.path): sample.subset
        for sample in split(dataclasses.replace(dataset, groups=()), 0.2, 0.1, seed).samples
    }
    assert sum(len({apart[file] for file in group}) > 1 for group in groups) > 8


def test_the_duplicates_of_brain_mri_are_named(shared, weights, tmp_path):
    data = shared / "data" / "brain-mri"
    run = cnntransfer.finetune(data, tmp_path / "run", validation_split=0.2, test_split=0.2)
    files = {}
    for path in image_files(data):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files.setdefault(digest, set()).add(path.relative_to(data).as_posix())
    copies = [names for names in files.values() if len(names) > 1]
    assert sum(len(names) - 1 for names in copies) == 25
    table = run.bundle.read_table("near_duplicates", "group", "file", "subset", "by")
    groups = {}
    for row in table:
        if row["by"] == "pixels":
            groups.setdefault(row["group"], []).append(row)
    named = [{row["file"] for row in rows} for rows in groups.values()]
    assert all(any(names <= group for group in named) for names in copies)
    assert all(len({row["subset"] for row in rows}) == 1 for rows in groups.values())


def test_real_sets_without_copies_have_none(shared):
    for source in (shared / "data" / "trashnet", SAMPLE_IMAGES):
        assert with_groups(source).groups == ()
