"""Examples: the solved questions nearest to a question, as they stand in the prompt of a language model.

Each is restated: the names in it are handles of that prompt, so that it shows how a plan looks, most often with the
very node that the question is about, and never brings in a handle that is not listed.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from kgllm.datatypes import is_date
from kgllm.descriptions import Description
from kgllm.errors import InputError
from kgllm.export import write_whole
from kgllm.index import Index
from kgllm.link import Links
from kgllm.names import normalise
from kgllm.ontology import Ontology
from kgllm.prompting import as_data
from kgllm.protocols import Vectors
from kgllm.query_json import handles_of, write_query
from kgllm.query_schema import Handles, PlanError
from kgllm.solved import SolvedQuestion, mask, read_solved
from kgllm.terms import Literal, URIRef

__all__ = ["VECTORS", "Example", "Examples", "as_examples"]

VECTORS = "solved.npz"
_EXAMPLES = 3  # in a prompt
_LOOKED_AT = 60  # of the nearest, for those that can be said with what the prompt lists
_NOBODY = URIRef("urn:x-kgllm:nobody")  # stands for what an example does not name
_NOTHING = Literal("", datatype=_NOBODY)

Example: TypeAlias = tuple[str, dict[str, Any]]
"""A question and its plan, in the handles of a prompt."""


class Examples:
    """Solved questions of a graph to choose from, with the vectors of their masked texts."""

    def __init__(self, solved: Sequence[SolvedQuestion], index: Index, *, vectors: Vectors | None = None) -> None:
        """``vectors`` are those of the masked texts, shape (len(solved), dimension), if they are known."""
        self.solved = tuple(solved)
        self._index = index
        self.vectors = index.embedder.embed([one.masked for one in solved]) if vectors is None else vectors

    @classmethod
    def read(cls, folder: Path, index: Index) -> Examples:
        """Those of an index's folder, and beside them their vectors for the next time. Raises ``DamagedIndexError``."""
        solved = read_solved(folder)
        if not solved:
            return cls(solved, index)
        made_of = json.dumps([index.embedder.identity, *(one.masked for one in solved)])
        digest = np.frombuffer(hashlib.sha256(made_of.encode()).digest(), dtype=np.uint8)
        try:
            with np.load(io.BytesIO((folder / VECTORS).read_bytes()), allow_pickle=False) as kept:
                if np.array_equal(kept["digest"], digest):
                    return cls(solved, index, vectors=kept["vectors"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            pass  # none yet, or broken: they are made anew
        found, content = cls(solved, index), io.BytesIO()
        np.savez(content, digest=digest, vectors=found.vectors)
        with suppress(InputError):  # where nothing can be written they are made every time
            write_whole(folder / VECTORS, content.getvalue())
        return found

    def without(self, questions: Iterable[str]) -> Examples:
        """Those that are none of some questions, however these are written."""
        barred = {normalise(question) for question in questions}
        kept = [place for place, one in enumerate(self.solved) if normalise(one.question) not in barred]
        return Examples([self.solved[place] for place in kept], self._index, vectors=self.vectors[kept])

    def near(self, links: Links, handles: Handles, *, told: int = 0) -> list[Example]:
        """The nearest that can be said with some handles, each as a question and its plan, the nearest last.

        ``told`` is how many of the values every prompt has; the others are those of the question.
        """
        if not self.solved:
            return []
        (vector,) = self._index.phrase_vectors([mask(links, self._index.ontology)])
        order = np.argsort(-(self.vectors @ vector), kind="stable")[:_LOOKED_AT]
        nearest = [self.solved[place] for place in order]
        named = [term for one in nearest for term in one.spans if isinstance(term, URIRef)]
        described = self._index.described([*handles.nodes, *named])
        chosen: list[Example] = []
        for one in nearest:
            said = _Prompt(handles, told, described, self._index.ontology).said(one)
            if said is not None and said not in chosen:
                chosen.append(said)
            if len(chosen) == _EXAMPLES:
                break
        return chosen[::-1]


def as_examples(examples: Sequence[Example]) -> str:
    """Examples as a prompt shows them, the questions framed as data; a plan holds handles and words of the schema."""
    return "\n".join(
        f"{as_data({'question': question})}\n{json.dumps({'plan': plan}, separators=(',', ':'))}"
        for question, plan in examples
    )


class _Prompt:
    """The handles of a prompt, of which one solved question is said."""

    def __init__(
        self, handles: Handles, told: int, described: Mapping[URIRef, Description], ontology: Ontology
    ) -> None:
        self.handles = handles
        self.told = told
        self.described = described
        self.ontology = ontology
        self.nodes: dict[int, URIRef] = {}
        self.values: dict[int, Literal] = {}

    def said(self, solved: SolvedQuestion) -> Example | None:
        """The question and its plan over the handles; ``None`` where these do not have what it needs."""
        own = handles_of(solved.query)
        renamed: dict[URIRef | Literal, str] = {}
        for node in own.nodes:
            place = self._node(node, is_named=node in solved.spans)
            if place is None:
                return None
            self.nodes[place] = node
            renamed[node] = f"n{place}"
        for value in own.values:
            place = self._value(value, is_named=value in solved.spans)
            if place is None:
                return None
            self.values[place] = value
            if self.handles.values[place] != value:
                renamed[value] = f"v{place}"
        nodes = tuple(self.nodes.get(place, _NOBODY) for place in range(len(self.handles.nodes)))
        values = tuple(self.values.get(place, _NOTHING) for place in range(len(self.handles.values)))
        try:
            plan = write_query(solved.query, replace(self.handles, nodes=nodes, values=values))
        except PlanError:  # a property or a class of it is not listed
            return None
        text = solved.question
        for term, (start, end) in sorted(solved.spans.items(), key=lambda item: -item[1][0]):
            text = text[:start] + renamed.get(term, text[start:end]) + text[end:]
        return text, plan

    def _node(self, node: URIRef, *, is_named: bool) -> int | None:
        """The place of the likeliest node of the same class; of one that the question does not name, its own."""
        listed = self.handles.nodes
        if not is_named:
            return listed.index(node) if node in listed and listed.index(node) not in self.nodes else None
        free = [place for place in range(len(listed)) if place not in self.nodes]
        types, kinds = self._types(node), self._kinds(node)
        same = [place for place in free if self._types(listed[place]) & types]
        alike = [place for place in free if self._kinds(listed[place]) & kinds]
        untyped = [place for place in free if not types and not self._types(listed[place])]
        return next(iter([*same, *alike, *untyped]), None)

    def _types(self, node: URIRef) -> set[URIRef]:
        return set(self.described[node].types) if node in self.described else set()

    def _kinds(self, node: URIRef) -> set[URIRef]:
        return {above for cls in self._types(node) for above in self.ontology.superclasses(cls)}

    def _value(self, value: Literal, *, is_named: bool) -> int | None:
        """The place of the value itself, or of the first of the question's own that is like one which it names."""
        listed = self.handles.values
        free = [place for place in range(len(listed)) if place not in self.values]
        alike = (place for place in free if place >= self.told and is_named and _are_alike(listed[place], value))
        return next((place for place in free if listed[place] == value), next(alike, None))


def _are_alike(one: Literal, other: Literal) -> bool:
    """Whether two values are of one datatype, and of dates both the first or the last of a year or both another."""
    if one.datatype != other.datatype or one.language != other.language:
        return False
    return not is_date(one.datatype) or str(one)[4:] == str(other)[4:]
