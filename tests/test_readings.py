"""Readings: what is said of one thing is asked of one thing, values are read as such, and no limit is left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kgllm import Assistant
from kgllm.link import link
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.query import Variable
from kgllm.similarity import Vocabulary
from tests.asking import named

PRIZES = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
:Laureate a rdfs:Class ; rdfs:label "laureate" . :Prize a rdfs:Class ; rdfs:label "prize" .
:Field a rdfs:Class ; rdfs:label "field" . :City a rdfs:Class ; rdfs:label "city" .
:awarded_to rdfs:label "winner" . :in_field rdfs:label "category" . :year rdfs:label "year" .
:gender rdfs:label "gender" . :birth_date rdfs:label "birth date" . :birth_place rdfs:label "birth place" .
:given_name rdfs:label "given name" .
:physics a :Field ; rdfs:label "physics" . :chemistry a :Field ; rdfs:label "chemistry" .
:p1 a :Prize ; rdfs:label "Prize 1" ; :in_field :physics ; :year "1903" ; :awarded_to :marie , :pierre .
:p2 a :Prize ; rdfs:label "Prize 2" ; :in_field :chemistry ; :year "1921" ; :awarded_to :marie .
:p3 a :Prize ; rdfs:label "Prize 3" ; :in_field :physics ; :year "1921" ; :awarded_to :albert .
:p4 a :Prize ; rdfs:label "Prize 4" ; :in_field :physics ; :year "1963" ; :awarded_to :maria .
:marie a :Laureate ; rdfs:label "Marie Curie, née Sklodowska" ; :given_name "Marie" ; :gender "female" ;
  :birth_date "1867-11-07"^^xsd:date ; :birth_place :warsaw .
:pierre a :Laureate ; rdfs:label "Pierre Curie" ; :given_name "Pierre" ; :gender "male" ;
  :birth_date "1859-05-15"^^xsd:date ; :birth_place :paris .
:albert a :Laureate ; rdfs:label "Albert Einstein" ; :given_name "Albert" ; :gender "male" ;
  :birth_date "1879-03-14"^^xsd:date ; :birth_place :ulm .
:maria a :Laureate ; rdfs:label "Maria Mayer" ; :given_name "Maria" ; :gender "female" ;
  :birth_date "1906-06-28"^^xsd:date ; :birth_place :kattowitz .
:warsaw a :City ; rdfs:label "Warsaw" . :paris a :City ; rdfs:label "Paris" . :ulm a :City ; rdfs:label "Ulm" .
:kattowitz a :City ; rdfs:label "Kattowitz" .
"""
MARIE = "Marie Curie, née Sklodowska"


@pytest.fixture(scope="module")
def prizes(open_cached: Callable[..., Assistant]) -> Assistant:
    """Four prizes, whose years are text, and their laureates."""
    return open_cached(PRIZES)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        # Marie Curie has a prize in physics and a prize of 1921, but they are two
        ("Who won the physics prize in 1921?", ["Albert Einstein"]),
        ("Who won the chemistry prize in 1921?", [MARIE]),
        ("Who won the physics prize in 1903?", [MARIE, "Pierre Curie"]),
    ],
)
def test_what_two_names_say_of_a_thing_is_asked_of_one_thing(
    prizes: Assistant, question: str, names: list[str]
) -> None:
    assert named(prizes, question) == names


def test_of_two_values_of_one_property_neither_thing_is_the_other(prizes: Assistant) -> None:
    planner = EmbeddedPlanner(Vocabulary(prizes.index))
    question = "Who won the physics prize and the chemistry prize?"
    readings = [r.query.where.patterns for r in planner.plan(link(question, vocabulary=planner.vocabulary))]
    ways = [{pattern.subject for pattern in patterns} for patterns in readings if len(patterns) == 4]
    assert {Variable("a1"), Variable("b1")} in ways  # a prize for one, another for the other
    assert {Variable("a1")} not in ways


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Which women won the physics prize?", ["Maria Mayer", MARIE]),
        ("Which men won the physics prize?", ["Albert Einstein", "Pierre Curie"]),
        ("Which men won the physics prize in 1921?", ["Albert Einstein"]),
        ("Which female laureates were born in Warsaw?", [MARIE]),
        ("Which male laureates were born in Warsaw?", []),
        ("Who won the physics prize in 1922?", []),  # no year means another one that is like it
    ],
)
def test_a_value_limits_the_answers_by_its_name_or_its_meaning(
    prizes: Assistant, question: str, names: list[str]
) -> None:
    assert named(prizes, question) == names


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Which laureates were born after 1903?", ["Maria Mayer"]),  # 1903 is the year of a prize, too
        ("Which laureates were born between 1860 and 1880?", ["Albert Einstein", MARIE]),
        ("Which laureates were born in the 1870s?", ["Albert Einstein"]),
        ("Which laureates were born in 1906?", ["Maria Mayer"]),
        ("Which prizes are from 1910 to 1930?", ["Prize 2", "Prize 3"]),
    ],
)
def test_a_number_that_others_are_compared_with_names_nothing(
    prizes: Assistant, question: str, names: list[str]
) -> None:
    assert named(prizes, question) == names


@pytest.mark.parametrize("question", ["Which cities were founded after 1903?", "Which fields are larger than 20?"])
def test_a_limit_that_nothing_can_be_held_to_is_not_left_out(prizes: Assistant, question: str) -> None:
    assert prizes.ask(question).abstained


@pytest.mark.parametrize(
    ("question", "is_so"),
    [
        ("Was Albert Einstein born between 1860 and 1870?", False),
        ("Was Albert Einstein born between 1870 and 1880?", True),
        ("Was Albert Einstein born in the 1860s?", False),
        ("Was Albert Einstein born after 1870?", True),
    ],
)
def test_a_yes_holds_both_ends_of_a_limit(prizes: Assistant, question: str, is_so: bool) -> None:
    assert (named(prizes, question) == ["true"]) is is_so


def test_a_yes_leaves_no_limit_out(prizes: Assistant) -> None:
    assert named(prizes, "Did Pierre Curie win the physics prize?") == ["true"]
    assert named(prizes, "Did Pierre Curie win the physics prize after 1950?") != ["true"]


def test_a_year_is_no_limit_on_a_name(prizes: Assistant) -> None:
    assert "given_name" not in prizes.ask("Who won the physics prize in 1921?").sparql


def test_a_name_is_found_without_what_its_only_comma_adds(prizes: Assistant) -> None:
    assert named(prizes, "Where was Marie Curie born?") == ["Warsaw"]


@pytest.mark.parametrize(
    ("question", "unread"),
    [
        ("Which laureates were born in Warsaw?", ()),
        ("Which vegetarian laureates were born in Warsaw?", ("vegetarian",)),
    ],
)
def test_words_that_no_part_of_the_query_stands_for_are_told(
    prizes: Assistant, question: str, unread: tuple[str, ...]
) -> None:
    answer = prizes.ask(question)
    assert (named(prizes, question), answer.unread) == ([MARIE], unread)
    assert answer.to_json()["unread"] == list(unread)


BANDS = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Band a rdfs:Class ; rdfs:label "band" . :Person a rdfs:Class ; rdfs:label "person" .
:Album a rdfs:Class ; rdfs:label "album" . :member rdfs:label "member" .
:band rdfs:label "band" . :producer rdfs:label "producer" .
:duo a :Band ; rdfs:label "Duo" ; :member :a , :b . :trio a :Band ; rdfs:label "Trio" ; :member :a , :c , :d .
:solo a :Band ; rdfs:label "Solo" ; :member :d .
:a a :Person ; rdfs:label "Ann" . :b a :Person ; rdfs:label "Ben" . :c a :Person ; rdfs:label "Cleo" .
:d a :Person ; rdfs:label "Dan" .
:one a :Album ; rdfs:label "First Light" ; :band :duo ; :producer :trio , :solo .
:two a :Album ; rdfs:label "Second Sight" ; :band :duo ; :producer :trio , :solo .
"""


@pytest.fixture(scope="module")
def bands(open_cached: Callable[..., Assistant]) -> Assistant:
    """Three bands, two albums of one of them, which the others produced."""
    return open_cached(BANDS)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Which bands have more than 2 members?", ["Trio"]),
        ("Which bands have exactly 2 members?", ["Duo"]),
        ("Which bands have at least two members?", ["Duo", "Trio"]),
        ("Which bands have more than 1 album?", ["Duo"]),  # an album's band, not its more frequent producers
    ],
)
def test_a_number_of_things_is_counted(bands: Assistant, question: str, names: list[str]) -> None:
    assert named(bands, question) == names


PLACES = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Country a rdfs:Class ; rdfs:label "country" . :Lake a rdfs:Class ; rdfs:label "lake" .
:River a rdfs:Class ; rdfs:label "river" . :Airport a rdfs:Class ; rdfs:label "airport" .
:situated rdfs:label "located in" . :flows_into rdfs:label "flows into" . :serves rdfs:label "serves" .
:alba a :Country ; rdfs:label "Alba" . :corra a :Country ; rdfs:label "Corra" .
:blue a :Lake ; rdfs:label "Blue Lake" ; :situated :alba . :deep a :Lake ; rdfs:label "Deep Water" ; :situated :corra .
:rill a :River ; rdfs:label "Rill" ; :situated :alba ; :flows_into :deep .
:field a :Airport ; rdfs:label "Airfield" ; :situated :alba ; :serves :alba .
"""


def test_a_class_limits_what_leads_to_a_name_whatever_else_does(open_cached: Callable[..., Assistant]) -> None:
    kg = open_cached(PLACES)
    assert named(kg, "Which lakes are in Alba?") == ["Blue Lake"]
    assert named(kg, "Which rivers are in Alba?") == ["Rill"]
    assert named(kg, "Which rivers are in Corra?") == []


MISSIONS = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
:Mission a rdfs:Class ; rdfs:label "mission" . :Rocket a rdfs:Class ; rdfs:label "rocket" .
:Person a rdfs:Class ; rdfs:label "person" . :mass rdfs:label "mass" ; rdfs:comment "The mass in kg." .
:length rdfs:label "length" .
:rocket rdfs:label "rocket" . :crew rdfs:label "crew member" .
:one a :Mission ; rdfs:label "Kestrel 1" ; :mass 300 ; :length 5 ; :rocket :heron ; :crew :ann , :ben .
:two a :Mission ; rdfs:label "Kestrel 2" ; :mass 250 ; :length 20 ; :rocket :heron ; :crew :ann .
:three a :Mission ; rdfs:label "Kestrel 3" ; :mass 100 ; :length 30 ; :rocket :stork ; :crew :ann , :ben , :cleo .
:heron a :Rocket ; rdfs:label "Heron" . :stork a :Rocket ; rdfs:label "Stork" .
:ann a :Person ; rdfs:label "Ann" . :ben a :Person ; rdfs:label "Ben" . :cleo a :Person ; rdfs:label "Cleo" .
:band a :Person ; rdfs:label "Earth, Wind & Fire" ; :mass 7 .
"""


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Which missions are heavier than 200 and longer than 10?", ["Kestrel 2"]),
        ("Which missions are longer than 10 and heavier than 200?", ["Kestrel 2"]),
        ("Which missions are longer than 10?", ["Kestrel 2", "Kestrel 3"]),
        ("Which missions have more than 2 crew members?", ["Kestrel 3"]),
        ("Which rocket flew the mission with the most crew members?", ["Stork"]),
        ("Which missions flew after 1968?", []),  # neither a mass nor a length is a year
        ("Which missions are longer than 10 metres?", ["Kestrel 2", "Kestrel 3"]),
        ("Which missions are heavier than 200 metres?", ["Kestrel 1", "Kestrel 2"]),  # it is not the unit that tells
    ],
)
def test_each_limit_is_one_of_what_its_words_say(
    open_cached: Callable[..., Assistant], question: str, names: list[str]
) -> None:
    assert sorted(named(open_cached(MISSIONS), question)) == names


def test_the_words_of_a_relation_that_is_counted_are_read(open_cached: Callable[..., Assistant]) -> None:
    assert open_cached(MISSIONS).ask("Which missions have more than 2 crew members?").unread == ()


@pytest.mark.parametrize(
    ("question", "unread"),
    [
        ("Which missions are heavier than 200 kilograms?", ()),  # a mass in kg
        ("Which missions are heavier than 200 pounds?", ("pounds",)),
        ("Which missions are longer than 10 metres?", ("metres",)),  # of which the graph says nothing
    ],
)
def test_a_unit_that_the_graph_does_not_speak_of_is_not_read(
    open_cached: Callable[..., Assistant], question: str, unread: tuple[str, ...]
) -> None:
    assert open_cached(MISSIONS).ask(question).unread == unread


def test_a_list_is_not_called_by_the_first_of_it(open_cached: Callable[..., Assistant]) -> None:
    assert open_cached(MISSIONS).ask("What is the mass of Earth?").abstained
    assert named(open_cached(MISSIONS), "What is the mass of Earth, Wind & Fire?") == ["7"]
