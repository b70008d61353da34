"""SHACL in a worker: what it finds, what it refuses, and that it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kgllm.engines.shacl import Shapes
from kgllm.errors import InputError, RdfSyntaxError
from kgllm.terms import Literal, URIRef

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

    def make(text: str, *, ontology: bytes = b"") -> Shapes:
        file = tmp_path / "shapes.ttl"
        file.write_text(text)
        made.append(Shapes([file], ontology=ontology))
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


def test_the_ontology_says_which_class_is_under_which(make: MakeShapes) -> None:
    data = BAD.replace(b"Person>", b"Astronaut>")
    ontology = f"<{EX}Astronaut> <http://www.w3.org/2000/01/rdf-schema#subClassOf> <{EX}Person> .".encode()
    assert make(AGE).validate(data, timeout_s=30).conforms is True
    assert make(AGE, ontology=ontology).validate(data, timeout_s=30).conforms is False


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
