"""What a user should know about their images before a model is trained on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from statistics import median

from ..errors import ImageError, counted
from .dataset import Dataset, Sample
from .fitting import InputSpec
from .images import stored_size
from .index import Listing

#: So many times as many photos of one class as of another matter.
_UNBALANCED = 5
#: So many photos tell how large they are.
_SAMPLE = 32
#: Photos whose shorter side is less than this share of the network's are small.
_SMALL = 0.5
#: Sizes that are proposed: multiples of what most networks halve five times, and no smaller.
_SIZE_STEP, _SMALLEST_SIZE = 32, 96


def size_remarks(listing: Listing, spec: InputSpec) -> Iterator[str]:
    """What to try instead where the images or what the network sees are small, before all are read.

    Only some files' headers are read: this costs milliseconds, and computing the features of many
    images at a size that is not the best takes long.

    Args:
        listing: What was found.
        spec: The size that the network sees.
    """
    height, width = spec.image_size
    side = min(spec.image_size)
    if side < 2 * _SIZE_STEP:
        yield (
            f"The network sees only {height}x{width} pixels, of which its last layers leave hardly "
            f"any: --image-size {_SMALLEST_SIZE} is better, for images that are smaller, too"
        )
    step = max(1, len(listing.entries) // _SAMPLE)
    sides = []
    for entry in listing.entries[::step][:_SAMPLE]:
        with suppress(ImageError):  # It is going to be rejected.
            sides.append(min(stored_size(entry.path)))
    shorter = int(median(sides)) if sides else side
    if shorter < _SMALL * side:
        proposed = max(_SMALLEST_SIZE, 2 * shorter // _SIZE_STEP * _SIZE_STEP)
        smaller = f"--image-size {proposed}, which is faster, or " if proposed < side else ""
        yield (
            f"Small images: their shorter side has about {counted(shorter, 'pixel')}, and the "
            f"network sees them enlarged to {height}x{width}. Try {smaller}--unfreeze 20%, which "
            "lets the network adapt"
        )


def remarks(listing: Listing, dataset: Dataset, batch_size: int = 0) -> Iterator[str]:
    """One line each: how many images, what was left out, what is suspicious.

    Args:
        listing: What was found.
        dataset: What of it can be read, with its subsets.
        batch_size: Images per step of training; 0 where training is not in steps.
    """
    counts = {name: sum(by_class.values()) for name, by_class in dataset.counts().items()}
    yield (
        f"{counted(len(dataset), 'image')} of "
        f"{counted(len(dataset.class_names), 'class', 'classes')}: "
        + ", ".join(f"{counts[name]} {name}" for name in ("train", "val", "test") if name in counts)
    )
    if dataset.rejected:
        first = dataset.rejected[0]
        yield (
            f"{counted(len(dataset.rejected), 'unreadable image')} left out "
            f"(see rejected.csv), such as {dataset.name_of(first.path)}: {first.reason}"
        )
    if listing.ignored:
        yield f"{counted(listing.ignored, 'other file')} ignored (no images, or in no class folder)"
    if listing.repeated:
        yield f"{counted(listing.repeated, 'repeated line')} of {listing.source} counted once"
    if listing.empty_classes:
        yield f"Folders without images ignored: {', '.join(listing.empty_classes[:10])}"
    if counts.get("train", 0) < batch_size:
        yield (
            f"Only {counted(counts.get('train', 0), 'training image')}, fewer than a batch "
            f"(batch_size {batch_size})"
        )
    training = dataset.counts().get("train", Counter())
    if training and max(training.values()) >= _UNBALANCED * min(training.values()):
        (most, many), *_, (least, few_of_it) = training.most_common()
        yield (
            f"Unbalanced: {many} training photos of {most}, {few_of_it} of {least}. If the rare "
            "matter as much, try --class-weight balanced"
        )
    for subset in ("val", "test"):
        held_out = dataset.counts().get(subset, Counter())
        if few := [name for name in held_out if held_out[name] >= training[name]]:
            yield (
                f"Few photos, so chance decides a lot: {subset} holds as many as train or more of "
                f"{', '.join(few[:5])}. Another --split-seed splits them otherwise"
            )
    yield from _near_duplicates(dataset)


def _near_duplicates(dataset: Dataset) -> Iterator[str]:
    """How many there are, and what is to be done about those on several sides or in classes."""
    groups = [[dataset.samples[p] for p in group.positions] for group in dataset.groups]
    if not groups:
        return
    across = [g for g in groups if len({sample.subset for sample in g}) > 1]
    kept = "" if across else ", each kept on one side of the split"
    yield (
        f"{counted(len(groups), 'group')} of near-duplicates, {sum(map(len, groups))} photos{kept} "
        f"(see near_duplicates.csv), such as {_two(dataset, groups[0])}"
    )
    if across:
        example = _two(dataset, across[0], key=lambda sample: sample.subset)
        yield (
            f"{counted(len(across), 'group')} of near-duplicates in more than one of your subsets, "
            f"such as {example}: the held-out figures flatter the model. Keep each in one of them"
        )
    contradicting = [g for g in groups if len({sample.label for sample in g}) > 1]
    if contradicting:
        example = _two(dataset, contradicting[0], key=lambda sample: sample.label)
        yield (
            f"{counted(len(contradicting), 'group')} of near-duplicates in more than one class, "
            f"such as {example}: one of the labels is wrong, or the difference too small to see"
        )


def _two(
    dataset: Dataset, group: list[Sample], key: Callable[[Sample], object] = lambda sample: sample
) -> str:
    """The names of two photos of a group that differ in something."""
    other = next(sample for sample in group if key(sample) != key(group[0]))
    return " and ".join(dataset.name_of(sample.path) for sample in (group[0], other))
