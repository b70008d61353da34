"""Everyday words answer to the relations that graphs have under other names, and to no others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rdflib

import kgllm
from kgllm import Assistant
from kgllm.everyday import everyday_words
from kgllm.roots import root
from tests.asking import named

FAMILY = """
@prefix : <https://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Film a rdfs:Class ; rdfs:label "film" . :Person a rdfs:Class ; rdfs:label "person" .
:Genre a rdfs:Class ; rdfs:label "genre" . :Topic a rdfs:Class ; rdfs:label "tag" .
:hasGenre rdfs:label "has genre" . :hasTags rdfs:label "has tags" . :starred rdfs:label "starred actors" .
:spouse rdfs:label "spouse" . :children rdfs:label "children" . :parents rdfs:label "parents" .
:gender rdfs:label "gender" . :died rdfs:label "place of death" . :Place a rdfs:Class ; rdfs:label "place" .
:Gender a rdfs:Class ; rdfs:label "gender" .
:desert a :Film ; rdfs:label "Desert Road" ; :hasGenre :western ; :hasTags :revenge ; :starred :ann .
:harbour a :Film ; rdfs:label "Harbour Lights" ; :hasGenre :drama ; :hasTags :revenge ; :starred :ann .
:western a :Genre ; rdfs:label "western" . :drama a :Genre ; rdfs:label "drama" .
:revenge a :Topic ; rdfs:label "revenge" .
:ann a :Person ; rdfs:label "Ann Hart" ; :spouse :bob ; :children :cleo ; :gender :female ; :died :york .
:bob a :Person ; rdfs:label "Bob Hart" ; :children :cleo ; :gender :male ; :died :york .
:cleo a :Person ; rdfs:label "Cleo Hart" ; :parents :ann, :bob ; :children :dan ; :gender :female ; :died :kent .
:dan a :Person ; rdfs:label "Dan Hart" ; :parents :cleo ; :gender :male ; :died :kent .
:female a :Gender ; rdfs:label "female" . :male a :Gender ; rdfs:label "male" .
:york a :Place ; rdfs:label "York" . :kent a :Place ; rdfs:label "Kent" .
"""


@pytest.fixture(scope="module")
def family() -> Iterator[Assistant]:
    """Two films, and three generations of a family."""
    with kgllm.open(rdflib.Graph().parse(data=FAMILY, format="turtle"), planner="embedded") as kg:
        yield kg


@pytest.mark.parametrize(
    ("name", "word", "other"),
    [
        ("has genre", "kind", "wife"),
        ("spouse", "wife", "kind"),
        ("starred actors", "appears", "about"),
        ("release year", "premiere", "born"),
        ("subject", "about", "appear"),
    ],
)
def test_a_word_stands_for_a_relation_of_its_line_alone(name: str, word: str, other: str) -> None:
    words = everyday_words(name)
    assert root(word) in words
    assert root(other) not in words


def test_the_head_of_a_longer_name_counts_and_its_modifier_does_not() -> None:
    assert root("kind") in everyday_words("spacecraft class")
    assert root("wife") not in everyday_words("spouse count")
    assert everyday_words("spacecraft class")[root("kind")] < everyday_words("class")[root("kind")]


def test_a_name_of_no_line_or_of_no_words_has_none() -> None:
    assert everyday_words("launch vehicle") == {}
    assert everyday_words("of the") == {}


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What kind of film is Desert Road?", {"western"}),
        ("Which topics is Desert Road about?", {"revenge"}),
        ("What does Ann Hart appear in?", {"Desert Road", "Harbour Lights"}),
        ("Who is the wife of Bob Hart?", {"Ann Hart"}),
        ("Which films are about revenge?", {"Desert Road", "Harbour Lights"}),
    ],
)
def test_a_question_in_everyday_words_is_answered(family: Assistant, question: str, names: set[str]) -> None:
    assert set(named(family, question)) == names


def test_a_word_for_kin_two_generations_away_is_two_steps(family: Assistant) -> None:
    assert set(named(family, "Who is the grandchild of Ann Hart?")) == {"Dan Hart"}
    assert set(named(family, "Who is the child of Ann Hart?")) == {"Cleo Hart"}


def test_two_words_for_one_relation_between_people_are_two_steps(family: Assistant) -> None:
    assert set(named(family, "Who are Dan Hart's mother's parents?")) == {"Ann Hart", "Bob Hart"}


def test_words_that_are_one_name_lead_nowhere_back(family: Assistant) -> None:
    assert set(named(family, "What is Ann Hart's child's place of death?")) == {"Kent"}


def test_is_it_this_or_that_asks_which(family: Assistant) -> None:
    assert set(named(family, "Is Ann Hart's child a man or a woman?")) == {"female"}


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Harbour Lights starred which actors?", {"Ann Hart"}),
        ("Which films share actors with Harbour Lights?", {"Desert Road"}),
        ("Which films starred the actors of Harbour Lights?", {"Desert Road"}),
    ],
)
def test_two_words_for_a_relation_lead_back_only_where_that_is_asked(
    family: Assistant, question: str, names: set[str]
) -> None:
    assert set(named(family, question)) == names


def test_a_date_of_nothing_in_particular_is_when_a_thing_came_out() -> None:
    assert {root("released"), root("published"), root("held")} <= everyday_words("date").keys()
    assert root("released") not in everyday_words("date of birth")
