"""The ontology of a graph: what its vocabulary says of itself, and what the data shows of it where it says nothing.

Domains, ranges, disjointness and the class tree are read where they are stated (RDFS, OWL 2, schema.org). Beside them
stands the observed schema: which classes really meet which properties, and how often.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from typing import Any, TypeAlias

from kgllm.axioms import Axioms, ClassNode, reached
from kgllm.owl_rules import Rules
from kgllm.terms import Term, Triple, URIRef, local_name, n3, parse_term, readable
from kgllm.vocabularies import (
    ALIAS_PROPERTIES,
    DESCRIPTION_PROPERTIES,
    NAME_PROPERTIES,
    RDF_TYPE,
    RDFS_COMMENT,
    RDFS_LABEL,
    RDFS_SUBCLASS,
    is_vocabulary,
)

__all__ = [
    "ALIAS_PROPERTIES",
    "DESCRIPTION_PROPERTIES",
    "NAME_PROPERTIES",
    "RDFS_COMMENT",
    "RDFS_LABEL",
    "RDFS_SUBCLASS",
    "RDF_TYPE",
    "Class",
    "Kind",
    "Ontology",
    "Property",
    "Signature",
    "is_vocabulary",
]

_TEXT_PROPERTIES = frozenset(NAME_PROPERTIES + ALIAS_PROPERTIES + DESCRIPTION_PROPERTIES)


@dataclass(frozen=True, slots=True)
class Class:
    """A class. ``parents`` are its direct superclasses and equivalents; ``instances`` is a count of stated ones."""

    iri: URIRef
    label: str
    names: tuple[str, ...] = ()
    description: str = ""
    parents: tuple[URIRef, ...] = ()
    instances: int = 0


Kind: TypeAlias = tuple[URIRef | None, bool]
"""A class, ``None`` for nodes without any; or with ``True`` a datatype."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How often a property was seen from one class to another (or to a datatype, if ``literal``); None is untyped."""

    subject: URIRef | None
    object: URIRef | None
    literal: bool
    count: int


@dataclass(frozen=True, slots=True)
class Property:
    """A property. Each member of ``domains`` and ``ranges`` is one axiom: a set of classes of which one must hold."""

    iri: URIRef
    label: str
    names: tuple[str, ...] = ()
    description: str = ""
    parents: tuple[URIRef, ...] = ()
    inverses: tuple[URIRef, ...] = ()
    domains: tuple[tuple[URIRef, ...], ...] = ()
    ranges: tuple[tuple[URIRef, ...], ...] = ()
    characteristics: frozenset[str] = frozenset()
    signatures: tuple[Signature, ...] = ()

    @property
    def count(self) -> int:
        """How many triples have it; more where nodes have several classes."""
        return sum(signature.count for signature in self.signatures)

    @property
    def is_text(self) -> bool:
        """Whether it names or describes a node, and so is no relation that a question asks about."""
        return self.iri in _TEXT_PROPERTIES


class Ontology:
    """Classes and properties by IRI, with the closures that linking, planning and checking need."""

    def __init__(
        self,
        classes: Mapping[URIRef, Class],
        properties: Mapping[URIRef, Property],
        statements: Mapping[URIRef, Sequence[tuple[URIRef, Term]]] | None = None,
        axioms: Axioms | str = "",
    ) -> None:
        """``axioms`` may be given as N-Triples, to be read when they are first asked for."""
        self.classes = dict(classes)
        self.properties = dict(properties)
        self.statements = dict(statements or {})
        self._stated = axioms
        self.superclasses = cache(self._superclasses)
        self._children: dict[URIRef, list[URIRef]] = defaultdict(list)
        for cls in self.classes.values():
            for parent in cls.parents:
                self._children[parent].append(cls.iri)
        self.subclasses = cache(self._subclasses)
        self.ends = cache(self._ends)
        self._narrower: dict[URIRef, list[URIRef]] = defaultdict(list)
        for prop in self.properties.values():
            for parent in prop.parents:
                self._narrower[parent].append(prop.iri)

    @cached_property
    def axioms(self) -> Axioms:
        """What the ontology states, as triples."""
        return Axioms.from_nt(self._stated) if isinstance(self._stated, str) else self._stated

    @cached_property
    def rules(self) -> Rules:
        """What the axioms entail, as rules."""
        return Rules(self.axioms)

    def _superclasses(self, iri: URIRef) -> frozenset[URIRef]:
        """The class and all above it."""
        return reached(iri, lambda c: self.classes[c].parents if c in self.classes else ())

    def _subclasses(self, iri: URIRef) -> frozenset[URIRef]:
        """The class and all below it."""
        return reached(iri, lambda c: self._children.get(c, ()))

    def _ends(self, iri: URIRef) -> tuple[frozenset[Kind], frozenset[Kind]]:
        """The kinds of subjects and of objects that the data shows a property with, or one below it."""
        below = [self.properties[p] for p in self.subproperties(iri) if p in self.properties]
        seen = [signature for prop in below for signature in prop.signatures]
        return frozenset((s.subject, False) for s in seen), frozenset((s.object, s.literal) for s in seen)

    def superproperties(self, iri: URIRef) -> frozenset[URIRef]:
        """The property and all above it."""
        return reached(iri, lambda p: self.properties[p].parents if p in self.properties else ())

    def subproperties(self, iri: URIRef) -> frozenset[URIRef]:
        """The property and all below it."""
        return reached(iri, lambda p: self._narrower.get(p, ()))

    def are_disjoint(self, one: ClassNode, other: ClassNode) -> bool:
        """Whether nothing can belong to both, by the axioms."""
        return self.axioms.are_disjoint(one, other)

    def is_a(self, iri: URIRef, ancestor: URIRef) -> bool:
        """Whether a class is another or below it."""
        return ancestor in self.superclasses(iri)

    def most_special(self, classes: Sequence[URIRef]) -> URIRef:
        """The class that is above none of the others; of several the one with the fewest instances."""
        lowest = [c for c in classes if not any(self.is_a(d, c) and not self.is_a(c, d) for d in classes)]
        return min(lowest, key=lambda c: (self.classes[c].instances if c in self.classes else 0, c))

    def populated(self, iri: URIRef) -> list[URIRef]:
        """The classes at or below one that have instances of their own, the class itself first."""
        below = [c for c in self.subclasses(iri) if c in self.classes and self.classes[c].instances]
        return sorted(below, key=lambda c: (c != iri, c))

    def label(self, iri: URIRef) -> str:
        """The label of a class or property; its local name in words for any other IRI."""
        term = self.classes.get(iri) or self.properties.get(iri)
        return term.label if term else readable(local_name(iri))

    def observed(self) -> Iterator[Property]:
        """The properties that the data states, without the vocabulary's own."""
        return (p for p in self.properties.values() if p.signatures and not is_vocabulary(p.iri))

    def relations(self) -> Iterator[Property]:
        """The observed properties that a question can ask about, which those that name and describe are not."""
        return (p for p in self.observed() if not p.is_text)

    def triples(self, iri: URIRef) -> list[Triple]:
        """What the ontology states of one of its own terms, for terms whose ontology is a file apart from the data."""
        return [(iri, prop, value) for prop, value in self.statements.get(iri, ())]

    def to_json(self) -> str:
        """The ontology as JSON text."""
        return json.dumps(
            {
                "classes": [asdict(cls) for cls in self.classes.values()],
                "properties": [
                    asdict(prop) | {"characteristics": sorted(prop.characteristics)}
                    for prop in self.properties.values()
                ],
                "statements": {
                    iri: [[n3(prop), n3(value)] for prop, value in stated] for iri, stated in self.statements.items()
                },
                "axioms": self.axioms.to_nt(),
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Ontology:
        """The ontology that ``to_json`` wrote."""
        data = json.loads(text)
        classes = [_class_from(item) for item in data["classes"]]
        properties = [_property_from(item) for item in data["properties"]]
        statements = {
            URIRef(iri): [(URIRef(prop[1:-1]), parse_term(value)) for prop, value in stated]
            for iri, stated in data["statements"].items()
        }
        return cls(
            {c.iri: c for c in classes}, {p.iri: p for p in properties}, statements, Axioms.from_nt(data["axioms"])
        )


def _iris(items: Iterable[str]) -> tuple[URIRef, ...]:
    return tuple(URIRef(item) for item in items)


def _class_from(item: dict[str, Any]) -> Class:
    return Class(
        **item
        | {
            "iri": URIRef(item["iri"]),
            "names": tuple(item["names"]),
            "parents": _iris(item["parents"]),
        }
    )


def _property_from(item: dict[str, Any]) -> Property:
    signatures = tuple(
        Signature(
            URIRef(s["subject"]) if s["subject"] else None,
            URIRef(s["object"]) if s["object"] else None,
            s["literal"],
            s["count"],
        )
        for s in item["signatures"]
    )
    return Property(
        **item
        | {
            "iri": URIRef(item["iri"]),
            "names": tuple(item["names"]),
            "parents": _iris(item["parents"]),
            "inverses": _iris(item["inverses"]),
            "domains": tuple(_iris(axiom) for axiom in item["domains"]),
            "ranges": tuple(_iris(axiom) for axiom in item["ranges"]),
            "characteristics": frozenset(item["characteristics"]),
            "signatures": signatures,
        }
    )
