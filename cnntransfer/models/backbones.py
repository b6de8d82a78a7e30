"""The table of backbones: every constructor of ``keras.applications`` and every classic.

Adding a backbone is one row in its family here and one row of blocks in ``blocks.py``.
Importing this module imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import UsageError, nearest
from .backbone import Backbone, folded
from .blocks import BLOCKS
from .preprocessing import Preprocessing

__all__ = ["BACKBONES", "Backbone", "Preprocessing", "get_backbone"]

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
_GREY = Preprocessing.GREY

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

_BY_FOLDED_NAME = {folded(name): backbone for name, backbone in BACKBONES.items()}


def get_backbone(name: str) -> Backbone:
    """Look a backbone up by its name; case and the characters '_', '-', ' ' don't matter.

    Raises:
        UsageError: There is no backbone of that name.
    """
    backbone = _BY_FOLDED_NAME.get(folded(name))
    if backbone is None:
        raise UsageError(
            "Unknown backbone. Expected one of the names that 'cnntransfer backbones' lists. "
            f"Received: {name!r}.{nearest(name, BACKBONES)}"
        )
    return backbone
