"""A child process for whatever can run away: Oxigraph's evaluation, SHACL, the reading of foreign files.

A query in Oxigraph cannot be stopped in its process and can end it (a deep one overflows the stack), so it runs in one
that can be ended. Frames over pipes, JSON and bytes, never pickle: see ``worker_main``.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import kgllm
from kgllm import errors
from kgllm.engines.worker_main import FRAME
from kgllm.errors import DeadlineError, KgllmError, RdfSyntaxError, WorkerError

__all__ = ["MEMORY_BYTES", "Reply", "Worker"]

MEMORY_BYTES = 8 * 2**30
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Reply:
    """What a job gave."""

    header: dict[str, Any]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Opening:
    job: str
    header: Mapping[str, Any]
    body: bytes
    timeout_s: float
    reply: dict[str, Any]


class Worker:
    """A child that runs the jobs of ``module``, one at a time; safe to call from many threads.

    A job past its deadline is ended with the child. The next call starts a new one, which first does again what
    ``open`` did. ``close`` ends it for good; so does the end of this process, or losing the last reference.
    """

    def __init__(self, module: str, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._module = module
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._opening: _Opening | None = None
        self._children: list[_Child] = []  # none or one; a list, so that the finaliser can hold it and not this object
        self._closed = False
        self._finalizer = weakref.finalize(self, _end_all, self._children)

    def open(self, job: str, header: Mapping[str, Any], *, body: bytes = b"", timeout_s: float, what: str) -> Reply:
        """Run a job that puts the child into the state that later calls need, and remember it for the next child."""
        with self._locked(timeout_s, what) as deadline:
            reply = self._exchange(job, {**header, "last_files": True}, body, deadline, timeout_s=timeout_s, what=what)
            self._opening = _Opening(job, header, body, timeout_s, reply.header)
            return reply

    def call(
        self, job: str, header: Mapping[str, Any] | None = None, *, body: bytes = b"", timeout_s: float, what: str
    ) -> Reply:
        """Run a job; ``what`` names it in errors, as "the query".

        Raises ``DeadlineError`` after ``timeout_s``, waiting for other threads' jobs included, ``WorkerError`` if the
        child ended, and whatever ``KgllmError`` the job raised.
        """
        with self._locked(timeout_s, what) as deadline:
            if not self._children and self._opening is not None:
                deadline += self._open_again(self._opening)
            return self._exchange(job, header or {}, body, deadline, timeout_s=timeout_s, what=what)

    def close(self) -> None:
        """End the child, at once. Closing twice is harmless."""
        self._closed = True
        for child in list(self._children):
            child.process.kill()  # another thread's call is in it and holds the lock: this ends both
        with self._lock:
            self._finalizer()

    def _open_again(self, opening: _Opening) -> float:
        """Do again what ``open`` did; give the seconds it took, which are not the waiting job's."""
        begin = time.monotonic()
        what = "opening the graph again"
        header = {**opening.header, "last_files": True}
        end = begin + opening.timeout_s
        reply = self._exchange(opening.job, header, opening.body, end, timeout_s=opening.timeout_s, what=what)
        if reply.header != opening.reply:
            _end_all(self._children)
            raise WorkerError(
                "the files changed since they were loaded",
                why="the worker ended and loaded them again",
                try_next="open the graph anew",
            )
        return time.monotonic() - begin

    @contextmanager
    def _locked(self, timeout_s: float, what: str) -> Iterator[float]:
        """One call at a time; gives the deadline of this one, which has waited for the others within it."""
        deadline = time.monotonic() + timeout_s
        if not self._lock.acquire(timeout=min(timeout_s, threading.TIMEOUT_MAX)):
            raise DeadlineError(
                f"{what} did not begin within {timeout_s:g} s",
                why="another one was running all that time",
                try_next="try again, or allow it more time",
            )
        try:
            if self._closed:
                raise WorkerError(f"{what} came after the store was closed", try_next="open it again")
            yield deadline
        finally:
            self._lock.release()

    def _exchange(
        self, job: str, header: Mapping[str, Any], body: bytes, deadline: float, *, timeout_s: float, what: str
    ) -> Reply:
        if not self._children:
            self._children.append(_Child(self._module, self._memory_bytes))
        child = self._children[0]
        text = json.dumps({**header, "job": job, "timeout_s": timeout_s}).encode()
        try:
            child.send(FRAME.pack(len(text), len(body)) + text, deadline)
            child.send(body, deadline)
            header_length, body_length = FRAME.unpack(child.receive(FRAME.size, deadline))
            answer = json.loads(child.receive(header_length, deadline))
            data = child.receive(body_length, deadline)
        except TimeoutError:
            _end_all(self._children)
            raise DeadlineError(
                f"{what} did not end within {timeout_s:g} s",
                why="it was ended at its deadline",
                try_next="ask for less, or allow it more time",
            ) from None
        except (EOFError, BrokenPipeError):
            why = child.cause_of_death(self._memory_bytes)
            _end_all(self._children)
            raise WorkerError(f"{what} ended the worker process", why=why, try_next="ask for less") from None
        except BaseException:  # an interrupt in between: the answer that is under way belongs to nobody
            _end_all(self._children)
            raise
        if "error" in answer:
            raise _error(answer["error"], what)
        return Reply(answer, data)


class _Child:
    """A running process and its pipes."""

    def __init__(self, module: str, memory_bytes: int) -> None:
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        root = str(Path(kgllm.__file__).parent.parent)
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            # -P: a file in the working directory must not be taken for a module.
            [sys.executable, "-P", "-m", module, str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": root},
            process_group=0,  # Ctrl-C is for the parent to judge
        )
        assert self.process.stdin is not None  # noqa: S101 - said by PIPE above
        assert self.process.stdout is not None  # noqa: S101
        self._requests, self._replies = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self._requests, False)

    def send(self, data: bytes, deadline: float) -> None:
        left = memoryview(data)
        while left:
            _wait(self._requests, select.POLLOUT, deadline)
            left = left[os.write(self._requests, left[:_CHUNK]) :]

    def receive(self, length: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < length:
            _wait(self._replies, select.POLLIN, deadline)
            chunk = os.read(self._replies, min(length - len(data), _CHUNK))
            if not chunk:
                raise EOFError
            data += chunk
        return bytes(data)

    def cause_of_death(self, memory_bytes: int) -> str:
        """What ended the process, as far as it can be known."""
        try:
            code = self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "it closed its pipes"
        causes = {
            -signal.SIGSEGV: "it overflowed the stack: something nested too deeply for the parser",
            -signal.SIGABRT: f"it ran out of memory (the limit is {memory_bytes / 2**30:.3g} GiB)",
            -signal.SIGKILL: "it was killed, most likely because the machine ran out of memory",
            -signal.SIGALRM: "it was past its deadline",
        }
        self.errors.seek(0)
        lines = self.errors.read()[-2_000:].decode(errors="replace").strip().splitlines()
        return causes.get(code) or (lines[-1] if lines else f"exit status {code}")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            if stream is not None:
                stream.close()


def _end_all(children: list[_Child]) -> None:
    while children:
        children.pop().end()


def _wait(descriptor: int, event: int, deadline: float) -> None:
    left = deadline - time.monotonic()
    poll = select.poll()
    poll.register(descriptor, event)
    if left <= 0 or not poll.poll(min(math.ceil(left * 1_000), 2**31 - 1)):
        raise TimeoutError


def _error(error: dict[str, Any], what: str) -> KgllmError:
    kind, text = error["kind"], error["what"]
    if kind == "RdfSyntaxError":
        return RdfSyntaxError(error["file"], text, line=error["line"], column=error["column"])
    if kind == "MemoryError":
        return WorkerError(f"{what} needs more memory than the worker may take", why=text, try_next="ask for less")
    if kind in errors.__all__:
        raised: type[KgllmError] = getattr(errors, kind)
        return raised(text, why=error["why"], try_next=error["try_next"])
    return WorkerError(f"{what} failed in the worker", why=text, try_next="report this with the query or file")
