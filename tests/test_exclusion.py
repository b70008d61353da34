"""Exclusion: what a question says to leave out is not among the answers, and stands in no other pattern."""

from __future__ import annotations

import pytest

from kgllm import Assistant
from kgllm.exclusion import leave_out, without_exclusion
from kgllm.link import Links, link
from kgllm.query import Query
from kgllm.similarity import Vocabulary
from kgllm.terms import URIRef

SPACE = "https://example.org/spaceflight/"


def links_of(demo: Assistant, question: str) -> Links:
    return link(question, vocabulary=Vocabulary(demo.index))


@pytest.mark.parametrize(
    ("question", "left_out"),
    [
        ("Who besides Neil Armstrong was aboard Gemini 8?", ["Neil_Armstrong"]),
        ("Which missions did Jim Lovell fly, other than Apollo 13 and Apollo 8?", ["Apollo_13", "Apollo_8"]),
        ("What is the tallest rocket apart from the Saturn V?", ["Saturn_V"]),
        ("Wer außer Neil Armstrong betrat den Mond?", ["Neil_Armstrong"]),
        ("Who was aboard Gemini 8, except for Neil Armstrong?", ["Neil_Armstrong"]),
        ("Who was aboard Gemini 8 with Neil Armstrong?", []),
        ("Which rockets are taller than the Saturn V?", []),
        ("Which astronauts other than engineers flew?", []),
    ],
)
def test_what_stands_behind_a_word_of_exclusion_is_left_out(
    demo: Assistant, question: str, left_out: list[str]
) -> None:
    links = links_of(demo, question)
    rest, terms = without_exclusion(links)
    assert [str(term).removeprefix(SPACE) for term in terms] == left_out
    assert len(rest.question) == len(question)
    assert {m.text for m in rest.mentions} <= {m.text for m in links.mentions}
    for mention in rest.mentions:
        assert rest.tokens[mention.first].text == mention.text.split()[0]


def test_what_is_named_behind_what_is_left_out_is_asked_of(demo: Assistant) -> None:
    rest, _ = without_exclusion(links_of(demo, "Who besides Neil Armstrong was aboard Gemini 8?"))
    assert [mention.text for mention in rest.named()] == ["Gemini 8"]
    assert "Armstrong" not in rest.question


def answers(demo: Assistant, question: str) -> set[str]:
    return {str(term).removeprefix(SPACE) for term in demo.ask(question).results}


def test_the_answers_are_all_but_what_is_left_out(demo: Assistant) -> None:
    every = answers(demo, "Who walked on the Moon?")
    assert answers(demo, "Who besides Neil Armstrong and Buzz Aldrin walked on the Moon?") == every - {
        "Neil_Armstrong",
        "Buzz_Aldrin",
    }
    assert answers(demo, "Who besides Neil Armstrong was aboard Gemini 8?") == {"David_Scott"}


def test_a_count_leaves_it_out_too(demo: Assistant) -> None:
    assert answers(demo, "How many people walked on the Moon?") == {"12"}
    assert answers(demo, "How many people walked on the Moon, apart from Neil Armstrong?") == {"11"}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How tall is the tallest rocket besides the Saturn V?", {"70.0", "70"}),
        ("Is there a commander of Apollo 11 other than Neil Armstrong?", {"false"}),
        ("Is there a commander of Apollo 11 other than Jim Lovell?", {"true"}),
    ],
)
def test_it_is_left_out_wherever_it_would_stand(demo: Assistant, question: str, answer: set[str]) -> None:
    assert answers(demo, question) & answer


def test_a_list_of_three_is_left_out_whole(demo: Assistant) -> None:
    question = "Who besides Neil Armstrong, Buzz Aldrin, and Pete Conrad walked on the Moon?"
    left_out = {"Neil_Armstrong", "Buzz_Aldrin", "Pete_Conrad"}
    assert answers(demo, question) == answers(demo, "Who walked on the Moon?") - left_out


def test_a_query_without_columns_stays_as_it_is() -> None:
    described = Query("describe", nodes=(URIRef("urn:x:Ann"),))
    assert leave_out(described, (URIRef("urn:x:Eve"),)) == described
