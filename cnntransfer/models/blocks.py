"""Where the headless backbones can be cut: the blocks of each, from the top downwards.

A block is written as its name, the number of the trunk's top layers (in the order of
Keras's ``model.layers``, without the input and without our preprocessing) that belong to it
or to a block above it, and the channels of the map at its end. So the number of layers is what
"unfreeze down to this block" means, and the lowest block's is the number of all layers.

Everything at and above a block's first layer depends on what lies below through exactly one
tensor, so that tensor can be computed once and stored. Only NASNet cannot be cut like that:
each of its cells reads the outputs of the two cells before it, so two tensors cross the
boundaries below ``stack3`` and ``stack2`` and three the one below ``stack1``.

The names are the ones that Keras and the papers use, in lower case and without separators:
what Keras calls ``block_16`` or ``mixed_7a`` is ``block16`` and ``mixed7a`` here. The numbers
were counted on the built models; ``tests/real/test_all_backbones.py`` counts them again.
"""

from __future__ import annotations

from typing import NamedTuple


class Block(NamedTuple):
    """A block of a headless backbone.

    Attributes:
        name: Lower case, without separators.
        layers: The number of top layers that belong to it or to a block above it.
        channels: Of the map at its end.
    """

    name: str
    layers: int
    channels: int


def _blocks(names: str, layers: tuple[int, ...], channels: tuple[int, ...]) -> tuple[Block, ...]:
    return tuple(Block(*row) for row in zip(names.split(), layers, channels, strict=True))


def _down(prefix: str, top: int, bottom: int) -> str:
    """``_down("block", 3, 1)`` is ``"block3 block2 block1"``."""
    return " ".join(f"{prefix}{number}" for number in range(top, bottom - 1, -1))


_VGG = _down("block", 5, 1)
# The last normalisation and ReLU of ResNetV2 and DenseNet belong to conv5, and DenseNet's
# transitions (pool2 to pool4) to the dense block whose output they shrink.
_RESNET = _down("conv", 5, 1)
_INCEPTION_RESNET = "conv7b block8 mixed7a block17 mixed6a block35 mixed5b stem"
_NASNET = "stack3 stack2 stack1 stem"
_MOBILENET_V2 = f"top {_down('block', 16, 0)} stem"
_MOBILENET_V3_SMALL = f"top {_down('block', 10, 0)} stem"
_MOBILENET_V3_LARGE = f"top {_down('block', 14, 0)} stem"
_EFFICIENTNET_6 = f"top {_down('block', 6, 1)} stem"
_EFFICIENTNET_7 = f"top {_down('block', 7, 1)} stem"
# The layer that halves the size belongs to the stage it leads into, the stem to stage0.
_CONVNEXT = _down("stage", 3, 0)
# The classics. Hidden dense layers are one block; a pooling that halves the map belongs to the
# layers before it, but in GoogLeNet to the module behind it, where its numbers change.
_FIVE_AND_DENSE = f"dense {_down('conv', 5, 1)}"
_VGG_AND_DENSE = f"dense {_VGG}"
_VGG_WIDTHS = (4096, 512, 512, 256, 128, 64)
_GOOGLENET = (
    " ".join(
        f"inception{module}" for module in ("5b", "5a", "4e", "4d", "4c", "4b", "4a", "3b", "3a")
    )
    + " stem"
)

# fmt: off
BLOCKS: dict[str, tuple[Block, ...]] = {
    "vgg16":              _blocks(_VGG,
                                  (4, 8, 12, 15, 18),
                                  (512, 512, 256, 128, 64)),
    "vgg19":              _blocks(_VGG,
                                  (5, 10, 15, 18, 21),
                                  (512, 512, 256, 128, 64)),
    "resnet50":           _blocks(_RESNET,
                                  (32, 94, 136, 168, 174),
                                  (2048, 1024, 512, 256, 64)),
    "resnet101":          _blocks(_RESNET,
                                  (32, 264, 306, 338, 344),
                                  (2048, 1024, 512, 256, 64)),
    "resnet152":          _blocks(_RESNET,
                                  (32, 394, 476, 508, 514),
                                  (2048, 1024, 512, 256, 64)),
    "resnet50_v2":        _blocks(_RESNET,
                                  (36, 104, 150, 185, 189),
                                  (2048, 1024, 512, 256, 64)),
    "resnet101_v2":       _blocks(_RESNET,
                                  (36, 291, 337, 372, 376),
                                  (2048, 1024, 512, 256, 64)),
    "resnet152_v2":       _blocks(_RESNET,
                                  (36, 434, 524, 559, 563),
                                  (2048, 1024, 512, 256, 64)),
    "densenet121":        _blocks(_RESNET,
                                  (114, 286, 374, 420, 426),
                                  (1024, 512, 256, 128, 64)),
    "densenet169":        _blocks(_RESNET,
                                  (226, 454, 542, 588, 594),
                                  (1664, 640, 256, 128, 64)),
    "densenet201":        _blocks(_RESNET,
                                  (226, 566, 654, 700, 706),
                                  (1920, 896, 256, 128, 64)),
    "inception_v3":       _blocks(f"{_down('mixed', 10, 0)} stem",
                                  (31, 62, 82, 114, 146, 178, 210, 224, 247, 270, 293, 310),
                                  (2048, 2048, 1280, 768, 768, 768, 768, 768, 288, 288, 256, 192)),
    "inception_resnet_v2":_blocks(_INCEPTION_RESNET,
                                  (3, 162, 185, 505, 519, 739, 762, 779),
                                  (1536, 2080, 2080, 1088, 1088, 320, 320, 192)),
    "xception":           _blocks(_down("block", 14, 1),
                                  (6, 16, 26, 36, 46, 56, 66, 76, 86, 96, 106, 116, 125, 131),
                                  (2048, 1024, 728, 728, 728, 728, 728, 728, 728, 728, 728,
                                   256, 128, 64)),
    "nasnet_mobile":      _blocks(_NASNET,
                                  (238, 475, 658, 768),
                                  (1056, 528, 264, 88)),
    "nasnet_large":       _blocks(_NASNET,
                                  (328, 655, 928, 1038),
                                  (4032, 2016, 1008, 336)),
    "mobilenet":          _blocks(f"{_down('block', 13, 1)} stem",
                                  (6, 13, 19, 25, 31, 37, 43, 50, 56, 63, 69, 76, 82, 85),
                                  (1024, 1024, 512, 512, 512, 512, 512, 512,
                                   256, 256, 128, 128, 64, 32)),
    "mobilenet_v2":       _blocks(_MOBILENET_V2,
                                  (3, 11, 20, 29, 38, 47, 56, 64, 73, 82, 91, 100, 109, 118,
                                   127, 136, 145, 150, 153),
                                  (1280, 320, 160, 160, 160, 96, 96, 96, 64, 64, 64, 64, 32, 32,
                                   32, 24, 24, 16, 32)),
    "mobilenet_v3_small": _blocks(_MOBILENET_V3_SMALL,
                                  (3, 18, 33, 48, 63, 77, 92, 107, 122, 131, 140, 152, 156),
                                  (576, 96, 96, 96, 48, 48, 40, 40, 40, 24, 24, 16, 16)),
    "mobilenet_v3_large": _blocks(_MOBILENET_V3_LARGE,
                                  (3, 18, 33, 48, 63, 77, 86, 95, 104, 113, 128, 143, 158, 167,
                                   176, 182, 186),
                                  (960, 160, 160, 160, 112, 112, 80, 80, 80, 80, 40, 40, 40, 24,
                                   24, 16, 16)),
    "efficientnet_b0":    _blocks(_EFFICIENTNET_7,
                                  (3, 16, 75, 118, 162, 191, 220, 230, 237),
                                  (1280, 320, 192, 112, 80, 40, 24, 16, 32)),
    "efficientnet_b1":    _blocks(_EFFICIENTNET_7,
                                  (3, 31, 105, 163, 222, 266, 310, 332, 339),
                                  (1280, 320, 192, 112, 80, 40, 24, 16, 32)),
    "efficientnet_b2":    _blocks(_EFFICIENTNET_7,
                                  (3, 31, 105, 163, 222, 266, 310, 332, 339),
                                  (1408, 352, 208, 120, 88, 48, 24, 16, 32)),
    "efficientnet_b3":    _blocks(_EFFICIENTNET_7,
                                  (3, 31, 120, 193, 267, 311, 355, 377, 384),
                                  (1536, 384, 232, 136, 96, 48, 32, 24, 40)),
    "efficientnet_b4":    _blocks(_EFFICIENTNET_7,
                                  (3, 31, 150, 238, 327, 386, 445, 467, 474),
                                  (1792, 448, 272, 160, 112, 56, 32, 24, 48)),
    "efficientnet_b5":    _blocks(_EFFICIENTNET_7,
                                  (3, 46, 180, 283, 387, 461, 535, 569, 576),
                                  (2048, 512, 304, 176, 128, 64, 40, 24, 48)),
    "efficientnet_b6":    _blocks(_EFFICIENTNET_7,
                                  (3, 46, 210, 328, 447, 536, 625, 659, 666),
                                  (2304, 576, 344, 200, 144, 72, 40, 32, 56)),
    "efficientnet_b7":    _blocks(_EFFICIENTNET_7,
                                  (3, 61, 255, 403, 552, 656, 760, 806, 813),
                                  (2560, 640, 384, 224, 160, 80, 48, 32, 64)),
    "efficientnet_v2_b0": _blocks(_EFFICIENTNET_6,
                                  (3, 121, 194, 237, 249, 261, 264, 269),
                                  (1280, 192, 112, 96, 48, 32, 16, 32)),
    "efficientnet_v2_b1": _blocks(_EFFICIENTNET_6,
                                  (3, 136, 224, 282, 301, 320, 328, 333),
                                  (1280, 192, 112, 96, 48, 32, 16, 32)),
    "efficientnet_v2_b2": _blocks(_EFFICIENTNET_6,
                                  (3, 151, 239, 297, 316, 335, 343, 348),
                                  (1408, 208, 120, 104, 56, 32, 16, 32)),
    "efficientnet_v2_b3": _blocks(_EFFICIENTNET_6,
                                  (3, 181, 284, 357, 376, 395, 403, 408),
                                  (1536, 232, 136, 112, 56, 40, 16, 40)),
    "efficientnet_v2_s":  _blocks(_EFFICIENTNET_6,
                                  (3, 226, 359, 447, 473, 499, 508, 512),
                                  (1280, 256, 160, 128, 64, 48, 24, 24)),
    "efficientnet_v2_m":  _blocks(_EFFICIENTNET_7,
                                  (3, 76, 344, 552, 655, 688, 721, 735, 739),
                                  (1280, 512, 304, 176, 160, 80, 48, 24, 24)),
    "efficientnet_v2_l":  _blocks(_EFFICIENTNET_7,
                                  (3, 106, 479, 762, 910, 957, 1004, 1023, 1027),
                                  (1280, 640, 384, 224, 192, 96, 64, 32, 32)),
    "convnext_tiny":      _blocks(_CONVNEXT,
                                  (23, 87, 109, 132),
                                  (768, 384, 192, 96)),
    "convnext_small":     _blocks(_CONVNEXT,
                                  (23, 213, 235, 258),
                                  (768, 384, 192, 96)),
    "convnext_base":      _blocks(_CONVNEXT,
                                  (23, 213, 235, 258),
                                  (1024, 512, 256, 128)),
    "convnext_large":     _blocks(_CONVNEXT,
                                  (23, 213, 235, 258),
                                  (1536, 768, 384, 192)),
    "convnext_xlarge":    _blocks(_CONVNEXT,
                                  (23, 213, 235, 258),
                                  (2048, 1024, 512, 256)),
    "lecture_mnist":      _blocks("dense conv2 conv1",
                                  (3, 5, 7),
                                  (100, 20, 10)),
    "lenet5":             _blocks("f6 c5 c3 c1",
                                  (1, 2, 21, 24),
                                  (84, 120, 16, 6)),
    "alexnet":            _blocks(_FIVE_AND_DENSE,
                                  (6, 10, 13, 14, 18, 20),
                                  (4096, 256, 384, 384, 256, 96)),
    "zfnet":              _blocks(_FIVE_AND_DENSE,
                                  (6, 8, 9, 10, 12, 15),
                                  (4096, 256, 384, 384, 256, 96)),
    "network_in_network": _blocks(_down("mlpconv", 3, 1),
                                  (2, 7, 12),
                                  (192, 192, 96)),
    "vgg_a":              _blocks(_VGG_AND_DENSE, (6, 9, 12, 15, 17, 19), _VGG_WIDTHS),
    "vgg_b":              _blocks(_VGG_AND_DENSE, (6, 9, 12, 15, 18, 21), _VGG_WIDTHS),
    "vgg_c":              _blocks(_VGG_AND_DENSE, (6, 10, 14, 18, 21, 24), _VGG_WIDTHS),
    "vgg_d":              _blocks(_VGG_AND_DENSE, (6, 10, 14, 18, 21, 24), _VGG_WIDTHS),
    "vgg_e":              _blocks(_VGG_AND_DENSE, (6, 11, 16, 21, 24, 27), _VGG_WIDTHS),
    "googlenet":          _blocks(_GOOGLENET,
                                  (8, 17, 25, 33, 41, 49, 58, 66, 74, 79),
                                  (1024, 832, 832, 528, 512, 512, 512, 480, 256, 192)),
    "resnet18":           _blocks(_RESNET,
                                  (16, 32, 48, 62, 66),
                                  (512, 256, 128, 64, 64)),
    "resnet34":           _blocks(_RESNET,
                                  (23, 67, 97, 118, 122),
                                  (512, 256, 128, 64, 64)),
}
# fmt: on
