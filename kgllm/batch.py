"""A batch: many questions answered in their order, by a model side by side; a fault ends only its own question."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from kgllm.answer import Answer
from kgllm.background import Threads, in_order
from kgllm.conversation import check_question
from kgllm.errors import BatchError, KgllmError, QuestionError

if TYPE_CHECKING:
    from kgllm.assistant import Assistant

__all__ = ["answers_of", "outcomes"]


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


def answers_of(kg: Assistant, questions: Sequence[str]) -> list[Answer]:
    """The answers to questions, in their order.

    Raises ``QuestionError`` before the first, and ``BatchError`` when all have ended and one of them in a fault.
    """
    if isinstance(questions, str):
        raise QuestionError("ask_many takes a list of questions", try_next="kg.ask for a single one")
    for question in questions:
        check_question(question)
    asked = list(kg.ask_each(questions))
    answers = [outcome if isinstance(outcome, Answer) else None for outcome in asked]
    faults = {number: outcome for number, outcome in enumerate(asked) if isinstance(outcome, KgllmError)}
    if faults:
        raise BatchError(answers, faults) from faults[min(faults)]
    return [answer for answer in answers if answer is not None]


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
