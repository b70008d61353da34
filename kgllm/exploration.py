"""Exploration: the part of a graph that a person has laid out. It grows and shrinks by steps that can be undone.

It knows of no screen; ``kgllm.view`` shows it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kgllm.connection import connect
from kgllm.errors import InputError, QuestionError
from kgllm.lookup import by_popularity, classes_of, find, labels_of
from kgllm.memory import Fact, WorkingMemoryGraph
from kgllm.ontology import NAME_PROPERTIES, RDF_TYPE
from kgllm.protocols import Hit
from kgllm.terms import BNode, Literal, Namespaces, Node, Triple, URIRef, clean, n3
from kgllm.vocabularies import RDFS_SUBCLASS

if TYPE_CHECKING:
    from kgllm.assistant import Assistant
    from kgllm.workspace import Workspace

__all__ = ["Exploration", "Group"]

MANY = 12  # neighbours by one property: more than these are one group, which gives out as many at a time
COUNTED = 10_000  # neighbours of a group are counted up to this number
_AT_ONCE = 30  # neighbours that one step shows, before more properties become groups
_CHUNK = 300  # nodes or properties asked for in a query
_PAIRS = 2_000  # pairs of nodes asked for in a query
_NEAREST = 8
_SAME, _EXACT = 0.9, 0.999  # scores of a hit that is what was named, perhaps misspelt, and letter by letter


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbours of a node by one property, ``count`` in all, of which the first ``taken`` are shown one by one.

    No more than ``COUNTED`` are counted. ``cls`` is the class of the first ones, if they have the same one.
    """

    node: URIRef
    property: URIRef
    is_outgoing: bool
    count: int
    taken: int = 0
    cls: URIRef | None = None

    def key(self) -> tuple[URIRef, URIRef, bool]:
        """What it is, however many are left."""
        return self.node, self.property, self.is_outgoing


@dataclass(frozen=True, slots=True)
class _Laid:
    """What is laid out at one time."""

    nodes: tuple[Node, ...] = ()
    facts: tuple[Triple, ...] = ()
    groups: tuple[Group, ...] = ()


class Exploration:
    """A part of the graph of ``kg``, beginning with a memory; without ``kg`` there is nothing beyond it.

    Every step raises ``InputError`` where it needs a graph and has none, and
    what the graph's store raises.
    """

    def __init__(self, kg: Assistant | None, memory: WorkingMemoryGraph) -> None:
        self.kg = kg
        self._begun = memory
        self._known: dict[Triple, Fact] = {fact.triple: fact for fact in memory}
        self.labels: dict[Node, str] = dict(memory.labels)
        self.classes: dict[Node, URIRef] = dict(memory.classes)
        drawn = [t for t in self._known if not _is_plumbing(t)]
        nodes = dict.fromkeys([*(end for s, _, o in drawn for end in (s, o)), *memory.nodes()])
        typed = {o for _, p, o in self._known if p == RDF_TYPE} - {end for s, _, o in drawn for end in (s, o)}
        self._laid = _Laid(tuple(node for node in nodes if node not in typed), tuple(drawn))
        self._past: list[_Laid] = []
        self.note = ""  # what a person has to be told of how it begins
        if kg is not None:
            self._name(self._laid.nodes, self._laid.facts)
        for s, p, o in self._known:
            if p == RDF_TYPE and isinstance(o, URIRef):
                self.classes.setdefault(s, o)

    @classmethod
    def at(cls, kg: Assistant, node: str) -> Exploration:
        """Begin with the node that an IRI, a CURIE or a label names, and its neighbours.

        Raises ``InputError`` if nothing has that name.
        """
        iri, note = _called(node, kg)
        memory = WorkingMemoryGraph(f"around {clean(node)}", prefixes=kg.workspace.namespaces.prefixes)
        memory.roles[iri] = "topic"
        begun = cls(kg, memory)
        begun.add(iri)
        begun.expand(iri)
        begun._past.clear()
        begun.note = note
        return begun

    @property
    def nodes(self) -> tuple[Node, ...]:
        """What is shown, in the order in which it came."""
        return self._laid.nodes

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The facts between what is shown."""
        return tuple(self._known[triple] for triple in self._laid.facts)

    @property
    def groups(self) -> tuple[Group, ...]:
        """Neighbours that are not shown one by one."""
        return self._laid.groups

    @cached_property
    def namespaces(self) -> Namespaces:
        """The prefixes of the graph, or of a memory without one."""
        return self.kg.workspace.namespaces if self.kg is not None else Namespaces(self._begun.prefixes)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._past)

    def role(self, node: Node) -> str:
        """The role of a node in the memory that was begun with; ``bridge`` for any other."""
        return self._begun.roles.get(node, "bridge")

    def add(self, node: URIRef) -> int:
        """Show a node, with its facts to those that are shown already. The number of new nodes."""
        return self._grow([node], self._between([node], []))

    def expand(self, node: URIRef) -> int:
        """Show the neighbours of a node, those by a property that has many as a group. How many of both are new."""
        found = {
            (prop, is_outgoing): ends
            for is_outgoing in (True, False)
            for prop, ends in self._neighbours(node, is_outgoing).items()
        }
        many = {key for key, ends in found.items() if len(ends) > MANY}
        for key in sorted(found, key=lambda key: -len(found[key])):
            if sum(len(ends) for other, ends in found.items() if other not in many) > _AT_ONCE:
                many.add(key)
        facts = [_fact(node, p, end, out) for (p, out), ends in found.items() if (p, out) not in many for end in ends]
        new = dict.fromkeys([node, *(end for s, _, o in facts for end in (s, o))])
        groups = self._groups(node, {key: found[key] for key in many})
        left = [group for group in groups if self._count_shown(group) < group.count]
        return self._grow(new, [*facts, *self._between(new, new)], left)

    def open(self, group: Group) -> int:
        """Show the next neighbours of a group. How many nodes are new."""
        order = "ORDER BY ?end" if group.count < COUNTED else ""  # the largest stay as the graph has them
        pattern = self._ends(group.node, group.property, group.is_outgoing)
        query = f"SELECT DISTINCT ?end WHERE {{ {pattern} }} {order} LIMIT {MANY} OFFSET {group.taken}"
        ends = [end for (end,) in self._graph.workspace.store.select(query).rows if isinstance(end, URIRef | BNode)]
        found = [_fact(group.node, group.property, end, group.is_outgoing) for end in ends]
        left = replace(group, taken=group.taken + len(ends) if ends else max(group.count, group.taken))
        return self._grow([group.node, *ends], [*found, *self._between(ends, ends)], [left])

    def _neighbours(self, node: URIRef, is_outgoing: bool) -> dict[URIRef, list[Any]]:
        """The first neighbours of a node by each property, at most one more than ``MANY``; no hub is walked."""
        workspace = self._graph.workspace
        store = workspace.store
        known = [RDF_TYPE, RDFS_SUBCLASS, *(prop.iri for prop in workspace.ontology.observed())]
        skipped = {RDF_TYPE, *NAME_PROPERTIES} if is_outgoing else set()
        found: dict[URIRef, list[Any]] = defaultdict(list)
        for start in range(0, len(known), _CHUNK):
            patterns = {
                prop: self._ends(node, prop, is_outgoing)
                for prop in known[start : start + _CHUNK]
                if prop not in skipped
            }
            parts = [
                f"{{ SELECT ({n3(prop)} AS ?p) ?end WHERE {{ {pattern} }} LIMIT {MANY + 1} }}"
                for prop, pattern in patterns.items()
            ]
            for prop, end in store.select(f"SELECT ?p ?end WHERE {{ {' UNION '.join(parts)} }}").rows if parts else ():
                found[prop].append(end)  # type: ignore[index]
        return found

    def _count_shown(self, group: Group) -> int:
        """How many neighbours of a group are shown one by one."""
        by = [t for t in self._laid.facts if t[1] == group.property and not isinstance(t[2], Literal)]
        return sum(group.node == (s if group.is_outgoing else o) for s, _, o in by)

    def _ends(self, node: URIRef, prop: URIRef, is_outgoing: bool) -> str:
        """The pattern of the neighbours of a node by a property.

        Blank nodes of an endpoint are none: they are called otherwise in each of its answers, and like others in them.
        """
        facts = f"{n3(node)} {n3(prop)} ?end" if is_outgoing else f"?end {n3(prop)} {n3(node)}"
        return f"{facts} . FILTER({'isIRI(?end)' if self._graph.workspace.is_endpoint else '!isLiteral(?end)'})"

    def _groups(self, node: URIRef, found: Mapping[tuple[URIRef, bool], Sequence[Any]]) -> list[Group]:
        """Groups by property and direction, from the first that each of them has."""
        workspace = self._graph.workspace
        classes = classes_of(workspace, [end for ends in found.values() for end in ends])
        groups = []
        for (prop, is_outgoing), ends in found.items():
            few = f"SELECT ?end WHERE {{ {self._ends(node, prop, is_outgoing)} }} LIMIT {COUNTED}"
            rows = workspace.store.select(f"SELECT (COUNT(*) AS ?n) WHERE {{ {{ {few} }} }}").rows
            kinds = {classes.get(end) for end in ends}
            cls = kinds.pop() if len(kinds) == 1 else None
            groups.append(Group(node, prop, is_outgoing, int(str(rows[0][0])), cls=cls))
        return groups

    def connect(self, start: URIRef, end: URIRef) -> list[Triple]:
        """Show the shortest ways between two nodes. The facts on them, none if no way was found."""
        workspace = self._graph.workspace
        found = connect(workspace.store, start, end, timeout_s=workspace.timeout_s)
        self._grow([node for s, _, o in found for node in (s, o)], found)
        return found

    def hide(self, nodes: Collection[Node | Group]) -> None:
        """Take nodes and groups away, with their facts."""
        gone = set(nodes)
        self._lay(
            _Laid(
                tuple(node for node in self.nodes if node not in gone),
                tuple(t for t in self._laid.facts if t[0] not in gone and t[2] not in gone),
                tuple(group for group in self.groups if group not in gone and group.node not in gone),
            )
        )

    def undo(self) -> None:
        """Take the last step back."""
        if self._past:
            self._laid = self._past.pop()

    def memory(self, *, hidden: Collection[URIRef] = ()) -> WorkingMemoryGraph:
        """What is laid out as a memory: its facts with what they follow from, and the class of each node.

        Nodes of a ``hidden`` class and facts of a ``hidden`` property are left out.
        """
        out = {node for node in self.nodes if self.classes.get(node) in hidden}
        memory = WorkingMemoryGraph(self._begun.question, query=self._begun.query, prefixes=self._begun.prefixes)
        for fact in self.facts:
            s, p, o = fact.triple
            if p not in hidden and s not in out and o not in out:
                self._take_in(fact, memory)
        for node in self.nodes:
            if node not in out and node in self.classes and not isinstance(node, Literal):
                stated: Triple = (node, RDF_TYPE, self.classes[node])  # type: ignore[assignment]
                self._take_in(self._known.get(stated, Fact(stated)), memory)
        kept = {*memory.nodes()}
        memory.labels = dict(self.labels)
        memory.classes = {node: cls for node, cls in self.classes.items() if node in kept}
        memory.set_roles({node: role for node, role in self._begun.roles.items() if node in kept})
        memory.kg = self.kg
        return memory

    def part(self, *, hidden: Collection[URIRef] = ()) -> Workspace:
        """The workspace, answered from what ``memory`` gives and the values and classes of its nodes alone. Close it.

        Values of a ``hidden`` property are left out, too. Raises ``QuestionError`` where nothing is laid out.
        """
        memory = self.memory(hidden=hidden)
        if not len(memory):
            raise QuestionError("nothing is laid out to ask about", try_next="expand a node, or search for one")
        workspace = self._graph.workspace
        part = memory.to_rdflib()
        nodes = [node for node in memory.nodes() if isinstance(node, URIRef)]
        conditions = [f"(isLiteral(?o) || ?p = {n3(RDF_TYPE)})", *(f"?p != {n3(prop)}" for prop in hidden)]
        query = f"?s ?p ?o . FILTER({' && '.join(conditions)})"
        for start in range(0, len(nodes), _CHUNK):
            values = " ".join(map(n3, nodes[start : start + _CHUNK]))
            for triple in workspace.store.select(f"SELECT ?s ?p ?o WHERE {{ VALUES ?s {{ {values} }} {query} }}").rows:
                part.add(triple)  # type: ignore[arg-type]
        return workspace.part(part)

    @property
    def _graph(self) -> Assistant:
        if self.kg is None:
            raise InputError(
                "there is no graph behind this memory to look into",
                why="it was read from a file, or made by hand",
                try_next="kg.explore(node) begins in a graph",
            )
        return self.kg

    def _grow(self, nodes: Iterable[Node], facts: Iterable[Triple], groups: Iterable[Group] = ()) -> int:
        """Show more. What is shown already stays as it is, but for groups, of which the newer counts."""
        facts = list(dict.fromkeys(facts))
        for triple in facts:
            self._known.setdefault(triple, Fact(triple))
        shown = tuple(dict.fromkeys([*self.nodes, *nodes]))
        drawn = tuple(dict.fromkeys([*self._laid.facts, *facts]))
        groups = list(groups)
        kept = {group.key(): group for group in self.groups}
        for group in groups:
            if group.taken or group.key() not in kept:
                kept[group.key()] = group
        new = shown[len(self.nodes) :]
        of_groups = [term for group in groups for term in (group.property, group.cls) if term is not None]
        self._name([*new, *of_groups], facts)
        left = tuple(group for group in kept.values() if group.count > group.taken)
        more = len(new) + max(0, len(left) - len(self.groups))
        self._lay(_Laid(shown, drawn, left))
        return more

    def _lay(self, laid: _Laid) -> None:
        if laid != self._laid:
            self._past.append(self._laid)
            self._laid = laid

    def _between(self, some: Iterable[Node], others: Iterable[Node]) -> Iterator[Triple]:
        """The facts between some nodes and others, or those that are shown, in both directions."""
        a = [node for node in dict.fromkeys(some) if isinstance(node, URIRef)]
        b = [node for node in dict.fromkeys([*self.nodes, *others]) if isinstance(node, URIRef)]
        pairs = list(dict.fromkeys(pair for x in a for y in b for pair in ((x, y), (y, x))))
        store = self._graph.workspace.store
        for start in range(0, len(pairs), _PAIRS):  # asked for pair by pair, no hub is walked
            values = " ".join(f"({n3(x)} {n3(y)})" for x, y in pairs[start : start + _PAIRS])
            yield from store.select(f"SELECT ?s ?p ?o WHERE {{ VALUES (?s ?o) {{ {values} }} ?s ?p ?o }}").rows  # type: ignore[misc]

    def _take_in(self, fact: Fact, memory: WorkingMemoryGraph) -> None:
        if fact.triple in memory:
            return
        if fact.rule is None:
            memory.assert_triple(fact.triple)
            return
        for premise in fact.premises:
            self._take_in(self._known[premise], memory)
        memory.entail(fact.triple, rule=fact.rule, premises=fact.premises)

    def _name(self, nodes: Iterable[Node], facts: Iterable[Triple]) -> None:
        """Learn the labels and classes of what is new."""
        workspace = self._graph.workspace
        new = [node for node in nodes if isinstance(node, URIRef)]
        self.classes |= {n: c for n, c in classes_of(workspace, new).items() if n not in self.classes}
        terms = {*new, *(p for _, p, _ in facts), *(self.classes[n] for n in new if n in self.classes)}
        self.labels |= labels_of(workspace, [term for term in terms if term not in self.labels])


def _called(name: str, kg: Assistant) -> tuple[URIRef, str]:
    """The node of an IRI, a CURIE or a name, and what a person has to be told of the choice.

    Where there is an index a name may be nearly right. Of several nodes with the name, the one that has it as its label
    comes before those that have it besides, and one of many facts before one of few.
    """
    workspace = kg.workspace
    if workspace.namespaces.expand(name) is not None:
        if found := find(workspace, name):
            return found[0], ""
        raise _nothing(name, kg, "an IRI, a CURIE, or a label of the graph")
    try:
        hits = [hit for hit in kg.search(name, k=_NEAREST) if hit.kind != "property"]
    except InputError:  # the graph is too large to be indexed unasked
        if found := find(workspace, name):
            return found[0], ""
        raise _nothing(name, kg, "an IRI, a CURIE, or a label of the graph") from None
    labels = {hit.iri: kg.index.label(hit.iri) for hit in hits}
    same = [hit for hit in hits if _is_meant(name, hit, labels[hit.iri])]
    if not same:
        near = ", ".join(dict.fromkeys(clean(label, cap=60) for label in labels.values()))
        raise _nothing(name, kg, f"one of the nearest: {near}" if near else "a label of the graph")
    exact = by_popularity(workspace, [hit.iri for hit in same if labels[hit.iri].lower() == name.strip().lower()])
    if exact:
        others = ", ".join(clean(workspace.namespaces.curie(iri), cap=60) for iri in exact[1:4])
        return exact[0], f"also called {clean(name, cap=60)}: {others}" if others else ""
    best = min(same, key=lambda hit: (hit.kind != "node", -hit.score)).iri
    return best, f"{clean(labels[best], cap=60)} is what comes nearest to “{clean(name, cap=60)}”"


def _nothing(name: str, kg: Assistant, try_next: str) -> InputError:
    return InputError(f"nothing in {kg.workspace.name} is called {clean(name, cap=80)!r}", try_next=try_next)


def _is_meant(name: str, hit: Hit, label: str) -> bool:
    """Whether a hit is what was named, perhaps misspelt: another number or one word more is another name."""
    said, meant = (
        [part if part.isdigit() else "a word" for part in re.findall(r"\d+|[^\W\d]+", text)] for text in (name, label)
    )
    return hit.score >= (_SAME if said == meant else _EXACT)


def _fact(node: URIRef, prop: URIRef, end: Any, is_outgoing: bool) -> Triple:
    return (node, prop, end) if is_outgoing else (end, prop, node)


def _is_plumbing(triple: Triple) -> bool:
    return triple[1] == RDF_TYPE or triple[1] in NAME_PROPERTIES
