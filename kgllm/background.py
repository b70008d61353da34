"""Threads that wait for servers: as many at once as allowed, begun when needed, and never waited for at the exit."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

__all__ = ["Threads", "in_order", "in_threads"]

A = TypeVar("A")
T = TypeVar("T")
_Waiting: TypeAlias = "SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]"


class Threads:
    """At most ``most`` daemon threads.

    A ``ThreadPoolExecutor`` joins its threads when the interpreter ends, so that Ctrl-C would wait until the last
    server has answered.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._begun = 0
        self._closed = False
        self._lock = threading.Lock()
        self._idle = threading.Semaphore(0)
        self._waiting: _Waiting = SimpleQueue()
        self._end = weakref.finalize(self, _end, self._waiting, most)
        self._end.atexit = False

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have the work done in one of the threads; the future can be cancelled until it begins.

        Raises ``RuntimeError`` after ``close``, as a ``ThreadPoolExecutor`` does.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the assistant is closed")
            self._waiting.put((future, work))
            if not self._idle.acquire(blocking=False) and self._begun < self._most:
                self._begun += 1
                threading.Thread(target=_work, args=(self._waiting, self._idle), daemon=True).start()
        return future

    def close(self) -> None:
        """Cancel what has not begun, and let each thread end with what it is at."""
        with self._lock:
            self._closed = True
            try:
                while (item := self._waiting.get_nowait()) is not None:
                    item[0].cancel()
            except Empty:
                self._end()


def in_order(work: Callable[[A], T], items: Iterable[A], *, threads: Threads, most: int) -> Iterator[T]:
    """What the work makes of each item, in their order, done side by side; at most so many are read ahead.

    What ``items`` itself raises comes after what came before it. To close the iterator cancels what has not begun.
    """
    pending: deque[Future[T]] = deque()
    given = iter(items)
    fault: Exception | None = None
    try:
        while fault is None:
            try:
                pending.append(threads.submit(partial(work, next(given))))
            except StopIteration:
                break
            except Exception as error:
                fault = error
            while pending and (pending[0].done() or len(pending) >= most):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
        if fault is not None:
            raise fault
    finally:
        for future in pending:
            future.cancel()


async def in_threads(items: Iterator[T], threads: Threads) -> AsyncGenerator[T, None]:
    """The items of a generator, each of which is made in a thread. Closed early, it ends with the one under way."""
    under_way: Future[Any] | None = None
    end = object()
    try:
        while True:
            under_way = threads.submit(partial(next, items, end))
            item = await asyncio.wrap_future(under_way)
            if item is end:
                return
            yield item
    finally:  # what runs cannot be ended from outside: what comes after it is
        if under_way is not None:
            under_way.add_done_callback(lambda _: items.close())  # type: ignore[attr-defined]


def _work(waiting: _Waiting, idle: threading.Semaphore) -> None:
    while (item := waiting.get()) is not None:
        future, work = item
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
        del item, future, work  # what it held is not to live until the next one comes
        idle.release()


def _end(waiting: _Waiting, most: int) -> None:
    for _ in range(most):
        waiting.put(None)
