"""Candidates: what the handles of a plan stand for, the likeliest first, each pool filled up with the next best.

Properties and classes come in an order that is the graph's own, so that every prompt over it begins alike and a server
has that part of it in its cache. Where they are more than their pool holds, its end is chosen by relevance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain, islice, zip_longest
from typing import TypeVar

from kgllm.datatypes import is_date
from kgllm.index import Index
from kgllm.link import SURE, Links, Mention
from kgllm.names import normalise
from kgllm.ontology import Ontology
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.protocols import Hit, Reranker
from kgllm.query_schema import Handles, Pools
from kgllm.reranking import best_first
from kgllm.terms import Literal, URIRef
from kgllm.vocabularies import XSD
from kgllm.words import bounds, content_tokens, numbers_in_words

__all__ = ["COMPACT", "MOST", "candidates", "graph_terms", "pools_for"]

MOST = Pools(nodes=20, properties=280, classes=100, values=24)
"""Of nodes and values, which every question has its own of, no more than pays (``kgllm eval --candidates``)."""
COMPACT = Pools(nodes=8, properties=96, classes=48, values=14)
"""For a small model (``kgllm.compact``): about 700 tokens, whatever its tokenizer."""
_STABLE = 0.6  # of a pool that the graph's terms overflow, the part that is the same for every question
_RANKED = 12  # readings of the embedded planner whose properties come first
_DATED = 8  # properties with dates that a question with a date or year is given, whatever its words
_WORDS, _NEAR_A_WORD, _PER_WORD = 12, 8, 2
_LEAST_MEANT = 0.45  # cosine from which a node is near a word
_DIGITS = re.compile(r"(?<![\d.,-])[0-9]+(?![\d.,-]*\d)")
_ABBREVIATION = re.compile(r"[A-Z]{2,5}")  # in lower case it may be a word of grammar: "US"
_COUNTS = 11  # the numbers from 0 on that every prompt has, for "more than two" and the like
_ROUND = (12, 15, 20, 24, 25, 30, 40, 50, 60, 100, 200, 500, 1000, 10_000, *range(13, 60))  # fill a pool up
_DECIMAL, _INTEGER = URIRef(XSD + "decimal"), URIRef(XSD + "integer")
T = TypeVar("T")
_QUOTED = re.compile(r"[\"“„«‘]([^\"“”„«»‘’]{1,80})[\"”»’“]|(?<!\w)'([^']{1,80})'(?!\w)")


def pools_for(index: Index, *, most: Pools = MOST) -> Pools:
    """As many handles as a graph has terms for, at ``most`` so many: each is listed, and none else can be written."""
    ontology = index.ontology
    found = (len(index.popular(most.nodes)), len(_properties(ontology)), len(_classes(ontology)), most.values)
    sizes = (most.nodes, most.properties, most.classes, most.values)
    return Pools(*(max(1, min(pair)) for pair in zip(found, sizes, strict=True)))


def graph_terms(ontology: Ontology, *, pools: Pools) -> Handles:
    """What has the same handles in every prompt over a graph: its commonest properties and classes, small numbers."""
    found = []
    for terms, size in ((_properties(ontology), pools.properties), (_classes(ontology), pools.classes)):
        found.append(tuple(terms if len(terms) <= size else terms[: int(size * _STABLE)]))
    return Handles(properties=found[0], classes=found[1], values=_integers(range(_COUNTS)))


def candidates(
    links: Links,
    planner: EmbeddedPlanner,
    *,
    pools: Pools,
    stable: Handles,
    earlier: Sequence[URIRef] = (),
    reranker: Reranker | None = None,
    only_named: bool = False,
) -> Handles:
    """What the handles of one question stand for; ``earlier`` are nodes that the conversation spoke of.

    They begin with the ``stable`` ones, the ``graph_terms`` of the pools. A ``reranker`` orders the nodes that the
    question does not name; with ``only_named`` there are none, and the likeliest name comes first. A name that is
    unsure counts where no other is surer.
    """
    properties, classes = list(stable.properties), list(stable.classes)
    if len(properties) < pools.properties:
        properties += _likely_properties(links, planner)
    if len(classes) < pools.classes:
        classes += _likely_classes(links, planner)
    index = planner.vocabulary.index
    if only_named:
        nodes = _named(_surest(links))
        values = _named_values(links, links.with_blank_names(), index)
    else:
        words = _unnamed(links)
        meant = _meant_nodes(words, index)
        nodes = _nodes(links, index, meant, earlier, reranker, pools.nodes)
        values = chain(_values(links, index, words, meant), _integers(_ROUND))
    return Handles(
        _first(nodes, pools.nodes),
        _first(properties, pools.properties),
        _first(classes, pools.classes),
        _first([*stable.values, *values], pools.values),
    )


def _surest(links: Links) -> list[Mention]:
    """The mentions that surely name something, the surest first; where none does, the likeliest to name a node."""
    may_be_nodes = (mention for mention in _by_score(links.mentions) if any(_named([mention])))
    return _by_score(links.named()) or list(islice(may_be_nodes, 1))


def _by_score(mentions: Iterable[Mention]) -> list[Mention]:
    return sorted(mentions, key=lambda mention: -mention.score)


def _first(terms: Iterable[T], count: int) -> tuple[T, ...]:
    return tuple(dict.fromkeys(terms))[:count]


def _properties(ontology: Ontology) -> list[URIRef]:
    """The properties of the data, the commonest first; those that name and describe nodes after the others."""
    return [p.iri for p in sorted(ontology.observed(), key=lambda p: (p.is_text, -p.count, p.iri))]


def _classes(ontology: Ontology) -> list[URIRef]:
    """The classes that have instances, of their own or below them, the commonest first."""
    counts = {iri: sum(ontology.classes[c].instances for c in ontology.populated(iri)) for iri in ontology.classes}
    return sorted((iri for iri, count in counts.items() if count), key=lambda iri: (-counts[iri], iri))


def _likely_properties(links: Links, planner: EmbeddedPlanner) -> Iterator[URIRef]:
    """Of the readings, then those for dates if one is asked for, then those that a word is like, then the commonest."""
    ontology = planner.ontology
    for ranked in planner.plan(links)[:_RANKED]:
        yield from (p for step in ranked.sketch.steps() for p in (step.property, *step.members))
    ordered = _properties(ontology)
    if any(bound.is_year or bound.is_date for bound in bounds(links.question)):
        dated = (p for p in ordered if any(is_date(s.object) for s in ontology.properties[p].signatures))
        yield from list(dated)[:_DATED]
    similarities = planner.similarities(links)
    known = set(ordered)
    yield from (iri for iri in _by_fit(similarities) if iri in known)
    yield from ordered


def _likely_classes(links: Links, planner: EmbeddedPlanner) -> Iterator[URIRef]:
    """Those that the question names, then those that a word is like, then the commonest."""
    ordered = _classes(planner.ontology)
    known = set(ordered)
    named = (c.description for m in links.mentions for c in m.candidates if c.description is not None)
    yield from (d.iri for d in named if d.kind == "class" and d.iri in known)
    yield from (iri for iri in _by_fit(planner.similarities(links)) if iri in known)
    yield from ordered


def _by_fit(similarities: Mapping[URIRef, Hit]) -> list[URIRef]:
    return sorted(similarities, key=lambda iri: (-round(similarities[iri].score, 3), iri))


def _nodes(
    links: Links,
    index: Index,
    meant: Sequence[URIRef],
    earlier: Sequence[URIRef],
    reranker: Reranker | None,
    count: int,
) -> Iterator[URIRef]:
    """Those that the question names, each mention's best first; those of the conversation; then the nearest ones.

    The nearest to a word of it ("polish" to Poland) come before the nearest to the whole, which many words blur.
    """
    yield from _named(links.mentions)
    yield from earlier
    yield from meant
    yield from _named(links.spare)
    found = {hit.iri: hit.text for hit in index.search(links.question, k=2 * count) if hit.kind == "node"}
    yield from found if reranker is None else best_first(links.question, found, reranker=reranker)
    yield from index.popular(count)


def _unnamed(links: Links) -> list[str]:
    """The words of a question that say something and name no node, in lower case."""
    nodes = [m for m in links.mentions if m.score >= SURE and m.candidates[0].kind == "node"]
    named = {place for mention in nodes for place in range(mention.first, mention.last)}
    words = [token for place, token in enumerate(links.tokens) if place not in named]
    content = set(content_tokens(words))
    meant = [token for token in words if token in content or _ABBREVIATION.fullmatch(token.text)]
    return list(dict.fromkeys(token.lower for token in meant))[:_WORDS]


def _meant_nodes(words: Sequence[str], index: Index) -> list[URIRef]:
    """The nodes nearest in meaning to each word, the nearest of every word before the second ones."""
    if not words:
        return []
    near = [
        [found.iri for score, found in hits if score >= _LEAST_MEANT and found.kind == "node"]
        for hits in index.nearest_each(index.phrase_vectors(words), k=_NEAR_A_WORD)
    ]
    return [iri for place in zip_longest(*(iris[:_PER_WORD] for iris in near)) for iri in place if iri is not None]


def _meant_values(words: Sequence[str], index: Index) -> list[Literal]:
    """Of the properties that have few values, the one nearest in meaning to each word: "France" to French."""
    values = index.enumerated
    if not words or not values:
        return []
    vectors = index.phrase_vectors([str(value.literal).lower() for value in values])
    cosines = index.phrase_vectors(words) @ vectors.T
    best = [(float(row.max()), int(row.argmax())) for row in cosines]
    return [values[place].literal for score, place in sorted(best, reverse=True) if score >= _LEAST_MEANT]


def _named(mentions: Sequence[Mention]) -> Iterator[URIRef]:
    """The candidates that are nodes: the best of every mention, then the second best, and so on."""
    found = [[c.description for c in m.candidates if c.description is not None] for m in mentions]
    for place in zip_longest(*found):
        yield from (d.iri for d in place if d is not None and d.kind == "node")


def _values(links: Links, index: Index, words: Sequence[str], meant: Sequence[URIRef]) -> Iterator[Literal]:
    """The literals that the question names, then those that its words mean, then its words.

    Among the second are the names of the nodes that its words mean: graphs write "France" beside the node of it.
    """
    yield from _named_values(links, links.question, index)
    yield from _meant_values(words, index)
    labels = [normalise(label) for label in index.labels(meant).values()]
    rows = [match.row for matches in index.names.exact(labels).values() for match in matches]
    yield from (value.literal for value in index.values([row for row in rows if row >= index.value_offset]).values())
    yield from (Literal(mention.text) for mention in links.mentions)
    yield from (Literal(token.text) for token in links.tokens if token.lower in words)


def _named_values(links: Links, text: str, index: Index) -> Iterator[Literal]:
    """The numbers, dates and quotations of a text, and the values of the graph that the question names."""
    dated = {s.object for p in index.ontology.properties.values() for s in p.signatures if is_date(s.object)}
    for bound in bounds(text):
        if not bound.is_date:
            yield Literal(bound.value, datatype=_INTEGER if bound.value.isdigit() else _DECIMAL)
        if bound.is_date or bound.is_year:
            yield from _times(bound.value, dated)
        if bound.is_year:
            yield Literal(bound.value)
    for number in [*_DIGITS.findall(text), *numbers_in_words(text)]:
        yield Literal(number, datatype=_INTEGER)
        yield Literal(number)
        if len(number) == 4:
            yield from _times(number, dated)
    yield from (Literal(quoted) for match in _QUOTED.finditer(text) for quoted in match.groups() if quoted)
    mentions = [*links.mentions, *links.spare]
    yield from (c.value.literal for m in mentions for c in m.candidates if c.value is not None)


def _integers(numbers: Iterable[int]) -> tuple[Literal, ...]:
    return tuple(Literal(str(number), datatype=_INTEGER) for number in numbers)


def _times(value: str, datatypes: Set[URIRef | None]) -> Iterator[Literal]:
    """A year or a date in the forms of the graph's own datatypes, a year by its first and last moment."""
    first, last = (value, value) if "-" in value else (f"{value}-01-01", f"{value}-12-31")
    forms = {
        "date": (first, last),
        "dateTime": (f"{first}T00:00:00", f"{last}T23:59:59"),
        "gYear": (value[:4],),
        "gYearMonth": (first[:7], last[:7]),
    }
    for name, texts in forms.items():
        datatype = URIRef(XSD + name)
        if datatype in datatypes:
            yield from (Literal(text, datatype=datatype) for text in dict.fromkeys(texts))
