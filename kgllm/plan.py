"""Plan: read a question as a query. The embedded planner and the language model each propose plans one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from kgllm.protocols import Exchange, Hit, Step
from kgllm.query import Query

__all__ = ["Plan", "Planning"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A query, the probability that its answer is right, and the words that it tied to classes and properties.

    ``signs`` are what the probability was computed from (``kgllm.confidence``).
    """

    query: Query
    confidence: float  # in [0, 1]
    concepts: tuple[Hit, ...] = ()
    signs: tuple[float, ...] = ()
    unread: tuple[str, ...] = ()


class Planning(Protocol):
    """The planning of one question: plans one by one, each made in the light of what came of the one before.

    ``exchanges`` are the calls of a language model that it took.
    """

    exchanges: tuple[Exchange, ...]

    def propose(self, observed: str | None) -> Iterator[Step | Plan]:
        """The steps to the next plan, and the plan last; without one there is none left.

        ``observed`` is what was wrong with the last plan.
        """
