"""The model contract: one flat graph, pixels in, probabilities out; what trains and what not."""

import numpy as np
import pytest

from cnntransfer.errors import UsageError
from cnntransfer.frameworks import keras
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import (
    build_classifier,
    build_head,
    build_trunk,
    check_image_size,
    head_of,
    set_trainable,
    waist_below,
    weights_digest,
)
from cnntransfer.models.head import HeadModel, head_layers, initial_weights
from cnntransfer.models.weights import find_weights
from cnntransfer.recipe import Head
from cnntransfer.training.sources import Feed

MOBILENET = get_backbone("mobilenet")
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 64, 48, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def trunk():
    """The real MobileNet for pictures of 64 x 48; its trainable flags change."""
    return build_trunk(MOBILENET, (64, 48), "avg", find_weights(MOBILENET))


@pytest.fixture(scope="module")
def features(trunk):
    return np.asarray(trunk.model(IMAGES))


def head_on(features, head, classes=3):
    layers = head_layers(head, classes)
    return HeadModel(layers, initial_weights(layers, features))


@pytest.fixture
def classifier(trunk, features):
    set_trainable(trunk, 0, train_batch_normalization=False)
    return build_classifier(trunk, head_on(features, Head(units=(8,))))


def test_the_classifier_is_one_flat_graph(classifier):
    k = keras()
    assert not [layer for layer in classifier.layers if isinstance(layer, k.Model)]
    assert not [layer for layer in classifier.layers if isinstance(layer, k.layers.Lambda)]
    names = [layer.name for layer in classifier.layers]
    assert names[0] == "image"
    assert "features" in names
    assert names[-1] == "probabilities"
    assert "conv_pw_13_relu" in names


def test_the_contract_of_input_and_output(classifier):
    (image,) = classifier.inputs
    assert (image.name, image.shape, image.dtype) == ("image", (None, 64, 48, 3), "float32")
    (output,) = classifier.outputs
    assert (output.shape, output.dtype) == ((None, 3), "float32")
    probabilities = np.asarray(classifier(IMAGES))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (probabilities >= 0).all()


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.slow
def test_features_are_those_of_keras_with_its_own_preprocessing(pooling):
    k = keras()
    file = find_weights(MOBILENET)
    ours = build_trunk(MOBILENET, (64, 48), pooling, file)
    theirs = k.applications.MobileNet(
        weights=None, include_top=False, pooling=pooling, input_shape=(64, 48, 3)
    )
    theirs.load_weights(file.path)
    expected = theirs(k.applications.mobilenet.preprocess_input(IMAGES.copy()))
    np.testing.assert_allclose(np.asarray(ours.model(IMAGES)), np.asarray(expected), atol=1e-4)


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.slow
def test_features_of_several_blocks_are_those_at_their_ends(pooling):
    """Side by side, the topmost first."""
    trunk = build_trunk(MOBILENET, (64, 48), pooling, find_weights(MOBILENET), 3)
    names = ["conv_pw_13_relu", "conv_pw_12_relu", "conv_pw_11_relu"]
    maps = keras().Model(trunk.model.input, [trunk.model.get_layer(name).output for name in names])
    pool = {"avg": np.mean, "max": np.max}[pooling]
    expected = np.concatenate([pool(one, axis=(1, 2)) for one in map(np.asarray, maps(IMAGES))], 1)
    np.testing.assert_allclose(np.asarray(trunk.model(IMAGES)), expected, rtol=1e-4, atol=1e-5)
    assert expected.shape == (3, sum(MOBILENET.widths(3)))
    assert trunk.layers[-1].name == names[0]


@pytest.mark.parametrize(
    ("blocks", "parts"),
    [(2, ()), (3, ((2, 1, 1024), (512,))), (4, ((2, 1, 1024), (512,), (512,)))],
)
@pytest.mark.slow
def test_features_of_lower_blocks_go_around_the_waist(blocks, parts):
    """The map at the cut is pooled above it; of those below, what pooling made of them is kept."""
    trunk = build_trunk(MOBILENET, (64, 48), "avg", find_weights(MOBILENET), blocks)
    classifier = build_classifier(trunk, head_on(np.asarray(trunk.model(IMAGES)), Head()))
    waist = waist_below(trunk, MOBILENET.cut("block13"))
    assert waist.tensors[0] is trunk.model.get_layer("conv_pw_12_relu").output
    assert waist.parts == parts
    rows = waist.lower(IMAGES)
    feed = Feed(lambda _: rows[0], rows.shape[1:], np.float32, 1, parts)
    again = waist.upper(classifier)(feed.inputs(rows))
    np.testing.assert_allclose(again, classifier(IMAGES), atol=1e-6)


def test_an_image_s_result_does_not_depend_on_its_neighbours(classifier):
    together = np.asarray(classifier(IMAGES))
    alone = np.concatenate([np.asarray(classifier(image[None])) for image in IMAGES])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_too_small_images_are_refused():
    check_image_size(MOBILENET, (32, 32))
    with pytest.raises(UsageError) as caught:
        build_trunk(MOBILENET, (64, 31), "avg", find_weights(MOBILENET, "none"))
    assert str(caught.value) == (
        "--image-size: expected at least 32 pixels a side for mobilenet (default 224). "
        "Received: 64x31."
    )


# ---- The head

HEADS = [
    Head(units=(8,)),
    Head(units=(), l2=0.01),
    Head(units=(8, 4), activation="gelu", batch_normalization=True),
]


def moved(head):
    """The same head with other numbers, as training leaves them."""
    random = np.random.default_rng(1)
    weights = {
        name: tuple(a + random.uniform(0, 0.1, a.shape).astype(np.float32) for a in arrays)
        for name, arrays in head.weights.items()
    }
    return HeadModel(head.layers, weights)


@pytest.mark.parametrize("described", HEADS, ids=str)
def test_the_head_stands_on_the_trunk_and_comes_back_with_its_numbers(trunk, features, described):
    head = moved(head_on(features, described))
    classifier = build_classifier(trunk, head)
    names = [layer.name for layer in classifier.layers]
    assert names[names.index("features") + 1 :] == [layer.name for layer in head.layers]
    np.testing.assert_allclose(
        np.asarray(classifier(IMAGES, training=False)), head(features), atol=1e-5
    )
    back = head_of(classifier, head.layers)
    assert back.layers == head.layers
    assert back.weights.keys() == head.weights.keys()
    for name, arrays in head.weights.items():
        for a, b in zip(arrays, back.weights[name], strict=True):
            assert np.array_equal(a, b)
    # What training does to the network afterwards is no concern of the head that was taken.
    classifier.get_layer("probabilities").bias.assign_add(np.ones(3, np.float32))
    assert np.array_equal(back.weights["probabilities"][1], head.weights["probabilities"][1])


def test_the_l2_penalty_is_on_every_kernel(trunk, features):
    classifier = build_classifier(trunk, head_on(features, Head(units=(8,), l2=0.25)))
    kernels = [classifier.get_layer(name).kernel for name in ("hidden1", "probabilities")]
    penalty = sum(0.25 * (kernel.numpy() ** 2).sum() for kernel in kernels)
    assert float(sum(classifier.losses)) == pytest.approx(penalty, rel=1e-5)
    assert build_classifier(trunk, head_on(features, Head(units=(8,), l2=0.0))).losses == []


def test_the_standardisation_never_trains(trunk, features):
    layer, *_ = build_head(head_layers(Head(), 3))
    result = np.asarray(layer(features, training=True))
    assert not layer.trainable
    assert not layer.trainable_variables
    # It infers, with mean 0 and variance 1 as long as it has been given no others.
    np.testing.assert_allclose(result, features, rtol=1e-5)


# ---- What trains


def counted(trunk):
    return sum(bool(layer.trainable and layer.trainable_weights) for layer in trunk.layers)


@pytest.mark.parametrize(
    ("unfreeze", "train_bn", "layers"),
    [("none", False, 0), ("none", True, 0), ("block13", False, 2), ("block13", True, 4),
     ("3", False, 1), ("3", True, 2), ("all", False, 27), ("all", True, 54)],
)  # fmt: skip
def test_how_many_layers_train(trunk, unfreeze, train_bn, layers):
    top = MOBILENET.cut(unfreeze)
    set_trainable(trunk, top, train_batch_normalization=train_bn)
    assert counted(trunk) == layers
    assert not any(layer.trainable for layer in trunk.layers[: len(trunk.layers) - top])


def test_the_trunk_s_layers_are_the_backbone_s_own(trunk):
    assert len(trunk.layers) == MOBILENET.layers
    assert trunk.layers[0].name == "conv1"
    assert trunk.layers[-1].name == "conv_pw_13_relu"


def statistics(trunk):
    return weights_digest(
        [layer for layer in trunk.layers if "moving_mean" in str([w.name for w in layer.weights])]
    )


@pytest.mark.parametrize("train_bn", [False, True])
@pytest.mark.slow
def test_batch_normalisation_infers_unless_it_is_told_to_train(train_bn):
    trunk = build_trunk(MOBILENET, (32, 32), "avg", find_weights(MOBILENET))
    set_trainable(trunk, MOBILENET.cut("all"), train_batch_normalization=train_bn)
    images = IMAGES[:, :32, :32]
    features = np.asarray(trunk.model(images, training=False))
    model = build_classifier(trunk, head_on(features, Head(dropout=0.0)))
    before = statistics(trunk)
    training, inference = model(images, training=True), model(images, training=False)
    assert (statistics(trunk) != before) is train_bn
    assert np.allclose(training, inference, atol=1e-6) is not train_bn


# ---- Weights as values


def test_the_digest_is_that_of_the_numbers(trunk):
    layers = trunk.layers[:3]
    before = weights_digest(layers)
    assert before == weights_digest(layers) != weights_digest(layers[:1])
    kernel = layers[0].kernel
    original = kernel.numpy()
    kernel.assign(np.nextafter(original, 1))
    assert weights_digest(layers) != before
    kernel.assign(original)
    assert weights_digest(layers) == before


# ---- Where a trunk can be cut in two


@pytest.mark.parametrize(
    ("name", "unfreeze", "shape"),
    [
        ("vgg16", "block5", (2, 2, 512)),
        ("mobilenet", "block13", (1, 1, 1024)),
        # Inside a residual block two tensors pass: the cut is where it begins.
        ("resnet50", "8", (2, 2, 2048)),
    ],
)
@pytest.mark.slow
def test_the_two_halves_compute_what_the_whole_does(name, unfreeze, shape):
    backbone = get_backbone(name)
    side = max(backbone.minimum_size, 33)
    trunk = build_trunk(backbone, (side, side), "avg", find_weights(backbone, "none"))
    top_layers = backbone.cut(unfreeze)
    waist = waist_below(trunk, top_layers)
    assert waist.layers <= len(trunk.layers) - top_layers
    assert waist.tensors[0].shape[1:] == shape
    image = np.random.default_rng(0).random((1, side, side, 3), dtype=np.float32) * 255
    upper = waist.upper(trunk.model)
    assert len(waist.lower.inputs) == len(upper.inputs) == 1
    by_halves = np.asarray(upper(waist.lower(image)))
    np.testing.assert_allclose(by_halves, np.asarray(trunk.model(image)), rtol=1e-4, atol=1e-5)


def test_no_waist_when_everything_trains():
    backbone = get_backbone("mobilenet")
    trunk = build_trunk(backbone, (32, 32), "avg", find_weights(backbone, "none"))
    assert waist_below(trunk, backbone.cut("all")) is None
