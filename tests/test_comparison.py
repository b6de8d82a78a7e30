"""Comparing models: McNemar's test by hand and by SciPy, Holm's correction, the differences."""

import json
import shutil

import numpy as np
import pytest

from cnntransfer.bundle import Bundle
from cnntransfer.comparison import compare, distinct, holm, paired_tests
from cnntransfer.errors import UsageError
from cnntransfer.evaluate import evaluate


def rights(both, only_first, only_second, neither):
    """Whether two models are right, so often each way."""
    counts = (both, only_first, only_second, neither)
    first = np.repeat([True, True, False, False], counts)
    second = np.repeat([True, False, True, False], counts)
    return {"first": first, "second": second}


# ---- The test


def test_mcnemar_by_hand():
    """Of 5 images that tell them apart all fall to the second: 2 / 2**5, both sides."""
    (test,) = paired_tests(rights(10, 0, 5, 3))
    assert (test.first, test.second) == ("first", "second")
    assert (test.both_right, test.only_first_right) == (10, 0)
    assert (test.only_second_right, test.both_wrong) == (5, 3)
    assert test.p_value == test.p_adjusted == pytest.approx(2 / 32)


def test_mcnemar_does_not_mind_the_order_and_the_images_that_do_not_tell_them_apart():
    values = {
        paired_tests(rights(both, *pair, neither))[0].p_value
        for pair in ((12, 4), (4, 12))
        for both, neither in ((0, 0), (500, 30))
    }
    # R: binom.test(4, 16)$p.value
    assert list(values) == pytest.approx([0.0768127], abs=1e-6)


def test_models_that_are_right_of_the_same_images():
    (test,) = paired_tests(rights(10, 0, 0, 3))
    assert test.p_value == 1.0
    assert paired_tests(rights(1, 4, 4, 0))[0].p_value == 1.0


def test_p_values_are_as_small_as_promised():
    """Of models that are equally good, at most 5 % are told apart at 0.05."""
    random = np.random.default_rng(0)
    small = 0
    for _ in range(400):
        right = random.random((2, 120)) < 0.8
        small += paired_tests({"a": right[0], "b": right[1]})[0].p_value <= 0.05
    assert 1 <= small <= 20


def test_one_model_is_tested_against_none():
    assert paired_tests({"a": np.array([True])}) == ()


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.02], [0.02]),
        # R: p.adjust(c(0.01, 0.04, 0.03), "holm"), and so on.
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.04, 0.001, 0.3, 0.011], [0.08, 0.004, 0.3, 0.033]),
        ([0.9, 0.6], [1.0, 1.0]),
    ],
)
def test_holm(p_values, adjusted):
    assert holm(p_values) == pytest.approx(adjusted)


def test_several_tests_are_corrected():
    first = rights(0, 8, 0, 2)
    tests = paired_tests({**first, "third": np.array([True] * 5 + [False] * 5)})
    assert [test.second for test in tests] == ["second", "third"]
    assert [test.first for test in tests] == ["first", "first"]
    assert tests[0].p_value == pytest.approx(2 / 2**8)
    assert tests[0].p_adjusted == pytest.approx(4 / 2**8)
    assert tests[1].p_value == tests[1].p_adjusted == pytest.approx(2 / 2**3)


# ---- Bundles


@pytest.fixture
def wrong(bundle, tmp_path):
    """The bundle with two of its classes' names exchanged: wrong of blue and green."""
    copy = Bundle(shutil.copytree(bundle.path, tmp_path / "wrong"))
    copy.write_labels(["green", "blue", "red"])
    return Bundle(copy.path)


@pytest.mark.slow
def test_every_model_is_judged_as_if_it_were_alone(bundle, other_bundle, photos):
    result = compare({"one": bundle, "other": other_bundle}, photos)
    assert result.evaluations["one"] == evaluate(bundle, photos)
    assert result.evaluations["other"] == evaluate(other_bundle, photos)
    assert [row.label for row in result.evaluations["other"].per_class] == [
        *other_bundle.class_names
    ]


def test_one_model_is_compared_with_none(bundle, photos):
    result = compare({"one": bundle}, photos)
    assert (result.tests, result.differences) == ((), ())
    assert result.evaluations == {"one": evaluate(bundle, photos)}


def test_differences(bundle, wrong, photos):
    """By name, not by place: the exchanged classes are at other places."""
    result = compare({"right": bundle, "wrong": wrong}, photos)
    right = result.answers.is_right("right")
    (test,) = result.tests
    differing = {image.file: image for image in result.differences}
    labels = dict(zip(result.answers.files, result.answers.labels, strict=True))
    assert len(differing) == len(result.differences)
    for file, is_right in zip(result.answers.files, right, strict=True):
        # An image that is red, and known to be, is the same for both.
        if is_right:
            assert (file in differing) == (labels[file] != "red")
    assert test.only_first_right >= 15
    assert test.p_value < 0.001
    for image in result.differences:
        answers = image.answers
        assert answers["right"].predicted != answers["wrong"].predicted
        assert answers["right"].probability == answers["wrong"].probability
    errors = [image.answers["wrong"].probability for image in result.differences]
    assert errors == sorted(errors, reverse=True)


def test_plain_values(bundle, wrong, photos):
    plain = compare({"right": bundle, "wrong": wrong}, photos, mistakes=2).to_dict()
    plain = json.loads(json.dumps(plain))
    assert [row["model"] for row in plain["models"]] == ["right", "wrong"]
    assert len(plain["models"][1]["mistakes"]) == 2
    assert plain["tests"][0]["second"] == "wrong"
    first = plain["differences"][0]
    assert first.keys() == {"file", "label", "answers"}
    assert [answer["model"] for answer in first["answers"]] == ["right", "wrong"]


def test_models_are_named_once(bundle, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(bundle.path)
    assert distinct([("a", bundle)]) == {"a": bundle}
    with pytest.raises(UsageError) as caught:
        distinct([("a", bundle), ("a", bundle)])
    assert str(caught.value) == "Expected different models. Received: a twice. Leave one out."
    with pytest.raises(UsageError, match="Received: a and b, which are the same"):
        distinct([("a", bundle), ("b", Bundle(link))])
    with pytest.raises(UsageError, match=r"Received: none\."):
        distinct([])
