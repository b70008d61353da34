"""The memory under SHACL: a node's whole description is looked at, so that nothing is missing for want of fetching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kgllm.memory import WorkingMemoryGraph
from kgllm.sources import resolve
from kgllm.terms import Triple, URIRef
from kgllm.validate import surroundings, validate_memory
from kgllm.violation import Violation
from kgllm.workspace import Workspace

EX = "http://example.org/"
HEAD = f"""@prefix ex: <{EX}> . @prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
"""
HOUSE = "ex:house a ex:House ; ex:owner ex:ann ; ex:street ex:lane . ex:ann a ex:Person . "
OWNED: Triple = (URIRef(EX + "house"), URIRef(EX + "owner"), URIRef(EX + "ann"))

Findings = Callable[..., list[Violation]]


@pytest.fixture
def open_graph(tmp_path: Path) -> Iterator[Callable[[str, str], Workspace]]:
    opened: list[Workspace] = []

    def open_graph(graph: str, shapes: str) -> Workspace:
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        (folder / "graph.ttl").write_text(HEAD + graph)
        (folder / "shapes.ttl").write_text(HEAD + shapes)
        source = resolve(folder / "graph.ttl")
        opened.append(Workspace(source, folder=folder / "index", shapes_files=(folder / "shapes.ttl",)))
        return opened[-1]

    yield open_graph
    for workspace in opened:
        workspace.close()


@pytest.fixture
def findings(open_graph: Callable[[str, str], Workspace]) -> Findings:
    def findings(graph: str, shapes: str, *triples: Triple) -> list[Violation]:
        """What is found at a memory that holds the triples, with the graph around it."""
        workspace = open_graph(graph, shapes)
        memory = WorkingMemoryGraph("Whose is the house?")
        for triple in triples or (OWNED,):
            memory.assert_triple(triple)
        return validate_memory(memory, workspace.store, workspace.ontology, shapes=workspace.shapes, timeout_s=20)

    return findings


def of_house(*properties: str) -> str:
    return f"ex:HouseShape sh:targetClass ex:House ; sh:property {', '.join(properties)} ."


LANE = "ex:lane a ex:Street ; ex:town ex:york . ex:york a ex:Town ; ex:mayor ex:bob ; rdfs:label 'York' . "
CASES = {  # the shapes, what the graph must say besides, so that its house conforms, and what makes it violate them
    "minCount of a value that no question asked for": (
        of_house("[ sh:path ex:number ; sh:minCount 1 ]"),
        "ex:house ex:number 7 .",
        "",
    ),
    "the class of a value": (of_house("[ sh:path ex:owner ; sh:class ex:Person ]"), "", "ex:house ex:owner ex:rex ."),
    "the class of a value, under another": (
        of_house("[ sh:path ex:owner ; sh:class ex:Agent ]"),
        "ex:Person rdfs:subClassOf ex:Agent .",
        "",
    ),
    "a path of two steps": (of_house("[ sh:path (ex:street ex:town) ; sh:minCount 1 ]"), LANE, "ex:lane a ex:Street ."),
    "a path of three steps": (
        of_house("[ sh:path (ex:street ex:town ex:mayor) ; sh:minCount 1 ]"),
        LANE,
        "ex:lane ex:town ex:york .",
    ),
    "the class at the end of two steps": (
        of_house("[ sh:path (ex:street ex:town) ; sh:class ex:Town ]"),
        LANE,
        "ex:lane ex:town ex:york .",
    ),
    "an inverse path": (
        of_house("[ sh:path [ sh:inversePath ex:built ] ; sh:minCount 1 ]"),
        "ex:bob ex:built ex:house .",
        "",
    ),
    "an inverse path behind a step": (
        of_house("[ sh:path (ex:street [ sh:inversePath ex:sweeps ]) ; sh:minCount 1 ]"),
        "ex:bob ex:sweeps ex:lane .",
        "ex:bob ex:sweeps ex:road .",
    ),
    "all that a property leads to the node": (
        of_house("[ sh:path [ sh:inversePath ex:built ] ; sh:maxCount 1 ]"),
        "ex:bob ex:built ex:house .",
        "ex:bob ex:built ex:house . ex:eve ex:built ex:house .",
    ),
    "who is meant by what leads to it": (
        "ex:BuiltShape sh:targetObjectsOf ex:built ; sh:property [ sh:path ex:number ; sh:minCount 1 ] .",
        "ex:bob ex:built ex:house . ex:house ex:number 7 .",
        "_:someone ex:built ex:house .",
    ),
    "what SPARQL looks for": (
        "ex:HouseShape sh:targetClass ex:House ; sh:sparql [ sh:select "
        f"'SELECT $this WHERE {{ ?a <{EX}built> $this . ?b <{EX}built> $this FILTER(?a != ?b) }}' ] .",
        "ex:bob ex:built ex:house .",
        "ex:bob ex:built ex:house . ex:eve ex:built ex:house .",
    ),
    "two inverse steps": (
        of_house("[ sh:path ([ sh:inversePath ex:built ] [ sh:inversePath ex:employs ]) ; sh:minCount 1 ]"),
        "ex:firm ex:employs ex:bob . ex:bob ex:built ex:house .",
        "ex:bob ex:built ex:house .",
    ),
    "the class at the end of an inverse path": (
        of_house("[ sh:path [ sh:inversePath ex:built ] ; sh:class ex:Firm ]"),
        "ex:bob ex:built ex:house ; a ex:Firm .",
        "ex:bob ex:built ex:house .",
    ),
    "one of two ways": (
        of_house("[ sh:path (ex:street [ sh:alternativePath (ex:town ex:village) ]) ; sh:minCount 1 ]"),
        "ex:lane ex:village ex:dell .",
        "ex:lane ex:hamlet ex:dell .",
    ),
    "a path of any length": (
        of_house("[ sh:path (ex:street [ sh:oneOrMorePath ex:within ]) ; sh:hasValue ex:world ]"),
        "ex:lane ex:within ex:york . ex:york ex:within ex:uk . ex:uk ex:within ex:world .",
        "ex:lane ex:within ex:york . ex:york ex:within ex:uk .",
    ),
    "a step that may be left out": (
        of_house("[ sh:path ([ sh:zeroOrOnePath ex:street ] ex:town) ; sh:minCount 1 ]"),
        LANE,
        "",
    ),
    "a shape of the value": (
        of_house("[ sh:path ex:street ; sh:node [ sh:property [ sh:path ex:town ; sh:minCount 1 ] ] ]"),
        LANE,
        "",
    ),
    "a shape of the value of a value": (
        of_house(
            "[ sh:path ex:street ; sh:property [ sh:path ex:town ; sh:property [ sh:path ex:mayor ; sh:minCount 1 ] ] ]"
        ),
        LANE,
        "ex:lane ex:town ex:york .",
    ),
    "so many values of a shape": (
        of_house(
            "[ sh:path ex:street ; sh:qualifiedMinCount 1 ;"
            " sh:qualifiedValueShape [ sh:property [ sh:path ex:town ; sh:minCount 1 ] ] ]"
        ),
        LANE,
        "",
    ),
    "one of two shapes": (
        of_house(
            "[ sh:path ex:street ; sh:or ( [ sh:property [ sh:path ex:town ; sh:minCount 1 ] ] [ sh:class ex:Way ] ) ]"
        ),
        LANE,
        "ex:lane a ex:Street .",
    ),
    "no such shape": (
        of_house("[ sh:path ex:street ; sh:not [ sh:property [ sh:path ex:town ; sh:maxCount 0 ] ] ]"),
        LANE,
        "",
    ),
    "equal values further off": (
        of_house("[ sh:path ex:street ; sh:property [ sh:path ex:town ; sh:equals ex:city ] ]"),
        "ex:lane ex:town ex:york ; ex:city ex:york .",
        "ex:lane ex:town ex:york ; ex:city ex:leeds .",
    ),
    "a closed shape of the value": (
        of_house("[ sh:path ex:street ; sh:node ex:Closed ]")
        + "ex:Closed sh:closed true ; sh:ignoredProperties (rdf:type) ; sh:property [ sh:path ex:town ] .",
        "ex:lane a ex:Street ; ex:town ex:york .",
        "ex:lane ex:length 7 .",
    ),
    "a shape that refers to itself": (
        of_house("[ sh:path ex:street ; sh:node ex:Within ]")
        + "ex:Within sh:property [ sh:path ex:within ; sh:node ex:Within ; sh:nodeKind sh:IRI ] .",
        "ex:lane ex:within ex:york . ex:york ex:within ex:uk .",
        "ex:lane ex:within ex:york . ex:york ex:within 7 .",
    ),
}


@pytest.mark.parametrize(("shapes", "right", "wrong"), CASES.values(), ids=CASES)
def test_what_shapes_read_further_off_is_fetched(findings: Findings, shapes: str, right: str, wrong: str) -> None:
    assert findings(HOUSE + right, shapes) == []
    found = findings(HOUSE + wrong, shapes)
    assert {(violation.source, violation.blame) for violation in found} == {("shapes", "data")}


def test_a_violation_that_the_memory_brings_is_its_own(findings: Findings) -> None:
    shapes = of_house("[ sh:path ex:owner ; sh:maxCount 1 ]")
    another: Triple = (OWNED[0], OWNED[1], URIRef(EX + "bob"))
    assert [found.blame for found in findings(HOUSE, shapes, OWNED, another)] == ["memory"]
    assert [found.blame for found in findings(HOUSE + "ex:house ex:owner ex:bob .", shapes, OWNED)] == ["data"]


def test_a_node_of_which_too_much_is_said_is_not_checked_and_never_taken_to_conform(findings: Findings) -> None:
    many = "".join(f"ex:g{number} ex:visited ex:house ." for number in range(5_001))
    (found,) = findings(HOUSE + many, of_house("[ sh:path [ sh:inversePath ex:visited ] ; sh:nodeKind sh:IRI ]"))
    assert (found.constraint, found.severity) == ("notChecked", "Info")
    (found,) = findings(HOUSE + many, of_house("[ sh:path ex:number ; sh:minCount 1 ]"))  # which reads none of it
    assert (found.constraint, found.severity) == ("MinCountConstraintComponent", "Violation")


def test_what_is_too_much_further_off_is_not_checked_either(findings: Findings) -> None:
    shapes = of_house("[ sh:path (ex:street [ sh:inversePath ex:in ]) ; sh:maxCount 1 ]")
    many = "".join(f"ex:g{number} ex:in ex:lane ." for number in range(5_001))
    (found,) = findings(HOUSE + many, shapes)
    assert found.constraint == "notChecked"


def test_no_more_is_fetched_than_the_shapes_read(open_graph: Callable[[str, str], Workspace]) -> None:
    memory = WorkingMemoryGraph("?")
    memory.assert_triple(OWNED)
    near = open_graph(HOUSE + LANE, of_house("[ sh:path ex:number ; sh:minCount 1 ; sh:class ex:Number ]"))
    far = open_graph(HOUSE + LANE, of_house("[ sh:path (ex:street ex:town) ; sh:minCount 1 ]"))
    assert near.shapes is not None
    assert far.shapes is not None
    assert near.shapes.reads == []
    town = (URIRef(EX + "lane"), URIRef(EX + "town"), URIRef(EX + "york"))
    around, _ = surroundings(memory, far.store, timeout_s=20, reads=far.shapes.reads)
    without, _ = surroundings(memory, near.store, timeout_s=20, reads=near.shapes.reads)
    assert set(around) - set(without) == {town}
