"""Keras' random transformations of an image, three to four times as fast.

``ImageDataGenerator.get_random_transform`` draws the parameters quickly; ``apply_transform`` is
slow, because SciPy resamples the image with a general spline routine, one channel after the
other. :func:`warp` computes the same with NumPy's array operations. The same means, for every
fill mode and all parameters, but for a few values in a million that differ by 1::

    np.clip(np.rint(generator.apply_transform(image.astype(np.float32), parameters)), 0, 255)

For 224 x 224 pixels on one core it takes 0.9 to 1.1 ms (SciPy 4 ms), with a change of brightness
1.3 to 1.6 ms (4.7 ms), and less than 0.1 ms where none moves or all are only mirrored (as SciPy).
Twelve reads per pixel, four neighbours of three channels, are what takes longest. Fixed-point
arithmetic on all three channels at once would take 0.7 ms, but up to one value in 200 would differ.

- Coordinates are computed in float64 with the operations of SciPy's ``affine_transform`` in
  their order, so that they are the same to the last bit, and with them which pixels lie outside
  the image. (Where SciPy was compiled with fused multiply-add they may differ in that bit, and
  so a pixel that lies exactly on the edge.)
- Values are interpolated in float32, SciPy's in float64. A value within about 1e-5 of the middle
  between two grey levels may therefore be rounded to the other one. Brightness would multiply
  that difference; with a brightness, the interpolation is in float64, too.

Sources: ``keras/src/legacy/preprocessing/image.py`` (the order of things, the matrix, the channel
shift, the brightness) and ``scipy/ndimage/src/ni_interpolation.c`` (coordinates, fill modes).
Only NumPy and Pillow are imported, and most of the time is spent without the GIL.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

#: About so many pixels are computed together. With fewer, the calls take longer than the
#: arithmetic; more do not fit into the cache.
_BLOCK_PIXELS = 25_000

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


def warp(
    image: Pixels, parameters: Mapping[str, Any], fill_mode: str = "nearest", cval: float = 0.0
) -> Pixels:
    """Apply a transformation that an ``ImageDataGenerator`` has drawn.

    Args:
        image: uint8, shape (height, width, 3).
        parameters: What the generator's ``get_random_transform`` gives: ``theta`` and ``shear``
            in degrees, ``tx`` and ``ty`` in pixels, the factors ``zx`` and ``zy`` (below 1
            enlarges), ``flip_horizontal``, ``flip_vertical``, ``channel_shift_intensity`` in
            grey levels or None, the factor ``brightness`` or None.
        fill_mode: What is outside the image: "nearest", "constant", "reflect" or "wrap", in
            SciPy's meaning.
        cval: The value outside for "constant", 0 to 255.

    Returns:
        uint8, the shape of ``image``; a new array.
    """
    image = np.ascontiguousarray(image)
    intensity, brightness = parameters["channel_shift_intensity"], parameters["brightness"]
    affine = _affine(parameters, *image.shape[:2])
    if affine is not None:
        changed = _resample(image, affine, parameters, fill_mode, cval)
        return changed if brightness is None else _look_up(changed, _brightened(brightness))
    changed = _flip(image, parameters)
    if intensity is None and brightness is None:
        return changed
    return _look_up(changed, _levels(image, intensity, brightness))


# Grey levels


def _look_up(image: Pixels, levels: Pixels) -> Pixels:
    """``levels[image]``, several times as fast. ``levels`` is uint8, shape (256,)."""
    changed = bytearray(image.data).translate(levels.tobytes())
    return np.frombuffer(changed, np.uint8).reshape(image.shape)


def _levels(image: Pixels, intensity: float | None, brightness: float | None) -> Pixels:
    """What becomes of each grey level of an image that is not resampled: uint8, shape (256,)."""
    levels = np.arange(256, dtype=np.float32)
    if intensity is not None:
        # Keras keeps the sums in the range of the image, not in 0 to 255.
        levels = np.clip(levels + np.float32(intensity), image.min(), image.max())
    whole: Pixels = _rounding(brightness)(levels).astype(np.uint8)
    return whole if brightness is None else _brightened(brightness)[whole]


def _brightened(brightness: float) -> Pixels:
    """What Pillow's enhancer, which Keras calls, makes of each grey level: uint8, shape (256,)."""
    levels = Image.fromarray(np.arange(256, dtype=np.uint8)[np.newaxis])
    brightened: Pixels = np.asarray(ImageEnhance.Brightness(levels).enhance(brightness)).ravel()
    return brightened


def _rounding(brightness: float | None) -> np.ufunc:
    """How values become grey levels: Keras cuts off the fractions before it calls Pillow."""
    return np.rint if brightness is None else np.trunc


# Places


def _flip(image: Pixels, parameters: Mapping[str, Any]) -> Pixels:
    rows, columns = _directions(parameters)
    flipped = np.empty_like(image)
    for channel in range(3):  # Several times as fast as all at once.
        flipped[..., channel] = image[rows, columns, channel]
    return flipped


def _directions(parameters: Mapping[str, Any]) -> tuple[slice, slice]:
    """In which order the rows and the columns are read."""
    rows, columns = (
        slice(None, None, -1 if parameters[name] else 1)
        for name in ("flip_vertical", "flip_horizontal")
    )
    return rows, columns


def _affine(parameters: Mapping[str, Any], height: int, width: int) -> Floats | None:
    """Keras' matrix from places in the result to places in the image.

    Multiplied as Keras multiplies, for the same rounding, and otherwise, too, as it is there: the
    height centres the first coordinate, which is then taken for the column, and the width the
    second, which is taken for the row.

    Returns:
        float64, shape (2, 3), for row and column; None when nothing moves.
    """
    theta, shear = np.deg2rad(parameters["theta"]), np.deg2rad(parameters["shear"])
    tx, ty, zx, zy = (parameters[name] for name in ("tx", "ty", "zx", "zy"))
    steps = (
        (theta != 0, ((np.cos(theta), -np.sin(theta), 0), (np.sin(theta), np.cos(theta), 0))),
        (tx != 0 or ty != 0, ((1, 0, tx), (0, 1, ty))),
        (shear != 0, ((1, -np.sin(shear), 0), (0, np.cos(shear), 0))),
        (zx != 1 or zy != 1, ((zx, 0, 0), (0, zy, 0))),
    )
    matrices = [_square(*rows) for needed, rows in steps if needed]
    if not matrices:
        return None
    x, y = height / 2 - 0.5, width / 2 - 0.5
    there, back = _square((1, 0, x), (0, 1, y)), _square((1, 0, -x), (0, 1, -y))
    centred = np.dot(np.dot(there, functools.reduce(np.dot, matrices)), back)
    affine: Floats = centred[[1, 0]][:, [1, 0, 2]]
    return affine


def _square(*rows: tuple[float, float, float]) -> Floats:
    return np.array([*rows, (0, 0, 1)], np.float64)


def _clip(coordinates: Floats, size: int) -> None:
    np.clip(coordinates, 0, size - 1, out=coordinates)


def _reflect(coordinates: Floats, size: int) -> None:
    """``d c b a | a b c d | d c b a``: mirrors at -1/2 and at size - 1/2."""
    coordinates += 0.5
    np.abs(coordinates, out=coordinates)
    if coordinates.max() > 2 * size:
        np.mod(coordinates, 2 * size, out=coordinates)
    coordinates -= size
    np.abs(coordinates, out=coordinates)
    np.subtract(size - 0.5, coordinates, out=coordinates)
    _clip(coordinates, size)


def _wrap(coordinates: Floats, size: int) -> None:
    """SciPy's "wrap": the first pixel lies where the last one is, so the period is size - 1.

    The value there depends on the side: 0 and size - 1 stay what they are, their multiples become
    size - 1 below and 0 above.
    """
    period = size - 1
    if period == 0:
        coordinates.fill(0)
        return
    for outside, sign in ((coordinates < 0, 1), (coordinates > period, -1)):
        values = coordinates[outside]
        periods = np.trunc(np.abs(values) / period) + (sign > 0)
        coordinates[outside] = values + sign * period * periods


#: How coordinates are brought to 0 ... size - 1, in place.
_FOLDS: dict[str, Callable[[Floats, int], None]] = {
    "nearest": _clip,
    "constant": _clip,  # And then the value is replaced.
    "reflect": _reflect,
    "wrap": _wrap,
}


class _Axis(NamedTuple):
    """Where along one axis of the image the pixels of the result come from.

    The pixel in row i and column j comes from ``of_row[i] + of_column[j] + offset``.
    """

    of_row: Floats
    of_column: Floats
    offset: float
    #: Of the image, in pixels.
    size: int
    #: From one pixel of the image to the next, in bytes.
    stride: int
    #: Whether anything comes from outside the image.
    leaves: bool

    @property
    def neighbour(self) -> int:
        """The way to the next pixel, in bytes; to the pixel itself where there is but one."""
        return self.stride if self.size > 1 else 0


def _axis(factors: Floats, i: Floats, j: Floats, size: int, stride: int) -> _Axis:
    """The axis that a row of the matrix describes, for rows ``i`` and columns ``j``."""
    of_row, of_column, offset = factors[0] * i, factors[1] * j, float(factors[2])
    corners = np.add.outer(of_row[[0, -1]], of_column[[0, -1]]) + offset
    leaves = bool(corners.min() < 0 or corners.max() > size - 1)
    return _Axis(of_row, of_column, offset, size, stride, leaves)


class _Block:
    """Working arrays for some rows of the result, all of shape (rows, width)."""

    def __init__(self, rows: int, width: int, real: type[np.floating[Any]]) -> None:
        self.key = (rows, width, real)
        shape = (rows, width)
        self.coordinates, self.y, self.x = np.empty((3, *shape))
        self.index = np.empty(shape, np.intp)
        self.outside = np.empty(shape, np.bool_)
        #: For the pixel itself, the one to the right, the one below, and the one right below.
        self.weights = np.empty((4, *shape), real)
        self.pixels = np.empty(shape, np.uint8)
        self.sum, self.summand = np.empty((2, *shape), real)
        self.values = self.sum if real is np.float32 else np.empty(shape, np.float32)

    def locate(self, vertical: _Axis, horizontal: _Axis, rows: slice, fill_mode: str) -> None:
        """Find, for some rows of the result, the pixels of the image and their weights."""
        here, right, below, both = self.weights
        self.outside.fill(False)
        for axis, fraction, whole in ((vertical, below, self.y), (horizontal, right, self.x)):
            np.copyto(self.coordinates, axis.of_row[rows, np.newaxis])
            self.coordinates += axis.of_column
            self.coordinates += axis.offset
            if axis.leaves:
                if fill_mode == "constant":
                    self.outside |= self.coordinates < 0
                    self.outside |= self.coordinates > axis.size - 1
                _FOLDS[fill_mode](self.coordinates, axis.size)
            np.floor(self.coordinates, out=whole)
            self.coordinates -= whole
            np.copyto(fraction, self.coordinates, casting="same_kind")
            whole *= axis.stride
        np.add(self.y, self.x, out=self.index, casting="unsafe")
        np.multiply(right, below, out=both)
        right -= both
        below -= both
        np.subtract(1, both, out=here)
        here -= right
        here -= below

    def interpolate(self, channel: Pixels, below: int, right: int) -> NDArray[np.float32]:
        """The values of one channel.

        Args:
            channel: uint8, the flat image from the channel's first byte on.
            below: How far the pixel below is, in bytes.
            right: How far the pixel to the right is.

        Returns:
            float32, one of the working arrays.
        """
        target = self.sum
        for weight, distance in zip(self.weights, (0, right, below, below + right), strict=True):
            # To the right of the last column and below the last row, where the weight is 0, any
            # pixel will do.
            np.take(channel[distance:], self.index, out=self.pixels, mode="clip")
            np.copyto(target, self.pixels)
            target *= weight
            if target is self.summand:
                self.sum += target
            target = self.summand
        if self.values is not self.sum:
            np.copyto(self.values, self.sum, casting="same_kind")
        return self.values


class _Kept(threading.local):
    """Each thread's last block. Memory new for each image would take 0.4 ms more."""

    block: _Block | None = None


_kept = _Kept()


def _block(rows: int, width: int, real: type[np.floating[Any]]) -> _Block:
    block = _kept.block
    if block is None or block.key != (rows, width, real):
        block = _kept.block = _Block(rows, width, real)
    return block


def _resample(
    image: Pixels, affine: Floats, parameters: Mapping[str, Any], fill_mode: str, cval: float
) -> Pixels:
    """The image moved, its levels shifted, and flipped: all but the brightness."""
    height, width = image.shape[:2]
    intensity, brightness = parameters["channel_shift_intensity"], parameters["brightness"]
    round_ = _rounding(brightness)
    # To flip the result is to compute the same places in the other order.
    down, across = _directions(parameters)
    i, j = np.arange(float(height))[down], np.arange(float(width))[across]
    vertical = _axis(affine[0], i, j, height, 3 * width)
    horizontal = _axis(affine[1], i, j, width, 3)
    rows = math.ceil(height / max(1, round(height * width / _BLOCK_PIXELS)))
    block = _block(rows, width, np.float32 if brightness is None else np.float64)
    flat = image.reshape(-1)
    result = np.empty_like(image)
    lowest, highest = math.inf, -math.inf
    for start in range(0, height, rows):
        # The last block is as large as the others, and may begin in the one before.
        first = min(start, height - rows)
        part = slice(first, first + rows)
        block.locate(vertical, horizontal, part, fill_mode)
        for channel in range(3):
            values = block.interpolate(flat[channel:], vertical.neighbour, horizontal.neighbour)
            if fill_mode == "constant":
                np.copyto(values, np.float32(cval), where=block.outside)
            if intensity is not None:
                lowest = min(lowest, float(values.min()))
                highest = max(highest, float(values.max()))
                values += np.float32(intensity)
                np.clip(values, 0, 255, out=values)
            round_(values, out=values)
            np.copyto(result[part, :, channel], values, casting="unsafe")
    if intensity is not None:
        # Keras clips to the values' own range before rounding; after it, it is the same.
        limits = np.uint8(round_(lowest)), np.uint8(round_(highest))
        np.clip(result, *limits, out=result)
    return result
