"""Photos that are the same picture: resized, saved again, brightened, mirrored.

They are found in two steps, from thumbnails of 16 x 16 pixels:

1. A perceptual hash: of the luminance without mean, slopes and curvatures (the polynomial of
   degree 2 that fits best) the 8 x 8 lowest frequencies (DCT), scaled to length 1. It is the usual
   pHash, but for the slopes, and before it is rounded to bits: the scalar product of two hashes is
   the correlation of what is left of the pictures, their detail.
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
_CORRELATION = 0.97
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
#: The hash has so many frequencies down and across. Higher ones are lost in small or spoilt copies.
_FREQUENCIES = 8
#: Photos that are compared with all others at a time: decides memory, 1 KB for each of the others.
_BLOCK = 256
#: The nearest of a photo that are compared part by part. A copy is among them; without a limit,
#: a fixed camera's photos, which are all alike but for one part, would be compared in all pairs.
_NEAREST = 16
#: Pairs that are compared part by part at a time: decides memory, 20 MB.
_PAIRS = 4096

_Indices = NDArray[np.intp]


def _basis() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """From luminances to details, shape (64, 256), and the signs that mirroring gives these."""
    order = np.arange(SIDE)
    cosines = np.cos(np.pi * order[:_FREQUENCIES, None] * (order + 0.5) / SIDE)
    cosines /= np.linalg.norm(cosines, axis=1, keepdims=True)
    y, x = (axis.ravel() - (SIDE - 1) / 2 for axis in np.indices((SIDE, SIDE)))
    smooth, _ = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))
    basis = np.kron(cosines, cosines) @ (np.eye(SIDE * SIDE) - smooth @ smooth.T)
    signs = np.tile([1, -1], _FREQUENCIES * _FREQUENCIES // 2)
    return basis.astype(np.float32), signs.astype(np.float32)


_BASIS, _MIRRORED = _basis()


class Pictures:
    """Thumbnails with their hashes, to be compared.

    Attributes:
        thumbnails: uint8, shape (n, 16, 16, 3).
        details: float32, shape (n, 64): the hashes.
        have_detail: bool, shape (n,): whether there is enough detail to tell pictures apart.
    """

    def __init__(self, thumbnails: NDArray[np.uint8]) -> None:
        self.thumbnails = thumbnails
        # Unlike a product of matrices, this does not make all the thumbnails floats at once.
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
        """Pairs whose details correlate, as they are or with one mirrored, some at a time."""
        known = np.flatnonzero(self.have_detail)
        details = self.details[known]
        mirrored = details * _MIRRORED
        for start in range(0, len(known), _BLOCK):
            for block in (details, mirrored):
                products = block[start : start + _BLOCK] @ details[start:].T
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
