"""The table of backbones: every constructor of ``keras.applications`` and every classic.

Adding a backbone is one row in its family here and one row of blocks in ``blocks.py``.
Importing this module imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import frameworks
from ..errors import UsageError, nearest
from .blocks import BLOCKS, Block
from .preprocessing import Preprocessing, preprocess

__all__ = ["BACKBONES", "Backbone", "Preprocessing", "get_backbone"]


@dataclass(frozen=True)
class Backbone:
    """One row of the table: a convolutional network, for most of which Keras has ImageNet weights.

    "Headless" means built without its classifier (``include_top=False``) and without pooling.
    """

    #: Snake-case name, the one that recipes and commands use, such as 'mobilenet_v2'.
    name: str
    #: Attribute of ``keras.applications``, such as 'MobileNetV2', or of a classic's module.
    constructor: str
    #: Submodule of ``keras.applications`` that holds the matching ``preprocess_input``; of a
    #: classic, the module of ``classics`` that holds its constructor.
    module: str
    preprocessing: Preprocessing
    #: Side in pixels of the images that the ImageNet weights were made for, or of the paper's.
    default_size: int
    #: Side in pixels of the smallest images that the headless model accepts.
    minimum_size: int
    #: Number of weights of the headless model, moving averages included.
    parameters: int
    #: From the top downwards.
    blocks: tuple[Block, ...]
    #: Name of the file that Keras downloads for ``include_top=True`` and its default size; empty
    #: for classics, of which there is none.
    official_top: str
    #: Name of the file that Keras downloads for ``include_top=False``; empty for classics.
    official_notop: str
    #: Licence of the official weights and their owner, as far as Keras or the owner say it.
    weights_license: str
    #: Of its own classifier.
    classes: int = 1000
    #: Whether hidden dense layers belong to it, which fit images of ``default_size`` only.
    is_one_size: bool = False

    @property
    def is_pretrained(self) -> bool:
        """Whether Keras has weights of it; there are none of the classics."""
        return bool(self.official_notop)

    @property
    def features(self) -> int:
        """Channels of the last convolutional map."""
        return self.blocks[0].channels

    @property
    def layers(self) -> int:
        """How many layers :meth:`own_layers` returns, known without building them."""
        return self.blocks[-1].layers

    def trunk(self, images: Any) -> Any:
        """Build the headless model with random weights, preprocessing included.

        Args:
            images: Keras tensor of shape (batch, height, width, 3), RGB, values 0..255. Height
                and width are known and at least ``minimum_size``.

        Returns:
            A flat Functional ``keras.Model`` from the input behind ``images`` to the last
            convolutional map, of shape (batch, map height, map width, ``features``).
        """
        return self._build(images, include_top=False, pooling=None)

    def full(self, images: Any) -> Any:
        """Build the model with its own classifier, of ImageNet mostly, with random weights.

        Args:
            images: As for :meth:`trunk`, but of ``default_size``: VGG's classifier has one
                weight per pixel of the last map, so its weights fit no other size.

        Returns:
            A model as from :meth:`trunk`, to probabilities of shape (batch, ``classes``); GoogLeNet
            has those of its auxiliary classifiers besides.
        """
        return self._build(
            images, include_top=True, classes=self.classes, classifier_activation="softmax"
        )

    def own_layers(self, trunk: Any) -> tuple[Any, ...]:
        """The layers of a model from :meth:`trunk` that :meth:`cut` counts, lowest first.

        These are the backbone's own: not the input and not the preprocessing added to it.
        """
        return tuple(trunk.layers[-self.layers :])

    def block_outputs(self, trunk: Any) -> tuple[Any, ...]:
        """The Keras tensors at the ends of the blocks of a model from :meth:`trunk`, as blocks."""
        own = self.own_layers(trunk)
        above = (0, *(block.layers for block in self.blocks[:-1]))
        return tuple(own[-1 - layers].output for layers in above)

    def widths(self, blocks: int) -> tuple[int, ...]:
        """How many features come from each of so many top blocks, the topmost first."""
        return tuple(block.channels for block in self.blocks[:blocks])

    def _build(self, images: Any, **options: Any) -> Any:
        keras = frameworks.keras()
        x = preprocess(images, self.preprocessing)
        constructor = getattr(self._library(), self.constructor)
        # The shape is passed as well because without it Keras does not check the size.
        shape = tuple(x.shape[1:])
        model = constructor(weights=None, input_tensor=x, input_shape=shape, **options)
        if self.module == "efficientnet":
            model = _with_second_scale(model)
        # Most constructors return a model of a list of one input, which warns when it is
        # called on a tensor. This one takes a tensor.
        outputs = model.outputs if len(model.outputs) > 1 else model.outputs[0]
        return keras.Model(model.inputs[0], outputs, name=self.name)

    def _library(self) -> Any:
        """What holds the constructor."""
        if self.is_pretrained:
            return frameworks.keras().applications
        return importlib.import_module(f"{__package__}.classics.{self.module}")

    def cut(self, unfreeze: str) -> int:
        """Say how many of the trunk's top layers ``unfreeze`` means.

        Args:
            unfreeze: 'none', 'all', a whole number of layers such as '20', the name of a
                block such as 'block5' (which means it and everything above it), or a share such
                as '20%' (as few blocks as make up so much of the layers).

        Returns:
            A number from 0 (train nothing) to ``layers`` (train everything).

        Raises:
            UsageError: ``unfreeze`` is none of these.
        """
        text = unfreeze.strip()
        if re.fullmatch(r"[+-]?[0-9]{1,9}", text):
            if text[0] in "+-" or int(text) > self.layers:
                raise UsageError(
                    f"Wrong number of layers to unfreeze in {self.name}. Expected a whole number "
                    f"from 0 to {self.layers}, without a sign. Received: {unfreeze!r}."
                )
            return int(text)
        if share := re.fullmatch(r"([0-9]{1,3})\s*%", text):
            return self._share(int(share[1]), unfreeze)
        counts = {"none": 0, "all": self.layers}
        counts |= {block.name: block.layers for block in self.blocks}
        if _fold(text) not in counts:
            blocks = ", ".join(block.name for block in self.blocks)
            raise UsageError(
                f"Unknown block of {self.name}. Expected 'none', 'all', a number of layers from "
                f"0 to {self.layers}, a share such as 20%, or one of its blocks: {blocks}. "
                f"Received: {unfreeze!r}.{nearest(_fold(text), counts)}"
            )
        return counts[_fold(text)]

    def _share(self, percent: int, unfreeze: str) -> int:
        """The layers of as few top blocks as make up a share of all layers."""
        if not 1 <= percent <= 100:
            raise UsageError(
                f"Wrong share of {self.name} to unfreeze. Expected 1% to 100%. "
                f"Received: {unfreeze!r}."
            )
        counts = (block.layers for block in self.blocks)
        return next(layers for layers in counts if 100 * layers >= percent * self.layers)


def get_backbone(name: str) -> Backbone:
    """Look a backbone up by its name; case and the characters '_', '-', ' ' don't matter.

    Raises:
        UsageError: There is no backbone of that name.
    """
    backbone = _BY_FOLDED_NAME.get(_fold(name))
    if backbone is None:
        raise UsageError(
            "Unknown backbone. Expected one of the names that 'cnntransfer backbones' lists. "
            f"Received: {name!r}.{nearest(name, BACKBONES)}"
        )
    return backbone


def _fold(name: str) -> str:
    return re.sub(r"[_\- ]", "", name.lower())


def _with_second_scale(model: Any) -> Any:
    """Rebuild an EfficientNet (version 1) with the layer that its ImageNet weights need.

    The variances in the official files are deviations, so the division by their root has to
    be done twice. Keras adds the layer for that only where it loads the weights itself
    (``weights="imagenet"``); without it the same weights compute nonsense.
    See https://github.com/tensorflow/tensorflow/issues/49930.
    """
    keras = frameworks.keras()
    scale = [1 / math.sqrt(deviation) for deviation in (0.229, 0.224, 0.225)]

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        x = layer(*args, **kwargs)
        if isinstance(layer, keras.layers.Normalization):
            x = keras.layers.Rescaling(scale, name="second_scale")(x)
        return x

    return keras.models.clone_model(model, input_tensors=model.input, call_function=call)


# ------------------------------------------------------------------------------ the table

#: Columns: name, constructor, default size, parameters, start of the file names.
_Row = tuple[str, str, int, int, str]


def _family(
    module: str,
    preprocessing: Preprocessing,
    minimum_size: int,
    files: tuple[str, str],
    weights_license: str,
    *rows: _Row,
) -> Iterator[Backbone]:
    for name, constructor, default_size, parameters, start in rows:
        yield Backbone(
            name=name,
            constructor=constructor,
            module=module,
            preprocessing=preprocessing,
            default_size=default_size,
            minimum_size=minimum_size,
            parameters=parameters,
            blocks=BLOCKS[name],
            official_top=start + files[0],
            official_notop=start + files[1],
            weights_license=weights_license,
        )


_KERNELS = (
    "_weights_tf_dim_ordering_tf_kernels.h5",
    "_weights_tf_dim_ordering_tf_kernels_notop.h5",
)
_NOTOP = (".h5", "_notop.h5")
_NO_TOP = (".h5", "_no_top.h5")
_NO_TOP_V2 = (".h5", "_no_top_v2.h5")

# The licences of VGG to NASNet are those of the Keras 2 documentation (keras.io/applications,
# up to 2020); later Keras documentation names none, so the others are their sources'.
_VGG = "CC-BY-4.0 (Visual Geometry Group, University of Oxford)"
_RESNET = "MIT (Kaiming He et al., Microsoft)"
_RESNET_V2 = "BSD (Facebook; see github.com/facebook/fb.resnet.torch)"
_DENSENET = "BSD-3-Clause (Zhuang Liu et al.; see github.com/liuzhuang13/DenseNet)"
_XCEPTION = "MIT (the Keras authors)"
_GOOGLE = "Apache-2.0 (Google)"
_MOBILENET_V3 = "Apache-2.0 (Google; see github.com/tensorflow/models)"
_EFFICIENTNET = "Apache-2.0 (Google; see github.com/tensorflow/tpu)"
_EFFICIENTNET_V2 = "Apache-2.0 (Google; see github.com/google/automl)"
_CONVNEXT = "MIT (Meta; see github.com/facebookresearch/ConvNeXt)"

_TF, _CAFFE = Preprocessing.TF, Preprocessing.CAFFE
_TORCH, _BUILT_IN = Preprocessing.TORCH, Preprocessing.BUILT_IN

#: Columns: name, constructor, default size, smallest size, parameters, classes.
_Classic = tuple[str, str, int, int, int, int]


def _classics(module: str, preprocessing: Preprocessing, *rows: _Classic) -> Iterator[Backbone]:
    """Networks of ``classics``; one size only where the default and the smallest are the same."""
    for name, constructor, default_size, minimum_size, parameters, classes in rows:
        yield Backbone(
            name=name,
            constructor=constructor,
            module=module,
            preprocessing=preprocessing,
            default_size=default_size,
            minimum_size=minimum_size,
            parameters=parameters,
            blocks=BLOCKS[name],
            official_top="",
            official_notop="",
            weights_license="none (there are no weights; --weights none trains from random ones)",
            classes=classes,
            is_one_size=default_size == minimum_size,
        )


_GREY = Preprocessing.GREY

# fmt: off
_TABLE: tuple[Iterator[Backbone], ...] = (
    # Simonyan & Zisserman 2014, arXiv:1409.1556
    _family("vgg16", _CAFFE, 32, _KERNELS, _VGG,
        ("vgg16", "VGG16", 224, 14_714_688, "vgg16")),
    _family("vgg19", _CAFFE, 32, _KERNELS, _VGG,
        ("vgg19", "VGG19", 224, 20_024_384, "vgg19")),
    # He et al. 2015, arXiv:1512.03385
    _family("resnet", _CAFFE, 32, _KERNELS, _RESNET,
        ("resnet50",  "ResNet50",  224, 23_587_712, "resnet50"),
        ("resnet101", "ResNet101", 224, 42_658_176, "resnet101"),
        ("resnet152", "ResNet152", 224, 58_370_944, "resnet152")),
    # He et al. 2016, arXiv:1603.05027
    _family("resnet_v2", _TF, 32, _KERNELS, _RESNET_V2,
        ("resnet50_v2",  "ResNet50V2",  224, 23_564_800, "resnet50v2"),
        ("resnet101_v2", "ResNet101V2", 224, 42_626_560, "resnet101v2"),
        ("resnet152_v2", "ResNet152V2", 224, 58_331_648, "resnet152v2")),
    # Huang et al. 2016, arXiv:1608.06993
    _family("densenet", _TORCH, 32, _KERNELS, _DENSENET,
        ("densenet121", "DenseNet121", 224,  7_037_504, "densenet121"),
        ("densenet169", "DenseNet169", 224, 12_642_880, "densenet169"),
        ("densenet201", "DenseNet201", 224, 18_321_984, "densenet201")),
    # Szegedy et al. 2015, arXiv:1512.00567
    _family("inception_v3", _TF, 75, _KERNELS, _GOOGLE,
        ("inception_v3", "InceptionV3", 299, 21_802_784, "inception_v3")),
    # Szegedy et al. 2016, arXiv:1602.07261
    _family("inception_resnet_v2", _TF, 75, _KERNELS, _GOOGLE,
        ("inception_resnet_v2", "InceptionResNetV2", 299, 54_336_736, "inception_resnet_v2")),
    # Chollet 2016, arXiv:1610.02357
    _family("xception", _TF, 71, _KERNELS, _XCEPTION,
        ("xception", "Xception", 299, 20_861_480, "xception")),
    # Zoph et al. 2017, arXiv:1707.07012
    _family("nasnet", _TF, 32, _NO_TOP, _GOOGLE,
        ("nasnet_mobile", "NASNetMobile", 224,  4_269_716, "nasnet_mobile"),
        ("nasnet_large",  "NASNetLarge",  331, 84_916_818, "nasnet_large")),
    # Howard et al. 2017, arXiv:1704.04861
    _family("mobilenet", _TF, 32, _NO_TOP, _GOOGLE,
        ("mobilenet", "MobileNet", 224, 3_228_864, "mobilenet_1_0_224_tf")),
    # Sandler et al. 2018, arXiv:1801.04381
    _family("mobilenet_v2", _TF, 32, _NO_TOP, _GOOGLE,
        ("mobilenet_v2", "MobileNetV2", 224, 2_257_984,
         "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224")),
    # Howard et al. 2019, arXiv:1905.02244
    _family("mobilenet_v3", _BUILT_IN, 32, _NO_TOP_V2, _MOBILENET_V3,
        ("mobilenet_v3_small", "MobileNetV3Small", 224,   939_120,
         "weights_mobilenet_v3_small_224_1.0_float"),
        ("mobilenet_v3_large", "MobileNetV3Large", 224, 2_996_352,
         "weights_mobilenet_v3_large_224_1.0_float")),
    # Tan & Le 2019, arXiv:1905.11946
    _family("efficientnet", _BUILT_IN, 32, _NOTOP, _EFFICIENTNET,
        ("efficientnet_b0", "EfficientNetB0", 224,  4_049_571, "efficientnetb0"),
        ("efficientnet_b1", "EfficientNetB1", 240,  6_575_239, "efficientnetb1"),
        ("efficientnet_b2", "EfficientNetB2", 260,  7_768_569, "efficientnetb2"),
        ("efficientnet_b3", "EfficientNetB3", 300, 10_783_535, "efficientnetb3"),
        ("efficientnet_b4", "EfficientNetB4", 380, 17_673_823, "efficientnetb4"),
        ("efficientnet_b5", "EfficientNetB5", 456, 28_513_527, "efficientnetb5"),
        ("efficientnet_b6", "EfficientNetB6", 528, 40_960_143, "efficientnetb6"),
        ("efficientnet_b7", "EfficientNetB7", 600, 64_097_687, "efficientnetb7")),
    # Tan & Le 2021, arXiv:2104.00298
    _family("efficientnet_v2", _BUILT_IN, 32, _NOTOP, _EFFICIENTNET_V2,
        ("efficientnet_v2_b0", "EfficientNetV2B0", 224,   5_919_312, "efficientnetv2-b0"),
        ("efficientnet_v2_b1", "EfficientNetV2B1", 240,   6_931_124, "efficientnetv2-b1"),
        ("efficientnet_v2_b2", "EfficientNetV2B2", 260,   8_769_374, "efficientnetv2-b2"),
        ("efficientnet_v2_b3", "EfficientNetV2B3", 300,  12_930_622, "efficientnetv2-b3"),
        ("efficientnet_v2_s",  "EfficientNetV2S",  384,  20_331_360, "efficientnetv2-s"),
        ("efficientnet_v2_m",  "EfficientNetV2M",  480,  53_150_388, "efficientnetv2-m"),
        ("efficientnet_v2_l",  "EfficientNetV2L",  480, 117_746_848, "efficientnetv2-l")),
    # Liu et al. 2022, arXiv:2201.03545
    _family("convnext", _BUILT_IN, 32, _NOTOP, _CONVNEXT,
        ("convnext_tiny",   "ConvNeXtTiny",   224,  27_820_128, "convnext_tiny"),
        ("convnext_small",  "ConvNeXtSmall",  224,  49_454_688, "convnext_small"),
        ("convnext_base",   "ConvNeXtBase",   224,  87_566_464, "convnext_base"),
        ("convnext_large",  "ConvNeXtLarge",  224, 196_230_336, "convnext_large"),
        ("convnext_xlarge", "ConvNeXtXLarge", 224, 348_147_968, "convnext_xlarge")),
    # The classics; each module names its paper.
    _classics("lecture_mnist", _GREY,
        ("lecture_mnist", "LectureMNIST", 28, 28, 37_380, 10)),
    _classics("lenet5", _GREY,
        ("lenet5", "LeNet5", 32, 32, 60_000, 10)),
    _classics("alexnet", _TORCH,
        ("alexnet", "AlexNet", 227, 227, 56_868_224, 1000)),
    _classics("zfnet", _TORCH,
        ("zfnet", "ZFNet", 224, 224, 58_260_608, 1000)),
    _classics("network_in_network", _TORCH,
        ("network_in_network", "NetworkInNetwork", 32, 8, 965_056, 10)),
    _classics("vgg", _TORCH,
        ("vgg_a", "VGGA", 224, 224, 128_766_336, 1000),
        ("vgg_b", "VGGB", 224, 224, 128_950_848, 1000),
        ("vgg_c", "VGGC", 224, 224, 129_541_952, 1000),
        ("vgg_d", "VGGD", 224, 224, 134_260_544, 1000),
        ("vgg_e", "VGGE", 224, 224, 139_570_240, 1000)),
    _classics("googlenet", _TORCH,
        ("googlenet", "GoogLeNet", 224, 32, 5_973_552, 1000)),
    _classics("resnet", _TORCH,
        ("resnet18", "ResNet18", 224, 32, 11_186_112, 1000),
        ("resnet34", "ResNet34", 224, 32, 21_301_696, 1000)),
)
# fmt: on

#: Every backbone by name, in order of the families' years; then the classics.
BACKBONES: dict[str, Backbone] = {row.name: row for family in _TABLE for row in family}

_BY_FOLDED_NAME = {_fold(name): backbone for name, backbone in BACKBONES.items()}
