"""Samples: a few nodes of a graph by their names, to show what there is without reading all of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from kgllm.ontology import NAME_PROPERTIES
from kgllm.protocols import GraphStore
from kgllm.terms import Literal, Term, URIRef, clean, local_name, n3

__all__ = ["Samples"]

_SAMPLE = 40  # of what is seen, the best are chosen
_WALKED = 5_000  # paths from these
_SORTED = 50_000  # rows, up to a few tenths of a second
_LONGEST_NAME = 40  # characters; a longer one is no name that a person would type
_WORD = re.compile(r"(?=.*[^\W\d_]{3})[^=#/]+")


class Samples:
    """A few nodes and paths of one graph, in a small one always the same. Every method raises what the store raises."""

    def __init__(self, store: GraphStore, languages: Sequence[str], *, timeout_s: float) -> None:
        """``languages`` are the preferred ones, best first."""
        self._store = store
        self._languages = [language.lower() for language in languages]
        self._timeout_s = timeout_s

    def instances(self, cls: URIRef, *, count: int, most: int) -> tuple[str, ...]:
        """The names of a few of the ``count`` nodes of a class, in the order of the alphabet, short ones first."""
        order = _order("?x", count)
        rows = self._select(f"SELECT DISTINCT ?x WHERE {{ ?x a {n3(cls)} }} {order} LIMIT {_SAMPLE}")
        names = self._names({x for (x,) in rows if isinstance(x, URIRef)})
        return tuple(sorted(set(names.values()), key=_by_length)[:most])

    def path(
        self, start: URIRef, steps: Sequence[URIRef], *, count: int
    ) -> tuple[URIRef, URIRef | Literal, str, str] | None:
        """The two ends of a path of properties from a node of a class, and their names; ``None`` if none is named.

        ``count`` tells about how many nodes there are to begin at.
        """
        ways = [f"?n{place} {n3(prop)} ?n{place + 1}" for place, prop in enumerate(steps)]
        starts = f"SELECT DISTINCT ?n0 WHERE {{ ?n0 a {n3(start)} . {ways[0]} }} {_order('?n0', count)} LIMIT {_SAMPLE}"
        ends = f"?n0 ?n{len(steps)}"
        rows = self._select(f"SELECT DISTINCT {ends} WHERE {{ {{ {starts} }} {' . '.join(ways)} }} LIMIT {_WALKED}")
        pairs = [(s, o) for s, o in rows if isinstance(s, URIRef) and isinstance(o, URIRef | Literal) and s != o]
        names = self._names({term for pair in pairs for term in pair if isinstance(term, URIRef)})
        names |= {o: str(clean(o)) for _, o in pairs if isinstance(o, Literal)}
        named = [(names[s], names[o], s, o) for s, o in pairs if s in names and o in names]
        if not named:
            return None
        subject, object_, s, o = min(named, key=lambda item: (_by_length(item[0]), _by_length(item[1]), item[2:]))
        return s, o, subject, object_

    def _names(self, iris: Iterable[URIRef]) -> dict[URIRef | Literal, str]:
        """The name of each IRI, by the best language and property; without one its local name, if that has a word."""
        wanted = sorted(iris)
        values, props = " ".join(map(n3, wanted)), " ".join(map(n3, NAME_PROPERTIES))
        query = f"SELECT ?x ?p ?name WHERE {{ VALUES ?x {{ {values} }} VALUES ?p {{ {props} }} ?x ?p ?name }}"
        best: dict[Term, tuple[int, int, str]] = {}
        nameless = set(wanted)
        for x, p, name in self._select(query) if wanted else ():
            if isinstance(x, URIRef) and isinstance(p, URIRef) and isinstance(name, Literal):
                nameless.discard(x)
                language = (name.language or "").lower()
                known = [tag for tag in (language, language.split("-")[0]) if tag in self._languages]
                if known and clean(name):
                    rank = (self._languages.index(known[0]), NAME_PROPERTIES.index(p), str(clean(name)))
                    best[x] = min(best.get(x, rank), rank)
        names: dict[URIRef | Literal, str] = {x: best[x][2] for x in wanted if x in best}
        spelt = {x: clean(local_name(x).replace("_", " ")) for x in nameless}
        return names | {x: name for x, name in spelt.items() if _WORD.fullmatch(name)}

    def _select(self, query: str) -> list[tuple[Term | None, ...]]:
        return self._store.select(query, timeout_s=self._timeout_s).rows


def _order(variables: str, count: int) -> str:
    """An order that makes the sample the same at every time; none where sorting would take long."""
    return f"ORDER BY {variables}" if count <= _SORTED else ""


def _by_length(name: str) -> tuple[bool, str]:
    return (len(name) > _LONGEST_NAME, name)
