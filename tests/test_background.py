"""The threads that wait for servers: how many there are, and that nobody has to wait for them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgllm.background import Threads, in_order

ROOT = Path(__file__).parents[1]


def test_no_more_run_at_a_time_than_are_allowed() -> None:
    threads, running, most, lock = Threads(3), [0], [0], threading.Lock()

    def work() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01)
        with lock:
            running[0] -= 1

    for future in [threads.submit(work) for _ in range(20)]:
        future.result()
    assert most == [3]
    threads.close()


def test_what_the_work_raises_its_future_raises() -> None:
    threads = Threads(1)
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 / 0).result()
    assert threads.submit(lambda: 1).result() == 1  # the thread lives on
    threads.close()


def test_closing_cancels_what_has_not_begun() -> None:
    threads, held = Threads(1), threading.Event()
    first, second = threads.submit(held.wait), threads.submit(held.wait)
    while not first.running():
        time.sleep(0.001)
    threads.close()
    held.set()
    assert first.result() is True
    assert second.cancelled()


def test_a_thread_that_waits_does_not_hold_up_the_exit() -> None:
    code = (
        "import time; from kgllm.background import Threads; Threads(1).submit(lambda: time.sleep(60)); time.sleep(0.1)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=20, check=True)


def test_after_the_end_nothing_is_taken_that_would_never_be_done() -> None:
    threads = Threads(2)
    threads.close()
    with pytest.raises(RuntimeError, match="closed"):
        threads.submit(lambda: 1)


def test_results_come_in_order_and_as_soon_as_those_before_them() -> None:
    threads, slow = Threads(4), threading.Event()

    def work(number: int) -> int:
        if number == 1:
            slow.wait(5)
        return number

    def numbers() -> Iterator[int]:
        yield 0
        time.sleep(0.2)
        yield from range(1, 6)

    coming = in_order(work, numbers(), threads=threads, most=4)
    began = time.monotonic()
    assert next(coming) == 0
    assert time.monotonic() - began < 1
    slow.set()
    assert list(coming) == [1, 2, 3, 4, 5]
    threads.close()


def test_what_the_items_raise_comes_after_what_came_before() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    threads = Threads(2)
    coming = in_order(lambda number: number, items(), threads=threads, most=4)
    assert next(coming) == 1
    with pytest.raises(ValueError, match="no more"):
        next(coming)
    threads.close()
