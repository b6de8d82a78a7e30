"""From what ``cnntransfer evaluate --json`` printed to what a report says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .content import Galleries, Gallery, Photo, Rejected, Report
from .figures import read_judgement
from .galleries import GALLERY
from .limits import limits
from .photos import Album
from .subject import name_of, root_of

_REJECTED = 50


def gather_evaluation(file: Path, photos: Path | None = None) -> Report:
    """Read a saved evaluation of one model, and the photos that it names.

    Args:
        file: The JSON.
        photos: Folder or manifest of the photos, where they lie elsewhere now.

    Raises:
        UsageError: it is no such file.
    """
    try:
        evaluation = json.loads(file.read_text(encoding="utf-8"))
        return _report(evaluation, photos or Path(evaluation["data"]).expanduser())
    except (OSError, ValueError, RecursionError, KeyError, IndexError, TypeError) as error:
        raise UsageError(
            "Expected a bundle, or what 'cnntransfer evaluate MODEL DATA --json' printed of one "
            f"model. Received: {file} ({_reason(error)})."
        ) from None


def _report(evaluation: Mapping[str, Any], source: Path) -> Report:
    judged = read_judgement(None, "photos", {"": evaluation}, {})
    names = [row.name for row in judged.classes]
    trained_on = int(evaluation.get("trained_on") or 0)
    album = Album(root_of(source), {})
    rejected = [Rejected(str(name), str(reason)) for name, reason in evaluation["rejected"]]
    galleries = _galleries(evaluation.get("mistakes") or (), names, judged.mistakes, album)
    model = str(evaluation["model"])
    return Report(
        title=name_of(source),
        source=source,
        created="",
        backbone=Path(model).name or model,
        is_pretrained=False,
        class_names=names,
        judgement=judged,
        limits=list(limits(judged, None, galleries, trained_on=trained_on)),
        galleries=galleries,
        rejected=rejected[:_REJECTED],
        rejected_count=len(rejected),
        facts=[("Model", model), ("Photos", str(evaluation["data"]))],
        pictures=album.pictures,
    )


def _galleries(
    mistakes: Sequence[Mapping[str, Any]], names: Sequence[str], count: int, album: Album
) -> Galleries | None:
    if not mistakes:
        return None
    album.load(str(row["file"]) for row in mistakes)
    photos = [_photo(row, names, album) for row in mistakes if album.knows(str(row["file"]))]
    return Galleries(
        worst=Gallery(photos[:GALLERY], count),
        suspects=None,
        doubtful=None,
        duplicates=None,
        duplicate_count=0,
        straddling=0,
        cells=photos,
        rest="evaluate --mistakes N names more",
    )


def _photo(row: Mapping[str, Any], names: Sequence[str], album: Album) -> Photo:
    label, predicted = str(row["label"]), str(row["predicted"])
    picture, problem = album.picture(str(row["file"]))
    return Photo(
        file=str(row["file"]),
        label=label,
        subset="",
        picture=picture,
        problem=problem,
        predicted=predicted,
        probability=float(row["probability"]),
        cell=f"{names.index(label)}-{names.index(predicted)}",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    if isinstance(error, KeyError):
        return f"without {error.args[0]!r}"
    return " ".join(str(error).split())[:160]
