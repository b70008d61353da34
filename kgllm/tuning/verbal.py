"""Verbal forms: how a step of a path, a chain of them, and what restricts a set of things are said in English."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from random import Random

from kgllm.claims.wordings import PREPOSITIONS
from kgllm.datatypes import is_date
from kgllm.ontology import Ontology
from kgllm.paths import Place, RelationPath, Step
from kgllm.roots import root
from kgllm.suggestions import is_person, plain, plural
from kgllm.terms import URIRef
from kgllm.tuning.property_words import PropertyWords, Verb, property_words
from kgllm.words import KINDS, with_article

__all__ = ["Predicate", "Said", "Speaker", "Things"]

_RARE = 0.1  # of the commonest class at an end, below which another one there is left out of what the end is called
_LONGEST_CLASS = 4  # words; a longer name of a class is no noun that a person would say


@dataclass(frozen=True, slots=True)
class Things:
    """What some nodes or values are called, one and many."""

    one: str
    many: str
    is_person: bool = False
    is_place: bool = False
    is_date: bool = False

    def said(self, *, is_many: bool) -> str:
        """The noun in its number."""
        return self.many if is_many else self.one

    @property
    def what(self) -> str:
        """The word that asks for one."""
        return "who" if self.is_person else "what"

    @property
    def that(self) -> str:
        """The word that a clause about one begins with."""
        return "who" if self.is_person else "that"


@dataclass(frozen=True, slots=True)
class Said:
    """A noun phrase: "Apollo 11", or with ``is_many`` "the astronauts born in Ohio"."""

    text: str
    is_many: bool = False
    is_name: bool = False
    is_value: bool = False

    @property
    def owned(self) -> str:
        """As an owner: "Apollo 11's"."""
        return f"{self.text}'" if self.text.endswith("s") else f"{self.text}'s"


@dataclass(frozen=True, slots=True)
class Predicate:
    """What is true of things: ``holds`` "were born in Ohio", of ``one`` "was born …", ``behind`` a noun "born in …".

    ``fails`` says the opposite of ``holds``.
    """

    holds: str
    behind: str
    fails: str
    one: str

    @property
    def behind_one(self) -> str:
        """What stands behind a noun in the singular."""
        return f"that {self.one}" if self.behind.startswith("that ") else self.behind


class Speaker:
    """The words of one ontology, drawn at random."""

    def __init__(self, ontology: Ontology, random: Random, *, other_names: Callable[[URIRef], Iterable[str]]) -> None:
        """``other_names`` gives those of a property in the languages that questions are made in."""
        self.ontology = ontology
        self._other_names = other_names
        self.random = random
        self._words: dict[URIRef, PropertyWords] = {}
        self._things: dict[tuple[Place, bool], Things] = {}

    def words(self, step: Step) -> PropertyWords:
        """The words of a step, from where it starts."""
        iri = step.property
        if iri not in self._words:
            said = self._named(iri)
            for inverse in self.ontology.properties[iri].inverses:
                if inverse in self.ontology.properties:
                    said = said.with_more(self._named(inverse).turned())
            self._words[iri] = said
        return self._words[iri].turned() if step.inverse else self._words[iri]

    def _named(self, iri: URIRef) -> PropertyWords:
        """The words of a property's own names; none for a participle beside its verb, whose voice nobody knows."""
        label = self.ontology.label(iri).lower()
        if label.endswith("ed") and any(
            other.label.lower() != label and root(other.label) == root(label) for other in self.ontology.relations()
        ):
            return PropertyWords()
        return property_words(self.ontology.label(iri), self._other_names(iri))

    def is_sayable(self, step: Step) -> bool:
        """Whether there are words for it."""
        return bool(self.words(step))

    def things(self, place: Place, *, is_literal: bool, step: Step | None = None) -> Things:
        """What the ends of a step are called."""
        if step is not None and not is_literal:
            place = place & self._common_ends(step) or place
        key = (place, is_literal)
        if key not in self._things:
            self._things[key] = self._called(place, is_literal=is_literal)
        found = self._things[key]
        if step is None or step.inverse:
            return found
        if is_literal and (nouns := self.words(step).nouns):
            return replace(found, one=nouns[0], many=plural(nouns[0]))
        if found.one == "thing" and self.words(step).of_person:
            return Things("person", "people", is_person=True)
        return found

    def _common_ends(self, step: Step) -> Place:
        """The classes of what a step mostly leads to."""
        counts: Counter[URIRef | None] = Counter()
        for iri in step.members or (step.property,):
            for s in self.ontology.properties[iri].signatures:
                counts[s.subject if step.inverse else s.object] += s.count
        return frozenset(cls for cls, count in counts.items() if count >= _RARE * max(counts.values()))

    def _called(self, place: Place, *, is_literal: bool) -> Things:
        if is_literal:
            return Things("date", "dates", is_date=True) if any(map(is_date, place)) else Things("value", "values")
        classes = [c for c in place if c is not None]
        if not classes:
            return Things("thing", "things")
        common = frozenset.intersection(*(self.ontology.superclasses(c) for c in classes))
        known = [c for c in common if c in self.ontology.classes and c in (*classes, *self._above(classes))]
        chosen = self.ontology.most_special(known) if known else max(classes, key=self._instances)
        person = all(is_person(c, self.ontology) for c in classes)
        label = _noun_of(self.ontology.label(chosen))
        is_noun = 0 < len(label.split()) <= _LONGEST_CLASS and label.split()[-1] not in PREPOSITIONS
        if not is_noun or (not known and len(classes) > 1):
            return Things("person", "people", is_person=True) if person else Things("thing", "things")
        where = any(word in label.split() for word in (*KINDS["where"], "town", "village", "state", "continent"))
        return Things(label, "people" if label == "person" else plural(label), is_person=person, is_place=where)

    def _above(self, classes: list[URIRef]) -> Iterator[URIRef]:
        for cls in classes:
            yield from self.ontology.superclasses(cls)

    def _instances(self, cls: URIRef) -> tuple[int, str]:
        return self.ontology.classes[cls].instances if cls in self.ontology.classes else 0, str(cls)

    def phrases(self, step: Step, end: Things, start: Said, *, is_many: bool) -> list[Said]:
        """Noun phrases for what a step leads to: "the director of Alien", "the films that Scott directed"."""
        words = self.words(step)
        thing = f"the {end.said(is_many=is_many)}"
        found = []
        for noun in words.nouns:
            many = plural(noun) if is_many else noun
            found.append(f"the {many} of {start.text}")
            if start.is_name:
                found.append(f"{start.owned} {many}")
        for noun in words.converse_nouns:
            found.append(f"{thing} whose {plural(noun) + ' are' if start.is_many else noun + ' is'} {start.text}")
            if start.is_name:
                as_noun = f"with the {noun} {start.text}" if start.is_value else f"with {start.text} as {noun}"
                found.append(f"{thing} {as_noun}")
        for verb in words.done:
            found.append(f"{thing} {end.that} {verb.plural if is_many else verb.finite} {start.text}")
            found += [f"{thing} {verb.behind} {start.text}"] if verb.behind else []
        for verb in words.does:
            found += [f"{thing} {verb.passive} {start.text}"] if verb.passive else []
            if start.is_name or not verb.passive:
                found.append(
                    f"{thing} {'that ' if self.random.random() < 0.5 else ''}{start.text} {_finite(verb, start)}"
                )
        return [Said(text, is_many) for text in dict.fromkeys(found)]

    def questions(self, step: Step, end: Things, start: Said, *, is_many: bool) -> list[str]:
        """Questions for what a step leads to, without a question mark; the last ones give an order."""
        words = self.words(step)
        thing, be = end.said(is_many=is_many), "are" if is_many else "is"
        which = "what" if end.one == "thing" else f"{self.random.choice(['which', 'what'])} {thing}"
        found: list[str] = []
        for noun in words.nouns:
            many = plural(noun) if is_many else noun
            found.append(f"{end.what} {be} the {many} of {start.text}")
            found += [f"{end.what} {be} {start.owned} {many}", f"{start.owned} {many}"] if start.is_name else []
            found += [f"which {many} does {start.text} have"] if not start.is_many and not end.is_person else []
            found += [f"what {many} is {start.text}"] if noun in _SORTS and not start.is_many and not is_many else []
        for noun in words.converse_nouns:
            if not start.is_name:
                continue
            has = "have" if is_many else "has"
            if start.is_value:
                found.append(f"{which} {has} the {noun} {start.text}")
                continue
            found += [f"{which} {has} {start.text} as {'their' if is_many or end.is_person else 'its'} {noun}"]
            found += [f"{end.what} {has} {start.text} as {noun}"]
            found += [f"whose {noun} is {start.text}"] if end.is_person else []
        for verb in words.done:
            found += [
                f"{end.what} {verb.finite} {start.text}",
                f"{which} {verb.plural if is_many else verb.finite} {start.text}",
            ]
        for verb in words.does:
            found += self._asked_by(verb, which, end, start, is_many=is_many)
        phrases = [said.text for said in self.phrases(step, end, start, is_many=is_many)]
        found += [f"{end.what} {be} {text}" for text in phrases if text.startswith("the ")]
        found += [f"{self.random.choice(_ORDERS_OF_MANY if is_many else _ORDERS)} {text}" for text in phrases]
        return list(dict.fromkeys(found))

    def _asked_by(self, verb: Verb, which: str, end: Things, start: Said, *, is_many: bool) -> Iterator[str]:
        """Questions for the object of a verb whose subject is known."""
        auxiliary = verb.auxiliaries if start.is_many else verb.auxiliary
        if auxiliary:
            rest, particle = verb.rest, verb.particle
            bare = rest.removesuffix(f" {particle}") if particle else rest
            if end.is_date and particle:
                yield f"when {auxiliary} {start.text} {bare}"
                return
            if end.is_place and particle in {"in", "at", "on", "from"} and bare:
                yield f"where {auxiliary} {start.text} {rest if particle == 'from' else bare}"
            if rest == particle:  # "where is Paris", but not "what is Paris in"
                if end.is_place:
                    yield f"where {auxiliary} {start.text}"
                return
            yield f"{which} {auxiliary} {start.text} {rest}"
            if not end.is_place or particle not in {"in", "at", "on"}:
                yield f"{end.what} {auxiliary} {start.text} {rest}"
        if verb.passive:
            yield f"{which} {'were' if is_many else 'was'} {verb.passive} {start.text}"

    def shared(self, step: Step, things: Things, start: Said) -> list[Said]:
        """The things that are at the other end of the same, as "the films that share a director with Alien"."""
        found = []
        for noun in self.words(step).nouns:
            found.append(f"the {things.many} that share {with_article(noun)} with {start.text}")
            found.append(f"the {things.many} {things.that} have the same {noun} as {start.text}")
            found.append(f"the {things.many} with the same {noun} as {start.text}")
        return [Said(text, is_many=True) for text in found]

    def predicates(self, step: Step, value: Said) -> list[Predicate]:
        """What is true of the things that a step leads from to a value."""
        words, text = self.words(step), value.text
        found = []
        for noun in words.nouns:
            has = f"the {noun} {text}" if value.is_value else f"{text} as their {noun}"
            ways = [f"whose {noun} is {text}", f"with the {noun} {text}", f"with {text} as {noun}"]
            behind = self.random.choice(ways[:2] if value.is_value else ways)
            found.append(Predicate(f"have {has}", behind, f"do not have {has}", f"has {text} as its {noun}"))
        for noun in words.converse_nouns:
            said, one = f"{plural(noun)} of {text}", f"the {noun} of {text}"
            found.append(Predicate(f"are {said}", f"that are {said}", f"are not {said}", f"is {one}"))
        for verb in words.does:
            behind = f"{verb.behind or 'that ' + verb.plural} {text}"
            fails = f"{verb.auxiliaries} not {verb.rest} {text}"
            found.append(Predicate(f"{verb.plural} {text}", behind, fails, f"{verb.finite} {text}"))
        for verb in words.done:
            if verb.passive:
                said = f"{verb.passive} {text}"
                found.append(Predicate(f"were {said}", said, f"were not {said}", f"was {said}"))
        return found

    def path(self, path: RelationPath, start: Said, many: list[bool]) -> Said | None:
        """A noun phrase for where a path leads; ``None`` where it cannot be said."""
        said = start
        place = 0
        while place < len(path.steps):
            step, end = path.steps[place], self._end(path, place)
            if place + 1 < len(path.steps) and _is_return(step, path.steps[place + 1]):
                options = self.shared(step, self._end(path, place + 1), said)
                place += 2
            else:
                options = self.phrases(step, end, said, is_many=many[place])
                place += 1
            if not options:
                return None
            said = self.random.choice(options)
        return said

    def asked(self, path: RelationPath, start: Said, many: list[bool]) -> list[str]:
        """Questions for where a path leads."""
        last = path.steps[-1]
        if len(path.steps) > 1 and _is_return(path.steps[-2], last):
            before = self.path(RelationPath(path.steps[:-2], path.places[:-2]), start, many)
            if before is None:
                return []
            end = self._end(path, len(path.steps) - 1)
            options = [said.text for said in self.shared(path.steps[-2], end, before)]
            asked = [text.removeprefix("the ") for text in options]
            return [
                *(f"which {text.replace(f' {end.that} ', ' ', 1)}" for text in asked if f" {end.that} " in text),
                *(f"{end.what} are {text}" for text in options),
                *(f"{self.random.choice(_ORDERS_OF_MANY)} {t}" for t in options),
            ]
        before = self.path(RelationPath(path.steps[:-1], path.places[:-1]), start, many)
        if before is None:
            return []
        end = self._end(path, len(path.steps) - 1)
        return self.questions(last, end, before, is_many=many[-1])

    def _end(self, path: RelationPath, place: int) -> Things:
        is_last = place == len(path.steps) - 1
        return self.things(path.places[place], is_literal=path.literal and is_last, step=path.steps[place])


def _noun_of(label: str) -> str:
    """A class's label as a noun in a sentence: lower case, but for what is written in capitals."""
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in plain(label).split())


def _is_return(one: Step, other: Step) -> bool:
    return one.property == other.property and one.inverse != other.inverse


def _finite(verb: Verb, start: Said) -> str:
    return verb.plural if start.is_many else verb.finite


_SORTS = frozenset(["genre", "kind", "type", "category", "nationality", "religion", "gender"])
_ORDERS = ("name", "tell me", "give me", "find")
_ORDERS_OF_MANY = ("list", "name", "show me", "give me", "find")
