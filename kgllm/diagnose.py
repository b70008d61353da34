"""Diagnose: why a query finds nothing, in a sentence that whoever planned it can act on."""

from __future__ import annotations

from dataclasses import replace

from kgllm.errors import DeadlineError
from kgllm.index import Index
from kgllm.query import Comparison, Group, Path, PatternTerm, Query, TriplePattern, Values, Variable
from kgllm.terms import URIRef

__all__ = ["why_nothing"]


def why_nothing(query: Query, index: Index) -> str:
    """The first condition with which a query that holds nowhere stops holding."""
    if query.form == "describe":
        return "the graph states nothing of it"
    where = query.where
    kinds = {values.variable: values for values in where.values}
    held = Group(nested=where.nested)
    try:
        for pattern in where.patterns:
            if not _holds(_with(Group(), pattern, kinds), index):
                return f"nothing at all fits {_said(pattern, index)}"
            held = _with(held, pattern, kinds)
            if not _holds(held, index):
                return f"{_said(pattern, index)} fits nothing together with the conditions before it"
        for options in where.alternatives:
            held = replace(held, alternatives=(*held.alternatives, options))
            if not _holds(held, index):
                return "the conditions hold, but with none of the alternatives in either"
        held = replace(held, optional=where.optional, computed=where.computed)
        for comparison in where.comparisons:
            held = replace(held, comparisons=(*held.comparisons, comparison))
            if not _holds(held, index):
                return f"the conditions hold, but not where {_compared(comparison, index)}"
        for ways in where.either:
            held = replace(held, either=(*held.either, ways))
            if not _holds(held, index):
                return "the conditions hold, but none of the comparisons in either does"
    except DeadlineError:
        return "it has nothing that fits the pattern"
    if where.negated:
        return "the conditions hold, but what stands in not holds of all that fits them"
    if query.having:
        return "the conditions hold, but no group fits what having asks of it"
    return "it has nothing that fits the pattern"


def _with(group: Group, pattern: TriplePattern, kinds: dict[Variable, Values]) -> Group:
    values = kinds.get(pattern.object) if isinstance(pattern.object, Variable) else None
    added = group.values if values is None else (*group.values, values)
    return replace(group, patterns=(*group.patterns, pattern), values=added)


def _holds(group: Group, index: Index) -> bool:
    return index.store.ask(Query("ask", group).to_sparql(index.namespaces))


def _said(pattern: TriplePattern, index: Index) -> str:
    predicate = pattern.predicate
    verb = (
        f"{index.label(predicate.iri)}{predicate.closure}" if isinstance(predicate, Path) else _term(predicate, index)
    )
    return f"“{_term(pattern.subject, index)} — {verb} → {_term(pattern.object, index)}”"


def _term(term: PatternTerm, index: Index) -> str:
    if isinstance(term, Variable):
        return "something" if term.name.startswith("type") else term.name
    return index.label(term) if isinstance(term, URIRef) else str(term)


def _compared(comparison: Comparison, index: Index) -> str:
    return f"{comparison.left.name} {comparison.operator} {_term(comparison.right, index)}"
