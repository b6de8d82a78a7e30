"""The arithmetic of layers: sizes, parameters, multiply-adds, receptive fields.

Pure functions of numbers: nothing here imports Keras. A layer of a textbook exercise and a layer of
a Keras network become the same description (:mod:`.layers`), so each formula stands here once.
"""

from .convolutions import Composed, Convolution, Depthwise, Separable
from .field import Axis, ReceptiveField
from .layer import Layer, Parameters, Shape, size_of
from .layers import (
    Channels,
    Dense,
    Flatten,
    GlobalPooling,
    Input,
    Merge,
    Padding,
    PerChannel,
    Pooling,
    Reshape,
)
from .network import Anatomy, Facts, Placed, chain, measure
from .window import SAME, VALID, Pair, Sides, Span, Window

__all__ = [
    "SAME",
    "VALID",
    "Anatomy",
    "Axis",
    "Channels",
    "Composed",
    "Convolution",
    "Dense",
    "Depthwise",
    "Facts",
    "Flatten",
    "GlobalPooling",
    "Input",
    "Layer",
    "Merge",
    "Padding",
    "Pair",
    "Parameters",
    "PerChannel",
    "Placed",
    "Pooling",
    "ReceptiveField",
    "Reshape",
    "Separable",
    "Shape",
    "Sides",
    "Span",
    "Window",
    "chain",
    "measure",
    "size_of",
]
