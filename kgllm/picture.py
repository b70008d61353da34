"""What of a memory is drawn: boxes and lines. Long lists are one box, and what a colour says takes no line."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kgllm.ontology import NAME_PROPERTIES, RDF_TYPE
from kgllm.terms import Literal, Node, Triple, URIRef, clean, local_name, readable

if TYPE_CHECKING:
    from kgllm.memory import Fact, WorkingMemoryGraph

__all__ = ["Box", "Line", "Picture", "picture"]

MOST_BOXES = 60
_FOLDED = 7  # nodes that differ in nothing but their name become one box from here on
_COUNTED = 2  # and those that a question counts from here on
_SCHEMA = ("http://www.w3.org/2000/01/rdf-schema#", "http://www.w3.org/2002/07/owl#")


@dataclass(frozen=True, slots=True)
class Box:
    """A node, or several that hang on the same things. ``role`` is that of the memory, or ``literal``."""

    node: Node
    label: str
    role: str
    cls: URIRef | None = None
    members: tuple[str, ...] = ()  # their names, if it stands for several
    nodes: tuple[Node, ...] = ()  # and they themselves, in the same order


@dataclass(frozen=True, slots=True)
class Line:
    """The facts of one status between two boxes, with the labels of their properties, each of these once."""

    start: Node
    end: Node
    labels: tuple[str, ...]
    properties: tuple[URIRef, ...]
    is_entailed: bool
    triples: tuple[Triple, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes by their node, the lines between them, and how many facts are not drawn."""

    boxes: dict[Node, Box]
    lines: tuple[Line, ...]
    left_out: int
    class_labels: dict[URIRef, str] = field(default_factory=dict)


def picture(
    memory: WorkingMemoryGraph,
    *,
    first: Iterable[Triple] = (),
    answers: Iterable[Node] = (),
    counted: int | None = None,
) -> Picture:
    """Choose what to draw, the ``first`` triples before others; ``answers`` are those that have no role, as values.

    ``counted`` is the number that the answer gives, if it counts: the nodes that make it up are one box, the answer.
    """
    facts = _drawable(memory, first)
    roles: dict[Node, str] = {**{value: "answer" for value in answers if isinstance(value, Literal)}, **memory.roles}
    groups = _folded(facts, roles, counted)
    stands_for = {node: members[0] for members in groups for node in members}
    boxes: dict[Node, Box] = {}
    joined: dict[tuple[Node, Node, bool], list[Triple]] = {}
    drawn = 0
    folds = {members[0]: members for members in groups}
    for fact in facts:
        s, p, o = fact.triple
        ends = [stands_for.get(end, end) for end in (s, o)]
        new = [end for end in dict.fromkeys(ends) if end not in boxes]
        if len(boxes) + len(new) > MOST_BOXES:
            continue
        for end in new:
            boxes[end] = _fold(folds[end], p, memory, roles, counted) if end in folds else _box(end, memory, roles)
        joined.setdefault((ends[0], ends[1], fact.rule is not None), []).append(fact.triple)
        drawn += 1
    lines = []
    for (start, end, is_entailed), triples in joined.items():
        properties = tuple(dict.fromkeys(p for _, p, _ in triples))
        names = tuple(_term_name(p, memory) for p in properties)
        lines.append(Line(start, end, names, properties, is_entailed, tuple(triples)))
    classes = {box.cls for box in boxes.values() if box.cls is not None}
    return Picture(boxes, tuple(lines), len(memory) - drawn, {cls: _term_name(cls, memory) for cls in classes})


def _term_name(term: Node, memory: WorkingMemoryGraph) -> str:
    """The label of a class or property, else its local name in words; safe to show."""
    return clean(memory.labels.get(term) or readable(local_name(str(term)))) or "(no name)"


def _node_name(node: Node, memory: WorkingMemoryGraph) -> str:
    """The text of a literal, the label of a node, else its local name; safe to show."""
    if isinstance(node, Literal):
        return clean(str(node)) or "(empty)"
    return clean(memory.labels.get(node) or local_name(str(node)).replace("_", " ")) or "(no name)"


def _drawable(memory: WorkingMemoryGraph, first: Iterable[Triple]) -> list[Fact]:
    """The facts of the claims, then the others; without what names, types or defines, unless there is nothing else."""
    chosen = [fact for triple in first if (fact := memory.fact(triple)) is not None]
    ordered = list(dict.fromkeys([*chosen, *memory]))
    telling = [fact for fact in ordered if not _is_plumbing(fact.triple)]
    told = {end for fact in telling for end in (fact.triple[0], fact.triple[2])}
    kinds = [fact for fact in ordered if fact.triple[1] == RDF_TYPE and fact.triple[0] not in told]
    return [*telling, *kinds] or ordered


def _is_plumbing(triple: Triple) -> bool:
    _, p, _ = triple
    return p == RDF_TYPE or p in NAME_PROPERTIES or str(p).startswith(_SCHEMA)


def _folded(facts: Sequence[Fact], roles: Mapping[Node, str], counted: int | None) -> list[list[Node]]:
    """Groups of nodes that have the same facts with the same nodes, and the same role."""
    around: dict[Node, set[tuple[Node, bool, Node, bool]]] = defaultdict(set)
    for fact in facts:
        s, p, o = fact.triple
        is_entailed = fact.rule is not None
        around[s].add((p, True, o, is_entailed))
        around[o].add((p, False, s, is_entailed))
    alike: dict[object, list[Node]] = defaultdict(list)
    for node, lines in around.items():
        if roles.get(node) != "topic":
            alike[frozenset(lines), roles.get(node, "bridge"), isinstance(node, Literal)].append(node)
    return [m for m in alike.values() if len(m) >= (_COUNTED if len(m) == counted else _FOLDED)]


def _box(node: Node, memory: WorkingMemoryGraph, roles: Mapping[Node, str]) -> Box:
    if isinstance(node, Literal):
        return Box(node, _node_name(node, memory), roles.get(node, "literal"))
    cls = memory.classes.get(node)
    if cls is None:
        cls = next((o for s, p, o in memory.triples() if s == node and p == RDF_TYPE and isinstance(o, URIRef)), None)
    return Box(node, _node_name(node, memory), roles.get(node, "bridge"), cls)


def _fold(
    nodes: Sequence[Node], p: URIRef, memory: WorkingMemoryGraph, roles: Mapping[Node, str], counted: int | None
) -> Box:
    """One box for several nodes: how many of which class, or by which property."""
    boxes = [_box(node, memory, roles) for node in nodes]
    classes = Counter(box.cls for box in boxes)
    cls = boxes[0].cls if len(classes) == 1 else None
    kind = _term_name(cls, memory) if cls is not None else _term_name(p, memory)
    role = "answer" if len(nodes) == counted else boxes[0].role
    return replace(
        boxes[0],
        label=f"{len(nodes):,} × {kind}",
        role=role,
        cls=cls,
        members=tuple(box.label for box in boxes),
        nodes=tuple(nodes),
    )
