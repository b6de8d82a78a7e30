"""Textbook questions: every formula, evaluated, is what it says, and what the layer costs."""

import math
import random

import pytest

from cnntransfer.errors import UsageError
from cnntransfer.inspect.question import Question
from cnntransfer.inspect.textbook import WORDS, answer
from cnntransfer.settings import rules


def question(**typed):
    """A question as it is typed."""
    return Question(**{name: rules(Question)[name].parse(name, raw) for name, raw in typed.items()})


def formulas(word, **typed):
    return {
        one.quantity: (one.formula, one.value) for one in answer(word, question(**typed)).formulas
    }


def test_the_lecture_s_convolution():
    given = dict(input="32x32x3", filters=10, kernel=5, stride=1, padding=2)  # noqa: C408
    assert answer("conv", question(**given)).facts.output == (32, 32, 10)
    assert formulas("conv", **given) == {
        "height and width": ("(32 - 5 + 2*2)/1 + 1", 32),
        "parameters": ("(5*5*3 + 1) * 10", 760),
        "multiply-adds": ("32*32*10 * 5*5*3", 768_000),
        "activation bytes": ("32*32*10 * 4", 40_960),
        "receptive field": ("(5 - 1)*1 + 1", 5),
    }


@pytest.mark.parametrize(
    ("word", "typed", "quantity", "expected"),
    [
        ("conv", {"input": "227x227x3", "filters": 96, "kernel": 11, "stride": 4, "bias": False},
         "parameters", ("11*11*3 * 96", 34_848)),
        ("pool", {"input": "55x55x96", "kernel": 3, "stride": 2},
         "height and width", ("(55 - 3 + 2*0)/2 + 1", 27)),
        ("pool", {"input": "24x24x10", "kernel": 2}, "height and width",
         ("(24 - 2 + 2*0)/2 + 1", 12)),
        ("conv", {"input": "32x32x3", "filters": 8, "kernel": 3, "dilation": 2},
         "height and width", ("(32 - (2*(3 - 1) + 1) + 2*0)/1 + 1", 28)),
        ("conv", {"input": "32x32x3", "filters": 8, "kernel": 3, "dilation": 2},
         "receptive field", ("(3 - 1)*2 + 1", 5)),
        ("conv", {"input": "8x8x32", "filters": 64, "kernel": 3, "groups": 4},
         "parameters", ("(3*3*32/4 + 1) * 64", 4672)),
        ("conv", {"input": "7x7x64", "filters": 32, "kernel": 3, "stride": 2, "transposed": True},
         "height and width", ("(7 - 1)*2 + 3 - 2*0", 15)),
        ("conv", {"input": "224x224x3", "filters": 8, "kernel": 3, "stride": 2, "padding": "same"},
         "height and width", ("(224 - 3 + 0 + 1)/2 + 1", 112)),
        ("depthwise", {"input": "8x8x32", "kernel": 3}, "parameters", ("(3*3 + 1) * 32", 320)),
        ("separable", {"input": "8x8x32", "filters": 64, "kernel": 3},
         "parameters", ("3*3 * 32 + (1*1*32 + 1) * 64", 2400)),
        ("dense", {"input": "4x4x20", "units": 100}, "parameters", ("(4*4*20 + 1) * 100", 32_100)),
        ("dense", {"input": "100", "units": 10}, "parameters", ("(100 + 1) * 10", 1010)),
    ],
)  # fmt: skip
def test_textbook_answers(word, typed, quantity, expected):
    assert formulas(word, **typed)[quantity] == expected


def random_question(word, chance):
    channels = chance.choice([4, 8, 12])
    typed = {
        "input": f"{chance.randint(20, 40)}x{chance.randint(20, 40)}x{channels}",
        "filters": chance.choice([4, 8, 16]),
        "units": chance.randint(1, 99),
        "kernel": f"{chance.randint(1, 5)}x{chance.randint(1, 5)}",
        "stride": chance.randint(1, 3),
        "padding": chance.choice([0, 1, "2x1", "same", "valid"]),
        "dilation": chance.choice(["1", "2", "1x3"]),
        "groups": chance.choice([1, 2, 4]),
        "multiplier": chance.randint(1, 3),
        "pooling": chance.choice(["max", "avg"]),
        "transposed": chance.random() < 0.3,
        "bias": chance.random() < 0.5,
        "round_down": True,
    }
    taken = (*WORDS[word].needs, *WORDS[word].takes)
    return question(**{name: value for name, value in typed.items() if name in taken})


@pytest.mark.parametrize("word", WORDS)
def test_formulas_come_to_what_they_say(word):
    chance = random.Random(word)
    for _ in range(200):
        result = answer(word, random_question(word, chance))
        for worked in result.formulas:
            assert math.floor(eval(worked.formula) + 1e-9) == worked.value, worked
        values = {worked.quantity: worked.value for worked in result.formulas}
        facts = result.facts
        assert values["parameters"] == facts.parameters.total
        assert values["multiply-adds"] == facts.multiply_adds
        if word != "dense":
            both = (values.get("height and width"),) * 2
            size = (values.get("height", both[0]), values.get("width", both[1]))
            assert size == facts.output[:2]
            both = (values.get("receptive field"),) * 2
            field = (
                values.get("receptive field, height", both[0]),
                values.get("receptive field, width", both[1]),
            )
            assert field == facts.field.size


@pytest.mark.parametrize("word", WORDS)
def test_what_is_needed_is_asked_for_with_an_example_that_works(word):
    with pytest.raises(UsageError) as caught:
        answer(word, Question())
    first = WORDS[word].needs[0]
    example = WORDS[word].example
    assert str(caught.value) == (
        f"--{first}: expected for {word}. Received: none. Try: cnntransfer inspect {word} {example}"
    )
    words = example.split()
    typed = dict(zip((name[2:] for name in words[::2]), words[1::2], strict=True))
    assert answer(word, question(**typed)).formulas


@pytest.mark.parametrize(
    ("word", "typed", "message"),
    [
        ("conv", {"input": "224x227x3", "filters": 96, "kernel": 11, "stride": 4},
         "--stride: expected one that fits the height. Received: 4, with which "
         "(224 - 11 + 2*0)/4 + 1 = 54.25. Fits: an input of 223 or 227. "
         "Or take --round-down, as Keras does."),
        ("conv", {"input": "5x5x3", "filters": 8, "kernel": 7},
         "Expected a kernel of at most the input's height, 5 with padding. Received: 7. "
         "Take a smaller kernel or more padding."),
        ("conv", {"input": "8x8x3", "filters": 8, "kernel": 3, "groups": 2},
         "Expected a number of groups that divides the 3 input channels. Received: 2. "
         "The nearest is 1."),
        ("pool", {"input": "8x8x3", "kernel": 2, "filters": 8},
         "--filters: expected with conv, separable. Received: with pool. What pool takes: "
         "--input, --kernel, --stride, --padding, --round-down, --pooling."),
        ("conv", {"input": "100", "filters": 8, "kernel": 3},
         "Expected a map, height x width x channels, such as 32x32x3. Received: 100."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_a_line(word, typed, message):
    with pytest.raises(UsageError) as caught:
        answer(word, question(**typed))
    assert str(caught.value) == message


def test_a_stride_that_does_not_fit_is_rounded_down_on_demand_and_always_for_same():
    typed = {"input": "224x224x3", "filters": 96, "kernel": 11, "stride": 4}
    rounded = answer("conv", question(**typed, round_down=True))
    assert rounded.facts.output == (54, 54, 96)
    assert rounded.formulas[0].exact == 54.25
    narrow = {"input": "224x224x3", "filters": 8, "kernel": 1, "stride": 2, "padding": "same"}
    assert answer("conv", question(**narrow)).facts.output == (112, 112, 8)


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("input", "32x32", "an input, height x width x channels, such as 32x32x3"),
        ("input", "0x32x3", "an input, height x width x channels, such as 32x32x3"),
        ("kernel", "3x", "a kernel such as 3, or height x width such as 5x3"),
        ("kernel", "1x2x3", "a kernel such as 3, or height x width such as 5x3"),
        ("stride", "0", "a stride such as 3, or height x width such as 5x3"),
        ("padding", "smae", "same, valid, or zeros on each side such as 2 or 2x1 (height x width)"),
        ("padding", "-1", "same, valid, or zeros on each side such as 2 or 2x1 (height x width)"),
        ("filters", "0", "a whole number of at least 1"),
    ],
)
def test_slips_of_the_finger(name, raw, expected):
    with pytest.raises(UsageError) as caught:
        question(**{name: raw})
    assert str(caught.value).startswith(f"{name}: expected {expected}. Received: ")


def test_what_is_typed_is_taken_in_every_form():
    typed = question(input="32×24X3", kernel="5x3", padding="SAME", stride="2")
    assert (typed.input, typed.kernel, typed.stride) == ((32, 24, 3), (5, 3), (2, 2))
    assert typed.padding == "same"
    assert question(padding="2x1").padding == ((2, 2), (1, 1))
