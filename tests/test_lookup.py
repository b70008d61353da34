"""Look up: which node a text names, and what is shown of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kgllm.errors import IncompleteDataError
from kgllm.lookup import NodeView, find, show
from kgllm.ontology import RDF_TYPE
from kgllm.protocols import Rows
from kgllm.sources import resolve
from kgllm.terms import Literal, URIRef
from kgllm.workspace import Workspace

EX = "http://example.org/"
GRAPH = f"""
@prefix ex: <{EX}> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
ex:Paris a ex:City ; rdfs:label "Paris"@en, "Parigi"@it ; skos:altLabel "City of Light" ;
    rdfs:comment "The capital of France." ; ex:country ex:France .
ex:Paris_Texas a ex:City ; rdfs:label "Paris"@en .
ex:Lyon a ex:City ; rdfs:label "Lyon" ; ex:country ex:France .
ex:France rdfs:label "France"@en ; ex:continent ex:Europe .
ex:Eiffel_Tower ex:in ex:Paris .
ex:Evil rdfs:label "red\\u001b[31m\\u202e" .
"""
ONTOLOGY = f"""
@prefix ex: <{EX}> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
ex:City a owl:Class ; rdfs:label "municipality" ; rdfs:comment "Where many live." ; rdfs:subClassOf ex:Place .
"""

Open = Callable[[str], Workspace]


@pytest.fixture
def open_graph(tmp_path: Path) -> Iterator[Open]:
    opened: list[Workspace] = []

    def open_graph(text: str) -> Workspace:
        (tmp_path / "graph.ttl").write_text(text)
        (tmp_path / "ontology.ttl").write_text(ONTOLOGY)
        files = (tmp_path / "ontology.ttl",)
        opened.append(Workspace(resolve(tmp_path / "graph.ttl"), tmp_path / "index", ontology_files=files))
        return opened[-1]

    yield open_graph
    for workspace in opened:
        workspace.close()


@pytest.fixture
def cities(open_graph: Open) -> Workspace:
    return open_graph(GRAPH)


def viewed(workspace: Workspace, node: str, *, hops: int = 1, limit: int = 50) -> NodeView:
    view = show(workspace, node, hops=hops, limit=limit)
    assert view is not None
    return view


def test_what_the_store_cuts_is_refused_or_marked(cities: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert viewed(cities, "Lyon", hops=2).rings[0].complete
    select = cities.store.select

    def cut(part: str) -> None:
        def select_cut(sparql: str, **named: object) -> Rows:
            rows = select(sparql, **named)  # type: ignore[arg-type]
            return replace(rows, complete=part not in sparql)

        monkeypatch.setattr(cities.store, "select", select_cut)

    cut("SELECT DISTINCT ?s ?p ?o")
    assert not viewed(cities, "Lyon", hops=2).rings[0].complete
    for counted in ("SELECT ?p (COUNT", "SELECT DISTINCT ?s WHERE"):
        cut(counted)
        with pytest.raises(IncompleteDataError):
            show(cities, "Lyon")


@pytest.mark.parametrize(
    "name",
    [EX + "Lyon", f"<{EX}Lyon>", "ex:Lyon", "Lyon", "lyon", "  LYON "],
)
def test_an_iri_a_curie_and_a_label_name_the_same_node(cities: Workspace, name: str) -> None:
    assert find(cities, name) == [URIRef(EX + "Lyon")]
    assert viewed(cities, name).label == "Lyon"


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("Parigi", "Paris"),
        ("city of light", "Paris"),
        ("Eiffel Tower", "Eiffel_Tower"),
        ("eiffel tower", "Eiffel_Tower"),
        ("Municipality", "City"),
        ("ex:country", "country"),
    ],
)
def test_other_languages_aliases_local_names_and_the_ontology_name_nodes_too(
    cities: Workspace, name: str, local: str
) -> None:
    assert viewed(cities, name).iri == URIRef(EX + local)


@pytest.mark.parametrize("name", ["Atlantis", "ex:Atlantis", EX + "Atlantis", "", "<no iri>", 'say "x" . }'])
def test_what_nothing_is_called_is_not_found(cities: Workspace, name: str) -> None:
    assert show(cities, name) is None
    assert find(cities, name) == []


def test_of_two_of_a_name_the_more_popular_is_shown_and_the_other_told_of(cities: Workspace) -> None:
    view = viewed(cities, "Paris")
    assert (view.iri, view.others) == (URIRef(EX + "Paris"), (URIRef(EX + "Paris_Texas"),))
    assert "of the same name: ex:Paris_Texas" in str(view)


def test_part_of_a_name_is_a_candidate_and_not_the_node(cities: Workspace) -> None:
    assert show(cities, "light city") is None
    assert find(cities, "light city") == [URIRef(EX + "Paris")]


def test_facts_are_told_in_both_directions(cities: Workspace) -> None:
    view = viewed(cities, "ex:Paris")
    outgoing = {facts.property: facts.nodes for facts in view.outgoing}
    assert outgoing[URIRef(EX + "country")] == (URIRef(EX + "France"),)
    assert set(outgoing[URIRef("http://www.w3.org/2000/01/rdf-schema#label")]) == {
        Literal("Paris", lang="en"),
        Literal("Parigi", lang="it"),
    }
    (incoming,) = view.incoming
    assert (incoming.property, incoming.nodes) == (URIRef(EX + "in"), (URIRef(EX + "Eiffel_Tower"),))
    assert (view.description, view.types) == ("The capital of France.", (URIRef(EX + "City"),))
    lines = str(view).splitlines()
    assert lines[0] == 'ex:Paris ! "Paris"   a ex:City'
    assert any(line.split() == ["->", "ex:country", "ex:France", "!", '"France"'] for line in lines)
    assert any(line.split() == ["<-", "ex:in", "ex:Eiffel_Tower"] for line in lines)


def test_a_class_of_the_ontology_is_shown_with_what_the_ontology_says(cities: Workspace) -> None:
    view = viewed(cities, "ex:City")
    assert (view.label, view.description) == ("municipality", "Where many live.")
    assert "rdfs:subClassOf" in str(view)
    assert [(facts.property, facts.count) for facts in view.incoming] == [(RDF_TYPE, 3)]


def test_many_facts_are_counted_and_each_property_keeps_its_part(open_graph: Open) -> None:
    many = " ".join(f"ex:hub ex:has ex:n{n} ." for n in range(100))
    hub = open_graph(f"@prefix ex: <{EX}> . {many} ex:hub ex:owner ex:me .")
    view = viewed(hub, "ex:hub", limit=10)
    shown = {str(facts.property): (len(facts.nodes), facts.count) for facts in view.outgoing}
    assert shown == {EX + "has": (9, 100), EX + "owner": (1, 1)}
    assert "… and 91 more" in str(view)


def test_rings_hold_what_is_further_away_once(cities: Workspace) -> None:
    assert viewed(cities, "ex:Paris").rings == ()
    second, third = viewed(cities, "ex:Eiffel_Tower", hops=3).rings
    assert second.triples == ((URIRef(EX + "Paris"), URIRef(EX + "country"), URIRef(EX + "France")),)
    assert {triple[0] for triple in third.triples} == {URIRef(EX + "France"), URIRef(EX + "Lyon")}
    assert (second.complete, third.complete) == (True, True)
    assert "3 hops away" in str(viewed(cities, "ex:Eiffel_Tower", hops=3))
    assert not viewed(cities, "ex:Eiffel_Tower", hops=3, limit=1).rings[1].complete


def test_text_of_the_graph_cannot_steer_the_terminal(cities: Workspace) -> None:
    written = str(viewed(cities, "ex:Evil"))
    assert "\x1b" not in written
    assert "\u202e" not in written


def test_a_view_is_json(cities: Workspace) -> None:
    data = json.loads(json.dumps(viewed(cities, "Paris", hops=2).to_json()))
    assert data["iri"] == f"<{EX}Paris>"
    assert {"property": f"<{EX}country>", "nodes": [f"<{EX}France>"], "count": 1} in data["outgoing"]
    assert data["labels"][f"<{EX}France>"] == "France"
