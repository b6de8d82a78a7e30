"""The crops of many photos that excite a channel most.

Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901,
figure 2; the crop is the receptive field of the place with the largest number, one per photo.

Arrays: ``channels``, int64, shape (c,). For each its best photos, best first: ``activations``,
float32, shape (c, top); ``images``, int64, the same shape: places in the list of files; ``boxes``,
int64, shape (c, top, 4): top, left, bottom, right of the crop, in pixels of the network's image.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines.keras import KerasEngine
from ..errors import DataError, UsageError
from ..frameworks import keras
from ..models.anatomy import ReceptiveField, measure
from ..models.anatomy.keras_graph import graph_of, placed
from .explanation import Explanation, Photo
from .filters import strongest
from .layers import choose, with_maps
from .options import CHANNELS, Options
from .sheets import Row, draw_sheet
from .subject import Subject

Box = tuple[int, int, int, int]


def explain(subject: Subject, photos: Sequence[Photo], options: Options) -> Explanation:
    """Show what a layer's channels react to.

    Raises:
        UsageError: there is no such layer or channel.
        DataError: there are fewer photos than crops of a channel.
    """
    if len(photos) < options.top:
        raise DataError(
            f"Expected at least {options.top} photos, the crops of a channel. "
            f"Received: {len(photos)}. Give a folder of photos, or a smaller --top."
        )
    layer = choose("--layer", with_maps(subject), options.layer or "-1")
    peaks, places = _peaks(subject, layer, photos)
    channels = _channels(peaks, layer.name, options)
    field = _field(subject, layer.name)
    best = np.argsort(-peaks[:, channels], axis=0, kind="stable")[: options.top].T
    size = subject.input.image_size
    boxes = [
        [_box(field, places[image, channel], size) for image in row]
        for channel, row in zip(channels, best, strict=True)
    ]
    activations = np.take_along_axis(peaks[:, channels].T, best, axis=1)
    rows = [
        Row(
            f"channel {channel}",
            [_crop(photos[image], box) for image, box in zip(images, own, strict=True)],
            [f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}" for value in values],
        )
        for channel, images, own, values in zip(channels, best, boxes, activations, strict=True)
    ]
    height, width = field.size
    title = f"{subject.name}: what excites {layer.name} most, of {len(photos)} photos"
    legend = (
        f"receptive field {height}×{width} of {size[0]}×{size[1]} pixels; below, the largest number"
    )
    arrays: dict[str, NDArray[Any]] = {
        "channels": np.array(channels, np.int64),
        "activations": activations.astype(np.float32),
        "images": best.astype(np.int64),
        "boxes": np.array(boxes, np.int64),
    }
    facts = {
        "network": subject.name,
        "layer": layer.name,
        "receptive_field": [height, width],
        "files": [str(photo.path) for photo in photos],
    }
    draw = partial(draw_sheet, rows=rows, title=title, legend=legend)
    return Explanation("patches", f"{subject.name}-{layer.name}", arrays, draw, facts)


def _peaks(
    subject: Subject, layer: Any, photos: Sequence[Photo]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Of every photo and channel the largest number, (n, c), and its place, (n, c, 2)."""
    engine = KerasEngine(keras().Model(subject.model.input, layer.output))
    peaks, places = [], []
    for output in engine.map(lambda photo: photo.pixels, photos):
        flat = output.features.reshape(-1, output.features.shape[-1])
        highest = flat.argmax(axis=0)
        peaks.append(flat.max(axis=0))
        places.append(np.stack(np.unravel_index(highest, output.features.shape[:2]), axis=-1))
    return np.stack(peaks), np.stack(places)


def _channels(peaks: NDArray[np.float32], name: str, options: Options) -> list[int]:
    """The channel that was asked for, or those whose best photos stand out most from their mean."""
    count = peaks.shape[1]
    if options.channel is None:
        spread = peaks.std(axis=0)
        # All crops that are shown, not the best alone: that is one that nothing else excites.
        best = np.sort(peaks, axis=0)[-options.top :].mean(axis=0)
        outstanding = (best - peaks.mean(axis=0)) / np.where(spread > 0, spread, 1)
        return list(strongest(outstanding, options.channels or CHANNELS))
    if options.channel >= count:
        raise UsageError(
            f"--channel: expected a number from 0 to {count - 1} for {name}. "
            f"Received: {options.channel}."
        )
    return [options.channel]


def _field(subject: Subject, name: str) -> ReceptiveField:
    anatomy = measure(subject.name, placed(graph_of(subject.model), lambda entry: False))
    return next(facts.field for facts in anatomy.layers if facts.name == name)


def _box(field: ReceptiveField, place: NDArray[np.int64], size: tuple[int, int]) -> Box:
    """What a place of a map sees of the image."""
    (top, bottom), (left, right) = (
        (
            max(0, int(axis.start + int(at) * axis.jump)),
            min(side, int(axis.end + int(at) * axis.jump) + 1),
        )
        for axis, at, side in zip((field.vertical, field.horizontal), place, size, strict=True)
    )
    return top, left, max(bottom, top + 1), max(right, left + 1)


def _crop(photo: Photo, box: Box) -> NDArray[np.float32]:
    """A crop, made square by grey, 0..1."""
    top, left, bottom, right = box
    crop = photo.pixels[top:bottom, left:right].astype(np.float32) / 255
    height, width = crop.shape[:2]
    side = max(height, width)
    square = np.full((side, side, 3), 0.5, np.float32)
    down, across = (side - height) // 2, (side - width) // 2
    square[down : down + height, across : across + width] = crop
    return square
