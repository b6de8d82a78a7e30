"""The preprocessing layers against Keras's own preprocess_input."""

import numpy as np
import pytest
from PIL import Image

from cnntransfer import frameworks
from cnntransfer.models.backbones import BACKBONES, Preprocessing
from cnntransfer.models.preprocessing import LAYER_NAME, preprocess

SIDE = 16
BUILT_IN = Preprocessing.BUILT_IN
MODULES = {b.module: b.preprocessing for b in BACKBONES.values() if b.is_pretrained}


@pytest.fixture
def images():
    """Float32 pixels 0..255: a grey ramp of all whole numbers, and noise with fractions."""
    whole = np.arange(256, dtype="float32").reshape(1, SIDE, SIDE, 1).repeat(3, axis=-1)
    noise = np.random.default_rng(0).uniform(0, 255, (3, SIDE, SIDE, 3)).astype("float32")
    return np.concatenate([whole, noise])


def model_of(kind):
    keras = frameworks.keras()
    image = keras.Input((SIDE, SIDE, 3))
    return keras.Model(image, preprocess(image, kind))


def outputs(model, images):
    return np.asarray(model(images, training=False))


def assert_same(actual, expected):
    # Values near zero come from a subtraction of near equals, where float32 keeps fewer digits
    # (in Keras's formula more than in ours): hence the absolute part.
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_every_module_of_keras_is_compared():
    applications = frameworks.keras().applications
    modules = {
        name for name in dir(applications) if hasattr(getattr(applications, name), "__path__")
    }
    # resnet50 is a second name of resnet; imagenet_utils holds no network.
    assert set(MODULES) == modules - {"resnet50", "imagenet_utils"}


@pytest.mark.parametrize(("module", "kind"), MODULES.items())
def test_equals_preprocess_input_of_keras(module, kind, images):
    reference = getattr(frameworks.keras().applications, module).preprocess_input
    assert_same(outputs(model_of(kind), images), reference(images.copy()))


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        (Preprocessing.TF, [-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]),
        (Preprocessing.CAFFE, [-103.939, -116.779, -123.68], [151.061, 138.221, 131.32]),
        (Preprocessing.TORCH, [-2.1179, -2.0357, -1.8044], [2.2489, 2.4286, 2.64]),
        (Preprocessing.BUILT_IN, [0.0, 0.0, 0.0], [255.0, 255.0, 255.0]),
        (Preprocessing.GREY, [0.0], [1.0]),
    ],
)
def test_black_and_white(kind, low, high):
    black_white = np.zeros((2, SIDE, SIDE, 3), "float32")
    black_white[1] = 255
    result = outputs(model_of(kind), black_white)[:, 0, 0]
    np.testing.assert_allclose(result, [low, high], atol=1e-4)


def test_caffe_reverses_the_channels(images):
    result = outputs(model_of(Preprocessing.CAFFE), images)
    np.testing.assert_array_equal(result[..., 2], images[..., 0] - np.float32(123.68))


def test_grey_is_pillow_s(images):
    whole = images.round().astype(np.uint8)
    grey = outputs(model_of(Preprocessing.GREY), whole.astype("float32"))
    assert grey.shape == (*images.shape[:3], 1)
    expected = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in whole])
    # Pillow rounds to whole numbers.
    np.testing.assert_allclose(255 * grey[..., 0], expected, rtol=0, atol=0.51)


@pytest.mark.parametrize("kind", Preprocessing)
def test_survives_saving_in_safe_mode(kind, images, tmp_path):
    keras = frameworks.keras()
    model = model_of(kind)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(outputs(loaded, images), outputs(model, images))


@pytest.mark.parametrize("kind", [kind for kind in Preprocessing if kind is not BUILT_IN])
@pytest.mark.slow
def test_litert_runs_it_with_built_in_operators(kind, images, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model = model_of(kind)
    file = tmp_path / "model.tflite"
    model.export(file, format="litert", verbose=False)
    # An operator that is not built in (of TensorFlow's "flex" set) would fail to allocate.
    interpreter = Interpreter(str(file))
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, images)
    interpreter.invoke()
    result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert_same(result, outputs(model, images))


def test_built_in_adds_nothing():
    x = frameworks.keras().Input((SIDE, SIDE, 3))
    assert preprocess(x, Preprocessing.BUILT_IN) is x


@pytest.mark.parametrize("kind", [kind for kind in Preprocessing if kind is not BUILT_IN])
def test_computes_in_float32_under_mixed_precision(kind, images):
    keras = frameworks.keras()
    exact = outputs(model_of(kind), images)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = model_of(kind)
    finally:
        keras.config.set_dtype_policy(before)
    assert mixed.get_layer(LAYER_NAME).compute_dtype == "float32"
    np.testing.assert_array_equal(outputs(mixed, images), exact)
