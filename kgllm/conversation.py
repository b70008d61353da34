"""A conversation: what was asked and answered before a question, so that its words may refer to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kgllm.errors import QuestionError
from kgllm.query import Aggregate
from kgllm.terms import URIRef

if TYPE_CHECKING:
    from kgllm.answer import Answer

__all__ = ["MOST_TURNS", "Conversation", "Turn", "check_question"]

LONGEST_QUESTION = 4_000  # characters
MOST_TURNS = 8
_MOST_ANSWERS = 500  # of a turn; a question about more of them would be a query that nobody reads
_SHOWN = 12  # of a turn's answers, as candidates among others


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and what was answered. ``answers`` and ``topics`` are nodes, best first; ``query`` is SPARQL.

    ``is_whole`` is false where the answers are not all there are.
    """

    question: str
    answer_text: str
    query: str = ""
    answers: tuple[URIRef, ...] = ()
    topics: tuple[URIRef, ...] = ()
    is_whole: bool = True

    @property
    def nodes(self) -> tuple[URIRef, ...]:
        """The first answers, then what the question named."""
        return tuple(dict.fromkeys((*self.answers[:_SHOWN], *self.topics)))

    @classmethod
    def of(cls, answer: Answer) -> Turn:
        """The turn that a question and its answer make. What a count counts are its answers."""
        is_count = answer.query is not None and answer.query.form == "count"
        found = list(_counted(answer)) if is_count else [term for term in answer.results if isinstance(term, URIRef)]
        stated = str(answer.rows.rows[0][0]) if is_count and answer.rows.rows else str(len(found))
        is_whole = answer.rows.complete and len(found) <= _MOST_ANSWERS and stated == str(len(found))
        topics = [node for node, role in answer.memory.roles.items() if role == "topic" and isinstance(node, URIRef)]
        kept = tuple(found[:_MOST_ANSWERS])
        named = tuple(topic for topic in topics if topic not in kept)
        return cls(answer.question, answer.text, answer.sparql, kept, named, is_whole)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns, the oldest first. ``id`` is that of the run log; empty where nothing is logged."""

    turns: tuple[Turn, ...] = ()
    id: str = ""

    @property
    def nodes(self) -> tuple[URIRef, ...]:
        """The nodes of all turns, the newest turn's first."""
        return tuple(dict.fromkeys(node for turn in reversed(self.turns) for node in turn.nodes))

    def followed_by(self, answer: Answer) -> Conversation:
        """The conversation with one more turn, and without the oldest where there are too many."""
        return replace(self, turns=(*self.turns, Turn.of(answer))[-MOST_TURNS:])

    def before(self) -> Conversation:
        """The conversation as it was before its last question."""
        return replace(self, turns=self.turns[:-1])


def _counted(answer: Answer) -> Iterator[URIRef]:
    """The nodes that a count counts: what the triples in memory bind its variable to."""
    column = answer.query.select[0] if answer.query is not None else None
    if answer.query is None or not isinstance(column, Aggregate):
        return
    patterns = list(answer.query.where.triple_patterns())
    seen: dict[URIRef, None] = {}
    for triple in answer.memory.triples():
        for pattern in patterns:
            ends = ((pattern.subject, triple[0]), (pattern.object, triple[2]))
            is_like = pattern.predicate == triple[1] and all(end == t for end, t in ends if isinstance(end, URIRef))
            for end, term in ends:
                if is_like and end == column.variable and isinstance(term, URIRef):
                    seen[term] = None
    yield from seen


def check_question(question: str) -> None:
    """Raise ``QuestionError`` for what is no text, for an empty one, and for one of more than 4,000 characters."""
    if not isinstance(question, str):
        raise QuestionError(f"a question is text, not {type(question).__name__}", try_next='kg.ask("Who …?")')
    if not question.strip():
        raise QuestionError("the question is empty", try_next='ask something: kgllm ask "Who …?"')
    if len(question) > LONGEST_QUESTION:
        raise QuestionError(
            f"the question has {len(question):,} characters",
            why=f"a question of more than {LONGEST_QUESTION:,} is a text, and would be read in part only",
            try_next="ask a shorter question",
        )
