"""The ontology of a graph: what its vocabulary says of itself, and what the data shows of it where it says nothing.

Domains, ranges, disjointness and the class tree are read where they are stated (RDFS, OWL 2, schema.org). Beside them
stands the observed schema: which classes really meet which properties, and how often.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from kgllm.errors import IncompleteDataError
from kgllm.ontology_queries import (
    AXIOMS,
    CHARACTERISTICS,
    CLASS_TYPES,
    COUNT_CLASSES,
    COUNT_SIGNATURES,
    DOMAINS,
    RANGES,
    SELECT_AXIOMS,
    SELECT_DISJOINT,
    SELECT_TERMS,
    SELECT_TEXTS,
    SELECT_UNIONS,
)
from kgllm.protocols import GraphStore
from kgllm.terms import Literal, Term, Triple, URIRef, local_name, n3, parse_term, readable
from kgllm.vocabularies import (
    ALIAS_PROPERTIES,
    DESCRIPTION_PROPERTIES,
    NAME_PROPERTIES,
    OWL,
    RDF_TYPE,
    RDFS,
    RDFS_COMMENT,
    RDFS_LABEL,
    RDFS_SUBCLASS,
    SCHEMA,
    SCHEMA_PLAIN,
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
    "Ontology",
    "Property",
    "Signature",
    "is_vocabulary",
    "read_ontology",
    "whole",
]

_TEXT_PROPERTIES = frozenset(NAME_PROPERTIES + ALIAS_PROPERTIES + DESCRIPTION_PROPERTIES)
_SCHEMAS = (SCHEMA, SCHEMA_PLAIN)


@dataclass(frozen=True, slots=True)
class Class:
    """A class. ``parents`` are its direct superclasses and equivalents; ``instances`` is a count of stated ones."""

    iri: URIRef
    label: str
    names: tuple[str, ...] = ()
    description: str = ""
    parents: tuple[URIRef, ...] = ()
    disjoint: tuple[URIRef, ...] = ()
    instances: int = 0


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
    ) -> None:
        self.classes = dict(classes)
        self.properties = dict(properties)
        self.statements = dict(statements or {})
        self.superclasses = cache(self._superclasses)
        self._children: dict[URIRef, list[URIRef]] = defaultdict(list)
        for cls in self.classes.values():
            for parent in cls.parents:
                self._children[parent].append(cls.iri)
        self.subclasses = cache(self._subclasses)
        self._narrower: dict[URIRef, list[URIRef]] = defaultdict(list)
        for prop in self.properties.values():
            for parent in prop.parents:
                self._narrower[parent].append(prop.iri)

    def _superclasses(self, iri: URIRef) -> frozenset[URIRef]:
        """The class and all above it."""
        return _closure(iri, lambda c: self.classes[c].parents if c in self.classes else ())

    def _subclasses(self, iri: URIRef) -> frozenset[URIRef]:
        """The class and all below it."""
        return _closure(iri, lambda c: self._children.get(c, ()))

    def superproperties(self, iri: URIRef) -> frozenset[URIRef]:
        """The property and all above it."""
        return _closure(iri, lambda p: self.properties[p].parents if p in self.properties else ())

    def subproperties(self, iri: URIRef) -> frozenset[URIRef]:
        """The property and all below it."""
        return _closure(iri, lambda p: self._narrower.get(p, ()))

    def are_disjoint(self, one: URIRef, other: URIRef) -> bool:
        """Whether nothing can belong to both: stated of them or of classes above them."""
        above = self.superclasses(other)
        return any(
            disjoint in above
            for cls in self.superclasses(one)
            if cls in self.classes
            for disjoint in self.classes[cls].disjoint
        )

    def is_a(self, iri: URIRef, ancestor: URIRef) -> bool:
        """Whether a class is another or below it."""
        return ancestor in self.superclasses(iri)

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
        return cls({c.iri: c for c in classes}, {p.iri: p for p in properties}, statements)


def _closure(start: URIRef, step: Any) -> frozenset[URIRef]:
    seen = {start}
    waiting = [start]
    while waiting:
        for following in step(waiting.pop()):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return frozenset(seen)


def _iris(items: Iterable[str]) -> tuple[URIRef, ...]:
    return tuple(URIRef(item) for item in items)


def _class_from(item: dict[str, Any]) -> Class:
    return Class(
        **item
        | {
            "iri": URIRef(item["iri"]),
            "names": tuple(item["names"]),
            "parents": _iris(item["parents"]),
            "disjoint": _iris(item["disjoint"]),
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


@dataclass(slots=True)
class _Axioms:
    """What was read, before it becomes classes and properties."""

    classes: set[URIRef]
    properties: set[URIRef]
    characteristics: dict[URIRef, set[str]]
    pairs: dict[str, dict[URIRef, list[URIRef]]]  # a subject whose ends have no IRI has none
    unions: dict[tuple[str, URIRef], dict[str, list[URIRef]]]  # of an axiom and its subject, by blank node
    disjoint: dict[URIRef, set[URIRef]]

    def stated(self, iri: URIRef) -> list[tuple[URIRef, Term]]:
        """The axioms about a term that are triples between IRIs."""
        return [(URIRef(axiom), end) for axiom in AXIOMS if axiom in self.pairs for end in self.of(axiom, iri)]

    def of(self, axiom: str, iri: URIRef) -> list[URIRef]:
        return self.pairs[axiom].get(iri, [])

    def alternatives(self, axioms: Sequence[str], iri: URIRef) -> tuple[tuple[URIRef, ...], ...]:
        """Each RDFS axiom is a condition of its own; all the schema.org ones together are one."""
        found: list[tuple[URIRef, ...]] = []
        sets: list[tuple[URIRef, ...]]
        for axiom in axioms:
            sets = [(o,) for o in self.of(axiom, iri)]
            sets += map(tuple, self.unions.get((axiom, iri), {}).values())
            if axiom.startswith(_SCHEMAS):
                sets = [tuple(c for members in sets for c in members)]
            found += filter(None, sets)
        return tuple(dict.fromkeys(found))


def whole(store: GraphStore, sparql: str, timeout_s: float) -> list[tuple[Term | None, ...]]:
    """All rows of a SELECT. Raises ``IncompleteDataError`` where the store cut them: a part would deny the rest."""
    found = store.select(sparql, timeout_s=timeout_s)
    if not found.complete:
        raise IncompleteDataError(
            f"{store.source} cut a result at {len(found.rows):,} rows",
            why="what is counted or looked for in part of a graph would be told of all of it",
            try_next="raise the endpoint's row and time limits, or load a dump of it as a file",
        )
    return found.rows


def read_ontology(
    stores: Sequence[GraphStore], *, languages: Sequence[str] = ("en", ""), timeout_s: float = 120
) -> Ontology:
    """The ontology stated in any of the stores, and the schema observed in the first, which holds the data.

    Raises what the stores raise, ``DeadlineError`` for one that cannot count its classes in time among it, and
    ``IncompleteDataError`` for one that cuts a result.
    """
    axioms = _read_axioms(stores, timeout_s)
    data = stores[0]
    instances = {c: int(str(n)) for c, n in whole(data, COUNT_CLASSES, timeout_s) if isinstance(c, URIRef)}
    signatures: dict[URIRef, list[Signature]] = defaultdict(list)
    for p, subject, kind, literal, n in whole(data, COUNT_SIGNATURES, timeout_s):
        if isinstance(p, URIRef):
            signatures[p].append(
                Signature(
                    subject if isinstance(subject, URIRef) else None,
                    kind if isinstance(kind, URIRef) else None,
                    str(literal) == "true",
                    int(str(n)),
                )
            )
    axioms.classes |= {c for c in instances if not is_vocabulary(c)}
    axioms.properties |= {p for p in signatures if not is_vocabulary(p)}
    axioms.classes -= {c for c in axioms.classes if is_vocabulary(c)}
    texts = _read_texts(stores, axioms.classes | axioms.properties, languages, timeout_s)
    return Ontology(
        {iri: _make_class(iri, axioms, texts, instances.get(iri, 0)) for iri in sorted(axioms.classes)},
        {iri: _make_property(iri, axioms, texts, signatures.get(iri, [])) for iri in sorted(axioms.properties)},
        {iri: texts.stated.get(iri, []) + axioms.stated(iri) for iri in sorted(axioms.classes | axioms.properties)},
    )


def _read_axioms(stores: Sequence[GraphStore], timeout_s: float) -> _Axioms:
    axioms = _Axioms(
        set(),
        set(),
        defaultdict(set),
        defaultdict(lambda: defaultdict(list)),
        defaultdict(lambda: defaultdict(list)),
        defaultdict(set),
    )
    for number, store in enumerate(stores):
        members: dict[str, list[URIRef]] = defaultdict(list)
        for s, p, u, m in whole(store, SELECT_UNIONS, timeout_s):
            axioms.unions[str(p), URIRef(str(s))][f"{number}:{u}"].append(URIRef(str(m)))
        for d, m in whole(store, SELECT_DISJOINT, timeout_s):
            members[str(d)].append(URIRef(str(m)))
        for group in members.values():
            for cls in group:
                axioms.disjoint[cls] |= set(group) - {cls}
        for s, p, o in whole(store, SELECT_AXIOMS, timeout_s):
            ends = axioms.pairs[str(p)][URIRef(str(s))]
            if isinstance(o, URIRef) and o not in ends:
                ends.append(o)
        for s, kind in whole(store, SELECT_TERMS, timeout_s):
            if not isinstance(s, URIRef):
                continue
            if str(kind) in CLASS_TYPES:
                axioms.classes.add(s)
            else:
                axioms.properties.add(s)
                if name := CHARACTERISTICS.get(str(kind)):
                    axioms.characteristics[s].add(name)
    for s, others in axioms.pairs[OWL + "disjointWith"].items():
        for other in others:
            axioms.disjoint[s].add(other)
            axioms.disjoint[other].add(s)
    for axiom, target in ((RDFS + "subClassOf", axioms.classes), (RDFS + "subPropertyOf", axioms.properties)):
        target |= set(axioms.pairs[axiom])
        target |= {o for others in axioms.pairs[axiom].values() for o in others}
    axioms.classes |= set(axioms.disjoint)
    for axiom in (*DOMAINS, *RANGES):
        axioms.properties |= set(axioms.pairs[axiom])
        named = {o for others in axioms.pairs[axiom].values() for o in others}
        axioms.classes |= {c for c in named if not is_vocabulary(c) and not _is_datatype_range(c, axiom)}
    return axioms


def _is_datatype_range(iri: URIRef, axiom: str) -> bool:
    """Whether schema.org's way of writing a datatype stands where a class is expected."""
    names = {"Text", "Number", "Integer", "Float", "Boolean", "Date", "DateTime", "Time", "URL"}
    return axiom.startswith(_SCHEMAS) and str(iri).removeprefix(SCHEMA).removeprefix(SCHEMA_PLAIN) in names


def _symmetric(axioms: _Axioms, axiom: str, iri: URIRef) -> list[URIRef]:
    backwards = [s for s, others in axioms.pairs[axiom].items() if iri in others]
    return list(dict.fromkeys([*axioms.of(axiom, iri), *backwards]))


def _make_class(iri: URIRef, axioms: _Axioms, texts: _Texts, instances: int) -> Class:
    parents = [*axioms.of(RDFS + "subClassOf", iri), *_symmetric(axioms, OWL + "equivalentClass", iri)]
    label, names, description = texts.of(iri)
    return Class(
        iri,
        label,
        names,
        description,
        tuple(p for p in dict.fromkeys(parents) if p != iri and not is_vocabulary(p)),
        tuple(sorted(axioms.disjoint.get(iri, ()))),
        instances,
    )


def _make_property(iri: URIRef, axioms: _Axioms, texts: _Texts, signatures: list[Signature]) -> Property:
    parents = [*axioms.of(RDFS + "subPropertyOf", iri), *_symmetric(axioms, OWL + "equivalentProperty", iri)]
    label, names, description = texts.of(iri)
    return Property(
        iri,
        label,
        names,
        description,
        tuple(p for p in dict.fromkeys(parents) if p != iri),
        tuple(_symmetric(axioms, OWL + "inverseOf", iri)),
        axioms.alternatives(DOMAINS, iri),
        axioms.alternatives(RANGES, iri),
        frozenset(axioms.characteristics.get(iri, ())),
        tuple(sorted(signatures, key=lambda s: (-s.count, str(s.subject), str(s.object)))),
    )


@dataclass(frozen=True, slots=True)
class _Texts:
    """Names and descriptions by term, best first."""

    names: dict[URIRef, list[str]]
    descriptions: dict[URIRef, str]
    stated: dict[URIRef, list[tuple[URIRef, Term]]]

    def of(self, iri: URIRef) -> tuple[str, tuple[str, ...], str]:
        names = self.names.get(iri) or [readable(local_name(iri))]
        return names[0], tuple(dict.fromkeys(names)), self.descriptions.get(iri, "")


def _read_texts(
    stores: Sequence[GraphStore], terms: Iterable[URIRef], languages: Sequence[str], timeout_s: float
) -> _Texts:
    order = [*NAME_PROPERTIES, *ALIAS_PROPERTIES, *DESCRIPTION_PROPERTIES]
    rank = {language: place for place, language in enumerate(languages)}
    found: dict[URIRef, list[tuple[bool, int, int, str]]] = defaultdict(list)
    stated: dict[URIRef, list[tuple[URIRef, Term]]] = defaultdict(list)
    wanted = sorted(terms)
    for store in stores:
        for start in range(0, len(wanted), 200):
            chunk = " ".join(f"<{iri}>" for iri in wanted[start : start + 200])
            query = SELECT_TEXTS.format(texts=" ".join(f"<{p}>" for p in order), terms=chunk)
            for s, p, o in whole(store, query, timeout_s):
                if isinstance(s, URIRef) and isinstance(o, Literal) and str(o).strip():
                    place = order.index(URIRef(str(p)))
                    stated[s].append((order[place], o))
                    is_description = p in DESCRIPTION_PROPERTIES
                    is_alias = p in ALIAS_PROPERTIES
                    language = (o.language or "").split("-")[0]
                    key = (is_alias, rank.get(language, len(rank)), place)
                    found[s].append((is_description, key[0] * 100 + key[1], key[2], str(o).strip()))
    names: dict[URIRef, list[str]] = {}
    descriptions: dict[URIRef, str] = {}
    for iri, texts in found.items():
        texts.sort()
        names[iri] = [text for is_description, _, _, text in texts if not is_description]
        descriptions[iri] = next((text for is_description, _, _, text in texts if is_description), "")
    return _Texts(names, descriptions, stated)
