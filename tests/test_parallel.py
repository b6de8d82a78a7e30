"""Threads: results in order and in bounded memory, and what is worked out once, later."""

import itertools
import os
import subprocess
import sys
import threading
import time

import pytest

from cnntransfer.parallel import (
    Later,
    available_cores,
    ordered_map,
    products_on_one_thread,
    start,
)


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


# ---- Later


def test_nothing_is_worked_out_before_it_is_wanted():
    ran = []
    later = Later(lambda: ran.append(threading.get_ident()) or "result")
    assert ran == []
    assert later.result() == "result"
    assert later.result() == later.begin().result() == "result"
    assert len(ran) == 1
    assert ran != [threading.get_ident()]


def test_threads_that_want_the_same_get_the_same():
    ran = []

    def slow():
        ran.append(1)
        time.sleep(0.05)
        return object()

    later = Later(slow)
    barrier = threading.Barrier(8, timeout=10)

    def want(_):
        barrier.wait()
        return later.result()

    results = list(ordered_map(want, range(8), workers=8))
    assert len(ran) == 1
    assert {id(result) for result in results} == {id(later.result())}


def test_beginning_does_not_wait():
    gate = threading.Event()
    later = Later(lambda: gate.wait(10))
    future = later.begin()
    assert not future.done()
    gate.set()
    assert later.result() is True


def test_an_error_arrives_wherever_the_result_is_wanted():
    ran = []

    def fail():
        ran.append(1)
        raise ValueError("no weights")

    later = Later(fail)
    later.begin()
    for _ in range(2):
        with pytest.raises(ValueError, match="no weights"):
            later.result()
    assert len(ran) == 1


def test_products_run_on_one_thread_and_then_as_before():
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = threads()
    with products_on_one_thread():
        assert set(threads()) == {1}
    assert threads() == before


def test_products_of_libraries_that_the_block_imports_run_on_one_thread():
    script = (
        "import numpy\n"
        "from threadpoolctl import threadpool_info\n"
        "from cnntransfer.parallel import products_on_one_thread\n"
        "with products_on_one_thread():\n"
        "    import scipy.optimize\n"
        "    print(*[one['num_threads'] for one in threadpool_info()])"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == {"1"}
