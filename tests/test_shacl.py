"""SHACL in a worker: what it finds, what it refuses, and that it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import rdflib
from rdflib.namespace import XSD

from kgllm.engines.oxigraph import OxigraphStore
from kgllm.engines.shacl import Shapes
from kgllm.errors import InputError, RdfSyntaxError
from kgllm.terms import BNode, Literal, URIRef, n3

EX = "http://example.org/"
SH = "http://www.w3.org/ns/shacl#"
HEAD = f"""@prefix sh: <{SH}> . @prefix ex: <{EX}> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""
AGE = (
    HEAD
    + "ex:PersonShape a sh:NodeShape; sh:targetClass ex:Person; sh:property [sh:path ex:age; sh:datatype xsd:integer] ."
)
GOOD = f"<{EX}a> a <{EX}Person> .".replace(" a ", " <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> ").encode()
BAD = GOOD + f'\n<{EX}a> <{EX}age> "old" .'.encode()

MakeShapes = Callable[..., Shapes]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeShapes]:
    made: list[Shapes] = []

    def make(text: str) -> Shapes:
        file = tmp_path / "shapes.ttl"
        file.write_text(text)
        made.append(Shapes([file]))
        made[-1].reads  # noqa: B018 - what is wrong with them is told once they are read
        return made[-1]

    yield make
    for shapes in made:
        shapes.close()


def test_good_data_conforms_and_bad_data_names_focus_path_value_and_shape(make: MakeShapes) -> None:
    shapes = make(AGE)
    assert shapes.validate(GOOD, timeout_s=30).conforms is True
    report = shapes.validate(BAD, timeout_s=30)
    assert report.conforms is False
    (result,) = report.results
    assert (result.focus, result.path, result.value) == (URIRef(EX + "a"), URIRef(EX + "age"), Literal("old"))
    assert result.component == URIRef(SH + "DatatypeConstraintComponent")
    assert result.severity == URIRef(SH + "Violation")
    assert result.source_shape == URIRef(EX + "PersonShape")
    assert result.message


def test_the_data_says_which_class_is_under_which(make: MakeShapes) -> None:
    data = BAD.replace(b"Person>", b"Astronaut>")
    tree = f"\n<{EX}Astronaut> <http://www.w3.org/2000/01/rdf-schema#subClassOf> <{EX}Person> .".encode()
    shapes = make(AGE)
    assert shapes.validate(data, timeout_s=30).conforms is True
    assert shapes.validate(data + tree, timeout_s=30).conforms is False


def test_a_longer_path_is_written_as_sparql_writes_it(make: MakeShapes) -> None:
    path = "[sh:path (ex:knows [sh:inversePath ex:of]); sh:minCount 1]"
    shapes = make(HEAD + f"ex:S a sh:NodeShape; sh:targetClass ex:Person; sh:property {path} .")
    (result,) = shapes.validate(GOOD, timeout_s=30).results
    assert result.path == Literal(f"<{EX}knows>/^<{EX}of>")


def sparql_shape(query: str) -> str:
    return HEAD + f'ex:S a sh:NodeShape; sh:targetClass ex:Person; sh:sparql [sh:select """{query}"""] .'


def test_sparql_in_a_shape_may_read_the_data(make: MakeShapes) -> None:
    report = make(sparql_shape(f"SELECT $this WHERE {{ $this <{EX}age> ?age }}")).validate(BAD, timeout_s=30)
    assert report.conforms is False


@pytest.mark.parametrize("clause", ["SERVICE <http://127.0.0.1:9/>", "S\\\\u0045RVICE <http://127.0.0.1:9/>"])
def test_sparql_in_a_shape_may_not_dial(make: MakeShapes, clause: str) -> None:
    with pytest.raises(InputError, match="SPARQL of the shape"):
        make(sparql_shape(f"SELECT $this WHERE {{ {clause} {{ ?s ?p ?o }} }}"))


def test_a_check_that_runs_away_is_not_checked_and_the_next_one_is(make: MakeShapes) -> None:
    shapes = make(
        HEAD + 'ex:S a sh:NodeShape; sh:targetClass ex:Person; sh:property [sh:path ex:age; sh:pattern "^(a+)+$"] .'
    )
    endless = GOOD + f'\n<{EX}a> <{EX}age> "{"a" * 60}!" .'.encode()
    assert shapes.validate(endless, timeout_s=1).conforms is None
    assert shapes.validate(GOOD, timeout_s=30).conforms is True


def test_a_broken_shapes_file_is_named_with_its_line(make: MakeShapes) -> None:
    with pytest.raises(RdfSyntaxError, match=r"shapes\.ttl:2:"):
        make(HEAD + "ex:S a .")


def test_shapes_that_shacl_does_not_allow_are_refused(make: MakeShapes) -> None:
    with pytest.raises(InputError, match="shapes cannot be used"):
        make(HEAD + "ex:S a sh:NodeShape; sh:targetClass ex:Person; sh:property [sh:minCount 1] .").validate(
            GOOD, timeout_s=30
        )


@pytest.mark.parametrize(
    ("datatype", "value", "conforms"),
    [
        ("xsd:int", '"7"^^xsd:int', True),
        ("xsd:byte", '"300"^^xsd:byte', False),
        ("xsd:positiveInteger", "0", False),
        ("xsd:integer", '"7"^^xsd:short', True),
        ("xsd:decimal", "7", False),
        ("xsd:int", '"7"', False),
        ("xsd:dateTimeStamp", '"2001-01-01T00:00:00Z"^^xsd:dateTimeStamp', True),
        ("xsd:dateTimeStamp", '"2001-01-01T00:00:00"^^xsd:dateTime', False),
    ],
)
def test_a_store_that_widens_a_datatype_makes_no_violation(
    make: MakeShapes, tmp_path: Path, datatype: str, value: str, conforms: bool
) -> None:
    shapes = make(HEAD + f"ex:S sh:targetSubjectsOf ex:age; sh:property [sh:path ex:age; sh:datatype {datatype}] .")
    (tmp_path / "data.ttl").write_text(HEAD + f"ex:a ex:age {value} .")
    store = OxigraphStore.load([tmp_path / "data.ttl"], source="test")
    triples = store.construct("CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }")
    store.close()
    data = "".join(f"{n3(s)} {n3(p)} {n3(o)} .\n" for s, p, o in triples)
    assert shapes.validate(data.encode(), timeout_s=30).conforms is conforms


def test_a_value_that_is_not_in_focus_is_checked_against_the_shapes_around_it(make: MakeShapes) -> None:
    knows = [f"<{EX}a> <{EX}knows> <{EX}b> .\n".encode(), f"<{EX}b> <{EX}age> 7 .\n".replace("7", '"7"').encode()]
    shapes = make(
        HEAD
        + "ex:S sh:targetSubjectsOf ex:knows; sh:property [sh:path ex:knows; sh:node ex:Old; sh:not ex:Old2] ."
        + "ex:Old sh:property [sh:path ex:age; sh:minCount 1] . ex:Old2 sh:property [sh:path ex:age; sh:minCount 2] ."
    )
    focus = [URIRef(EX + "a")]
    assert shapes.validate(b"".join(knows), focus=focus, timeout_s=30).conforms is True
    (result,) = shapes.validate(knows[0], focus=focus, timeout_s=30).results
    assert result.component == URIRef(SH + "NodeConstraintComponent")


def test_no_node_in_focus_is_nothing_to_check(make: MakeShapes) -> None:
    assert make(AGE).validate(BAD, focus=[], timeout_s=30).conforms is True
    assert make(AGE).validate(BAD, focus=[URIRef(EX + "a")], timeout_s=30).conforms is False


def test_what_a_nested_shape_found_is_a_detail_and_no_result_of_its_own(make: MakeShapes) -> None:
    shapes = make(HEAD + "ex:S sh:targetClass ex:Person; sh:node [sh:property [sh:path ex:age; sh:minCount 1]] .")
    (result,) = shapes.validate(GOOD, timeout_s=30).results
    assert result.component == URIRef(SH + "NodeConstraintComponent")


def test_shapes_that_ask_for_entailment_are_refused(make: MakeShapes) -> None:
    with pytest.raises(InputError, match="shapes cannot be used") as refused:
        make(AGE + "<> sh:entailment <http://www.w3.org/ns/entailment/RDFS> .")
    assert "entailment/RDFS" in str(refused.value)


def test_a_shapes_graph_that_the_data_names_is_not_fetched(make: MakeShapes) -> None:
    named = f"\n<urn:x:data> <{SH}shapesGraph> <http://127.0.0.1:9/shapes.ttl> .".encode()
    assert make(AGE).validate(GOOD + named, timeout_s=30).conforms is True
    assert make(AGE).validate(BAD + named, timeout_s=30).conforms is False


def test_a_deactivated_shape_finds_nothing(make: MakeShapes) -> None:
    assert make(AGE + "ex:PersonShape sh:deactivated true .").validate(BAD, timeout_s=30).conforms is True
    assert make(AGE + "ex:PersonShape sh:deactivated false .").validate(BAD, timeout_s=30).conforms is False


def test_the_message_and_the_severity_of_a_shape_are_its_results(make: MakeShapes) -> None:
    told = "[sh:path ex:age; sh:datatype xsd:integer; sh:severity ex:Odd; sh:message 'An age is a number.']"
    (result,) = make(HEAD + f"ex:S sh:targetClass ex:Person; sh:property {told} .").validate(BAD, timeout_s=30).results
    assert (result.severity, result.message) == (URIRef(EX + "Odd"), "An age is a number.")


def test_blank_nodes_of_the_data_are_focus_nodes_where_all_is_checked(make: MakeShapes) -> None:
    (result,) = make(AGE).validate(BAD.replace(f"<{EX}a>".encode(), b"_:a"), timeout_s=30).results
    assert isinstance(result.focus, BNode)


@pytest.mark.parametrize("shapes", [AGE, HEAD + "ex:S a .", HEAD + "ex:S sh:targetClass ex:P; sh:property [] ."])
def test_rdflib_here_reads_literals_as_before(make: MakeShapes, shapes: str) -> None:
    before = rdflib.NORMALIZE_LITERALS
    with suppress(InputError, RdfSyntaxError):
        make(shapes).validate(BAD, timeout_s=30)
    assert before == rdflib.NORMALIZE_LITERALS
    assert Literal("1", datatype=XSD.boolean).value is True
    assert str(Literal("01", datatype=XSD.integer, normalize=True)) == "1"
