"""Solved questions: questions with the queries that were accepted as right, by the user or because they gave the gold.

They lie beside the index of the graph that they were asked of, as plans over handles of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from typing import Literal as OneOf

from kgllm.answer import Answer
from kgllm.datatypes import is_date, is_number
from kgllm.errors import DamagedIndexError, InputError
from kgllm.export import write_whole
from kgllm.index import Index
from kgllm.link import Links, link
from kgllm.ontology import Ontology
from kgllm.plan_form import as_planned
from kgllm.query import Query, Variable
from kgllm.query_json import handles_of, parse_query, write_query
from kgllm.query_schema import Handles, PlanError
from kgllm.similarity import Vocabulary
from kgllm.terms import Literal, URIRef, n3, parse_term

__all__ = ["FILE", "SolvedQuestion", "accept", "distinct", "mask", "read_solved", "solved_question", "write_solved"]

FILE = "solved.jsonl"
MOST = 2000  # solved questions of a graph; those of one wording and one plan count once
_UNTYPED = Ontology({}, {})  # by which a class stands for itself, as it does in a plan
_WORD = re.compile(r"\w+")

Origin: TypeAlias = OneOf["user", "evaluation"]


@dataclass(frozen=True, slots=True)
class SolvedQuestion:
    """A question and its query, in which a class stands for those below it, as in a plan.

    ``masked`` is the question with its names replaced by what they are; ``spans`` are the places in the question,
    from and to, of the nodes and values of the query.
    """

    question: str
    masked: str
    query: Query
    spans: Mapping[URIRef | Literal, tuple[int, int]] = field(default_factory=dict)
    accepted_by: Origin = "user"

    def to_json(self) -> dict[str, Any]:
        """As JSON data: the plan over handles of its own, the terms behind these as in N-Triples."""
        handles = handles_of(self.query)
        terms = {f"{letter}{n}": term for letter in "npcv" for n, term in enumerate(handles.pool(letter))}
        return {
            "question": self.question,
            "masked": self.masked,
            "plan": write_query(self.query, handles),
            "terms": {handle: n3(term) for handle, term in terms.items()},
            "spans": {handle: list(self.spans[term]) for handle, term in terms.items() if term in self.spans},
            "accepted_by": self.accepted_by,
        }

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> SolvedQuestion:
        """That which was written so. Raises ``ValueError``, ``KeyError``, ``TypeError`` or ``AttributeError``."""
        terms = {handle: parse_term(text) for handle, text in content["terms"].items()}
        iris = {handle: term for handle, term in terms.items() if isinstance(term, URIRef)}
        values = tuple(term for handle, term in terms.items() if isinstance(term, Literal) and handle[:1] == "v")
        nodes, properties, classes = (tuple(iri for h, iri in iris.items() if h[:1] == letter) for letter in "npc")
        handles = Handles(nodes, properties, classes, values)
        if any(handles.term(handle) != term for handle, term in terms.items()):
            raise ValueError("its handles do not stand for their terms in order")
        places = {handles.term(handle): (int(start), int(end)) for handle, (start, end) in content["spans"].items()}
        spans = {term: place for term, place in places.items() if not isinstance(term, Variable)}
        question, by = str(content["question"]), content["accepted_by"]
        if by not in {"user", "evaluation"}:
            raise ValueError(f"accepted by {by!r}")
        query = parse_query(content["plan"], handles, _UNTYPED)
        return cls(question, str(content["masked"]), query, spans, by)

    @property
    def key(self) -> str:
        """The same for questions that differ in their names alone."""
        handles = handles_of(self.query)
        said = " ".join(_WORD.findall(self.masked))
        return json.dumps([said, write_query(self.query, handles), handles.properties, handles.classes])


def solved_question(links: Links, query: Query, *, index: Index, accepted_by: Origin) -> SolvedQuestion | None:
    """A question with the query that is right for it; ``None`` for one that a plan cannot say."""
    planned = as_planned(query, index.ontology)
    handles = handles_of(planned)
    try:
        planned = parse_query(write_query(planned, handles), handles, _UNTYPED)
    except PlanError:
        return None
    spans: dict[URIRef | Literal, tuple[int, int]] = {}
    terms: list[URIRef | Literal] = [*handles.nodes, *handles.values]
    for term in terms:
        place = _place(term, links)
        if place is not None and all(place[1] <= start or end <= place[0] for start, end in spans.values()):
            spans[term] = place
    return SolvedQuestion(links.question, mask(links, index.ontology), planned, spans, accepted_by)


def mask(links: Links, ontology: Ontology) -> str:
    """A question with the names that it surely has replaced by what they are: "who directed movie?"."""
    text = links.question
    for mention in sorted(links.named(), key=lambda mention: -mention.first):
        start, end = links.span(mention)
        best = mention.candidates[0]
        if best.description is not None:
            types = sorted(best.description.types)
            kind = ontology.label(types[0]) if types else "it"
        else:
            kind = _kind_of_value(best.value.literal) if best.value is not None else "it"
        text = text[:start] + kind + text[end:]
    return text.lower()


def distinct(solved: Iterable[SolvedQuestion]) -> list[SolvedQuestion]:
    """The first of those that differ in their names alone, as many as are kept."""
    first: dict[str, SolvedQuestion] = {}
    for one in solved:
        first.setdefault(one.key, one)
    return list(first.values())[:MOST]


def read_solved(folder: Path) -> list[SolvedQuestion]:
    """Those of an index's folder, none without any. Raises ``DamagedIndexError`` for a file that holds others."""
    found: list[SolvedQuestion] = []
    try:
        with (folder / FILE).open(encoding="utf-8") as lines:
            found += (SolvedQuestion.of_json(json.loads(line)) for line in lines)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedIndexError(
            f"{FILE} in {folder} cannot be read at line {len(found) + 1}",
            why=str(error),
            try_next="--no-examples does without; kgllm tune --forget with the same options removes it",
        ) from error
    return found


def write_solved(folder: Path, solved: Iterable[SolvedQuestion]) -> Path:
    """Keep them in an index's folder, in the place of those that were there. Raises ``InputError``."""
    text = "".join(json.dumps(one.to_json()) + "\n" for one in solved)
    write_whole(folder / FILE, text.encode())
    return folder / FILE


def accept(answer: Answer, *, vocabulary: Vocabulary, folder: Path) -> SolvedQuestion:
    """Keep a question with the query of its answer, before the others and in the place of an older one that is alike.

    Raises ``InputError`` for an abstention, and for a query that no plan can say.
    """
    if answer.abstained or answer.query is None:
        raise InputError("an abstention is nothing to accept", try_next="accept a question that was answered")
    links = link(answer.question, vocabulary=vocabulary)
    solved = solved_question(links, answer.query, index=vocabulary.index, accepted_by="user")
    if solved is None:
        raise InputError(
            "the query of that answer can be no example", why="it has parts that a plan of a language model cannot say"
        )
    write_solved(folder, distinct([solved, *read_solved(folder)]))
    return solved


def _kind_of_value(value: Literal) -> str:
    return "number" if is_number(value.datatype) else "date" if is_date(value.datatype) else "text"


def _place(term: URIRef | Literal, links: Links) -> tuple[int, int] | None:
    """Where a question names a term: a mention that may mean it, or the text of a value, a year for its days."""
    for mention in (*links.mentions, *links.spare):
        if any(candidate.term() == term for candidate in mention.candidates):
            return links.span(mention)
    if isinstance(term, Literal):
        texts = [str(term), *([str(term)[:4]] if is_date(term.datatype) else [])]
        for text in filter(None, texts):
            found = re.search(rf"(?<!\w){re.escape(text)}(?!\w)", links.question, re.IGNORECASE)
            if found is not None:
                return found.span()
    return None
