"""Descriptions: every node gets a name from the graph, in the preferred language, by whatever names it there."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgllm.descriptions import DESCRIPTION_CAP, Description, Value, describe_graph, is_name_like, values_of
from kgllm.engines.oxigraph import OxigraphStore
from kgllm.ontology_reading import read_ontology
from kgllm.terms import Literal, URIRef

EX = "http://example.org/"
PREFIXES = f"""@prefix ex: <{EX}> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
"""
CITIES = f"""
ex:Vienna a ex:City ; rdfs:label "Wien"@de, "Vienna"@en ; skos:altLabel "Vindobona" ; rdfs:comment "A capital."@en .
ex:Graz a ex:City ; rdfs:label "Graz"@de ; ex:motto "Menschenrechte" ; ex:country ex:Austria .
ex:LinzOnTheDanube a ex:City ; ex:country ex:Austria ; ex:mayor ex:Vienna .
ex:Austria ex:officialName "Republic of Austria" ; ex:prose "{"word " * 50}" .
ex:Long rdfs:label "Long" ; rdfs:comment "{"x" * 3000}" .
_:blank rdfs:label "no IRI" .
ex:Twin rdfs:label "Twin", "  Twin\\n " .
"""


class Described:
    """What a text in Turtle is described as."""

    def __init__(self, folder: Path, text: str, languages: tuple[str, ...] = ("en", ""), **options: object) -> None:
        (folder / "graph.ttl").write_text(PREFIXES + text)
        store = OxigraphStore.load([folder / "graph.ttl"], source="test")
        ontology = read_ontology([store], languages=languages)
        self.all = describe_graph(store, ontology, languages=languages, **options)  # type: ignore[arg-type]
        self.values: list[Value] = values_of(store, ontology)
        store.close()

    def __getitem__(self, name: str) -> Description:
        (found,) = [description for description in self.all if description.iri == URIRef(EX + name)]
        return found


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> Described:
    return Described(tmp_path_factory.mktemp("cities"), CITIES)


def test_the_label_is_in_the_preferred_language_and_the_others_are_names_too(cities: Described) -> None:
    assert cities["Vienna"].label == "Vienna"
    assert {name for name, _ in cities["Vienna"].names} == {"Vienna", "Wien", "Vindobona"}


def test_other_languages_are_preferred_on_demand(tmp_path: Path) -> None:
    assert Described(tmp_path, CITIES, languages=("de",))["Vienna"].label == "Wien"


def test_a_label_in_another_language_is_better_than_none(cities: Described) -> None:
    assert cities["Graz"].label == "Graz"


def test_without_a_label_the_local_name_names_a_node_as_it_is_and_in_words(cities: Described) -> None:
    assert {name for name, _ in cities["LinzOnTheDanube"].names} == {"LinzOnTheDanube", "linz on the danube"}


def test_a_property_that_is_called_a_name_names_what_has_no_label(cities: Described) -> None:
    assert cities["Austria"].label == "Republic of Austria"


@pytest.mark.parametrize(("local", "names"), [("officialName", True), ("title", True), ("renamed", False)])
def test_a_property_is_name_like_by_its_last_word(local: str, names: bool) -> None:
    assert is_name_like(URIRef(EX + local)) is names


def test_what_is_embedded_is_name_and_description_or_else_name_class_and_facts(cities: Described) -> None:
    assert cities["Vienna"].text == "Vienna: A capital."
    assert cities["Graz"].text == "Graz (city)"
    assert "country Republic of Austria" in cities["LinzOnTheDanube"].text


def test_a_description_is_capped(cities: Described) -> None:
    assert len(cities["Long"].text) == DESCRIPTION_CAP


def test_blank_space_in_names_does_not_make_two_of_them(cities: Described) -> None:
    assert cities["Twin"].names == (("Twin", ""),)


def test_classes_come_first_then_properties_then_nodes_each_once(cities: Described) -> None:
    kinds = [description.kind for description in cities.all]
    assert kinds == sorted(kinds, key=["class", "property", "node"].index)
    iris = [description.iri for description in cities.all]
    assert len(iris) == len(set(iris))


def test_blank_nodes_are_not_described(cities: Described) -> None:
    assert "no IRI" not in {description.label for description in cities.all}


def test_popularity_counts_the_triples_of_a_node(cities: Described) -> None:
    assert cities["Austria"].popularity == 4
    assert cities["Long"].popularity == 2


def test_types_are_those_that_are_stated(cities: Described) -> None:
    assert cities["Graz"].types == (URIRef(EX + "City"),)
    assert cities["Austria"].types == ()


def test_properties_that_describe_can_be_named(tmp_path: Path) -> None:
    described = Described(tmp_path, CITIES, describe_with=[URIRef(EX + "motto")])
    assert described["Graz"].label == "Menschenrechte"


def test_short_strings_are_values_and_prose_and_labels_are_not(cities: Described) -> None:
    found = {(value.property.removeprefix(EX), str(value.literal)) for value in cities.values}
    assert ("motto", "Menschenrechte") in found
    assert not {property for property, _ in found} & {"prose", "http://www.w3.org/2000/01/rdf-schema#label"}
    (motto,) = [value for value in cities.values if value.property == URIRef(EX + "motto")]
    assert motto == Value(URIRef(EX + "motto"), Literal("Menschenrechte"), 1)


def test_names_that_are_stated_apart_are_one_name_but_only_where_there_is_no_other(tmp_path: Path) -> None:
    apart = 'ex:{} ex:givenName "Ada" ; ex:familyName "Lovelace" ; ex:title "Countess"'
    people = Described(tmp_path, f'{apart.format("ada")} .\n{apart.format("named")} ; rdfs:label "Lady Lovelace" .\n')
    assert people["ada"].label == "Ada Lovelace"
    assert {"Ada", "Lovelace", "Countess"} < {name for name, _ in people["ada"].names}
    assert people["named"].label == "Lady Lovelace"
    assert "Ada Lovelace" not in {name for name, _ in people["named"].names}


def test_a_given_name_without_a_family_name_stands_alone(tmp_path: Path) -> None:
    people = Described(tmp_path, 'ex:ada ex:givenName "Ada" . ex:bob ex:givenName "Bob" ; ex:familyName "Ross" .\n')
    assert (people["ada"].label, people["bob"].label) == ("Ada", "Bob Ross")


def test_what_has_only_its_iri_is_bare(cities: Described) -> None:
    assert cities["LinzOnTheDanube"].is_bare
    assert not cities["Graz"].is_bare, "it has a label, if in another language"
    assert not cities["Austria"].is_bare, "it has an official name"
    assert not cities["City"].is_bare, "it is a class"
