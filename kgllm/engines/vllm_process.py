"""vLLM in a process of its own, without a server: for a batch of questions on the machine that has the model.

Lines of JSON over pipes, never pickle: see ``vllm_process_main``. vLLM may live in another environment than kgllm's.
"""

from __future__ import annotations

import json
import math
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kgllm.engines.model_server import parse_json
from kgllm.errors import ModelServerError
from kgllm.protocols import Completion, Message, Usage, turns
from kgllm.terms import clean

__all__ = ["VllmProcess"]

_MAIN = Path(__file__).with_name("vllm_process_main.py")
_OPTIONS: Mapping[str, Any] = {
    "max_model_len": -1,  # as long as the model and the memory allow
    "generation_config": "vllm",
    # Without this a model fills its answers with white space, which JSON allows anywhere and without end.
    "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
}
_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork would keep the pipes open when the process is gone
}
_ALIVE_S = 0.5  # between two looks at whether the process still runs
_CHUNK = 1 << 16


@dataclass(slots=True)
class _Asked:
    """One conversation on its way, and in the end its answer or what it failed of."""

    request: dict[str, Any]
    answer: dict[str, Any] | None = None
    error: ModelServerError | None = None


class VllmProcess:
    """A ``LanguageModel`` that vLLM runs in a child process; ``model`` is a folder, or a model hub's name.

    ``python`` is the interpreter of the environment that has vLLM, ``options`` are arguments of ``vllm.LLM``. Nothing
    starts before the first call; loading may take ``start_s``, each batch ``timeout_s``. What several threads ask at a
    time goes to vLLM as one batch. Whatever fails ends the child, and the next call starts another. ``close`` ends it,
    as does the end of this process.
    """

    def __init__(
        self,
        model: str,
        *,
        python: str | Path = sys.executable,
        options: Mapping[str, Any] | None = None,
        start_s: float = 1_800,
        timeout_s: float = 600,
    ) -> None:
        self.name = model
        self.timeout_s = timeout_s
        self._start_s = start_s
        self._command = [str(python), "-P", str(_MAIN), model, json.dumps({**_OPTIONS, **(options or {})})]
        self._turn = threading.Lock()  # held over an exchange with the child
        self._waiting: list[_Asked] = []
        self._waiting_lock = threading.Lock()
        self._context_length: int | None = None
        self._children: list[_Child] = []  # none or one; a list, so that the finaliser can hold it and not this object
        self._finalizer = weakref.finalize(self, _end_all, self._children)

    def complete(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> list[Completion]:
        """One completion a conversation, in order and greedy (temperature 0); the first fault ends them all."""
        return [_completion(answer) for answer in self._ask(conversations, schema=schema, max_tokens=max_tokens)]

    def stream(
        self, conversation: Sequence[Message], *, schema: Mapping[str, Any], max_tokens: int
    ) -> Iterator[str | Completion]:
        """The text of one completion, in one piece, and then the ``Completion``."""
        [answer] = self._ask([conversation], schema=schema, max_tokens=max_tokens)
        yield answer["text"]
        yield _completion(answer)

    def tokens(self, prompt: str | Sequence[Message]) -> int | None:
        """How many tokens a text has, or a conversation as the chat template writes it."""
        with self._turn:
            count: int = self._exchange({"prompt": prompt if isinstance(prompt, str) else turns(prompt)})["tokens"]
        return count

    def context_length(self) -> int | None:
        """How many tokens prompt and answer may have together: the model's limit, or what the memory has room for."""
        if self._context_length is None:
            with self._turn:
                self._child()
        return self._context_length

    def close(self) -> None:
        """End the child with all its processes. Closing twice is harmless."""
        for child in list(self._children):
            child.kill()  # another thread's call is in it and holds the turn: this ends both
        with self._turn:
            _end_all(self._children)

    def _ask(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> list[dict[str, Any]]:
        mine = [_Asked({"messages": turns(each), "schema": schema, "max_tokens": max_tokens}) for each in conversations]
        with self._waiting_lock:
            self._waiting += mine
        with self._turn:
            if any(asked.answer is None and asked.error is None for asked in mine):
                with self._waiting_lock:
                    batch, self._waiting = self._waiting, []
                self._answer(batch)
        answers = []
        for asked in mine:
            if asked.answer is None:
                raise asked.error or ModelServerError(f"{self.name} was interrupted", try_next="ask again")
            answers.append(asked.answer)
        return answers

    def _answer(self, batch: list[_Asked]) -> None:
        """Have what several threads asked answered together, each with an answer or an error of its own."""
        if not batch:  # what was in it went down with the thread that was interrupted over it
            return
        try:
            found = self._exchange({"conversations": [asked.request for asked in batch]})["completions"]
        except ModelServerError as error:
            for asked in batch:
                asked.error = error
            return
        for asked, answer in zip(batch, found, strict=True):
            if "refused" in answer:
                asked.error = ModelServerError(
                    f"vLLM refused the request to {self.name}",
                    why=clean(answer["refused"], cap=500),
                    try_next="where it is too long: a shorter question, or a model with more context",
                )
            else:
                asked.answer = answer

    def _exchange(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What the child answers. A fault ends the child; so does an interrupt, whose answer would be nobody's."""
        child = self._child()
        try:
            return self._say(child, json.dumps(request).encode() + b"\n", timeout_s=self.timeout_s)
        except BaseException:
            _end_all(self._children)
            raise

    def _child(self) -> _Child:
        """The child that runs, or a new one that has loaded the model."""
        if not self._children:
            child = _Child(self._command)
            self._children.append(child)
            try:
                hello = self._say(child, b"", timeout_s=self._start_s)
            except BaseException:
                _end_all(self._children)
                raise
            self._context_length = hello["context_length"]
        return self._children[0]

    def _say(self, child: _Child, request: bytes, *, timeout_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        try:
            child.send(request, deadline)
            answer: dict[str, Any] = json.loads(child.receive(deadline))
        except TimeoutError:
            raise ModelServerError(
                f"vLLM did not answer with {self.name} within {timeout_s:g} s",
                why="it was ended at its deadline",
                try_next="ask fewer questions at once, or a smaller model",
            ) from None
        except EOFError:
            raise ModelServerError(
                f"the process of vLLM that ran {self.name} ended", why=child.cause_of_death(), try_next="ask again"
            ) from None
        if "missing" in answer:
            raise ModelServerError(
                f"{self._command[0]} has no vLLM that can be imported",
                why=clean(answer["missing"], cap=300),
                try_next="pip install 'kgllm[vllm]'",
            )
        if "failed" in answer:
            raise ModelServerError(
                f"vLLM cannot run {self.name}",
                why=child.root_cause() or clean(answer["failed"], cap=500),
                try_next="see that the model is there and fits the memory; kgllm doctor names one for this machine",
            )
        return answer


class _Child:
    """A running process, the leader of its group, and its pipes."""

    def __init__(self, command: Sequence[str]) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        self._process = subprocess.Popen(  # noqa: S603 - our own file, by an interpreter that the caller names
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            env={"VLLM_LOGGING_LEVEL": "WARNING", **os.environ, **_ENVIRONMENT},
            start_new_session=True,  # Ctrl-C is for the parent to judge; and vLLM's processes end with this one
        )
        assert self._process.stdin is not None  # noqa: S101 - said by PIPE above
        assert self._process.stdout is not None  # noqa: S101
        self._requests, self._replies = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._heard = bytearray()
        os.set_blocking(self._requests, False)

    def send(self, data: bytes, deadline: float) -> None:
        left = memoryview(data)
        with suppress(BrokenPipeError):  # then ``receive`` finds that the process ended
            while left:
                self._wait(self._requests, select.POLLOUT, deadline)
                left = left[os.write(self._requests, left[:_CHUNK]) :]

    def receive(self, deadline: float) -> bytes:
        """The next line. Raises ``TimeoutError`` at the deadline, ``EOFError`` if the process ended."""
        while b"\n" not in self._heard:
            self._wait(self._replies, select.POLLIN, deadline)
            chunk = os.read(self._replies, _CHUNK)
            if not chunk:
                raise EOFError
            self._heard += chunk
        line, _, rest = bytes(self._heard).partition(b"\n")
        self._heard[:] = rest
        return line

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        """Until the pipe is ready. A process of vLLM's may outlive its parent and keep the pipe open: so look."""
        poll = select.poll()
        poll.register(descriptor, event)
        while not poll.poll(math.ceil(_ALIVE_S * 1_000)):
            if self._process.poll() is not None:
                raise EOFError
            if time.monotonic() > deadline:
                raise TimeoutError

    def cause_of_death(self) -> str:
        """What ended the process, as far as it can be known."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        code = self._process.returncode
        if code == -signal.SIGKILL:
            return "it was killed, most likely because the machine ran out of memory"
        return self.root_cause() or f"its exit status is {code}"

    def root_cause(self) -> str:
        """The first error in vLLM's log, which its own exception only points to; empty if there is none."""
        self._log.seek(0)
        errors = re.findall(r"\b\w*(?:Error|Exception): [^\n]+", self._log.read().decode(errors="replace"))
        return clean(errors[0], cap=500) if errors else ""

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        self.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()


def _end_all(children: list[_Child]) -> None:
    while children:
        children.pop().end()


def _completion(answer: Mapping[str, Any]) -> Completion:
    value = parse_json(answer["text"]) if answer["finish_reason"] == "stop" else None
    return Completion(value, Usage(*answer["usage"]))
