"""Photos that are the same picture: resized, saved again, brightened, mirrored.

They are found in two steps, from thumbnails of 16 x 16 pixels:

1. A perceptual hash: the luminance's cosine transform (DCT) without its six lowest frequencies
   (mean, slopes, curvatures), scaled to length 1. The scalar product of two hashes is the
   correlation of what is left of the pictures, their detail. Pairs are searched by the lower
   frequencies; a bound on the others makes sure that none is overlooked.
2. Each pair is compared part by part, once brightness and contrast are evened out.

Without the slopes, a clear sky is not taken for another, whose brightness rises in the same way.
What has hardly any detail, such as open sea, tells nothing: it counts as the same picture only if
the thumbnails are equal. Thresholds and what they find were measured: docs/evaluation.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..parallel import products_on_one_thread
from .dataset import Dataset, Group
from .thumbnails import SIDE, Thumbnails

#: The least correlation of two near-duplicates' details.
_CORRELATION = 0.95
#: The most that the luminance of one of the 256 parts may differ, in grey levels, ...
_LUMINANCE_LEVELS = 16
#: ... and a colour, in the mean of 4 x 4 parts: JPEG spoils colours, but not over so large parts.
_COLOUR_LEVELS = 20
_COLOUR_PARTS = 4
#: Less standard deviation of the detail, in grey levels, is no detail.
_LEAST_DETAIL = 2.0
#: More near-duplicates than these are a series rather than copies, such as frames of a film.
_SERIES = 10

#: BT.601, as in JPEG.
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
#: The least sum of vertical and horizontal frequency that is detail.
_LOWEST = 3
#: So many frequencies stand for all in the search.
_COARSE = 63
#: Photos that are compared with all others at a time: decides memory, 1 KB for each of the others.
_BLOCK = 256
#: The nearest of a photo that are compared part by part. A copy is among them; without a limit,
#: a fixed camera's photos, which are all alike but for one part, would be compared in all pairs.
_NEAREST = 16
#: Pairs that are compared part by part at a time: decides memory, 20 MB.
_PAIRS = 4096

_Indices = NDArray[np.intp]


def _cosines() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The basis of details, (frequencies, 256), lowest first, and its signs when mirrored."""
    order = np.arange(SIDE)
    basis = np.cos(np.pi * order[:, None] * (order + 0.5) / SIDE) * np.sqrt(2 / SIDE)
    basis[0] /= np.sqrt(2)
    vertical, horizontal = (axis.ravel() for axis in np.indices((SIDE, SIDE)))
    kept = np.flatnonzero(vertical + horizontal >= _LOWEST)
    kept = kept[np.argsort((vertical + horizontal)[kept], kind="stable")]
    signs = np.where(horizontal[kept] % 2, -1.0, 1.0)
    return np.kron(basis, basis)[kept].astype(np.float32), signs.astype(np.float32)


_BASIS, _MIRRORED = _cosines()


class Pictures:
    """Thumbnails with their hashes, to be compared.

    Attributes:
        thumbnails: uint8, shape (n, 16, 16, 3).
        details: float32, shape (n, 250): the hashes.
        have_detail: bool, shape (n,): whether there is enough detail to tell pictures apart.
    """

    def __init__(self, thumbnails: NDArray[np.uint8]) -> None:
        self.thumbnails = thumbnails
        # Unlike a product of matrices, this does not make floats of all the thumbnails at once.
        luminance = np.einsum("npc,c->np", thumbnails.reshape(-1, SIDE * SIDE, 3), _LUMINANCE)
        self.details: NDArray[np.float32] = luminance @ _BASIS.T
        lengths = np.linalg.norm(self.details, axis=1)
        self.have_detail: NDArray[np.bool_] = lengths >= _LEAST_DETAIL * SIDE
        self.details /= np.maximum(lengths, np.finfo(np.float32).tiny)[:, None]

    def correlations(self, one: _Indices, other: _Indices) -> NDArray[np.float32]:
        """Of pairs' details, float32 of shape (2, n): as they are, and with one mirrored."""
        products = self.details[one] * self.details[other]
        return np.stack([products.sum(axis=1), products @ _MIRRORED])

    def are_same(self, one: _Indices, other: _Indices) -> NDArray[np.bool_]:
        """Whether pairs are near-duplicates; bool, shape (n,)."""
        same: NDArray[np.bool_] = (self.thumbnails[one] == self.thumbnails[other]).all((1, 2, 3))
        comparable = self.have_detail[one] & self.have_detail[other]
        for is_mirrored, correlations in enumerate(self.correlations(one, other)):
            pairs = np.flatnonzero(comparable & ~same & (correlations >= _CORRELATION))
            a, b = self.thumbnails[one[pairs]], self.thumbnails[other[pairs]]
            same[pairs] = _parts_agree(a, b[:, :, ::-1] if is_mirrored else b)
        return same

    def candidates(self) -> Iterator[tuple[_Indices, _Indices]]:
        """Pairs with detail that may correlate, one of them mirrored or not, some at a time.

        What the lower frequencies add to a correlation is their scalar product, and what the
        others add is at most the product of their lengths (Cauchy-Schwarz). With that length as
        one more frequency, the scalar product is a bound on the correlation.
        """
        known = np.flatnonzero(self.have_detail)
        coarse, fine = np.split(self.details[known], [_COARSE], axis=1)
        bounds = np.column_stack([coarse, np.linalg.norm(fine, axis=1)])
        mirrored = bounds * np.append(_MIRRORED[:_COARSE], np.float32(1))
        for start in range(0, len(known), _BLOCK):
            later = bounds[start:]
            for block in (bounds, mirrored):
                products = block[start : start + _BLOCK] @ later.T
                rows = len(products)
                # Every pair once, and no photo with itself.
                products[:, :rows][np.tril_indices(rows)] = -1
                one, other = _nearest(products)
                for at in range(0, len(one), _PAIRS):
                    part = slice(at, at + _PAIRS)
                    yield known[one[part] + start], known[other[part] + start]


def _nearest(products: NDArray[np.float32]) -> tuple[_Indices, _Indices]:
    """Row and column of what is high enough, and among the highest of its row."""
    # In one dimension: nonzero() of two takes as long as the products themselves.
    one, other = np.divmod(np.flatnonzero(products >= _CORRELATION), products.shape[1])
    crowded = np.flatnonzero(np.bincount(one, minlength=len(products)) > _NEAREST)
    if not crowded.size:
        return one, other
    least = np.full(len(products), -1, np.float32)
    least[crowded] = np.partition(products[crowded], -_NEAREST, axis=1)[:, -_NEAREST]
    kept = products[one, other] >= least[one]
    return one[kept], other[kept]


def _parts_agree(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether no part of two thumbnails differs by much; bool, shape (n,).

    Brightness and contrast are evened out first: both luminances get the same mean, and the same
    standard deviation, which lies between the two.
    """
    a, b = (x.reshape(-1, SIDE * SIDE, 3).astype(np.float32) for x in (one, other))
    means, spreads = zip(
        *(((x @ _LUMINANCE).mean(axis=1), (x @ _LUMINANCE).std(axis=1)) for x in (a, b)),
        strict=True,
    )
    gain = np.sqrt(spreads[1] / spreads[0])[:, None, None]
    difference = (a - means[0][:, None, None]) * gain - (b - means[1][:, None, None]) / gain
    luminance = np.abs(difference @ _LUMINANCE).max(axis=1)
    parts = SIDE // _COLOUR_PARTS
    larger = difference.reshape(-1, parts, _COLOUR_PARTS, parts, _COLOUR_PARTS, 3).mean((2, 4))
    colours = np.abs(larger).max((1, 2, 3))
    agree: NDArray[np.bool_] = (luminance <= _LUMINANCE_LEVELS) & (colours <= _COLOUR_LEVELS)
    return agree


class _Sets:
    """Sets that grow together (union-find)."""

    def __init__(self, size: int) -> None:
        self._above = list(range(size))

    def find(self, member: int) -> int:
        """What the set of a member is called."""
        while (above := self._above[member]) != member:
            self._above[member] = self._above[above]
            member = above
        return member

    def join(self, one: int, other: int) -> None:
        self._above[self.find(other)] = self.find(one)


def near_duplicates(dataset: Dataset, thumbnails: Thumbnails) -> tuple[Group, ...]:
    """The groups of a data set's photos that are the same picture, byte-identical ones included.

    Photos belong together when pairs of near-duplicates connect them. A series, which may lead
    from any picture to any other, is cut into groups of those that are the same as the first.
    Names and order decide nothing but the order of the groups, which is that of the data set.
    """
    digests = sorted({sample.digest for sample in dataset.samples})
    pictures = Pictures(thumbnails.of(digests))
    sets = _Sets(len(digests))
    first: dict[bytes, int] = {}
    for number, thumbnail in enumerate(pictures.thumbnails):
        sets.join(first.setdefault(thumbnail.tobytes(), number), number)
    with products_on_one_thread():
        for one, other in pictures.candidates():
            same = pictures.are_same(one, other)
            for i, j in zip(one[same].tolist(), other[same].tolist(), strict=True):
                sets.join(i, j)

    numbers = {digest: number for number, digest in enumerate(digests)}
    connected: dict[int, list[int]] = defaultdict(list)
    for position, sample in enumerate(dataset.samples):
        connected[sets.find(numbers[sample.digest])].append(position)
    groups = []
    for positions in connected.values():
        if len(positions) > 1:
            samples = dataset.samples
            positions.sort(key=lambda p: (-samples[p].bytes, samples[p].digest, p))
            own = np.array([numbers[samples[position].digest] for position in positions])
            groups += [
                _group(pictures, own[part], np.array(positions)[part])
                for part in _parts(pictures, own)
                if len(part) > 1
            ]
    return tuple(sorted(groups, key=lambda group: min(group.positions)))


def _parts(pictures: Pictures, own: _Indices) -> Iterator[_Indices]:
    """What becomes a group of photos that are connected: all, or of a series, parts."""
    rest = np.arange(len(own))
    if len(set(own.tolist())) <= _SERIES:
        yield rest
        return
    while rest.size:
        same = pictures.are_same(np.full(len(rest), own[rest[0]]), own[rest])
        yield rest[same]
        rest = rest[~same]


def _group(pictures: Pictures, own: _Indices, positions: _Indices) -> Group:
    first = np.full(len(own), own[0])
    distances = 1 - pictures.correlations(first, own).max(axis=0).clip(0, 1)
    distances[(pictures.thumbnails[own] == pictures.thumbnails[own[0]]).all((1, 2, 3))] = 0
    return Group(tuple(positions.tolist()), tuple(distances.tolist()))
