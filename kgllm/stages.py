"""Stages: where, on the way from question to answer, the embedded planner goes wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Literal as OneOf

from kgllm.answer import Answer
from kgllm.ceiling import gold_names
from kgllm.errors import DeadlineError, KgllmError
from kgllm.evaluate import Answering, Scores, score
from kgllm.index import Index
from kgllm.link import Links, link
from kgllm.plan_embedded import EmbeddedPlanner, Ranked
from kgllm.protocols import Progress
from kgllm.questions import Question, read_questions
from kgllm.recall import recall
from kgllm.similarity import Vocabulary
from kgllm.terms import Namespaces, URIRef, n3

__all__ = ["PATIENCE_S", "STAGES", "right_reading", "right_readings", "stages"]

PATIENCE_S = 5.0  # for the query of a reading, of which the right one needs a part
_EXPLAINING_S = 30.0

Stage = OneOf["linking", "no reading", "ranked lower", "held back"]
Outcome = OneOf["abstained", "wrong", "partly"]

STAGES: dict[Stage, str] = {
    "linking": "what the gold query names is no candidate for any of the words",
    "no reading": "of the readings that are made none gives the gold",
    "ranked lower": "the right reading stands behind others that find something too",
    "held back": "the right reading is the first that finds something, but too unsure to be given",
}


@dataclass(frozen=True, slots=True)
class _Fault:
    """A question that was not answered right: the stage to blame, and what came of it.

    ``place`` is that of the right reading among those that find something, from 1; 0 if there is none.
    """

    question: Question
    stage: Stage
    outcome: Outcome
    place: int
    why: str
    given: str


def stages(
    assistant: Answering,
    index: Index,
    questions: Path,
    *,
    misses: int = 20,
    limit: int | None = None,
    kind: str | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Blame each question that is not answered right on a stage; what ``eval --explain --json`` prints.

    The answers are the assistant's, the readings those of the embedded planner, which it should plan with. ``right``
    are answered with all of the gold and nothing else. For each of ``STAGES``: how many are blamed on it, and how many
    of these were ``abstained`` from, are ``wrong`` or ``partly`` right. ``places`` counts those ranked lower by the
    place of the right reading. Without gold queries nothing is blamed on linking. The first ``misses`` are told:
    ``why`` is what was not linked, or the right query, ``given`` the query that was answered with.
    """
    languages = assistant.workspace.settings.languages
    asked = read_questions(questions, index.store, languages=languages, limit=limit, kind=kind)
    planner = EmbeddedPlanner(Vocabulary(index))
    faults: list[_Fault] = []
    outcomes = assistant.ask_each(question.text for question in asked)
    for number, (question, answer) in enumerate(zip(asked, outcomes, strict=True), start=1):
        if isinstance(answer, KgllmError):
            raise answer
        if not _is_right(scores := score(answer, question.gold)):
            faults.append(_blamed(question, answer, scores, planner))
        progress("ask", number, len(asked))
    return {
        "n": len(asked),
        "right": len(asked) - len(faults),
        "stages": {stage: _counts([fault for fault in faults if fault.stage == stage]) for stage in STAGES},
        "places": {
            str(place): count for place, count in sorted(Counter(f.place for f in faults if f.place > 1).items())
        },
        "misses": [
            {
                "id": fault.question.id,
                "question": fault.question.text,
                "stage": fault.stage,
                "outcome": fault.outcome,
                "why": fault.why,
                "given": fault.given,
            }
            for fault in faults[:misses]
        ],
    }


def _counts(faults: list[_Fault]) -> dict[str, int]:
    by_outcome = Counter(fault.outcome for fault in faults)
    return {
        "n": len(faults),
        "abstained": by_outcome["abstained"],
        "wrong": by_outcome["wrong"],
        "partly": by_outcome["partly"],
    }


def _is_right(scores: Scores) -> bool:
    return scores.f1 == 1


def _blamed(question: Question, answer: Answer, scores: Scores, planner: EmbeddedPlanner) -> _Fault:
    outcome: Outcome = "abstained" if answer.abstained else "wrong" if scores.wrong else "partly"
    index = planner.vocabulary.index
    links = link(question.text, vocabulary=planner.vocabulary)
    stage: Stage
    place, right = right_reading(question, links, planner, timeout_s=_EXPLAINING_S)
    query = right.query.to_sparql(index.namespaces) if right is not None else ""
    if place == 1:
        stage, why = "held back", answer.reason or query
    elif place:
        stage, why = "ranked lower", f"at place {place}: {query}"
    elif missing := _not_linked(question, links, index.namespaces):
        stage, why = "linking", ", ".join(map(n3, missing))
    else:
        stage, why = "no reading", question.sparql or ""
    return _Fault(question, stage, outcome, place, why, answer.sparql)


def right_reading(
    question: Question, links: Links, planner: EmbeddedPlanner, *, timeout_s: float = PATIENCE_S
) -> tuple[int, Ranked | None]:
    """The first of the ``right_readings`` and its place; 0 and ``None`` without any."""
    return next(right_readings(question, links, planner, timeout_s=timeout_s), (0, None))


def right_readings(
    question: Question,
    links: Links,
    planner: EmbeddedPlanner,
    *,
    timeout_s: float = PATIENCE_S,
    last: int | None = None,
) -> Iterator[tuple[int, Ranked]]:
    """The readings that give all of the gold and nothing else, each with its place among those that find something.

    One whose query does not end in time is none of them. With one in hand no further ones than that at the ``last``
    place are looked at.
    """
    index = planner.vocabulary.index
    place, is_found = 0, False
    for ranked in planner.plan(links):
        if is_found and last is not None and place >= last:
            return
        try:
            if is_found and not question.gold.names and ranked.query.form == "select":  # told by its rows alone
                rows = index.store.select(ranked.query.to_sparql(index.namespaces), timeout_s=timeout_s)
                if not _is_right(score(Answer("", "", rows=rows, query=ranked.query), question.gold)):
                    place += bool(rows.rows)
                    continue
            found = recall(ranked.query, question=question.text, links=[], index=index, timeout_s=timeout_s)
        except DeadlineError:
            continue
        if found.is_empty or found.is_groundless:
            continue
        place += 1
        answer = Answer(question.text, "", rows=found.rows, query=ranked.query, memory=found.memory)
        if _is_right(score(answer, question.gold)):
            is_found = True
            yield place, ranked


def _not_linked(question: Question, links: Links, namespaces: Namespaces) -> list[URIRef]:
    """The nodes that the gold query names and no mention has among its candidates."""
    gold = gold_names(question, namespaces)
    linked = {c.description.iri for mention in links.mentions for c in mention.candidates if c.description is not None}
    return [node for node in gold.nodes if node not in linked] if gold is not None else []
