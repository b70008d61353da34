"""The axioms of an ontology: its RDF as it was read, with lists resolved, and which classes stand above which.

Classes without a name (a union, an intersection, a restriction) are blank nodes here, as in the OWL 2 mapping to RDF.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache, cached_property
from itertools import combinations
from typing import TypeAlias, TypeVar

import pyoxigraph as ox

from kgllm.terms import Literal, Resource, Term, Triple, URIRef, from_ox, ntriples
from kgllm.vocabularies import OWL, RDF, RDF_TYPE, RDFS_SUBCLASS

__all__ = ["THING", "Axioms", "ClassNode", "reached"]

ClassNode: TypeAlias = Resource
"""A class: its IRI, or the blank node of a class expression."""

_FIRST, _REST = RDF + "first", RDF + "rest"
_NOTHING = URIRef(OWL + "Nothing")
THING = URIRef(OWL + "Thing")


_Node = TypeVar("_Node")


def reached(start: _Node, step: Callable[[_Node], Iterable[_Node]]) -> frozenset[_Node]:
    """What is reached from a node by any number of steps, itself included."""
    seen = {start}
    waiting = [start]
    while waiting:
        for following in step(waiting.pop()):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return frozenset(seen)


class Axioms:
    """Triples of an ontology by predicate, and the closures over them. Nothing in it changes after it was made."""

    def __init__(self, triples: Iterable[Triple] = ()) -> None:
        self.triples: tuple[Triple, ...] = tuple(dict.fromkeys(triples))
        self._pairs: dict[str, list[tuple[Resource, Term]]] = defaultdict(list)
        self._of: dict[tuple[Resource, str], list[Term]] = defaultdict(list)
        for s, p, o in self.triples:
            self._pairs[str(p)].append((s, o))
            self._of[s, str(p)].append(o)
        self.superclasses = cache(self._superclasses)
        self._excluded = cache(self._excluded_by)

    def __len__(self) -> int:
        return len(self.triples)

    @classmethod
    def from_nt(cls, text: str) -> Axioms:
        """The axioms that ``to_nt`` wrote; blank nodes keep their names."""
        quads = ox.parse(text.encode(), format=ox.RdfFormat.N_TRIPLES)
        return cls((from_ox(q.subject), from_ox(q.predicate), from_ox(q.object)) for q in quads)  # type: ignore[misc]

    def to_nt(self) -> str:
        """The axioms as N-Triples."""
        return ntriples(self.triples)

    def pairs(self, predicate: str) -> list[tuple[Resource, Term]]:
        """Subject and object of every axiom with a predicate."""
        return self._pairs.get(str(predicate), [])  # rdflib holds an IRI to be no string's equal

    def objects(self, subject: Resource, predicate: str) -> list[Term]:
        """What the axioms state of a subject with a predicate."""
        return self._of.get((subject, str(predicate)), [])

    def subjects(self, kind: str) -> list[Resource]:
        """What has an ``rdf:type``."""
        return [s for s, o in self.pairs(RDF_TYPE) if str(o) == str(kind)]

    def members(self, head: Term) -> tuple[Term, ...]:
        """The members of an RDF list; of a broken or circular one those up to the break."""
        found: list[Term] = []
        seen: set[Term] = set()
        while not isinstance(head, Literal) and head not in seen:
            seen.add(head)
            first = self.objects(head, _FIRST)
            rest = self.objects(head, _REST)
            if not first:
                break
            found.append(first[0])
            if not rest:
                break
            head = rest[0]
        return tuple(found)

    def lists(self, predicate: str) -> list[tuple[Resource, tuple[Term, ...]]]:
        """Subject and members of every axiom whose object is a list."""
        return [(s, self.members(o)) for s, o in self.pairs(predicate)]

    @cached_property
    def unions(self) -> dict[Resource, list[tuple[Term, ...]]]:
        """The members of each class that is stated to be a union, disjoint or not."""
        found: dict[Resource, list[tuple[Term, ...]]] = defaultdict(list)
        for predicate in (OWL + "unionOf", OWL + "disjointUnionOf"):
            for cls, members in self.lists(predicate):
                if members:
                    found[cls].append(members)
        return found

    @cached_property
    def _above(self) -> dict[Resource, list[Resource]]:
        """The classes right above each one."""
        above: dict[Resource, list[Resource]] = defaultdict(list)

        def say(cls: Term, parent: Term) -> None:
            if not isinstance(cls, Literal) and not isinstance(parent, Literal) and parent not in {cls, THING}:
                above[cls].append(parent)

        for s, o in self.pairs(RDFS_SUBCLASS):
            say(s, o)
        for s, o in self.pairs(OWL + "equivalentClass"):
            say(s, o)
            say(o, s)
        for s, members in self.lists(OWL + "intersectionOf"):
            for member in members:
                say(s, member)
        for s, unions in self.unions.items():
            for member in (member for members in unions for member in members):
                say(member, s)
        return above

    def parents(self, cls: ClassNode) -> list[URIRef]:
        """The named classes right above one; those that only expressions stand between count as right above."""
        found: dict[URIRef, None] = {}
        seen: set[Resource] = {cls}
        waiting = list(self._above.get(cls, ()))
        while waiting:
            parent = waiting.pop(0)
            if parent in seen:
                continue
            seen.add(parent)
            if isinstance(parent, URIRef):
                found[parent] = None
            else:
                waiting += self._above.get(parent, ())
        return list(found)

    def _superclasses(self, cls: ClassNode) -> frozenset[Resource]:
        """The class and all above it, named or not."""
        return reached(cls, lambda c: self._above.get(c, ()))

    @cached_property
    def _apart(self) -> dict[Resource, set[Resource]]:
        """The classes that are stated to have nothing in common with each one."""
        apart: dict[Resource, set[Resource]] = defaultdict(set)

        def say(one: Term, other: Term) -> None:
            if not isinstance(one, Literal) and not isinstance(other, Literal):
                apart[one].add(other)
                apart[other].add(one)

        for predicate in (OWL + "disjointWith", OWL + "complementOf"):
            for s, o in self.pairs(predicate):
                say(s, o)
        groups = self.groups(OWL + "AllDisjointClasses")
        groups += [members for _, members in self.lists(OWL + "disjointUnionOf")]
        for group in groups:
            for one, other in combinations(group, 2):
                say(one, other)
        return apart

    def groups(self, kind: str) -> list[tuple[Term, ...]]:
        """The members of every n-ary axiom of a kind, as ``owl:AllDifferent``."""
        heads = (OWL + "members", OWL + "distinctMembers")
        return [self.members(o) for s in self.subjects(kind) for head in heads for o in self.objects(s, head)]

    def are_disjoint(self, one: ClassNode, other: ClassNode) -> bool:
        """Whether nothing can belong to both: by what is stated of them, of classes above, or of all parts of a union.

        What it takes unions on both sides at once to show is not seen.
        """
        above, others = self.superclasses(one), self.superclasses(other)
        if _NOTHING in above or _NOTHING in others:
            return True
        return not (self._excluded(one).isdisjoint(others) and self._excluded(other).isdisjoint(above))

    def _excluded_by(self, cls: ClassNode) -> frozenset[Resource]:
        """The classes that have nothing in common with one, but for those below them."""
        found = {apart for above in self.superclasses(cls) for apart in self._apart.get(above, ())}
        waiting = list(self.unions.items()) if found else []
        grows = True
        while grows:
            new = {union for union, parts in waiting if any(self._all_excluded(members, found) for members in parts)}
            grows = not new <= found
            found |= new
        return frozenset(found)

    def _all_excluded(self, members: Iterable[Term], excluded: set[Resource]) -> bool:
        return all(not isinstance(m, Literal) and not self.superclasses(m).isdisjoint(excluded) for m in members)

    def said(self, cls: Term, label: Callable[[URIRef], str]) -> str:
        """A class in words, one without a name by what it is made of.

        >>> Axioms().said(URIRef("http://example.org/Ship"), lambda iri: "ship")
        'ship'
        """
        if isinstance(cls, URIRef):
            return label(cls)
        if isinstance(cls, Literal):
            return str(cls)
        for predicate, joint in (("unionOf", " or "), ("intersectionOf", " and "), ("oneOf", " or ")):
            for head in self.objects(cls, OWL + predicate):
                return joint.join(self.said(member, label) for member in self.members(head))
        for operand in self.objects(cls, OWL + "complementOf"):
            return f"something other than {self.said(operand, label)}"
        for prop in self.objects(cls, OWL + "onProperty"):
            for predicate, word in _RESTRICTIONS.items():
                for value in self.objects(cls, OWL + predicate):
                    return f"something with {self.said(prop, label)} {word}{self.said(value, label)}"
        return "something"


_RESTRICTIONS = {
    "someValuesFrom": "some ",
    "allValuesFrom": "only ",
    "hasValue": "",
    "hasSelf": "itself: ",
    "maxCardinality": "at most ",
    "maxQualifiedCardinality": "at most ",
    "minCardinality": "at least ",
    "cardinality": "exactly ",
    "qualifiedCardinality": "exactly ",
}
