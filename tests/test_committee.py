"""What models say together."""

import json

import numpy as np
import pytest

import cnntransfer
from cnntransfer.answers import Answers
from cnntransfer.committee import check_members, with_votes
from cnntransfer.errors import ExitCode, UsageError


def answers(*members, names=("a", "b", "c"), trained_on=0):
    """Of models that say so much of two images of class a."""
    models = [f"m{number}" for number in range(len(members))]
    return Answers(
        class_names=dict.fromkeys(models, names),
        probabilities={
            m: np.array(rows, np.float32) for m, rows in zip(models, members, strict=True)
        },
        files=("1.jpg", "2.jpg"),
        labels=("a", "a"),
        rejected=(),
        trained_on=dict.fromkeys(models, trained_on),
    )


SURE = [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1]]
UNSURE = [[0.4, 0.6, 0.0], [0.5, 0.4, 0.1]]
ANOTHER = [[0.3, 0.4, 0.3], [0.6, 0.4, 0.0]]


def test_by_mean_the_sure_one_wins_by_majority_the_two():
    voted = with_votes(answers(SURE, UNSURE, ANOTHER))
    assert voted.models == ("m0", "m1", "m2", "soft vote", "hard vote")
    soft, hard = voted.probabilities["soft vote"], voted.probabilities["hard vote"]
    np.testing.assert_allclose(soft, np.mean([SURE, UNSURE, ANOTHER], axis=0), rtol=1e-6)
    assert soft.argmax(axis=1).tolist() == [0, 1]
    assert hard.argmax(axis=1).tolist() == [1, 0]
    np.testing.assert_allclose(hard.sum(axis=1), 1, rtol=1e-6)
    assert voted.is_right("hard vote").tolist() == [False, True]


def test_equal_votes_are_told_apart_by_the_mean():
    hard = with_votes(answers(SURE, UNSURE)).probabilities["hard vote"]
    assert hard.argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(20))
def test_the_majority_is_never_outvoted_by_the_mean(seed):
    members = np.random.default_rng(seed).dirichlet([0.3] * 3, (5, 2))
    hard = with_votes(answers(*members)).probabilities["hard vote"]
    for image in range(2):
        votes = np.bincount(members[:, image].argmax(axis=1), minlength=3)
        assert votes[hard[image].argmax()] == votes.max()


def test_the_order_of_classes_does_not_matter():
    two = answers(SURE, SURE)
    turned = Answers(
        class_names={"m0": ("a", "b", "c"), "m1": ("c", "a", "b")},
        probabilities={"m0": two.probabilities["m0"], "m1": two.probabilities["m1"][:, [2, 0, 1]]},
        files=two.files,
        labels=two.labels,
        rejected=(),
        trained_on={"m0": 1, "m1": 3},
    )
    voted = with_votes(turned)
    np.testing.assert_allclose(voted.probabilities["soft vote"], SURE, rtol=1e-6)
    assert voted.class_names["soft vote"] == ("a", "b", "c")
    assert voted.trained_on["hard vote"] == 3


def test_one_that_does_not_tell_makes_the_committee_not_tell():
    assert with_votes(answers(SURE, UNSURE, trained_on=None)).trained_on["soft vote"] is None


def test_a_committee_has_members_of_the_same_classes():
    check_members({"m0": "abc", "m1": "cab"})
    with pytest.raises(UsageError, match=r"--vote: expected several models\. Received: one"):
        check_members({"m0": "abc"})
    with pytest.raises(UsageError, match="Received: m0 and m1, whose classes differ"):
        check_members({"m0": "abc", "m1": "abd"})
    with pytest.raises(UsageError, match=r"Write \./soft vote"):
        check_members({"m0": "abc", "soft vote": "abc"})


def test_evaluate_shows_it_as_one_model_more(cli, bundle, tmp_path, photos):
    import shutil

    copy = shutil.copytree(bundle.path, tmp_path / "copy")
    code, out, _ = cli("evaluate", bundle.path, copy, photos, "--vote")
    assert code == ExitCode.OK
    assert "soft vote" in out
    assert "hard vote" in out
    _, out, _ = cli("evaluate", bundle.path, copy, photos, "--vote", "--json")
    models = {one["model"]: one for one in json.loads(out)["models"]}
    assert list(models) == [str(bundle.path), str(copy), "soft vote", "hard vote"]
    assert models["soft vote"]["accuracy"] == models[str(copy)]["accuracy"]
    result = cnntransfer.compare([bundle.path, copy], photos, vote=True)
    assert result.evaluations["hard vote"].accuracy == models["hard vote"]["accuracy"]


def test_one_model_cannot_vote(cli, bundle, photos):
    code, out, err = cli("evaluate", bundle.path, photos, "--vote")
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.startswith("Error: --vote: expected several models.")
