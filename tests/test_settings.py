"""One setting's rule: what it takes, what it refuses, in which words."""

import math
from dataclasses import dataclass

import pytest

from cnntransfer.errors import UsageError
from cnntransfer.settings import Rule, numbers, reject_unknown, rules, setting

FRACTION = Rule(float, minimum=0, maximum=0.9)
COUNT = Rule(int, minimum=1, maximum=1000)
NOT_NUMBERS = [True, False, None, "abc", "", [], [1], {}, math.nan, math.inf, -math.inf, "nan"]


def message(rule, raw):
    with pytest.raises(UsageError) as caught:
        rule.parse("views", raw)
    return str(caught.value)


@pytest.mark.parametrize(
    ("rule", "raw", "value"),
    [
        (FRACTION, 0.5, 0.5),
        (FRACTION, "0.5", 0.5),
        (FRACTION, 0, 0.0),
        (FRACTION, 0.9, 0.9),
        (COUNT, 7, 7),
        (COUNT, "7", 7),
        (COUNT, 7.0, 7),
        (COUNT, "1e2", 100),
        (Rule(bool), True, True),
        (Rule(str), "abc", "abc"),
        (Rule(str), 20, "20"),
        (Rule(str, choices=("a", "b")), "b", "b"),
        (Rule(int, optional=True), None, None),
    ],
)
def test_parse(rule, raw, value):
    parsed = rule.parse("views", raw)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("raw", NOT_NUMBERS)
def test_what_is_no_number_is_refused(raw):
    expected = f"views: expected a number from 0 to 0.9. Received: {raw!r}."
    assert message(FRACTION, raw) == expected
    assert (
        message(COUNT, raw) == f"views: expected a whole number from 1 to 1000. Received: {raw!r}."
    )


@pytest.mark.parametrize("raw", [2.5, "2.5", 10**400])
def test_what_is_no_whole_number_is_refused(raw):
    assert "expected a whole number from 1 to 1000. Received: " in message(COUNT, raw)


@pytest.mark.parametrize("raw", [0, 1, "true", "yes", None])
def test_only_booleans_are_booleans(raw):
    assert message(Rule(bool), raw) == f"views: expected true or false. Received: {raw!r}."


@pytest.mark.parametrize("raw", [True, None, [], {"a": 1}])
def test_what_is_no_text_is_refused(raw):
    assert message(Rule(str), raw) == f"views: expected text. Received: {raw!r}."


def test_out_of_range_names_the_nearest_allowed_value():
    assert message(COUNT, 0) == (
        "views: expected a whole number from 1 to 1000. Received: 0. "
        "The nearest allowed value is 1."
    )
    assert message(FRACTION, "7").endswith("Received: 7.0. The nearest allowed value is 0.9.")
    assert message(Rule(float, minimum=2), 1) == (
        "views: expected a number of at least 2. Received: 1.0. The nearest allowed value is 2."
    )


def test_a_wrong_choice_names_all_and_the_nearest():
    rule = Rule(str, choices=("stretch", "crop"))
    assert message(rule, "strech") == (
        "views: expected one of: stretch, crop. Received: 'strech'. Did you mean 'stretch'?"
    )


@pytest.mark.parametrize("raw", ["0.8,1.2", "0.8 1.2", "0.8, 1.2", [0.8, 1.2], (0.8, "1.2")])
def test_a_range(raw):
    assert numbers("a range", 0, 10, size=2)(raw) == (0.8, 1.2)


@pytest.mark.parametrize(
    "raw",
    [None, 1, "1", [1], [1, 2, 3], [1, 11], [-1, 2], ["a", 1], [math.nan, 1], [True, 2], "1;2"],
)
def test_what_is_no_range_is_refused(raw):
    rule = Rule(numbers("a range", 0, 10, size=2))
    assert message(rule, raw) == f"views: expected a range. Received: {raw!r}."


def test_unknown_keys_name_the_nearest_and_all():
    reject_unknown("recipe", ["views"], ["views", "seed"])
    with pytest.raises(UsageError) as caught:
        reject_unknown("recipe", ["seed", "view"], ["views", "seed"])
    assert str(caught.value) == (
        "recipe: unknown key 'view'. Did you mean 'views'? Known keys: views, seed."
    )
    with pytest.raises(UsageError, match="unknown key 3"):
        reject_unknown("recipe", [3], ["views"])


def test_a_field_carries_its_rule_and_its_default():
    @dataclass
    class Settings:
        views: int = setting(2, int, "How many.", minimum=1)
        section: tuple = ()

    assert Settings().views == 2
    assert rules(Settings) == {"views": Rule(int, "How many.", minimum=1)}
