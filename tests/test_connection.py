"""The shortest ways between two nodes, as networkx finds them in the whole graph."""

from __future__ import annotations

import random

import networkx
import pytest
import rdflib

from kgllm.connection import connect
from kgllm.engines.oxigraph import OxigraphStore
from kgllm.terms import Triple, URIRef
from tests.turtle import EX, parse

GRAPH = """
:a :p :b . :b :p :c . :d :q :c . :d :q :e . :e :r :f . :f :r :g . :g :r :h . :h :r :i .
:a a :Thing . :i a :Thing . :lonely :p "a value" .
:a :far :x . :x :far :c .
"""


def store(turtle: str) -> OxigraphStore:
    graph = rdflib.Graph()
    for triple in parse(turtle):
        graph.add(triple)
    return OxigraphStore.from_graph(graph, timeout_s=30)


def ends(found: list[Triple]) -> set[tuple[str, str, str]]:
    return {tuple(str(part).removeprefix(EX) for part in triple) for triple in found}  # type: ignore[misc]


@pytest.fixture(scope="module")
def small() -> OxigraphStore:
    return store(GRAPH)


def test_facts_are_walked_in_both_directions_and_all_shortest_ways_are_given(small: OxigraphStore) -> None:
    found = connect(small, URIRef(EX + "a"), URIRef(EX + "d"), timeout_s=30)
    assert ends(found) == {("a", "p", "b"), ("b", "p", "c"), ("d", "q", "c"), ("a", "far", "x"), ("x", "far", "c")}


def test_a_class_that_both_are_in_is_no_way(small: OxigraphStore) -> None:
    assert connect(small, URIRef(EX + "a"), URIRef(EX + "i"), timeout_s=30) == []  # eight facts without it
    assert connect(small, URIRef(EX + "a"), URIRef(EX + "Thing"), timeout_s=30) == []


def test_of_many_ways_the_same_are_given_each_time() -> None:
    opened = store(" ".join(f":m{n:02} :p :a, :b ." for n in random.Random(5).sample(range(40), 40)))
    found = connect(opened, URIRef(EX + "a"), URIRef(EX + "b"), timeout_s=30)
    assert {s for s, _, _ in ends(found)} == {"m00", "m01", "m02"}


def test_six_facts_are_found_and_seven_are_not(small: OxigraphStore) -> None:
    assert len(connect(small, URIRef(EX + "b"), URIRef(EX + "g"), timeout_s=30)) == 5
    assert len(connect(small, URIRef(EX + "a"), URIRef(EX + "g"), timeout_s=30)) == 8  # two ways of six
    assert connect(small, URIRef(EX + "a"), URIRef(EX + "h"), timeout_s=30) == []


def test_two_nodes_that_nothing_joins(small: OxigraphStore) -> None:
    assert connect(small, URIRef(EX + "a"), URIRef(EX + "lonely"), timeout_s=30) == []
    assert connect(small, URIRef(EX + "a"), URIRef(EX + "nowhere"), timeout_s=30) == []


def test_a_node_and_itself(small: OxigraphStore) -> None:
    assert connect(small, URIRef(EX + "a"), URIRef(EX + "a"), timeout_s=30) == []


def test_as_long_as_in_the_whole_graph() -> None:
    draw = random.Random(3)
    edges = [(draw.randrange(60), draw.randrange(60)) for _ in range(90)]
    opened = store(" ".join(f":n{a} :p :n{b} ." for a, b in edges if a != b))
    whole = networkx.Graph(edges)
    for _ in range(25):
        a, b = draw.sample(range(60), 2)
        if a not in whole or b not in whole:
            continue
        found = connect(opened, URIRef(f"{EX}n{a}"), URIRef(f"{EX}n{b}"), timeout_s=30)
        walked = networkx.Graph([(s, o) for s, _, o in found])
        is_near = networkx.has_path(whole, a, b) and networkx.shortest_path_length(whole, a, b) <= 6
        assert bool(found) == is_near
        if is_near:
            length = networkx.shortest_path_length(walked, URIRef(f"{EX}n{a}"), URIRef(f"{EX}n{b}"))
            assert length == networkx.shortest_path_length(whole, a, b)
