"""Consistency: what a memory must not hold together is found, and its twin, which may be so, is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from kgllm.engines.oxigraph import OxigraphStore
from kgllm.ontology import Ontology
from kgllm.ontology_reading import read_ontology
from kgllm.terms import URIRef
from kgllm.validate import validate_triples
from kgllm.violation import Violation
from tests.turtle import EX, PREFIXES, parse


def read(folder: Path, turtle: str) -> Ontology:
    (folder / "ontology.ttl").write_text(PREFIXES + turtle, encoding="utf-8")
    store = OxigraphStore.load([folder / "ontology.ttl"], source="ontology")
    try:
        return Ontology.from_json(read_ontology([store]).to_json())  # as an index keeps it
    finally:
        store.close()


@dataclass(frozen=True)
class Case:
    """An ontology, a memory that contradicts it, and the twin that does not."""

    name: str
    ontology: str
    wrong: str
    right: str
    constraint: str
    severity: str = "Violation"


CASES = [
    Case("disjoint classes", ":A owl:disjointWith :B .", ":x a :A, :B .", ":x a :A, :C .", "disjoint"),
    Case(
        "a group of disjoint classes, met below it",
        "[] a owl:AllDisjointClasses ; owl:members ( :A :B :C ) . :D rdfs:subClassOf :C .",
        ":x a :A, :D .",
        ":x a :C, :D .",
        "disjoint",
    ),
    Case(
        "the parts of a disjoint union",
        ":U owl:disjointUnionOf ( :A :B ) .",
        ":x a :A, :B .",
        ":x a :U, :B .",
        "disjoint",
    ),
    Case("a complement", ":A owl:complementOf :B .", ":x a :A, :B .", ":x a :A, :C .", "disjoint"),
    Case(
        "a domain",
        ":captain rdfs:domain :Ship . :Ship owl:disjointWith :Person .",
        ":x a :Person ; :captain :y .",
        ":x a :Harbour ; :captain :y .",
        "domain",
    ),
    Case(
        "a domain that is a union, each part of it disjoint",
        ":captain rdfs:domain [ owl:unionOf ( :Ship :Plane ) ] . :Ship owl:disjointWith :Person ."
        " :Plane owl:disjointWith :Person .",
        ":x a :Person ; :captain :y .",
        ":x a :Plane ; :captain :y .",
        "domain",
    ),
    Case(
        "the domain of the property above",
        ":captain rdfs:subPropertyOf :crew . :crew rdfs:domain :Ship . :Ship owl:disjointWith :Person .",
        ":x a :Person ; :captain :y .",
        ":x a :Ship ; :captain :y .",
        "domain",
    ),
    Case(
        "a range",
        ":captain rdfs:range :Person . :Ship owl:disjointWith :Person .",
        ":x :captain :y . :y a :Ship .",
        ":x :captain :y . :y a :Person .",
        "range",
    ),
    Case(
        "the range of the inverse",
        ":captain owl:inverseOf :commands . :commands rdfs:range :Ship . :Ship owl:disjointWith :Person .",
        ":x :captain :y . :x a :Person .",
        ":x :captain :y . :y a :Person .",
        "range",
    ),
    Case(
        "text where the ontology wants a node",
        ":captain a owl:ObjectProperty .",
        ':x :captain "Bob" .',
        ":x :captain :bob .",
        "range",
    ),
    Case(
        "a functional property with two values",
        ":born a owl:FunctionalProperty .",
        ':x :born "1930", "1931" .',
        ':x :born "1930" . :y :born "1931" .',
        "functional",
    ),
    Case(
        "a functional property with two numbers",
        ":mass a owl:FunctionalProperty .",
        ":x :mass 1.5, 2 .",
        ':x :mass 2.0, 2, "2"^^xsd:int .',
        "functional",
    ),
    Case(
        "a functional property of two nodes that are different",
        ":mother a owl:FunctionalProperty . :y owl:differentFrom :z .",
        ":x :mother :y, :z .",
        ":x :mother :y . :w :mother :z .",
        "functional",
    ),
    Case(
        "a functional property of two nodes that may be one",
        ":mother a owl:FunctionalProperty .",
        ":x :mother :y, :z .",
        ":x :mother :y, :z . :y owl:sameAs :z .",
        "functional",
        "Warning",
    ),
    Case(
        "an inverse functional property of two that are of disjoint classes",
        ":imo a owl:InverseFunctionalProperty . :A owl:disjointWith :B .",
        ':x :imo "7" ; a :A . :y :imo "7" ; a :B .',
        ':x :imo "7" ; a :A . :y :imo "8" ; a :B .',
        "inverseFunctional",
    ),
    Case(
        "what is the same and different",
        "[] a owl:AllDifferent ; owl:distinctMembers ( :x :y :z ) .",
        ":x owl:sameAs :w . :w owl:sameAs :z .",
        ":x owl:sameAs :w .",
        "different",
    ),
    Case(
        "an asymmetric property",
        ":in a owl:AsymmetricProperty .",
        ":x :in :y . :y :in :x .",
        ":x :in :y .",
        "asymmetric",
    ),
    Case(
        "an irreflexive property, by a circle",
        ":in a owl:IrreflexiveProperty, owl:TransitiveProperty .",
        ":x :in :y . :y :in :x .",
        ":x :in :y . :y :in :z .",
        "irreflexive",
    ),
    Case(
        "properties that exclude each other",
        ":friend owl:propertyDisjointWith :enemy .",
        ":x :friend :y ; :enemy :y .",
        ":x :friend :y ; :enemy :z .",
        "disjointProperties",
    ),
    Case(
        "a group of properties that exclude each other",
        "[] a owl:AllDisjointProperties ; owl:members ( :p :q :r ) .",
        ":x :p :y ; :r :y .",
        ":x :p :y . :y :r :x .",
        "disjointProperties",
    ),
    Case(
        "at most two values",
        ":A rdfs:subClassOf [ owl:onProperty :p ; owl:maxCardinality 2 ] .",
        ":x a :A ; :p 1, 2, 3 .",
        ":x a :A ; :p 1, 1.0, 2 . :y :p 1, 2, 3 .",
        "maxCardinality",
    ),
    Case(
        "no value of a class",
        ":A rdfs:subClassOf [ owl:onProperty :p ; owl:maxQualifiedCardinality 0 ; owl:onClass :B ] .",
        ":x a :A ; :p :y . :y a :B .",
        ":x a :A ; :p :y . :y a :C .",
        "maxCardinality",
    ),
    Case(
        "exactly one value",
        ":A rdfs:subClassOf [ owl:onProperty :p ; owl:cardinality 1 ] .",
        ':x a :A ; :p "a", "b" .',
        ":x a :A .",  # none yet: the world is open
        "maxCardinality",
    ),
    Case(
        "what a negative assertion denies",
        "[] owl:sourceIndividual :x ; owl:assertionProperty :p ; owl:targetIndividual :y .",
        ":x :p :y .",
        ":x :p :z .",
        "negativeAssertion",
    ),
    Case(
        "what a negative assertion denies, entailed",
        "[] owl:sourceIndividual :x ; owl:assertionProperty :p ; owl:targetValue 7 . :q rdfs:subPropertyOf :p .",
        ":x :q 7 .",
        ":x :q 8 .",
        "negativeAssertion",
    ),
    Case("the class of nothing", ":A rdfs:subClassOf owl:Nothing .", ":x a :A .", ":x a :B .", "nothing"),
    Case(
        "a class that nothing can be of",
        ":A rdfs:subClassOf :B, :C . :B owl:disjointWith :C .",
        ":x a :A .",
        ":x a :B .",
        "nothing",
    ),
    Case(
        "only values of a class",
        ":A rdfs:subClassOf [ owl:onProperty :p ; owl:allValuesFrom :B ] . :B owl:disjointWith :C .",
        ":x a :A ; :p :y . :y a :C .",
        ":x :p :y . :y a :C .",
        "disjoint",
    ),
    Case(
        "a literal that its datatype does not admit",
        ":p a owl:DatatypeProperty .",
        ':x :p "soon"^^xsd:date .',
        ':x :p "1969-07-16"^^xsd:date .',
        "datatype",
    ),
    Case(
        "a literal of another datatype",
        ":p rdfs:range xsd:integer .",
        ':x :p "7" .',
        ':x :p "7"^^xsd:int .',
        "datatype",
    ),
    Case("a node where a value belongs", ":p rdfs:range xsd:integer .", ":x :p :y .", ":x :p 7 .", "datatype"),
    Case("a deprecated class", ":A owl:deprecated true .", ":x a :A .", ":x a :B .", "deprecated", "Warning"),
    Case("a deprecated property", ":p a owl:DeprecatedProperty .", ":x :p :y .", ":x :q :y .", "deprecated", "Warning"),
]


def found(violations: list[Violation]) -> set[tuple[str, str]]:
    return {(violation.constraint, violation.severity) for violation in violations}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_wrong_memory_is_found_and_its_twin_is_not(case: Case, tmp_path: Path) -> None:
    ontology = read(tmp_path, case.ontology)
    assert (case.constraint, case.severity) in found(validate_triples(parse(case.wrong), ontology))
    assert validate_triples(parse(case.right), ontology) == []


def test_a_clash_is_told_once_and_with_its_reason(tmp_path: Path) -> None:
    ontology = read(
        tmp_path,
        ":Sailor rdfs:subClassOf :Person . :Person owl:disjointWith :Ship . :Boat rdfs:subClassOf :Ship .",
    )
    (clash,) = validate_triples(
        parse(":x a :Sailor . :x owl:sameAs :y . :y a :Boat ."), ontology, focus={URIRef(EX + "x")}
    )
    assert clash.message == "nothing is both a boat and a sailor: it is a boat, being the same as y"


def test_a_domain_is_told_of_the_property_that_was_stated(tmp_path: Path) -> None:
    ontology = read(
        tmp_path, ":captain rdfs:subPropertyOf :crew . :crew rdfs:domain :Ship . :Ship owl:disjointWith :Person ."
    )
    (clash,) = validate_triples(parse(":x a :Person ; :captain :y ."), ontology)
    assert (clash.path, clash.message) == (URIRef(EX + "captain"), "what has a captain is a ship, not a person")


def test_very_many_values_of_a_functional_property_are_no_long_work(tmp_path: Path) -> None:
    ontology = read(tmp_path, ":p a owl:FunctionalProperty, owl:InverseFunctionalProperty .")
    triples = parse(f":x :p {', '.join(f':v{n}' for n in range(20_000))} .")
    assert found(validate_triples(triples, ontology, timeout_s=10)) == {("functional", "Warning")}


def test_what_could_not_be_closed_in_time_is_said_not_to_be_checked(tmp_path: Path) -> None:
    ontology = read(tmp_path, ":in a owl:TransitiveProperty .")
    chain = parse(" ".join(f":n{n} :in :n{n + 1} ." for n in range(3_000)))
    assert found(validate_triples(chain, ontology, timeout_s=0.05)) == {("notChecked", "Info")}
