"""Relation paths: the ways that lead from one class to another, over properties that the data really uses.

Paths are walked on the observed schema, never on the nodes, so that their number grows with the vocabulary and not with
the graph: from the set of classes a node may have, a step leads to the set of classes (or datatypes) at its other end.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from kgllm.ontology import Ontology, Property, Signature, is_vocabulary
from kgllm.query import Group, PatternTerm, TriplePattern, Values, Variable
from kgllm.terms import URIRef

__all__ = ["Place", "RelationPath", "SchemaGraph", "Step", "says_whole"]

Place: TypeAlias = frozenset[URIRef | None]
"""The classes that a node may have, None for a node of no class; or the datatypes of a literal."""


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """A property walked from subject to object, or from object to subject if ``inverse``.

    ``members`` are the properties that the data has in its place where it is never stated itself: its subproperties.
    """

    property: URIRef
    inverse: bool
    members: tuple[URIRef, ...] = ()

    def group(self, start: PatternTerm, end: PatternTerm, *, name: str) -> Group:
        """The pattern of the step between two terms; ``name`` is for the variable that its members need.

        Raises ``ValueError`` for a literal as the subject.
        """
        subject, object_ = (end, start) if self.inverse else (start, end)
        if not isinstance(subject, URIRef | Variable):
            raise ValueError(f"a literal is no subject: {subject!r}")
        if not self.members:
            return Group((TriplePattern(subject, self.property, object_),))
        which = Variable(name)
        return Group((TriplePattern(subject, which, object_),), (Values(which, self.members),))


@dataclass(frozen=True, slots=True)
class RelationPath:
    """Steps and the places they lead to, one a step; ``literal`` if the last place is one of literals."""

    steps: tuple[Step, ...] = ()
    places: tuple[Place, ...] = ()
    literal: bool = False

    @property
    def end(self) -> Place:
        """Where the path leads."""
        return self.places[-1]

    def between(self, prefix: str) -> list[Variable]:
        """Variables for the nodes between its ends, one fewer than its steps, named after ``prefix``."""
        return [Variable(f"{prefix}{number}") for number in range(1, len(self.steps))]

    def group(
        self, start: PatternTerm, end: PatternTerm, *, prefix: str, between: Sequence[Variable] | None = None
    ) -> Group:
        """Its pattern from one term to another; without ``between`` the nodes there are named after ``prefix``."""
        nodes: list[PatternTerm] = [start, *(self.between(prefix) if between is None else between), end]
        groups = [step.group(nodes[i], nodes[i + 1], name=f"{prefix}p{i}") for i, step in enumerate(self.steps)]
        return Group(
            tuple(pattern for group in groups for pattern in group.patterns),
            tuple(values for group in groups for values in group.values),
        )

    def returns(self, between: Sequence[Variable]) -> list[Variable]:
        """Of the nodes between, those that a step back over the same property would bind to where it came from."""
        return [
            between[i]
            for i in range(1, len(self.steps) - 1)
            if self.steps[i].property == self.steps[i - 1].property
            and self.steps[i].inverse != self.steps[i - 1].inverse
        ]

    @property
    def ends_on_return(self) -> bool:
        """Whether its last step walks back over the property of the step before."""
        return len(self.steps) > 1 and (
            self.steps[-1].property == self.steps[-2].property and self.steps[-1].inverse != self.steps[-2].inverse
        )


@dataclass(frozen=True, slots=True)
class _Edge:
    step: Step
    end: URIRef | None
    literal: bool


class SchemaGraph:
    """The observed schema as a graph of classes, to be walked in both directions."""

    def __init__(self, ontology: Ontology) -> None:
        self.ontology = ontology
        self._edges: dict[URIRef | None, list[_Edge]] = defaultdict(list)
        for prop in ontology.relations():
            if any(p != prop.iri and ontology.properties[p].signatures for p in ontology.subproperties(prop.iri)):
                continue  # _add_general takes it together with what is below it
            for s in _telling(prop, ontology):
                self._edges[s.subject].append(_Edge(Step(prop.iri, inverse=False), s.object, s.literal))
                if not s.literal:
                    self._edges[s.object].append(_Edge(Step(prop.iri, inverse=True), s.subject, literal=False))
        for prop in ontology.properties.values():
            self._add_general(prop)
        self.steps_from = cache(self._steps_from)

    def _add_general(self, prop: Property) -> None:
        """Steps over a property whose subproperties the data states, and which it states itself never or not always."""
        stated = [p for p in self.ontology.subproperties(prop.iri) if p in self.ontology.properties]
        members = tuple(sorted(p for p in stated if self.ontology.properties[p].signatures))
        if members in ((), (prop.iri,)) or prop.is_text or is_vocabulary(prop.iri):
            return
        for member in members:
            for s in _telling(self.ontology.properties[member], self.ontology):
                forward, back = (
                    Step(prop.iri, inverse=False, members=members),
                    Step(prop.iri, inverse=True, members=members),
                )
                self._edges[s.subject].append(_Edge(forward, s.object, s.literal))
                if not s.literal:
                    self._edges[s.object].append(_Edge(back, s.subject, literal=False))

    def _steps_from(self, place: Place) -> tuple[tuple[Step, Place, bool], ...]:
        """Every step that the data shows from a place: where it leads, and whether to literals."""
        found: dict[tuple[Step, bool], set[URIRef | None]] = defaultdict(set)
        for cls in place:
            for edge in self._edges.get(cls, ()):
                found[edge.step, edge.literal].add(edge.end)
        return tuple((step, frozenset(ends), literal) for (step, literal), ends in sorted(found.items(), key=_key))

    def extend(self, path: RelationPath, start: Place) -> Iterable[RelationPath]:
        """The path and one more step, in every way there is."""
        if path.literal:
            return
        for step, end, literal in self.steps_from(path.end if path.places else start):
            yield RelationPath((*path.steps, step), (*path.places, end), literal)

    def into_value(self, prop: URIRef) -> RelationPath:
        """The path of one step from a literal of a property back to the nodes that have it."""
        ends = frozenset(s.subject for s in self.ontology.properties[prop].signatures if s.literal)
        return RelationPath((Step(prop, inverse=True),), (ends,))

    def place_of(self, types: Iterable[URIRef]) -> Place:
        """The place of a node with some types; that of the untyped for a node without."""
        place = frozenset(t for t in types if t in self._edges)
        return place or frozenset({None})

    def instances_of(self, cls: URIRef) -> Place:
        """The place of the instances of a class and of all below it."""
        return frozenset(self.ontology.populated(cls))


def says_whole(prop: Property) -> bool:
    """Whether a property leads from a part to its whole or back, so that what is said of one may hold for the other."""
    return "transitive" in prop.characteristics or _WHOLE.search(prop.label.lower()) is not None


_WHOLE = re.compile(r"\b(?:parts?|contain\w*|within|inside|locat\w+|belongs?|broader|narrower|members?)\b")
_RARE = 0.01  # share of a property's triples below which a signature is taken for noise


def _telling(prop: Property, ontology: Ontology) -> list[Signature]:
    """The signatures of a property that are no accident of nodes with several classes.

    Where its domain or range is declared, and seen, signatures beside it come from another class of the same node.
    """
    kept = list(prop.signatures)
    for axioms, of in ((prop.domains, "subject"), (prop.ranges, "object")):
        fitting = [s for s in kept if all(_fits(getattr(s, of), axiom, ontology) for axiom in axioms)]
        kept = fitting or kept
    most = max((s.count for s in kept), default=0)
    return [s for s in kept if s.count >= _RARE * most]


def _fits(cls: URIRef | None, axiom: Sequence[URIRef], ontology: Ontology) -> bool:
    known = [c for c in axiom if c in ontology.classes]
    return not known or (cls is not None and any(ontology.is_a(cls, c) or ontology.is_a(c, cls) for c in known))


def _key(item: tuple[tuple[Step, bool], object]) -> tuple[Step, bool]:
    return item[0]
