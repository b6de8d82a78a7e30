"""The table of methods. Importing it imports none of them, so that ``--help`` is fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import DataError, UsageError, nearest
from ..settings import rules
from .options import Options, option_name

if TYPE_CHECKING:
    from .explanation import Explanation, Photo
    from .subject import Subject


class Of(Enum):
    """What a method explains."""

    NETWORK = "the network alone"
    EACH_IMAGE = "each image"
    ALL_IMAGES = "all images together"


@dataclass(frozen=True)
class Method:
    """One way of looking into a network.

    Attributes:
        name: What it is called.
        summary: What it shows, for ``--help``.
        of: Whether it takes images, one by one or all.
        explains_class: Whether it is about a class, so that the network must have a classifier.
        takes: The names of the :class:`Options` that it heeds.
        entry: Its module here, and the function in it.
    """

    name: str
    summary: str
    of: Of
    explains_class: bool
    takes: tuple[str, ...]
    entry: str

    def run(self, subject: Subject, photos: Sequence[Photo], options: Options) -> Explanation:
        """Explain a network, a photo or several.

        Args:
            subject: The network.
            photos: One for a method of each image, none for one of the network alone.
            options: What the method takes of them counts.

        Raises:
            UsageError: an option does not fit the network.
            DataError: there are too few photos.
        """
        module, _, function = self.entry.partition(":")
        explain = getattr(import_module(f".{module}", __package__), function)
        what: Sequence[Any] = {Of.NETWORK: (), Of.EACH_IMAGE: photos, Of.ALL_IMAGES: (photos,)}[
            self.of
        ]
        explanation: Explanation = explain(subject, *what, options)
        return explanation

    def explanations(
        self, subject: Subject, photos: Iterable[Photo], options: Options
    ) -> Iterator[Explanation]:
        """Explain photos, one by one or all together, or the network; see :meth:`run`."""
        if self.of is not Of.EACH_IMAGE:
            yield self.run(subject, list(photos), options)
            return
        for photo in photos:
            yield self.run(subject, [photo], options)

    def options(self, given: Mapping[str, Any]) -> Options:
        """The options of this method.

        Args:
            given: Settings of :class:`Options` by name.

        Raises:
            UsageError: one is none of this method's, or its value is wrong.
        """
        known = rules(Options)
        values = {}
        for name, value in given.items():
            if name not in self.takes:
                takers = [one.name for one in METHODS.values() if name in one.takes]
                expected = f"expected with --method {' or '.join(takers)}" if takers else "unknown"
                raise UsageError(
                    f"{option_name(name)}: {expected}. Received: with {self.name}. Leave it out."
                )
            values[name] = known[name].parse(option_name(name), value)
        return Options(**values)

    def check_images(self, images: Sequence[object]) -> None:
        """Whether images are given just if some are taken.

        Raises:
            UsageError: some are given and none taken.
            DataError: some are taken and none given.
        """
        if self.of is Of.NETWORK and images:
            raise UsageError(
                f"Expected no image with --method {self.name}, which shows the network alone. "
                f"Received: {images[0]}. Leave it out."
            )
        if self.of is not Of.NETWORK and not images:
            what = "a folder of images" if self.of is Of.ALL_IMAGES else "an image"
            raise DataError(
                f"Expected {what} behind MODEL with --method {self.name}. Received: none."
            )


_EACH, _ALL = Of.EACH_IMAGE, Of.ALL_IMAGES
#: All methods by name. Adding one is a module and a row.
METHODS: Mapping[str, Method] = {
    row[0]: Method(*row)
    for row in (
        ("gradcam", "where the evidence for a class lies", _EACH, True,
         ("target", "layer"), "gradcam:explain"),
        ("gradcam++", "the same, better where a thing is there several times", _EACH, True,
         ("target", "layer"), "gradcam:explain_plus_plus"),
        ("occlusion", "where a grey square makes the class less probable", _EACH, True,
         ("target", "grid", "square"), "occlusion:explain"),
        ("saliency", "which pixels change the class's score (SmoothGrad)", _EACH, True,
         ("target", "samples", "noise", "seed"), "saliency:explain"),
        ("integrated-gradients", "what each pixel adds to the class's score", _EACH, True,
         ("target",), "integrated_gradients:explain"),
        ("features", "the maps that the layers make of an image", _EACH, False,
         ("layer", "channels", "channel"), "features:explain"),
        ("filters", "the kernels of a convolution; takes no image", Of.NETWORK, False,
         ("layer", "channels"), "filters:explain"),
        ("patches", "the crops of a folder that excite a channel most", _ALL, False,
         ("layer", "channels", "channel", "top"), "patches:explain"),
        ("embedding", "a folder's photos, alike ones together", _ALL, False,
         ("projection", "seed"), "embedding:explain"),
    )
}  # fmt: skip


def get_method(name: str) -> Method:
    """Look a method up by its name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in METHODS:
        raise UsageError(
            f"--method: expected one of: {', '.join(METHODS)}. Received: {name!r}."
            f"{nearest(name, METHODS)}"
        )
    return METHODS[name]


def class_method(name: str) -> Method:
    """A method that explains why one image is taken for a class.

    Raises:
        UsageError: there is none of that name.
    """
    names = [one.name for one in METHODS.values() if one.explains_class]
    if name not in names:
        raise UsageError(
            f"--explain: expected one of: {', '.join(names)}. Received: {name!r}."
            f"{nearest(name, names)}"
        )
    return METHODS[name]
