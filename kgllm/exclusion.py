"""Exclusion: what a question leaves out of what it asks for, as "who besides Neil Armstrong was aboard Gemini 8?"."""

from __future__ import annotations

import re
from dataclasses import replace

from kgllm.link import Links, Mention
from kgllm.query import Comparison, Query, Variable
from kgllm.terms import Literal, URIRef
from kgllm.words import EXCEPT

__all__ = ["leave_out", "without_exclusion"]

_EXCLUDES = re.compile(
    rf"\b(?:{EXCEPT})(?: (?:the|an?|d(?:er|ie|as|em|en)|l[ea]s?|els?|los|las|il|lo|i|gli))?\s*", re.I
)
_AS_SURE = 0.01  # how much less sure another node of the same name may be
_JOINS = re.compile(r"\s*(?:,\s*)?(?:\b(?:and|or|und|oder|et|ou|y|o|e)\b)?\s*(?:\b(?:the|for|from)\b\s*)*", re.I)


def without_exclusion(links: Links) -> tuple[Links, tuple[URIRef | Literal, ...]]:
    """The question without what it leaves out, and that; the question as it is where it leaves out nothing named.

    >>> without_exclusion(links)[0].question  # doctest: +SKIP
    'Who                        was aboard Gemini 8?'
    """
    found: list[Mention] = []
    words = None  # where those of exclusion begin
    for mention in links.named():
        start = links.tokens[mention.first].start
        if not found:
            words = _ends_with_exclusion(links.question[:start])
            found = [mention] if words is not None else []
        elif mention.first >= found[-1].last:
            between = links.question[links.tokens[found[-1].last - 1].end : start]
            if _JOINS.fullmatch(between):
                found.append(mention)
    if words is None:
        return links, ()
    first = next(place for place, token in enumerate(links.tokens) if token.end > words)
    return links.without(first, found[-1].last), tuple(term for mention in found for term in _named(mention))


def _named(mention: Mention) -> list[URIRef | Literal]:
    """All that has the name."""
    best = [candidate for candidate in mention.candidates if candidate.score >= mention.score - _AS_SURE]
    nodes = [candidate.description.iri for candidate in best if candidate.description is not None]
    return [*nodes, *(candidate.value.literal for candidate in best if candidate.value is not None)]


def _ends_with_exclusion(text: str) -> int | None:
    """Where the words of exclusion begin that a text ends with."""
    return next((m.start() for m in _EXCLUDES.finditer(text) if m.end() == len(text)), None)


def leave_out(query: Query, terms: tuple[URIRef | Literal, ...]) -> Query:
    """The query in which nothing that is looked for is one of some terms: not what is told, nor what is on the way."""
    ends = (end for pattern in query.where.patterns for end in (pattern.subject, pattern.object))
    sought = dict.fromkeys(end for end in ends if isinstance(end, Variable))
    others = tuple(Comparison(variable, "!=", term) for variable in sought for term in terms)
    return replace(query, where=replace(query.where, comparisons=(*query.where.comparisons, *others)))
