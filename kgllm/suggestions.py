"""Suggestions: questions that a graph can answer, made from paths that its data has, for a person who never saw it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product, zip_longest

from kgllm.answer import is_verbal
from kgllm.claims.wordings import BE, PREPOSITIONS
from kgllm.datatypes import is_date, is_number
from kgllm.descriptions import is_name_like
from kgllm.ontology import Ontology, Property
from kgllm.query import Aggregate, Group, Order, Query, TriplePattern, Variable
from kgllm.samples import Samples
from kgllm.sketch import typed
from kgllm.terms import URIRef, clean
from kgllm.vocabularies import RDF_TYPE
from kgllm.words import KINDS

__all__ = ["Suggestion", "be", "is_person", "plain", "plural", "suggestions"]

_MOST = 10
_PROPERTIES = 24  # the commonest, of which questions are made
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_UNCHANGED = [
    "spacecraft",
    "aircraft",
    "series",
    "species",
    "staff",
    "people",
    "children",
    "hardware",
    "software",
    "equipment",
    "information",
    "music",
    "data",
]
_PLURALS = {
    "person": "people", "child": "children", "man": "men", "woman": "women", "half": "halves", "wife": "wives",
    **{word: word for word in _UNCHANGED},
}  # fmt: skip
_X = Variable("x")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A question, and the query that it asks for, which has an answer."""

    question: str
    query: Query

    @property
    def properties(self) -> set[URIRef]:
        """What it is about."""
        return {p.predicate for p in self.query.where.patterns if isinstance(p.predicate, URIRef)} - {RDF_TYPE}


def suggestions(ontology: Ontology, samples: Samples) -> tuple[Suggestion, ...]:
    """At most ten questions of different forms about the commonest properties. Raises what the store raises."""
    commonest = sorted(ontology.relations(), key=lambda prop: (-prop.count, prop.iri))[:_PROPERTIES]
    links = [link for prop in commonest if (link := _link(prop, ontology)) is not None]
    forms = (
        _chains(links, samples),
        _facts(links, samples),
        _extremes(links),
        _inverses(links, samples),
        _counts(ontology),
    )
    made: list[Suggestion] = []
    again: list[Suggestion] = []  # about what was asked about already
    asked: set[URIRef] = set()
    for each in chain.from_iterable(zip_longest(*forms)):
        if each is not None:
            (again if each.properties & asked else made).append(each)
            asked |= each.properties
        if len(made) == _MOST:
            break
    return tuple([*made, *again][:_MOST])


@dataclass(frozen=True, slots=True)
class _Link:
    """A property from the class that it is seen at most to the class or datatype that it mostly leads to.

    ``noun`` is what its object is of its subject, ``verb`` what joins several subjects to it; one of them is empty.
    """

    iri: URIRef
    count: int
    start: URIRef
    things: str
    subjects: Group
    end: URIRef
    is_literal: bool
    is_person: bool
    noun: str
    verb: str


def _link(prop: Property, ontology: Ontology) -> _Link | None:
    """A property as a link, if a question can be worded with its label."""
    signature = max(prop.signatures, key=lambda s: (s.count, str(s.subject), str(s.object)))
    if signature.subject is None or signature.object is None:
        return None
    label = plain(ontology.label(prop.iri))
    label = label.removeprefix("has ").removeprefix("have ")
    words = label.split()
    if not words or is_name_like(prop.iri) or words[0] in PREPOSITIONS or words[-1] == "by":
        return None
    if words[-1] == "of" and words[0] not in BE:
        return None
    is_verb = words[-1] in PREPOSITIONS and len(words) > 1
    if (is_verbal(label) or words[-1].endswith("ed")) and not is_verb:
        return None
    return _Link(
        prop.iri,
        prop.count,
        signature.subject,
        plain(ontology.label(signature.subject)).lower(),
        typed(_X, signature.subject, ontology),
        signature.object,
        signature.literal,
        not signature.literal and is_person(signature.object, ontology),
        "" if is_verb else label,
        label.replace("is ", "are ", 1) if is_verb and words[0] == "is" else label if is_verb else "",
    )


def plain(label: str) -> str:
    """A label without what stands in brackets."""
    return " ".join(clean(_BRACKETS.sub(" ", label)).split())


def _facts(links: Sequence[_Link], samples: Samples) -> Iterator[Suggestion]:
    """What is the mass of the Saturn V?"""  # noqa: D400
    for link in links:
        if link.noun and (found := samples.path(link.start, [link.iri], count=link.count)) is not None:
            subject, _, name, _ = found
            where = Group((TriplePattern(subject, link.iri, _X),))
            word = "Who" if link.is_person else "What"
            yield Suggestion(f"{word} {be(link.noun)} the {link.noun} of {name}?", Query("select", where, (_X,)))


def _inverses(links: Sequence[_Link], samples: Samples) -> Iterator[Suggestion]:
    """Which astronauts have France as their nationality? Which astronauts walked on the Moon?"""  # noqa: D400
    for link in reversed(links):
        if not link.is_literal and (found := samples.path(link.start, [link.iri], count=link.count)) is not None:
            _, object_, _, name = found
            said = f"{link.verb} {name}" if link.verb else f"have {name} as their {link.noun}"
            where = _joined(Group((TriplePattern(_X, link.iri, object_),)), link.subjects)
            yield Suggestion(f"Which {plural(link.things)} {said}?", Query("select", where, (_X,)))


def _extremes(links: Sequence[_Link]) -> Iterator[Suggestion]:
    """Which launch vehicle has the highest mass? Which mission has the latest launch date?"""  # noqa: D400
    value = Variable("value")
    for link in links:
        if link.noun and link.is_literal and (is_number(link.end) or is_date(link.end)):
            where = _joined(Group((TriplePattern(_X, link.iri, value),)), link.subjects)
            query = Query("select", where, (_X,), order_by=(Order(value, descending=True),), limit=1)
            most = "latest" if is_date(link.end) else "highest"
            yield Suggestion(f"Which {link.things} has the {most} {link.noun}?", query)


def _chains(links: Sequence[_Link], samples: Samples) -> Iterator[Suggestion]:
    """What is the birth place of the commander of Apollo 13?"""  # noqa: D400
    used: set[URIRef] = set()
    for first, second in product(links, links):
        is_next = second.start == first.end and not first.is_literal and second.iri != first.iri
        if not (is_next and first.noun and second.noun) or {first.iri, second.iri} & used:
            continue
        if (found := samples.path(first.start, [first.iri, second.iri], count=first.count)) is not None:
            used |= {first.iri, second.iri}
            subject, _, name, _ = found
            middle = Variable("a1")
            patterns = (TriplePattern(subject, first.iri, middle), TriplePattern(middle, second.iri, _X))
            said = f"{second.noun} of the {first.noun} of {name}"
            yield Suggestion(f"What {be(second.noun)} the {said}?", Query("select", Group(patterns), (_X,)))


def _counts(ontology: Ontology) -> Iterator[Suggestion]:
    """How many astronauts are there?"""  # noqa: D400
    counted = sorted(ontology.classes.values(), key=lambda cls: (-cls.instances, cls.iri))
    for cls in counted[:2]:
        if cls.instances:
            query = Query("count", typed(_X, cls.iri, ontology), (Aggregate("count", _X),))
            yield Suggestion(f"How many {plural(plain(cls.label).lower())} are there?", query)


def _joined(*groups: Group) -> Group:
    patterns = tuple(pattern for group in groups for pattern in group.patterns)
    return Group(patterns, tuple(values for group in groups for values in group.values))


def is_person(cls: URIRef, ontology: Ontology) -> bool:
    """Whether a class or one above it is that of people."""
    above = (ontology.label(each).lower().split() for each in ontology.superclasses(cls))
    return any(words[-1] in KINDS["who"] for words in above if words)


def be(noun: str) -> str:
    """The form of "to be" that goes with a label, which may be a plural."""
    return "are" if noun.endswith("s") and not noun.endswith(("ss", "us", "is")) else "is"


def plural(noun: str) -> str:
    """The English plural of a label, by the rules alone; a label that is one stays it.

    >>> plural("space agency"), plural("launch"), plural("day"), plural("sections"), plural("person")
    ('space agencies', 'launches', 'days', 'sections', 'people')
    """
    *before, last = noun.rsplit(" ", 1)
    if last in _PLURALS:
        return " ".join([*before, _PLURALS[last]])
    if " of " in noun:
        head, of, rest = noun.partition(" of ")
        return plural(head) + of + rest
    if be(noun) == "are":
        return noun
    if noun.endswith("y") and noun[-2:-1] not in set("aeiou"):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "z", "ch", "sh")) else "s")
