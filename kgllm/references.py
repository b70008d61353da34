"""References: the words of a question that stand for what was said before, as "he", "there" and "that mission" do.

English and German. A word refers to the newest turn that has something of its kind, to its answers before its topics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Literal as OneOfStrings
from typing import TypeAlias

from kgllm.conversation import Conversation
from kgllm.descriptions import Description
from kgllm.index import Index
from kgllm.terms import URIRef, clean
from kgllm.words import KINDS, Token, stem

__all__ = ["Reference", "Referents", "references"]

Kind: TypeAlias = OneOfStrings["person", "thing", "place", "any"]

_PERSON = frozenset("he him she er ihn ihm".split())  # noqa: SIM905 - as in kgllm.words
_PERSONS = frozenset("his her hers".split())  # noqa: SIM905
_THING = frozenset(["it", "es"])
_ANY_OWN = frozenset("sein seine seiner seinem seinen seines ihr ihre ihrer ihrem ihren ihres".split())  # noqa: SIM905
_SEVERAL = frozenset(["they", "them"])
_THERE = frozenset(["there", "dort", "dorthin"])
_OWN = _PERSONS | _ANY_OWN | {"its", "their", "theirs"}
_POINTING = frozenset(
    "this that these those dies dieser diese dieses diesem diesen jener jene jenes jenem jenen".split()  # noqa: SIM905
)
_SEVERAL_POINTING = frozenset(["these", "those"])
_BE = frozenset("is are was were be been being exist exists gibt".split())  # noqa: SIM905
_JOINING = frozenset("and or but that which who whose whom where und oder aber".split()) | {",", ";"}  # noqa: SIM905
_EMPTY_IT = frozenset("true possible take takes took taken that gibt".split())  # noqa: SIM905
_MOST_CANDIDATES = 3
_OF_KIND = 0.5  # cosine of the label of a class, or of one above it, with a word for the kind


@dataclass(frozen=True, slots=True)
class Reference:
    """Tokens ``first`` to before ``last`` that refer back, and the nodes that they may mean, the likeliest first.

    Of a word for several each of ``candidates`` has several nodes, all of which are meant at once. Where it is not
    clear what is referred to, there is no candidate, and ``unclear`` says so.
    """

    first: int
    last: int
    candidates: tuple[tuple[Description, ...], ...] = ()
    unclear: str = ""


@dataclass(frozen=True, slots=True)
class _Word:
    first: int
    last: int
    kind: Kind
    is_several: bool
    is_own: bool = False
    classes: frozenset[URIRef] = frozenset()


@dataclass(frozen=True)
class Referents:
    """The nodes of a conversation, and of which kind each is."""

    conversation: Conversation
    index: Index

    @cached_property
    def described(self) -> Mapping[URIRef, Description]:
        """The nodes that the graph still has; its classes and properties left out."""
        every = [node for turn in self.conversation.turns for node in (*turn.answers, *turn.topics)]
        return {iri: d for iri, d in self.index.described(every).items() if d.kind == "node"}

    def of(self, nodes: Iterable[URIRef], kind: Kind, classes: frozenset[URIRef]) -> list[Description]:
        """Those of some nodes that a word of that kind can stand for."""
        found = [self.described[node] for node in nodes if node in self.described]
        if classes:
            return [d for d in found if self.classes_of(d) & classes]
        return [d for d in found if is_of(kind, d, self.index)]

    def classes_of(self, description: Description) -> frozenset[URIRef]:
        """The classes of a node and those above them."""
        ontology = self.index.ontology
        return frozenset(above for cls in description.types for above in ontology.superclasses(cls))


def is_of(kind: Kind, description: Description, index: Index) -> bool:
    """Whether a node can be what "he", "it" or "there" means; one without a class can be anything."""
    if kind == "any" or not description.types:
        return True
    ontology = index.ontology
    above = {ontology.label(c).lower() for cls in description.types for c in ontology.superclasses(cls)}
    names = KINDS["where"] if kind == "place" else KINDS["who"][:2]
    cosines = index.phrase_vectors(sorted(above)) @ index.phrase_vectors(list(names)).T
    is_like = float(cosines.max()) >= _OF_KIND
    return not is_like if kind == "thing" else is_like


@dataclass(frozen=True, slots=True)
class _Nouns:
    """The stems of the names of classes, and of the last words of these, to the classes that have them."""

    names: Mapping[tuple[str, ...], set[URIRef]]
    last_words: Mapping[str, set[URIRef]]

    @classmethod
    def of(cls, index: Index) -> _Nouns:
        names: dict[tuple[str, ...], set[URIRef]] = {}
        last_words: dict[str, set[URIRef]] = {}
        for term in index.ontology.classes.values():
            for name in (term.label, *term.names):
                if stems := tuple(stem(word) for word in name.split()):
                    names.setdefault(stems, set()).add(term.iri)
                    last_words.setdefault(stems[-1], set()).add(term.iri)
        return cls(names, last_words)

    def at(self, words: Sequence[str]) -> tuple[int, frozenset[URIRef]]:
        """How many of some words name a class, its whole name before its last word, and which; 0 if none do."""
        stems = [stem(word) for word in words]
        for length in range(len(stems), 0, -1):
            if found := self.names.get(tuple(stems[:length])):
                return length, frozenset(found)
        for length in range(1, len(stems) + 1):
            if found := self.last_words.get(stems[length - 1]):
                return length, frozenset(found)
        return 0, frozenset()


def references(
    tokens: Sequence[Token], named: Sequence[tuple[int, int, Description]], earlier: Conversation, index: Index
) -> list[Reference]:
    """The words that refer back; those that refer to something within the question are none.

    ``named`` are the places of the nodes that the question names, and these.
    """
    if not any(token.lower in _ALL for token in tokens):
        return []
    nouns = _Nouns.of(index)
    referents = Referents(earlier, index)
    return [
        _resolved(word, tokens, referents)
        for word in _words(tokens, nouns)
        if not _is_within(word, tokens, named, nouns, bool(earlier.turns), index)
    ]


_ALL = _PERSON | _THING | _SEVERAL | _THERE | _OWN | _POINTING | {"sie", "ihnen"}


def _words(tokens: Sequence[Token], nouns: _Nouns) -> Iterator[_Word]:
    for place, token in enumerate(tokens):
        word = token.lower
        before = tokens[place - 1].lower if place else ""
        behind = tokens[place + 1].lower if place + 1 < len(tokens) else ""
        if word in _POINTING:
            ahead = takewhile(lambda token: token.is_word, tokens[place + 1 : place + 4])
            length, classes = nouns.at([token.lower for token in ahead])
            is_several = word in _SEVERAL_POINTING
            if length:
                yield _Word(place, place + 1 + length, "any", is_several, classes=classes)
            elif is_several and not behind[:1].isalnum():
                yield _Word(place, place + 1, "any", is_several=True)
        elif word in _PERSON or word in _PERSONS:
            yield _Word(place, place + 1, "person", is_several=False, is_own=word in _PERSONS)
        elif (word in _THING and not ({before, behind} & _EMPTY_IT or behind in _BE)) or word == "its":
            yield _Word(place, place + 1, "thing", is_several=False, is_own=word == "its")
        elif word in _SEVERAL or word in {"their", "theirs", "ihnen"}:
            yield _Word(place, place + 1, "any", is_several=True, is_own=word in {"their", "theirs"})
        elif word in _THERE and not {before, behind} & _BE:
            yield _Word(place, place + 1, "place", is_several=False)
        elif word in _ANY_OWN or word == "sie":
            yield _Word(place, place + 1, "any", is_several=False, is_own=word in _ANY_OWN)


def _is_within(
    word: _Word,
    tokens: Sequence[Token],
    named: Sequence[tuple[int, int, Description]],
    nouns: _Nouns,
    has_earlier: bool,
    index: Index,
) -> bool:
    """Whether a word refers to what its own question named before: a node, or any of a class as in "… and their …"."""
    if word.classes:
        return False
    if any(last <= word.first and is_of(word.kind, description, index) for _, last, description in named):
        return True
    spoken = [place for place in range(word.first) if stem(tokens[place].lower) in nouns.last_words]
    if not spoken:
        return False
    is_joined = any(tokens[place].lower in _JOINING for place in range(spoken[-1] + 1, word.first))
    return is_joined or (not has_earlier and (word.is_own or word.kind == "thing"))


def _resolved(word: _Word, tokens: Sequence[Token], referents: Referents) -> Reference:
    said = clean(" ".join(token.text for token in tokens[word.first : word.last]))
    candidates: list[tuple[Description, ...]] = []
    for turn in reversed(referents.conversation.turns):
        for nodes in (turn.answers, turn.topics):
            found = tuple(referents.of(nodes, word.kind, word.classes))
            if not found or found in candidates:
                continue
            is_cut = word.is_several and nodes is turn.answers and not turn.is_whole
            if not candidates and (is_cut or (len(found) > 1 and not word.is_several)):
                unclear = f"“{said}” are more than can be asked about" if is_cut else _which(said, found)
                return Reference(word.first, word.last, unclear=unclear)
            is_fit = len(found) > 1 or not candidates if word.is_several else len(found) == 1
            if is_fit and not is_cut:
                candidates.append(found)
    if candidates:
        return Reference(word.first, word.last, tuple(candidates[:_MOST_CANDIDATES]))
    return Reference(word.first, word.last, unclear=f"“{said}” refers to nothing that was said before")


def _which(said: str, found: Sequence[Description]) -> str:
    names = [clean(description.label) for description in found[:3]]
    more = " or another" if len(found) > 3 else ""
    return f"“{said}” may be {', '.join(names[:-1])} or {names[-1]}{more}"
