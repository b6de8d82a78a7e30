"""The table of backbones; tests/real/test_all_backbones.py builds every row of it."""

import subprocess
import sys

import numpy as np
import pytest

from cnntransfer import frameworks
from cnntransfer.errors import UsageError
from cnntransfer.models.backbones import BACKBONES, Preprocessing, get_backbone

SMALL = ["vgg16", "mobilenet", "mobilenet_v3_small", "efficientnet_b0"]


# --------------------------------------------------------------------------- names and rows


def test_every_constructor_of_keras_has_one_row():
    constructors = [name for name in dir(frameworks.keras().applications) if name[0].isupper()]
    rows = [b.constructor for b in BACKBONES.values() if b.is_pretrained]
    assert sorted(rows) == sorted(constructors)


def test_names_are_snake_case_and_the_keys_of_the_table():
    for name, backbone in BACKBONES.items():
        assert name == backbone.name
        assert name.replace("_", "").isalnum()
        assert name.islower()
        assert name.replace("_", "") == backbone.constructor.lower()


def test_modules_hold_the_constructor_and_preprocess_input():
    for backbone in (b for b in BACKBONES.values() if b.is_pretrained):
        module = getattr(frameworks.keras().applications, backbone.module)
        assert callable(module.preprocess_input)
        # Keras exports MobileNetV3's constructors from no submodule.
        if backbone.module != "mobilenet_v3":
            assert callable(getattr(module, backbone.constructor))


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_blocks_grow_from_the_top_to_all_layers(backbone):
    names = [block.name for block in backbone.blocks]
    counts = [block.layers for block in backbone.blocks]
    assert len(set(names)) == len(names) >= 3
    assert all(name.isalnum() and name.islower() for name in names)
    assert not {"none", "all"} & set(names)
    assert counts == sorted(set(counts))
    assert counts[-1] == backbone.layers


def test_importing_the_table_imports_no_framework():
    code = (
        "import sys, cnntransfer.models.backbones; "
        "sys.exit(bool({'keras', 'tensorflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("resnet50", "resnet50"),
        ("ResNet50", "resnet50"),
        ("ResNet50V2", "resnet50_v2"),
        ("MobileNetV2", "mobilenet_v2"),
        ("mobilenet-v3-large", "mobilenet_v3_large"),
        ("efficientnetv2-b0", "efficientnet_v2_b0"),
        ("EfficientNet B0", "efficientnet_b0"),
        ("NASNetMobile", "nasnet_mobile"),
    ],
)
def test_get_backbone_accepts_other_spellings(spelling, name):
    assert get_backbone(spelling) is BACKBONES[name]


def test_get_backbone_finds_every_row_by_name_and_by_constructor():
    for name, backbone in BACKBONES.items():
        assert get_backbone(name) is backbone
        assert get_backbone(backbone.constructor) is backbone


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("resnet5", " Did you mean 'resnet50'?"),
        ("EfficientNetV2B9", " Did you mean 'efficientnet_v2_b3'?"),
        ("yolo", ""),
        ("", ""),
    ],
)
def test_get_backbone_rejects_unknown_names(name, suggestion):
    with pytest.raises(UsageError) as caught:
        get_backbone(name)
    assert str(caught.value) == (
        "Unknown backbone. Expected one of the names that 'cnntransfer backbones' lists. "
        f"Received: {name!r}.{suggestion}"
    )


# ------------------------------------------------------------------------------------- cut


@pytest.mark.parametrize(
    ("name", "unfreeze", "layers"),
    [
        ("vgg16", "none", 0),
        ("vgg16", "0", 0),
        ("vgg16", "all", 18),
        ("vgg16", "18", 18),
        ("vgg16", " 7 ", 7),
        ("vgg16", "block5", 4),
        ("vgg16", "Block-4", 8),
        ("mobilenet_v2", "top", 3),
        ("mobilenet_v2", "block_16", 11),
        ("mobilenet_v2", "block16", 11),
        ("mobilenet_v2", "stem", 153),
        ("resnet50", "conv5", 32),
        ("inception_resnet_v2", "mixed_7a", 185),
        ("convnext_tiny", "stage3", 23),
        ("resnet50", "15%", 32),
        ("resnet50", "40 %", 94),
        ("vgg16", "15%", 4),
        ("vgg16", "23%", 8),
        ("vgg16", "100%", 18),
    ],
)
def test_cut(name, unfreeze, layers):
    assert BACKBONES[name].cut(unfreeze) == layers


def test_cut_at_two_inception_blocks_is_that_of_the_keras_guide():
    # The guide freezes the first 249 layers of the model, which include the input.
    backbone = BACKBONES["inception_v3"]
    assert backbone.cut("mixed9") == backbone.layers + 1 - 249


@pytest.mark.parametrize("unfreeze", ["-1", "+3", "-0", "+0", "19", "999999999"])
def test_cut_rejects_wrong_numbers(unfreeze):
    with pytest.raises(UsageError) as caught:
        BACKBONES["vgg16"].cut(unfreeze)
    assert str(caught.value) == (
        "Wrong number of layers to unfreeze in vgg16. Expected a whole number from 0 to 18, "
        f"without a sign. Received: {unfreeze!r}."
    )


@pytest.mark.parametrize("unfreeze", ["0%", "101%", "999 %"])
def test_cut_rejects_wrong_shares(unfreeze):
    with pytest.raises(UsageError) as caught:
        BACKBONES["vgg16"].cut(unfreeze)
    assert str(caught.value) == (
        f"Wrong share of vgg16 to unfreeze. Expected 1% to 100%. Received: {unfreeze!r}."
    )


@pytest.mark.parametrize(
    ("unfreeze", "suggestion"),
    [
        ("blok5", " Did you mean 'block5'?"),
        ("Alll", " Did you mean 'all'?"),
        ("1.5", ""),
        ("", ""),
        ("9" * 5000, ""),
    ],
)
def test_cut_rejects_unknown_blocks(unfreeze, suggestion):
    with pytest.raises(UsageError) as caught:
        BACKBONES["vgg16"].cut(unfreeze)
    assert str(caught.value) == (
        "Unknown block of vgg16. Expected 'none', 'all', a number of layers from 0 to 18, a share "
        "such as 20%, or one of its blocks: block5, block4, block3, block2, block1. "
        f"Received: {unfreeze!r}.{suggestion}"
    )


# ------------------------------------------------------------------------------- the models


def trunk_of(backbone, side=None):
    keras = frameworks.keras()
    keras.backend.clear_session()
    side = side or backbone.minimum_size
    return backbone.trunk(keras.Input((side, side, 3), name="image"))


def assert_close(actual, expected):
    """Equal to 1e-4 of the largest value: maps of random networks have values of any scale."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    largest = np.abs(expected).max()
    assert largest > 0
    np.testing.assert_allclose(actual / largest, expected / largest, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.slow
def test_the_row_describes_the_trunk(name):
    backbone = BACKBONES[name]
    trunk = trunk_of(backbone)
    assert trunk.name == name
    assert trunk.output.shape[-1] == backbone.features
    assert trunk.count_params() == backbone.parameters
    own = backbone.own_layers(trunk)
    added = 1 if backbone.preprocessing is Preprocessing.BUILT_IN else 2
    assert len(own) == backbone.layers == len(trunk.layers) - added
    assert trunk.layers[0].name == "image"


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v2"])
@pytest.mark.slow
def test_the_official_file_names_are_those_keras_asks_for(name, monkeypatch):
    from keras.src.utils import file_utils

    asked = []

    def get_file(fname, *args, **kwargs):
        asked.append(fname)
        raise InterruptedError

    monkeypatch.setattr(file_utils, "get_file", get_file)
    backbone = BACKBONES[name]
    side = backbone.default_size
    constructor = getattr(frameworks.keras().applications, backbone.constructor)
    for include_top in (True, False):
        with pytest.raises(InterruptedError):
            constructor(include_top=include_top, input_shape=(side, side, 3))
    assert asked == [backbone.official_top, backbone.official_notop]


def test_full_model_gives_probabilities():
    keras = frameworks.keras()
    backbone = BACKBONES["mobilenet"]
    model = backbone.full(keras.Input((64, 64, 3)))
    result = np.asarray(model(np.full((2, 64, 64, 3), 99, "float32")))
    assert result.shape == (2, 1000)
    np.testing.assert_allclose(result.sum(axis=1), 1, rtol=1e-5)


def test_too_small_images_are_refused_by_keras():
    with pytest.raises(ValueError, match="at least"):
        trunk_of(BACKBONES["mobilenet"], side=31)


def test_trunk_takes_a_plain_tensor_and_a_preceding_layer():
    # As a warning is an error in these tests, this also shows that calling it warns of nothing.
    keras = frameworks.keras()
    image = keras.Input((40, 40, 3))
    trunk = BACKBONES["mobilenet"].trunk(keras.layers.CenterCrop(32, 32)(image))
    assert trunk.layers[1].name.startswith("center_crop")
    assert trunk(np.zeros((1, 40, 40, 3), "float32")).shape == (1, 1, 1, 1024)


@pytest.mark.slow
def test_the_layers_above_a_cut_run_on_one_tensor():
    keras = frameworks.keras()
    backbone = BACKBONES["mobilenet_v3_small"]
    trunk = trunk_of(backbone, side=64)
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    first = backbone.own_layers(trunk)[-backbone.cut("block9")]
    below = keras.Model(trunk.input, first.input)
    above = keras.Model(first.input, trunk.output)
    assert len(above.layers) - 1 == backbone.cut("block9")
    assert_close(above(below(images)), trunk(images))


# Keras 3.15 saves variables in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.slow
def test_efficientnet_with_loaded_weights_computes_what_keras_computes(tmp_path, monkeypatch):
    from keras.src.utils import file_utils

    ours = trunk_of(BACKBONES["efficientnet_b0"], side=32)
    # The official files hold deviations in the place of variances.
    statistics = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 0]
    ours.get_layer("normalization").set_weights([np.array(value) for value in statistics])
    path = tmp_path / "efficientnet.weights.h5"
    ours.save_weights(path)
    ours.load_weights(path)

    monkeypatch.setattr(file_utils, "get_file", lambda *args, **kwargs: str(path))
    constructor = frameworks.keras().applications.EfficientNetB0
    theirs = constructor(include_top=False, weights="imagenet", input_shape=(32, 32, 3))
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    assert_close(ours(images), theirs(images))
