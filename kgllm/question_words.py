"""The words of one question against a vocabulary: what they are like, where they stand, which one is asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kgllm.alignment import Side
from kgllm.claims.wordings import ARTICLES, BE, HAVE
from kgllm.link import Links, Mention
from kgllm.similarity import Similarities, Vocabulary
from kgllm.sketch import Anchor
from kgllm.words import (
    Form,
    Token,
    asks_for,
    content_tokens,
    ends_asking,
    generations,
    is_function_word,
    is_sort,
    shares,
    word_pairs,
)

__all__ = ["QuestionWords"]

_IS_THE = re.compile(
    r"(?:who|what|which|wer|was)(?: (?:is|are|was|were|ist|sind|war|waren)|['’]s) (?:the|an?|some|d(?:er|ie|as)) ", re.I
)
_IS_A = re.compile(r"(?:is|was) (?:an?|the)|(?:ist|war) (?:eine?|d(?:er|ie|as))")
_POSSESSIVE = frozenset(["'s", "’s"])
_NAMING = frozenset("the a an called named titled is are was were der die das namens ist sind war waren".split())  # noqa: SIM905
_ASKING = frozenset(["which", "what", "many", "list", "name", "show", "all"])
_IN_A_NOUN_PHRASE = frozenset(["the", "a", "an", "all", "of"])
_LONGEST_PHRASE = 6


class QuestionWords:
    """What a question's words are: ``words``, those that say something, and their similarities to every term.

    ``form`` is the kind of answer that the wording asks for; ``head`` the number of the noun behind "which" and the
    like, ``asked`` that of the noun that is asked for in any wording, ``None`` without one; ``free`` tells which words,
    shape (len(words),), are in no clear name; ``shares`` is whether it asks for what has the same of something.
    ``kind`` is the mention of a value that says by itself of what kind the answers are: "which women", "the comedies".
    """

    def __init__(self, links: Links, vocabulary: Vocabulary, *, ignored: Sequence[tuple[int, int]] = ()) -> None:
        """``ignored`` are character stretches that say something else than a relation: numbers, superlatives."""
        self.links = links
        self.form: Form = asks_for(links.around_names())
        tokens = [t for t in links.tokens if not any(start <= t.start < end for start, end in ignored)]
        said = content_tokens(tokens, says=vocabulary.says)
        self.words: list[Token] = [part for token in said for part in generations(token, known=vocabulary.has)]
        place_of = {token.start: place for place, token in enumerate(links.tokens)}
        self.places = [place_of[word.start] for word in self.words]
        pairs = dict(word_pairs(links.tokens))
        phrases = {number: [pairs[place]] for number, place in enumerate(self.places) if place in pairs}
        self.similarities: Similarities = vocabulary.compare(self.words, phrases)
        self.importance = self.similarities.importance()
        named = links.named()
        self.free = np.array([not any(m.first <= p < m.last for m in named) for p in self.places], dtype=bool)
        self._beside: dict[tuple[int, int], NDArray[np.bool_]] = {}
        self.shares = shares(links.question)
        self._ends_asking = ends_asking(links.question)
        self.kind = self._value_asked_for(vocabulary)
        self.head = self._head_noun(vocabulary) if self.kind is None else None
        self.asked = self.head if self.head is not None or self.kind is not None else self._noun_of_who()

    def _value_asked_for(self, vocabulary: Vocabulary) -> Mention | None:
        """The value behind "which" and the like, if no class or plural follows: of women, but not of female winners."""
        tokens = self.links.tokens
        starts = {place for place, t in enumerate(tokens[:3]) if t.lower in _ASKING}  # not "Spain, in which"
        for mention in self.links.named():
            before = mention.first - 1
            while before > 0 and tokens[before].lower in _IN_A_NOUN_PHRASE:
                before -= 1
            behind = tokens[mention.last].lower if mention.last < len(tokens) else ""
            is_said_of = vocabulary.is_class_word(behind) or (behind.endswith("s") and not is_function_word(behind))
            if mention.candidates[0].value is not None and before in starts and not is_said_of:
                return mention
        return None

    def _head_noun(self, vocabulary: Vocabulary) -> int | None:
        """The number of the word behind "which", "how many", a request or "this" that tells most of a kind."""
        tokens = self.links.tokens
        starts = [i for i, t in enumerate(tokens) if t.lower in _ASKING]
        starts += [i for i, t in enumerate(tokens) if t.lower == "this" and self.form == "other"]
        for start in starts:
            run: list[int] = []
            for place in range(start + 1, min(len(tokens), start + _LONGEST_PHRASE)):
                token = tokens[place]
                if not token.is_word or (is_function_word(token.text) and token.lower not in _IN_A_NOUN_PHRASE):
                    break
                if place in self.places:
                    run.append(self.places.index(place))
            if not run:
                continue
            if is_sort(self.words[run[0]].lower):
                return run[0]
            kinds = self.similarities.of_any(vocabulary.classes)
            best = max(run, key=lambda number: (round(float(kinds[number]), 2), -number))
            while best + 1 in run and self.places[best + 1] == self.places[best] + 1 and kinds[best + 1] >= kinds[best]:
                best += 1  # of two nouns side by side the second is the head
            return best
        return None

    def _noun_of_who(self) -> int | None:
        """The number of the word for what "who is the …", "what are the …" asks for."""
        match = _IS_THE.match(self.links.question)
        if match is None:
            return None
        behind = [n for n, word in enumerate(self.words) if word.start >= match.end()]
        return behind[0] if behind else None

    def open(self, anchors: Sequence[Anchor]) -> NDArray[np.bool_]:
        """Which words are not inside one of the anchors; shape (len(words),)."""
        spans = [(anchor.mention.first, anchor.mention.last) for anchor in anchors]
        return np.array([not any(a <= p < b for a, b in spans) for p in self.places], dtype=bool)

    def first_side(self, anchor: Anchor) -> Side | None:
        """The side of an anchor whose words are nearer to it, where grammar says so: "Alien's director", "… who"."""
        behind = self.links.tokens[anchor.mention.last : anchor.mention.last + 1]
        if behind and behind[0].lower in _POSSESSIVE:
            return "right"
        return "left" if self._ends_asking else None

    def is_object(self, anchor: Anchor) -> bool:
        """Whether grammar says that it is what things have: "have Apollo 8 as", "whose next mission is Apollo 8"."""
        tokens, first, last = self.links.tokens, anchor.mention.first, anchor.mention.last
        before = [token.lower for token in tokens[:first] if token.lower not in ARTICLES]
        is_had = bool(before) and before[-1] in HAVE and [token.lower for token in tokens[last : last + 1]] == ["as"]
        return is_had or (bool(before) and before[-1] in BE and "whose" in before)

    def beside(self, anchor: Anchor) -> NDArray[np.bool_]:
        """Which words stand where they say what an anchor is: "the movie Alien", "Alien is a movie"."""
        stretch = first, last = anchor.mention.first, anchor.mention.last
        if stretch in self._beside:
            return self._beside[stretch]
        behind = " ".join(token.lower for token in self.links.tokens[last : last + 2])
        last += 2 * (_IS_A.fullmatch(behind) is not None)
        before = self.links.tokens[first - 1] if first else None
        first -= 1 + (before is not None and (not before.is_word or before.lower in _NAMING))
        self._beside[stretch] = np.array([first <= place <= last for place in self.places], dtype=bool)
        return self._beside[stretch]
