"""The maps that convolutions and poolings make of an image.

Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901.

Arrays: for every layer, by its name, float32, shape (height, width, channels): what it gives.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .explanation import Explanation, Photo
from .filters import strongest
from .layers import choose, mapped
from .options import CHANNELS, Options
from .sheets import Row, draw_sheet, normalised, numbered_rows
from .subject import Subject


def explain(subject: Subject, photo: Photo, options: Options) -> Explanation:
    """Show the maps of all layers, or of one with all its channels.

    Raises:
        UsageError: there is no such layer or channel.
    """
    layers = mapped(subject)
    if not layers:
        raise UsageError(
            f"Expected a network with maps of more than one place. Received: {subject.name} at "
            f"{'x'.join(map(str, subject.input.image_size))} pixels."
        )
    if options.layer is not None:
        layers = [choose("--layer", layers, options.layer)]
    network = subject.part([subject.model.input], [layer.output for layer in layers])
    outputs = network(photo.pixels[np.newaxis].astype(np.float32))
    maps = {
        layer.name: np.asarray(output)[0] for layer, output in zip(layers, outputs, strict=True)
    }
    if options.layer is None:
        rows = [_row(name, values, options) for name, values in maps.items()]
    else:
        ((name, values),) = maps.items()
        rows = _all_channels(name, values, options)
    legend = (
        "each map from its smallest (dark) to its largest number (light); below, the channel, "
        "strongest first"
    )
    title = f"{subject.name}: what its layers make of {photo.path.name}"
    draw = partial(draw_sheet, rows=rows, title=title, legend=legend)
    facts = {"file": str(photo.path), "layers": list(maps)}
    return Explanation("features", photo.path.stem, maps, draw, facts)


def _row(name: str, maps: NDArray[np.float32], options: Options) -> Row:
    height, width, channels = maps.shape
    chosen = _chosen(name, maps, options, options.channels or CHANNELS)
    cells = [normalised(maps[..., channel]) for channel in chosen]
    return Row(f"{name}\n{height}×{width}×{channels}", cells, [str(c) for c in chosen])


def _all_channels(name: str, maps: NDArray[np.float32], options: Options) -> list[Row]:
    chosen = _chosen(name, maps, options, options.channels or maps.shape[2])
    return numbered_rows("channels", maps, chosen)


def _chosen(name: str, maps: NDArray[np.float32], options: Options, most: int) -> list[int]:
    if options.channel is None:
        return list(strongest(np.abs(maps).mean(axis=(0, 1)), most))
    if options.channel >= maps.shape[2]:
        raise UsageError(
            f"--channel: expected a number from 0 to {maps.shape[2] - 1} for {name}. "
            f"Received: {options.channel}."
        )
    return [options.channel]
