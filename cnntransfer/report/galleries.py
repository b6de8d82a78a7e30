"""The photos of a report, with their small pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from ..held_out import HeldOut
from .content import Galleries, Gallery, Photo
from .photos import Album
from .selection import Selection
from .subject import Subject

#: Photos of a gallery and of that of doubtful labels; near-duplicates of a group, groups of those.
GALLERY, _DOUBTFUL, _GROUP, _GROUPS = 24, 12, 6, 12


def read_galleries(
    subject: Subject, held_out: HeldOut, subset: str | None, album: Album
) -> Galleries:
    """Choose the photos to show and read them.

    Args:
        subject: Whose photos.
        held_out: The predictions of its held-out photos.
        subset: The subset that was judged.
        album: Where the pictures go.

    Raises:
        BundleError: a table is damaged.
    """
    chosen = Selection(held_out, subject.class_names, subset)
    suspects = subject.rows(
        "suspects", "file", "label", "subset", "suggested", "p_label", "p_suggested"
    )
    clear = [row for row in suspects if row.get("confident") != "no"]
    unclear = [row for row in suspects if row.get("confident") == "no"]
    duplicates = subject.rows("near_duplicates", "group", "file", "label", "subset")
    groups = [list(rows) for _, rows in groupby(duplicates, lambda row: row["group"])]
    shown = [group[:_GROUP] for group in groups[:_GROUPS]]
    worst = chosen.mistakes[:GALLERY]
    # In this order, as there may not be room for all.
    album.load(
        [
            *chosen.files(worst),
            *(row["file"] for row in (*clear[:GALLERY], *unclear[:_DOUBTFUL])),
            *(row["file"] for group in shown for row in group),
            *chosen.files(chosen.of_cells),
        ]
    )
    return Galleries(
        worst=Gallery([chosen.photo(i, album) for i in worst], len(chosen.mistakes)),
        suspects=_suspects(clear, GALLERY, album) if subject.has("suspects") else None,
        doubtful=_suspects(unclear, _DOUBTFUL, album) if subject.has("suspects") else None,
        duplicates=(
            [[_listed(row, album) for row in group] for group in shown]
            if subject.has("near_duplicates")
            else None
        ),
        duplicate_count=len(groups),
        straddling=sum(len({row["subset"] for row in group}) > 1 for group in groups),
        cells=[chosen.photo(i, album) for i in chosen.of_cells if album.knows(held_out.files[i])],
        rest="predictions.csv has all",
    )


def _listed(row: Mapping[str, str], album: Album) -> Photo:
    picture, problem = album.picture(row["file"])
    return Photo(row["file"], row["label"], row["subset"], picture, problem)


def _suspects(rows: Sequence[Mapping[str, str]], most: int, album: Album) -> Gallery:
    return Gallery([_suspect(row, album) for row in rows[:most]], len(rows))


def _suspect(row: Mapping[str, str], album: Album) -> Photo:
    picture, problem = album.picture(row["file"])
    return Photo(
        row["file"],
        row["label"],
        row["subset"],
        picture,
        problem,
        predicted=row["suggested"],
        probability=_number(row["p_suggested"]),
        own_probability=_number(row["p_label"]),
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
