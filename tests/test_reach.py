"""What the graph does not say of a thing is not made good by what it says of others, or of the thing in other words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rdflib

import kgllm
from kgllm import Assistant
from kgllm.features import FEATURES
from kgllm.link import link
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.similarity import Vocabulary
from kgllm.words import content_tokens, is_negated, tokenize
from tests.asking import named

STORE = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
:Product a rdfs:Class ; rdfs:label "product" . :Category a rdfs:Class ; rdfs:label "category" .
:Supplier a rdfs:Class ; rdfs:label "supplier" . :Person a rdfs:Class ; rdfs:label "person" .
:Department a rdfs:Class ; rdfs:label "department" . :Price a rdfs:Class ; rdfs:label "price tag" .
:category rdfs:label "has category" . :deliveredBy rdfs:label "delivered by" . :price rdfs:label "price" .
:expertise rdfs:label "area of expertise" . :belongs rdfs:label "assigned to" .
:born rdfs:label "birth date" . :died rdfs:label "death date" .
:coils a :Category ; rdfs:label "Coil" . :lamps a :Category ; rdfs:label "Lamp" .
:p1 a :Product ; rdfs:label "C-100" ; :category :coils ; :deliveredBy :acme ; :price 4.5 .
:p2 a :Product ; rdfs:label "C-200" ; :category :coils ; :deliveredBy :bolt ; :price 2.5 .
:p3 a :Product ; rdfs:label "L-300" ; :category :lamps ; :deliveredBy :acme ; :price 1.5 .
:acme a :Supplier ; rdfs:label "Acme" . :bolt a :Supplier ; rdfs:label "Bolt" .
:sales a :Department ; rdfs:label "Sales" .
:ann a :Person ; rdfs:label "Ann Hart" ; :expertise :coils ; :belongs :sales ; :born "1930-01-02"^^xsd:date .
:bob a :Person ; rdfs:label "Bob Lang" ; :expertise :lamps ; :belongs :sales ; :born "1920-03-04"^^xsd:date ;
  :died "1990-05-06"^^xsd:date .
"""


@pytest.fixture(scope="module")
def store() -> Iterator[Assistant]:
    """Products in categories with suppliers and prices, and people with what they know of."""
    with kgllm.open(rdflib.Graph().parse(data=STORE, format="turtle"), planner="embedded") as kg:
        yield kg


def test_a_word_for_what_is_lacking_is_not_taken_for_something_alike(store: Assistant) -> None:
    assert set(named(store, "When did Bob Lang die?")) == {"1990-05-06"}
    assert set(named(store, "When did Ann Hart die?")) == set()
    assert set(named(store, "When was Ann Hart born?")) == {"1930-01-02"}


@pytest.mark.parametrize(
    ("question", "is_said"), [("When did she die?", True), ("Where did he die in 1990?", True), ("die Frau", False)]
)
def test_the_english_verb_is_told_from_the_german_article(question: str, is_said: bool) -> None:
    assert ("die" in [token.lower for token in content_tokens(tokenize(question))]) == is_said


def test_a_category_stands_for_what_is_in_it(store: Assistant) -> None:
    assert set(named(store, "Which supplier delivers coils?")) == {"Acme", "Bolt"}
    assert set(named(store, "Which supplier delivers lamps?")) == {"Acme"}


def test_a_superlative_says_what_it_orders_by(store: Assistant) -> None:
    assert set(named(store, "What is the cheapest coil?")) == {"C-200"}
    assert set(named(store, "What is the most expensive coil?")) == {"C-100"}


def weakest(kg: Assistant, question: str) -> float:
    """How surely a word says the least said step of the best reading."""
    planner = EmbeddedPlanner(Vocabulary(kg.index))
    best = planner.plan(link(question, vocabulary=planner.vocabulary))[0]
    return float(best.scored.features[FEATURES.index("weakest")])


def test_a_class_says_the_only_step_that_leads_to_it(store: Assistant) -> None:
    assert set(named(store, "Which departments have coil experts?")) == {"Sales"}
    assert weakest(store, "Which departments have coil experts?") >= 0.6
    two_ways = STORE + ':heads rdfs:label "overseen by" . :sales :heads :bob . :ann :heads :sales .'
    with kgllm.open(rdflib.Graph().parse(data=two_ways, format="turtle"), planner="embedded") as kg:
        assert weakest(kg, "Which departments have coil experts?") < 0.6


AGES = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Person a rdfs:Class ; rdfs:label "person" . :age rdfs:label "age" .
:ann a :Person ; rdfs:label "Ann Hart" ; :age 30 . :bob a :Person ; rdfs:label "Bob Lang" ; :age 40 .
"""


def test_the_older_has_the_greater_age_and_the_earlier_birth(store: Assistant) -> None:
    assert set(named(store, "Who is older, Ann Hart or Bob Lang?")) == {"Bob Lang"}
    with kgllm.open(rdflib.Graph().parse(data=AGES, format="turtle"), planner="embedded") as kg:
        assert set(named(kg, "Who is older, Ann Hart or Bob Lang?")) == {"Bob Lang"}
        assert set(named(kg, "Who is younger, Ann Hart or Bob Lang?")) == {"Ann Hart"}


BAND = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Musician a rdfs:Class ; rdfs:label "musician" . :Album a rdfs:Class ; rdfs:label "album" .
:plays rdfs:label "plays" . :producer rdfs:label "producer" .
:ines a :Musician ; rdfs:label "Ines Roy" ; :plays :drums . :olga a :Musician ; rdfs:label "Olga Fort" ; :plays :drums .
:drums rdfs:label "drums" . :salt a :Album ; rdfs:label "Salt" ; :producer :ines . :tin a :Album ; rdfs:label "Tin" .
"""


def test_a_noun_says_what_things_of_no_class_are() -> None:
    with kgllm.open(rdflib.Graph().parse(data=BAND, format="turtle"), planner="embedded") as kg:
        assert named(kg, "Which instruments does Ines Roy play?") == ["drums"]
        assert named(kg, "Which musicians play the drums?") == ["Ines Roy", "Olga Fort"]


@pytest.mark.parametrize(
    ("question", "denies"),
    [
        ("Which albums have no producer?", True),
        ("Which albums lack a producer?", True),
        ("Which albums have no more than two songs?", False),
        ("Who sang no. 5?", False),
    ],
)
def test_no_and_lack_deny(question: str, denies: bool) -> None:
    assert is_negated(question) == denies
