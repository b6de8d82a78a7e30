"""``ordered_map``: in order, in parallel, in bounded memory."""

import itertools
import os
import sys
import threading
import time

import pytest

from cnntransfer.parallel import available_cores, ordered_map, start


def test_results_come_in_order_whatever_the_items_take():
    def slow(number):
        time.sleep(0.02 if number % 5 == 0 else 0)
        return number * 2

    assert list(ordered_map(slow, range(40), workers=4)) == [2 * n for n in range(40)]


def test_calls_run_side_by_side():
    barrier = threading.Barrier(3, timeout=10)
    assert len(list(ordered_map(lambda _: barrier.wait(), range(3), workers=3))) == 3


def test_an_endless_input_is_taken_only_as_far_as_needed():
    taken = []

    def items():
        for number in itertools.count():
            taken.append(number)
            yield number

    results = ordered_map(lambda number: number, items(), workers=2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    results.close()
    assert len(taken) <= 5 + 4 * 2


def test_nothing_to_do():
    assert list(ordered_map(str, [], workers=2)) == []


def test_an_error_comes_at_its_place_and_stops_the_rest():
    started = []

    def fail_at_three(number):
        started.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    results = ordered_map(fail_at_three, range(1000), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert len(started) < 20


def test_closing_leaves_no_thread_behind():
    before = threading.active_count()
    results = ordered_map(lambda number: number, range(100), workers=3)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_cores_are_those_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    assert available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


def test_threads_that_overlap_leave_the_switch_interval_as_it_was():
    before = sys.getswitchinterval()
    gates = [threading.Event() for _ in range(20)]
    futures = [start(gate.wait) for gate in gates]
    assert sys.getswitchinterval() == pytest.approx(before / 10)
    for gate, future in zip(gates, futures, strict=True):
        gate.set()
        future.result(timeout=10)
    deadline = time.monotonic() + 10  # Callbacks come after the result.
    while sys.getswitchinterval() != before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sys.getswitchinterval() == before
