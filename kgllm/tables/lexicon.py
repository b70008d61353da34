"""The lexicon: which classes and attributes of them a stretch of a question may name, and how the classes are joined.

An attribute is a literal property at things of a class. Where its name repeats that of its class, as in the claim
number of a claim, what is left of the name means it too.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeAlias

from kgllm.datatypes import is_date, is_number
from kgllm.paths import Place, RelationPath, SchemaGraph, Step
from kgllm.roots import root
from kgllm.similarity import Similarities, Vocabulary
from kgllm.terms import URIRef
from kgllm.words import Token, content_tokens, is_function_word, stem

__all__ = ["CLASS", "Lexicon", "Option", "Term"]

_LONGEST = 5  # words of a name
_LIKE = 0.6  # similarity from which a word that is no name may mean a term
CLASS = 0.8  # score from which a word is surely a class
_HARDLY, _CLEARLY = 0.4, 0.1  # similarity of the word that is asked for to a class, and how much less it is to others
_BOTH = 0.5  # the same of each of two neighbouring words that mean one term together
_REST, _HEAD = 0.97, 0.9  # of a name without the words of its class, and of its last word alone
_MODIFIER = 0.75  # of a word of a name that is not its head
_OPTIONS = 12  # meanings of a stretch that are kept
_FAR = 4  # steps between classes that are joined
_SHORT = 3  # letters of the shortest word that is a part of another


Key: TypeAlias = tuple[URIRef, Step | None, Step | None]


@dataclass(frozen=True, slots=True)
class Option:
    """What a stretch may mean: a class, or with ``step`` an attribute of its things that ends in ``end``.

    ``via`` is the step to a node without a class that has the attribute in place of the thing. ``is_relation`` if what
    the step leads to are other things, of which there may be so many.
    """

    score: float
    cls: URIRef
    step: Step | None = None
    end: Place = frozenset()
    via: Step | None = None
    is_relation: bool = False

    def path(self) -> RelationPath:
        """The way from a thing of the class to the attribute."""
        steps = tuple(step for step in (self.via, self.step) if step is not None)
        places = (frozenset({None}), self.end) if self.via is not None else (self.end,)
        return RelationPath(steps, places[: len(steps)], literal=self.step is not None and not self.is_relation)

    @property
    def is_ordered(self) -> bool:
        """Whether it is an attribute of numbers or dates."""
        return self.is_numeric or any(is_date(kind) for kind in self.end)

    @property
    def is_numeric(self) -> bool:
        """Whether it is an attribute of numbers."""
        return any(is_number(kind) for kind in self.end)

    def is_same(self, other: Option) -> bool:
        """Whether both mean the same, however surely."""
        return self.key == other.key

    @property
    def key(self) -> Key:
        """What it means, however surely."""
        return (self.cls, self.via, self.step)


@dataclass(frozen=True, slots=True)
class Term:
    """A stretch of the question by its tokens, and what it may mean, best first."""

    first: int
    last: int
    options: tuple[Option, ...]

    def classes(self) -> tuple[Option, ...]:
        """The classes that it may mean."""
        return tuple(option for option in self.options if option.step is None)

    def attributes(self) -> tuple[Option, ...]:
        """The attributes that it may mean."""
        return tuple(option for option in self.options if option.step is not None)


class Lexicon:
    """The names of the classes and attributes of one index."""

    def __init__(self, vocabulary: Vocabulary, schema: SchemaGraph) -> None:
        self.vocabulary = vocabulary
        self.ontology = vocabulary.index.ontology
        self.schema = schema
        self._named: dict[tuple[str, ...], dict[Key, Option]] = defaultdict(dict)
        self.classes = [cls for cls in self.ontology.classes if self.ontology.populated(cls)]
        self.attributes: dict[URIRef, list[Option]] = {}
        for cls in self.classes:
            own = self.ontology.classes[cls]
            for name in (own.label, *own.names):
                self._add(name.lower().split(), Option(1.0, cls))
            self.attributes[cls] = list(self._attributes(cls))
            for option in self.attributes[cls]:
                self._name(option, own.label.lower().split())
        self.joins = cache(self._joins)
        self.kinds = cache(self._kinds)

    def _attributes(self, cls: URIRef) -> Iterator[Option]:
        steps = self.schema.steps_from(frozenset(self.ontology.populated(cls)))
        for step, end, literal in steps:
            if literal:
                yield Option(1.0, cls, step, end)
        ways = [step for step, end, _ in steps if end == {None}]
        for step, end, literal in self.schema.steps_from(frozenset({None})) if ways else ():
            shared = [len(self._stems(way) & self._stems(step)) for way in ways]
            if literal and (most := max(shared)):  # their names say which node it is of
                yield from (Option(1.0, cls, step, end, ways[n]) for n, words in enumerate(shared) if words == most)

    def _stems(self, step: Step) -> set[str]:
        """The stems of the words that a step's label has."""
        words = self.ontology.label(step.property).lower().split()
        return {stem(word) for word in words if not is_function_word(word)}

    def _name(self, option: Option, of_class: Sequence[str]) -> None:
        """Enter an attribute by its name, by what is left of it without the words of its class, and by its head."""
        assert option.step is not None  # noqa: S101 - a class has one name
        prop = self.ontology.properties[option.step.property]
        known = {stem(word) for word in of_class}
        for name in dict.fromkeys(name.lower() for name in (prop.label, *prop.names)):
            words = [word for word in name.split() if not is_function_word(word)] or name.split()
            self._add(words, option)
            rest = [part for word in words for part in _without(word, known)]
            if rest and rest != words:
                self._add(rest, _scored(option, _REST))
            if len(rest or words) > 1:
                self._add((rest or words)[-1:], _scored(option, _HEAD))

    def _add(self, words: Sequence[str], option: Option) -> None:
        entries = self._named[tuple(stem(word) for word in words)]
        known = entries.get(option.key)
        if known is None or known.score < option.score:
            entries[option.key] = option

    def names(self, tokens: Sequence[Token]) -> list[tuple[int, int]]:
        """The stretches of several words that are a whole name, longest first."""
        found: list[tuple[int, int]] = []
        for length in range(_LONGEST + 1, 1, -1):
            for first in range(len(tokens) - length + 1):
                stretch = tokens[first : first + length]
                words = [token for token in stretch if not is_function_word(token.text)]
                is_phrase = len(words) > 1 and all(t.is_word for t in stretch) and words[0] is stretch[0]
                if (
                    not is_phrase
                    or words[-1] is not stretch[-1]
                    or any(f < first + length and first < x for f, x in found)
                ):
                    continue
                if any(option.score > _HEAD for option in self._exact(stretch)):
                    found.append((first, first + length))
        return found

    def is_name(self, token: Token) -> bool:
        """Whether a word is the whole name of a class or attribute."""
        return any(option.score > _HEAD for option in self._exact([token]))

    def shared(self, tokens: Sequence[Token]) -> list[tuple[int, int]]:
        """Places of words of a list that are a name with the last one of it, as "first" in "first and last names"."""
        found: list[tuple[int, int]] = []
        for head in range(2, len(tokens)):
            for place in range(head - 2, max(-1, head - 8), -1):
                between = tokens[place + 1 : head]
                if any(t.text in ".?;()" for t in between):
                    break
                is_listed = tokens[place].is_word and tokens[place + 1].lower in {",", "and", "or", "&"}
                is_named = is_listed and not any(is_function_word(tokens[p].text) for p in (place, head))
                options = self._exact([tokens[place], tokens[head]]) if is_named else ()
                if options and options[0].score > _HEAD:
                    found.append((place, head))
        return found

    def terms(self, tokens: Sequence[Token], *, taken: Sequence[tuple[int, int]]) -> list[Term]:
        """The terms that the tokens name or mean outside the stretches that are taken, in order of place."""
        closed = {place for first, last in taken for place in range(first, last)}
        found: list[Term] = []
        for place, head in self.shared(tokens):
            if place not in closed:
                closed.add(place)
                found.append(Term(place, place + 1, self._exact([tokens[place], tokens[head]])))
        for first, last in self.names(tokens):
            if closed.isdisjoint(range(first, last)):
                closed |= set(range(first, last))
                found.append(Term(first, last, self._exact(tokens[first:last])))
        free = [place for place, token in enumerate(tokens) if place not in closed and token.is_word]
        free = [place for place in free if not is_function_word(tokens[place].text)]
        telling = set(content_tokens([tokens[place] for place in free]))
        likeness = self.vocabulary.compare([tokens[place] for place in free], {})
        options = {
            place: self._exact(tokens[place : place + 1])
            or (self._like(likeness, [number]) if tokens[place] in telling else ())
            for number, place in enumerate(free)
        }
        skipped: set[int] = set()
        for number, place in enumerate(free):
            if place in skipped:
                continue
            last, meant = place + 1, options[place]
            for length in (3, 2):
                places = list(range(place, place + length))
                if free[number : number + length] != places or not telling.issuperset(tokens[p] for p in places):
                    continue
                together = self._like(likeness, range(number, number + length))
                alone = max((options[p][0].score for p in places if options[p]), default=0.0)
                are_names = sum(bool(options[p]) and options[p][0].score > _REST for p in places) > 1
                if together and together[0].score >= (_HEAD if are_names else alone - 0.1):
                    last, meant = place + length, together
                    break
            if meant:
                found.append(Term(place, last, meant))
                skipped.update(range(place, last))
        return sorted(found, key=lambda term: term.first)

    def relation(self, token: Token, classes: Sequence[URIRef]) -> Option | None:
        """The relation of things of one of some classes to others that a word names: the members of a band."""
        likeness = self.vocabulary.compare([token], {})
        found = [
            Option(like, cls, step, end, is_relation=True)
            for cls in classes
            for step, end, literal in self.schema.steps_from(frozenset(self.ontology.populated(cls)))
            if not literal and (like := float(likeness.of_step(step).max(initial=0.0))) >= CLASS
        ]
        return min(found, key=self._rank, default=None)

    def nearest_class(self, token: Token) -> Option | None:
        """The class that a word is likest to, if it is like it at all and clearly less like any other."""
        likeness = self.vocabulary.compare([token], {})
        found = sorted(((float(likeness.of(cls).max(initial=0.0)), cls) for cls in self.classes), reverse=True)
        scores = [score for score, _ in found[:2]] + [0.0, 0.0]
        return Option(CLASS, found[0][1]) if scores[0] >= _HARDLY and scores[0] - scores[1] >= _CLEARLY else None

    def _exact(self, tokens: Sequence[Token]) -> tuple[Option, ...]:
        """What the words are the name of, written as one word or several."""
        words = [token.lower for token in tokens if not is_function_word(token.text)]
        options = self._named.get(tuple(stem(word) for word in words)) or self._named.get((stem("".join(words)),), {})
        return tuple(sorted(options.values(), key=self._rank))

    def _rank(self, option: Option) -> tuple[float, bool, int, str, str]:
        """The surest first; of an attribute, at the things of the most general class that has it: people who died."""
        if option.step is None:
            return (-option.score, False, 0, option.cls, "")
        return (-option.score, True, -len(self.ontology.populated(option.cls)), option.cls, option.step.property)

    def _like(self, likeness: Similarities, numbers: Sequence[int]) -> tuple[Option, ...]:
        """What words mean together by their likeness to its name."""
        words = [likeness.words[number].lower for number in numbers]

        def score(iri: URIRef) -> float:
            of = likeness.of(iri)[list(numbers)]
            return float(of.mean()) if of.size and (len(numbers) == 1 or of.min() >= _BOTH) else 0.0

        classes = [Option(min(like, _REST), cls) for cls in self.classes if (like := score(cls)) >= _LIKE]
        found = list(classes)
        for option in (option for options in self.attributes.values() for option in options):
            assert option.step is not None  # noqa: S101 - an attribute has a step
            if (like := score(option.step.property)) >= _LIKE:
                name = _without_complement(self.ontology.label(option.step.property).lower().split())
                is_part = _is_modifier(words, name, is_class=bool(classes))
                found.append(_scored(option, min(like, _MODIFIER if is_part else _REST)))
        return tuple(sorted(found, key=self._rank)[:_OPTIONS])

    def has_order(self, option: Option) -> bool:
        """Whether an attribute has numbers or dates, typed or written as text."""
        return option.is_ordered or (option.step is not None and self.vocabulary.has_numbers(option.step.property))

    def _joins(self, start: URIRef) -> Mapping[URIRef, tuple[RelationPath, bool]]:
        """The shortest path from a class to each other; True where it leads to things of other classes too.

        Of two of one length, that of the commoner properties: the crew of a mission, not its commander; but rather that
        of one which is called as a class at its ends is: an album's artist, not its producer.
        """
        reached: dict[URIRef, tuple[RelationPath, bool]] = {start: (RelationPath(), False)}
        own = frozenset(self.ontology.populated(start))
        for cls in self.classes:  # what is of a class is of those above it, and may be of one below it
            kinds = frozenset(self.ontology.populated(cls))
            if cls != start and (own <= kinds or kinds <= own):
                reached[cls] = (RelationPath(), not own <= kinds)
        ahead: deque[tuple[Place, RelationPath]] = deque([(own, RelationPath())])
        seen: set[URIRef | None] = set(own)
        while ahead:
            place, path = ahead.popleft()
            for step, ends, literal in sorted(self.schema.steps_from(place), key=lambda s: self._likeliest(place, *s)):
                if literal:
                    continue
                for end in sorted((e for e in ends if e is not None and e not in seen), key=str):
                    seen.add(end)
                    longer = RelationPath((*path.steps, step), (*path.places, frozenset({end})))
                    reached.setdefault(end, (longer, len(ends) > 1))
                    if len(longer.steps) < _FAR:
                        ahead.append((frozenset({end}), longer))
        for cls in self.classes:  # one above others is reached where these are
            below = [reached[c] for c in self.ontology.populated(cls) if c in reached]
            if cls not in reached and below:
                path, _ = min(below, key=lambda item: len(item[0].steps))
                reached[cls] = (path, True)
        return reached

    def _likeliest(self, start: Place, step: Step, end: Place, _: bool) -> tuple[bool, int]:
        """The place of a step in the order of how likely it joins two classes; less is likelier."""
        name = stem(self.ontology.label(step.property).lower())
        is_called_so = any(name in self.kinds(c) for c in start | end if c is not None)
        count = sum(self.ontology.properties[prop].count for prop in step.members or (step.property,))
        return not is_called_so, -count

    def _kinds(self, cls: URIRef) -> frozenset[str]:
        """The stems of what a class and those above it are called."""
        return frozenset(stem(self.ontology.label(above).lower()) for above in self.ontology.superclasses(cls))

    def distance(self, one: URIRef, other: URIRef) -> int:
        """How many steps it is from one class to another; more than any where they are not joined."""
        joined = self.joins(one).get(other)
        return len(joined[0].steps) if joined is not None else 2 * _FAR


def _without_complement(name: Sequence[str]) -> list[str]:
    """The words of a name, its head last: "birth date" for "date of birth"."""
    place = name.index("of") if "of" in name[1:-1] else len(name)
    turned = [*name[place + 1 :], *name[:place]]
    return [part for part in turned if not is_function_word(part)] or turned


def _is_modifier(words: Sequence[str], name: Sequence[str], *, is_class: bool) -> bool:
    """Whether words say of a name only what is no head of it: a student is no student id, nor "born" a birth date.

    What is no class, and the name has as it is, may stand for it, as "email" for an email address.
    """
    said = {stem(word) for word in words}
    if stem(name[-1]) in said:
        return False
    if said & {stem(part) for part in name[:-1]}:
        return is_class
    roots = {root(word) for word in words}
    return root(name[-1]) not in roots and bool(roots & {root(part) for part in name[:-1]})


def _scored(option: Option, score: float) -> Option:
    return replace(option, score=score)


def _without(word: str, known: set[str]) -> Iterator[str]:
    """What is left of a word without a word of the class: nothing of that itself, "name" of "countryname"."""
    if stem(word) in known:
        return
    for end in range(len(word) - _SHORT + 1, _SHORT - 1, -1):
        if stem(word[:end]) in known:
            yield word[end:].strip("_-")
            return
    yield word
