"""Look up: one node by IRI, CURIE or label, and what the graph says of it in both directions; by SPARQL alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kgllm.ontology import (
    ALIAS_PROPERTIES,
    DESCRIPTION_PROPERTIES,
    NAME_PROPERTIES,
    RDF_TYPE,
    Class,
    Ontology,
    Property,
)
from kgllm.ontology_reading import whole
from kgllm.terms import Literal, Namespaces, Node, Term, Triple, URIRef, clean, local_name, n3, readable
from kgllm.workspace import Workspace

__all__ = ["Facts", "NodeView", "Ring", "by_popularity", "classes_of", "find", "labels_of", "named", "show", "shown"]

_CHUNK = 300
_CANDIDATES = 20
_SORTED = 1_000  # facts of a hub: of more than these the first are those that the store has first
_NEIGHBOURS = 200  # nodes of a ring from which the next one is drawn


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of a node with one property: ``count`` of them, of which ``nodes`` are the other ends of the first."""

    property: URIRef
    nodes: tuple[Term, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Ring:
    """The facts first met so many ``hops`` from a node; ``complete`` is false where there are more."""

    hops: int
    triples: tuple[Triple, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node and its facts. ``others`` are further nodes of the name that was asked for, the most popular first.

    ``classes`` has of each node shown the one class by which it is coloured.
    """

    iri: URIRef
    label: str
    description: str
    types: tuple[URIRef, ...]
    outgoing: tuple[Facts, ...]
    incoming: tuple[Facts, ...]
    rings: tuple[Ring, ...] = ()
    others: tuple[URIRef, ...] = ()
    labels: Mapping[Node, str] = field(default_factory=dict)
    namespaces: Namespaces = field(default_factory=Namespaces)
    classes: Mapping[Node, URIRef] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The view as JSON data; terms are written as in N-Triples."""
        return {
            "iri": n3(self.iri),
            "label": self.label,
            "description": self.description,
            "types": [n3(cls) for cls in self.types],
            "outgoing": [_facts_json(facts) for facts in self.outgoing],
            "incoming": [_facts_json(facts) for facts in self.incoming],
            "rings": [
                {"hops": ring.hops, "triples": [[n3(t) for t in triple] for triple in ring.triples]}
                | {"complete": ring.complete}
                for ring in self.rings
            ],
            "others": [n3(other) for other in self.others],
            "labels": {n3(node): label for node, label in self.labels.items()},
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        from kgllm.pages import node_html, unique

        return node_html(self, key=unique(self.iri, self.label))

    def _lines(self) -> Iterator[str]:
        def write(term: Node) -> str:
            return shown(term, self.namespaces, self.labels)

        kinds = ", ".join(f"a {self.namespaces.curie(cls)}" for cls in self.types)
        yield write(self.iri) + (f"   {kinds}" if kinds else "")
        if self.description:
            yield f"  {clean(self.description)}"
        properties = [self.namespaces.curie(facts.property) for facts in (*self.outgoing, *self.incoming)]
        width = min(40, max(map(len, properties), default=0))
        for arrow, groups in (("->", self.outgoing), ("<-", self.incoming)):
            for facts in groups:
                for node in facts.nodes:
                    if str(node) == self.description or (arrow == "->" and facts.property == RDF_TYPE):
                        continue  # said above
                    yield f"{arrow} {self.namespaces.curie(facts.property):<{width}}  {write(node)}"
                if (more := facts.count - len(facts.nodes)) > 0:
                    yield f"   {'':<{width}}  … and {more:,} more"
        for ring in filter(lambda ring: ring.triples, self.rings):
            yield f"{ring.hops} hops away"
            for s, p, o in ring.triples:
                yield f"   {write(s)}  {self.namespaces.curie(p)}  {write(o)}"
            if not ring.complete:
                yield "   … and more"
        if self.others:
            yield "of the same name: " + ", ".join(self.namespaces.curie(other) for other in self.others)


def shown(term: Node, namespaces: Namespaces, labels: Mapping[Node, str]) -> str:
    """A term for a terminal: ``curie ! "label"``, or the literal as Turtle writes it; safe to show."""
    if isinstance(term, Literal):
        if term.language:
            return f'"{clean(str(term))}"@{term.language}'
        if term.datatype is None:
            return f'"{clean(str(term))}"'
        return f'"{clean(str(term))}"^^{namespaces.curie(term.datatype)}'
    if not isinstance(term, URIRef):
        return f"_:{clean(str(term))}"
    curie = clean(namespaces.curie(term))
    return f'{curie} ! "{clean(labels[term])}"' if term in labels else curie


def show(workspace: Workspace, node: str, *, hops: int = 1, limit: int = 50) -> NodeView | None:
    """The node that an IRI, a CURIE or a label names, with its facts; ``None`` if nothing has that name.

    Of several nodes with the label, the one in the most triples. At most about ``limit`` facts are shown in each
    direction and in each ring beyond the first, none of a property's more than its fair part. Raises what the store
    raises, ``IncompleteDataError`` where it cuts what is counted or looked for by name.
    """
    found = named(workspace, node)
    if not found:
        return None
    iri, *others = found
    outgoing = _with_ontology(iri, _facts(workspace, iri, limit, incoming=False), workspace.ontology)
    incoming = _facts(workspace, iri, limit, incoming=True)
    rings = _rings(workspace, iri, (*outgoing, *incoming), hops, limit)
    mentioned: list[Node] = [iri, *others]
    mentioned += [end for facts in (*outgoing, *incoming) for end in (facts.property, *facts.nodes)]
    mentioned += [end for ring in rings for triple in ring.triples for end in triple]
    classes = classes_of(workspace, mentioned)
    labels = labels_of(workspace, [*mentioned, *classes.values()])
    return NodeView(
        iri,
        labels.get(iri) or readable(local_name(iri)),
        _description(workspace, iri),
        tuple(n for facts in outgoing if facts.property == RDF_TYPE for n in facts.nodes if isinstance(n, URIRef)),
        outgoing,
        incoming,
        rings,
        tuple(others),
        labels,
        workspace.namespaces,
        classes,
    )


def find(workspace: Workspace, text: str) -> list[URIRef]:
    """The nodes, classes and properties that a text names, the most popular first; else those whose name has its words.

    A text names what has it for an IRI, a CURIE, a label in whatever language and case, or a local name.
    """
    return named(workspace, text) or _near(workspace, text)


def labels_of(workspace: Workspace, terms: Iterable[Node]) -> dict[Node, str]:
    """The labels that the graph or its ontology states of some terms, in the preferred languages."""
    iris = list(dict.fromkeys(term for term in terms if isinstance(term, URIRef)))
    best = _best_texts(workspace, iris, _name_properties(workspace))
    ontology = workspace.ontology
    for iri in iris:
        term = ontology.classes.get(iri) or ontology.properties.get(iri)
        if iri not in best and term is not None:
            best[iri] = term.label
    return {iri: best[iri] for iri in iris if iri in best}


def classes_of(workspace: Workspace, terms: Iterable[Node]) -> dict[Node, URIRef]:
    """The most special class of each of some terms that the graph states one of."""
    iris = list(dict.fromkeys(term for term in terms if isinstance(term, URIRef)))
    stated: dict[Node, list[URIRef]] = defaultdict(list)
    for start in range(0, len(iris), _CHUNK):
        query = f"SELECT ?s ?c WHERE {{ VALUES ?s {{ {_values(iris[start : start + _CHUNK])} }} ?s {n3(RDF_TYPE)} ?c }}"
        for s, c in workspace.store.select(query).rows:  # a class that is cut costs its reader a colour, no more
            if s is not None and isinstance(c, URIRef):
                stated[s].append(c)
    return {node: workspace.ontology.most_special(classes) for node, classes in stated.items()}


def _name_properties(workspace: Workspace) -> Sequence[URIRef]:
    return workspace.settings.describe_with or NAME_PROPERTIES


def _values(terms: Iterable[Node]) -> str:
    return " ".join(map(n3, terms))


def _best_texts(workspace: Workspace, iris: Sequence[URIRef], properties: Sequence[URIRef]) -> dict[Node, str]:
    """Of each IRI's texts the one in the best language, then of the best property."""
    places = {language: place for place, language in enumerate(workspace.settings.languages)}
    ranks = {prop: rank for rank, prop in enumerate(properties)}
    best: dict[Node, tuple[int, int, str]] = {}
    for start in range(0, len(iris), _CHUNK):
        query = (
            f"SELECT ?s ?p ?o WHERE {{ VALUES ?s {{ {_values(iris[start : start + _CHUNK])} }} "
            f"VALUES ?p {{ {_values(properties)} }} ?s ?p ?o . FILTER(isLiteral(?o)) }}"
        )
        for s, p, o in workspace.store.select(query).rows:  # a label that is cut costs its reader the IRI, no more
            if isinstance(s, URIRef) and isinstance(p, URIRef) and isinstance(o, Literal) and o.strip():
                language = (o.language or "").lower().split("-")[0]
                key = (places.get(language, len(places)), ranks[p], str(o).strip())
                best[s] = min(best.get(s, key), key)
    return {iri: text for iri, (_, _, text) in best.items()}


def _description(workspace: Workspace, iri: URIRef) -> str:
    found = _best_texts(workspace, [iri], DESCRIPTION_PROPERTIES)
    term = workspace.ontology.classes.get(iri) or workspace.ontology.properties.get(iri)
    return found.get(iri) or (term.description if term else "")


def named(workspace: Workspace, text: str) -> list[URIRef]:
    """What has exactly this name: by IRI, else by label, else by local name."""
    expanded = workspace.namespaces.expand(text)
    if expanded is not None and _occurs(workspace, expanded):
        return [expanded]
    wanted = " ".join(text.split())
    if not wanted:
        return []
    variants = dict.fromkeys([wanted, wanted[:1].upper() + wanted[1:], wanted.lower(), wanted.title()])
    languages = dict.fromkeys([*workspace.settings.languages, ""])
    literals = [Literal(v, lang=language or None) for v in variants for language in languages]
    # Whole literals are looked up at once; only a name in other letters or another language takes a scan.
    exact = _nodes_with_name(workspace, f"VALUES ?o {{ {_values(literals)} }}", "")
    if not exact:
        exact = _nodes_with_name(workspace, "", f"FILTER(LCASE(STR(?o)) = {n3(Literal(wanted.lower()))})")
    terms = _ontology_terms(workspace.ontology, lambda name: name.lower() == wanted.lower())
    found = list(dict.fromkeys([*exact, *terms])) or _with_local_name(workspace, wanted)
    return by_popularity(workspace, found)


def _near(workspace: Workspace, text: str) -> list[URIRef]:
    """What has a name with all the words of a text."""
    words = text.lower().split()
    if not words:
        return []
    conditions = " && ".join(f"CONTAINS(LCASE(STR(?o)), {n3(Literal(word))})" for word in words)
    nodes = _nodes_with_name(workspace, "", f"FILTER({conditions})")
    terms = _ontology_terms(workspace.ontology, lambda name: all(word in name.lower() for word in words))
    return by_popularity(workspace, list(dict.fromkeys([*nodes, *terms])))[:_CANDIDATES]


def _nodes_with_name(workspace: Workspace, before: str, after: str) -> list[URIRef]:
    properties = _values([*_name_properties(workspace), *ALIAS_PROPERTIES])
    query = (
        f"SELECT DISTINCT ?s WHERE {{ {before} VALUES ?p {{ {properties} }} ?s ?p ?o . FILTER(isIRI(?s)) {after} }} "
        f"LIMIT {10 * _CANDIDATES}"
    )
    return [s for (s,) in whole(workspace.store, query, workspace.timeout_s) if isinstance(s, URIRef)]


def _ontology_terms(ontology: Ontology, fits: Callable[[str], bool]) -> list[URIRef]:
    terms: list[Class | Property] = [*ontology.classes.values(), *ontology.properties.values()]
    return [term.iri for term in terms if any(map(fits, (term.label, *term.names)))]


def _with_local_name(workspace: Workspace, name: str) -> list[URIRef]:
    """The nodes whose IRI ends in the name, its words apart as IRIs keep them apart."""
    ends = [
        n3(Literal(mark + local))
        for local in {name.replace(" ", gap) for gap in ("_", "-", "", "%20")}
        for mark in "/#"
    ]
    condition = " || ".join(f"STRENDS(LCASE(STR(?s)), LCASE({end}))" for end in ends)
    query = f"SELECT DISTINCT ?s WHERE {{ ?s ?p ?o . FILTER(isIRI(?s)) FILTER({condition}) }} LIMIT {_CANDIDATES}"
    return [s for (s,) in whole(workspace.store, query, workspace.timeout_s) if isinstance(s, URIRef)]


def _occurs(workspace: Workspace, iri: URIRef) -> bool:
    if iri in workspace.ontology.classes or iri in workspace.ontology.properties:
        return True
    try:
        written = n3(iri)
    except ValueError:
        return False
    return workspace.store.ask(
        f"ASK {{ {{ {written} ?p ?o }} UNION {{ ?s ?p {written} }} UNION {{ ?s {written} ?o }} }}"
    )


def by_popularity(workspace: Workspace, iris: Sequence[URIRef]) -> list[URIRef]:
    """Some nodes, those in the most triples first."""
    if len(iris) < 2:
        return list(iris)
    query = (
        f"SELECT ?x (COUNT(*) AS ?n) WHERE {{ VALUES ?x {{ {_values(iris)} }} "
        "{ ?x ?p ?o } UNION { ?s ?p ?x } } GROUP BY ?x"
    )
    rows = whole(workspace.store, query, workspace.timeout_s)
    counts = {x: int(str(n)) for x, n in rows if isinstance(x, URIRef)}
    return sorted(iris, key=lambda iri: (-counts.get(iri, 0), iri))


def _facts(workspace: Workspace, iri: URIRef, limit: int, *, incoming: bool) -> tuple[Facts, ...]:
    """The facts of a node in one direction, by property."""
    pattern = "?end {} {}" if incoming else "{1} {0} ?end"
    node = n3(iri)
    query = f"SELECT ?p (COUNT(*) AS ?n) WHERE {{ {pattern.format('?p', node)} }} GROUP BY ?p"
    rows = whole(workspace.store, query, workspace.timeout_s)
    counts = {p: int(str(n)) for p, n in rows if isinstance(p, URIRef)}
    if not counts:
        return ()
    share = _share(sorted(counts.values()), limit)
    parts = [
        f"{{ SELECT ({n3(p)} AS ?p) ?end WHERE {{ {pattern.format(n3(p), node)} }} "
        f"{'ORDER BY ?end' if count <= _SORTED else ''} LIMIT {share} }}"
        for p, count in counts.items()
    ]
    ends: dict[URIRef, list[Term]] = defaultdict(list)
    for start in range(0, len(parts), _CHUNK):
        query = f"SELECT ?p ?end WHERE {{ {' UNION '.join(parts[start : start + _CHUNK])} }}"
        for p, end in workspace.store.select(query).rows:  # where some are cut, the count tells of them
            if isinstance(p, URIRef) and end is not None:
                ends[p].append(end)
    return tuple(Facts(p, tuple(ends[p]), counts[p]) for p in sorted(counts, key=lambda p: (p != RDF_TYPE, p)))


def _share(counts: Sequence[int], limit: int) -> int:
    """How many facts a property may show, so that all together show about ``limit``; ``counts`` ascending."""
    left, share = limit, limit
    for place, count in enumerate(counts):
        share = left // (len(counts) - place)
        if count > share:
            break
        left -= count
        share = left
    return max(1, share)


def _with_ontology(iri: URIRef, facts: tuple[Facts, ...], ontology: Ontology) -> tuple[Facts, ...]:
    """The facts, and those that the ontology alone states of its own terms."""
    known = {group.property for group in facts}
    more: dict[URIRef, list[Term]] = defaultdict(list)
    for _, p, o in ontology.triples(iri):
        if p not in known:
            more[p].append(o)
    return (*facts, *(Facts(p, tuple(ends), len(ends)) for p, ends in more.items()))


def _rings(workspace: Workspace, iri: URIRef, first: Sequence[Facts], hops: int, limit: int) -> tuple[Ring, ...]:
    """The facts of the neighbours, of their neighbours, and so on; classes are not walked through."""
    rings: list[Ring] = []
    met: set[Node] = {iri}
    seen: set[Triple] = set()
    frontier = {n for facts in first if facts.property != RDF_TYPE for n in facts.nodes if isinstance(n, URIRef)} - met
    for distance in range(2, hops + 1):
        if not frontier:
            break
        met |= frontier
        nodes = _values(sorted(frontier)[:_NEIGHBOURS])
        query = (
            f"SELECT DISTINCT ?s ?p ?o WHERE {{ {{ VALUES ?s {{ {nodes} }} ?s ?p ?o }} UNION "
            f"{{ VALUES ?o {{ {nodes} }} ?s ?p ?o }} FILTER(isIRI(?o) && ?p != {n3(RDF_TYPE)} "
            f"&& ?s != {n3(iri)} && ?o != {n3(iri)}) }} LIMIT {limit + 1 + len(seen)}"
        )
        rows = workspace.store.select(query)
        found = {
            (s, p, o) for s, p, o in rows.rows if isinstance(s, URIRef) and isinstance(p, URIRef) and o is not None
        }
        triples = sorted(found - seen)
        is_whole = rows.complete and len(triples) <= limit and len(frontier) <= _NEIGHBOURS
        rings.append(Ring(distance, tuple(triples[:limit]), is_whole))
        seen.update(triples[:limit])
        frontier = {end for s, _, o in triples[:limit] for end in (s, o) if isinstance(end, URIRef)} - met
    return tuple(rings)


def _facts_json(facts: Facts) -> dict[str, Any]:
    return {"property": n3(facts.property), "nodes": [n3(node) for node in facts.nodes], "count": facts.count}
