"""The language model's engine as its tests ask it, whole or in a stream, and the one way in which a fault ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kgllm.engines.openai import OpenAIServer
from kgllm.errors import ModelServerError
from kgllm.protocols import Completion, Message, Usage
from tests.fault_server import FaultServer

SCHEMA = {"type": "object", "properties": {"node": {"enum": ["n0", "n1"]}}, "required": ["node"]}
QUESTION = [Message("system", "Use the handles."), Message("user", "Who?")]
RIGHT = Completion({"node": "n1"}, Usage(30, 5, 16))
NONE = Completion(None, Usage(30, 5, 16))


def model_of(server: FaultServer, **how: Any) -> OpenAIServer:
    return OpenAIServer(server.base_url, model="tiny", **{"timeout_s": 5, **how})


def completes(model: OpenAIServer) -> Completion:
    [found] = model.complete([QUESTION], schema=SCHEMA, max_tokens=20)
    return found


def streamed(model: OpenAIServer) -> Completion:
    *pieces, whole = model.stream(QUESTION, schema=SCHEMA, max_tokens=20)
    assert all(isinstance(piece, str) for piece in pieces)
    assert isinstance(whole, Completion)
    return whole


Call = Callable[[OpenAIServer], Completion]
BOTH = pytest.mark.parametrize("call", [completes, streamed])


@contextmanager
def fails(match: str, *, within_s: float) -> Iterator[None]:
    """One clear error for the way out, in time."""
    began = time.monotonic()
    with pytest.raises(ModelServerError, match=match) as caught:
        yield
    assert time.monotonic() - began < within_s
    assert caught.value.exit_code == 5
    assert caught.value.what
    assert caught.value.why
    assert caught.value.try_next
