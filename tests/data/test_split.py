"""The split follows content alone; checked on many random data sets with fixed seeds."""

import dataclasses
import hashlib
import random
from collections import Counter
from pathlib import Path

import pytest

from cnntransfer.data.dataset import Dataset, Group, Sample
from cnntransfer.data.split import place, split
from cnntransfer.errors import DataError


def digest(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def dataset(sizes, start=0, subset=None):
    """A data set with these numbers of different images by class."""
    samples, number = [], start
    for label, size in sizes.items():
        for _ in range(size):
            samples.append(Sample(Path(label, f"{number}.jpg"), label, digest(number), subset))
            number += 1
    return of(samples)


def of(samples):
    return Dataset(Path(), tuple(sorted({s.label for s in samples})), tuple(samples))


def sides(data):
    """Digest -> subset; fails when copies lie on two sides."""
    result = {}
    for sample in data.samples:
        assert result.setdefault(sample.digest, sample.subset) == sample.subset
    return result


def random_dataset(generator, copies=False, smallest=3):
    sizes = {f"c{i}": generator.randint(smallest, 40) for i in range(generator.randint(2, 6))}
    samples = list(dataset(sizes, start=generator.randrange(10**9)).samples)
    if copies:
        # Only of classes large enough that every side can still be filled.
        spare = [s for s in samples if sizes[s.label] > 10]
        for sample in generator.sample(spare, len(spare) // 4):
            label = generator.choice([sample.label, *(c for c in sizes if sizes[c] > 10)])
            samples.append(dataclasses.replace(sample, path=Path("copy"), label=label))
    generator.shuffle(samples)
    return of(samples)


def unforced(data, validation, test, seed=0):
    """Where each photo falls by its place alone."""
    at = {s.digest: place(s.digest, seed) for s in data.samples}
    return {
        d: "test" if x < test else "val" if x < test + validation else "train"
        for d, x in at.items()
    }


# ---- Properties


@pytest.mark.parametrize("seed", range(20))
def test_every_class_has_an_image_on_every_side_and_copies_stay_together(seed):
    generator = random.Random(seed)
    validation, test = generator.uniform(0.05, 0.4), generator.choice([0, 0.05, 0.2])
    data = random_dataset(generator, copies=True)
    result = split(data, validation, test, seed)
    sides(result)
    needed = ("train", "val", "test") if test else ("train", "val")
    counts = result.counts()
    assert set(counts) == set(needed)
    for name in needed:
        assert set(counts[name]) == set(data.class_names)
    assert [dataclasses.replace(s, subset=None) for s in result.samples] == list(data.samples)


@pytest.mark.parametrize("seed", range(20))
def test_names_and_order_decide_nothing(seed):
    generator = random.Random(seed)
    data = random_dataset(generator, copies=True)
    before = sides(split(data, 0.2, 0.1))
    names = [f"renamed{i}" for i in range(len(data.class_names))]
    generator.shuffle(names)
    renamed = dict(zip(data.class_names, names, strict=True))
    changed = [
        dataclasses.replace(s, label=renamed[s.label], path=Path(f"{generator.random()}.png"))
        for s in data.samples
    ]
    generator.shuffle(changed)
    assert sides(split(of(changed), 0.2, 0.1)) == before


@pytest.mark.parametrize("seed", range(20))
def test_added_photos_move_no_old_one_but_those_moved_by_force(seed):
    generator = random.Random(seed)
    small = random_dataset(generator)
    large = of([*small.samples, *random_dataset(generator, smallest=1).samples])
    before, after = sides(split(small, 0.2, 0.1)), sides(split(large, 0.2, 0.1))
    plain = unforced(large, 0.2, 0.1)
    for photo, subset in before.items():
        # Whoever moved had been, or is now, moved away from its place to fill an empty side.
        assert after[photo] == subset or subset != plain[photo] or after[photo] != plain[photo]
    forced = sum(after[photo] != plain[photo] for photo in after)
    assert forced <= 3 * len(large.class_names)


def test_added_photos_move_nothing_in_large_classes():
    small = dataset({"a": 200, "b": 300})
    large = of([*small.samples, *dataset({"a": 150, "c": 90}, start=10_000).samples])
    before, after = sides(split(small, 0.2, 0.1)), sides(split(large, 0.2, 0.1))
    assert {photo: after[photo] for photo in before} == before


@pytest.mark.parametrize("seed", range(10))
def test_tiny_classes(seed):
    two = split(dataset({"a": 2, "b": 2, "c": 50}, start=1000 * seed), 0.2)
    assert two.counts()["train"]["a"] == two.counts()["val"]["a"] == 1
    three = split(dataset({"a": 3, "b": 3}, start=1000 * seed), 0.2, 0.2)
    assert all(three.counts()[name]["a"] == 1 for name in ("train", "val", "test"))


def test_the_moved_photo_is_the_one_nearest_to_the_threshold():
    data = dataset({"a": 4, "b": 60})
    own = [s.digest for s in data.samples if s.label == "a"]
    nearest = min(own, key=lambda d: place(d, 0))
    assert place(nearest, 0) > 1e-9
    result = sides(split(data, 1e-9))
    assert [d for d in own if result[d] == "val"] == [nearest]
    highest = max(own, key=lambda d: place(d, 0))
    result = sides(split(data, 1 - 1e-9))
    assert [d for d in own if result[d] == "train"] == [highest]


def test_shares_are_close_to_what_was_asked_for():
    result = split(dataset({"a": 2500, "b": 2500}), 0.2, 0.1)
    counts = {name: sum(c.values()) / 5000 for name, c in result.counts().items()}
    assert counts["val"] == pytest.approx(0.2, abs=0.02)
    assert counts["test"] == pytest.approx(0.1, abs=0.015)
    places = [place(s.digest, 0) for s in result.samples]
    tenths = Counter(int(10 * at) for at in places)
    assert sorted(tenths) == list(range(10))
    assert all(abs(count - 500) < 100 for count in tenths.values())


def test_the_seed_chooses_another_split_and_the_same_seed_the_same():
    data = dataset({"a": 100, "b": 100})
    assert split(data, 0.2, 0.1, seed=1) == split(data, 0.2, 0.1, seed=1)
    assert sides(split(data, 0.2, 0.1, seed=1)) != sides(split(data, 0.2, 0.1, seed=2))


def test_places_never_change():
    # Published behaviour: other numbers would move the photos of every user.
    assert place("ab" * 32, 0) == 0.8654541095530963
    assert place("ab" * 32, 1) == 0.5704390641893424


def test_another_validation_share_leaves_the_test_photos():
    data = dataset({"a": 200, "b": 200})
    tests = [
        {d for d, name in sides(split(data, share, 0.2)).items() if name == "test"}
        for share in (0.1, 0.4)
    ]
    assert tests[0] == tests[1]


# ---- Subsets that the user chose


def test_chosen_subsets_are_kept():
    samples = [
        *dataset({"a": 5, "b": 5}, 0, "train").samples,
        *dataset({"a": 3, "b": 3}, 100, "val").samples,
        *dataset({"a": 2}, 200, "test").samples,
    ]
    assert split(of(samples), 0.5, 0.3).samples == tuple(samples)


def test_validation_is_taken_from_a_training_folder_alone():
    counts = split(dataset({"a": 40, "b": 40}, 0, "train"), 0.25).counts()
    assert set(counts) == {"train", "val"}


def test_a_chosen_test_folder_leaves_validation_to_be_taken():
    samples = [
        *dataset({"a": 40, "b": 40}, 0, "train").samples,
        *dataset({"a": 3, "b": 3}, 100, "test").samples,
    ]
    counts = split(of(samples), 0.25, 0.5).counts()
    assert sum(counts["test"].values()) == 6
    assert sum(counts["val"].values()) > 8


def test_what_is_open_beside_chosen_validation_trains():
    samples = [
        *dataset({"a": 20, "b": 20}).samples,
        *dataset({"a": 3, "b": 3}, 100, "val").samples,
    ]
    counts = split(of(samples), 0.5).counts()
    assert sum(counts["train"].values()) == 40


# ---- Near-duplicates


def grouped(data, *groups):
    """The data set with these positions as groups, the first of each as the largest file."""
    return dataclasses.replace(data, groups=tuple(Group(g, (0.0,) * len(g)) for g in groups))


def copied(data, copies):
    """For every position in ``copies``, a photo of another digest in any class, as its group."""
    samples, groups = list(data.samples), []
    for number, (position, label) in enumerate(copies):
        samples.append(Sample(Path(f"copy{number}"), label, digest(f"copy {number}")))
        groups.append((position, len(samples) - 1))
    return grouped(of(samples), *groups)


@pytest.mark.parametrize("seed", range(20))
def test_near_duplicates_stay_together_and_move_nobody(seed):
    generator = random.Random(seed)
    data = dataset({f"c{i}": generator.randint(15, 40) for i in range(4)}, start=1000 * seed)
    copies = [(p, f"c{generator.randrange(4)}") for p in generator.sample(range(len(data)), 20)]
    result = split(copied(data, copies), 0.2, 0.1, seed)
    for group in result.groups:
        assert len({result.samples[position].subset for position in group.positions}) == 1
    before, after = sides(split(data, 0.2, 0.1, seed)), sides(result)
    plain = unforced(data, 0.2, 0.1, seed)
    for photo, subset in before.items():
        # But for those that fill an empty side, which another may fill now.
        assert after[photo] == subset or subset != plain[photo] or after[photo] != plain[photo]


def test_the_largest_file_decides():
    data = dataset({"a": 100, "b": 100})
    before = sides(split(data, 0.3))
    groups = [tuple(range(start, start + 4)) for start in range(0, 100, 4)]
    after = split(grouped(data, *groups), 0.3)
    for group in groups:
        firsts = {before[data.samples[group[0]].digest]}
        assert {after.samples[position].subset for position in group} == firsts


def test_subsets_that_the_user_chose_are_kept_for_near_duplicates_too():
    samples = [
        *dataset({"a": 40, "b": 40}, 0, "train").samples,
        *dataset({"a": 3, "b": 3}, 100, "test").samples,
    ]
    # Every test photo is a copy of a training photo, and the larger file.
    plain = split(of(samples), 0.25)
    result = split(grouped(of(samples), *((80 + i, i) for i in range(6))), 0.25)
    assert result.samples == plain.samples


def test_groups_move_as_a_whole_where_a_side_is_empty():
    data = dataset({"a": 6, "b": 60})
    groups = [(0, 1, 2), (3, 4, 5)]
    for seed in range(20):
        result = split(grouped(data, *groups), 0.01, seed=seed)
        assert {frozenset(result.samples[p].subset for p in group) for group in groups} == {
            frozenset({"train"}),
            frozenset({"val"}),
        }


# ---- Refusals


def refusal(data, *shares):
    with pytest.raises(DataError) as caught:
        split(data, *shares)
    return str(caught.value)


def test_one_class():
    assert refusal(dataset({"cat": 9}), 0.2) == (
        "Expected at least two classes to tell apart. Received: one class, 'cat'. "
        "Add a second sub-folder with images of something else."
    )


@pytest.mark.parametrize(
    ("size", "shares", "expected"),
    [(1, (0.2,), "2 different readable images of every class (train and val). Received: 1"),
     (2, (0.2, 0.1), "3 different readable images of every class (train and test and val). "
      "Received: 2")],
)  # fmt: skip
def test_too_few_images(size, shares, expected):
    text = refusal(dataset({"cat": size, "dog": 9}), *shares)
    assert text == (
        f"Expected at least {expected} of class 'cat'. Add images to it or remove the class."
    )


def test_copies_do_not_count_as_images():
    copy = Sample(Path("x.jpg"), "cat", digest("x"))
    samples = [copy, copy, copy, *dataset({"dog": 9}).samples]
    assert "Received: 1 of class 'cat'" in refusal(of(samples), 0.2)


def test_near_duplicates_count_once():
    data = grouped(dataset({"cat": 5, "dog": 9}), (0, 1, 2, 3, 4))
    assert refusal(data, 0.2) == (
        "Expected at least 2 different readable images of every class (train and val). Received: "
        "1 of class 'cat', as near-duplicates among its 5 count once. Add images to it or remove "
        "the class, or put its images into folders train/ and val/ yourself."
    )


def test_classes_of_near_duplicates():
    samples = [Sample(Path(f"{c}{i}"), c, digest(f"{c}{i}")) for c in "abc" for i in range(2)]
    # As for byte-identical images below: three classes that share three pictures in pairs.
    text = refusal(grouped(of(samples), (0, 2), (1, 4), (3, 5)), 0.5)
    assert text.endswith(
        ": some classes share near-duplicates. Remove the copies from all classes but the right "
        "one."
    )


def test_classes_of_the_same_images():
    samples = [Sample(Path(f"{c}{i}"), c, digest(i)) for c in "ab" for i in range(2)]
    assert set(sides(split(of(samples), 0.5)).values()) == {"train", "val"}
    # Three classes that share three images in pairs cannot all have two sides.
    pairs = {"a": (0, 1), "b": (1, 2), "c": (2, 0)}
    samples = [Sample(Path(f"{c}{i}"), c, digest(i)) for c, two in pairs.items() for i in two]
    text = refusal(of(samples), 0.5)
    assert text.startswith("Cannot put an image of every class into ")
    assert text.endswith(
        ": some classes share byte-identical images. Remove the copies from all classes but "
        "the right one."
    )


def test_nothing_to_train_on():
    with pytest.raises(
        DataError, match=r"Expected images to train on\. Received: 4 images, each in test\."
    ):
        split(dataset({"a": 2, "b": 2}, subset="test"), 0.2)
