"""Explain: why a triple holds is shown back to what was asserted, and what does not hold is not explained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kgllm.errors import InputError
from kgllm.explain import explain
from kgllm.sources import resolve
from kgllm.workspace import Workspace
from tests.turtle import PREFIXES

ONTOLOGY = """
:in a owl:ObjectProperty, owl:TransitiveProperty ; rdfs:label "in" ; owl:inverseOf :has .
:capitalOf rdfs:label "capital of" ; rdfs:subPropertyOf :in .
:has a owl:ObjectProperty ; rdfs:label "has" .
:City rdfs:subClassOf :Place ; rdfs:label "city" . :Place a owl:Class ; rdfs:label "place" .
:Capital rdfs:label "capital" ; owl:equivalentClass [
  a owl:Restriction ; owl:onProperty :capitalOf ; owl:someValuesFrom owl:Thing ] .
"""
GRAPH = """
:mitte rdfs:label "Mitte" ; :in :berlin . :berlin a :City ; rdfs:label "Berlin" ; :capitalOf :germany ; :mayor "Kai" .
:germany rdfs:label "Germany" ; :in :europe . :europe rdfs:label "Europe" . :bonn rdfs:label "Bonn" ; :near :germany .
"""


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "graph.ttl").write_text(PREFIXES + GRAPH)
    (tmp_path / "ontology.ttl").write_text(PREFIXES + ONTOLOGY)
    workspace = Workspace(
        resolve(tmp_path / "graph.ttl"), tmp_path / "index", ontology_files=(tmp_path / "ontology.ttl",)
    )
    yield workspace
    workspace.close()


def test_what_is_stated_is_asserted(places: Workspace) -> None:
    found = explain(places, "Mitte", "in", "Berlin")
    assert (found.status, [derivation for _, derivation in found.steps]) == ("asserted", [None])
    assert str(found) == ':mitte ! "Mitte"  :in ! "in"  :berlin ! "Berlin"   (asserted)'


def test_what_follows_over_several_steps_is_led_back_to_what_was_asserted(places: Workspace) -> None:
    found = explain(places, "europe", "has", "Mitte")
    assert found.status == "entailed"
    rules = [derivation.rule if derivation else None for _, derivation in found.steps]
    assert rules[-1] == "prp-inv1"
    assert set(rules) == {None, "prp-spo1", "prp-trp", "prp-inv1"}
    asserted = [line for line in str(found).splitlines() if line.endswith("(asserted)")]
    assert len(asserted) == 3
    assert ':in ! "in"  owl:inverseOf  :has ! "has"   (ontology)' in str(found)


def test_a_class_is_explained_and_an_expression_is_told_in_words(places: Workspace) -> None:
    assert explain(places, "Berlin", "a", ":Place").status == "entailed"
    found = explain(places, "Berlin", "a", "capital")
    assert found.status == "entailed"
    assert "owl:equivalentClass  something with capital of some" in str(found)


@pytest.mark.parametrize(
    ("subject", "predicate", "object_"),
    [("Bonn", "capital of", "Germany"), ("Europe", "in", "Mitte"), ("Mitte", "a", ":Place"), ("Bonn", "in", "Europe")],
)
def test_what_does_not_hold_has_no_steps(places: Workspace, subject: str, predicate: str, object_: str) -> None:
    found = explain(places, subject, predicate, object_)
    assert (found.status, found.steps) == ("unsupported", ())
    assert "nor does it follow" in str(found)


def test_an_object_may_be_a_literal(places: Workspace) -> None:
    assert explain(places, "Berlin", ":mayor", "Kai").status == "asserted"
    assert explain(places, "Berlin", ":mayor", '"Kai"').status == "asserted"
    assert explain(places, "Berlin", ":mayor", '"Otto"').status == "unsupported"


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("Atlantis", "in", "Europe"), "no node Atlantis"),
        (("Bonn", "loves", "Europe"), "no property loves"),
        (("Bonn", "in", "Atlantis"), "no node Atlantis"),
        (("Bonn", "Berlin", "Europe"), "no property Berlin"),
    ],
)
def test_a_name_that_the_graph_does_not_have_is_told(
    places: Workspace, names: tuple[str, str, str], missing: str
) -> None:
    with pytest.raises(InputError, match=missing):
        explain(places, *names)
