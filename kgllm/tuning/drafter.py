"""The drafter: what drafts of questions are made of, those relations first that the fewest were about yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import TypeAlias

from kgllm.datatypes import is_date, is_number
from kgllm.descriptions import is_name_like
from kgllm.ontology import Ontology
from kgllm.paths import Place, RelationPath, SchemaGraph, Step
from kgllm.query import Comparison, Group, Query, Variable
from kgllm.terms import Literal, URIRef
from kgllm.tuning.verbal import Predicate, Said, Speaker, Things
from kgllm.tuning.walks import Node, Walks

__all__ = [
    "Draft",
    "Drafter",
    "Drafts",
    "Make",
    "X",
    "leads_to_things",
    "properties_of",
    "reached",
    "restrictions",
]

X = Variable("x")
WALKS = 3  # of one path
_TRIES = 2  # paths that are tried before a kind has nothing for a property
_RARE = 0.05  # of the commonest signature of a property, below which another is left out
_AGAINST = 0.25  # share of the times that what is asked for is an object rather than a subject of what restricts it


@dataclass(frozen=True, slots=True)
class Draft:
    """A query with its wordings, the nodes that it names, and the properties that it is about."""

    kind: str
    query: Query
    wordings: tuple[str, ...]
    nodes: tuple[Node, ...] = ()
    properties: tuple[URIRef, ...] = ()


Drafts: TypeAlias = Iterator[Draft]
Make: TypeAlias = "Callable[[Drafter, str], Drafts]"
"""Makes some drafts of a kind; none where what it tried gave none."""


class Drafter:
    """Makes drafts of each kind over one graph, those properties first that the fewest were about."""

    def __init__(self, ontology: Ontology, walks: Walks, random: Random) -> None:
        self.ontology = ontology
        self.walks = walks
        self.random = random
        self.speaker = Speaker(ontology, random, other_names=walks.other_names)
        self.schema = SchemaGraph(ontology)
        self.used: Counter[tuple[str, URIRef]] = Counter()
        self._many: dict[Step, bool] = {}
        self.starts: list[tuple[Place, Step, Place, bool]] = []
        for prop in sorted(ontology.relations(), key=lambda p: p.iri):
            if not is_name_like(prop.iri):
                self.starts += self._ways(prop.iri)

    def _ways(self, iri: URIRef) -> Iterator[tuple[Place, Step, Place, bool]]:
        """The steps over a property in both directions, with where each leads from and to."""
        step, back = Step(iri, inverse=False), Step(iri, inverse=True)
        if not self.speaker.is_sayable(step):
            return
        most = max(s.count for s in self.ontology.properties[iri].signatures)
        for is_literal in (False, True):
            seen = [s for s in self.ontology.properties[iri].signatures if s.literal == is_literal]
            common = [s for s in seen if s.count >= _RARE * most]
            if common:
                subjects, objects = frozenset(s.subject for s in common), frozenset(s.object for s in common)
                yield subjects, step, objects, is_literal
                yield objects, back, subjects, False

    def drafts(self, kind: str, make: Make) -> Drafts:
        """One draft of a kind after the other, as long as there are any."""
        failed = 0
        while failed < _TRIES * max(4, len(self.starts)):
            found = False
            for draft in make(self, kind):
                found = True
                for prop in draft.properties:
                    self.used[kind, prop] += 1
                yield draft
            failed = 0 if found else failed + 1

    def start(
        self, kind: str, *, fits: Callable[[Place, Step, Place, bool], bool] | None = None
    ) -> RelationPath | None:
        """A path of one step over a property that the fewest drafts of a kind were about; its use is counted."""
        options = [way for way in self.starts if fits is None or fits(*way)]
        if not options:
            return None
        least = min(self.used[kind, way[1].property] for way in options)
        _, step, end, is_literal = self.random.choice(
            [way for way in options if self.used[kind, way[1].property] == least]
        )
        self.used[kind, step.property] += 1
        return RelationPath((step,), (end,), is_literal)

    def longer(self, path: RelationPath, length: int) -> RelationPath | None:
        """The path and further steps at random; one that goes back where it came from only now and then."""
        while len(path.steps) < length:
            last = path.steps[-1]
            options = [
                longer
                for longer in self.schema.extend(path, frozenset())
                if self.speaker.is_sayable(longer.steps[-1])
                and not is_name_like(longer.steps[-1].property)
                and not (longer.literal and len(longer.steps) < length)
                and (
                    longer.steps[-1].property != last.property
                    or longer.steps[-1].inverse == last.inverse
                    or (self.random.random() < 0.5 and self.speaker.words(last).nouns)
                )
            ]
            if not options:
                return None
            path = self.random.choice(options)
        return path

    def restricts(self, start: Place, step: Step, end: Place, literal: bool) -> bool:
        """Whether a step leads to things that it says something of, or now and then to what things have."""
        return not literal and (step.inverse or self.random.random() < _AGAINST)

    def is_of_values(self, place: Place) -> bool:
        """Whether a place is one of literals."""
        return not any(cls is None or cls in self.ontology.classes for cls in place)

    def count(self, step: Step) -> int:
        """How many triples a step may be over."""
        return self.ontology.properties[step.property].count

    def is_many(self, step: Step) -> bool:
        """Whether a step mostly leads to several ends."""
        if step not in self._many:
            self._many[step] = self.walks.fans_out(step, count=self.count(step))
        return self._many[step]

    def walk(self, path: RelationPath, *, most: int = WALKS) -> Iterator[tuple[Node, Said, tuple[Node, ...]]]:
        """Walks along a path from a start that has a name: the start, its name, and all nodes."""
        for nodes in self.walks.along(path, count=self.count(path.steps[0]), most=most):
            if (said := self.said(nodes[0])) is not None:
                yield nodes[0], said, nodes

    def said(self, node: Node) -> Said | None:
        """A node or value as one says it."""
        name = self.walks.name(node)
        is_value = isinstance(node, Literal) and (is_number(node.datatype) or is_date(node.datatype))
        return None if name is None else Said(name, is_name=True, is_value=is_value)

    def things(self, path: RelationPath) -> Things:
        """What the ends of a path are called."""
        return self.speaker.things(path.end, is_literal=path.literal, step=path.steps[-1])

    def turned(self, path: RelationPath) -> Step:
        """The last step of a path from its end."""
        last = path.steps[-1]
        return replace(last, inverse=not last.inverse)


def reached(path: RelationPath, start: Node) -> Group:
    """The pattern from a start to ``?x``, which a way back does not lead to again."""
    group = path.group(start, X, prefix="a")
    away = path.returns(path.between("a")) + ([X] if path.ends_on_return else [])
    if isinstance(start, URIRef):
        return replace(group, comparisons=tuple(Comparison(variable, "!=", start) for variable in away))
    return group


def properties_of(*paths: RelationPath) -> tuple[URIRef, ...]:
    """Those of every step."""
    return tuple(dict.fromkeys(step.property for path in paths for step in path.steps))


def leads_to_things(start: Place, step: Step, end: Place, literal: bool) -> bool:
    """Whether a step does not lead to literals; what a path may begin with that is to go on."""
    return not literal


def restrictions(drafter: Drafter, node: URIRef) -> list[tuple[RelationPath, Node, list[Predicate]]]:
    """What is true of a node and can be said: the path from a value to it, the value, and the predicates."""
    found = []
    facts = drafter.walks.facts(node)
    known = {(way[1].property, way[1].inverse): way for way in drafter.starts}
    drafter.walks.names([other for _, _, other in facts[:80]])
    for prop, is_into, other in facts:
        if (way := known.get((prop, not is_into))) is None or other == node:
            continue
        _, step, end, literal = way
        if literal or (said := drafter.said(other)) is None:
            continue
        predicates = drafter.speaker.predicates(replace(step, inverse=not step.inverse), said)
        if predicates:
            found.append((RelationPath((step,), (end,)), other, predicates))
    return found
