"""The embedded planner: readings of a question as queries over what the schema shows, in the form it asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import rdflib

import kgllm
from kgllm import Assistant, Query
from kgllm.link import link
from kgllm.plan import Plan
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.query import Variable
from kgllm.similarity import Vocabulary
from kgllm.sketch import Sketch
from kgllm.terms import URIRef
from kgllm.words import tokenize
from tests.asking import named

SPACE = "https://example.org/spaceflight/"
SF = SPACE + "ontology#"


@pytest.fixture(scope="module")
def planner(demo: Assistant) -> EmbeddedPlanner:
    return EmbeddedPlanner(Vocabulary(demo.index))


def proposed(planner: EmbeddedPlanner, question: str) -> list[Query]:
    planning = planner.start(link(question, vocabulary=planner.vocabulary))
    plans = []
    while found := [plan.query for plan in planning.propose(None) if isinstance(plan, Plan)]:
        plans += found
    return plans


@pytest.mark.parametrize(
    ("question", "form"),
    [
        ("Who commanded Apollo 11?", "select"),
        ("How many people walked on the Moon?", "count"),
        ("Did Yuri Gagarin fly on Vostok 1?", "ask"),
        ("What is a service module?", "describe"),
    ],
)
def test_the_wording_decides_the_form(planner: EmbeddedPlanner, question: str, form: str) -> None:
    assert proposed(planner, question)[0].form == form


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Who was the lunar module pilot of Apollo 16?", "lunarModulePilot"),
        ("Who was the command module pilot of Apollo 16?", "commandModulePilot"),
        ("Who was the pilot of Gemini 4?", "pilot"),
    ],
)
def test_the_words_of_one_name_say_one_step(planner: EmbeddedPlanner, question: str, name: str) -> None:
    assert {iri for iri in proposed(planner, question)[0].iris() if iri.startswith(SF)} == {URIRef(SF + name)}


@pytest.mark.parametrize(
    ("name", "meant"), [("lunar module pilot", "lunarModulePilot"), ("lunar module", "LunarModule")]
)
def test_every_word_of_a_whole_name_means_what_it_names(planner: EmbeddedPlanner, name: str, meant: str) -> None:
    similarities = planner.vocabulary.compare(tokenize(name), {})
    assert similarities.of(URIRef(SF + meant)).tolist() == [1.0] * len(name.split())


def test_a_superlative_orders_and_keeps_one(planner: EmbeddedPlanner) -> None:
    query = proposed(planner, "Which is the heaviest launch vehicle?")[0]
    assert (query.limit, [order.descending for order in query.order_by]) == (1, [True])


def test_a_year_is_a_bound_on_a_date(planner: EmbeddedPlanner) -> None:
    (comparison,) = proposed(planner, "Which missions were launched before 1962?")[0].where.comparisons
    assert (comparison.operator, str(comparison.right)) == ("<", "1962-01-01")


def test_a_date_bounds_no_number(planner: EmbeddedPlanner, caplog: pytest.LogCaptureFixture) -> None:
    links = link("Which missions were launched after 1969-07-16?", vocabulary=planner.vocabulary)
    compared = [c for ranked in planner.plan(links) for c in ranked.query.where.comparisons]
    assert any(str(c.right).startswith("1969-07-16") for c in compared)
    assert not any(c.numeric for c in compared)
    assert not caplog.records  # rdflib complains of a date as a decimal, on the terminal of whoever asked


def test_every_plan_names_only_what_the_index_has(planner: EmbeddedPlanner) -> None:
    index = planner.vocabulary.index
    known = set(index.ontology.classes) | set(index.ontology.properties)
    for query in proposed(planner, "Which country is the commander of Vostok 6 from?"):
        nodes = {iri for iri in query.iris() if iri not in known and not iri.startswith("http://www.w3.org/")}
        assert set(index.described(nodes)) == nodes


def test_plans_come_best_first_and_each_once(planner: EmbeddedPlanner) -> None:
    ranked = planner.plan(link("Who commanded Apollo 11?", vocabulary=planner.vocabulary))
    assert [plan.score for plan in ranked] == sorted((plan.score for plan in ranked), reverse=True)
    assert all(0 <= plan.fit <= 1 for plan in ranked)
    (pattern,) = ranked[0].query.where.patterns
    assert (pattern.subject, pattern.predicate) == (URIRef(SPACE + "Apollo_11"), URIRef(SF + "commander"))
    assert isinstance(pattern.object, Variable)


def test_words_that_name_nothing_have_no_plan(planner: EmbeddedPlanner) -> None:
    assert proposed(planner, "Why?") == []
    assert planner.plan(link("", vocabulary=planner.vocabulary)) == []


SHELF = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Film a rdfs:Class ; rdfs:label "film" . :Person a rdfs:Class ; rdfs:label "person" .
:directed rdfs:label "directed by" . :wrote rdfs:label "written by" . :starred rdfs:label "starred actors" .
:cry a :Film ; rdfs:label "Boys Don't Cry" ; :directed :kim ; :wrote :andy ; :starred :hilary .
:stop a :Film ; rdfs:label "Stop-Loss" ; :directed :kim ; :wrote :mark ; :starred :ryan .
:kim a :Person ; rdfs:label "Kimberly Peirce" . :andy a :Person ; rdfs:label "Andy Bienen" .
:hilary a :Person ; rdfs:label "Hilary Swank" . :mark a :Person ; rdfs:label "Mark Richard" .
:ryan a :Person ; rdfs:label "Ryan Phillippe" .
"""


@pytest.fixture(scope="module")
def shelf() -> Iterator[Assistant]:
    """Two films by one director."""
    with kgllm.open(rdflib.Graph().parse(data=SHELF, format="turtle"), planner="embedded") as kg:
        yield kg


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Who was the screenwriter of Stop-Loss?", ["Mark Richard"]),
        ("Who was the director of Stop-Loss?", ["Kimberly Peirce"]),
        ("Who was the actor in Stop-Loss?", ["Ryan Phillippe"]),
        ("Who was the dirctor of Stop-Loss?", ["Kimberly Peirce"]),
        ("Which films share a director with Stop-Loss?", ["Boys Don't Cry"]),
        ("the films directed by the director of Stop-Loss starred who", ["Hilary Swank"]),
        ("the films written by Mark Richard starred which actors", ["Ryan Phillippe"]),
    ],
)
def test_a_word_means_the_relation_that_it_names(shelf: Assistant, question: str, names: list[str]) -> None:
    assert named(shelf, question) == names


def test_a_denial_inside_a_name_denies_nothing_and_one_outside_does(shelf: Assistant) -> None:
    assert named(shelf, "Who directed Boys Don't Cry?") == ["Kimberly Peirce"]
    assert shelf.ask("Who did not direct Boys Don't Cry?").abstained


MISSIONS = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Mission a rdfs:Class ; rdfs:label "mission" . :Rocket a rdfs:Class ; rdfs:label "rocket" .
:next rdfs:label "successor" . :rocket rdfs:label "rocket" . :cost rdfs:label "cost" .
:Place a rdfs:Class ; rdfs:label "place" . :within rdfs:label "lies within" . :born rdfs:label "born in" .
:Person a rdfs:Class ; rdfs:label "person" .
:one a :Mission ; rdfs:label "Kestrel 1" ; :next :two ; :cost 3 .
:two a :Mission ; rdfs:label "Kestrel 2" ; :rocket :heron ; :cost 4 .
:heron a :Rocket ; rdfs:label "Heron" .
:ohio a :Place ; rdfs:label "Ohio" . :lima a :Place ; rdfs:label "Lima" ; :within :ohio .
:ann a :Person ; rdfs:label "Ann Hart" ; :born :lima .
"""


@pytest.fixture(scope="module")
def missions() -> Iterator[Assistant]:
    """A mission without a rocket before one with a rocket; a place in which a place is where somebody was born."""
    with kgllm.open(rdflib.Graph().parse(data=MISSIONS, format="turtle"), planner="embedded") as kg:
        yield kg


def test_what_another_thing_of_its_kind_has_is_not_given_for_what_it_has(missions: Assistant) -> None:
    assert named(missions, "Which rocket did Kestrel 2 have?") == ["Heron"]
    assert named(missions, "Which rocket did Kestrel 1 have?") == []
    assert named(missions, "Which rocket did the successor of Kestrel 1 have?") == ["Heron"]


def test_what_a_part_has_is_given_for_its_whole(missions: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missions, "min_confidence", 0.0)
    assert named(missions, "Who was born in Ohio?") == ["Ann Hart"]


@pytest.mark.parametrize(
    ("question", "misfits"),
    [("Which rocket lifted Kestrel 2?", False), ("Which place has the rocket of Kestrel 2?", True)],
)
def test_an_answer_of_another_class_than_the_one_asked_for_is_doubted(
    missions: Assistant, question: str, misfits: bool
) -> None:
    planner = EmbeddedPlanner(Vocabulary(missions.index))
    best = planner.plan(link(question, vocabulary=planner.vocabulary))[0]
    assert (best.scored.misfit > 0.2) == misfits


@pytest.mark.parametrize(
    ("question", "inverse"),
    [
        ("Which missions have Apollo 8 as their next mission?", True),
        ("What is the mission whose next mission is Apollo 8?", True),
        ("What is the next mission of Apollo 8?", False),
    ],
)
def test_grammar_says_at_which_end_of_a_relation_a_name_is(
    planner: EmbeddedPlanner, question: str, inverse: bool
) -> None:
    first = planner.plan(link(question, vocabulary=planner.vocabulary))[0]
    assert isinstance(first.sketch, Sketch)
    steps = [step for step in first.sketch.steps() if step.property.endswith("nextMission")]
    assert [step.inverse for step in steps] == [inverse]


@pytest.mark.parametrize(
    ("question", "is_refused"),
    [
        ("When was Andrey Fedyaev born?", True),  # the graph has his birth place
        ("Where was Talgat Musabayev born?", True),  # and of him the birth date
        ("Where was Andrey Fedyaev born?", False),
        ("When was Talgat Musabayev born?", False),
    ],
)
def test_a_place_does_not_say_when_nor_a_date_where(demo: Assistant, question: str, is_refused: bool) -> None:
    assert demo.ask(question).abstained is is_refused


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When was the first space station launched?", "1971-04-19"),
        ("When was the latest mission launched?", "2024-09-10"),
        ("When did the last mission of the Apollo programme land?", "1972-12-19"),
        ("Which space station was launched first?", "https://example.org/spaceflight/Salyut_1"),
    ],
)
def test_when_the_first_was_asks_for_its_date_and_which_for_itself(demo: Assistant, question: str, answer: str) -> None:
    assert [str(term) for term in demo.ask(question).results] == [answer]


COUNTRIES = """@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Germany a :Country ; rdfs:label "Germany" ; :capital :Berlin . :Berlin a :City ; rdfs:label "Berlin" .
:France a :Country ; rdfs:label "France" ; :capital :Paris . :Paris a :City ; rdfs:label "Paris" .
:Poland a :Country ; rdfs:label "Poland" .
"""


def test_a_question_about_one_thing_is_not_answered_with_all_of_its_kind(open_cached: Callable[..., Assistant]) -> None:
    kg = open_cached(COUNTRIES)
    assert kg.ask("What is the capital of Poland?").abstained
    assert kg.ask("What is the capital of Germany?").results == [URIRef("https://example.org/Berlin")]
    assert len(kg.ask("What are the capitals of the countries?").results) == 2


def test_the_oldest_has_the_greatest_age_however_it_is_worded(open_cached: Callable[..., Assistant]) -> None:
    people = "".join(f':p{n} a :Player ; rdfs:label "Player {n}" ; :is_aged {20 + n} .\n' for n in range(5))
    kg = open_cached(f"{COUNTRIES.splitlines()[0]}\n{people}")
    assert kg.ask("Who is the oldest player?").results == [URIRef("https://example.org/p4")]
    assert kg.ask("Who is the youngest player?").results == [URIRef("https://example.org/p0")]
