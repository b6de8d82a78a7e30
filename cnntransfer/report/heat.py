"""What a classifier looked at, below the photos of mistakes and of doubtful labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..data.miniatures import Miniature
from ..errors import ImageError
from .content import Galleries, Gallery, Photo
from .photos import Album


@dataclass(frozen=True)
class Look:
    """A way of looking into a classifier.

    Attributes:
        method: What it is called.
        at: From a photo and a class to a picture of what speaks for the class; raises
            :class:`ImageError` where the photo cannot be read.
    """

    method: str
    at: Callable[[Path, str], Miniature]


def with_heat(galleries: Galleries, album: Album, look: Look) -> Galleries:
    """Galleries whose worst mistakes and suspects have a second picture.

    It is of the class that the photo was taken for.

    Args:
        galleries: Those without.
        album: Where the pictures go.
        look: How they are made.
    """

    def hot(photo: Photo) -> Photo:
        path = album.path(photo.file)
        if photo.picture is None or path is None:
            return photo
        try:
            return dataclasses.replace(photo, heat=album.add(look.at(path, photo.predicted)))
        except ImageError:  # It was removed this moment.
            return photo

    def all_hot(gallery: Gallery) -> Gallery:
        return dataclasses.replace(gallery, photos=[hot(photo) for photo in gallery.photos])

    return dataclasses.replace(
        galleries,
        worst=all_hot(galleries.worst),
        suspects=galleries.suspects and all_hot(galleries.suspects),
        method=look.method,
    )
