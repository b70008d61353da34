"""Choice: of several nodes named with "or" any may be meant, so that they are asked of as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from kgllm.link import Links, Mention
from kgllm.ontology import Ontology
from kgllm.query import Comparison, PatternTerm, Query, TriplePattern, Values, Variable
from kgllm.terms import URIRef
from kgllm.words import asks_for, superlative

__all__ = ["as_one", "spread"]

_OR = re.compile(r"\s*,?\s*(?:or|oder|ou)(?:\s+(?:the|der|die|das|le|la))?\s*", re.I)
_COMMA = re.compile(r"\s*,(?:\s+the)?\s*", re.I)
_THOSE = Variable("those")


def as_one(links: Links, ontology: Ontology) -> tuple[Links, tuple[URIRef, ...]]:
    """The question with the first of the nodes that it names with "or", and all of them; as it is without any.

    They have a class in common, or one above theirs. Nothing is joined where one of them is to be told: "is it A or
    B?", "which is older?".
    """
    if asks_for(links.question) == "yes/no" or superlative(links.question, comparative=True) is not None:
        return links, ()
    named = [m for m in links.named() if m.candidates[0].kind == "node" and not m.several]
    for place, first in enumerate(named):
        joined, is_or = [first], False
        for mention in named[place + 1 :]:
            between = links.question[links.tokens[joined[-1].last - 1].end : links.tokens[mention.first].start]
            if not (_OR.fullmatch(between) or _COMMA.fullmatch(between)):
                break
            is_or |= _OR.fullmatch(between) is not None
            joined.append(mention)
        nodes = _alike(joined, ontology)
        if is_or and len(nodes) > 1:
            return links.without(first.last, joined[-1].last), nodes
    return links, ()


def _alike(mentions: Sequence[Mention], ontology: Ontology) -> tuple[URIRef, ...]:
    """What some mentions name, if it is all of one class."""
    found = [mention.candidates[0].description for mention in mentions]
    classes = [{c for cls in d.types for c in ontology.superclasses(cls)} for d in found if d is not None]
    return tuple(d.iri for d in found if d is not None) if classes and set.intersection(*classes) else ()


def spread(query: Query, nodes: Sequence[URIRef]) -> Query:
    """The query with the first of some nodes replaced by a variable for all of them."""
    if not nodes:
        return query
    group = query.where

    def swapped(term: PatternTerm) -> PatternTerm:
        return _THOSE if term == nodes[0] else term

    patterns = tuple(
        TriplePattern(swapped(p.subject), p.predicate, swapped(p.object))  # type: ignore[arg-type]
        for p in group.patterns
    )
    if patterns == group.patterns:
        return query
    comparisons = tuple(Comparison(c.left, c.operator, swapped(c.right), c.numeric) for c in group.comparisons)
    values = tuple(
        Values(v.variable, tuple(dict.fromkeys([*nodes, *v.terms]))) if nodes[0] in v.terms else v for v in group.values
    )
    values = (*values, Values(_THOSE, tuple(nodes)))
    return replace(query, where=replace(group, patterns=patterns, comparisons=comparisons, values=values))
