"""Sizes and receptive fields, held against counting by hand."""

import random

import pytest

from cnntransfer.errors import UsageError
from cnntransfer.models.anatomy import SAME, VALID, Axis, Span, Window


def places(span):
    """For each output, the inputs that it depends on, counted one by one, padding included."""
    if span.transposed:
        full = {}
        for position in range(span.size):
            for tap in range(span.kernel):
                full.setdefault(position * span.stride + tap * span.dilation, set()).add(position)
        count = (span.size - 1) * span.stride + span.reach
        return [full.get(n, set()) for n in range(span.before, count - span.after)]
    found, start = [], -span.before
    while start + span.reach <= span.size + span.after:
        found.append({start + tap * span.dilation for tap in range(span.kernel)})
        start += span.stride
    return found


def random_span(chance, size, transposed=False):
    kernel, stride = chance.randint(1, 5), chance.randint(1, 3)
    before, after = (0, 0) if transposed else (chance.randint(0, 2), chance.randint(0, 2))
    return Span(size, kernel, stride, before, after, chance.randint(1, 2), transposed)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("transposed", [False, True])
def test_outputs_are_as_many_as_windows_that_fit(seed, transposed):
    span = random_span(random.Random(seed), 20, transposed)
    assert span.output == len(places(span))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_the_field_of_a_chain_is_what_its_outputs_depend_on(seed, transposed):
    chance = random.Random(seed)
    axis, seen = Axis(), [{position} for position in range(500)]
    for number in range(4):
        span = random_span(chance, len(seen), transposed=transposed and number == 1)
        axis = span.field(axis)
        seen = [
            set().union(*(seen[n] if 0 <= n < len(seen) else {None} for n in inputs))
            for inputs in places(span)
        ]
    whole = {n: inputs for n, inputs in enumerate(seen) if inputs and None not in inputs}
    assert whole
    for number, inputs in whole.items():
        assert axis.start + number * axis.jump <= min(inputs)
        assert max(inputs) <= axis.end + number * axis.jump
    widest = max(max(inputs) - min(inputs) + 1 for inputs in whole.values())
    # Behind a transposed convolution outputs see more or less, and the most need not occur.
    assert widest <= axis.size if transposed else widest == axis.size


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_field_of_a_transposed_convolution(kernel, stride):
    span = Span(20, kernel, stride, transposed=True)
    assert span.field(Axis()).size == max(map(len, places(span))) == -(-kernel // stride)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "sides"),
    # The last: the window is smaller than its stride.
    [(224, 3, 2, (0, 1)), (28, 5, 1, (2, 2)), (7, 2, 2, (0, 1)), (224, 1, 2, (0, 0))],
)
def test_same_gives_the_size_over_the_stride(size, kernel, stride, sides):
    span, _ = Window((kernel, kernel), (stride, stride), SAME).spans((size, size))
    assert (span.before, span.after) == sides
    assert span.output == -(-size // stride)


def test_axes_are_told_apart():
    window = Window((5, 3), (2, 1), ((2, 2), (0, 1)), (1, 2))
    assert window.output((28, 20)) == (14, 17)
    assert window.applications((28, 20)) == 14 * 17


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (
            Window((3, 9), padding=((1, 1), (1, 1))),
            "Expected a kernel of at most the input's width, 8 with padding. Received: 9. "
            "Take a smaller kernel or more padding.",
        ),
        (
            Window((4, 1), dilation=(3, 1)),
            "Expected a kernel of at most the input's height, 6 with padding. "
            "Received: 4 (10 with gaps). Take a smaller kernel or more padding.",
        ),
        (
            Window((2, 2), padding=((4, 4), (0, 0)), transposed=True),
            "Expected a padding that leaves something of the height. Received: 4 and 4, which cut "
            "off all of 7 outputs. Take less padding.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(window, message):
    with pytest.raises(UsageError) as caught:
        window.spans((6, 6))
    assert str(caught.value) == message


def test_rest_is_what_no_window_reaches():
    assert Span(224, 11, 4).rest == 1
    assert Span(227, 11, 4).rest == 0
    assert Window((2, 2), (2, 2), VALID).spans((5, 4))[0].rest == 1
