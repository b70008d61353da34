"""Prove: whether one triple follows from a graph and its ontology, by fetching only what it could follow from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from kgllm.entailment import SAME_AS, Closure, Derivation, close
from kgllm.ontology import Ontology
from kgllm.protocols import GraphStore
from kgllm.terms import Literal, Node, Triple, URIRef, n3
from kgllm.vocabularies import RDF_TYPE

__all__ = ["Proof", "prove"]

_ROUNDS = 4  # how far from its ends the premises of a triple are looked for
_FACTS = 10_000  # triples of a round
_NODES = 200  # nodes that are asked about at once


@dataclass(frozen=True, slots=True)
class Proof:
    """The steps to a triple, premises before what is made of them; none if it does not follow.

    ``is_whole`` is false where not all was looked at that it could follow from.
    """

    steps: tuple[tuple[Triple, Derivation | None], ...]
    is_whole: bool


def prove(triple: Triple, store: GraphStore, ontology: Ontology, *, timeout_s: float = 30) -> Proof:
    """Fetch more and more around the ends of a triple, until it follows or there is no more that could matter.

    Raises ``DeadlineError`` where the store does not answer in time.
    """
    deadline = time.monotonic() + timeout_s
    relevant = ontology.rules.leading_to(triple[1])
    leading_on = None if relevant is None else ontology.rules.leading_on(relevant) | {SAME_AS}
    known: dict[Triple, None] = {}
    asked: set[Node] = set()
    frontier: set[Node] = {end for end in (triple[0], triple[2]) if isinstance(end, URIRef)}
    is_whole, closure = True, Closure()
    for _ in range(_ROUNDS):
        nodes = sorted(node for node in frontier - asked if isinstance(node, URIRef))
        if not nodes:
            break
        asked |= frontier
        new, all_fetched = _facts(nodes, relevant, store, timeout_s)
        known |= dict.fromkeys(new)
        closure = close(known, ontology.rules, timeout_s=max(0.1, deadline - time.monotonic()))
        is_whole = is_whole and all_fetched and closure.is_whole
        if triple in closure:
            break
        further = [(s, o) for s, p, o in new if (p != RDF_TYPE if leading_on is None else p in leading_on)]
        frontier = {end for ends in further for end in ends if not isinstance(end, Literal)}
    else:
        is_whole = False
    return Proof(tuple(closure.proof(triple)) if triple in closure else (), is_whole)


def _facts(
    nodes: Sequence[URIRef], relevant: frozenset[URIRef] | None, store: GraphStore, timeout_s: float
) -> tuple[list[Triple], bool]:
    """The triples around some nodes with the properties that matter, and whether these are all."""
    only = ""
    if relevant is not None:
        only = f"VALUES ?p {{ {' '.join(map(n3, sorted({*relevant, RDF_TYPE, SAME_AS})))} }}"
    values = " ".join(map(n3, nodes[:_NODES]))
    is_whole = len(nodes) <= _NODES
    found: list[Triple] = []
    for end, rest in (("?s", ""), ("?o", f"FILTER(?p != {n3(RDF_TYPE)})")):
        rows = store.select(
            f"SELECT ?s ?p ?o WHERE {{ VALUES {end} {{ {values} }} {only} ?s ?p ?o {rest} }}",
            timeout_s=timeout_s,
            limit=_FACTS,
        )
        is_whole = is_whole and rows.complete
        found += rows.rows  # type: ignore[arg-type]  # every variable is bound
    return found, is_whole
