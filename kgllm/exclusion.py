"""Exclusion: what a question leaves out of what it asks for, as "who besides Neil Armstrong was aboard Gemini 8?"."""

from __future__ import annotations

import re
from dataclasses import replace

from kgllm.link import Links, Mention
from kgllm.query import Aggregate, Comparison, Computed, Query
from kgllm.terms import Literal, URIRef

__all__ = ["leave_out", "without_exclusion"]

_EXCLUDES = re.compile(
    r"(?:besides|other than|apart from|aside from|except(?: for)?|excluding|in addition to|"
    r"außer|ausser|abgesehen von|sauf|excepté|hormis|excepto|salvo|aparte de|tranne|eccetto|oltre a)"
    r"(?: (?:the|a|an|der|die|das|dem|den|le|la|les|el|los|las|il|lo|i|gli))?\s*",
    re.I,
)
_AS_SURE = 0.01  # how much less sure another node of the same name may be
_JOINS = re.compile(r"\s*(?:,|and|or|und|oder|et|ou|y|o|e)\s*(?:(?:the|for|from)\s+)*", re.I)


def without_exclusion(links: Links) -> tuple[Links, tuple[URIRef | Literal, ...]]:
    """The question without what it leaves out, and that; the question as it is where it leaves out nothing named.

    >>> without_exclusion(links)[0].question  # doctest: +SKIP
    'Who                        was aboard Gemini 8?'
    """
    found: list[Mention] = []
    for mention in links.named():
        start = links.tokens[mention.first].start
        before = links.question[:start]
        if found and mention.first >= found[-1].last:
            between = links.question[links.tokens[found[-1].last - 1].end : start]
            if _JOINS.fullmatch(between):
                found.append(mention)
        elif not found and _ends_with_exclusion(before) is not None:
            found.append(mention)
    if not found or (word := _ends_with_exclusion(links.question[: links.tokens[found[0].first].start])) is None:
        return links, ()
    first = next(place for place, token in enumerate(links.tokens) if token.end > word)
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
    """The query without some terms among its answers, or among what it counts."""
    if not terms or not query.select:
        return query
    column = query.select[0]
    if isinstance(column, Computed):
        return query
    answer = column.variable if isinstance(column, Aggregate) else column
    others = tuple(Comparison(answer, "!=", term) for term in terms)
    return replace(query, where=replace(query.where, comparisons=(*query.where.comparisons, *others)))
