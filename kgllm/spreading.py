"""Places for boxes of a graph that grows: joined ones near each other, none on another, old ones near where they were.

The distances are those of Kamada and Kawai (1989), as networkx computes them; for a large part those of ForceAtlas2,
which does not grow with the square of its nodes, and to which what is new is added around what it came out of. What
lies on another after that is pushed apart.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import networkx

__all__ = ["Point", "spread"]

Point: TypeAlias = tuple[float, float]

_ACROSS, _DOWN = 260.0, 135.0  # pixels between joined boxes, which are wider than high
_ROOM = 14.0  # pixels between boxes
_ROUNDED = 1.01  # pixels of it that are lost where places are rounded
_BETWEEN = 60.0  # pixels between parts that nothing joins
_ROW = 1500.0  # width, from which on such parts begin a new row
_SMALL = 120  # nodes of a part, up to which Kamada and Kawai take less than a fifth of a second
_RING = 12  # nodes that come out of the same one, at the same distance from it
_PASSES = 300


def spread(
    sizes: Mapping[str, Point],
    edges: Iterable[tuple[str, str]],
    *,
    old: Mapping[str, Point] | None = None,
    fixed: Collection[str] = (),
) -> dict[str, Point]:
    """The centres of boxes of the given widths and heights. The ``fixed`` of the ``old`` ones stay where they are."""
    import networkx

    known = {key: place for key, place in (old or {}).items() if key in sizes}
    graph = networkx.Graph()
    graph.add_nodes_from(sizes)
    graph.add_edges_from((start, end) for start, end in edges if start != end and start in sizes and end in sizes)
    parts = [graph.subgraph(part) for part in networkx.connected_components(graph)]
    places: dict[str, Point] = {}
    for part in sorted(parts, key=lambda part: not any(key in known for key in part)):
        had = {key: known[key] for key in part if key in known}
        if len(had) == len(part):
            places |= had
            continue
        laid = _laid_out(part, had)
        corner = (0.0, 0.0) if had else _free_corner(places, sizes)
        places |= laid if had else _moved(laid, sizes, corner)
    places |= {key: known[key] for key in fixed if key in known}
    return _apart(places, sizes, fixed={key for key in fixed if key in known})


def _laid_out(part: networkx.Graph, had: Mapping[str, Point]) -> dict[str, Point]:
    """A connected part around the middle of those that it had, which turn as little as may be."""
    import networkx
    from threadpoolctl import threadpool_limits

    if len(part) == 1:
        return dict.fromkeys(part, (0.0, 0.0))
    begun = _begun(part, had) if had else None
    if begun is not None and len(part) > _SMALL:  # ForceAtlas2 would leave no node near where it was
        return {key: (x * _ACROSS, y * _DOWN) for key, (x, y) in begun.items()}
    with threadpool_limits(1):  # on a busy machine the threads for so small a task wait for each other, for seconds
        if len(part) <= _SMALL:
            laid = networkx.kamada_kawai_layout(part, pos=begun)
        else:
            laid = networkx.forceatlas2_layout(part, seed=1, max_iter=60)
    lengths = [math.dist(laid[a], laid[b]) for a, b in part.edges]
    mean = sum(lengths) / len(lengths) or 1.0
    placed = {key: (float(x) / mean * _ACROSS, float(y) / mean * _DOWN) for key, (x, y) in laid.items()}
    shift = _middle([had[key] for key in had], [placed[key] for key in had]) if had else (0.0, 0.0)
    return {key: (x + shift[0], y + shift[1]) for key, (x, y) in placed.items()}


def _begun(part: networkx.Graph, had: Mapping[str, Point]) -> dict[str, Point]:
    """Where the nodes of a part begin: where they were, or around what they came out of, away from its others."""
    begun = {key: (x / _ACROSS, y / _DOWN) for key, (x, y) in had.items()}
    middle = [sum(place[axis] for place in begun.values()) / len(begun) for axis in (0, 1)]
    waiting = [key for key in part if key not in begun]
    while waiting:
        reached = {key: next((other for other in part[key] if other in begun), None) for key in waiting}
        fans: dict[str, list[str]] = {}
        for key, other in reached.items():
            if other is not None:
                fans.setdefault(other, []).append(key)
        for other, keys in fans.items():
            x, y = begun[other]
            ahead = math.atan2(y - middle[1], x - middle[0]) if len(begun) > 1 else 0.0
            wide = math.pi * (1.2 if len(begun) > 1 else 2.0)
            rings = math.ceil(len(keys) / _RING)
            for place, key in enumerate(keys):
                angle = ahead - wide / 2 + wide * (place + 0.5) / len(keys)
                far = 1 + 0.7 * (place % rings)
                begun[key] = (x + far * math.cos(angle), y + far * math.sin(angle))
        waiting = [key for key in waiting if key not in begun]
    taken: set[Point] = set()
    for number, (key, (x, y)) in enumerate(begun.items()):
        if (x, y) in taken:  # no layout parts what lies in one point
            begun[key] = (x + 0.1 * math.cos(number), y + 0.1 * math.sin(number))
        taken.add(begun[key])
    return begun


def _middle(wanted: Sequence[Point], had: Sequence[Point]) -> Point:
    """How far some places lie from where they are wanted, on average."""
    x, y = (sum(a[axis] - b[axis] for a, b in zip(wanted, had, strict=True)) / len(had) for axis in (0, 1))
    return x, y


def _free_corner(places: Mapping[str, Point], sizes: Mapping[str, Point]) -> Point:
    """The left upper corner of a place right of all that lies, or below it where that would become too wide."""
    if not places:
        return 0.0, 0.0
    left, top, right, bottom = _bounds(places, sizes)
    return (right + _BETWEEN, top) if right - left < _ROW else (left, bottom + _BETWEEN)


def _moved(places: Mapping[str, Point], sizes: Mapping[str, Point], corner: Point) -> dict[str, Point]:
    left, top, _, _ = _bounds(places, sizes)
    return {key: (x - left + corner[0], y - top + corner[1]) for key, (x, y) in places.items()}


def _bounds(places: Mapping[str, Point], sizes: Mapping[str, Point]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of all boxes."""
    return (
        min(x - sizes[key][0] / 2 for key, (x, _) in places.items()),
        min(y - sizes[key][1] / 2 for key, (_, y) in places.items()),
        max(x + sizes[key][0] / 2 for key, (x, _) in places.items()),
        max(y + sizes[key][1] / 2 for key, (_, y) in places.items()),
    )


def _apart(places: Mapping[str, Point], sizes: Mapping[str, Point], *, fixed: Collection[str]) -> dict[str, Point]:
    """Push boxes that lie on each other apart, each by half of what it takes, the fixed ones not at all."""
    moved = {key: [x, y] for key, (x, y) in places.items()}
    for _ in range(_PASSES):
        is_done = True
        ordered = sorted(moved, key=lambda key: moved[key][1])
        for number, a in enumerate(ordered):
            for b in ordered[number + 1 :]:
                height = (sizes[a][1] + sizes[b][1]) / 2 + _ROOM
                if moved[b][1] - moved[a][1] >= height:
                    break
                across = (sizes[a][0] + sizes[b][0]) / 2 + _ROOM - abs(moved[a][0] - moved[b][0])
                down = height - abs(moved[b][1] - moved[a][1])
                if across <= _ROUNDED or down <= _ROUNDED or (a in fixed and b in fixed):
                    continue
                is_done = False
                axis, by = (1, down) if down <= across else (0, across)
                sign = -1.0 if moved[a][axis] <= moved[b][axis] else 1.0
                part = 0.0 if a in fixed else 1.0 if b in fixed else 0.5
                moved[a][axis] += sign * by * part
                moved[b][axis] -= sign * by * (1.0 - part)
        if is_done:
            break
    return {key: (x, y) for key, (x, y) in moved.items()}
