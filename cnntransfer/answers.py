"""What one or several models say of the same labelled images, in one pass over the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle, write_csv
from .data.dataset import relative_name
from .data.images import read, read_bytes
from .data.index import SUBSET_NAMES, Entry, Listing, list_images
from .errors import DataError, ImageError, counted
from .own_split import Known, OwnSplits, Tally
from .parallel import ordered_map
from .predict import engine_for, workers_for
from .progress import SILENT, Observer
from .storage import atomic_file


class Answer(NamedTuple):
    """A model's most probable class of one image, and how probable it says that is."""

    predicted: str
    probability: float


@dataclass(frozen=True)
class Answered:
    """One labelled image and every model's answer.

    Attributes:
        file: Name relative to the folder, or to the manifest's.
        label: The right class.
        answers: By model.
    """

    file: str
    label: str
    answers: Mapping[str, Answer]

    @property
    def agree(self) -> bool:
        """Whether all models give the same class, right or wrong."""
        return len({answer.predicted for answer in self.answers.values()}) == 1


@dataclass(frozen=True)
class Answers:
    """What models say of the same labelled images.

    Attributes:
        class_names: Every model's classes, in the order of its columns.
        probabilities: Of every model, float32, shape (n, classes of that model).
        files: The n images' names, relative to the folder or to the manifest's.
        labels: Their right classes.
        rejected: (file, reason) of those that cannot be read, for which there are no rows.
        trained_on: How many of the n images are, byte for byte, training images of a model's run;
            ``None`` for a model that does not tell.
    """

    class_names: Mapping[str, tuple[str, ...]]
    probabilities: Mapping[str, NDArray[np.float32]]
    files: Sequence[str]
    labels: Sequence[str]
    rejected: Sequence[tuple[str, str]]
    trained_on: Mapping[str, int | None]

    @property
    def models(self) -> tuple[str, ...]:
        """The models' names."""
        return tuple(self.class_names)

    def is_right(self, model: str) -> NDArray[np.bool_]:
        """Whether a model's most probable class is the right one, shape (n,)."""
        right: NDArray[np.bool_]
        right = self.label_positions(model) == self.probabilities[model].argmax(axis=1)
        return right

    def label_positions(self, model: str) -> NDArray[np.int64]:
        """The right classes' places among a model's classes, int64, shape (n,)."""
        places = {name: place for place, name in enumerate(self.class_names[model])}
        return np.array([places[label] for label in self.labels], dtype=np.int64)

    def images(self) -> Iterator[Answered]:
        """Every image with what the models answer, in order."""
        best = {name: rows.argmax(axis=1) for name, rows in self.probabilities.items()}
        for number, (file, label) in enumerate(zip(self.files, self.labels, strict=True)):
            answers = {
                name: Answer(
                    self.class_names[name][place[number]],
                    float(self.probabilities[name][number, place[number]]),
                )
                for name, place in best.items()
            }
            yield Answered(file, label, answers)


def ask(
    bundles: Mapping[str, Bundle],
    source: Path,
    subset: str | None = None,
    observer: Observer = SILENT,
) -> Answers:
    """Ask models about labelled images. Every file is read once, whatever it is needed for.

    Args:
        bundles: The models by the names that messages call them. The order of their classes and
            the size of their input may differ.
        source: A folder with one sub-folder per class, or a manifest.
        subset: Which subset of a source that has subsets; default: ``test``, else ``val``,
            else everything. Of a source without it, the images that the runs of all models had
            in that subset, known by their content.
        observer: Hears of the progress, of images that were trained on and of those left out.

    Raises:
        DataError: an image's class is none of a model's, there is no such subset, or no
            image can be read.
        BundleError: a bundle is damaged.
    """
    listing = list_images(source)
    for name, bundle in bundles.items():
        whose = "the model's" if len(bundles) == 1 else f"{name}'s"
        _check_classes(listing, bundle.class_names, whose)
    if listing.repeated:
        observer.note(f"{counted(listing.repeated, 'line')} of {source} repeated: counted once")
    splits = OwnSplits(bundles)
    layout = {entry.subset for entry in listing.entries} - {None}
    wanted, entries = None, listing.entries
    if subset is not None and splits and _is_of_runs(subset, layout, splits):
        wanted = splits.subset(subset, source)
    else:
        entries = _choose_by_layout(listing, subset)
    tally = Tally(splits, wanted)

    # Of images that are left out, the memory is never touched.
    rows = {
        name: np.empty((len(entries), len(bundle.class_names)), dtype=np.float32)
        for name, bundle in bundles.items()
    }
    judged: list[Entry] = []
    rejected: list[tuple[str, str]] = []
    with observer.task("Evaluating", total=len(entries)) as advance:
        for entry, seen in zip(entries, _look(bundles, entries, splits, tally), strict=True):
            tally.add(seen.known, is_judged=seen.rows is not None)
            if seen.rows is not None:
                for name, row in zip(bundles, seen.rows, strict=True):
                    rows[name][len(judged)] = row
                judged.append(entry)
            elif seen.rejected is not None:
                rejected.append((relative_name(entry.path, listing.root), seen.rejected))
            advance(1)
    if wanted is not None:
        tally.report_left_out(source, observer)
    if not judged:
        raise DataError(
            f"Expected readable images in {source}. Received: none of {len(rejected)} can "
            f"be read; {rejected[0][0]}: {rejected[0][1]}."
        )
    tally.report_training(len(judged), observer, can_choose=not (subset or layout))
    return Answers(
        class_names={name: bundle.class_names for name, bundle in bundles.items()},
        probabilities={name: matrix[: len(judged)] for name, matrix in rows.items()},
        files=tuple(relative_name(entry.path, listing.root) for entry in judged),
        labels=tuple(entry.label for entry in judged),
        rejected=tuple(rejected),
        trained_on={name: tally.trained_on(name) for name in bundles},
    )


def write_answers(answers: Answers, target: Path, *, overwrite: bool = False) -> None:
    """Write a CSV file with a row for every image: its file, its label, what every model answers.

    Raises:
        OutputError: it exists and may not be overwritten, or cannot be written.
    """
    several = len(answers.models) > 1
    columns = ["file", "label"]
    for name in answers.models:
        columns += [f"{field} {name}" if several else field for field in Answer._fields]
    columns += ["agree"] * several

    def row(image: Answered) -> dict[str, str]:
        cells = [image.file, image.label]
        for predicted, probability in image.answers.values():
            cells += [predicted, f"{probability:.6g}"]
        return dict(zip(columns, [*cells, "yes" if image.agree else "no"], strict=False))

    with atomic_file(target, overwrite=overwrite) as draft:
        write_csv(draft, columns, map(row, answers.images()))


class _Seen(NamedTuple):
    """What came of one file: rows of probabilities, or why not; neither, if it is left out."""

    known: Known
    rows: tuple[NDArray[np.float32], ...] | None = None
    rejected: str | None = None


def _look(
    bundles: Mapping[str, Bundle], entries: Sequence[Entry], splits: OwnSplits, tally: Tally
) -> Iterator[_Seen]:
    """Read every file once: for its digest, and for every size that a model sees."""
    specs = {name: bundle.input_spec for name, bundle in bundles.items()}
    engines = {name: engine_for(bundle, len(entries)) for name, bundle in bundles.items()}

    def look(entry: Entry) -> _Seen:
        known: Known = {}
        try:
            data = read_bytes(entry.path)
            known = splits.look_up(data)
            if not tally.chooses(known):
                return _Seen(known)
            pixels = {spec: read(data, spec) for spec in set(specs.values())}
            rows = (engines[name].run(pixels[spec]).probabilities for name, spec in specs.items())
            return _Seen(known, rows=tuple(rows))
        except ImageError as error:
            return _Seen(known, rejected=error.reason if tally.chooses(known) else None)

    return ordered_map(look, entries, workers_for(len(entries)))


def _is_of_runs(wanted: str, layout: set[str | None], splits: OwnSplits) -> bool:
    """Whether a subset is meant that not the source has, but the models' runs."""
    name = SUBSET_NAMES.get(wanted.lower())
    return not layout or (name not in layout and name in splits.common)


def _choose_by_layout(listing: Listing, wanted: str | None) -> tuple[Entry, ...]:
    there = {entry.subset for entry in listing.entries}
    chosen: set[str | None]
    if wanted is None:
        chosen = next(({name} for name in ("test", "val") if name in there), there)
    else:
        name = SUBSET_NAMES.get(wanted.lower())
        if name not in there or name is None:
            names = ", ".join(sorted(name for name in there if name)) or "no subsets"
            raise DataError(
                f"--subset: expected one of those in {listing.source} ({names}). "
                f"Received: {wanted!r}."
            )
        chosen = {name}
    return tuple(entry for entry in listing.entries if entry.subset in chosen)


def _check_classes(listing: Listing, known: Sequence[str], whose: str) -> None:
    unknown = sorted(set(listing.class_names) - set(known))
    if unknown:
        raise DataError(
            f"Expected {whose} classes: {', '.join(known[:10])}{', ...' * (len(known) > 10)}. "
            f"Received: {', '.join(map(repr, unknown[:5]))} in {listing.source}."
        )
