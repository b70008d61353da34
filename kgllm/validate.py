"""Validate: the memory of a question, against the ontology and the user's shapes.

The open world is respected: a class that is merely another one is no contradiction, a disjoint one is. Blame is split:
what the graph already violates without the memory is the data's fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from itertools import islice
from typing import Protocol

from kgllm.consistency import contradictions
from kgllm.entailment import Closure, close
from kgllm.memory import WorkingMemoryGraph
from kgllm.ontology import Ontology
from kgllm.protocols import GraphStore
from kgllm.terms import BNode, Literal, Node, Triple, URIRef, n3
from kgllm.violation import NOT_CHECKED, Violation
from kgllm.vocabularies import RDF_TYPE

__all__ = ["ShapesCheck", "blame", "validate_memory", "validate_triples"]


class ShapesCheck(Protocol):
    """The check against the user's shapes."""

    @property
    def reads(self) -> Sequence[str]:
        """Graph patterns over ``?n``, a focus node, for the facts ``?s ?p ?o`` that shapes read, but for its own."""

    def __call__(self, triples: Sequence[Triple], focus: set[Node] | None) -> list[Violation]:
        """The violations among some triples, everywhere or at the focus nodes."""


def validate_triples(
    triples: Iterable[Triple], ontology: Ontology, *, focus: set[Node] | None = None, timeout_s: float = 30
) -> list[Violation]:
    """What is contradictory among some triples and what follows from them, and a remark if that took too long.

    ``focus`` restricts the findings to those nodes; all triples serve as premises.
    """
    return _found(close(triples, ontology.rules, timeout_s=timeout_s), ontology, focus, timeout_s)


def _found(closure: Closure, ontology: Ontology, focus: set[Node] | None, timeout_s: float) -> list[Violation]:
    found = contradictions(closure, ontology, focus=focus)
    if not closure.is_whole:
        message = f"what follows by the ontology was not worked out to its end, within {timeout_s:g} s"
        found.append(Violation(None, None, None, NOT_CHECKED, "Info", message))
    return found


_SURROUNDINGS = 100  # nodes whose descriptions are fetched; a memory beyond that is checked by the ontology alone
_FACTS = 5_000
_MOST_ENTAILED = 100  # entailed triples that a memory takes in


def surroundings(
    memory: WorkingMemoryGraph,
    store: GraphStore,
    *,
    timeout_s: float,
    is_thorough: bool = True,
    reads: Sequence[str] = (),
) -> tuple[list[Triple], bool]:
    """What the graph says of the nodes in memory, in both directions, and the classes of what it says it with.

    The second value tells whether that is all of it: a partial view is no proof. ``reads`` are graph patterns from a
    node ``?n`` to facts ``?s ?p ?o`` that are wanted too. Where it need not be ``is_thorough``,
    one node stands for all that have a property with the same value: what the property says of that value, one shows.
    """
    nodes = [node for node in memory.nodes() if isinstance(node, URIRef)]
    if not nodes:
        return [], True
    named = " ".join(n3(node) for node in nodes[:_SURROUNDINGS])
    incoming = f"VALUES ?o {{ {named} }} ?s ?p ?o FILTER(?p != {n3(RDF_TYPE)})"
    if not is_thorough:
        incoming = f"SELECT (SAMPLE(?x) AS ?s) ?p ?o WHERE {{ {incoming.replace('?s', '?x')} }} GROUP BY ?p ?o"
    parts = (
        f"VALUES ?s {{ {named} }} ?s ?p ?o",
        incoming,
        f"VALUES ?n {{ {named} }} ?n ?q ?s . BIND({n3(RDF_TYPE)} AS ?p) ?s ?p ?o",
        *(f"VALUES ?n {{ {named} }} {pattern}" for pattern in reads),
    )
    # One query, since blank nodes keep their identity only within one.
    query = f"SELECT DISTINCT ?s ?p ?o WHERE {{ {' UNION '.join(f'{{ {part} }}' for part in parts)} }}"
    rows = store.select(query, timeout_s=timeout_s, limit=_FACTS)
    triples: dict[Triple, None] = {}
    for s, p, o in rows.rows:
        if isinstance(s, URIRef | BNode) and isinstance(p, URIRef) and o is not None:
            triples[s, p, o] = None
    return list(triples), rows.complete and len(nodes) <= _SURROUNDINGS


def validate_memory(
    memory: WorkingMemoryGraph,
    store: GraphStore,
    ontology: Ontology,
    *,
    shapes: ShapesCheck | None,
    timeout_s: float,
    named: Set[URIRef] = frozenset(),
) -> list[Violation]:
    """The contradictions that a memory stands in, with what the graph says of its nodes as context.

    What follows between its nodes by one of the ``named`` properties and classes enters the memory. ``shapes`` is asked
    only where the context is whole, so that no value is missing for want of fetching.
    """
    memory.checked_against = ("ontology",) if shapes is None else ("ontology", "shapes")
    if not len(memory):
        return []
    nodes = set(memory.nodes())
    around, is_whole = _context(memory, store, ontology, shapes, timeout_s)

    def check(triples: Sequence[Triple]) -> tuple[list[Violation], Closure]:
        closure = close(triples, ontology.rules, timeout_s=timeout_s)
        found = _found(closure, ontology, nodes, timeout_s)
        if shapes is None:
            return found, closure
        if not is_whole:
            message = "the shapes were not checked: the memory's surroundings are too large to be fetched whole"
            return [*found, Violation(None, None, None, NOT_CHECKED, "Info", message)], closure
        return found + shapes(triples, nodes), closure

    before, closure = check(around)
    found = before
    if added := set(memory.triples()).difference(around):
        found, closure = check([*around, *added])
    _take_in(memory, closure, ontology, named)
    return blame(found, before)


def _context(
    memory: WorkingMemoryGraph, store: GraphStore, ontology: Ontology, shapes: ShapesCheck | None, timeout_s: float
) -> tuple[list[Triple], bool]:
    """What a memory is checked together with: where nothing is stated that it could contradict, itself alone."""
    if shapes is None and not len(ontology.axioms):
        return memory.triples(), True
    reads = shapes.reads if shapes is not None else ()
    return surroundings(memory, store, timeout_s=timeout_s, is_thorough=_is_inverse(ontology), reads=reads)


def _is_inverse(ontology: Ontology) -> bool:
    """Whether it matters which nodes have a value, and not only that one has it."""
    kinds = ("InverseFunctionalProperty", "AsymmetricProperty", "TransitiveProperty", "SymmetricProperty")
    return any(map(ontology.rules.of_kind, kinds)) or bool(ontology.rules.inverses or ontology.rules.chains)


def _take_in(memory: WorkingMemoryGraph, closure: Closure, ontology: Ontology, named: Set[URIRef]) -> None:
    """Entail, between nodes of the memory, what the named terms say; with its premises, and the axioms behind them."""
    nodes = set(memory.nodes())
    entailed = (
        (s, p, o)
        for s, p, o in closure.derivations
        if s in nodes and (o in named if p == RDF_TYPE else p in named and (o in nodes or isinstance(o, Literal)))
    )
    for triple in list(islice(entailed, _MOST_ENTAILED)):
        memory.take_in(closure.proof(triple))
    for node in memory.nodes():
        if node not in memory.roles:
            is_term = node in ontology.classes or node in ontology.properties
            memory.roles[node] = "concept" if is_term else "bridge"


def blame(found: Sequence[Violation], before: Sequence[Violation]) -> list[Violation]:
    """The findings, those that stood before the memory (or the new triples) came marked as the data's."""
    old = {(v.focus, v.path, v.value, v.constraint) for v in before}
    return [replace(v, blame="data" if (v.focus, v.path, v.value, v.constraint) in old else "memory") for v in found]
