"""Overview: the counts are those of the graph, and the VoID is VoID."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest

from kgllm.errors import IncompleteDataError
from kgllm.overview import overview
from kgllm.sources import resolve
from kgllm.terms import URIRef
from kgllm.workspace import Workspace

EX = "http://example.org/"
XSD = "http://www.w3.org/2001/XMLSchema#"
YEARS = (1999, 1987, 2020)
VOID = "http://rdfs.org/ns/void#"
GRAPH = f"""
@prefix ex: <{EX}> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix unused: <http://example.com/> .
ex:rex a ex:Dog ; rdfs:label "Rex"@en, "Rex"@de ; ex:owner ex:ann ; ex:age 7 .
ex:fido a ex:Dog ; rdfs:label "Fido" ; ex:owner ex:ann .
ex:ann a ex:Person .
"""

Open = Callable[..., Workspace]


@pytest.fixture
def open_graph(tmp_path: Path) -> Iterator[Open]:
    opened: list[Workspace] = []

    def open_graph(text: str = GRAPH, *, ontology: str = "") -> Workspace:
        (tmp_path / "graph.ttl").write_text(text)
        (tmp_path / "ontology.ttl").write_text(ontology)
        files = (tmp_path / "ontology.ttl",) if ontology else ()
        opened.append(Workspace(resolve(tmp_path / "graph.ttl"), tmp_path / "index", ontology_files=files))
        return opened[-1]

    yield open_graph
    for workspace in opened:
        workspace.close()


def test_everything_is_counted(open_graph: Open) -> None:
    found = overview(open_graph())
    assert (found.source, found.triples, found.nodes, found.subjects, found.unnamed) == ("graph", 9, 5, 3, 1)
    assert [(c.iri, c.label, c.count) for c in found.classes] == [
        (URIRef(EX + "Dog"), "dog", 2),
        (URIRef(EX + "Person"), "person", 1),
    ]
    owner = next(p for p in found.properties if p.iri == URIRef(EX + "owner"))
    assert (owner.count, owner.domains, owner.ranges) == (2, (URIRef(EX + "Dog"),), (URIRef(EX + "Person"),))
    assert found.languages == {"": 1, "de": 1, "en": 1}
    assert set(found.prefixes) == {"ex", "rdf", "rdfs"}


def test_counts_of_a_part_are_not_told_of_the_whole(open_graph: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = open_graph()
    workspace.ontology  # noqa: B018  # read while the store is still whole
    select = workspace.store.select
    monkeypatch.setattr(workspace.store, "select", lambda *given, **named: select(*given, **named | {"limit": 1}))
    with pytest.raises(IncompleteDataError, match="cut a result at 1 rows"):
        overview(workspace)


def test_an_ontology_that_says_something_is_stated_and_else_it_is_observed(open_graph: Open) -> None:
    assert overview(open_graph()).ontology == "observed"
    stated = f"<{EX}owner> <http://www.w3.org/2000/01/rdf-schema#range> <{EX}Person> ."
    assert overview(open_graph(ontology=stated)).ontology == "stated"


def test_void_is_turtle_and_says_the_counts(open_graph: Open) -> None:
    store = ox.Store()
    store.load(overview(open_graph()).to_void().encode(), format=ox.RdfFormat.TURTLE)

    def ask(pattern: str) -> bool:
        return bool(store.query(f"PREFIX void: <{VOID}> PREFIX ex: <{EX}> ASK {{ {pattern} }}"))

    assert ask("?d a void:Dataset ; void:triples 9 ; void:entities 5 ; void:classes 2 ; void:vocabulary ex:")
    assert ask("?d void:classPartition [ void:class ex:Dog ; void:entities 2 ]")
    assert ask("?d void:propertyPartition [ void:property ex:owner ; void:triples 2 ]")
    assert not ask("?d void:classPartition [ void:class ex:Dog ; void:entities 3 ]")
    assert not ask("?d void:sparqlEndpoint ?e")


def test_one_screen_and_json_say_the_same(open_graph: Open) -> None:
    found = overview(open_graph())
    written = str(found)
    assert "9 triples, 5 nodes" in written
    assert 'ex:owner ! "owner"   ex:Dog → ex:Person' in written
    assert "1 of 3 subjects have none" in written
    data = json.loads(json.dumps(found.to_json()))
    assert (data["triples"], data["classes"][0]) == (
        9,
        {"iri": f"<{EX}Dog>", "label": "dog", "count": 2, "examples": ["Fido", "Rex"]},
    )
    assert 'ex:Dog ! "dog"   Fido, Rex\n' in written


def test_where_no_prefix_shortens_a_class_its_label_stands(open_graph: Open) -> None:
    bare = f"<{EX}rex> a <{EX}Dog> ; <{EX}owner> <{EX}ann> . <{EX}ann> a <{EX}Person> ."
    assert f'<{EX}owner> ! "owner"   dog → person' in str(overview(open_graph(bare)))


def test_a_wide_graph_still_fits_one_screen(open_graph: Open) -> None:
    wide = "\n".join(f"<{EX}s> <{EX}p{n}> <{EX}o> . <{EX}n{n}> a <{EX}C{n}> ." for n in range(50))
    written = str(overview(open_graph(wide)))
    assert len(written.splitlines()) < 40
    assert "… and 38 more" in written


def test_text_of_the_graph_cannot_steer_the_terminal(open_graph: Open) -> None:
    label = '"cl\\u001b[31mass"'
    evil = f"<{EX}a> a <{EX}C> . <{EX}C> <http://www.w3.org/2000/01/rdf-schema#label> {label} ."
    assert "\x1b" not in str(overview(open_graph(evil)))


def test_it_tells_the_dates_that_are_covered_and_what_one_can_ask(open_graph: Open) -> None:
    dates = "".join(f'ex:d{n} a ex:Dog ; ex:birthDate "{year}-01-02"^^<{XSD}date> .\n' for n, year in enumerate(YEARS))
    found = overview(open_graph(GRAPH + dates))
    assert [(d.label, d.first, d.last) for d in found.dates] == [("birth date", "1987-01-02", "2020-01-02")]
    assert "Which dog has the latest birth date?" in found.questions
    assert "birth date 1987-01-02 to 2020-01-02" in str(found)
    assert "one can ask\n  " in str(found)
    without = overview(open_graph())
    assert without.dates == ()
    assert "dates " not in str(without)
    assert json.loads(json.dumps(found.to_json()))["questions"] == list(found.questions)
