"""Wishes: what a model may ask to see before it plans: a node's properties, what a property leads to, other words.

What is new among it takes the places of the least likely candidates, from the end of their pools.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from kgllm.briefing import class_entry, property_entry
from kgllm.descriptions import Description
from kgllm.index import Index
from kgllm.ontology import Ontology
from kgllm.prompting import value_entry
from kgllm.query_schema import LONGEST_SEARCH, Handles, PlanError, Pools
from kgllm.terms import Literal, Term, URIRef, clean, n3

__all__ = ["Seen", "fulfil", "is_wish", "node_entry"]

_SHOWN = 16
_HITS = 6  # of a search; two more can follow before the pool has no room
_WISHES = {"look", "values", "search"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a wish brought: all handles from now on, the entries of what was seen, and in a sentence what it was."""

    handles: Handles
    entries: Mapping[str, str]
    sentence: str


def is_wish(plan: Any) -> bool:
    """Whether a model asks to see more instead of giving a query."""
    return isinstance(plan, dict) and len(plan) == 1 and not _WISHES.isdisjoint(plan)


def fulfil(plan: Mapping[str, Any], handles: Handles, *, pools: Pools, index: Index, entered: dict[str, int]) -> Seen:
    """Fulfil a wish. Raises ``PlanError`` for one that names nothing, ``DeadlineError`` for one that takes too long.

    ``entered`` counts by letter what earlier wishes brought, which keeps its handles; it is brought up to date.
    """
    ((kind, wanted),) = plan.items()
    places = _Places(handles, pools, index, entered)
    if kind == "search":
        if not isinstance(wanted, str) or not wanted.strip():
            raise PlanError("search has no words")
        text = wanted.strip()[:LONGEST_SEARCH]
        for hit in index.search(text, k=_HITS):
            places.enter(hit.iri, hit.kind)
        return places.seen(f"searched for “{text}”")
    term = handles.term(wanted)
    if not isinstance(term, URIRef) or not isinstance(wanted, str) or wanted[0] != ("n" if kind == "look" else "p"):
        raise PlanError(f"{kind} has {str(wanted)[:40]}, which is no {'node' if kind == 'look' else 'property'}")
    label = index.label(term)
    if kind == "look":
        _look(term, places, index)
        return places.seen(f"looked at the properties of {label}")
    rows = index.store.select(
        f"SELECT ?o (COUNT(*) AS ?n) WHERE {{ ?s {n3(term)} ?o }} GROUP BY ?o ORDER BY DESC(?n) ?o LIMIT {_SHOWN}"
    )
    for value, count in rows.rows:
        if isinstance(value, URIRef | Literal):
            places.enter(value, "node", f"{count} times")
    return places.seen(f"looked at what {label} leads to")


def _look(node: URIRef, places: _Places, index: Index) -> None:
    """Every property of a node with an example, forwards and backwards; a hub's many neighbours are not walked."""
    known = " ".join(n3(p.iri) for p in index.ontology.observed())
    for pattern, arrow in ((f"{n3(node)} ?p ?o", "→"), (f"?o ?p {n3(node)}", "←")):
        rows = index.store.select(f"SELECT ?p WHERE {{ VALUES ?p {{ {known} }} FILTER EXISTS {{ {pattern} }} }}")
        for (prop,) in rows.rows[:_SHOWN]:
            if isinstance(prop, URIRef):
                one = index.store.select(f"SELECT ?o WHERE {{ {pattern.replace('?p', n3(prop))} }} LIMIT 1")
                example = _named(one.rows[0][0], index) if one.rows else ""
                places.enter(prop, "property", f"{arrow} {example}")


def _named(term: Term | None, index: Index) -> str:
    return index.label(term) if isinstance(term, URIRef) else str(term or "")


class _Places:
    """The handles while something is seen; what is new is entered from the end of its pool."""

    def __init__(self, handles: Handles, pools: Pools, index: Index, entered: dict[str, int]) -> None:
        self.index = index
        self.pools: dict[str, list[Any]] = {letter: list(handles.pool(letter)) for letter in "npcv"}
        self.sizes = dict(zip("npcv", astuple(pools), strict=True))
        self.entered = entered
        self.entries: dict[str, str] = {}

    def enter(self, term: URIRef | Literal, kind: str, told: str = "") -> None:
        """Give a term its handle, an old one if it has one; a term for which there is no room is left out."""
        letter = "v" if isinstance(term, Literal) else {"node": "n", "property": "p", "class": "c"}[kind]
        pool = self.pools[letter]
        if term in pool:
            number = pool.index(term)
        elif len(pool) < self.sizes[letter]:
            pool.append(term)
            number = len(pool) - 1
        elif self.entered[letter] < self.sizes[letter] * 3 // 4:
            self.entered[letter] += 1
            number = self.sizes[letter] - self.entered[letter]
            pool[number] = term
        else:
            return
        entry = _entry(term, letter, self.index)
        self.entries[f"{letter}{number}"] = f"{entry}, {told}" if told else entry

    def seen(self, sentence: str) -> Seen:
        """What has been entered."""
        handles = Handles(*(tuple(self.pools[letter]) for letter in "npcv"))
        return Seen(handles, dict(list(self.entries.items())[: 2 * _SHOWN]), clean(sentence))


def _entry(term: URIRef | Literal, letter: str, index: Index) -> str:
    if isinstance(term, Literal):
        return value_entry(term)
    if letter == "p":
        return property_entry(term, index.ontology)
    return (
        class_entry(term, index.ontology)
        if letter == "c"
        else node_entry(term, index.described([term]).get(term), index.ontology)
    )


def node_entry(iri: URIRef, described: Description | None, ontology: Ontology, *, has: str = "") -> str:
    """A node as ``label (class, class)``, and the handles of the properties that it has, where they are given."""
    kinds = ", ".join(ontology.label(c) for c in described.types[:2]) if described is not None else ""
    label = described.label if described is not None else ontology.label(iri)
    return label + (f" ({kinds})" if kinds else "") + (f" has {has}" if has else "")
