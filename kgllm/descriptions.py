"""What SPARQL pulls of every node: its names, its description, its classes, and the text that is embedded of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from kgllm.ontology import (
    ALIAS_PROPERTIES,
    DESCRIPTION_PROPERTIES,
    NAME_PROPERTIES,
    Ontology,
    is_vocabulary,
)
from kgllm.ontology_reading import whole
from kgllm.protocols import GraphStore, Kind
from kgllm.terms import Literal, URIRef, local_name, readable

__all__ = ["Description", "Value", "describe_graph", "enumerated", "values_of"]

DESCRIPTION_CAP = 2000  # characters; the default model reads 256 tokens, and the name stands first
_STRONGEST_FACTS = 6
_VALUE_CAP = 80  # characters; longer literals are prose, which no question quotes
_VALUES_PER_PROPERTY = 20_000
_ENUMERATED = 40  # distinct values of a property that is taken to name kinds of things: countries, states, degrees
_MOST_ENUMERATED = 400


@dataclass(frozen=True, slots=True)
class Description:
    """A node, class or property as the index holds it.

    ``names`` are (text, language) pairs, the label first. ``popularity`` counts the triples it stands in. ``text`` is
    what is embedded.
    """

    iri: URIRef
    kind: Kind
    label: str
    names: tuple[tuple[str, str], ...]
    description: str
    types: tuple[URIRef, ...]
    popularity: int
    text: str

    @property
    def is_bare(self) -> bool:
        """Whether it is a node that has only its IRI to be called by, and is not described."""
        return self.kind == "node" and not self.description and self.names == _called_by_iri(self.iri)


@dataclass(frozen=True, slots=True)
class Value:
    """A short literal that a question may quote, and the property it is a value of."""

    property: URIRef
    literal: Literal
    count: int


@dataclass(slots=True)
class _Draft:
    names: list[tuple[int, str, str]] = field(default_factory=list)
    descriptions: list[tuple[int, str]] = field(default_factory=list)
    types: list[URIRef] = field(default_factory=list)
    popularity: int = 0


def describe_graph(
    store: GraphStore,
    ontology: Ontology,
    *,
    languages: Sequence[str] = ("en", ""),
    describe_with: Sequence[URIRef] = (),
    timeout_s: float = 600,
) -> list[Description]:
    """Every class, property and node, in that order, each with at least a name.

    ``languages`` are the preferred ones, best first; ``describe_with`` takes the place of the usual properties of names
    and descriptions. Raises what the store raises.
    """
    drafts: dict[URIRef, _Draft] = defaultdict(_Draft)
    _read_popularity(store, drafts, timeout_s)
    _read_types(store, drafts, timeout_s)
    names = tuple(describe_with) or NAME_PROPERTIES
    _read_texts(store, drafts, _ranks(names, ALIAS_PROPERTIES), languages, timeout_s, is_name=True)
    descriptions = tuple(describe_with) or DESCRIPTION_PROPERTIES
    _read_texts(store, drafts, _ranks(descriptions, ()), languages, timeout_s, is_name=False)
    nameless = {iri for iri, draft in drafts.items() if not draft.names}
    if nameless:
        _read_texts(store, drafts, _name_like(ontology), languages, timeout_s, is_name=True, only=nameless)
        _join_names(store, drafts, ontology, nameless, timeout_s)
    terms: list[Description] = []
    for cls in ontology.classes.values():
        terms.append(_describe_term(cls.iri, "class", cls.label, cls.names, cls.description, drafts))
    for prop in ontology.properties.values():
        if prop.iri in ontology.classes:  # punned: it is described once, as a class
            continue
        terms.append(_describe_term(prop.iri, "property", prop.label, prop.names, prop.description, drafts))
    schema = set(ontology.classes) | set(ontology.properties)
    nodes = sorted(iri for iri in drafts if iri not in schema and not is_vocabulary(iri))
    strongest = _strongest_facts(store, [n for n in nodes if not drafts[n].names], ontology, drafts, timeout_s)
    return terms + [_describe_node(iri, drafts[iri], ontology, strongest.get(iri, ())) for iri in nodes]


def values_of(store: GraphStore, ontology: Ontology, *, timeout_s: float = 600) -> list[Value]:
    """The distinct short strings of every property that has any, for questions that quote one."""
    values: list[Value] = []
    for prop in ontology.properties.values():
        if prop.is_text or not any(s.literal and _is_string(s.object) for s in prop.signatures):
            continue
        query = (
            f"SELECT ?o (COUNT(*) AS ?n) WHERE {{ ?s <{prop.iri}> ?o . FILTER(isLiteral(?o)) "
            f"FILTER(STRLEN(STR(?o)) <= {_VALUE_CAP}) }} GROUP BY ?o LIMIT {_VALUES_PER_PROPERTY}"
        )
        for o, n in whole(store, query, timeout_s):
            if isinstance(o, Literal) and str(o).strip() and _is_string(o.datatype):
                values.append(Value(prop.iri, o, int(str(n))))
    return values


def enumerated(values: Sequence[Value]) -> list[Value]:
    """The values of the properties that have few, the commonest first: what a word may mean without being it."""
    by_property: dict[URIRef, list[Value]] = defaultdict(list)
    for value in values:
        by_property[value.property].append(value)
    few = [value for found in by_property.values() if len(found) <= _ENUMERATED for value in found]
    return sorted(few, key=lambda value: (-value.count, value.literal))[:_MOST_ENUMERATED]


def _is_string(datatype: URIRef | None) -> bool:
    return datatype is None or str(datatype).endswith(("#string", "#langString", "#normalizedString", "#token"))


def _ranks(best: Sequence[URIRef], later: Sequence[URIRef]) -> dict[URIRef, int]:
    return {iri: place for place, iri in enumerate(best)} | {iri: 1000 + place for place, iri in enumerate(later)}


def is_name_like(iri: URIRef) -> bool:
    """Whether a property's own name says that it names something, for graphs that use no common vocabulary."""
    return readable(local_name(iri)).rsplit(" ", 1)[-1] in {"name", "title", "label"}


def _name_like(ontology: Ontology) -> dict[URIRef, int]:
    """The literal properties that seem to name their nodes, those with the shortest names first."""
    return {
        prop.iri: len(readable(local_name(prop.iri)).split())
        for prop in ontology.properties.values()
        if is_name_like(prop.iri) and any(s.literal for s in prop.signatures) and not prop.is_text
    }


def _read_popularity(store: GraphStore, drafts: dict[URIRef, _Draft], timeout_s: float) -> None:
    for query in (
        "SELECT ?x (COUNT(*) AS ?n) WHERE { ?x ?p ?o . FILTER(isIRI(?x)) } GROUP BY ?x",
        "SELECT ?x (COUNT(*) AS ?n) WHERE { ?s ?p ?x . FILTER(isIRI(?x)) } GROUP BY ?x",
    ):
        for x, n in whole(store, query, timeout_s):
            if isinstance(x, URIRef):
                drafts[x].popularity += int(str(n))


def _read_types(store: GraphStore, drafts: dict[URIRef, _Draft], timeout_s: float) -> None:
    for s, c in whole(store, "SELECT ?s ?c WHERE { ?s a ?c . FILTER(isIRI(?s)) }", timeout_s):
        if isinstance(s, URIRef) and isinstance(c, URIRef) and not is_vocabulary(c):
            drafts[s].types.append(c)


def _read_texts(
    store: GraphStore,
    drafts: dict[URIRef, _Draft],
    ranks: Mapping[URIRef, int],
    languages: Sequence[str],
    timeout_s: float,
    *,
    is_name: bool,
    only: set[URIRef] | None = None,
) -> None:
    places = {language: place for place, language in enumerate(languages)}
    for iri, rank in ranks.items():
        query = f"SELECT ?s ?o WHERE {{ ?s <{iri}> ?o . FILTER(isLiteral(?o)) FILTER(isIRI(?s)) }}"
        for s, o in whole(store, query, timeout_s):
            if not isinstance(s, URIRef) or not isinstance(o, Literal) or (only is not None and s not in only):
                continue
            text = " ".join(str(o).split())
            language = (o.language or "").lower()
            place = places.get(language, places.get(language.split("-")[0], len(places)))
            if text and is_name:
                drafts[s].names.append((place * 10 + rank, text, language))
            elif text:
                drafts[s].descriptions.append((place * 100 + rank, text))


_GIVEN, _FAMILY = frozenset(["given", "first"]), frozenset(["family", "last"])


def _join_names(
    store: GraphStore, drafts: dict[URIRef, _Draft], ontology: Ontology, only: set[URIRef], timeout_s: float
) -> None:
    """Name a person whose names are stated apart by both together."""
    words = {prop.iri: set(readable(local_name(prop.iri)).split()) for prop in ontology.properties.values()}
    given, family = ([p for p in words if words[p] & kind and is_name_like(p)] for kind in (_GIVEN, _FAMILY))
    for first, last in product(given, family):
        query = f"SELECT ?s ?first ?last WHERE {{ ?s <{first}> ?first ; <{last}> ?last }}"
        for s, one, other in whole(store, query, timeout_s) if first != last else ():
            if isinstance(s, URIRef) and s in only and isinstance(one, Literal) and isinstance(other, Literal):
                name = " ".join(f"{one} {other}".split())
                drafts[s].names += [(-1, name, "")] if name else []


def _describe_term(
    iri: URIRef, kind: Kind, label: str, names: Iterable[str], description: str, drafts: Mapping[URIRef, _Draft]
) -> Description:
    draft = drafts.get(iri, _Draft())
    every = dict.fromkeys([(name, "") for name in names] + [(text, lang) for _, text, lang in sorted(draft.names)])
    about = description or (min(draft.descriptions)[1] if draft.descriptions else "")
    text = f"{label}: {about}" if about else label
    return Description(iri, kind, label, tuple(every), about, (), draft.popularity, text[:DESCRIPTION_CAP])


def _describe_node(iri: URIRef, draft: _Draft, ontology: Ontology, facts: Sequence[str]) -> Description:
    names = [(text, language) for _, text, language in sorted(draft.names)] or _called_by_iri(iri)
    label = names[0][0]
    description = min(draft.descriptions)[1] if draft.descriptions else ""
    kind = ", ".join(ontology.label(c) for c in draft.types[:2])
    if description:
        text = f"{label}: {description}"
    else:
        text = label + (f" ({kind})" if kind else "") + "".join(f"; {fact}" for fact in facts)
    return Description(
        iri,
        "node",
        label,
        tuple(dict.fromkeys(names)),
        description,
        tuple(draft.types),
        draft.popularity,
        text[:DESCRIPTION_CAP],
    )


def _called_by_iri(iri: URIRef) -> tuple[tuple[str, str], ...]:
    """The names of a node that has none: the end of its IRI, and that in words."""
    own = readable(local_name(iri)) or str(iri)
    return tuple(dict.fromkeys([(local_name(iri), ""), (own, "")]))


def _strongest_facts(
    store: GraphStore, nodes: Sequence[URIRef], ontology: Ontology, drafts: Mapping[URIRef, _Draft], timeout_s: float
) -> dict[URIRef, list[str]]:
    """For nodes that nothing names: their rarest properties with values, as words."""
    found: dict[URIRef, list[tuple[int, str]]] = defaultdict(list)
    for start in range(0, len(nodes), 500):
        chunk = " ".join(f"<{iri}>" for iri in nodes[start : start + 500])
        query = f"SELECT ?s ?p ?o WHERE {{ VALUES ?s {{ {chunk} }} ?s ?p ?o }}"
        for s, p, o in whole(store, query, timeout_s):
            if not isinstance(s, URIRef) or not isinstance(p, URIRef) or is_vocabulary(p) or o is None:
                continue
            if isinstance(o, URIRef):
                names = drafts[o].names if o in drafts else []
                value = min(names)[1] if names else readable(local_name(o))
            else:
                value = str(o)
            commonness = ontology.properties[p].count if p in ontology.properties else 0
            found[s].append((commonness, f"{ontology.label(p)} {value[:60]}"))
    return {s: [text for _, text in sorted(facts)[:_STRONGEST_FACTS]] for s, facts in found.items()}
