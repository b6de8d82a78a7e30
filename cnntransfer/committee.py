"""What several models say together: by the mean of their probabilities, and by majority.

Soft and hard voting (Kuncheva 2004, "Combining Pattern Classifiers", chapters 4 and 5). Where it is
right more often than each of its members, they err on different images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .answers import Answers
from .errors import UsageError

Rows = NDArray[np.float32]


def _mean(members: Rows) -> Rows:
    """The mean of the members' probabilities, (members, n, classes) -> (n, classes)."""
    mean: Rows = members.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def _majority(members: Rows) -> Rows:
    """The share of the votes for each class, equal ones told apart by the mean.

    The mean counts as one vote more, divided among the classes: less than any whole one.
    """
    votes = np.zeros(members.shape[1:], np.float64)
    for rows in members:
        votes[np.arange(len(rows)), rows.argmax(axis=1)] += 1
    majority: Rows = ((votes + _mean(members)) / (len(members) + 1)).astype(np.float32)
    return majority


#: What a committee is called -> how it decides.
VOTES: Mapping[str, Callable[[Rows], Rows]] = {"soft vote": _mean, "hard vote": _majority}


def check_members(class_names: Mapping[str, Sequence[str]]) -> None:
    """Whether models can vote.

    Args:
        class_names: Every model's classes, in any order.

    Raises:
        UsageError: there is one model only, their classes differ, or one has a vote's name.
    """
    first, *others = class_names
    if not others:
        raise UsageError(
            "--vote: expected several models. Received: one. Name another before DATA."
        )
    for other in others:
        if set(class_names[other]) != set(class_names[first]):
            raise UsageError(
                f"--vote: expected models of the same classes. Received: {first} and {other}, "
                "whose classes differ. Leave --vote out."
            )
    if taken := VOTES.keys() & class_names.keys():
        raise UsageError(
            f"--vote: expected models that are called otherwise. Received: {min(taken)!r}. "
            f"Write ./{min(taken)}"
        )


def with_votes(answers: Answers) -> Answers:
    """Answers with those of a committee of all models, behind the others.

    Args:
        answers: Of models that :func:`check_members` lets vote.
    """
    names = answers.class_names[answers.models[0]]
    members = np.stack([_in_order(answers, model, names) for model in answers.models])
    known = [count for count in answers.trained_on.values() if count is not None]
    # Which images it were is not kept: at least so many.
    trained_on = max(known) if len(known) == len(answers.models) else None
    return Answers(
        class_names={**answers.class_names, **dict.fromkeys(VOTES, names)},
        probabilities={
            **answers.probabilities,
            **{name: decide(members) for name, decide in VOTES.items()},
        },
        files=answers.files,
        labels=answers.labels,
        rejected=answers.rejected,
        trained_on={**answers.trained_on, **dict.fromkeys(VOTES, trained_on)},
    )


def _in_order(answers: Answers, model: str, names: tuple[str, ...]) -> Rows:
    """A model's probabilities with its classes in a given order."""
    places = {name: place for place, name in enumerate(answers.class_names[model])}
    return answers.probabilities[model][:, [places[name] for name in names]]
