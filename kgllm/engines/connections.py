"""The connections to one server, kept open by an event loop in a thread of its own.

A loop can cancel, which a total deadline needs; in a thread of its own it works where a loop already runs, as in a
notebook, and for many threads at once. Kept connections halve what a call costs.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import httpx2

__all__ = ["Connections"]

T = TypeVar("T")


class Connections:
    """A client, its loop and its thread, from the making to ``close``, or until nobody holds it any more.

    ``places`` are those of the calls that may be under way at once.
    """

    def __init__(self, http: httpx2.AsyncClient, *, max_in_flight: int) -> None:
        self.http = http
        self.places = asyncio.Semaphore(max_in_flight)
        self._loop = asyncio.new_event_loop()
        end = asyncio.Event()
        self._thread = threading.Thread(
            target=_keep_open, args=(self._loop, http, end), name="kgllm-connections", daemon=True
        )
        self._thread.start()
        # It waits for no thread: the garbage collector may run it in that very thread, or while a lock of it is held.
        self._end = weakref.finalize(self, self._loop.call_soon_threadsafe, end.set)

    @property
    def alive(self) -> bool:
        """Whether the thread runs, which it does in no process that was forked from this one."""
        return self._thread.is_alive()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """The coroutine under way in the loop; to cancel the future ends it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Cancel what is under way, close the connections and end the thread."""
        self._end()
        self._thread.join(timeout=5)


def _keep_open(loop: asyncio.AbstractEventLoop, http: httpx2.AsyncClient, end: asyncio.Event) -> None:
    async def until_the_end() -> None:
        async with http:
            await end.wait()
            under_way = asyncio.all_tasks() - {asyncio.current_task()}
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(until_the_end())
