"""Orders: every example once an epoch, as the seed decides."""

import numpy as np
import pytest

from cnntransfer.training.order import Order


@pytest.mark.parametrize(("size", "batch_size", "steps"), [(7, 3, 3), (6, 3, 2), (1, 32, 1)])
def test_every_example_comes_once_in_so_many_batches(size, batch_size, steps):
    order = Order(size, batch_size, 0)
    assert order.steps == steps
    for epoch in range(3):
        assert sorted(order.of(epoch).tolist()) == list(range(size))
        assert order.of(epoch).dtype == np.int64


def test_it_follows_seed_and_epoch():
    orders = [Order(50, 8, seed).of(epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert Order(50, 16, 1).of(1).tolist() == orders[3]


def test_without_a_seed_it_is_kept():
    assert Order(5, 2, None).of(0).tolist() == Order(5, 2, None).of(3).tolist() == [0, 1, 2, 3, 4]
