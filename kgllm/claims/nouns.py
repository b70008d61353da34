"""Nouns: the nodes, values, dates and numbers that a sentence names, each where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kgllm import quantities
from kgllm.claims.sentences import Noun
from kgllm.index import Index
from kgllm.names import normalise
from kgllm.references import Kind, is_of
from kgllm.terms import URIRef
from kgllm.words import Token, is_function_word

__all__ = ["nouns"]

_LONGEST_NAME = 14  # tokens
_NAMESAKES = 8  # nodes that a name may mean
_BEARERS = 50  # names that are looked at for a last name
_PRONOUNS: dict[str, Kind] = {
    **dict.fromkeys(("he", "she", "his", "her", "er"), "person"),
    **dict.fromkeys(("it", "its", "es"), "thing"),
}


def nouns(text: str, tokens: Sequence[Token], index: Index, earlier: Sequence[URIRef] = ()) -> list[Noun]:
    """All that a sentence names, longer names before what stands in them; pronouns mean nodes named ``earlier``."""
    found = _Nouns(text, tokens, index)
    return _longest([*found.named(), *found.measured(), *found.referred(earlier)])


@dataclass(frozen=True, slots=True)
class _Nouns:
    text: str
    tokens: Sequence[Token]
    index: Index

    def named(self) -> Iterator[Noun]:
        spans = {
            (first, last): normal
            for first in range(len(self.tokens))
            for last in range(first + 1, min(len(self.tokens), first + _LONGEST_NAME) + 1)
            if self.tokens[first].is_word and self.tokens[last - 1].is_word and not self._is_grammar(first, last)
            if (normal := normalise(self._said(first, last)))
        }
        matches = self.index.names.exact(list(set(spans.values())))
        rows = {match.row for found in matches.values() for match in found}
        described = self.index.descriptions([row for row in rows if row < self.index.value_offset])
        for (first, last), normal in spans.items():
            found = matches.get(normal, [])
            ends = {match.name[-1] for match in found if not match.name[-1].isalnum()}
            last += last < len(self.tokens) and self.tokens[last].text in ends  # "Top Secret!"
            nodes = [described[m.row].iri for m in found if m.row in described and described[m.row].kind == "node"]
            is_value = any(match.row >= self.index.value_offset for match in found)
            if nodes or is_value:
                yield Noun(self._said(first, last), first, last, tuple(dict.fromkeys(nodes))[:_NAMESAKES])
            elif not found and last - first == 1 and (bearer := self._bearer(first)) is not None:
                yield Noun(self._said(first, last), first, last, (bearer,))

    def _is_grammar(self, first: int, last: int) -> bool:
        """Whether a single word is one of grammar rather than the name that is written like it, as "It"."""
        token = self.tokens[first]
        return last - first == 1 and is_function_word(token.text) and (token.text.islower() or first == 0)

    def _bearer(self, place: int) -> URIRef | None:
        """The one node whose name ends in a capitalised word that stands alone: "Armstrong"."""
        word = self.tokens[place].text
        around = [self.tokens[n].text for n in (place - 1, place + 1) if 0 <= n < len(self.tokens)]
        if not word[0].isupper() or len(word) < 4 or any(other[0].isupper() for other in around):
            return None
        found = self.index.names.search(word, k=_BEARERS)
        rows = {m.row for m in found if m.row < self.index.value_offset and m.name.endswith(f" {word}")}
        nodes = {d.iri for d in self.index.descriptions(sorted(rows)).values() if d.kind == "node"}
        return nodes.pop() if len(nodes) == 1 and len(found) < _BEARERS else None

    def measured(self) -> Iterator[Noun]:
        """The dates and numbers, those written as words among them."""
        starts = {token.start: place for place, token in enumerate(self.tokens)}
        ends = {token.end: place + 1 for place, token in enumerate(self.tokens)}
        for start, end, date in quantities.dates(self.text):
            if start in starts and end in ends:
                yield Noun(self.text[start:end], starts[start], ends[end], date=date)
        for start, end, number in quantities.numbers(self.text):
            if start in starts and end in ends:
                yield Noun(self.text[start:end], starts[start], ends[end], number=number)
        for place, token in enumerate(self.tokens):
            if (count := quantities.in_words(token.text)) is not None:
                yield Noun(token.text, place, place + 1, number=count)

    def referred(self, earlier: Sequence[URIRef]) -> Iterator[Noun]:
        """Pronouns that only one node of the sentence before can be meant by."""
        for place, token in enumerate(self.tokens):
            if (kind := _PRONOUNS.get(token.lower)) is not None and earlier:
                described = self.index.described(earlier).values()
                fitting = tuple(d.iri for d in described if is_of(kind, d, self.index))
                if len(fitting) == 1:
                    yield Noun(token.text, place, place + 1, fitting)

    def _said(self, first: int, last: int) -> str:
        return self.text[self.tokens[first].start : self.tokens[last - 1].end]


def _longest(nouns: Iterable[Noun]) -> list[Noun]:
    """The nouns that are no part of a longer one: New York is none where New York City is written."""
    every = list(nouns)
    return [
        noun
        for noun in every
        if not any(
            other.first <= noun.first and noun.last <= other.last and other.last - other.first > noun.last - noun.first
            for other in every
        )
    ]
