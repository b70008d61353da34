"""Validate: the memory of a question, against the ontology and the user's shapes.

The open world is respected: a class that is merely another one is no contradiction, a disjoint one is. Blame is split:
what the graph already violates without the memory is the data's fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from kgllm.consistency import contradictions
from kgllm.entailment import close
from kgllm.memory import WorkingMemoryGraph
from kgllm.ontology import Ontology
from kgllm.protocols import GraphStore
from kgllm.terms import BNode, Node, Triple, URIRef, n3
from kgllm.violation import NOT_CHECKED, Violation
from kgllm.vocabularies import RDF_TYPE

__all__ = ["ShapesCheck", "blame", "validate_memory", "validate_triples"]

ShapesCheck: TypeAlias = Callable[[Sequence[Triple], set[Node]], "list[Violation]"]
"""Checks triples against the user's shapes and returns the violations at some focus nodes."""


def validate_triples(
    triples: Iterable[Triple], ontology: Ontology, *, focus: set[Node] | None = None, timeout_s: float = 30
) -> list[Violation]:
    """What is contradictory among some triples and what follows from them, and a remark if that took too long.

    ``focus`` restricts the findings to those nodes; all triples serve as premises.
    """
    closure = close(triples, ontology.rules, timeout_s=timeout_s)
    found = contradictions(closure, ontology, focus=focus)
    if not closure.is_whole:
        message = f"what follows by the ontology was not worked out to its end, within {timeout_s:g} s"
        found.append(Violation(None, None, None, NOT_CHECKED, "Info", message))
    return found


_SURROUNDINGS = 100  # nodes whose descriptions are fetched; a memory beyond that is checked by the ontology alone
_FACTS = 5_000


def surroundings(memory: WorkingMemoryGraph, store: GraphStore, *, timeout_s: float) -> tuple[list[Triple], bool]:
    """What the graph says of the nodes in memory, in both directions, and the classes of what it says it with.

    The second value tells whether that is all of it: a partial view is no proof.
    """
    nodes = [node for node in memory.nodes() if isinstance(node, URIRef)]
    if not nodes:
        return [], True
    named = " ".join(n3(node) for node in nodes[:_SURROUNDINGS])
    is_whole = len(nodes) <= _SURROUNDINGS
    triples: dict[Triple, None] = {}
    for query in (
        f"SELECT ?s ?p ?o WHERE {{ VALUES ?s {{ {named} }} ?s ?p ?o }}",
        f"SELECT ?s ?p ?o WHERE {{ VALUES ?o {{ {named} }} ?s ?p ?o FILTER(?p != {n3(RDF_TYPE)}) }}",
        f"SELECT DISTINCT ?s ?p ?o WHERE {{ VALUES ?n {{ {named} }} ?n ?q ?s . BIND({n3(RDF_TYPE)} AS ?p) ?s ?p ?o }}",
    ):
        rows = store.select(query, timeout_s=timeout_s, limit=_FACTS)
        is_whole = is_whole and rows.complete
        for s, p, o in rows.rows:
            if isinstance(s, URIRef | BNode) and isinstance(p, URIRef) and o is not None:
                triples[s, p, o] = None
    return list(triples), is_whole


def validate_memory(
    memory: WorkingMemoryGraph, store: GraphStore, ontology: Ontology, *, shapes: ShapesCheck | None, timeout_s: float
) -> list[Violation]:
    """The contradictions that a memory stands in, with what the graph says of its nodes as context.

    ``shapes`` is asked only where that context is whole, so that no value is missing for want of fetching.
    """
    if not len(memory):
        return []
    around, is_whole = surroundings(memory, store, timeout_s=timeout_s)
    nodes = set(memory.nodes())

    def check(triples: Sequence[Triple]) -> list[Violation]:
        found = validate_triples(triples, ontology, focus=nodes)
        if shapes is None:
            return found
        if not is_whole:
            message = "the shapes were not checked: the memory's surroundings are too large to be fetched whole"
            return [*found, Violation(None, None, None, NOT_CHECKED, "Info", message)]
        return found + shapes(triples, nodes)

    before = check(around)
    added = set(memory.triples()).difference(around)
    return blame(check([*around, *added]) if added else before, before)


def blame(found: Sequence[Violation], before: Sequence[Violation]) -> list[Violation]:
    """The findings, those that stood before the memory (or the new triples) came marked as the data's."""
    old = {(v.focus, v.path, v.value, v.constraint) for v in before}
    return [replace(v, blame="data" if (v.focus, v.path, v.value, v.constraint) in old else "memory") for v in found]
