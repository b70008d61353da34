"""Premises: questions that take for granted what the graph does not state, made from the graph itself.

Half of them ask a thing for a property of another class than its own ("Who commanded Saturn V?"); the other half, one
of the right class that lacks it. A premise counts as false if the graph has no triple between the thing and anything
else, in either direction, by the property or by one that could be meant by the same words.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from kgllm.descriptions import Description
from kgllm.index import Index
from kgllm.names import normalise
from kgllm.ontology import Property
from kgllm.terms import URIRef, n3
from kgllm.words import is_function_word, stem

__all__ = ["Premise", "false_premises"]

_SAMPLE = 60  # things that are looked at for one premise
_PAIRS = 2_000  # pairs of a property by which others that link the same are found
_LONGEST_NAME = 60  # characters
_SAME_MEANING = 0.72  # cosine at which the default model's short phrases mean the same, as in kgllm.similarity
_RARE = 0.05  # of the triples of a property: a class that has fewer of them is no usual one
_PERSONS = frozenset(["person", "people", "human", "agent"])
_LEADING = frozenset(["has", "have", "in"])
_LINKING = frozenset(["on", "in", "at", "of", "for", "to", "from", "with", "into"])


@dataclass(frozen=True, slots=True)
class Premise:
    """A question that the graph has no answer to, and what is false in it."""

    question: str
    subject: URIRef
    property: URIRef
    kind: str  # "right class" or "other class"
    why: str


def false_premises(index: Index, *, n: int = 100, seed: int = 0) -> list[Premise]:
    """At most ``n`` distinct questions with false premises, over all properties alike; fewer where the graph has fewer.

    The wording is English, made of the labels of properties, nodes and classes.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    relations = sorted(index.ontology.relations(), key=lambda prop: prop.iri)
    chance.shuffle(relations)
    turns = [_Turn(index, prop, is_right_class, chance) for prop in relations for is_right_class in (False, True)]
    found: dict[str, Premise] = {}
    sources = {number: iter(turn) for number, turn in enumerate(turns)}
    for number in cycle(range(len(turns))) if turns else ():
        if len(found) >= n or not sources:
            break
        if number not in sources:
            continue
        premise = next(sources[number], None)
        if premise is None:
            del sources[number]
        else:
            found.setdefault(premise.question, premise)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Turn:
    """The false premises of one property, about nodes of the classes that have it or of others."""

    index: Index
    property: Property
    is_right_class: bool
    chance: random.Random

    def __iter__(self) -> Iterator[Premise]:
        nodes = self._lacking()
        label, kind = _plain(self.property.label), self._kind()
        for node in nodes:
            wordings = list(_wordings(label, node.label, kind, is_person=self._is_of_persons()))
            other = "" if self.is_right_class else ", which is of another class than those that have one"
            kind_of_premise = "right class" if self.is_right_class else "other class"
            why = f"the graph states no {n3(self.property.iri)} of {n3(node.iri)}{other}"
            yield Premise(self.chance.choice(wordings), node.iri, self.property.iri, kind_of_premise, why)

    def _lacking(self) -> list[Description]:
        """Some nodes that have none of it, each known by a name of its own."""
        ontology = self.index.ontology
        meant = [p for p in map(ontology.properties.get, _alike(self.index, self.property)) if p is not None]
        having = {cls for p in meant for cls in _usual([(s.subject, s.count) for s in p.signatures])}
        having |= {c for p in meant for axiom in p.domains for c in axiom}
        near = {c for cls in having for c in ontology.superclasses(cls) | ontology.subclasses(cls)}
        populated = {cls.iri for cls in ontology.classes.values() if cls.instances}
        wanted = sorted(populated & having if self.is_right_class else populated - near)
        rows: Sequence[int] = sorted(self.index.rows_of_type(wanted)) if wanted else ()
        drawn = self.index.descriptions(self.chance.sample(rows, min(_SAMPLE, len(rows))))
        able = [d for _, d in sorted(drawn.items()) if self.is_right_class or near.isdisjoint(d.types)]
        named = [node for node in able if _is_known_by_name(node, self.index)]
        stated = self._stated([node.iri for node in named], [p.iri for p in meant])
        lacking = [node for node in named if node.iri not in stated]
        self.chance.shuffle(lacking)
        return lacking

    def _stated(self, nodes: Sequence[URIRef], properties: Sequence[URIRef]) -> set[URIRef]:
        """The nodes that one of some properties links to anything, in either direction."""
        if not nodes:
            return set()
        values = f"VALUES ?n {{ {' '.join(map(n3, nodes))} }} VALUES ?p {{ {' '.join(map(n3, properties))} }}"
        ways = ["?n ?p ?o", "?s ?p ?n"]
        if self._names_its_subject():
            ways += ["?n ?q ?x . ?x ?p ?o", "?x ?q ?n . ?x ?p ?o"]
        union = " UNION ".join(f"{{ {way} }}" for way in ways)
        query = f"SELECT DISTINCT ?n WHERE {{ {values} {union} }}"
        return {n for (n,) in self.index.store.select(query).rows if isinstance(n, URIRef)}

    def _names_its_subject(self) -> bool:
        """Whether its name has the class that has it, so that "date of the spacewalk" is truly asked of a person."""
        subjects = _usual([(s.subject, s.count) for s in self.property.signatures])
        words = {word for name in _names(self.property) for word in _stems(name)}
        classes = {above for cls in subjects for above in self.index.ontology.superclasses(cls)}
        return any(words.issuperset(_stems(self.index.ontology.label(cls).lower())) for cls in classes)

    def _kind(self) -> str:
        """The label of the class of what is asked for; empty for values."""
        ends = _usual([(s.object, s.count) for s in self.property.signatures if not s.literal])
        return self.index.label(ends[0]) if ends else ""

    def _is_of_persons(self) -> bool:
        ontology = self.index.ontology
        ends = _usual([(s.object, s.count) for s in self.property.signatures if not s.literal])
        classes = [ontology.classes.get(above) for end in ends for above in ontology.superclasses(end)]
        return any(_PERSONS & {cls.label.lower(), *cls.names} for cls in classes if cls is not None)


def _usual(seen: Iterable[tuple[URIRef | None, int]]) -> list[URIRef]:
    """The classes at one end of a property, the commonest first; not those by which a node of two kinds comes in."""
    counts: Counter[URIRef] = Counter()
    for cls, count in seen:
        if cls is not None:
            counts[cls] += count
    return [cls for cls, count in counts.most_common() if count >= _RARE * counts.total()]


def _alike(index: Index, prop: Property) -> set[URIRef]:
    """The property and those that could be meant by its name, or say the same: by axiom, by name, or by the data."""
    ontology = index.ontology
    found = {p for way in (prop.iri, *prop.inverses) for p in ontology.superproperties(way)}
    found |= {p for way in list(found) for p in ontology.subproperties(way)}
    names, stems = _names(prop), {_stems(name) for name in _names(prop)}
    for other in ontology.relations():
        if other.iri in found:
            continue
        same_words = any(_stems(name) in stems for name in _names(other))
        if same_words or (index.phrase_vectors(names) @ index.phrase_vectors(_names(other)).T).max() >= _SAME_MEANING:
            found.add(other.iri)
    pairs = f"{{ SELECT ?s ?o WHERE {{ ?s {n3(prop.iri)} ?o }} LIMIT {_PAIRS} }}"
    for way in ("?s ?p ?o", "?o ?p ?s"):
        query = f"SELECT ?p (COUNT(*) AS ?n) WHERE {{ {pairs} {way} }} GROUP BY ?p"
        most = min(_PAIRS, prop.count)
        for other_iri, n in index.store.select(query).rows:
            if isinstance(other_iri, URIRef) and 2 * int(str(n)) >= most:
                found.add(other_iri)
    return found


def _names(prop: Property) -> list[str]:
    return list(dict.fromkeys(_plain(name).lower() for name in (prop.label, *prop.names)))


def _stems(name: str) -> tuple[str, ...]:
    words = name.split()
    return tuple(sorted(stem(word) for word in words if not is_function_word(word))) or tuple(words)


def _is_known_by_name(node: Description, index: Index) -> bool:
    """Whether a name means this node and nothing else, and could be nothing but a name."""
    words = node.label.split()
    if node.kind != "node" or len(node.label) > _LONGEST_NAME or all(is_function_word(word.lower()) for word in words):
        return False
    if not any(character.isalpha() for character in node.label):
        return False
    meant = index.names.exact([normalise(node.label)]).get(normalise(node.label), [])
    return len({match.row for match in meant}) == 1


def _plain(label: str) -> str:
    """A label without what stands in brackets: "mass (kg)" is asked for as "mass"."""
    return re.sub(r"\s*\([^)]*\)", "", label).strip() or label


def _wordings(label: str, name: str, kind: str, *, is_person: bool) -> Iterator[str]:
    """Ways to ask for a property of a thing."""
    words = label.split()
    if len(words) > 1 and words[0] in _LEADING:
        words = words[1:]
    said = " ".join(words)
    who = "Who" if is_person else "What"
    if words[-1] == "by":
        yield f"{who} was {name} {said}?"
        if kind:
            yield f"Which {kind} was {name} {said}?"
    elif words[-1] in _LINKING or words[0].endswith("ed"):
        yield f"Which {kind or 'value'} is it that {name} {said}?"
    else:
        yield f"{who} is the {said} of {name}?"
        yield f"Tell me the {said} of {name}."
        if kind:
            yield f"Which {kind} is the {said} of {name}?"
