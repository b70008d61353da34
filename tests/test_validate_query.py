"""Validate a query: what can never be answered is found before it runs, and its right twin is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kgllm.engines.oxigraph import OxigraphStore
from kgllm.ontology import RDF_TYPE, Ontology
from kgllm.ontology_reading import read_ontology
from kgllm.paths import RelationPath, SchemaGraph
from kgllm.query import Comparison, Group, Query, TriplePattern, Values, Variable
from kgllm.query import Path as Repeated
from kgllm.terms import Literal, URIRef
from kgllm.validate_query import validate_query
from kgllm.violation import Violation

EX = "http://example.org/"
XSD = "http://www.w3.org/2001/XMLSchema#"
GRAPH = f"""@prefix : <{EX}> . @prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix xsd: <{XSD}> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Ship a owl:Class ; owl:disjointWith :Person . :Person a owl:Class . :Sailor rdfs:subClassOf :Person .
:Harbour a owl:Class . :Dock owl:equivalentClass :Harbour .
:Vessel owl:equivalentClass [ owl:unionOf ( :Ship :Raft ) ] .
:Raft owl:disjointWith :Person . :Planet a owl:Class . :Moon a owl:Class .
:captain rdfs:domain :Ship ; rdfs:range :Person . :firstCaptain rdfs:subPropertyOf :captain .
:commands owl:inverseOf :captain . :berth rdfs:range :Harbour . :crew rdfs:domain :Vessel .
:built rdfs:domain [ owl:intersectionOf ( :Ship :Made ) ] .
:orbits rdfs:domain :Moon ; rdfs:range :Planet . :watches rdfs:domain :Person . :flag rdfs:domain :Ship .
:mary a :Ship ; :captain :ann ; :berth :dover ; :tons 70 ; :launched "1912-04-02"^^xsd:date ;
  :name "Mary" ; :follows :rose .
:rose a :Ship ; :firstCaptain :bob ; :crew :ann ; :built :yard .
:ann a :Person ; :knows :bob ; :age 40 . :bob a :Sailor ; :knows :ann . :dover a :Harbour . :yard a :Yard .
:ghost a :Ship, :Person ; :flag "black" .
"""
X, Y, Z, W = map(Variable, "xyzw")


def ex(name: str) -> URIRef:
    return URIRef(EX + name)


def t(s: Variable | URIRef, p: str, o: Variable | URIRef | Literal) -> TriplePattern:
    return TriplePattern(s, ex(p), o)


def a(s: Variable, cls: str) -> TriplePattern:
    return TriplePattern(s, RDF_TYPE, ex(cls))


def date(text: str) -> Literal:
    return Literal(text, datatype=URIRef(XSD + "date"))


@pytest.fixture(scope="module")
def ontology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ontology]:
    file = tmp_path_factory.mktemp("ships") / "graph.ttl"
    file.write_text(GRAPH, encoding="utf-8")
    store = OxigraphStore.load([file], source="ships")
    yield read_ontology([store])
    store.close()


@dataclass(frozen=True)
class Case:
    """A faulty pattern, its right twin, and what the fault is called."""

    name: str
    wrong: Group
    right: Group
    constraint: str


def plain(*patterns: TriplePattern) -> Group:
    return Group(patterns)


BASE = plain(t(X, "captain", Y))
CASES = [
    Case("domain", plain(a(X, "Person"), t(X, "captain", Y)), plain(a(X, "Ship"), t(X, "captain", Y)), "disjoint"),
    Case("range", plain(t(X, "captain", Y), a(Y, "Ship")), plain(t(X, "captain", Y), a(Y, "Sailor")), "disjoint"),
    Case(
        "two domains",
        plain(t(X, "captain", Y), t(X, "watches", Z)),
        plain(t(X, "captain", Y), t(X, "tons", Z)),
        "disjoint",
    ),
    Case(
        "two ranges",
        plain(t(X, "captain", Y), t(Z, "follows", Y)),
        plain(t(X, "captain", Y), t(Z, "knows", Y)),
        "neverTogether",
    ),
    Case(
        "along a chain",
        plain(t(X, "captain", Y), t(Y, "captain", Z)),
        plain(t(X, "captain", Y), t(Y, "knows", Z)),
        "disjoint",
    ),
    Case("undefined property", plain(t(X, "sails", Y)), BASE, "undefined"),
    Case(
        "undefined class", plain(a(X, "Boat"), t(X, "captain", Y)), plain(a(X, "Ship"), t(X, "captain", Y)), "undefined"
    ),
    Case("class as property", plain(t(X, "Ship", Y)), BASE, "classAsProperty"),
    Case("property as class", plain(a(X, "captain")), plain(a(X, "Ship")), "propertyAsClass"),
    Case("text for a node", plain(t(X, "captain", Literal("Ann"))), plain(t(X, "name", Literal("Mary"))), "datatype"),
    Case(
        "a value that has facts",
        plain(t(X, "tons", Y), t(Y, "knows", Z)),
        plain(t(X, "tons", Y), t(X, "berth", Z)),
        "datatype",
    ),
    Case("another datatype", plain(t(X, "tons", Literal("70"))), plain(t(X, "tons", Literal(70))), "datatype"),
    Case(
        "a number compared with a date",
        replace(plain(t(X, "tons", Y)), comparisons=(Comparison(Y, ">", date("1912-01-01")),)),
        replace(plain(t(X, "launched", Y)), comparisons=(Comparison(Y, ">", date("1912-01-01")),)),
        "datatype",
    ),
    Case(
        "text compared as a number",
        replace(plain(t(X, "name", Y)), comparisons=(Comparison(Y, ">", Literal(5)),)),
        replace(plain(t(X, "name", Y)), comparisons=(Comparison(Y, ">", Literal(5), numeric=True),)),
        "datatype",
    ),
    Case(
        "a date read as a number",
        replace(plain(t(X, "launched", Y)), comparisons=(Comparison(Y, ">", Literal(1912), numeric=True),)),
        replace(plain(t(X, "launched", Y)), comparisons=(Comparison(Y, ">", date("1912-01-01")),)),
        "datatype",
    ),
    Case(
        "a comparison that no alternative can meet",
        replace(
            Group(alternatives=((plain(t(X, "tons", Y)), plain(t(X, "name", Y))),)),
            comparisons=(Comparison(Y, ">", date("1912-01-01")),),
        ),
        replace(
            Group(alternatives=((plain(t(X, "tons", Y)), plain(t(X, "launched", Y))),)),
            comparisons=(Comparison(Y, ">", date("1912-01-01")),),
        ),
        "datatype",
    ),
    Case("no join", plain(t(X, "captain", Y), t(Z, "knows", W)), plain(t(X, "captain", Y), t(Y, "knows", W)), "noJoin"),
    Case("subclass", plain(a(X, "Sailor"), t(X, "captain", Y)), plain(a(Y, "Sailor"), t(X, "captain", Y)), "disjoint"),
    Case(
        "subproperty",
        plain(a(X, "Person"), t(X, "firstCaptain", Y)),
        plain(a(X, "Ship"), t(X, "firstCaptain", Y)),
        "disjoint",
    ),
    Case(
        "equivalent class",
        plain(a(Y, "Person"), t(X, "berth", Y)),
        plain(a(Y, "Dock"), t(X, "berth", Y)),
        "neverTogether",
    ),
    Case("inverse", plain(a(X, "Ship"), t(X, "commands", Y)), plain(a(X, "Person"), t(X, "commands", Y)), "disjoint"),
    Case("union", plain(a(X, "Sailor"), t(X, "crew", Y)), plain(a(X, "Ship"), t(X, "crew", Y)), "disjoint"),
    Case("intersection", plain(a(X, "Person"), t(X, "built", Y)), plain(a(X, "Ship"), t(X, "built", Y)), "disjoint"),
    Case(
        "never together", plain(a(X, "Harbour"), t(X, "tons", Y)), plain(a(X, "Ship"), t(X, "tons", Y)), "neverTogether"
    ),
    Case(
        "optional",
        replace(BASE, optional=(plain(t(Y, "tons", Z)),)),
        replace(BASE, optional=(plain(t(Y, "age", Z)),)),
        "neverTogether",
    ),
    Case(
        "negated",
        replace(BASE, negated=(plain(t(Y, "tons", Z)),)),
        replace(BASE, negated=(plain(t(Y, "age", Z)),)),
        "neverTogether",
    ),
    Case(
        "alternatives",
        replace(BASE, alternatives=((plain(t(Y, "age", Z)), plain(t(Y, "tons", Z))),)),
        replace(BASE, alternatives=((plain(t(Y, "age", Z)), plain(t(X, "tons", Z))),)),
        "neverTogether",
    ),
    Case(
        "nested query",
        replace(BASE, nested=(Query("select", plain(a(Y, "Sailor"), t(Y, "captain", Z)), (Y,)),)),
        replace(BASE, nested=(Query("select", plain(a(Y, "Sailor"), t(Y, "knows", Z)), (Y,)),)),
        "disjoint",
    ),
    Case(
        "a node for a value",
        plain(t(X, "tons", Y), t(Z, "captain", Y)),
        plain(t(X, "tons", Y), t(X, "captain", Z)),
        "datatype",
    ),
    Case(
        "a class that is a union",
        plain(a(X, "Harbour"), t(X, "crew", Y)),
        plain(a(X, "Vessel"), t(X, "crew", Y)),
        "neverTogether",
    ),
    Case(
        "repeated property",
        plain(TriplePattern(X, Repeated(ex("knows"), "+"), Y), t(Y, "berth", Z)),
        plain(TriplePattern(X, Repeated(ex("follows"), "+"), Y), t(X, "berth", Z)),
        "neverTogether",
    ),
    Case(
        "one of several classes",
        replace(
            plain(TriplePattern(X, RDF_TYPE, Z), t(X, "captain", Y)), values=(Values(Z, (ex("Person"), ex("Harbour"))),)
        ),
        replace(
            plain(TriplePattern(X, RDF_TYPE, Z), t(X, "captain", Y)), values=(Values(Z, (ex("Ship"), ex("Person"))),)
        ),
        "neverTogether",
    ),
]


def violations(found: list[Violation]) -> set[str]:
    assert all(violation.blame == "query" for violation in found)
    return {violation.constraint for violation in found if violation.severity == "Violation"}


def asked(where: Group) -> Query:
    return Query("select", where, (X,))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_faulty_query_is_found_and_its_right_twin_is_not(case: Case, ontology: Ontology) -> None:
    assert case.constraint in violations(validate_query(asked(case.wrong), ontology))
    assert violations(validate_query(asked(case.right), ontology)) == set()


def test_an_edge_turned_round_at_a_node_is_found_by_the_nodes_classes(ontology: Ontology) -> None:
    types = {ex("mary"): [ex("Ship")], ex("ann"): [ex("Person")]}
    turned, right = plain(t(X, "captain", ex("mary"))), plain(t(ex("mary"), "captain", X))
    (found,) = validate_query(asked(turned), ontology, types=types)
    assert found.severity == "Violation"
    assert "turn the pattern round" in found.message
    assert validate_query(asked(right), ontology, types=types) == []
    assert validate_query(asked(turned), ontology) == []  # whose classes nobody knows


def test_a_finding_names_what_would_fit(ontology: Ontology) -> None:
    (found,) = validate_query(asked(plain(a(X, "Harbour"), t(X, "tons", Y))), ontology)
    assert "?x: it is a harbour, and it has a tons; the data has nothing that is both." in found.message
    assert "turn the pattern round" not in found.message
    (found,) = validate_query(asked(plain(a(X, "Sailor"), t(X, "tons", Y))), ontology)
    assert "Properties that start there: knows" in found.message


def test_two_classes_of_which_the_data_has_no_common_node_are_no_violation(ontology: Ontology) -> None:
    (found,) = validate_query(asked(plain(a(X, "Sailor"), a(X, "Harbour"))), ontology)
    assert (found.constraint, found.severity) == ("unrelated", "Info")
    assert violations(validate_query(asked(plain(a(X, "Ship"), a(X, "Person"))), ontology)) == {"disjoint"}


def test_that_a_node_is_a_named_individual_says_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "g.ttl").write_text(GRAPH + ":lone a owl:NamedIndividual ; :likes :mary .", encoding="utf-8")
    store = OxigraphStore.load([tmp_path / "g.ttl"], source="ships")
    read = read_ontology([store])
    store.close()
    assert validate_query(asked(plain(t(ex("lone"), "likes", X))), read, types={ex("lone"): []}) == []
    found = validate_query(asked(plain(t(ex("mary"), "likes", X))), read, types={ex("mary"): [ex("Ship")]})
    assert violations(found) == {"neverTogether"}


def test_what_is_merely_unrelated_is_a_remark(ontology: Ontology) -> None:
    (found,) = validate_query(asked(plain(t(X, "orbits", Y), t(Y, "orbits", Z))), ontology)
    assert (found.constraint, found.severity) == ("unrelated", "Info")


def test_what_the_data_holds_against_its_ontology_is_a_warning(ontology: Ontology) -> None:
    (found,) = validate_query(asked(plain(a(X, "Person"), t(X, "flag", Y))), ontology)
    assert (found.constraint, found.severity) == ("disjoint", "Warning")
    assert "yet the data has such" in found.message


def test_every_step_that_the_data_shows_is_right(ontology: Ontology) -> None:
    for prop in ontology.relations():
        for subject, _ in ontology.ends(prop.iri)[0]:
            patterns = [TriplePattern(X, prop.iri, Y)]
            if subject is not None:
                patterns.append(TriplePattern(X, RDF_TYPE, subject))
            assert violations(validate_query(asked(plain(*patterns)), ontology)) == set()


def test_every_chain_that_the_observed_schema_allows_is_right(ontology: Ontology) -> None:
    schema = SchemaGraph(ontology)
    starts = sorted({cls for prop in ontology.relations() for cls, _ in ontology.ends(prop.iri)[0] if cls})
    walked = 0
    for start in starts:
        for first in schema.extend(RelationPath(), frozenset({start})):
            for path in (first, *schema.extend(first, frozenset({start}))):
                patterns = [TriplePattern(X, RDF_TYPE, start)]
                for step, (here, there) in zip(path.steps, ((X, Y), (Y, Z)), strict=False):
                    s, o = (there, here) if step.inverse else (here, there)
                    patterns.append(TriplePattern(s, step.property, o))
                assert violations(validate_query(asked(plain(*patterns)), ontology)) == set(), patterns
                walked += 1
    assert walked > 20
