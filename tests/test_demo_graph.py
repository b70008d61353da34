"""The demo graph, its ontology and shapes and the memory vocabulary keep the promises they make to a newcomer."""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from itertools import combinations
from pathlib import Path

import pyoxigraph as ox
import pyshacl
import pytest
from rdflib import OWL, RDF, RDFS, XSD, Graph, Namespace
from rdflib.collection import Collection

from kgllm.terms import Literal, Node, URIRef, from_ox

ROOT = Path(__file__).resolve().parent.parent
SF = Namespace("https://example.org/spaceflight/ontology#")
SPACE = Namespace("https://example.org/spaceflight/")
WMG = Namespace("https://w3id.org/kgllm/wmg#")
Triples = list[tuple[Node, Node, Node]]


def parsed(text: str, form: ox.RdfFormat = ox.RdfFormat.TURTLE) -> Graph:
    """The default graph, read by Oxigraph's strict parser."""
    graph = Graph()
    for quad in ox.parse(text, format=form):
        if isinstance(quad.graph_name, ox.DefaultGraph):
            assert not isinstance(quad.subject, ox.Triple)
            assert not isinstance(quad.object, ox.Triple)
            graph.add((from_ox(quad.subject), from_ox(quad.predicate), from_ox(quad.object)))
    return graph


@cache
def read(path: str) -> Graph:
    return parsed((ROOT / path).read_text(encoding="utf-8"))


def data() -> Graph:
    return read("examples/spaceflight.ttl")


def ontology() -> Graph:
    return read("ontologies/spaceflight-ontology.ttl")


def findings(graph: Graph, *, vocabulary: str, shapes: str) -> set[str]:
    """The messages of everything the shapes say against a graph, warnings too."""
    _, report, _ = pyshacl.validate(graph, shacl_graph=read(shapes), ont_graph=read(vocabulary), inference="none")
    message = URIRef("http://www.w3.org/ns/shacl#resultMessage")
    assert isinstance(report, Graph)
    return {str(text) for text in report.objects(None, message)}


def with_changes(graph: Graph, *, remove: Triples | None = None, add: Triples | None = None) -> Graph:
    changed = Graph()
    changed += graph
    for triple in remove or []:
        assert triple in changed
        changed.remove(triple)
    for triple in add or []:
        changed.add(triple)
    return changed


def ancestors(cls: Node) -> set[Node]:
    return {ancestor for ancestor in ontology().transitive_objects(cls, RDFS.subClassOf) if ancestor is not None}


def types(node: Node) -> set[Node]:
    return {ancestor for cls in data().objects(node, RDF.type) for ancestor in ancestors(cls)}


def disjoint_pairs() -> set[frozenset[Node]]:
    pairs = {frozenset((a, b)) for a, b in ontology().subject_objects(OWL.disjointWith)}
    for group in ontology().objects(None, OWL.members):
        pairs |= {frozenset(pair) for pair in combinations(Collection(ontology(), group), 2)}
    return pairs


def declared(kind: URIRef) -> set[Node]:
    return {term for term in ontology().subjects(RDF.type, kind) if isinstance(term, URIRef)}


def properties() -> set[Node]:
    return declared(OWL.ObjectProperty) | declared(OWL.DatatypeProperty)


def test_the_demo_is_worth_asking() -> None:
    assert 2_500 <= len(data()) <= 6_500


SPACEFLIGHT = {"vocabulary": "ontologies/spaceflight-ontology.ttl", "shapes": "ontologies/spaceflight-shapes.ttl"}


def test_the_demo_conforms_without_a_warning() -> None:
    assert findings(data(), **SPACEFLIGHT) == set()


def test_broken_twins_do_not_conform() -> None:
    launch = (SPACE.Apollo_11, SF.launchDate, Literal("1969-07-16", datatype=XSD.date))
    late = (SPACE.Apollo_11, SF.launchDate, Literal("1970-07-16", datatype=XSD.date))
    early = (SPACE.Apollo_12, SF.launchDate, Literal("1869-11-14", datatype=XSD.date))
    truth = (SPACE.Apollo_12, SF.launchDate, Literal("1969-11-14", datatype=XSD.date))
    place = (SPACE.Neil_Armstrong, RDF.type, SF.City)
    broken = with_changes(data(), remove=[launch, truth], add=[late, early, place])
    assert findings(broken, **SPACEFLIGHT) >= {
        "A mission has one launch date, and not after its landing date.",
        "Nobody flew in space before 12 April 1961.",
        "A person is not a place, and is described as a person.",
    }


@pytest.mark.parametrize(
    "path", ["ontologies/spaceflight-ontology.ttl", "ontologies/wmg.ttl"], ids=["spaceflight", "wmg"]
)
def test_every_term_has_an_english_label_a_comment_and_each_property_one_domain_and_range(path: str) -> None:
    graph = read(path)
    for kind in (OWL.Class, OWL.ObjectProperty, OWL.DatatypeProperty):
        for term in graph.subjects(RDF.type, kind):
            if not isinstance(term, URIRef):
                continue
            for about in (RDFS.label, RDFS.comment):
                assert [text for text in graph.objects(term, about) if getattr(text, "language", "") == "en"], term
            if kind != OWL.Class:
                assert len(list(graph.objects(term, RDFS.domain))) == 1, term
                assert len(list(graph.objects(term, RDFS.range))) == 1, term


def test_every_predicate_and_class_of_the_data_is_declared() -> None:
    usual = {"rdfs:label", "dcterms:description", "skos:altLabel", "rdf:type"}
    for predicate in set(data().predicates()):
        assert predicate in properties() or data().namespace_manager.qname(str(predicate)) in usual, predicate
    assert set(data().objects(None, RDF.type)) <= declared(OWL.Class)


def test_no_property_is_declared_in_vain() -> None:
    inverses = set(ontology().objects(None, OWL.inverseOf))
    assert properties() - inverses <= set(data().predicates())


def test_all_data_respects_domains_and_ranges() -> None:
    for s, p, o in data():
        domain, range_ = ontology().value(p, RDFS.domain), ontology().value(p, RDFS.range)
        if domain is None or range_ is None:
            continue
        assert domain in types(s), (s, p)
        if isinstance(o, Literal):
            assert (o.datatype or XSD.string) == range_, (s, p, o)
            assert o.value is not None, (s, p, o)
        else:
            assert range_ in types(o), (s, p, o)


def test_every_node_that_is_spoken_of_is_described() -> None:
    objects = {o for _, p, o in data() if p != RDF.type and isinstance(o, URIRef)}
    assert objects <= set(data().subjects())


def test_no_node_is_in_two_disjoint_classes() -> None:
    pairs = disjoint_pairs()
    assert len(pairs) > 60
    for node in set(data().subjects()):
        kinds = types(node)
        assert not [pair for pair in pairs if pair <= kinds], node


def test_functional_properties_have_one_value() -> None:
    for p in declared(OWL.FunctionalProperty):
        subjects = list(data().subjects(p, None))
        assert len(subjects) == len(set(subjects)), p
    for p in declared(OWL.InverseFunctionalProperty):
        objects = list(data().objects(None, p))
        assert len(objects) == len(set(objects)), p


def test_subproperties_keep_within_the_domain_and_range_of_their_superproperty() -> None:
    for below, above in ontology().subject_objects(RDFS.subPropertyOf):
        for side in (RDFS.domain, RDFS.range):
            narrow, wide = ontology().value(below, side), ontology().value(above, side)
            assert narrow is not None
            assert wide in ancestors(narrow), (below, above)


def test_twelve_people_walked_on_the_moon_and_the_landings_agree_with_them() -> None:
    walked = set(data().subjects(SF.walkedOn, SPACE.Moon))
    landed = set(data().subjects(RDF.type, SF.LunarLandingMission))
    crews = {p for m in landed for role in (SF.commander, SF.lunarModulePilot) for p in data().objects(m, role)}
    assert walked == crews
    assert (len(walked), len(landed)) == (12, 6)


def test_the_duration_of_a_mission_fits_its_dates() -> None:
    timed = list(data().subject_objects(SF.durationHours))
    assert len(timed) > 30
    for mission, hours in timed:
        launch, landing = (date.fromisoformat(str(data().value(mission, p))) for p in (SF.launchDate, SF.landingDate))
        days = (landing - launch).days
        assert (days - 1) * 24 < float(str(hours)) < (days + 1) * 24, mission


MEMORY = {"vocabulary": "ontologies/wmg.ttl", "shapes": "ontologies/wmg-shapes.ttl"}


def example() -> str:
    found = re.search(r"```trig\n(.*?)```", (ROOT / "ontologies/README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_memory_shown_in_the_readme_conforms() -> None:
    memory = parsed(example(), ox.RdfFormat.TRIG)
    assert findings(memory, **MEMORY) == set()
    assert len(list(memory.subjects(RDF.type, WMG.EntailedFact))) == 2


@pytest.mark.parametrize(
    ("written", "broken", "message"),
    [
        ("wmg:score 0.83", "wmg:score 1.83", "A link has one score, from 0 to 1."),
        ('wmg:rule "prp-spo1" ; ', "", "An entailed fact names its rule."),
        ("; wmg:premise _:f0, _:f1 .", ".", "An entailed fact has premises, which are facts."),
        ("wmg:question _:question ;", "", "A memory is made for exactly one question."),
        ("rdf:object sf:flewOn .", ".", "A fact has exactly one object."),
        ("; wmg:evidence _:f4 .", ".", "Every claim but an unsupported one has evidence."),
        ('"entailed" ;', '"certain" ;', "A claim has one verdict."),
    ],
)
def test_a_memory_with_a_fault_does_not_conform(written: str, broken: str, message: str) -> None:
    text = example()
    assert text.count(written) == 1
    assert message in findings(parsed(text.replace(written, broken), ox.RdfFormat.TRIG), **MEMORY)


def test_the_memory_shown_in_the_readme_holds_its_own_facts_and_nothing_that_the_demo_does_not_say() -> None:
    quads = list(ox.parse(example(), format=ox.RdfFormat.TRIG))
    held = {
        (from_ox(q.subject), from_ox(q.predicate), from_ox(q.object))
        for q in quads
        if isinstance(q.graph_name, ox.NamedNode)
    }
    memory = parsed(example(), ox.RdfFormat.TRIG)

    def triples(kind: URIRef) -> set[tuple[Node | None, ...]]:
        parts = (RDF.subject, RDF.predicate, RDF.object)
        return {tuple(memory.value(fact, part) for part in parts) for fact in memory.subjects(RDF.type, kind)}

    assert held == triples(WMG.AssertedFact) | triples(WMG.EntailedFact)
    assert triples(WMG.AssertedFact) <= set(data()) | set(ontology())
