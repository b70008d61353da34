"""The form in which a plan says a query: a class for all those below it, a choice between terms for a table of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from kgllm.ontology import RDF_TYPE, Ontology
from kgllm.query import Comparison, Group, Query, Values, Variable
from kgllm.terms import URIRef

__all__ = ["as_planned"]


def as_planned(query: Query, ontology: Ontology) -> Query:
    """A query that finds the same, in which a class stands for those below it, as it does in a plan."""
    return replace(query, where=_as_planned(query.where, ontology))


def _as_planned(group: Group, ontology: Ontology) -> Group:
    """A group in which a class stands for those below it, and terms that something may be for a choice of them."""

    def inner(parts: Iterable[Group]) -> Iterator[Group]:
        return (_as_planned(part, ontology) for part in parts)

    nested = tuple(replace(query, where=_as_planned(query.where, ontology)) for query in group.nested)
    patterns, required = list(group.patterns), []
    for part in inner(group.required):
        if part == Group(part.patterns) and len(part.patterns) == 1:
            patterns += part.patterns
        else:
            required.append(part)
    kept = [query for query in nested if not _is_membership(query)]
    patterns += [query.where.patterns[0] for query in nested if _is_membership(query)]
    either = []
    tables = list(group.values)
    for ways in group.either:
        table = _table(ways)
        if table is not None and _class_of(table, patterns, ontology) is not None:
            tables.append(table)
        else:
            either.append(ways)
    comparisons = list(group.comparisons)
    for table in tables:
        cls = _class_of(table, patterns, ontology)
        if cls is not None:
            patterns = [replace(p, object=cls) if p.object == table.variable else p for p in patterns]
            continue
        equal = tuple((Comparison(table.variable, "=", term),) for term in table.terms)  # type: ignore[arg-type]
        if len(equal) == 1:
            comparisons += equal[0]
        else:
            either.append(equal)
    return replace(
        group,
        patterns=tuple(dict.fromkeys(patterns)),
        values=(),
        comparisons=tuple(comparisons),
        optional=tuple(inner(group.optional)),
        negated=tuple(inner(group.negated)),
        alternatives=tuple(tuple(inner(options)) for options in group.alternatives),
        either=tuple(either),
        nested=tuple(kept),
        required=tuple(required),
    )


def _is_membership(query: Query) -> bool:
    """Whether a nested query says no more than that something belongs to a class."""
    where = query.where
    is_one = len(where.patterns) == 1 and where == Group(where.patterns) and where.patterns[0].predicate == RDF_TYPE
    return is_one and query == Query("select", where, (where.patterns[0].subject,))  # type: ignore[arg-type]


def _table(ways: Sequence[Sequence[Comparison]]) -> Values | None:
    """The table that a choice between terms for one variable is."""
    if any(len(way) != 1 or way[0].operator != "=" or not isinstance(way[0].right, URIRef) for way in ways):
        return None
    left: Collection[Variable] = {way[0].left for way in ways}
    terms = tuple(way[0].right for way in ways if isinstance(way[0].right, URIRef))
    return Values(next(iter(left)), terms) if len(left) == 1 else None


def _class_of(table: Values, patterns: Sequence[Any], ontology: Ontology) -> URIRef | None:
    """The class that the terms of a table are the populated ones of, if these are what something is said to be."""
    if not any(p.object == table.variable and p.predicate == RDF_TYPE for p in patterns):
        return None
    terms = set(table.terms)
    return next((cls for cls in ontology.classes if set(ontology.populated(cls)) == terms), None)
