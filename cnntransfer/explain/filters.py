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
from .options import Options
from .sheets import Row, draw_sheet, normalised
from .subject import Subject

_RGB = 3
#: Kernels that are drawn in colour, in a row and in all.
_IN_ROW, _MOST = 16, 256


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
    rows = _coloured(kernel) if in_colour else _by_channel(kernel, options.channels)
    height, width, channels, filters = kernel.shape
    title = f"{subject.name}: {layer.name}, kernels {height}×{width}×{channels}×{filters}"
    legend = "each kernel from its smallest to its largest weight: " + (
        "as red, green and blue from 0 to 1"
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


def _coloured(kernel: NDArray[np.float32]) -> list[Row]:
    cells = [normalised(kernel[..., number]) for number in range(min(_MOST, kernel.shape[3]))]
    return [
        Row(f"{start} to {start + len(part) - 1}", part)
        for start in range(0, len(cells), _IN_ROW)
        if (part := cells[start : start + _IN_ROW])
    ]


def _by_channel(kernel: NDArray[np.float32], most: int) -> list[Row]:
    """The strongest filters, a row each, by their strongest channels."""
    if kernel.shape[3] == 1:  # A depthwise convolution: a filter is a channel.
        return _depthwise(kernel[..., 0], most)
    rows = []
    for number in strongest(np.square(kernel).sum(axis=(0, 1, 2)), most):
        own = kernel[..., number]
        channels = strongest(np.square(own).sum(axis=(0, 1)), _IN_ROW)
        stretched = normalised(own)
        cells = [stretched[..., channel] for channel in channels]
        rows.append(Row(f"filter {number}", cells, [str(channel) for channel in channels]))
    return rows


def _depthwise(kernel: NDArray[np.float32], most: int) -> list[Row]:
    channels = strongest(np.square(kernel).sum(axis=(0, 1)), most * _IN_ROW)
    return [
        Row("channels", [normalised(kernel[..., c]) for c in part], [str(c) for c in part])
        for start in range(0, len(channels), _IN_ROW)
        if (part := channels[start : start + _IN_ROW])
    ]


def strongest(strengths: NDArray[np.floating[Any]], most: int) -> Sequence[int]:
    """The places of the largest numbers, largest first."""
    return [int(place) for place in np.argsort(-strengths, kind="stable")[:most]]
