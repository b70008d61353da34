"""Relation paths: what the observed schema allows, walked at the level of classes."""

from __future__ import annotations

import pytest

from kgllm.engines.oxigraph import OxigraphStore
from kgllm.ontology_reading import read_ontology
from kgllm.paths import Place, RelationPath, SchemaGraph, Step
from kgllm.query import Query, TriplePattern, Variable
from kgllm.terms import Literal, URIRef

EX = "http://example.org/"
FILMS = f"""@prefix ex: <{EX}> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
ex:alien a ex:Film ; ex:director ex:scott ; ex:lead ex:weaver ; ex:year 1979 ; ex:tag "space" .
ex:heat a ex:Film ; ex:director ex:mann ; ex:extra ex:kim .
ex:scott a ex:Person ; ex:born ex:shields . ex:mann a ex:Person . ex:weaver a ex:Person . ex:kim a ex:Person .
ex:shields a ex:Town .
ex:loner ex:follows ex:other .
ex:lead rdfs:subPropertyOf ex:actor . ex:extra rdfs:subPropertyOf ex:actor .
"""


def ex(name: str) -> URIRef:
    return URIRef(EX + name)


FILM: Place = frozenset({ex("Film")})
PERSON: Place = frozenset({ex("Person")})


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> SchemaGraph:
    file = tmp_path_factory.mktemp("films") / "films.ttl"
    file.write_text(FILMS)
    store = OxigraphStore.load([file], source="films")
    ontology = read_ontology([store], languages=("en", ""))
    store.close()
    return SchemaGraph(ontology)


def one(schema: SchemaGraph, start: Place) -> dict[tuple[str, bool], RelationPath]:
    return {
        (path.steps[0].property.removeprefix(EX), path.steps[0].inverse): path
        for path in schema.extend(RelationPath(), start)
    }


def test_a_step_leads_to_the_classes_at_its_other_end(schema: SchemaGraph) -> None:
    steps = one(schema, FILM)
    assert steps["director", False].end == PERSON
    assert one(schema, PERSON)["director", True].end == FILM


def test_a_step_that_the_data_never_shows_is_not_walked(schema: SchemaGraph) -> None:
    assert ("director", False) not in one(schema, PERSON)
    assert ("born", False) not in one(schema, FILM)


def test_literals_end_a_path(schema: SchemaGraph) -> None:
    year = one(schema, FILM)["year", False]
    assert year.literal
    assert list(schema.extend(year, FILM)) == []


def test_a_superproperty_stands_for_the_properties_below_it(schema: SchemaGraph) -> None:
    actor = one(schema, FILM)["actor", False].steps[0]
    assert set(actor.members) == {ex("lead"), ex("extra")}
    assert one(schema, FILM)["lead", False].steps[0].members == ()


def test_nodes_of_no_class_have_a_place_too(schema: SchemaGraph) -> None:
    assert schema.place_of([]) == frozenset({None})
    assert ("follows", False) in one(schema, schema.place_of([]))


def test_a_value_leads_back_to_the_nodes_that_have_it(schema: SchemaGraph) -> None:
    path = schema.into_value(ex("tag"))
    assert path.end == FILM
    assert path.steps == (Step(ex("tag"), inverse=True),)


def test_a_path_is_a_chain_of_patterns_through_variables_of_its_own(schema: SchemaGraph) -> None:
    director = one(schema, FILM)["director", False]
    born = next(path for path in schema.extend(director, FILM) if path.steps[1] == Step(ex("born"), inverse=False))
    group = born.group(ex("alien"), Variable("x"), prefix="a")
    assert group.patterns == (
        TriplePattern(ex("alien"), ex("director"), Variable("a1")),
        TriplePattern(Variable("a1"), ex("born"), Variable("x")),
    )
    Query("select", group, (Variable("x"),))


def test_members_become_the_values_of_the_property(schema: SchemaGraph) -> None:
    group = one(schema, FILM)["actor", False].group(ex("alien"), Variable("x"), prefix="a")
    (pattern,) = group.patterns
    (values,) = group.values
    assert pattern.predicate == values.variable
    assert set(values.terms) == {ex("lead"), ex("extra")}


def test_a_path_that_turns_back_knows_it(schema: SchemaGraph) -> None:
    director = one(schema, FILM)["director", False]
    back = next(path for path in schema.extend(director, FILM) if path.steps[1] == Step(ex("director"), inverse=True))
    assert back.ends_on_return
    assert not director.ends_on_return


def test_a_literal_is_no_subject() -> None:
    with pytest.raises(ValueError, match="literal"):
        Step(ex("tag"), inverse=False).group(Literal("space"), Variable("x"), name="p")
