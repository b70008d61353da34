"""Validate: contradictions are found, the open world is respected, and blame falls on whom it belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgllm.engines.oxigraph import OxigraphStore
from kgllm.memory import WorkingMemoryGraph
from kgllm.ontology import RDF_TYPE, Ontology
from kgllm.ontology_reading import read_ontology
from kgllm.terms import Literal, Node, Triple, URIRef
from kgllm.validate import blame, surroundings, validate_memory, validate_triples
from kgllm.violation import Violation

EX = "http://example.org/"
XSD = "http://www.w3.org/2001/XMLSchema#"
PREFIXES = f"""@prefix ex: <{EX}> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix xsd: <{XSD}> .
"""
SHIPS = """
ex:Person a owl:Class ; owl:disjointWith ex:Ship . ex:Ship a owl:Class . ex:Harbour a owl:Class .
ex:Sailor rdfs:subClassOf ex:Person .
ex:captain a owl:ObjectProperty ; rdfs:domain ex:Ship ; rdfs:range ex:Person .
ex:twin a owl:ObjectProperty, owl:FunctionalProperty .
ex:built a owl:DatatypeProperty, owl:FunctionalProperty ; rdfs:range xsd:integer .
ex:imo a owl:DatatypeProperty, owl:InverseFunctionalProperty .
ex:tons a owl:DatatypeProperty ; rdfs:range xsd:decimal .
"""
ANN, BOB, MARY = (URIRef(EX + name) for name in ("ann", "bob", "mary"))


def ex(name: str) -> URIRef:
    return URIRef(EX + name)


def a(node: Node, cls: str) -> Triple:
    return (node, RDF_TYPE, ex(cls))  # type: ignore[return-value]


def typed(text: str, kind: str) -> Literal:
    return Literal(text, datatype=URIRef(XSD + kind))


def load(folder: Path, text: str) -> OxigraphStore:
    (folder / "data.ttl").write_text(PREFIXES + text)
    return OxigraphStore.load([folder / "data.ttl"], source="test")


@pytest.fixture(scope="module")
def ontology(tmp_path_factory: pytest.TempPathFactory) -> Ontology:
    store = load(tmp_path_factory.mktemp("ontology"), SHIPS)
    read = read_ontology([store], languages=("en", ""))
    store.close()
    return read


def constraints(found: list[Violation]) -> set[str]:
    return {violation.constraint for violation in found}


# Triples


@pytest.mark.parametrize(
    ("triples", "constraint"),
    [
        ([a(BOB, "Person"), a(BOB, "Ship")], "disjoint"),
        ([a(BOB, "Sailor"), a(BOB, "Ship")], "disjoint"),
        ([a(BOB, "Sailor"), (BOB, ex("captain"), ANN)], "domain"),
        ([(MARY, ex("captain"), ANN), a(ANN, "Ship")], "range"),
        ([(MARY, ex("built"), typed("1912", "integer")), (MARY, ex("built"), typed("1913", "integer"))], "functional"),
        ([(MARY, ex("imo"), Literal("7")), (BOB, ex("imo"), Literal("7"))], "inverseFunctional"),
        ([(MARY, ex("built"), Literal("1912"))], "datatype"),
        ([(MARY, ex("built"), typed("long ago", "integer"))], "datatype"),
        ([(MARY, ex("tons"), typed("3.5", "double"))], "datatype"),
    ],
)
def test_a_contradiction_is_found(ontology: Ontology, triples: list[Triple], constraint: str) -> None:
    assert constraints(validate_triples(triples, ontology)) == {constraint}


@pytest.mark.parametrize(
    "triples",
    [
        [a(BOB, "Person"), a(BOB, "Sailor")],
        [a(BOB, "Person"), a(BOB, "Harbour")],  # unrelated is not disjoint
        [(BOB, ex("captain"), ANN)],  # what has no class may be of any
        [a(MARY, "Ship"), (MARY, ex("captain"), ANN), a(ANN, "Sailor")],
        [a(MARY, "Harbour"), (MARY, ex("captain"), ANN)],
        [(MARY, ex("built"), typed("1912", "integer")), (MARY, ex("built"), typed("1912", "integer"))],
        [(MARY, ex("imo"), Literal("7")), (BOB, ex("imo"), Literal("8"))],
        [(MARY, ex("built"), typed("1912", "int"))],  # in the value space of integer
        [(MARY, ex("tons"), typed("3", "integer"))],
        [(MARY, ex("unknown"), typed("3", "integer"))],
        [],
    ],
)
def test_what_may_be_so_is_no_contradiction(ontology: Ontology, triples: list[Triple]) -> None:
    assert validate_triples(triples, ontology) == []


def test_what_could_be_one_under_two_names_is_a_warning(ontology: Ontology) -> None:
    (found,) = validate_triples([(MARY, ex("twin"), ANN), (MARY, ex("twin"), BOB)], ontology)
    assert (found.constraint, found.severity) == ("functional", "Warning")
    same = (ANN, URIRef("http://www.w3.org/2002/07/owl#sameAs"), BOB)
    assert validate_triples([(MARY, ex("twin"), ANN), (MARY, ex("twin"), BOB), same], ontology) == []


def test_focus_restricts_the_findings_and_not_the_premises(ontology: Ontology) -> None:
    triples = [(MARY, ex("captain"), ANN), a(ANN, "Ship"), (BOB, ex("built"), Literal("x"))]
    assert constraints(validate_triples(triples, ontology, focus={MARY})) == {"range"}
    assert validate_triples(triples, ontology, focus={ANN}) == []


def test_a_finding_has_the_fields_of_a_validation_result(ontology: Ontology) -> None:
    (found,) = validate_triples([(MARY, ex("built"), Literal("1912"))], ontology)
    assert found.to_json() == {
        "focus": f"<{EX}mary>",
        "path": f"<{EX}built>",
        "value": '"1912"',
        "constraint": "datatype",
        "severity": "Violation",
        "message": found.message,
        "blame": "memory",
    }


# Blame


@pytest.fixture
def graph(tmp_path: Path) -> OxigraphStore:
    return load(tmp_path, "ex:mary a ex:Ship ; ex:captain ex:ann ; ex:built 'long ago' . ex:ann a ex:Sailor .")


def test_what_the_graph_had_wrong_before_is_the_datas_fault(graph: OxigraphStore, ontology: Ontology) -> None:
    memory = WorkingMemoryGraph("?")
    memory.assert_triple((MARY, ex("captain"), ANN))
    (found,) = validate_memory(memory, graph, ontology, shapes=None, timeout_s=10)
    assert (found.constraint, found.blame) == ("datatype", "data")
    graph.close()


def test_what_the_memory_adds_is_its_own_fault(graph: OxigraphStore, ontology: Ontology) -> None:
    memory = WorkingMemoryGraph("?")
    memory.assert_triple(a(ANN, "Ship"))
    found = validate_memory(memory, graph, ontology, shapes=None, timeout_s=10)
    assert {violation.blame for violation in found} == {"memory"}
    assert constraints(found) == {"disjoint"}
    graph.close()


def test_an_empty_memory_is_never_wrong(graph: OxigraphStore, ontology: Ontology) -> None:
    assert validate_memory(WorkingMemoryGraph("?"), graph, ontology, shapes=None, timeout_s=10) == []
    graph.close()


class Seeing:
    """Shapes that every node conforms to, and what they were asked about."""

    reads = ()

    def __init__(self, seen: list[set[Node] | None]) -> None:
        self.seen = seen

    def __call__(self, triples: object, focus: set[Node] | None) -> list[Violation]:
        self.seen.append(focus)
        return []


def test_shapes_are_asked_where_the_surroundings_are_whole(graph: OxigraphStore, ontology: Ontology) -> None:
    seen: list[set[Node] | None] = []
    memory = WorkingMemoryGraph("?")
    memory.assert_triple((MARY, ex("captain"), ANN))
    validate_memory(memory, graph, ontology, shapes=Seeing(seen), timeout_s=10)
    assert seen == [{MARY, ANN}]
    graph.close()


def test_shapes_are_not_asked_about_a_partial_view(graph: OxigraphStore, ontology: Ontology) -> None:
    seen: list[set[Node] | None] = []
    memory = WorkingMemoryGraph("?")
    for number in range(101):
        memory.assert_triple((ex(f"n{number}"), ex("captain"), ANN))
    validate_memory(memory, graph, ontology, shapes=Seeing(seen), timeout_s=10)
    assert seen == []
    graph.close()


def test_the_surroundings_are_all_that_is_said_of_a_node_in_both_directions(graph: OxigraphStore) -> None:
    memory = WorkingMemoryGraph("?")
    memory.assert_triple((ANN, ex("knows"), ANN))
    around, is_whole = surroundings(memory, graph, timeout_s=10)
    assert is_whole
    assert {(MARY, ex("captain"), ANN), a(ANN, "Sailor")} <= set(around)
    graph.close()


def test_blame_compares_focus_path_value_and_constraint(ontology: Ontology) -> None:
    old = validate_triples([(MARY, ex("built"), Literal("x"))], ontology)
    new = validate_triples([(MARY, ex("built"), Literal("y"))], ontology)
    assert [violation.blame for violation in blame([*old, *new], old)] == ["data", "memory"]


# Entailment


def test_what_follows_with_a_named_term_enters_the_memory_with_its_proof(tmp_path: Path) -> None:
    store = load(
        tmp_path,
        SHIPS + "ex:captain rdfs:subPropertyOf ex:crew ; owl:inverseOf ex:commands . ex:mary ex:captain ex:ann .",
    )
    ontology = read_ontology([store])
    memory = WorkingMemoryGraph("?")
    memory.assert_triple((MARY, ex("captain"), ANN))
    assert validate_memory(memory, store, ontology, shapes=None, timeout_s=10, named={ex("crew")}) == []
    fact = memory.fact((MARY, ex("crew"), ANN))
    assert fact is not None
    assert (fact.status, fact.rule) == ("entailed", "prp-spo1")
    assert set(fact.premises) == {
        (MARY, ex("captain"), ANN),
        (ex("captain"), URIRef("http://www.w3.org/2000/01/rdf-schema#subPropertyOf"), ex("crew")),
    }
    assert (ANN, ex("commands"), MARY) not in memory  # nobody asked for it
    assert memory.roles[ex("crew")] == "concept"
    store.close()


def test_what_follows_of_other_nodes_stays_out(tmp_path: Path) -> None:
    store = load(tmp_path, SHIPS + "ex:captain rdfs:subPropertyOf ex:crew . ex:mary ex:captain ex:ann, ex:bob .")
    memory = WorkingMemoryGraph("?")
    memory.assert_triple((MARY, ex("captain"), ANN))
    validate_memory(memory, store, read_ontology([store]), shapes=None, timeout_s=10, named={ex("crew")})
    assert (MARY, ex("crew"), ANN) in memory
    assert (MARY, ex("crew"), BOB) not in memory
    store.close()
