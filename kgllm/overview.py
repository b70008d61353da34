"""Overview: what is in a graph, counted by SPARQL, some of its nodes, the dates it covers, and what one can ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from typing import Literal as OneOfStrings

import pyoxigraph as ox

from kgllm.datatypes import is_date
from kgllm.ontology import NAME_PROPERTIES, RDF_TYPE, Ontology, Property, is_vocabulary
from kgllm.ontology_reading import whole
from kgllm.samples import Samples
from kgllm.sources import Source
from kgllm.suggestions import suggestions
from kgllm.terms import Literal, Namespaces, URIRef, clean, n3
from kgllm.workspace import Workspace

__all__ = ["ClassCount", "DateRange", "Overview", "PropertyCount", "overview"]

_VOID = "http://rdfs.org/ns/void#"
_DCTERMS = "http://purl.org/dc/terms/"
_XSD = "http://www.w3.org/2001/XMLSchema#"
_SHOWN = 12  # classes and properties on one screen
_EXAMPLES = 3  # nodes of a class
_DATED = 4  # properties whose dates are shown


@dataclass(frozen=True, slots=True)
class ClassCount:
    """A class and how many nodes are stated to be in it; of the commonest classes, the names of some of them."""

    iri: URIRef
    label: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PropertyCount:
    """A property, how many triples have it, and between which classes or to which datatypes, most frequent first."""

    iri: URIRef
    label: str
    count: int
    domains: tuple[URIRef, ...]
    ranges: tuple[URIRef, ...]

    @property
    def is_plumbing(self) -> bool:
        """Whether it types, names or describes: every graph has these, so one screen shows them last."""
        return is_vocabulary(str(self.iri)) or Property(self.iri, self.label).is_text


@dataclass(frozen=True, slots=True)
class DateRange:
    """A property with dates, as the graph writes the first and the last of them."""

    iri: URIRef
    label: str
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Overview:
    """What is in a graph. ``nodes`` are its distinct IRIs and blank nodes that are subject or object of a triple.

    ``languages`` counts the names by language tag, ``""`` being none; ``unnamed`` the subjects with an IRI but no name.
    ``questions`` are some that the graph has an answer to, made from paths that it has.
    The ontology is ``stated`` if it says more of its terms than that they are there; ``observed`` if the data alone
    shows it.
    """

    source: str
    url: str | None
    triples: int
    nodes: int
    subjects: int
    unnamed: int
    classes: tuple[ClassCount, ...]
    properties: tuple[PropertyCount, ...]
    languages: dict[str, int]
    prefixes: dict[str, str]
    ontology: OneOfStrings["stated", "observed"]
    dates: tuple[DateRange, ...] = ()
    questions: tuple[str, ...] = ()
    namespaces: Namespaces = field(default_factory=Namespaces)

    def to_json(self) -> dict[str, Any]:
        """The overview as JSON data; IRIs are written as in N-Triples."""
        return {
            "source": self.source,
            "triples": self.triples,
            "nodes": self.nodes,
            "subjects": self.subjects,
            "unnamed": self.unnamed,
            "classes": [
                {"iri": n3(c.iri), "label": c.label, "count": c.count, "examples": list(c.examples)}
                for c in self.classes
            ],
            "properties": [
                {"iri": n3(p.iri), "label": p.label, "count": p.count}
                | {"domains": [n3(c) for c in p.domains], "ranges": [n3(c) for c in p.ranges]}
                for p in self.properties
            ],
            "languages": self.languages,
            "prefixes": self.prefixes,
            "ontology": self.ontology,
            "dates": [{"iri": n3(d.iri), "label": d.label, "first": d.first, "last": d.last} for d in self.dates],
            "questions": list(self.questions),
        }

    def to_void(self) -> str:
        """The overview in Turtle, in the Vocabulary of Interlinked Datasets (https://www.w3.org/TR/void/)."""
        quads = [ox.Quad(s, ox.NamedNode(p), o) for s, p, o in self._void()]
        prefixes = {"void": _VOID, "dcterms": _DCTERMS, "xsd": _XSD}
        prefixes |= {prefix: namespace for prefix, namespace in self.prefixes.items() if _is_iri(namespace)}
        return (ox.serialize(quads, format=ox.RdfFormat.TURTLE, prefixes=prefixes) or b"").decode()

    def _void(self) -> Iterator[tuple[ox.BlankNode, str, ox.NamedNode | ox.BlankNode | ox.Literal]]:
        dataset = ox.BlankNode("dataset")
        yield dataset, str(RDF_TYPE), ox.NamedNode(_VOID + "Dataset")
        yield dataset, _DCTERMS + "title", ox.Literal(self.source)
        if self.url is not None and _is_iri(self.url):
            yield dataset, _VOID + "sparqlEndpoint", ox.NamedNode(self.url)
        counted = [c for c in self.classes if c.count]
        for name, count in {
            "triples": self.triples,
            "entities": self.nodes,
            "distinctSubjects": self.subjects,
            "classes": len(counted),
            "properties": len(self.properties),
        }.items():
            yield dataset, _VOID + name, ox.Literal(count)
        for namespace in sorted(
            {_namespace(iri) for iri in [c.iri for c in counted] + [p.iri for p in self.properties]}
        ):
            yield dataset, _VOID + "vocabulary", ox.NamedNode(namespace)
        parts: list[tuple[str, str, ClassCount | PropertyCount]] = [("class", "entities", part) for part in counted]
        parts += [("property", "triples", part) for part in self.properties]
        for number, (kind, measure, part) in enumerate(parts):
            node = ox.BlankNode(f"part{number}")
            yield dataset, f"{_VOID}{kind}Partition", node
            yield node, _VOID + kind, ox.NamedNode(part.iri)
            yield node, _VOID + measure, ox.Literal(part.count)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        from kgllm.pages import overview_html, unique

        return overview_html(self, key=unique(self.source, self.triples))

    def _lines(self) -> Iterator[str]:
        curie = self.namespaces.curie
        counted = [c for c in self.classes if c.count]
        yield (
            f"{clean(self.source)}: {self.triples:,} triples, {self.nodes:,} nodes; "
            f"the ontology is {self.ontology}{' from the data' if self.ontology == 'observed' else ''}"
        )
        yield f"\n{len(counted)} classes with instances" + _of(len(self.classes), len(counted))
        for c in counted[:_SHOWN]:
            examples = f"   {', '.join(c.examples)}, …" if len(c.examples) < c.count else f"   {', '.join(c.examples)}"
            yield f'{c.count:>10,}  {clean(curie(c.iri))} ! "{clean(c.label)}"{examples if c.examples else ""}'
        yield from _more(len(counted))
        yield f"\n{len(self.properties)} properties"
        for p in sorted(self.properties, key=lambda p: p.is_plumbing)[:_SHOWN]:
            ends = f"{self._either(p.domains)} → {self._either(p.ranges)}"
            yield f'{p.count:>10,}  {clean(curie(p.iri))} ! "{clean(p.label)}"   {ends}'
        yield from _more(len(self.properties))
        languages = ", ".join(f"{clean(tag) or 'no tag'} {count:,}" for tag, count in self.languages.items())
        yield f"\nnames      {languages or 'none'}; {self.unnamed:,} of {self.subjects:,} subjects have none"
        if self.dates:
            ranges = ", ".join(f"{clean(d.label)} {clean(d.first)} to {clean(d.last)}" for d in self.dates)
            yield f"dates      {ranges}"
        yield f"prefixes   {', '.join(map(clean, self.prefixes)) or 'none'}"
        if self.questions:
            yield "\none can ask"
            yield from (f"  {question}" for question in self.questions)

    def _either(self, classes: Sequence[URIRef]) -> str:
        """Classes or datatypes in short; by label where no prefix shortens them."""
        curies = [self.namespaces.curie(cls) for cls in classes[:3]]
        labels = {c.iri: c.label for c in self.classes}
        names = " | ".join(
            clean(labels.get(cls, curie) if curie.startswith("<") else curie)
            for cls, curie in zip(classes, curies, strict=False)
        )
        return (names or "any") + (" | …" if len(classes) > 3 else "")


def overview(workspace: Workspace) -> Overview:
    """Count what is in a graph. Raises what the store raises, ``IncompleteDataError`` where it cuts a result."""
    store, ontology, timeout_s = workspace.store, workspace.ontology, workspace.timeout_s
    counts = {
        p: int(str(n))
        for p, n in whole(store, "SELECT ?p (COUNT(*) AS ?n) WHERE { ?s ?p ?o } GROUP BY ?p", timeout_s)
        if isinstance(p, URIRef)
    }
    names = " ".join(map(n3, workspace.settings.describe_with or NAME_PROPERTIES))
    languages = {
        str(tag): int(str(n))
        for tag, n in whole(
            store,
            f"SELECT ?tag (COUNT(*) AS ?n) WHERE {{ VALUES ?p {{ {names} }} ?s ?p ?o . FILTER(isLiteral(?o)) "
            "BIND(LANG(?o) AS ?tag) } GROUP BY ?tag",
            timeout_s,
        )
    }
    samples = Samples(store, workspace.settings.languages, timeout_s=timeout_s)
    classes = sorted(ontology.classes.values(), key=lambda c: (-c.instances, c.iri))
    used = sorted(counts, key=lambda p: (-counts[p], p))
    source = workspace.source
    return Overview(
        source=workspace.name,
        url=source.url if isinstance(source, Source) else None,
        triples=sum(counts.values()),
        nodes=_count(workspace, "?x", "{ ?x ?p ?o } UNION { ?s ?p ?x . FILTER(!isLiteral(?x)) }"),
        subjects=_count(workspace, "?s", "?s ?p ?o . FILTER(isIRI(?s))"),
        unnamed=_count(
            workspace,
            "?s",
            f"?s ?p ?o . FILTER(isIRI(?s)) FILTER NOT EXISTS {{ VALUES ?name {{ {names} }} ?s ?name ?text }}",
        ),
        classes=tuple(
            ClassCount(
                c.iri,
                c.label,
                c.instances,
                samples.instances(c.iri, count=c.instances, most=_EXAMPLES) if place < _SHOWN and c.instances else (),
            )
            for place, c in enumerate(classes)
        ),
        properties=tuple(_property(iri, counts[iri], ontology) for iri in used),
        languages=dict(sorted(languages.items(), key=lambda pair: (-pair[1], pair[0]))),
        prefixes=_prefixes_in_use(workspace, [*counts, *(c.iri for c in classes)]),
        ontology="stated" if len(ontology.axioms) > 0 else "observed",
        dates=tuple(_dates(workspace, ontology)),
        questions=tuple(made.question for made in suggestions(ontology, samples)),
        namespaces=workspace.namespaces,
    )


def _dates(workspace: Workspace, ontology: Ontology) -> Iterator[DateRange]:
    """The first and last date of the properties that have the most."""
    found = [
        (sum(s.count for s in kinds), prop)
        for prop in ontology.relations()
        if (kinds := [s for s in prop.signatures if s.literal and s.object is not None and is_date(s.object)])
    ]
    for _, prop in sorted(found, key=lambda item: (-item[0], item[1].iri))[:_DATED]:
        types = ", ".join(sorted({n3(s.object) for s in prop.signatures if s.object is not None and is_date(s.object)}))
        dated = f"?s {n3(prop.iri)} ?o . FILTER(isLiteral(?o) && DATATYPE(?o) IN ({types}))"
        query = f"SELECT (MIN(?o) AS ?first) (MAX(?o) AS ?last) WHERE {{ {dated} }}"
        ((first, last),) = whole(workspace.store, query, workspace.timeout_s)
        if first is not None and last is not None:
            yield DateRange(prop.iri, prop.label, str(first), str(last))


def _count(workspace: Workspace, variable: str, pattern: str) -> int:
    query = f"SELECT (COUNT(DISTINCT {variable}) AS ?n) WHERE {{ {pattern} }}"
    rows = whole(workspace.store, query, workspace.timeout_s)
    return int(str(rows[0][0]))


def _property(iri: URIRef, count: int, ontology: Ontology) -> PropertyCount:
    prop = ontology.properties.get(iri) or Property(iri, ontology.label(iri))
    domains: Counter[URIRef] = Counter()
    ranges: Counter[URIRef] = Counter()
    for signature in prop.signatures:
        if signature.subject is not None:
            domains[signature.subject] += signature.count
        if signature.object is not None:
            ranges[signature.object] += signature.count
    return PropertyCount(
        iri, prop.label, count, *(tuple(c for c, _ in ends.most_common()) for ends in (domains, ranges))
    )


def _prefixes_in_use(workspace: Workspace, terms: Sequence[URIRef]) -> dict[str, str]:
    """The prefixes that shorten a class or a property, or, of those that the source declares, a subject."""
    declared = workspace.store.prefixes()
    used = {}
    for prefix, namespace in workspace.namespaces.prefixes.items():
        if any(str(term).startswith(namespace) for term in terms) or (
            prefix in declared
            and workspace.store.ask(f"ASK {{ ?s ?p ?o . FILTER(STRSTARTS(STR(?s), {n3(Literal(namespace))})) }}")
        ):
            used[prefix] = namespace
    return used


def _namespace(iri: str) -> str:
    return iri[: max(iri.rfind("#"), iri.rfind("/"), iri.rfind(":")) + 1] or iri


def _is_iri(text: str) -> bool:
    try:
        ox.NamedNode(text)
    except ValueError:
        return False
    return True


def _of(everything: int, counted: int) -> str:
    return f" (of {everything})" if everything > counted else ""


def _more(count: int) -> Iterator[str]:
    if count > _SHOWN:
        yield f"{'':>10}  … and {count - _SHOWN} more"
