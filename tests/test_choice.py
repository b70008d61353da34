"""Choice: nodes that are named with "or" are asked of as one, but not where one of them is to be told."""

from __future__ import annotations

import pytest

from kgllm import Assistant
from kgllm.choice import as_one, spread
from kgllm.link import link
from kgllm.query import Comparison, Group, Query, TriplePattern, Values, Variable
from kgllm.similarity import Vocabulary
from kgllm.terms import URIRef

SPACE = "https://example.org/spaceflight/"
A, B, KNOWS, X = URIRef("urn:x:a"), URIRef("urn:x:b"), URIRef("urn:x:knows"), Variable("x")


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("Who commanded Apollo 11 or Apollo 12?", ["Apollo_11", "Apollo_12"]),
        ("Who commanded Apollo 11, Apollo 12 or the Apollo 13?", ["Apollo_11", "Apollo_12", "Apollo_13"]),
        ("Wer wurde in Ohio oder Texas geboren?", ["Ohio", "Texas"]),
        ("Who commanded Apollo 11 and Apollo 12?", []),
        ("Which is taller, the Saturn V or the Falcon 9?", []),
        ("Did Eileen Collins command STS-93 or STS-114?", []),
        ("Who flew on Apollo 11 or walked on the Moon?", []),
        ("Who was born in Ohio or Apollo 11?", []),
    ],
)
def test_names_joined_by_or_are_one(demo: Assistant, question: str, named: list[str]) -> None:
    vocabulary = Vocabulary(demo.index)
    links = link(question, vocabulary=vocabulary)
    rest, nodes = as_one(links, demo.index.ontology)
    assert [str(node).removeprefix(SPACE) for node in nodes] == named
    assert len(rest.question) == len(question)
    if named:
        assert named[1].replace("_", " ") not in rest.question
        assert named[0].replace("_", " ") in rest.question


def results(demo: Assistant, question: str) -> set[str]:
    return {str(term).removeprefix(SPACE) for term in demo.ask(question).results}


def test_the_answers_are_those_of_each_together(demo: Assistant) -> None:
    first, second = results(demo, "Who commanded Apollo 11?"), results(demo, "Who commanded Apollo 13?")
    assert results(demo, "Who commanded Apollo 11 or Apollo 13?") == first | second == {"Neil_Armstrong", "Jim_Lovell"}
    assert results(demo, "Who besides Neil Armstrong commanded Apollo 11 or Apollo 13?") == {"Jim_Lovell"}


def test_a_query_is_spread_over_all_nodes_in_patterns_comparisons_and_values() -> None:
    where = Group((TriplePattern(A, KNOWS, X),), (Values(Variable("y"), (A,)),), comparisons=(Comparison(X, "!=", A),))
    whole = spread(Query("select", where, (X,)), (A, B)).where
    those = whole.patterns[0].subject
    assert isinstance(those, Variable)
    assert Values(those, (A, B)) in whole.values
    assert Values(Variable("y"), (A, B)) in whole.values
    assert whole.comparisons == (Comparison(X, "!=", those),)
    unchanged = Query("select", Group((TriplePattern(B, KNOWS, X),)), (X,))
    assert spread(unchanged, (A, B)) == spread(unchanged, ()) == unchanged


def test_each_of_the_names_is_a_topic_of_the_memory(demo: Assistant) -> None:
    roles = demo.ask("Who commanded Apollo 11 or Apollo 13?").memory.roles
    topics = {str(node).removeprefix(SPACE) for node, role in roles.items() if role == "topic"}
    assert topics == {"Apollo_11", "Apollo_13"}
