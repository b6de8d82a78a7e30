"""Learning rates found by a range test."""

import dataclasses
import math

import numpy as np
import pytest

from cnntransfer.errors import UsageError
from cnntransfer.plots import plot_learning_rates
from cnntransfer.progress import Observer
from cnntransfer.recipe import AUTO, FINETUNE_STAGE, Recipe, Stage
from cnntransfer.training.checkpoint import NO_CHECKPOINT, Checkpoint
from cnntransfer.training.rates import RATE_COLUMNS, range_test, settle_rate, suggested
from cnntransfer.training.schedule import RISING_STEPS, scheduled
from tests.training.test_heads import HIDDEN, exclusive_or  # noqa: F401
from tests.training.test_network import network_of, tiny

STAGE = Stage(
    name="top", unfreeze="all", learning_rate=AUTO, epochs=7, warmup=0.5, ema_momentum=0.9
)


class Stub:
    """Its loss depends on the learning rate alone."""

    def __init__(self, stage, loss):
        self.stage, self.loss, self.steps, self.is_closed = stage, loss, 0, False

    @property
    def learning_rate(self):
        return scheduled(self.stage, self.steps, 3)

    def step_losses(self):
        try:
            while True:
                loss = self.loss(self.learning_rate)
                self.steps += 1
                yield loss
        finally:
            self.is_closed = True


def valley(rate):
    """Lowest at 0.01, from where it soon explodes."""
    return 1 + math.log10(rate / 0.01) ** 2 / 10 if rate < 0.01 else 1 + 3000 * (rate - 0.01)


def test_the_rate_rises_until_the_loss_explodes():
    made = []
    rows = range_test(STAGE, lambda stage: made.append(Stub(stage, valley)) or made[0])
    (stub,) = made
    assert stub.is_closed
    assert (stub.stage.warmup, stub.stage.ema_momentum) == (0, 0)
    rates = [row["learning_rate"] for row in rows]
    assert rates == pytest.approx([1e-6 * 10 ** (6 * n / RISING_STEPS) for n in range(len(rates))])
    assert RISING_STEPS * 2 / 3 < len(rows) < RISING_STEPS
    assert [row["loss"] for row in rows] == pytest.approx([valley(rate) for rate in rates])
    assert all(tuple(row) == RATE_COLUMNS for row in rows)
    assert 0.0005 <= suggested(rows) <= 0.004  # The smoothed loss is some steps behind.


def test_a_loss_that_is_infinite_ends_the_test():
    rows = range_test(STAGE, lambda stage: Stub(stage, lambda r: 1 / r if r < 1e-4 else math.inf))
    assert pytest.approx(len(rows), abs=1) == 2 * RISING_STEPS / 6
    assert suggested(rows) == pytest.approx(1e-5, rel=0.2)


@pytest.mark.parametrize("loss", [lambda _: math.nan, lambda rate: 1 + 1e5 * rate])
def test_nothing_is_suggested_where_no_rate_does_any_good(loss):
    assert suggested(range_test(STAGE, lambda stage: Stub(stage, loss))) is None


@pytest.mark.parametrize("seed", range(12))
def test_a_stage_that_begins_well_learns_a_tenth_as_fast_as_would_spoil_it(seed):
    """Its loss is noise about what it was until it explodes at 0.01."""
    random = np.random.default_rng(seed)

    def loss(rate):
        return 0.3 + random.normal(0, 0.05) + max(0, 100 * (rate - 0.01))

    rows = range_test(STAGE, lambda stage: Stub(stage, loss))
    assert 3e-4 < suggested(rows) < 3e-3


def test_a_number_is_left_alone():
    stage = dataclasses.replace(STAGE, learning_rate=0.1)
    assert settle_rate(stage, None, NO_CHECKPOINT) is stage


def test_what_was_found_is_kept_and_said():
    taken, said = [], []

    class Taker(Checkpoint):
        def settle_stage(self, stage, rates):
            taken.append((stage, rates))

    class Listener(Observer):
        def note(self, message):
            said.append(message)

    settled = settle_rate(STAGE, lambda stage: Stub(stage, valley), Taker(), Listener())
    assert settled == dataclasses.replace(STAGE, learning_rate=settled.learning_rate)
    ((stage, rows),) = taken
    assert (stage, settled.learning_rate) == (settled, suggested(rows))
    assert said == [
        f"Stage 'top': learning rate {settled.learning_rate:g}, a tenth of where the loss begins "
        "to rise (learning_rates.png)."
    ]


def test_the_usual_rate_where_none_can_be_told():
    settled = settle_rate(STAGE, lambda stage: Stub(stage, lambda _: math.nan), NO_CHECKPOINT)
    assert settled.learning_rate == FINETUNE_STAGE.learning_rate


def test_a_network_is_as_it_was_before():
    network = network_of(tiny())
    network.train_epoch(0)
    before = network.arrays()
    rows = range_test(STAGE, lambda stage: network)
    assert len(rows) > 20
    for name, arrays in network.arrays().items():
        for a, b in zip(arrays, before[name], strict=True):
            assert np.array_equal(a, b), name


def test_a_network_learns_at_the_rates_of_the_test():
    made = []
    rows = range_test(STAGE, lambda stage: made.append(stage) or network_of(tiny(), **vars(stage)))
    expected = [scheduled(made[0], step, 4) for step in range(len(rows))]
    assert [row["learning_rate"] for row in rows] == pytest.approx(expected, rel=1e-4)


def test_a_head_learns_with_what_was_found(exclusive_or):  # noqa: F811
    """The first epoch's loss is lower than at a rate a thousand times as low."""
    recipe = Recipe(head=HIDDEN)
    begun = exclusive_or.initial_head(recipe)

    def make(stage):
        return exclusive_or.learner(recipe, begun, stage)

    stage = settle_rate(dataclasses.replace(STAGE, ema_momentum=0), make, NO_CHECKPOINT)
    slow = dataclasses.replace(stage, learning_rate=stage.learning_rate / 1000)
    losses = []
    for one in (stage, slow):
        learner = make(one)
        for epoch in range(stage.epochs):
            learner.train_epoch(epoch)
        losses.append(learner.validate()[0])
    assert losses[0] < losses[1] - 0.05


def test_finding_the_rates_of_whatever_learns_step_by_step():
    with pytest.raises(UsageError, match=r"--lr-find: expected .* Received: a head without hidden"):
        Recipe().finding_rates()
    unfreezing = Recipe().override({"stages.finetune.unfreeze": "block13"})
    assert [s.learning_rate for s in unfreezing.finding_rates().stages] == [1e-3, AUTO]
    hidden = unfreezing.override({"head.units": 8})
    assert [s.learning_rate for s in hidden.finding_rates().stages] == [AUTO, AUTO]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["50$\\foo$", "日本語"])
def test_any_name_of_a_stage_can_be_drawn(tmp_path, name):
    rows = range_test(dataclasses.replace(STAGE, name=name), lambda stage: Stub(stage, valley))
    plot_learning_rates(tmp_path / "x.png", rows, {name: 0.01})
    assert (tmp_path / "x.png").stat().st_size > 10_000
