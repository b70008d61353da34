"""How well the words of a question fit the terms of an ontology: by stem, and by the meaning of the embedder.

Words are compared with names one by one (late interaction, as Khattab and Zaharia, ColBERT, SIGIR 2020, but on words),
because a path is right when each of its steps is said in the question and each word of the question is in the path.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from math import log

import numpy as np
from numpy.typing import NDArray

from kgllm.claims.wordings import Wordings
from kgllm.everyday import everyday_words
from kgllm.index import Index
from kgllm.lessons import Lessons
from kgllm.ontology import is_vocabulary
from kgllm.paths import Place, Step
from kgllm.protocols import Vectors
from kgllm.roots import heads, root
from kgllm.terms import URIRef, n3
from kgllm.words import Token, is_function_word, stem

__all__ = ["IS_NAMED", "Similarities", "Vocabulary"]

_UNRELATED, _SAME = 0.22, 0.72
"""Cosines of the default model at which two short phrases have nothing to do with each other, and mean the same."""
_PART = 0.85  # a word of a longer name stands for less than the whole of it
_IN_A_PHRASE = 0.6
_GENERAL = 0.97  # of a property and one above it, the nearer one is meant
_MEANING = 0.9  # the same stem says more than the same meaning
_DERIVED, _COMPOUND = 0.92, 0.88  # "director" of "directed by", "screenwriter" of "written by"
_LEARNED = 0.95  # of a word that says a relation in all questions it was seen in
_MISSPELT, _LONG_ROOT, _ALIKE = 0.8, 5, 0.7  # of a word with another letter; letters of a root; a likeness that tells
IS_NAMED = 0.85  # similarity from which a word means that term
_SAMPLE = 50  # values that tell whether a text writes numbers
_IS_NUMBER = re.compile(r"\s*[+-]?[0-9]+(?:\.[0-9]+)?\s*")
_MEANS_ANOTHER = 0.6
"""Of a word that is a term's own, its likeness to others that it only resembles; of a class that a word names, its
likeness to other words."""


class Vocabulary:
    """The names of all classes and relations of an index, ready to be compared with the words of any question."""

    def __init__(self, index: Index, lessons: Lessons | None = None) -> None:
        """``lessons`` have further words for its relations, and whole wordings."""
        self.index = index
        self.lessons = lessons or Lessons()
        ontology = index.ontology
        relations = [
            p
            for p in ontology.properties.values()
            if not p.is_text
            and not is_vocabulary(p.iri)
            and any(
                ontology.properties[q].signatures
                for way in (p.iri, *p.inverses)
                for q in ontology.subproperties(way)
                if q in ontology.properties
            )
        ]
        self.classes = {c.iri for c in ontology.classes.values()}
        named = [(c.iri, (c.label, *c.names)) for c in ontology.classes.values()]
        named += [(p.iri, (p.label, *p.names)) for p in relations]
        self.columns: dict[URIRef, int] = {}
        targets: list[str] = []
        weights: list[float] = []
        starts: list[int] = []
        self._phrases: dict[tuple[str, ...], set[int]] = defaultdict(set)
        parts_of_names: list[tuple[int, list[str]]] = []
        for column, (iri, names) in enumerate(named):
            self.columns[iri] = column
            starts.append(len(targets))
            for name in dict.fromkeys(name.lower() for name in names if name):
                parts = [part for part in name.split() if not is_function_word(part)] or name.split()
                targets.append(name)
                weights.append(1.0)
                if len(parts) > 1:
                    targets += parts
                    weights += [_PART] * len(parts)
                    self._phrases[tuple(stem(part) for part in parts)].add(column)
                parts_of_names.append((column, parts))
        self._stems = _weighed([(column, [stem(part) for part in parts]) for column, parts in parts_of_names])
        self._roots = _weighed([(column, [root(part) for part in parts]) for column, parts in parts_of_names])
        self._is_class = np.array([iri in self.classes for iri in self.columns], dtype=bool)
        self._everyday: dict[str, dict[int, float]] = defaultdict(dict)
        for prop in relations:
            for name in (prop.label, *prop.names):
                for word, score in everyday_words(name).items():
                    column = self.columns[prop.iri]
                    self._everyday[word][column] = max(score, self._everyday[word].get(column, 0.0))
        for lesson in self.lessons.words:
            column = self.columns.get(lesson.property, -1)
            if column >= 0:
                known = self._everyday[root(lesson.word)]
                known[column] = max(_LEARNED * lesson.sure, known.get(column, 0.0))
        self._starts = np.array(starts, dtype=np.int64)
        self._weights = np.array(weights, dtype=np.float32)
        self._matrix: Vectors = index.phrase_vectors(targets)
        self.has_numbers = cache(self._has_numbers)

    @cached_property
    def wordings(self) -> Wordings:
        """What its relations and classes are called in a sentence."""
        return Wordings(self.index.ontology)

    @cached_property
    def _joining(self) -> dict[frozenset[URIRef | None], set[URIRef]]:
        """The relations that the data has between each two classes, in either direction."""
        joining: dict[frozenset[URIRef | None], set[URIRef]] = defaultdict(set)
        for prop in self.index.ontology.relations():
            for signature in prop.signatures:
                if not signature.literal:
                    joining[frozenset({signature.subject, signature.object})].add(prop.iri)
        return joining

    def is_only_way(self, prop: URIRef, one: Place, other: Place) -> bool:
        """Whether no other relation joins things of two places, but for those above and below it."""
        ontology = self.index.ontology
        found = set().union(*(self._joining.get(frozenset({a, b}), ()) for a in one for b in other))
        family = {*ontology.subproperties(prop), *(p for p in found if prop in ontology.subproperties(p))}
        return bool(found) and found <= family

    def is_kind(self, prop: URIRef) -> bool:
        """Whether a relation leads from a thing to the kind of thing that it is: a category, a genre."""
        column = self.columns.get(prop)
        return column is not None and column in self._everyday.get(root("kind"), {})

    def says(self, word: str) -> bool:
        """Whether a word of everyday speech may stand for one of its relations."""
        return root(word) in self._everyday

    def has(self, word: str) -> bool:
        """Whether a name of its terms has a word."""
        return stem(word) in self._stems

    def _has_numbers(self, prop: URIRef) -> bool:
        """Whether the text of a property is mostly numbers, as in graphs that write all values as text."""
        query = f"SELECT ?o WHERE {{ ?s {n3(prop)} ?o . FILTER(isLiteral(?o)) }} LIMIT {_SAMPLE}"
        values = [str(value) for (value,) in self.index.store.select(query).rows]
        return sum(bool(_IS_NUMBER.fullmatch(value)) for value in values) * 2 > len(values)

    def is_in_name(self, word: str, column: int) -> bool:
        """Whether a term's names have a word, or one of its family."""
        return column in self._said(word)

    def is_class_word(self, word: str) -> bool:
        """Whether a class's names have a word, or one of its family."""
        return any(self._is_class[column] for column in self._said(word))

    def compare(self, words: Sequence[Token], phrases: Mapping[int, Sequence[str]]) -> Similarities:
        """The words against every term; ``phrases`` are longer ones by the number of the word they are built round."""
        texts = [word.lower for word in words]
        owners = list(range(len(words)))
        for number, longer in phrases.items():
            texts += [text.lower() for text in longer]
            owners += [number] * len(longer)
        matrix = np.zeros((len(words), len(self.columns)), dtype=np.float32)
        phrase_of = list(range(len(words)))
        if words and self.columns:
            cosines = self.index.phrase_vectors(texts) @ self._matrix.T
            scaled = np.clip((cosines - _UNRELATED) / (_SAME - _UNRELATED), 0.0, 1.0) * self._weights * _MEANING
            by_term = np.maximum.reduceat(scaled, self._starts, axis=1)
            np.maximum.at(matrix, np.array(owners), by_term.astype(np.float32))
            for number, word in enumerate(words):
                for column, score in self._everyday.get(root(word.lower), {}).items():
                    matrix[number, column] = max(score, matrix[number, column])
                said = self._said(word.lower)
                if not said and matrix[number].max(initial=0.0) < _ALIKE:
                    said = self._misspelt(word.lower)
                for column, score in said.items():
                    matrix[number, column] = score  # the word itself is there: its meaning has nothing to add
            is_weaker = matrix < IS_NAMED
            means_another = matrix.max(axis=1, keepdims=True) >= IS_NAMED
            is_said_elsewhere = self._is_class & (matrix.max(axis=0) >= IS_NAMED)
            matrix[is_weaker & (means_another | is_said_elsewhere)] *= _MEANS_ANOTHER
            phrase_of = self._prefer_phrases(words, matrix)
        return Similarities(tuple(words), matrix, phrase_of, self)

    def _said(self, word: str) -> dict[int, float]:
        """The terms whose names have the word itself, one of its family, or the head of a compound that it is."""
        said = {column: _DERIVED * score for column, score in self._roots.get(root(word), {}).items()}
        if not said:
            head = next((head for head in heads(word) if head in self._roots), "")
            said = {column: _COMPOUND * score for column, score in self._roots.get(head, {}).items()}
        for column, score in self._stems.get(stem(word), {}).items():
            said[column] = max(score, said.get(column, 0.0))
        return said

    def _misspelt(self, word: str) -> dict[int, float]:
        """The terms whose names have a word that this one is but for a letter, if its root is long enough to tell."""
        from rapidfuzz.distance import OSA

        meant = root(word)
        if len(meant) < _LONG_ROOT:
            return {}
        near = [
            other for other in self._roots if other[:1] == meant[0] and OSA.distance(other, meant, score_cutoff=1) == 1
        ]
        found: dict[int, float] = {}
        for other in near:
            for column, score in self._roots[other].items():
                found[column] = max(_MISSPELT * score, found.get(column, 0.0))
        return found

    def _prefer_phrases(self, words: Sequence[Token], matrix: Vectors) -> list[int]:
        """Where neighbouring words are a whole name, they mean what it names rather than what one of them names.

        Gives each word the number of the first word of its name.
        """
        phrase_of = list(range(len(words)))
        stems = [stem(word.lower) for word in words]
        within: set[int] = set()  # a longer name, which the names inside it are not
        for length in range(min(5, len(words)), 1, -1):
            for start in range(len(words) - length + 1):
                columns = self._phrases.get(tuple(stems[start : start + length]), set())
                places = set(range(start, start + length))
                if columns and not places <= within:
                    within |= places
                    others = np.setdiff1d(np.arange(matrix.shape[1]), list(columns))
                    stretch = slice(start, start + length)
                    matrix[stretch, others] *= _IN_A_PHRASE
                    matrix[stretch, list(columns)] = 1.0
                    phrase_of[stretch] = length * [min(phrase_of[stretch])]
        return phrase_of


def _weighed(names: Sequence[tuple[int, Sequence[str]]]) -> dict[str, dict[int, float]]:
    """A word of a longer name says as much of it as it is rarer in the vocabulary than the name's other words."""
    weighed: dict[str, dict[int, float]] = defaultdict(dict)
    seen = Counter(part for _, parts in names for part in set(parts))
    rarity = {part: log(1 + len(names) / count) for part, count in seen.items()}
    for column, parts in names:
        total = sum(rarity[part] for part in parts)
        for part in parts:
            score = 1.0 if len(parts) == 1 else 0.92 * min(1.0, 0.55 + 0.9 * rarity[part] / total)
            weighed[part][column] = max(score, weighed[part].get(column, 0.0))
    return weighed


class Similarities:
    """The words of one question against every class and relation; a similarity is in [0, 1].

    ``phrase_of`` numbers the names that the words make up together: "place of death" is one.
    """

    def __init__(
        self, words: tuple[Token, ...], matrix: Vectors, phrase_of: Sequence[int], vocabulary: Vocabulary
    ) -> None:
        self.words = words
        self.matrix = matrix
        self.phrase_of = np.array(phrase_of, dtype=np.int64)
        self._vocabulary = vocabulary
        self._places: dict[Place, Vectors] = {}
        self._nothing = np.zeros(len(words), dtype=np.float32)

    def of(self, iri: URIRef | None) -> Vectors:
        """The similarity of every word to a class or property, shape (len(words),)."""
        column = self._vocabulary.columns.get(iri) if iri is not None else None
        return self._nothing if column is None else self.matrix[:, column]

    def of_step(self, step: Step) -> Vectors:
        """The similarity of every word to a step; a property walked backwards answers to its inverses' names too."""
        own = self.of(step.property)
        prop = self._vocabulary.index.ontology.properties.get(step.property)
        for inverse in prop.inverses if prop is not None and step.inverse else ():
            own = np.maximum(own, self.of(inverse))
        return own * _GENERAL if step.members else own

    def of_place(self, place: Place) -> Vectors:
        """The similarity of every word to the classes of a place and those above them, shape (len(words),)."""
        if place not in self._places:
            superclasses = self._vocabulary.index.ontology.superclasses
            self._places[place] = self.of_any({above for c in place if c is not None for above in superclasses(c)})
        return self._places[place]

    def of_any(self, iris: Iterable[URIRef | None]) -> Vectors:
        """The similarity of every word to the best fitting of some terms, shape (len(words),)."""
        best = self._nothing
        for iri in iris:
            best = np.maximum(best, self.of(iri))
        return best

    def importance(self) -> NDArray[np.float32]:
        """How much each word can tell: its greatest similarity to any term, at least 0.15; shape (len(words),)."""
        if not self.matrix.size:
            return self._nothing + 0.15
        return np.asarray(np.maximum(self.matrix.max(axis=1), 0.15), dtype=np.float32)
