"""The first steps from what a question names: those that the graph has, and those that it only has of other things.

What is asked and not there is not to be made good by what is there: the rocket of the next mission is not that of this
one, and who was never said to have died did not die on their birthday.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from kgllm.descriptions import Value
from kgllm.ontology import RDF_TYPE, Ontology
from kgllm.paths import Place, RelationPath, SchemaGraph, Step, says_whole
from kgllm.protocols import GraphStore
from kgllm.scoring import Scorer
from kgllm.sketch import Anchor, Sketch
from kgllm.terms import URIRef, n3

__all__ = ["Reach"]

_TELLING = 0.4  # similarity to a word from which a step is said
_NAMED = 0.8  # similarity from which a word names a step or a part of its name
_FEW = 200  # things with a value, whose classes are looked at
_AS_MUCH = 0.7  # of a word's similarity to another step, from which it may as well say this one


class Reach:
    """What leads on from an anchor: ``paths`` of one step that it has, ``lacking`` the steps that its classes allow."""

    def __init__(self, anchor: Anchor, schema: SchemaGraph, store: GraphStore, scorer: Scorer) -> None:
        self.anchor = anchor
        self.ontology: Ontology = schema.ontology
        self._scorer = scorer
        if anchor.candidate.value is not None:
            self.paths = [_into_value(anchor.candidate.value, schema, store)]
            self.lacking: frozenset[Step] = frozenset()
            self._kin: Place = frozenset()
            self._kin_have: frozenset[Step] = frozenset()
            return
        possible = list(schema.extend(RelationPath(), anchor.place))
        self.paths = _existing(anchor, possible, store)
        has = {path.steps[0] for path in self.paths}
        self.lacking = frozenset(path.steps[0] for path in possible) - has
        self._kin = _kin(anchor.place, self.ontology)
        self._kin_have = frozenset(step for step, _, _ in schema.steps_from(self._kin)) - has

    def stands_in(self, path: RelationPath) -> bool:
        """Whether a path asks of another thing of the anchor's kind what the graph does not say of the anchor.

        Every word says the rest, and none leads to the other thing. What a part has may be said of its whole.
        """
        free = self._scorer.question.free
        similarities = [self._scorer.similarities.of_step(step) for step in path.steps]
        for number, step in enumerate(path.steps[1:], 1):
            aside = path.steps[number - 1]
            rest = np.max(similarities[number:], axis=0)
            said = np.max(similarities[:number], axis=0)
            if not self._kin & path.places[number - 1] or says_whole(self.ontology.properties[aside.property]):
                return False
            if (free & ((said >= _AS_MUCH * rest) | (rest < _TELLING))).any():
                return False
            if step in self._kin_have:
                return True
        return False

    @cached_property
    def _lacked_words(self) -> list[int]:
        """The numbers of the words that name what the anchor lacks, and nothing better."""
        question = self._scorer.question
        named = [self._scorer.similarities.of_step(step) for step in self.lacking]
        best = np.max(named, axis=0) if named else np.zeros(len(question.words))
        return [int(n) for n in np.flatnonzero(question.free & (best >= _NAMED) & (best >= question.importance))]

    def evades(self, sketch: Sketch) -> bool:
        """Whether a reading takes a word that names what the anchor lacks for something that it is only like."""
        if not self._lacked_words or self.anchor not in sketch.anchors():
            return False
        said = [self._scorer.similarities.of_step(step) for step in sketch.steps()]
        least = _AS_MUCH * self._scorer.importance
        return bool(said) and bool((np.max(said, axis=0) < least)[self._lacked_words].any())


def _kin(place: Place, ontology: Ontology) -> Place:
    """The classes of a place, and those that have a class right above them in common with one."""
    parents = {parent for c in place if c in ontology.classes for parent in ontology.classes[c].parents}
    return place.union(*(ontology.populated(parent) for parent in parents))


def _into_value(value: Value, schema: SchemaGraph, store: GraphStore) -> RelationPath:
    """The way back to what has a value, of those of its property's classes that do have it, where few things do."""
    path = schema.into_value(value.property)
    having = f"SELECT ?s WHERE {{ ?s {n3(value.property)} {n3(value.literal)} }} LIMIT {_FEW}"
    query = f"SELECT DISTINCT ?c ?s WHERE {{ {{ {having} }} OPTIONAL {{ ?s {n3(RDF_TYPE)} ?c }} }}"
    rows = store.select(query)
    if not rows.complete or len({s for _, s in rows.rows}) in (0, _FEW):
        return path
    classes = frozenset(c if isinstance(c, URIRef) else None for c, _ in rows.rows)
    return replace(path, places=(path.end & classes or path.end,))


def _existing(anchor: Anchor, paths: Sequence[RelationPath], store: GraphStore) -> list[RelationPath]:
    """Of paths of one step those that the anchor itself has; cheap however many neighbours it has."""
    node = n3(anchor.term)
    found: set[tuple[URIRef, bool]] = set()
    for inverse, pattern in ((False, f"{node} ?p ?end"), (True, f"?end ?p {node}")):
        steps = [path.steps[0] for path in paths if path.steps[0].inverse == inverse]
        properties = " ".join(sorted({n3(p) for step in steps for p in step.members or (step.property,)}))
        query = f"SELECT ?p WHERE {{ VALUES ?p {{ {properties} }} FILTER EXISTS {{ {pattern} }} }}"
        if properties:
            found |= {(p, inverse) for (p,) in store.select(query).rows if isinstance(p, URIRef)}
    return [
        path
        for path in paths
        for step in path.steps[:1]
        if any((p, step.inverse) in found for p in step.members or (step.property,))
    ]
