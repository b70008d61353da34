"""Reading an ontology: its axioms, names and descriptions from some graphs, the observed schema from the data.

Domains, ranges, disjointness and the class tree are read where they are stated (RDFS, OWL 2, schema.org).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kgllm.axioms import Axioms
from kgllm.errors import IncompleteDataError
from kgllm.ontology import Class, Ontology, Property, Signature
from kgllm.ontology_queries import (
    CHARACTERISTICS,
    CLASS_TYPES,
    COUNT_CLASSES,
    COUNT_SIGNATURES,
    DOMAINS,
    PROPERTY_TYPES,
    RANGES,
    SELECT_AXIOMS,
    SELECT_TEXTS,
    TOLD_AXIOMS,
)
from kgllm.protocols import GraphStore
from kgllm.terms import BNode, Literal, Term, Triple, URIRef, local_name, n3, readable
from kgllm.vocabularies import (
    ALIAS_PROPERTIES,
    DESCRIPTION_PROPERTIES,
    NAME_PROPERTIES,
    OWL,
    RDF_TYPE,
    RDFS,
    SCHEMA,
    SCHEMA_PLAIN,
    is_vocabulary,
)

__all__ = ["read_ontology", "whole"]

_SCHEMAS = (SCHEMA, SCHEMA_PLAIN)


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
    stated = {triple for number, store in enumerate(stores) for triple in _axioms(store, number, timeout_s)}
    axioms = Axioms(sorted(stated, key=lambda triple: tuple(map(n3, triple))))
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
    classes = {c for c in {*_classes(axioms), *instances} if not is_vocabulary(c)}
    properties = _properties(axioms) | {p for p in signatures if not is_vocabulary(p)}
    texts = _read_texts(stores, classes | properties, languages, timeout_s)
    _tell_apart(properties, texts.names)
    return Ontology(
        {iri: _make_class(iri, axioms, texts, instances.get(iri, 0)) for iri in sorted(classes)},
        {iri: _make_property(iri, axioms, texts, signatures.get(iri, [])) for iri in sorted(properties)},
        {iri: texts.stated.get(iri, []) + _told(axioms, iri) for iri in sorted(classes | properties)},
        axioms,
    )


def _axioms(store: GraphStore, number: int, timeout_s: float) -> Iterable[Triple]:
    """The axioms in a store; the names of its blank nodes are made apart from those of the others."""
    for s, p, o in whole(store, SELECT_AXIOMS, timeout_s):
        yield _apart(s, number), p, _apart(o, number)  # type: ignore[misc]


def _apart(term: Term | None, number: int) -> Term | None:
    return BNode(f"g{number}{term}") if isinstance(term, BNode) else term


def _classes(axioms: Axioms) -> set[URIRef]:
    """The classes that an axiom names."""
    found: set[Term] = {cls for kind in CLASS_TYPES for cls in axioms.subjects(kind)}
    for predicate in (RDFS + "subClassOf", OWL + "equivalentClass", OWL + "disjointWith", OWL + "complementOf"):
        found.update(end for pair in axioms.pairs(predicate) for end in pair)
    for group in axioms.groups(OWL + "AllDisjointClasses"):
        found.update(group)
    for axiom in (*DOMAINS, *RANGES):
        found.update(c for _, c in axioms.pairs(axiom) if not _is_datatype_range(c, axiom))
    return {cls for cls in found if isinstance(cls, URIRef) and not is_vocabulary(cls)}


def _properties(axioms: Axioms) -> set[URIRef]:
    """The properties that an axiom names."""
    found: set[Term] = {p for kind in {*PROPERTY_TYPES, *CHARACTERISTICS} for p in axioms.subjects(kind)}
    for predicate in (RDFS + "subPropertyOf", OWL + "equivalentProperty", OWL + "inverseOf"):
        found.update(end for pair in axioms.pairs(predicate) for end in pair)
    found.update(p for axiom in (*DOMAINS, *RANGES) for p, _ in axioms.pairs(axiom))
    return {p for p in found if isinstance(p, URIRef)}


def _is_datatype_range(iri: Term, axiom: str) -> bool:
    """Whether schema.org's way of writing a datatype stands where a class is expected."""
    names = {"Text", "Number", "Integer", "Float", "Boolean", "Date", "DateTime", "Time", "URL"}
    return axiom.startswith(_SCHEMAS) and str(iri).removeprefix(SCHEMA).removeprefix(SCHEMA_PLAIN) in names


def _alternatives(axioms: Axioms, predicates: Sequence[str], prop: URIRef) -> tuple[tuple[URIRef, ...], ...]:
    """The named classes of which one must hold, an entry for each condition.

    Each RDFS axiom is a condition of its own, each member of an intersection too; all the schema.org ones together are
    one. A class expression of another kind is no condition that a name could be given.
    """
    found: list[tuple[URIRef, ...]] = []
    for predicate in predicates:
        sets = [s for o in axioms.objects(prop, predicate) for s in _named(axioms, o)]
        if predicate.startswith(_SCHEMAS):
            sets = [tuple(c for members in sets for c in members)]
        found += filter(None, sets)
    return tuple(dict.fromkeys(found))


def _named(axioms: Axioms, cls: Term) -> list[tuple[URIRef, ...]]:
    """A class as alternatives that all have to hold."""
    if isinstance(cls, URIRef):
        return [(cls,)]
    if isinstance(cls, Literal):
        return []
    found = []
    for members in axioms.unions.get(cls, ()):
        parts = [_named(axioms, member) for member in members]
        if all(len(part) == 1 for part in parts):  # else one of the members could not be told by its name
            found.append(tuple(dict.fromkeys(c for part in parts for c in part[0])))
    for head in axioms.objects(cls, OWL + "intersectionOf"):
        found += [part for member in axioms.members(head) for part in _named(axioms, member)]
    return found


def _told(axioms: Axioms, iri: URIRef) -> list[tuple[URIRef, Term]]:
    """The axioms about a term that are triples between IRIs."""
    return [
        (URIRef(predicate), o)
        for predicate in TOLD_AXIOMS
        for o in axioms.objects(iri, predicate)
        if isinstance(o, URIRef)
    ]


def _symmetric(axioms: Axioms, predicate: str, iri: URIRef) -> list[URIRef]:
    backwards = [s for s, o in axioms.pairs(predicate) if o == iri]
    return [end for end in dict.fromkeys([*axioms.objects(iri, predicate), *backwards]) if isinstance(end, URIRef)]


def _make_class(iri: URIRef, axioms: Axioms, texts: _Texts, instances: int) -> Class:
    label, names, description = texts.of(iri)
    parents = tuple(p for p in axioms.parents(iri) if not is_vocabulary(p))
    return Class(iri, label, names, description, parents, instances)


def _make_property(iri: URIRef, axioms: Axioms, texts: _Texts, signatures: list[Signature]) -> Property:
    stated = [o for o in axioms.objects(iri, RDFS + "subPropertyOf") if isinstance(o, URIRef)]
    parents = [*stated, *_symmetric(axioms, OWL + "equivalentProperty", iri)]
    label, names, description = texts.of(iri)
    return Property(
        iri,
        label,
        names,
        description,
        tuple(p for p in dict.fromkeys(parents) if p != iri),
        tuple(_symmetric(axioms, OWL + "inverseOf", iri)),
        _alternatives(axioms, DOMAINS, iri),
        _alternatives(axioms, RANGES, iri),
        frozenset(CHARACTERISTICS[str(kind)] for kind in axioms.objects(iri, RDF_TYPE) if str(kind) in CHARACTERISTICS),
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


def _tell_apart(properties: Iterable[URIRef], names: dict[URIRef, list[str]]) -> None:
    """Let properties of one label answer to their local names too, so far as these are words and no other's name."""
    bearers: dict[str, list[URIRef]] = defaultdict(list)
    for iri in properties:
        for name in {name.casefold() for name in names.get(iri, [])}:
            bearers[name].append(iri)
    alike = {iri for iri in properties if names.get(iri) and len(bearers[names[iri][0].casefold()]) > 1}
    own = {iri: name for iri in alike if (name := _own_words(iri))}
    shared = Counter(own.values())
    for iri, name in own.items():
        if name not in bearers and shared[name] == 1:
            names[iri].append(name)


def _own_words(iri: URIRef) -> str:
    """The end of an IRI in words; empty for a code, which says nothing."""
    name = readable(local_name(iri)).casefold()
    return name if name.replace(" ", "").replace("-", "").isalpha() else ""


def _read_texts(
    stores: Sequence[GraphStore], terms: Iterable[URIRef], languages: Sequence[str], timeout_s: float
) -> _Texts:
    order = [*NAME_PROPERTIES, *ALIAS_PROPERTIES, *DESCRIPTION_PROPERTIES]
    rank = {language: place for place, language in enumerate(languages)}
    found: dict[URIRef, list[tuple[bool, int, int, str]]] = defaultdict(list)
    stated: dict[URIRef, list[tuple[URIRef, Term]]] = defaultdict(list)
    preferred: set[URIRef] = set()  # those with a name in one of the languages
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
                    if language in rank and not is_description:
                        preferred.add(s)
                    found[s].append((is_description, key[0] * 100 + key[1], key[2], str(o).strip()))
    names: dict[URIRef, list[str]] = {}
    descriptions: dict[URIRef, str] = {}
    for iri, texts in found.items():
        texts.sort()
        names[iri] = [text for is_description, _, _, text in texts if not is_description]
        own = _own_words(iri) if iri not in preferred else ""  # named in other languages: its IRI may well be in this
        if own and names[iri] and own not in {name.casefold() for name in names[iri]}:
            names[iri].append(own)
        descriptions[iri] = next((text for is_description, _, _, text in texts if is_description), "")
    return _Texts(names, descriptions, stated)
