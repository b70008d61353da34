"""A batch: many questions answered in their order, by a model side by side; a fault ends only its own question."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from kgllm.answer import Answer
from kgllm.background import Threads, in_order
from kgllm.errors import KgllmError

if TYPE_CHECKING:
    from kgllm.assistant import Assistant

__all__ = ["outcomes"]


def outcomes(kg: Assistant, questions: Iterable[str], *, threads: Threads) -> Iterator[Answer | KgllmError]:
    """The answer or the fault of each question, in their order, each as soon as those before it are given."""
    ended = threading.Event()
    outcome = partial(_outcome, kg, ended=ended)
    try:
        if kg.model is None:  # the embedded planner keeps a processor busy by itself
            yield from map(outcome, questions)
        else:  # twice as many, so that a slow one at the head leaves no place empty
            yield from in_order(outcome, questions, threads=threads, most=2 * kg.in_flight)
    finally:
        ended.set()


def _outcome(kg: Assistant, question: str, *, ended: threading.Event) -> Answer | KgllmError:
    """The answer to a question, or what hindered it; nobody waits for either once ``ended`` is set."""
    try:
        for item in kg.stream(question):
            if isinstance(item, Answer):
                return item
            if ended.is_set():
                break
    except KgllmError as error:
        return error
    except Exception as error:
        fault = KgllmError(f"{type(error).__name__}: {error}", why="this is a fault of kgllm")
        fault.__cause__ = error
        return fault
    return KgllmError("the question was given up")
