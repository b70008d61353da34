"""Coverage: how much of what a text says its words find in a description, exactly or by meaning.

One vector of a whole description tells what it is about, and loses its details. So ``search`` puts the nearest
descriptions in order by their words too: each word of the text counts as much as its likest word there is like it, the
rarer the word the more (late interaction: Khattab and Zaharia, ColBERT, 2020; here with one vector a word, whatever
stands around it). Words that several descriptions have get their vectors when the index is built.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from math import log
from pathlib import Path

import numpy as np

from kgllm.generations import save_array
from kgllm.protocols import Embedder, Vectors
from kgllm.words import is_function_word, stem, tokenize

__all__ = ["WordTable", "words_of"]

_MOST_WORDS = 50_000  # 19 MB on disk
_LEVELS = 127  # of a byte: a coordinate is stored as its share of the largest
_UNLIKE = 0.3  # cosine of the default model up to which two words have nothing to do with each other


def words_of(text: str) -> list[str]:
    """The distinct words of a text that carry meaning, lower case, in order."""
    return list(dict.fromkeys(t.lower for t in tokenize(text) if t.is_word and not is_function_word(t.text)))


class WordTable:
    """The words of a graph's descriptions: how many descriptions have each, and vectors of those that several have."""

    def __init__(self, folder: Path) -> None:
        """Open what ``build`` wrote."""
        self._folder = folder
        self._vectors = np.load(folder / "words.npy", mmap_mode="r", allow_pickle=False)

    @staticmethod
    def build(folder: Path, texts: Sequence[str], embedder: Embedder) -> None:
        """Write ``words.json`` and ``words.npy`` (one vector a word, in bytes) for the texts of the descriptions."""
        by_word: Counter[str] = Counter()
        by_stem: Counter[str] = Counter()
        for text in texts:
            words = words_of(text)
            by_word.update(words)
            by_stem.update({stem(word) for word in words})
        words = sorted(word for word, count in by_word.most_common(_MOST_WORDS) if count > 1)
        shared = {stemmed: count for stemmed, count in sorted(by_stem.items()) if count > 1}
        content = {"words": words, "counts": shared, "descriptions": len(texts)}
        (folder / "words.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        vectors = embedder.embed(words) if words else np.zeros((0, embedder.dimension), dtype=np.float32)
        largest = np.abs(vectors).max(axis=1, keepdims=True, initial=1e-9)
        save_array(folder / "words.npy", np.round(vectors * (_LEVELS / largest)).astype(np.int8))

    def __len__(self) -> int:
        """How many words it has."""
        return len(self._rows)

    def of_each(
        self, text: str, descriptions: Sequence[str], *, embed: Callable[[Sequence[str]], Vectors]
    ) -> Sequence[float]:
        """The share of a text that each of some descriptions covers, in [0, 1].

        ``embed`` gives unit vectors of words that the table lacks.
        """
        asked = words_of(text)
        weights = np.array([self._weight(word) for word in asked], dtype=np.float32)
        if not asked or not self._rows:
            return [0.0] * len(descriptions)
        there = [words_of(description) for description in descriptions]
        vocabulary = list(dict.fromkeys(word for words in there for word in words))
        places = {word: place for place, word in enumerate(vocabulary)}
        likeness = self._likeness(asked, vocabulary, embed) * weights[:, None]
        total = float(weights.sum())
        return [
            float(likeness[:, [places[word] for word in words]].max(axis=1).sum()) / total if words else 0.0
            for words in there
        ]

    def _likeness(
        self, asked: Sequence[str], vocabulary: Sequence[str], embed: Callable[[Sequence[str]], Vectors]
    ) -> Vectors:
        """How like the words asked are to those of the descriptions, shape (len(asked), len(vocabulary)), in [0, 1]."""
        known = [place for place, word in enumerate(vocabulary) if word in self._rows]
        likeness = np.zeros((len(asked), len(vocabulary)), dtype=np.float32)
        likeness[:, known] = self._unit(asked, embed) @ self._stored([vocabulary[place] for place in known]).T
        likeness[likeness <= _UNLIKE] = 0
        columns: dict[str, list[int]] = {}
        for place, word in enumerate(vocabulary):
            columns.setdefault(stem(word), []).append(place)
        for row, word in enumerate(asked):
            likeness[row, columns.get(stem(word), [])] = 1
        return likeness

    def _unit(self, words: Sequence[str], embed: Callable[[Sequence[str]], Vectors]) -> Vectors:
        unknown = [word for word in words if word not in self._rows]
        vectors = np.zeros((len(words), self._vectors.shape[1]), dtype=np.float32)
        is_known = np.array([word in self._rows for word in words])
        vectors[is_known] = self._stored([word for word in words if word in self._rows])
        if unknown:
            vectors[~is_known] = embed(unknown)
        return vectors

    def _stored(self, words: Sequence[str]) -> Vectors:
        vectors = self._vectors[[self._rows[word] for word in words]].astype(np.float32)
        unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return unit

    def _weight(self, word: str) -> float:
        """The inverse document frequency, as BM25 has it."""
        count = self._counts.get(stem(word), 0)
        return log(1 + (self._descriptions - count + 0.5) / (count + 0.5))

    @cached_property
    def _content(self) -> tuple[dict[str, int], dict[str, int], int]:
        content = json.loads((self._folder / "words.json").read_text(encoding="utf-8"))
        return {word: row for row, word in enumerate(content["words"])}, content["counts"], content["descriptions"]

    @property
    def _rows(self) -> dict[str, int]:
        return self._content[0]

    @property
    def _counts(self) -> dict[str, int]:
        return self._content[1]

    @property
    def _descriptions(self) -> int:
        return self._content[2]
