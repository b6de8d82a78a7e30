"""The lectures' networks, layer on layer, and where branches meet."""

import pytest

from cnntransfer.errors import UsageError
from cnntransfer.models.anatomy import (
    SAME,
    Convolution,
    Dense,
    Depthwise,
    Flatten,
    GlobalPooling,
    Input,
    Merge,
    PerChannel,
    Placed,
    Pooling,
    Reshape,
    Separable,
    Window,
    chain,
    measure,
)


def conv(filters, side, stride=1, padding="valid", **more):
    return Convolution(Window((side, side), (stride, stride), padding), filters, **more)


def pool(side, stride, mode="max"):
    return Pooling(Window((side, side), (stride, stride)), mode)


def test_the_lecture_s_network_for_mnist():
    layers = [conv(10, 5), pool(2, 2), conv(20, 5), pool(2, 2), Flatten(), Dense(100), Dense(10)]
    network = chain("mnist", (28, 28, 1), layers)
    counts = [facts.parameters.total for facts in network.layers if facts.parameters.total]
    assert counts == [260, 5020, 32100, 1010]
    assert network.parameters == network.trained == 38390
    outputs = [facts.output for facts in network.layers[1:6]]
    assert outputs == [(24, 24, 10), (12, 12, 10), (8, 8, 20), (4, 4, 20), (320,)]
    assert network.multiply_adds == 24**2 * 10 * 25 + 8**2 * 20 * 250 + 32000 + 1000


def test_the_first_layers_of_alexnet():
    _, first, pooled = chain("alexnet", (227, 227, 3), [conv(96, 11, 4), pool(3, 2)]).layers
    assert first.output == (55, 55, 96)
    assert (first.parameters.weights, first.parameters.biases) == (34848, 96)
    assert first.multiply_adds == 105_415_200
    assert pooled.output == (27, 27, 96)
    assert (pooled.field.size, pooled.jump) == ((19, 19), (8, 8))


@pytest.mark.parametrize(("count", "field"), [(1, 3), (2, 5), (3, 7)])
def test_stacked_3x3_layers_see_as_much_as_one_larger(count, field):
    network = chain("stack", (32, 32, 8), [conv(8, 3, padding=SAME)] * count, list("abc")[:count])
    assert network.layers[-1].field.size == (field, field)


def test_grouped_depthwise_and_separable_convolutions():
    window = Window((3, 3), padding=SAME)
    of = lambda layer: chain("one", (10, 10, 32), [layer]).layers[-1]  # noqa: E731
    grouped = of(Convolution(window, 64, divided=4))
    assert grouped.parameters.total == 3 * 3 * 8 * 64 + 64
    assert grouped.groups == 4
    depthwise = of(Depthwise(window, multiplier=2))
    as_groups = of(Convolution(window, 64, divided=32))
    assert depthwise.parameters == as_groups.parameters
    assert depthwise.multiply_adds == as_groups.multiply_adds == 100 * 9 * 64
    separable = of(Separable(window, 64))
    assert separable.parameters.total == 3 * 3 * 32 + (32 + 1) * 64
    assert separable.multiply_adds == 100 * (9 * 32 + 32 * 64)
    assert separable.field.size == (3, 3)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (conv(64, 3, divided=5), "divides the 32 input channels. Received: 5. The nearest is 4."),
        (conv(33, 3, divided=4), "divides the 33 filters. Received: 4. The nearest is 3."),
    ],
)
def test_groups_that_do_not_divide_are_refused(layer, message):
    with pytest.raises(UsageError, match=f"Expected a number of groups that {message}"):
        chain("x", (8, 8, 32), [layer])


def test_a_convolution_of_a_vector_is_refused():
    with pytest.raises(UsageError, match=r"Expected a map, height x width x channels.*: 100"):
        chain("x", (100,), [conv(8, 3)])


def test_where_branches_meet_the_widest_decides():
    one = [
        Placed("input", Input((32, 32, 4))),
        Placed("wide", conv(4, 5, padding=SAME), ("input",)),
        Placed("narrow", conv(4, 3, padding=SAME), ("input",)),
    ]
    added = measure("x", [*one, Placed("end", Merge("add"), ("narrow", "wide"))]).layers[-1]
    assert (added.output, added.field.size, added.field.has_gates) == ((32, 32, 4), (5, 5), False)
    joined = measure("x", [*one, Placed("end", Merge("concat"), ("narrow", "wide"))]).layers[-1]
    assert joined.output == (32, 32, 8)


def test_branches_that_lie_askew_see_what_either_sees():
    beside = ((0, 0), (0, 2))
    network = [
        Placed("input", Input((32, 32, 4))),
        Placed("left", Convolution(Window((1, 3), padding=((0, 0), (2, 0))), 4), ("input",)),
        Placed("right", Convolution(Window((1, 3), padding=beside), 4), ("input",)),
        Placed("end", Merge("add"), ("left", "right")),
    ]
    assert measure("x", network).layers[-1].field.size == (1, 5)


def test_gates_of_squeeze_and_excite_are_told_but_not_counted_as_field():
    network = [
        Placed("input", Input((32, 32, 4))),
        Placed("conv", conv(8, 3, padding=SAME), ("input",)),
        Placed("squeeze", GlobalPooling("avg"), ("conv",)),
        Placed("shape", Reshape((1, 1, 8)), ("squeeze",)),
        Placed("excite", conv(8, 1), ("shape",)),
        Placed("gated", Merge("multiply"), ("conv", "excite")),
        Placed("after", conv(8, 3, padding=SAME), ("gated",)),
    ]
    facts = {one.name: one for one in measure("x", network).layers}
    assert facts["squeeze"].field.size == (34, 34)
    assert facts["gated"].output == (32, 32, 8)
    assert (facts["gated"].field.size, facts["gated"].field.has_gates) == ((3, 3), True)
    assert (facts["after"].field.size, facts["after"].field.has_gates) == ((5, 5), True)
    assert not facts["conv"].field.has_gates


def test_a_vector_has_a_field_but_no_jump():
    flat = chain("x", (8, 8, 3), [conv(4, 3), Flatten(), Dense(2)]).layers[-1]
    assert (flat.field.size, flat.jump) == ((8, 8), None)


def test_statistics_are_neither_trained_nor_frozen():
    norm = PerChannel("batch norm", weights=1, biases=1, statistics=2)
    network = [
        Placed("input", Input((8, 8, 3))),
        Placed("one", conv(4, 3), ("input",), trained=False),
        Placed("two", norm, ("one",)),
    ]
    result = measure("x", network)
    assert (result.parameters, result.trained, result.frozen, result.statistics) == (128, 8, 112, 8)
    assert result.activation_bytes == 4 * (8 * 8 * 3 + 2 * 6 * 6 * 4)
    assert result.to_dict()["totals"]["statistics"] == 8
