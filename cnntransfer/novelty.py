"""How far an image is from the training images, and when that is too far: "I don't know".

A classifier has a probability for its classes whatever it is shown, and is often sure of an image
of something else. What it cannot tell, its features do: those of something else lie outside the
region of the training images.

The distance is Mahalanobis' with a shrunk covariance (Lee et al. 2018, arXiv:1807.03888), of
features that are scaled to one length first (Mueller & Hein 2025, arXiv:2505.18032). With n
training images a covariance of d > n features has at most n - 1 directions of its own; in all
others it is what it was shrunk to. So the squared distance is the squared length of what is left of
the standardised features when most of every such direction has been taken away: a product of a
vector with a matrix of at most :data:`cnntransfer.training.novelty.MOST` rows.

Distances are in units of what is typical of known images: the median of theirs is 1. Known are
images like the training images; which of them count is decided in
:mod:`cnntransfer.training.novelty`. NumPy is all that is needed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .errors import BundleError, UsageError, counted
from .settings import Rule

Array = NDArray[np.float32]

#: The share of known images that ``auto`` lets be called unknown.
AUTO_RATE = 0.05
_RATE = Rule(float, minimum=0, maximum=1)


@dataclass(frozen=True)
class Novelty:
    """Distances of images from the training images of a bundle.

    Attributes:
        mean: float32, shape (d,): of the training images' features, scaled to one length.
        scale: float32, shape (d,): their standard deviations, see
            :func:`cnntransfer.models.head.standardisation`.
        components: float16, shape (k, d): orthonormal directions in which they vary.
        explained: float32, shape (k,): the part in 0..1 of each direction that is taken away.
        unit: float32, shape (): the median distance of known images, before it was called 1.
        validation: float32, shape (m,), rising: distances of the validation images.
        training: float32, shape (n,), rising: those of training images, each measured by what the
            others say; empty where training images do not count as known.
    """

    mean: Array
    scale: Array
    components: NDArray[np.float16]
    explained: Array
    unit: Array
    validation: Array
    training: Array

    #: The arrays of a bundle's file; lengths with one name are equal.
    FORM: ClassVar[dict[str, tuple[str, ...]]] = {
        "mean": ("features",),
        "scale": ("features",),
        "components": ("components", "features"),
        "explained": ("components",),
        "unit": (),
        "validation": ("validation images",),
        "training": ("training images",),
    }

    @classmethod
    def open(cls, bundle: Bundle) -> Novelty:
        """What a bundle has.

        Raises:
            BundleError: it has none, or what it has is damaged.
        """
        if bundle.has_arrays("novelty"):
            return cls(**bundle.read_arrays("novelty", cls.FORM))
        if bundle.recipe_file.is_file():
            raise BundleError(
                "--unknown: expected a bundle that knows how far its training photos lie apart. "
                f"Received: {bundle.path}, which an older version wrote, or whose training photos "
                f"were too few. Repeat its run: cnntransfer reproduce {bundle.path} -o NEW"
            )
        raise BundleError(
            "--unknown: expected a bundle that 'cnntransfer finetune' wrote. Received: the bare "
            f"pretrained {bundle.metadata['backbone']}, whose training photos are not known. "
            "Train on photos of yours (cnntransfer finetune FOLDER) and name the bundle: -m MODEL"
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What :meth:`open` needs, by name."""
        return {name: getattr(self, name) for name in self.FORM}

    @cached_property
    def known(self) -> Array:
        """The distances of all known images, rising."""
        return np.sort(np.concatenate([self.validation, self.training]))

    def distances(self, features: Array) -> Array:
        """The distances, float32 (n,), of images with these features, float32 (n, d).

        Raises:
            BundleError: these are another network's features.
        """
        if features.shape[1] != len(self.mean):
            raise BundleError(
                f"Expected features of the network that the distances are of: {len(self.mean)}. "
                f"Received: {features.shape[1]}. Files of two bundles are mixed; copy the bundle "
                "again, whole."
            )
        rows = (normalised(features) - self.mean) / self.scale
        # Not a product of matrices: for one image, the threads of that cost 30 times as much.
        along = np.einsum("nd,kd->nk", rows, self._directions)
        left = np.square(rows).sum(axis=1) - np.square(along) @ self.explained
        distances: Array = np.sqrt(np.maximum(left, 0)) / self.unit
        return distances

    def threshold(self, rate: float) -> float:
        """The distance that a share of new known images is expected to lie beyond.

        Of m known distances, a new one is as likely to fall into any of the m + 1 gaps; between two
        of them the threshold is interpolated. A share that is smaller than one gap cannot be
        promised (:attr:`smallest_rate`); the threshold is then the largest of the distances.
        """
        place = (1 - rate) * (len(self.known) + 1)
        return float(np.interp(place, np.arange(1, len(self.known) + 1), self.known))

    @property
    def smallest_rate(self) -> float:
        """The smallest share of new known images that can be expected beyond a threshold."""
        return 1 / (len(self.known) + 1)

    @cached_property
    def _directions(self) -> Array:
        return self.components.astype(np.float32)


def normalised(features: NDArray[Any]) -> NDArray[Any]:
    """Features (n, d), of the same type, whose mean square is 1 in every row."""
    length = np.sqrt(np.square(features).mean(axis=1, keepdims=True))
    scaled: NDArray[Any] = features / np.maximum(length, np.finfo(features.dtype).tiny)
    return scaled


def rate_of(name: str, raw: object) -> float:
    """A share of known images, or ``auto``, as a number in 0..1.

    Raises:
        UsageError: it is neither; the message calls it by ``name``.
    """
    if isinstance(raw, str) and raw.strip().lower() == "auto":
        return AUTO_RATE
    try:
        return float(_RATE.parse(name, raw))
    except UsageError:
        raise UsageError(
            f"{name}: expected a share of known photos from 0 to 1 such as 0.05, or auto. "
            f"Received: {raw!r}."
        ) from None


@dataclass(frozen=True)
class Boundary:
    """Where the unknown begins.

    Attributes:
        novelty: The distances.
        rate: The share of known images, in 0..1, that may lie beyond.
    """

    novelty: Novelty
    rate: float

    @cached_property
    def threshold(self) -> float:
        """The largest distance of what is not called unknown."""
        return self.novelty.threshold(self.rate)

    def distance(self, features: Array) -> float:
        """The distance of one image with these features, float32 (d,)."""
        return float(self.novelty.distances(features[np.newaxis])[0])

    def is_beyond(self, distance: float) -> bool:
        """Whether that is called unknown; so is what cannot be measured."""
        return not distance <= self.threshold

    def rejected(self, distances: Array) -> float:
        """The share of some distances that lies beyond, in 0..1."""
        return float(np.mean(~(distances <= self.threshold)))

    def remarks(self) -> list[str]:
        """What to expect of it, in sentences; a second one where the rate cannot be kept."""
        novelty, asked = self.novelty, f"{100 * self.rate:.3g} %"
        beyond = 100 * self.rejected(novelty.validation)
        said = [
            f"Unknown is what is farther than {self.threshold:.2f} from the training photos; 1 is "
            f"typical of photos like them. Expect {asked} of those to be called unknown, too (of "
            f"{counted(len(novelty.validation), 'validation photo')}: {beyond:.1f} %)."
        ]
        if self.rate < novelty.smallest_rate:
            said.append(
                f"{counted(len(novelty.known), 'photo')} cannot tell where {asked} lie: expect "
                f"{100 * novelty.smallest_rate:.2g} %. Train and validate with more photos, or ask "
                "for a higher rate."
            )
        return said
