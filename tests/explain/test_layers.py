"""Which layers are shown, and how they are called."""

import pytest

from cnntransfer.errors import UsageError
from cnntransfer.explain.layers import choose, convolutions, mapped, topmost_maps, with_maps
from cnntransfer.frameworks import keras
from tests.explain.conftest import image_input, subject_of


def names(layers):
    return [layer.name for layer in layers]


def test_what_makes_maps(plain):
    assert names(convolutions(plain)) == ["low", "high"]
    assert names(mapped(plain)) == ["low", "pool", "high"]
    assert names(with_maps(plain))[1:] == ["low", "pool", "high"]
    assert names(topmost_maps(plain)) == ["high"]


def test_the_head_may_stand_on_several_maps(two_depths):
    assert names(topmost_maps(two_depths)) == ["high", "low"]


def test_gates_are_no_maps_that_the_head_stands_on():
    """Squeeze-and-excite averages maps, too."""
    k = keras()
    image = image_input(k)
    x = k.layers.Conv2D(4, 3, name="below")(image)
    gate = k.layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = k.layers.Conv2D(4, 1, activation="sigmoid", name="gate")(gate)
    x = k.layers.Multiply(name="gated")([x, gate])
    x = k.layers.GlobalMaxPooling2D()(x)
    x = k.layers.Dense(3, activation="softmax")(x)
    assert names(topmost_maps(subject_of(k.Model(image, x)))) == ["gated"]


def test_a_dense_top_stands_on_the_map_that_is_flattened():
    k = keras()
    image = image_input(k)
    x = k.layers.MaxPooling2D(name="last")(k.layers.Conv2D(4, 3)(image))
    x = k.layers.Dense(8, activation="relu")(k.layers.Flatten()(x))
    x = k.layers.Activation("softmax")(k.layers.Dense(3)(x))
    assert names(topmost_maps(subject_of(k.Model(image, x)))) == ["last"]


def test_a_network_without_maps_has_none(linear):
    assert topmost_maps(linear) == []
    assert with_maps(linear) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("1", "low"), ("3", "high"), ("-1", "high"), ("-3", "low"), ("pool", "pool")],
)
def test_layers_have_names_and_numbers(plain, wanted, expected):
    assert choose("--layer", mapped(plain), wanted).name == expected


@pytest.mark.parametrize("wanted", ["0", "4", "-4", "lo", "9999999", "1.5", ""])
def test_another_is_an_error_that_says_which_there_are(plain, wanted):
    with pytest.raises(UsageError, match=r"a number from 1 to 3 .* such as low or high") as caught:
        choose("--layer", mapped(plain), wanted)
    assert f"Received: {wanted!r}" in str(caught.value)
    assert ("Did you mean 'low'?" in str(caught.value)) == (wanted == "lo")


def test_of_no_layers_none_can_be_chosen(linear):
    with pytest.raises(UsageError, match="one that has none"):
        choose("--layer", mapped(linear), "1")
