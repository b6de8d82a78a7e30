"""The kernels of a convolution.

Arrays: ``kernel``, float32, as Keras keeps it: shape (height, width, channels in, filters), of a
depthwise convolution (height, width, channels, multiplier). Where the network is given blue, green,
red, the first one's channels are turned round: they are red, green, blue.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .explanation import Explanation
from .layers import choose, convolutions
from .options import CHANNELS, Options
from .sheets import IN_ROW, Row, draw_sheet, normalised, numbered_rows
from .subject import Subject

_RGB = 3
#: So many kernels are drawn in colour.
_MOST = 256


def explain(subject: Subject, options: Options) -> Explanation:
    """Show a convolution's kernels; those that see three channels in colour.

    Raises:
        UsageError: there is no such layer or channel.
    """
    layers = convolutions(subject)
    layer = choose("--layer", layers, options.layer or "1")
    kernel = _kernel(layer)
    if layer is layers[0] and kernel.shape[2] == _RGB and subject.is_bgr:
        kernel = kernel[:, :, ::-1]
    in_colour = kernel.shape[2] == _RGB and kernel.shape[3] > 1
    rows = (
        _coloured(kernel, options.channels)
        if in_colour
        else _by_channel(kernel, options.channels or CHANNELS)
    )
    height, width, channels, filters = kernel.shape
    title = f"{subject.name}: {layer.name}, kernels {height}×{width}×{channels}×{filters}"
    legend = "each kernel from its smallest to its largest weight: " + (
        "as red, green and blue from 0 to 1; below, its number"
        if in_colour
        else "dark to light; below, the channel, strongest first"
    )
    draw = partial(draw_sheet, rows=rows, title=title, legend=legend)
    facts = {"network": subject.name, "layer": layer.name}
    return Explanation("filters", f"{subject.name}-{layer.name}", {"kernel": kernel}, draw, facts)


def _kernel(layer: Any) -> NDArray[np.float32]:
    kernel = getattr(layer, "depthwise_kernel", None)
    values: NDArray[np.float32] = np.asarray(layer.kernel if kernel is None else kernel)
    return values


def _coloured(kernel: NDArray[np.float32], most: int | None) -> list[Row]:
    """All filters in their order, or the strongest."""
    strengths = np.square(kernel).sum(axis=(0, 1, 2))
    chosen = range(min(_MOST, kernel.shape[3])) if most is None else strongest(strengths, most)
    return numbered_rows("filters", kernel, chosen)


def _by_channel(kernel: NDArray[np.float32], most: int) -> list[Row]:
    """The strongest filters, a row each, by their strongest channels."""
    if kernel.shape[3] == 1:  # A depthwise convolution: a filter is a channel.
        return _depthwise(kernel[..., 0], most)
    rows = []
    for number in strongest(np.square(kernel).sum(axis=(0, 1, 2)), most):
        own = kernel[..., number]
        channels = strongest(np.square(own).sum(axis=(0, 1)), IN_ROW)
        stretched = normalised(own)
        cells = [stretched[..., channel] for channel in channels]
        rows.append(Row(f"filter {number}", cells, [str(channel) for channel in channels]))
    return rows


def _depthwise(kernel: NDArray[np.float32], most: int) -> list[Row]:
    channels = strongest(np.square(kernel).sum(axis=(0, 1)), most * IN_ROW)
    return numbered_rows("channels", kernel, channels)


def strongest(strengths: NDArray[np.floating[Any]], most: int) -> Sequence[int]:
    """The places of the largest numbers, largest first."""
    return [int(place) for place in np.argsort(-strengths, kind="stable")[:most]]
