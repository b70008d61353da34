"""Made questions: what one could ask of a graph, with the query that answers it, drawn from the schema and the data.

They serve to tune a planner or an embedder on a graph that nobody has asked anything yet, and to measure with.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from kgllm.errors import InputError
from kgllm.export import write_whole
from kgllm.index import Index
from kgllm.protocols import LanguageModel, Progress
from kgllm.query import Query
from kgllm.terms import BNode, Term, n3
from kgllm.tuning.drafter import Draft, Drafter
from kgllm.tuning.drafts import KINDS
from kgllm.tuning.paraphrase import paraphrases
from kgllm.tuning.walks import Node, Walks
from kgllm.vocabularies import FALSE, TRUE

__all__ = ["MadeQuestion", "make_questions", "write_questions"]

COUNT = 2_000
_MOST_ANSWERS = 200  # a question with more is none that a person would ask to read the answer of
_OF_ONE_QUERY = 3  # wordings that are kept
_OF_ONE_NODE = 6  # questions that name it
_TRIED = 20  # drafts in a row without a question, after which a kind has no more
_TYPED = 0.35  # share that is written as people type: without capitals and question mark
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class MadeQuestion:
    """A question, the query that it asks for, the rows of its answer, and the names in it.

    The answer to a yes or no is one row of the boolean.
    """

    id: str
    question: str
    kind: str
    query: Query
    rows: tuple[tuple[Term, ...], ...]
    names: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As ``eval`` reads it."""
        about = {"id": self.id, "question": self.question, "kind": self.kind}
        if self.rows and len(self.rows[0]) > 1:
            gold: dict[str, Any] = {"rows": [[n3(term) for term in row] for row in self.rows]}
        else:
            gold = {"answer_nt": [n3(row[0]) for row in self.rows]}
        return about | gold | {"sparql": self.query.to_sparql()}


def make_questions(
    index: Index,
    *,
    count: int = COUNT,
    seed: int = 0,
    languages: Sequence[str] = ("en", ""),
    model: LanguageModel | None = None,
    timeout_s: float = _TIMEOUT_S,
    progress: Progress = lambda stage, done, total: None,
) -> list[MadeQuestion]:
    """Up to ``count`` questions of all kinds that a graph gives, evenly over kinds and properties.

    The same graph and seed give the same questions. Each has an answer, or is one of yes or no. A ``model`` words some
    of them anew. Raises ``InputError`` for a graph that states no relation which could be asked about, and what the
    store and the model raise.
    """
    random = Random(seed)  # noqa: S311 - it keeps no secret
    walks = Walks(index, random, languages=languages, timeout_s=timeout_s)
    drafter = Drafter(index.ontology, walks, random)
    if not drafter.starts:
        raise InputError(
            "no question can be made of this graph",
            why="it states no relation that a question could ask about",
            try_next="look at what there is with kgllm info",
        )
    maker = _Maker(walks, random, count)
    for made in maker.in_turn({kind: drafter.drafts(kind, make) for kind, make in KINDS.items()}):
        progress("make", made, count)
    progress("make", count, count)
    return maker.questions if model is None else _reworded(maker.questions, model, progress)


def _reworded(questions: Sequence[MadeQuestion], model: LanguageModel, progress: Progress) -> list[MadeQuestion]:
    """The questions, in which a model's words take the place of all wordings of a query but the first."""
    wordings = Counter(question.query for question in questions)
    first = {question.query: question for question in reversed(questions) if wordings[question.query] > 1}
    asked = [(question.question, question.names) for question in first.values()]
    taken = {question.question.casefold() for question in questions}
    said: dict[Query, list[str]] = {}
    for question, texts in zip(first.values(), paraphrases(asked, model, progress=progress), strict=True):
        said[question.query] = [text for text in texts if text.casefold() not in taken]
        taken.update(text.casefold() for text in texts)
    reworded = []
    for question in questions:
        others = said.get(question.query, [])
        is_kept = not others or question is first[question.query]
        reworded.append(question if is_kept else replace(question, question=others.pop(0)))
    return reworded


class _Maker:
    """Questions out of drafts, until there are enough."""

    def __init__(self, walks: Walks, random: Random, count: int) -> None:
        self.questions: list[MadeQuestion] = []
        self._walks = walks
        self._random = random
        self._count = count
        self._named: Counter[Node] = Counter()
        self._asked: set[str] = set()
        self._queries: set[str] = set()

    def in_turn(self, drafts: dict[str, Iterator[Draft]]) -> Iterator[int]:
        """A draft of each kind after the other; how many questions there are so far."""
        while drafts and len(self.questions) < self._count:
            for kind in list(drafts):
                for draft in islice(drafts[kind], _TRIED):
                    if self._add(draft):
                        break
                else:
                    del drafts[kind]
                if len(self.questions) >= self._count:
                    break
            yield len(self.questions)

    def _add(self, draft: Draft) -> bool:
        """Whether a draft gives a question."""
        text = draft.query.to_sparql()
        if text in self._queries or any(self._named[node] >= _OF_ONE_NODE for node in draft.nodes):
            return False
        wordings = [w for w in dict.fromkeys(draft.wordings) if w.casefold() not in self._asked]
        if not wordings or (rows := self._answer(draft.query)) is None:
            return False
        self._queries.add(text)
        most = min([_OF_ONE_QUERY, *(_OF_ONE_NODE - self._named[node] for node in draft.nodes)])
        chosen = self._random.sample(wordings, min(most, len(wordings)))
        for wording in islice(chosen, self._count - len(self.questions)):
            self._asked.add(wording.casefold())
            self._named.update(draft.nodes)
            identifier = f"{draft.kind} {len(self.questions) + 1}"
            names = tuple(name for node in draft.nodes if (name := self._name_in(wording, node)) is not None)
            made = MadeQuestion(identifier, self._written(wording), draft.kind, draft.query, rows, names)
            self.questions.append(made)
        return True

    def _name_in(self, wording: str, node: Node) -> str | None:
        """The name by which a wording speaks of a node."""
        return max((name for name in self._walks.names([node])[node] if name in wording), key=len, default=None)

    def _answer(self, query: Query) -> tuple[tuple[Term, ...], ...] | None:
        """The rows of a query; ``None`` where there are none, too many, or such that cannot be written."""
        if query.form == "ask":
            holds = self._walks.holds(query)
            return None if holds is None else ((TRUE if holds else FALSE,),)
        found = self._walks.rows(query, most=_MOST_ANSWERS)
        if not found:
            return None
        width = 1 if query.order_by else len(query.select)
        rows = [tuple(term for term in row[:width] if term is not None) for row in found]
        if any(len(row) < width or any(isinstance(term, BNode) for term in row) for row in rows):
            return None
        return None if query.form == "count" and str(rows[0][0]) == "0" else tuple(rows)

    def _written(self, wording: str) -> str:
        """As a person writes it: most with a capital and a mark, some all lower case and without."""
        if self._random.random() < _TYPED:
            return wording.lower()
        mark = "" if wording.split()[0] in _ORDERS or wording.split()[0] not in _ASKING else "?"
        return wording[0].upper() + wording[1:] + mark


_ASKING = frozenset(
    "who what which when where how whose is are was were do does did for in".split()  # noqa: SIM905
)
_ORDERS = frozenset("list name show give find tell count".split())  # noqa: SIM905


def write_questions(questions: Sequence[MadeQuestion], file: Path) -> None:
    """As JSON Lines. Raises ``InputError`` for a place that cannot be written to."""
    lines = (json.dumps(question.to_json(), ensure_ascii=False) + "\n" for question in questions)
    write_whole(file, "".join(lines).encode("utf-8", "backslashreplace"))
