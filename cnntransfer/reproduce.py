"""Whether a run can be repeated: train again as a bundle's recipe and split say, and compare.

The bundle's own ``splits.csv`` decides which photo trains and which is held out, not the photos
that lie in the folder now. So the comparison says what the run depends on and nothing else: photos
that were added since do not take part.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .data.dataset import relative_name
from .data.images import is_there
from .data.index import MANIFEST_SUFFIXES, Entry, Listing, list_images
from .engines.parity import TOLERANCE
from .errors import BundleError, DataError, OutputError, counted
from .held_out import read_held_out
from .progress import SILENT, Observer
from .reproduction import Change, Reproduction, Verdict
from .training.plan import resolve
from .training.run import run

_SUBSETS = ("train", "val", "test")


@dataclass(frozen=True)
class _Found:
    """The photos of a bundle's split as they are now, in its order.

    Attributes:
        listing: Those that are there, with the bundle's labels and subsets.
        names: A photo's name in the new bundle's tables -> that in the old one's.
        missing: The names of those that are not there.
        added: Photos that the bundle does not know.
    """

    listing: Listing
    names: Mapping[str, str]
    missing: tuple[str, ...]
    added: tuple[str, ...]


def reproduce(
    bundle: Bundle,
    data: Path | None = None,
    output: Path | None = None,
    *,
    overwrite: bool = False,
    observer: Observer = SILENT,
) -> Reproduction:
    """Repeat a bundle's run and compare the predictions of the held-out photos.

    Args:
        bundle: What a run wrote; it is only read.
        data: Folder or manifest of the photos, where they lie elsewhere now.
        output: Folder to keep the new bundle in; default: it is not kept.
        overwrite: Whether an existing folder may be replaced.
        observer: Hears of progress.

    Raises:
        BundleError: it has no recipe, because no run wrote it, or it is damaged.
        DataError: the photos are not there, or all of a class or subset are not.
        OutputError: the new bundle cannot be written, or would replace the old one.
        CnnTransferError: another of its kinds, as in any run.
    """
    _check_is_of_a_run(bundle)
    if output is not None and output.resolve() == bundle.path.resolve():
        raise OutputError(
            "Expected another folder than that of the bundle whose run is repeated. "
            f"Received: {output}. Choose another --output."
        )
    splits = _read_splits(bundle)
    before = _read_predictions(bundle)
    recipe = bundle.recipe()
    if data is not None:
        recipe = dataclasses.replace(recipe, data=str(data))
    _, recipe = resolve(recipe)
    found = _find(bundle, splits, Path(str(recipe.data)), observer)
    with ExitStack() as stack:
        target = output
        if target is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cnntransfer-"))
            target = Path(folder) / "again"
        try:
            again = run(
                recipe, target, overwrite=overwrite, observer=observer, listing=found.listing
            )
        except KeyboardInterrupt:
            if output is not None:
                raise
            # The message says how to go on, which nobody can when the folder is removed.
            raise KeyboardInterrupt from None
        after = {found.names[file]: row for file, row in _read_predictions(again).items()}
        digests = {found.names[row["file"]]: row["digest"] for row in _read_splits(again)}
    missing = set(found.missing)
    there = [row for row in splits if row["file"] not in missing]
    return Reproduction(
        **_compare(before, after),
        same_files=_files(bundle) == _files(again),
        photos=len(splits),
        # What cannot be read any more is in none of the new tables.
        changed=tuple(r["file"] for r in there if digests.get(r["file"]) != r["digest"]),
        missing=found.missing,
        added=found.added,
        weights=_changed_weights(bundle, again),
        versions=_changed_versions(bundle, again),
        output=output,
    )


def _check_is_of_a_run(bundle: Bundle) -> None:
    if bundle.recipe_file.is_file():
        return
    why = (
        f"whose {bundle.recipe_file.name} is missing. Copy it again."
        if "dataset" in bundle.metadata
        else "a bare pretrained network, which was not trained here. "
        "Train one first: cnntransfer finetune photos/"
    )
    raise BundleError(
        "Expected a bundle that 'cnntransfer finetune' wrote, with the recipe of its run. "
        f"Received: {bundle.path}, {why}"
    )


def _read_splits(bundle: Bundle) -> list[dict[str, str]]:
    rows = bundle.read_table("splits", "file", "label", "subset", "digest")
    for number, row in enumerate(rows, start=2):
        if row["subset"] not in _SUBSETS or row["label"] not in bundle.class_names:
            raise bundle.damaged_table("splits", f"line {number}: {row['label']}, {row['subset']}")
    return rows


def _read_predictions(bundle: Bundle) -> dict[str, NDArray[np.float64]]:
    """The probabilities of the held-out photos, by file name."""
    held_out = read_held_out(bundle, bundle.class_names)
    return dict(zip(held_out.files, held_out.probabilities, strict=True))


def _find(
    bundle: Bundle, splits: Sequence[Mapping[str, str]], source: Path, observer: Observer
) -> _Found:
    """Look for the photos of a split.

    Raises:
        DataError: there are none, or none of a class or subset.
    """
    is_manifest = not source.is_dir() and source.suffix.lower() in MANIFEST_SUFFIXES
    root = source.parent if is_manifest else source
    listed = _list(source, observer)
    by_name = {_shown(entry.path, root): entry.path for entry in listed}
    entries: list[Entry] = []
    names: dict[str, str] = {}
    missing: list[str] = []
    for row in splits:
        path = by_name.get(row["file"], root / row["file"])
        if is_there(path):
            entries.append(Entry(path, row["label"], row["subset"]))
            names[_shown(path, root)] = row["file"]
        else:
            missing.append(row["file"])
    _check_enough(bundle, splits, entries, missing, source)
    rejected = {row["file"] for row in bundle.read_table("rejected", "file")}
    added = [name for name in by_name if name not in names and name not in rejected]
    return _Found(Listing(source, tuple(entries)), names, tuple(missing), tuple(added))


def _list(source: Path, observer: Observer) -> tuple[Entry, ...]:
    """The photos that lie there now; none where only the bundle knows which belong to it."""
    if not source.exists():
        return ()
    try:
        return list_images(source).entries
    except DataError as error:
        observer.note(f"Photos that were added since cannot be told: {error}")
        return ()


def _check_enough(
    bundle: Bundle,
    splits: Sequence[Mapping[str, str]],
    entries: Sequence[Entry],
    missing: Sequence[str],
    source: Path,
) -> None:
    elsewhere = "If they lie elsewhere now, say where with --data FOLDER."
    if not entries:
        example = f", such as {missing[0]}" if missing else ""
        raise DataError(
            f"Expected the photos that {bundle.path} was trained on{example}. Received: {source}, "
            f"which {'has none of them' if source.exists() else 'does not exist'}. {elsewhere}"
        )
    there = {(entry.subset, entry.label) for entry in entries}
    for name in bundle.class_names:
        if ("train", name) not in there:
            raise DataError(
                f"Expected training photos of every class in {source}. Received: none of {name!r}; "
                f"{counted(len(missing), 'photo')} missing, such as {_example(missing)}. "
                f"{elsewhere}"
            )
    for subset in {row["subset"] for row in splits} - {entry.subset for entry in entries}:
        raise DataError(
            f"Expected photos of the run's subset {subset!r} in {source}. Received: none; "
            f"{counted(len(missing), 'photo')} missing, such as {_example(missing)}. {elsewhere}"
        )


def _example(missing: Sequence[str]) -> str:
    return missing[0] if missing else "none"


def _shown(path: Path, root: Path) -> str:
    """A file's name as a bundle's tables have it."""
    return relative_name(path, root).encode("utf-8", "backslashreplace").decode("utf-8")


def _compare(
    before: Mapping[str, NDArray[np.float64]], after: Mapping[str, NDArray[np.float64]]
) -> dict[str, Any]:
    """The part of a :class:`Reproduction` that is about predictions."""
    both = [file for file in before if file in after]
    differences = {file: float(np.abs(after[file] - before[file]).max()) for file in both}
    farthest = max(both, key=differences.__getitem__, default=None)
    largest = None if farthest is None else differences[farthest]
    if largest is None or len(both) < len(before) or largest > TOLERANCE:
        verdict = Verdict.DIFFERENT
    else:
        verdict = Verdict.WITHIN_TOLERANCE if largest else Verdict.IDENTICAL
    return {
        "verdict": verdict,
        "held_out": len(before),
        "compared": len(both),
        "largest_difference": largest,
        "farthest": farthest if largest else None,
        "other_class": sum(int(before[file].argmax() != after[file].argmax()) for file in both),
    }


def _files(bundle: Bundle) -> list[str | None]:
    """The recorded checksums of the files that predict."""
    files = bundle.metadata["files"]
    names = (bundle.trunk_file.name, bundle.head_file.name)
    return [files[name]["sha256"] if name in files else None for name in names]


def _changed_weights(bundle: Bundle, again: Bundle) -> Change | None:
    change = Change(*(b.metadata["weights"].get("sha256") for b in (bundle, again)))
    return None if change.recorded == change.now else change


def _changed_versions(bundle: Bundle, again: Bundle) -> dict[str, Change]:
    was, now = (b.metadata.get("versions", {}) for b in (bundle, again))
    changes = {name: Change(was.get(name), now.get(name)) for name in {**was, **now}}
    return {name: change for name, change in changes.items() if change.recorded != change.now}
