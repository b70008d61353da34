"""Evaluate: ask questions whose answers are known, and measure how right, how quick and how honest the answers are."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from kgllm.answer import Answer
from kgllm.datatypes import Value, comparable, number_in
from kgllm.errors import InputError, KgllmError
from kgllm.ontology import is_vocabulary
from kgllm.protocols import GraphStore, Progress
from kgllm.questions import Gold, Question, question_texts, read_questions
from kgllm.risk import risk_coverage
from kgllm.terms import Literal, Term, URIRef, clean, n3
from kgllm.workspace import Workspace

__all__ = [
    "MEASURES",
    "Answering",
    "Scores",
    "evaluate",
    "right_first",
    "score",
    "writing",
]

_XSD = "http://www.w3.org/2001/XMLSchema#"
_CHUNK = 500


class Answering(Protocol):
    """What is measured: an ``Assistant``, or anything else that answers over a graph."""

    @property
    def workspace(self) -> Workspace:
        """The graph that it answers from."""

    @property
    def index(self) -> object:
        """What has to be ready before the first question is timed."""

    def held_out(self, questions: Iterable[str]) -> Answering:
        """The same, but none of the questions is shown to a model as an example."""

    def ask_each(self, questions: Iterable[str]) -> Iterator[Answer | KgllmError]:
        """The answer or the fault of each question, in their order, as they come."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What one answer is worth, each in [0, 1]; ``abstained`` and ``wrong`` are 0 or 1."""

    hit_at_1: float
    precision: float
    recall: float
    f1: float
    exact: float
    abstained: float
    wrong: float

    def to_json(self) -> dict[str, float]:
        """By the names that the summary has."""
        return dict(zip(MEASURES, astuple(self), strict=True))


MEASURES = ("hits@1", "precision", "recall", "f1", "exact", "abstained", "wrong")


def evaluate(
    assistant: Answering,
    questions: Path,
    *,
    out: Path | None = None,
    limit: int | None = None,
    kind: str | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Ask the questions of a JSON Lines file, and return the summary that ``kgllm eval --json`` prints.

    ``limit`` and ``kind`` restrict the questions. Each prediction (the JSON of the answer, with the question's ``id``
    and its ``scores``) is in ``out`` as soon as those before it are. A question that ends in an error counts as wrong;
    its prediction has an ``error``, and the summary counts them in ``errors``. No question of the file is an example
    for a model meanwhile. Raises ``InputError`` for a broken line.
    """
    workspace = assistant.workspace
    languages = workspace.settings.languages
    asked = read_questions(questions, workspace.store, languages=languages, limit=limit, kind=kind)
    assistant = assistant.held_out(question_texts(questions, languages=languages))
    assistant.index  # noqa: B018  # a fault here is one of the run; and no question pays for the opening
    scores: list[Scores] = []
    answers: list[Answer] = []
    sureness: list[tuple[float, bool]] = []
    iris: set[URIRef] = set()
    with writing(out) as predictions:
        progress("ask", 0, len(asked))
        outcomes = assistant.ask_each(question.text for question in asked)
        for number, (question, outcome) in enumerate(zip(asked, outcomes, strict=True), start=1):
            if isinstance(outcome, Answer):
                answers.append(outcome)
                scores.append(score(outcome, question.gold))
                iris |= _iris_of(outcome)
                if not outcome.abstained:
                    sureness.append((outcome.confidence, bool(scores[-1].wrong)))
                prediction = {"id": question.id, **outcome.to_json()}
            else:
                scores.append(_WRONG)
                told = {"abstained": False, "error": clean(str(outcome), cap=1000)}
                prediction = {"id": question.id, "question": question.text, **told}
            if predictions is not None:
                prediction["scores"] = scores[-1].to_json()
                predictions.write(json.dumps(prediction, ensure_ascii=False) + "\n")
            progress("ask", number, len(asked))
    by_kind: dict[str, list[Scores]] = defaultdict(list)
    for question, scored in zip(asked, scores, strict=True):
        if question.kind is not None:
            by_kind[question.kind].append(scored)
    return {
        "n": len(asked),
        "overall": _averages(scores),
        "by_kind": {name: _averages(by_kind[name]) for name in sorted(by_kind)},
        "risk_coverage": risk_coverage(sureness, len(asked)),
        "latency_ms": _spread([answer.timings_ms.get("total", 0.0) for answer in answers]),
        **_tokens(answers, len(asked)),
        "invented_iris": len(_invented(iris, assistant.workspace)),
        "unsupported_claims": sum(
            claim.verdict in {"unsupported", "contradicted"} for answer in answers for claim in answer.claims
        ),
        "errors": len(asked) - len(answers),
    }


_WRONG = Scores(0, 0, 0, 0, 0, 0, 1)


def _tokens(answers: Sequence[Answer], asked: int) -> dict[str, Any]:
    """What the model was given and wrote, a question, and how much of its prompts the server had in its cache."""
    prompts = [answer.usage.prompt_tokens for answer in answers]
    written = [answer.usage.completion_tokens for answer in answers]
    cached = sum(answer.usage.cached_tokens for answer in answers)
    return {
        "tokens_per_question": round((sum(prompts) + sum(written)) / asked, 4),
        "prompt_tokens": _spread(prompts),
        "completion_tokens": _spread(written),
        "cached_share": round(cached / sum(prompts), 4) if sum(prompts) else 0.0,
    }


def right_first(questions: Sequence[Question], answers: Iterable[Answer | KgllmError]) -> float:
    """The share of some questions of which the first answer is right; a fault is none."""
    scores = (
        0.0 if isinstance(answer, KgllmError) else score(answer, question.gold).hit_at_1
        for question, answer in zip(questions, answers, strict=True)
    )
    return sum(scores) / len(questions)


def score(answer: Answer, gold: Gold) -> Scores:
    """Compare an answer with gold, as sets.

    If the gold has several columns, and so has the answer, the values of all columns are compared, else the answer's
    ``results``. Numbers and booleans compare by value, everything else by its lexical form: ``"a"@en`` equals ``"a"``;
    a plain string equals a number that it writes. Empty gold is met by abstaining alone. Where ``any_of`` the gold is
    enough, one right result makes the recall 1. Where the gold ``names`` nodes, one is met by a node of that label.
    """
    if answer.abstained:
        met = float(not gold.terms)
        return Scores(met, met, met, met, met, 1, 0)
    results = answer.results
    if gold.columns > 1 and len(answer.rows.vars) > 1:
        results = [term for row in answer.rows.rows for term in row if term is not None]
    right = _Terms(gold.terms)
    if gold.names:
        results = [_by_name(term, right, answer) for term in results]
    given = _Terms(results)
    matched = sum(right.have(term) for term in given.terms.values())
    found = sum(given.have(term) for term in right.terms.values())
    precision = matched / len(given.terms) if given.terms else 0.0
    recall = found / len(right.terms) if right.terms else 0.0
    if gold.any_of and found:
        recall = 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    hit = float(bool(results) and right.have(results[0]))
    return Scores(hit, precision, recall, f1, float(precision == recall == 1), 0, float(f1 == 0))


def _by_name(term: Term, right: _Terms, answer: Answer) -> Term:
    """A node's label, if that is what the gold has; any other term as it is."""
    label = answer.memory.labels.get(term)
    name = Literal(label) if isinstance(term, URIRef) and label is not None else term
    return name if right.have(name) else term


class _Terms:
    """A set of terms in which an equal one can be found."""

    def __init__(self, terms: Iterable[Term]) -> None:
        self.terms: dict[Value, Term] = {}
        for term in terms:
            self.terms.setdefault(comparable(term), term)
        self._written = {value for term in self.terms.values() if (value := _number_in_text(term))}

    def have(self, term: Term) -> bool:
        """Whether a term, or one that is the same, is among them."""
        key = comparable(term)
        return key in self.terms or key in self._written or _number_in_text(term) in self.terms


def _number_in_text(term: Term) -> Value | None:
    """The number or boolean that a plain string writes, so that it can meet a typed one."""
    if not isinstance(term, Literal) or term.language or term.datatype not in (None, URIRef(_XSD + "string")):
        return None
    if term in {Literal("true"), Literal("false")}:
        return ("boolean", str(term) == "true")
    number = number_in(str(term), inexact="." in term or "e" in term.lower())
    return None if number is None else ("number", number)


@contextmanager
def writing(out: Path | None) -> Iterator[TextIO | None]:
    """A file to write to, as it is written to, so that a crash loses nothing; ``None`` for none."""
    if out is None:
        yield None
        return
    try:
        # Line by line, so that a crash loses nothing.
        file = out.open("w", encoding="utf-8", buffering=1)
    except OSError as error:
        raise InputError(f"{out} cannot be written", why=str(error)) from None
    with file:
        yield file


def _averages(scores: Sequence[Scores]) -> dict[str, float]:
    columns = zip(*map(astuple, scores), strict=True)
    return {"n": len(scores)} | {
        name: round(statistics.fmean(column), 4) for name, column in zip(MEASURES, columns, strict=True)
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    """The median and the 95th percentile; 0 where nothing was measured."""
    return {"p50": _percentile(values, 50), "p95": _percentile(values, 95)} if values else {"p50": 0, "p95": 0}


def _percentile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile: a value that was really measured."""
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)], 4)


def _iris_of(answer: Answer) -> set[URIRef]:
    """The IRIs of the rows, of the claims' evidence and of the query, without those of the W3C's vocabularies."""
    terms: list[Any] = [term for row in answer.rows.rows for term in row]
    terms += [term for claim in answer.claims for triple in claim.evidence for term in triple]
    if answer.query is not None:
        terms += answer.query.iris()
    return {term for term in terms if isinstance(term, URIRef) and not is_vocabulary(str(term))}


def _invented(iris: set[URIRef], workspace: Workspace) -> set[URIRef]:
    """The IRIs that occur neither in the graph nor in its ontology."""
    ontology = workspace.ontology
    doubtful = sorted(iris - set(ontology.classes) - set(ontology.properties))
    known: set[URIRef] = set()
    for start in range(0, len(doubtful), _CHUNK):
        known |= _occurring(doubtful[start : start + _CHUNK], workspace.store)
    return set(doubtful) - known


def _occurring(iris: Sequence[URIRef], store: GraphStore) -> set[URIRef]:
    rows = store.select(
        f"SELECT DISTINCT ?x WHERE {{ VALUES ?x {{ {' '.join(map(n3, iris))} }} "
        "FILTER(EXISTS { ?x ?p ?o } || EXISTS { ?s ?p2 ?x } || EXISTS { ?s2 ?x ?o2 }) }"
    )
    return {x for (x,) in rows.rows if isinstance(x, URIRef)}
