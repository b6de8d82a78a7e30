"""Intervals: by hand, by other libraries, and how often they hold the truth."""

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from cnntransfer.metrics import figures
from cnntransfer.metrics.intervals import of_loss, of_share, wilson

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (5, 10), (91, 100), (30, 30), (200, 900)])
def test_wilson_is_scipy_s(hits, count):
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    interval = wilson(hits / count, count)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert interval.method == "wilson"


@pytest.mark.parametrize(
    ("hits", "count", "limit"),
    # Half of the 5 % quantile of chi-square with 2, 4 and 6 degrees of freedom.
    [(1, 7, 0.0513), (2, 50, 0.3554), (2, 60, 0.3554), (3, 900, 0.8177), (1, 1, 0.0513)],
)
def test_wilson_is_modified_where_few_are_the_exception(hits, count, limit):
    interval = wilson(hits / count, count)
    assert interval.low == pytest.approx(limit / count, rel=1e-3)
    other = wilson(1 - hits / count, count)
    assert other.high == pytest.approx(1 - limit / count, rel=1e-3)
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert interval.high == pytest.approx(max(expected.high, 0.0), abs=1e-12)


@pytest.mark.parametrize("count", [3, 20, 60, 400])
def test_wilson_holds_every_proportion(count):
    """Exactly: the sum over all that may be observed. Unmodified it is 0.83 at the least."""
    hits = np.arange(count + 1)
    limits = [wilson(hit / count, count) for hit in hits]
    low, high = (np.array([getattr(one, name) for one in limits]) for name in ("low", "high"))
    shares = np.linspace(0.0005, 0.9995, 2000)
    held = [
        binom.pmf(hits, count, share)[(low <= share) & (share <= high)].sum() for share in shares
    ]
    assert min(held) > 0.91
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_a_share_s_interval_is_as_wide_as_its_values_scatter():
    values = RANDOM.normal(0.8, 0.02, 1000)
    interval = of_share(0.8, values, 1000, 1000)
    assert (interval.low, interval.high) == pytest.approx((0.758, 0.837), abs=0.003)
    assert interval.method == "bootstrap"
    # Never beyond what there is, and farther from where there is less room.
    edge = of_share(0.99, RANDOM.normal(0.99, 0.01, 1000), 1000, 1000)
    assert 0.99 - edge.low > 3 * (edge.high - 0.99)
    assert edge.high < 1


def test_few_images_and_few_resamples_make_wider():
    many = np.tile([0.78, 0.82], 500)
    widths = [
        interval.high - interval.low
        for interval in (
            of_share(0.8, many, 1000, 1),
            of_share(0.8, many, 10, 1),
            of_share(0.8, many[:10], 1000, 1),
        )
    ]
    assert widths[0] < widths[1] * 0.85
    assert widths[0] < widths[2] * 0.9


def test_resamples_without_a_value_do_not_count():
    values = RANDOM.normal(0.8, 0.02, 999)
    values[::2] = np.nan
    interval = of_share(0.8, values, 1000, 1)
    assert interval.high - interval.low == pytest.approx(0.079, abs=0.01)


def test_a_loss_has_more_room_above():
    interval = of_loss(0.5, RANDOM.normal(0.5, 0.1, 1000), 1000, 0)
    assert (interval.low, interval.high) == pytest.approx((0.5 / 1.48, 0.5 * 1.48), rel=0.05)
    wider = of_loss(0.5, RANDOM.normal(0.5, 0.1, 1000), 1000, 0.3)
    assert wider.low == pytest.approx(interval.low, rel=0.05)
    assert wider.high == pytest.approx(0.5 + 1.96 * 0.3, rel=0.01)


def test_where_there_is_nothing_to_learn_from():
    assert of_loss(0.5, np.full(100, 0.5), 100, 0.0) is None
    assert of_loss(0.0, np.full(100, 0.0), 100, 0.1) is None
    assert of_loss(0.5, np.full(100, 0.5), 1, 0.1) is None
    assert of_share(0.5, np.full(100, 0.5), 100, 20) == wilson(0.5, 20)
    assert of_share(1.0, np.array([1.0, np.nan]), 100, 20) == wilson(1.0, 20)


def test_nothing_overflows():
    interval = of_share(0.5, np.array([0.0, 1.0]), 2, 2)
    assert 0 <= interval.low < interval.high <= 1
    assert math.isfinite(of_loss(1e-6, np.array([0.0, 1.0]), 2, 0.1).high)


@pytest.mark.slow
def test_intervals_hold_the_truth():
    """200 simulations; ``benchmarks/intervals.py`` has 1,000 of more settings."""
    simulations, images, classes = 200, 100, 3

    def draw(count, seed):
        random = np.random.default_rng(seed)
        labels = random.integers(0, classes, count)
        logits = random.normal(size=(count, classes))
        logits[np.arange(count), labels] += 1.8
        powers = np.exp(1.8 * logits)
        return labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    names = [str(number) for number in range(classes)]
    truth = figures(names, *draw(20_000, 10**6))
    held = {}
    for seed in range(simulations):
        for name, interval in figures(names, *draw(images, seed)).intervals.items():
            held.setdefault(name, []).append(interval.low <= getattr(truth, name) <= interval.high)
    for name, of in held.items():
        assert len(of) == simulations
        # 93 to 97 %, give or take two standard errors.
        assert 0.90 <= np.mean(of) <= 0.995, (name, np.mean(of))
