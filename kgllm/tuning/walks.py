"""Walks: nodes of a graph that lie on a path of its schema, drawn at random, and what they are called.

Every query has a limit and begins at a few triples of one property, so that it costs as much in a large graph as in a
small one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import TypeAlias

from kgllm.errors import DeadlineError
from kgllm.index import Index
from kgllm.names import normalise
from kgllm.ontology import ALIAS_PROPERTIES, NAME_PROPERTIES
from kgllm.paths import RelationPath, Step
from kgllm.query import Query
from kgllm.recall import recall
from kgllm.terms import Literal, Term, URIRef, clean, n3
from kgllm.vocabularies import TRUE, XSD

__all__ = ["INEXACT", "Node", "Walks"]

_BEGUN = 400  # triples of the first property
_WALKED = 400  # walks of them
_FURTHEST = 20_000  # triples that are passed over at most to begin somewhere else
_LONGEST_NAME = 60  # characters; a longer one is none that a person would type
_SHORTEST_NAME = 2
_OTHER_NAME = 0.15  # share of the times that a node is called by another of its names
_ENDS = 60  # ends of paths of one step that are counted to tell one from many

_AT_ONCE = 200  # properties whose names are asked for
INEXACT = frozenset(XSD + name for name in ("decimal", "double", "float", "dateTime", "boolean"))

Node: TypeAlias = URIRef | Literal


class Walks:
    """Draws from one index. Every method raises what the store raises, but for a deadline: then nothing is found."""

    def __init__(self, index: Index, random: Random, *, languages: Sequence[str], timeout_s: float) -> None:
        self._index = index
        self._random = random
        self._languages = [language.lower() for language in languages]
        self._timeout_s = timeout_s
        self._names: dict[URIRef, tuple[str, ...]] = {}
        self._of_properties: dict[URIRef, list[tuple[str, str]]] | None = None
        self._first: dict[Step, list[tuple[Term | None, ...]]] = {}

    def along(self, path: RelationPath, *, count: int, most: int) -> list[tuple[Node, ...]]:
        """Up to ``most`` walks, each of another start, over nodes that do not repeat; ``count`` triples begin them."""
        rows = self._rows(path, count)
        walks, starts = [], set()
        self._random.shuffle(rows)
        for row in rows:
            nodes = [term for term in row if isinstance(term, URIRef | Literal)]
            if len(nodes) == len(row) and len(set(nodes)) == len(nodes) and nodes[0] not in starts:
                starts.add(nodes[0])
                walks.append(tuple(nodes))
            if len(walks) == most:
                break
        return walks

    def fans_out(self, step: Step, *, count: int) -> bool:
        """Whether a step mostly leads to several ends."""
        rows = self._first_rows(step, count)
        starts = {row[0] for row in rows[:_ENDS]}
        where = f"{_values('?n0', starts)} {_pattern(step, 0)}"
        ends = self._select(f"SELECT ?n0 (COUNT(DISTINCT ?n1) AS ?n) WHERE {{ {where} }} GROUP BY ?n0")
        counts = [int(str(row[1])) for row in ends]
        return sum(counts) > 1.4 * len(counts)

    def names(self, nodes: Iterable[Node]) -> dict[Node, tuple[str, ...]]:
        """What each node is called, by names that no other node has, its label first; none where there is none."""
        every = list(dict.fromkeys(nodes))
        missing = [node for node in every if isinstance(node, URIRef) and node not in self._names]
        if missing:
            self._read(missing)
        return {node: self._names.get(node, ()) if isinstance(node, URIRef) else _of_literal(node) for node in every}

    def name(self, node: Node) -> str | None:
        """A name of a node, mostly its label."""
        names = self.names([node])[node]
        if len(names) > 1 and self._random.random() < _OTHER_NAME:
            return self._random.choice(names[1:])
        return names[0] if names else None

    def rows(self, query: Query, *, most: int) -> list[tuple[Term | None, ...]] | None:
        """The rows of a query; ``None`` if there are more than ``most``, or it takes too long."""
        try:
            found = self._index.store.select(query.to_sparql(), timeout_s=self._timeout_s, limit=most + 1)
        except DeadlineError:
            return None
        return found.rows if len(found.rows) <= most and found.complete else None

    def holds(self, query: Query) -> bool | None:
        """Whether yes is the answer, also where it follows by the ontology; ``None`` if that takes too long."""
        try:
            found = recall(query, question="", links=[], index=self._index, timeout_s=self._timeout_s)
        except DeadlineError:
            return None
        return found.rows.rows[0][0] == TRUE

    def facts(self, node: URIRef) -> list[tuple[URIRef, bool, Node]]:
        """The property, whether it leads to the node, and the other end, of some triples that it stands in."""
        query = (
            f"SELECT ?p ?o ?q ?s WHERE {{ {{ SELECT ?p ?o WHERE {{ {n3(node)} ?p ?o }} LIMIT {_WALKED} }} UNION "
            f"{{ SELECT ?q ?s WHERE {{ ?s ?q {n3(node)} }} LIMIT {_WALKED} }} }}"
        )
        found: list[tuple[URIRef, bool, Node]] = []
        for p, o, q, s in self._select(query):
            prop, other = (p, o) if p is not None else (q, s)
            if isinstance(prop, URIRef) and isinstance(other, URIRef | Literal):
                found.append((prop, p is None, other))
        return found

    def _rows(self, path: RelationPath, count: int) -> list[tuple[Term | None, ...]]:
        first = self._first_rows(path.steps[0], count)
        if len(path.steps) == 1 or not first:
            return list(first)
        starts = [(s, o) for s, o in first if isinstance(s, URIRef | Literal) and isinstance(o, URIRef)]
        chosen = self._random.sample(starts, min(len(starts), _ENDS))
        pairs = " ".join(f"({n3(s)} {n3(o)})" for s, o in chosen)
        further = " ".join(_pattern(step, place) for place, step in enumerate(path.steps) if place)
        variables = " ".join(f"?n{place}" for place in range(len(path.steps) + 1))
        return self._select(f"SELECT {variables} WHERE {{ VALUES (?n0 ?n1) {{ {pairs} }} {further} }} LIMIT {_WALKED}")

    def _first_rows(self, step: Step, count: int) -> list[tuple[Term | None, ...]]:
        if step not in self._first:
            beginning = max(0, min(count - _BEGUN, _FURTHEST))
            offset = self._random.randint(0, beginning)
            self._first[step] = self._select(
                f"SELECT ?n0 ?n1 WHERE {{ {_pattern(step, 0)} }} OFFSET {offset} LIMIT {_BEGUN}"
            ) or self._select(f"SELECT ?n0 ?n1 WHERE {{ {_pattern(step, 0)} }} LIMIT {_BEGUN}")
        return self._first[step]

    def _read(self, iris: Sequence[URIRef]) -> None:
        described = self._index.described(iris)
        names = {iri: self._spelt(described[iri].names) if iri in described else () for iri in iris}
        normals = {normalise(name) for spelt in names.values() for name in spelt}
        rows = self._index.names.exact(sorted(normals))
        offset = self._index.value_offset
        for iri, spelt in names.items():
            own = {match.row for name in spelt[:1] for match in rows.get(normalise(name), ()) if match.row < offset}
            self._names[iri] = tuple(
                name
                for name in spelt
                if len({m.row for m in rows.get(normalise(name), ()) if m.row < offset} | own) == 1
            )

    def other_names(self, iri: URIRef) -> list[str]:
        """The names of a property behind its label, those in the preferred languages alone."""
        if self._of_properties is None:
            self._of_properties = self._read_properties()
        return list(self._spelt(self._of_properties.get(iri, ())))

    def _read_properties(self) -> dict[URIRef, list[tuple[str, str]]]:
        """The names of every relation with their languages, which the ontology does not keep."""
        ontology, props = self._index.ontology, set(NAME_PROPERTIES + ALIAS_PROPERTIES)
        relations = [prop.iri for prop in ontology.relations()]
        found: dict[URIRef, list[tuple[str, str]]] = {iri: [] for iri in relations}
        stated: list[tuple[Term | None, ...]] = [
            (iri, prop, value) for iri in relations for _, prop, value in ontology.triples(iri)
        ]
        for start in range(0, len(relations), _AT_ONCE):
            where = f"{_values('?x', relations[start : start + _AT_ONCE])} {_values('?p', props)} ?x ?p ?o"
            stated += [(x, p, o) for x, p, o in self._select(f"SELECT ?x ?p ?o WHERE {{ {where} }}")]
        for iri, prop, value in sorted(stated, key=str):
            if isinstance(iri, URIRef) and prop in props and isinstance(value, Literal):
                found[iri].append((str(value), value.language or ""))
        return found

    def _spelt(self, names: Iterable[tuple[str, str]]) -> tuple[str, ...]:
        kept = [
            clean(name)
            for name, language in names
            if _SHORTEST_NAME <= len(name) <= _LONGEST_NAME
            and (not language or {language.lower(), language.lower().split("-")[0]} & set(self._languages))
        ]
        return tuple(dict.fromkeys(kept))

    def _select(self, query: str) -> list[tuple[Term | None, ...]]:
        try:
            return self._index.store.select(query, timeout_s=self._timeout_s).rows
        except DeadlineError:
            return []


def _of_literal(literal: Literal) -> tuple[str, ...]:
    text = clean(str(literal))
    if str(literal.datatype) in INEXACT:  # nobody asks for what weighs 34.25 kg
        return ()
    return (text,) if 0 < len(text) <= _LONGEST_NAME and "\n" not in text else ()


def _pattern(step: Step, place: int) -> str:
    one, other = f"?n{place}", f"?n{place + 1}"
    subject, object_ = (other, one) if step.inverse else (one, other)
    if not step.members:
        return f"{subject} {n3(step.property)} {object_} ."
    members = " ".join(f"{n3(member)}" for member in step.members)
    return f"VALUES ?p{place} {{ {members} }} {subject} ?p{place} {object_} ."


def _values(variable: str, terms: Iterable[Term | None]) -> str:
    written = sorted(n3(term) for term in terms if isinstance(term, URIRef | Literal))
    return f"VALUES {variable} {{ {' '.join(written)} }}"
