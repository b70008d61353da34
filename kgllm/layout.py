"""Layout: places for boxes joined by edges, in columns, so that edges read from left to right and no two boxes meet.

A layered drawing after Sugiyama, Tagawa and Toda (1981): the steps from a root, forwards or backwards, give the column;
an edge over several columns gets a place of its own in each; the order in a column follows the means of the neighbours.
It is a few passes over lists, the same at every call: a force-directed layout places points, whose labels then collide,
and to import one takes longer than to draw.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

__all__ = ["Layout", "Point", "lay_out"]

Point: TypeAlias = tuple[float, float]
Edge: TypeAlias = tuple[Any, Any]

_GAP = 12.0  # pixels between boxes in a column
_LANE = 10.0  # height of an edge that passes by a column
_BETWEEN = 26.0  # between parts that nothing joins
_SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Layout:
    """Centres of the boxes, and the widths of their columns, by their key; ``size`` is that of all together.

    ``bends`` has for each edge that passes by columns the points where it comes to each and leaves it.
    """

    places: dict[Any, Point]
    widths: dict[Any, float]
    bends: dict[Edge, tuple[Point, ...]]
    size: Point


def lay_out(
    sizes: Mapping[Any, Point],
    edges: Iterable[Edge],
    *,
    roots: Iterable[Any] = (),
    gaps: Mapping[Edge, float] | None = None,
    gap: float = 60.0,
) -> Layout:
    """Place boxes of the given width and height. ``roots`` come first where a part needs one to start from.

    ``gaps`` are the widths that edges want between the columns they join, ``gap`` the least one.
    """
    unique = list(dict.fromkeys(edge for edge in edges if edge[0] != edge[1]))
    wanted = gaps or {}
    places: dict[Any, Point] = {}
    widths: dict[Any, float] = {}
    bends: dict[Edge, tuple[Point, ...]] = {}
    top, width = 0.0, 0.0
    for part in _parts(list(sizes), unique, list(roots)):
        own = [edge for edge in unique if edge[0] in part]
        placed = _place(_columns(part, own), sizes, own, wanted, gap)
        places |= {key: (x, y + top) for key, (x, y) in placed.places.items()}
        bends |= {edge: tuple((x, y + top) for x, y in points) for edge, points in placed.bends.items()}
        widths |= placed.widths
        top += placed.size[1] + _BETWEEN
        width = max(width, placed.size[0])
    return Layout(places, widths, bends, (width, max(0.0, top - _BETWEEN)))


def _neighbours(edges: Sequence[Edge]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for start, end in edges:
        found[start].append(end)
        found[end].append(start)
    return found


def _parts(nodes: Sequence[Any], edges: Sequence[Edge], roots: Sequence[Any]) -> list[dict[Any, int]]:
    """The connected parts, each with the steps of its nodes from its root, backwards ones counted as less than none."""
    forwards: dict[Any, list[tuple[Any, int]]] = defaultdict(list)
    for start, end in edges:
        forwards[start].append((end, 1))
        forwards[end].append((start, -1))
    parts: list[dict[Any, int]] = []
    seen: set[Any] = set()
    for root in [*roots, *sorted(nodes, key=lambda node: -len(forwards[node]))]:
        if root in seen:
            continue
        steps = {root: 0}
        queue = [root]
        for node in queue:
            for other, step in forwards[node]:
                if other not in steps:
                    steps[other] = steps[node] + step
                    queue.append(other)
        parts.append(steps)
        seen |= steps.keys()
    return parts


def _columns(steps: Mapping[Any, int], edges: Sequence[Edge]) -> list[list[Any]]:
    """The nodes of each column, and the edges that pass by it, in an order that crosses few of them."""
    first = min(steps.values())
    columns: list[list[Any]] = [[] for _ in range(max(steps.values()) - first + 1)]
    for node, step in steps.items():
        columns[step - first].append(node)
    joined: list[Edge] = []
    for edge in edges:
        chain = _chain(edge, steps)
        for number, step in chain[1:-1]:
            columns[step - first].append((edge, number))
        keys = [edge[0], *((edge, number) for number, _ in chain[1:-1]), edge[1]]
        joined += pairwise(keys)
    near = _neighbours(joined)
    for sweep in range(_SWEEPS):
        order = {key: place / max(1, len(column) - 1) for column in columns for place, key in enumerate(column)}
        for column in columns if sweep % 2 else reversed(columns):
            column.sort(key=lambda key: sum(order[other] for other in near[key]) / (len(near[key]) or 1))
            order |= {key: place / max(1, len(column) - 1) for place, key in enumerate(column)}
    return columns


def _chain(edge: Edge, steps: Mapping[Any, int]) -> list[tuple[int, int]]:
    """The columns that an edge goes through, numbered."""
    start, end = steps[edge[0]], steps[edge[1]]
    return list(enumerate(range(start, end + 1) if start <= end else range(start, end - 1, -1)))


def _place(
    columns: Sequence[list[Any]],
    sizes: Mapping[Any, Point],
    edges: Sequence[Edge],
    gaps: Mapping[Edge, float],
    gap: float,
) -> Layout:
    """One connected part."""
    at = {key: number for number, column in enumerate(columns) for key in column}
    between = [gap] * len(columns)  # to the right of each column
    joined: list[Edge] = []
    passing: dict[Edge, list[Any]] = {}
    for edge in edges:
        low, high = sorted((at[edge[0]], at[edge[1]]))
        for number in {low, max(low, high - 1)}:
            between[number] = max(between[number], gaps.get(edge, gap))
        passing[edge] = [(edge, number) for number in range(1, high - low)]
        joined += pairwise([edge[0], *passing[edge], edge[1]])
    if all(at[start] != len(columns) - 1 or at[end] != len(columns) - 1 for start, end in edges):
        between[-1] = 0.0
    ys = _heights(columns, sizes, _neighbours(joined))
    places: dict[Any, Point] = {}
    widths: dict[Any, float] = {}
    x = 0.0
    for column, space in zip(columns, between, strict=True):
        width = max((sizes[key][0] for key in column if key in sizes), default=0.0)
        places |= {key: (x + width / 2, ys[key]) for key in column}
        widths |= dict.fromkeys(column, width)
        x += width + space
    bends = {}
    for edge, keys in passing.items():
        side = 0.5 if at[edge[0]] < at[edge[1]] else -0.5
        bends[edge] = tuple(
            (places[key][0] + sign * side * widths[key], places[key][1]) for key in keys for sign in (-1, 1)
        )
    height = max(ys[key] + _height(key, sizes) / 2 for key in at)
    return Layout({key: place for key, place in places.items() if key in sizes}, widths, bends, (x, height))


def _height(key: Any, sizes: Mapping[Any, Point]) -> float:
    return sizes[key][1] if key in sizes else _LANE


def _heights(
    columns: Sequence[list[Any]], sizes: Mapping[Any, Point], near: Mapping[Any, list[Any]]
) -> dict[Any, float]:
    """The height of each centre: near the mean of its neighbours, in the order of its column, the top at 0."""
    ys: dict[Any, float] = {}
    for column in columns:
        ys |= _stacked(column, dict.fromkeys(column, 0.0), sizes)
    for sweep in range(2 * _SWEEPS):
        for column in columns if sweep % 2 else reversed(columns):
            wanted = {
                key: sum(ys[other] for other in near[key]) / len(near[key]) if near.get(key) else ys[key]
                for key in column
            }
            ys |= _stacked(column, wanted, sizes)
    top = min(y - _height(key, sizes) / 2 for key, y in ys.items())
    return {key: y - top for key, y in ys.items()}


def _stacked(column: Sequence[Any], wanted: Mapping[Any, float], sizes: Mapping[Any, Point]) -> dict[Any, float]:
    """Heights as near to the wanted ones as the order and the gaps allow: runs that meet are moved to their mean."""
    offsets: list[float] = []  # of each centre from that of the first
    offset = 0.0
    for place, key in enumerate(column):
        if place:
            offset += (_height(column[place - 1], sizes) + _height(key, sizes)) / 2 + _GAP
        offsets.append(offset)
    runs: list[list[float]] = []  # the mean of what its members want of the first centre, and how many they are
    for key, from_first in zip(column, offsets, strict=True):
        runs.append([wanted[key] - from_first, 1])
        while len(runs) > 1 and runs[-2][0] > runs[-1][0]:
            (mean, count), (last, more) = runs[-2:]
            runs[-2:] = [[(mean * count + last * more) / (count + more), count + more]]
    firsts = [mean for mean, count in runs for _ in range(int(count))]
    return {key: first + off for key, first, off in zip(column, firsts, offsets, strict=True)}
