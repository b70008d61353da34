"""Sentences: the statements that a plain English (or simple German) sentence makes of the things it names.

A sentence is read whole or not at all: every word of it is a name, a word of a property or class, or grammar that has
its place in one of the forms below. So no "only", "first", "hardly" or "according to" is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal as OneOfStrings
from typing import TypeAlias

from kgllm.claims.wordings import ARTICLES, BE, HAVE, PREPOSITIONS, Form, Wordings
from kgllm.quantities import Date, Number
from kgllm.terms import URIRef

__all__ = ["Noun", "Statement", "readings"]

_OWN = frozenset("his her its their sein seine ihr ihre".split())  # noqa: SIM905
_NOT = frozenset(["not", "nicht", "never", "nie"])
_AND = frozenset(["and", "und"])
_WHO = frozenset(["who", "which", "that"])
_OF = frozenset(["of", "von", "for"])
_QUOTES = frozenset("\"“”„«»'‘’")
_END = frozenset(".!;") | _QUOTES
_MOST_WORDS = 7  # of a relation
_MOST_READINGS = 200


@dataclass(frozen=True, slots=True)
class Noun:
    """A stretch of the sentence, by tokens, that names one of some nodes, a date, a number, or a text."""

    text: str
    first: int
    last: int
    nodes: tuple[URIRef, ...] = ()
    date: Date | None = None
    number: Number | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """Two nouns and the words between them; of a class or a count the right one is missing, or the number.

    ``is_one_event`` marks statements about the time and the place of one thing that happened.
    """

    form: Form | OneOfStrings["class", "count"]
    words: tuple[str, ...]
    left: Noun
    right: Noun | None = None
    is_negated: bool = False
    is_one_event: bool = False


_Statements: TypeAlias = tuple[Statement, ...]
_Parsed: TypeAlias = Iterator[tuple[int, _Statements]]


def readings(tokens: Sequence[str], nouns: Mapping[int, Sequence[Noun]], wordings: Wordings) -> list[_Statements]:
    """The ways to read all tokens of a sentence, each as the statements that it makes; ``nouns`` are by first token."""
    return list(dict.fromkeys(islice(_Parser(tokens, nouns, wordings).sentence(), _MOST_READINGS)))


class _Parser:
    """A descent by the forms of a sentence, with a way back: each method yields where a form may end, and what it says.

    The examples in the docstrings are sentences that the form is for.
    """

    def __init__(self, tokens: Sequence[str], nouns: Mapping[int, Sequence[Noun]], wordings: Wordings) -> None:
        self.tokens = [token.casefold() for token in tokens]
        self.nouns = nouns
        self.wordings = wordings

    def _at(self, place: int) -> str:
        return self.tokens[place] if 0 <= place < len(self.tokens) else ""

    def sentence(self) -> Iterator[_Statements]:
        """The statements of the whole."""
        for end, said in self._clauses(0):
            if said and all(token in _END for token in self.tokens[end:]):
                yield said

    def _clauses(self, start: int) -> _Parsed:
        for end, said in self._clause(start):
            yield end, said
            if (behind := self._behind_and(end)) is not None:
                for last, more in self._clauses(behind):
                    yield last, said + more

    def _behind_and(self, place: int) -> int | None:
        """Where what is joined by "and" begins, if it is."""
        place += self._at(place) in {",", ";"}
        return place + 1 if self._at(place) in _AND else None

    def _clause(self, start: int) -> _Parsed:
        yield from self._of_role(start)
        yield from self._of_owner(start)
        yield from self._dated_before(start)
        for end, nouns, said in self._names(start):
            for last, more in self._predicates(end, nouns):
                yield last, said + more

    # What is named

    def _name(self, start: int) -> Iterator[tuple[int, Noun, _Statements]]:
        """A name, with or without the class of what it names before it."""
        if self._at(start) in ARTICLES and start not in self.nouns:
            start += 1
        quoted = self._at(start) in _QUOTES
        start += quoted
        for noun in self.nouns.get(start, ()):
            closed = quoted and self._at(noun.last) in _QUOTES
            if closed or not quoted:
                yield noun.last + closed, noun, ()
        for behind in range(start + 1, start + 5):
            words = self._words(start, behind)
            if behind in self.nouns and words and self.wordings.classes(words):
                for noun in self.nouns[behind]:
                    if noun.nodes:
                        yield noun.last, noun, (Statement("class", words, noun),)

    def _names(self, start: int) -> Iterator[tuple[int, list[Noun], _Statements]]:
        """One name or several, the last with what is said of it by the way."""
        for end, noun, said in self._name(start):
            yield end, [noun], said
            for last, more in self._by_the_way(end, noun):
                yield last, [noun], said + more
            behind = end + 1 if self._at(end) == "," else self._behind_and(end)
            if behind is not None:
                for last, nouns, more in self._names(self._behind_and(end) or behind):
                    yield last, [noun, *nouns], said + more

    def _by_the_way(self, start: int, noun: Noun) -> _Parsed:
        """A relative clause, or what stands for one: "(,) born in …(,)", "(,) the capital of …(,)"."""
        comma = self._at(start) == ","
        begin = start + comma
        found: list[tuple[int, _Statements]] = []
        if self._at(begin) in _WHO:
            found += self._predicate(begin + 1, [noun])
        found += self._is(begin, [noun], is_negated=False)
        for end, said in found:
            if comma and self._at(end) == ",":
                yield end + 1, said
            elif not comma or end >= len(self.tokens) or self._at(end) in _END:
                yield end, said

    # What is said of it

    def _predicates(self, start: int, nouns: Sequence[Noun]) -> _Parsed:
        for end, said in self._predicate(start, nouns):
            yield end, said
            if (behind := self._behind_and(end)) is not None:
                for last, more in [*self._predicates(behind, nouns), *self._is(behind, nouns, is_negated=False)]:
                    yield last, said + more

    def _predicate(self, start: int, nouns: Sequence[Noun]) -> _Parsed:
        first, behind = self._at(start), start + 1
        if first in {"did", "does", "do"} and self._at(behind) in _NOT:
            yield from self._does(behind + 1, nouns, is_negated=True)
            return
        if first in _NOT:
            yield from self._does(behind, nouns, is_negated=True)
            return
        is_be = first in BE
        if first in HAVE and self._at(behind) == "been":
            is_be, behind = True, behind + 1
        is_negated = self._at(behind) in _NOT
        behind += is_negated
        behind += self._at(behind) == "also"
        if is_be:
            yield from self._is(behind, nouns, is_negated=is_negated)
        elif first in HAVE:
            yield from self._has(behind, nouns, is_negated=is_negated)
            yield from self._does(behind, nouns, is_negated=is_negated)
        else:
            yield from self._does(start, nouns, is_negated=False)

    def _is(self, start: int, nouns: Sequence[Noun], *, is_negated: bool) -> _Parsed:
        """What stands behind "is": a class, words and a name, or an owner and his words."""
        begin = self._behind_article(start)
        for end in range(begin + 1, begin + 6):
            words = self._words(begin, end)
            if begin > start and words and self.wordings.classes(words):
                said = tuple(Statement("class", words, noun, None, is_negated) for noun in nouns)
                yield end, said
                if not is_negated and len(nouns) == 1:
                    for last, more in self._by_the_way(end, nouns[0]):
                        yield last, said + more
        for place in range(begin, begin + _MOST_WORDS):
            words = self._words(begin, place)
            if words and self.wordings.meanings("copula", words):
                for end, said in self._with_objects("copula", words, place, nouns, is_negated):
                    yield end, said
                    if not is_negated and len(said) == 1 and len(nouns) == 1:
                        yield from self._more_of_event(words, end, said)
        yield from self._is_owned(start, nouns, is_negated)
        yield from self._verb_at_end(start, nouns, is_negated)

    def _behind_article(self, start: int) -> int:
        if (self._at(start), self._at(start + 1), self._at(start + 2)) == ("one", "of", "the"):
            return start + 3
        return start + (self._at(start) in ARTICLES)

    def _more_of_event(self, words: tuple[str, ...], start: int, said: _Statements) -> _Parsed:
        """The place behind the time of what happened, or the other way round: "born on … in …"."""
        start += self._at(start) == ","
        preposition, left = self._at(start), said[0].left
        more = (*words[:-1], preposition)
        if preposition not in PREPOSITIONS or words[-1] not in PREPOSITIONS or len(words) < 2:
            return
        if self.wordings.meanings("copula", more):
            for end, noun, of_class in self._name(start + 1):
                statement = Statement("copula", more, left, noun, is_one_event=True)
                event = tuple(replace(each, is_one_event=True) for each in said)
                yield end, (*event, statement, *of_class)

    def _is_owned(self, start: int, nouns: Sequence[Noun], is_negated: bool) -> _Parsed:
        """As in "Ridley Scott is Alien's director"."""
        for place, owner, said in self._name(start):
            if self._at(place) not in {"'s", "’s"}:
                continue
            for end in range(place + 2, place + 2 + _MOST_WORDS):
                words = self._words(place + 1, end)
                if words and self.wordings.meanings("noun", words):
                    yield end, (*said, *(Statement("noun", words, owner, noun, is_negated) for noun in nouns))

    def _verb_at_end(self, start: int, nouns: Sequence[Noun], is_negated: bool) -> _Parsed:
        """German: "wurde am … in … geboren"."""
        parts: list[tuple[str, Noun]] = []
        place = start
        while self._at(place) in PREPOSITIONS:
            found = next(iter(self._name(place + 1)), None)
            if found is None or found[2]:
                return
            parts.append((self._at(place), found[1]))
            place = found[0]
        verb = self._at(place)
        if not parts or not verb.isalpha() or (is_negated and len(parts) * len(nouns) > 1):
            return
        if all(self.wordings.meanings("copula", (verb, preposition)) for preposition, _ in parts):
            is_one = len(parts) > 1
            yield (
                place + 1,
                tuple(
                    Statement("copula", (verb, preposition), noun, right, is_negated, is_one)
                    for noun in nouns
                    for preposition, right in parts
                ),
            )

    def _has(self, start: int, nouns: Sequence[Noun], *, is_negated: bool) -> _Parsed:
        begin = self._behind_article(start)
        for place in range(begin + 1, begin + _MOST_WORDS):
            words = self._words(begin, place)
            if not words or not self.wordings.meanings("noun", words):
                continue
            yield from self._with_objects("noun", words, place + (self._at(place) in {"of", ":"}), nouns, is_negated)
        for place, noun, said in self._name(start):
            behind = self._behind_article(place + 1)
            for end in range(behind + 1, behind + _MOST_WORDS) if self._at(place) in {"as", "als"} else ():
                words = self._words(behind, end)
                if words and self.wordings.meanings("noun", words) and not is_negated:
                    yield end, (*said, *(Statement("noun", words, owner, noun) for owner in nouns))
            for end in range(place + 1, place + _MOST_WORDS) if noun.number is not None and not is_negated else ():
                words = self._words(place, end)
                if words and self.wordings.meanings("noun", words):
                    yield end, tuple(Statement("count", words, owner, noun) for owner in nouns)

    def _does(self, start: int, nouns: Sequence[Noun], *, is_negated: bool) -> _Parsed:
        for place in range(start + 1, start + _MOST_WORDS):
            words = self._words(start, place)
            if words and self.wordings.meanings("active", words):
                yield from self._with_objects("active", words, place, nouns, is_negated)

    def _with_objects(
        self, form: Form, words: tuple[str, ...], start: int, nouns: Sequence[Noun], is_negated: bool
    ) -> _Parsed:
        for end, objects, said in self._names(start):
            if is_negated and (said or len(objects) * len(nouns) > 1):
                continue  # which of them is denied is not said
            yield end, (*(Statement(form, words, s, o, is_negated) for s in nouns for o in objects), *said)

    # Sentences about a role

    def _of_role(self, start: int) -> _Parsed:
        """As in "The director of Alien was Ridley Scott"."""
        begin = self._behind_article(start)
        for place in range(begin + 1, begin + _MOST_WORDS):
            words = self._words(begin, place)
            if self._at(place) in _OF and words and self.wordings.meanings("noun", words):
                for end, owner, said in self._name(place + 1):
                    yield from self._role_is(owner, words, end, said)

    def _of_owner(self, start: int) -> _Parsed:
        """As in "Alien's director was Ridley Scott", "Its director was …"."""
        for end, owner, said in self._name(start):
            is_own = owner.last - owner.first == 1 and self._at(owner.first) in _OWN
            if not is_own and self._at(end) not in {"'s", "’s"}:
                continue
            begin = end + (not is_own)
            for place in range(begin + 1, begin + _MOST_WORDS):
                words = self._words(begin, place)
                if words and self.wordings.meanings("noun", words):
                    yield from self._role_is(owner, words, place, said)

    def _role_is(self, owner: Noun, words: tuple[str, ...], start: int, said: _Statements) -> _Parsed:
        if self._at(start) not in BE:
            return
        behind = start + 1
        is_negated = self._at(behind) in _NOT
        behind += is_negated
        for end, more in self._with_objects("noun", words, behind, [owner], is_negated):
            yield end, said + more
        if self._at(behind) in PREPOSITIONS:
            for end, noun, _ in self._name(behind + 1):
                if noun.date is not None:
                    yield end, (*said, Statement("noun", words, owner, noun, is_negated))

    def _dated_before(self, start: int) -> _Parsed:
        """As in "On 16 July 1969, Apollo 11 was launched"."""
        if self._at(start) not in PREPOSITIONS:
            return
        for place, when, said in self._name(start + 1):
            for behind, noun, more in self._name(place + (self._at(place) == ",")) if when.date and not said else ():
                begin = behind + (self._at(behind) in BE)
                words = (*self._words(begin, begin + 1), self._at(start))
                if len(words) == 2 and self.wordings.meanings("copula", words):
                    yield begin + 1, (*more, Statement("copula", words, noun, when))

    def _words(self, start: int, end: int) -> tuple[str, ...]:
        """The words of a stretch, without hyphens and brackets; none if another mark is in it, or it is too long."""
        stretch = self.tokens[start:end]
        words = tuple(word for word in stretch if word not in {"-", "(", ")"})
        if len(stretch) != end - start or not all(word[0].isalnum() for word in words):
            return ()
        return words
