"""Places for boxes: joined ones near, none on another, and old ones hardly moved."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Mapping

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgllm.spreading import Point, spread

SIZE = (120.0, 30.0)


def meeting(places: Mapping[str, Point], sizes: Mapping[str, Point]) -> list[tuple[str, str]]:
    """The pairs of boxes that lie on each other."""
    return [
        (a, b)
        for a in places
        for b in places
        if a < b
        and abs(places[a][0] - places[b][0]) < (sizes[a][0] + sizes[b][0]) / 2
        and abs(places[a][1] - places[b][1]) < (sizes[a][1] + sizes[b][1]) / 2
    ]


def star(leaves: int) -> tuple[dict[str, Point], list[tuple[str, str]]]:
    names = ["hub", *(f"leaf{number}" for number in range(leaves))]
    return dict.fromkeys(names, SIZE), [("hub", name) for name in names[1:]]


@pytest.mark.parametrize("leaves", [1, 5, 30, 60, 150])
def test_no_box_lies_on_another(leaves: int) -> None:
    sizes, edges = star(leaves)
    assert meeting(spread(sizes, edges), sizes) == []


def test_boxes_in_one_place_are_seen_to_meet() -> None:
    assert meeting({"a": (0, 0), "b": (119, 29)}, {"a": SIZE, "b": SIZE}) == [("a", "b")]
    assert meeting({"a": (0, 0), "b": (121, 0)}, {"a": SIZE, "b": SIZE}) == []


def test_joined_boxes_are_nearer_than_others() -> None:
    names = "abcdef"
    edges = [(a, b) for a, b in itertools.pairwise(names)]
    places = spread(dict.fromkeys(names, SIZE), edges)

    def apart(a: str, b: str) -> float:
        return math.dist(places[a], places[b])

    assert statistics.mean(apart(a, b) for a, b in edges) < apart("a", "d") < apart("a", "f")


@pytest.mark.parametrize("leaves", [10, 150])
def test_what_was_there_hardly_moves_when_a_neighbour_is_expanded(leaves: int) -> None:
    sizes, edges = star(leaves)
    old = spread(sizes, edges)
    more = [f"more{number}" for number in range(6)]
    places = spread(sizes | dict.fromkeys(more, SIZE), [*edges, *(("leaf3", name) for name in more)], old=old)
    moved = sorted(math.dist(old[name], places[name]) for name in old)
    wide = max(x for x, _ in old.values()) - min(x for x, _ in old.values())
    assert moved[len(moved) // 2] < wide / 4
    assert all(math.dist(places["leaf3"], places[name]) < wide for name in more)


def test_what_is_pinned_stays_to_the_pixel_and_what_lies_there_gives_way() -> None:
    sizes, edges = star(8)
    old = spread(sizes, edges) | {"leaf1": (5.0, 7.0)}  # on the hub, nearly
    places = spread(sizes | {"new": SIZE}, [*edges, ("leaf1", "new")], old=old, fixed=["leaf1"])
    assert places["leaf1"] == (5.0, 7.0)
    assert meeting(places, sizes | {"new": SIZE}) == []
    unpinned = spread(sizes | {"new": SIZE}, [*edges, ("leaf1", "new")], old=old)
    assert unpinned["leaf1"] != (5.0, 7.0)


@pytest.mark.parametrize("leaves", [3, 150])
def test_what_lay_in_one_point_is_parted(leaves: int) -> None:
    sizes, edges = star(leaves)
    places = spread(sizes, edges, old=dict.fromkeys(list(sizes)[:3], (0.0, 0.0)))
    assert all(math.isfinite(x) and math.isfinite(y) for x, y in places.values())
    assert meeting(places, sizes) == []


def test_parts_that_nothing_joins_lie_side_by_side_and_then_below() -> None:
    names = [f"n{number}" for number in range(40)]
    sizes = dict.fromkeys(names, SIZE)
    places = spread(sizes, [])
    assert meeting(places, sizes) == []
    assert max(x for x, _ in places.values()) < 3_000
    assert len({round(y) for _, y in places.values()}) > 1


def test_nothing_is_placed_where_there_is_nothing() -> None:
    assert spread({}, []) == {}
    assert spread({"a": SIZE}, [("a", "a"), ("a", "gone")]) == {"a": (SIZE[0] / 2, SIZE[1] / 2)}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=40), st.integers(1, 15))
def test_each_box_has_one_finite_place_of_its_own(pairs: list[tuple[int, int]], count: int) -> None:
    sizes = {str(number): (40.0 + 12 * number, 30.0) for number in range(count)}
    places = spread(sizes, [(str(a), str(b)) for a, b in pairs])
    assert places.keys() == sizes.keys()
    assert all(math.isfinite(x) and math.isfinite(y) for x, y in places.values())
    assert meeting(places, sizes) == []


def test_five_hundred_boxes_are_placed_while_one_waits() -> None:
    graph = networkx.barabasi_albert_graph(500, 1, seed=1)
    sizes = {str(node): SIZE for node in graph}
    began = time.monotonic()
    places = spread(sizes, [(str(a), str(b)) for a, b in graph.edges])
    assert time.monotonic() - began < 10
    assert len(meeting(places, sizes)) < 5
