"""Connection: the shortest ways between two nodes of a graph, found by SPARQL from both ends at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

from kgllm.ontology import RDF_TYPE
from kgllm.protocols import GraphStore
from kgllm.terms import Triple, URIRef, n3

__all__ = ["connect"]

_LONGEST = 6  # facts in a way
_WAYS = 3  # that are given of the same length
_CHUNK = 300  # nodes asked for in a query
_MOST = 50_000  # facts that one step may bring; a hub's others are not walked


def connect(store: GraphStore, start: URIRef, end: URIRef, *, timeout_s: float) -> list[Triple]:
    """The facts of up to three shortest ways between two nodes, none if none is found; a fact is walked both ways.

    Ways of more than six facts are not looked for, nor those over a class that both are in. Where more than 50,000
    facts lie at one distance, those beyond are not walked. Raises ``DeadlineError``.
    """
    import networkx

    met = networkx.MultiGraph()
    met.add_nodes_from((start, end))
    ends, deadline = [{start}, {end}], time.monotonic() + timeout_s
    seen = [{start}, {end}]
    for _ in range(_LONGEST):
        nearer = 0 if len(ends[0]) <= len(ends[1]) else 1
        found = sorted(set(_facts(store, sorted(ends[nearer]), deadline)))  # the same ways each time
        met.add_edges_from((s, o, (s, p, o)) for s, p, o in found)
        ends[nearer] = {node for s, _, o in found for node in (s, o) if isinstance(node, URIRef)} - seen[nearer]
        seen[nearer] |= ends[nearer]
        if seen[0] & seen[1]:
            ways: Iterator[list[URIRef]] = islice(networkx.all_shortest_paths(networkx.Graph(met), start, end), _WAYS)
            pairs = [pair for way in ways for pair in pairwise(way)]
            return list(dict.fromkeys(fact for a, b in pairs for fact in sorted(met[a][b])))
        if not ends[nearer]:
            break
    return []


def _facts(store: GraphStore, nodes: list[URIRef], deadline: float) -> Iterable[Triple]:
    """The facts between some nodes and others, what names a class left out."""
    left = _MOST
    for first in range(0, len(nodes), _CHUNK):
        values = " ".join(map(n3, nodes[first : first + _CHUNK]))
        for pattern in (f"VALUES ?s {{ {values} }} ?s ?p ?o", f"VALUES ?o {{ {values} }} ?s ?p ?o"):
            if left <= 0:
                return
            query = f"SELECT ?s ?p ?o WHERE {{ {pattern} . FILTER(isIRI(?s) && isIRI(?o) && ?p != {n3(RDF_TYPE)}) }}"
            rows = store.select(query, timeout_s=max(0.01, deadline - time.monotonic()), limit=left)
            left -= len(rows)
            yield from rows.rows  # type: ignore[misc]
