"""The index of a graph: descriptions, their vectors and their names, beside the graph they were made from.

On disk an index is a folder of generations (``kgllm.generations``). One generation holds

    kg/             the graph as an Oxigraph store, where the source was files
    ontology.json   the ontology, stated and observed
    nodes.sqlite    descriptions and values by row
    names.sqlite    names by row, exact and fuzzy
    vectors.npy     one unit vector a row of descriptions, to be searched
    adapter.npy     the matrix that the vectors of questions go through, where one was learned
    embedded.npy    the vectors of the descriptions before the adapter and their neighbours changed them
    words.npy       one vector a word of the descriptions, in the order of words.json
    phrases.npy     one unit vector a name of a class or property, in the order of phrases.json
    embedder/       the ONNX export of the embedder
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kgllm
from kgllm.adapter import ENOUGH_PAIRS, MOST_PAIRS, adapted, draw_together, with_neighbours
from kgllm.coverage import WordTable
from kgllm.descriptions import Description, Value, describe_graph, enumerated, values_of
from kgllm.errors import BackendError, DamagedIndexError
from kgllm.generations import save_array
from kgllm.names import WITHOUT_NOTE, NameIndex, NameRow, without_note
from kgllm.ontology import Ontology
from kgllm.ontology_reading import read_ontology
from kgllm.protocols import Embedder, GraphStore, Hit, Progress, VectorIndex, Vectors
from kgllm.terms import Literal, Namespaces, Term, URIRef, n3, parse_term
from kgllm.vocabularies import OWL, RDF_TYPE
from kgllm.words import fixed_phrases

__all__ = ["Index", "IndexSettings", "fill_generation"]

FORMAT = 8
_REORDERED = 50  # descriptions nearest in meaning that search looks at word by word; 400 find no more
_COVERAGE = 0.5  # its weight beside the cosine; between 0.4 and 0.55 it makes no difference (benchmarks/search.py)
_SAME_NAME = 0.9  # likeness from which a name is the text, perhaps mistyped
_MOST_EDGES = 1_000_000  # between nodes; a graph with more is searched without its neighbours
_NO_NEIGHBOURS = (RDF_TYPE, *(OWL + apart for apart in ("disjointWith", "complementOf", "differentFrom")))
_BARE = 0.85  # of what has neither a label nor a description: a web page, the head of an ontology; 0.7 is as well
_ABBREVIATES = 0.8  # score of a name that a word in capitals has the initials of


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What an index depends on beside its graph; a change of any asks for a new one."""

    model: str = ""  # empty: the default model, or the only one that the server at embed_base_url lists
    languages: tuple[str, ...] = ("en", "")
    describe_with: tuple[URIRef, ...] = ()
    embed_base_url: str = ""  # empty: embedded here; a server that moved elsewhere gives the same vectors

    def to_json(self) -> dict[str, Any]:
        """As the manifest writes it."""
        return {
            "model": self.model,
            "languages": list(self.languages),
            "describe_with": list(self.describe_with),
            **({"embedder": "a server"} if self.embed_base_url else {}),
        }


class Index:
    """A graph that can be searched by name and by meaning."""

    def __init__(
        self,
        folder: Path,
        *,
        store: GraphStore,
        embedder: Embedder,
        vectors: VectorIndex,
        ontology: Ontology,
        namespaces: Namespaces,
    ) -> None:
        self.store = store
        self.embedder = embedder
        self.ontology = ontology
        self.namespaces = namespaces
        self.vectors = vectors
        self.names = NameIndex(folder / "names.sqlite")
        self._nodes = sqlite3.connect(
            f"{(folder / 'nodes.sqlite').absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        self._files: tuple[NameIndex | sqlite3.Connection, ...] = (self.names, self._nodes)
        self._words = WordTable(folder)
        adapter = folder / "adapter.npy"
        self._adapter: Vectors | None = np.load(adapter, allow_pickle=False) if adapter.exists() else None
        self._phrases: dict[str, int] = {
            text: row for row, text in enumerate(json.loads((folder / "phrases.json").read_text(encoding="utf-8")))
        }
        self._phrase_vectors: Vectors = np.load(folder / "phrases.npy", allow_pickle=False)
        self._new_phrases: dict[str, Vectors] = {}
        self._popular: dict[int, list[URIRef]] = {}
        self.value_offset: int = self._fetch("SELECT COUNT(*) FROM node", ())[0][0]

    def __len__(self) -> int:
        return self.value_offset

    def over(self, store: GraphStore) -> Index:
        """The same over a part of the graph. To close it closes that part alone; use it no longer than this one."""
        other = copy(self)
        other.store, other._files = store, ()
        return other

    def speaking(self, embedder: Embedder) -> Index:
        """The same with words and phrases as another embedder has them; to try one out, as its nodes' vectors stay.

        To close it closes nothing; use it no longer than this one.
        """
        other = self.over(self.store)
        other.embedder, other._phrases, other._new_phrases = embedder, {}, {}
        return other

    def close(self) -> None:
        """Close the files and the store."""
        for file in self._files:
            file.close()
        self.store.close()

    def descriptions(self, rows: Sequence[int]) -> dict[int, Description]:
        """The descriptions at some rows."""
        return dict(self._select("row", rows))

    def described(self, iris: Iterable[URIRef]) -> dict[URIRef, Description]:
        """The descriptions of some IRIs, those that have one."""
        return {description.iri: description for _, description in self._select("iri", list(dict.fromkeys(iris)))}

    def values(self, rows: Sequence[int]) -> dict[int, Value]:
        """The values at some rows of the name index at or beyond ``value_offset``."""
        found: dict[int, Value] = {}
        for start in range(0, len(rows), 500):
            chunk = [int(row) for row in rows[start : start + 500]]
            query = f"SELECT row, property, literal, count FROM value WHERE row IN ({','.join('?' * len(chunk))})"  # noqa: S608
            for row, prop, literal, count in self._fetch(query, chunk):
                term = parse_term(literal)
                if isinstance(term, Literal):
                    found[row] = Value(URIRef(prop), term, count)
        return found

    @cached_property
    def enumerated(self) -> list[Value]:
        """The values of the properties that have few, the commonest first."""
        rows = self._fetch("SELECT property, literal, count FROM value", ())
        terms = [(URIRef(prop), parse_term(literal), count) for prop, literal, count in rows]
        return enumerated([Value(prop, term, count) for prop, term, count in terms if isinstance(term, Literal)])

    def label(self, iri: URIRef) -> str:
        """The label of any IRI."""
        found = self.described([iri])
        return found[iri].label if iri in found else self.ontology.label(iri)

    def labels(self, iris: Iterable[URIRef]) -> dict[URIRef, str]:
        """The labels of some IRIs, every one with at least its local name in words."""
        wanted = list(dict.fromkeys(iris))
        found = self.described(wanted)
        return {iri: found[iri].label if iri in found else self.ontology.label(iri) for iri in wanted}

    def phrase_vectors(self, phrases: Sequence[str]) -> Vectors:
        """Unit vectors of short phrases, shape (len(phrases), dimension); those seen before cost nothing."""
        known = self._new_phrases  # other threads may put another one in its place, so this one is read to the end
        missing = [p for p in dict.fromkeys(phrases) if p not in self._phrases and p not in known]
        if missing:
            for phrase, vector in zip(missing, self.embedder.embed(missing), strict=True):
                known[phrase] = vector
            if len(known) > 20_000:
                self._new_phrases = {p: known[p] for p in phrases if p in known}
        if not phrases:
            return np.zeros((0, self.embedder.dimension), dtype=np.float32)
        return np.stack([self._phrase_vectors[self._phrases[p]] if p in self._phrases else known[p] for p in phrases])

    def nearest(self, text: str, *, k: int, among: Sequence[int] | None = None) -> list[Hit]:
        """The ``k`` descriptions nearest in meaning to a text, best first; ``among`` restricts them to some rows."""
        subset = None if among is None else np.asarray(among, dtype=np.int64)
        (nearest,) = self.nearest_each(self.embedder.embed([text]), k=k, among=subset)
        return [_hit(max(0.0, score), found, text) for score, found in nearest]

    def nearest_each(
        self, vectors: Vectors, *, k: int, among: NDArray[np.int64] | None = None
    ) -> list[list[tuple[float, Description]]]:
        """For each vector of a text, the ``k`` nearest descriptions with their cosines, best first."""
        asked = vectors if self._adapter is None else adapted(vectors, self._adapter)
        scores, rows = self.vectors.search(asked, k=k, subset=among)
        found = self.descriptions([int(row) for row in dict.fromkeys(rows.flatten().tolist())])
        return [
            [(float(score), found[int(row)]) for score, row in zip(*pair, strict=True) if int(row) in found]
            for pair in zip(scores, rows, strict=True)
        ]

    def search(self, text: str, *, k: int = 10) -> list[Hit]:
        """Nodes, classes and properties by name and by meaning, the better of the two scores each, best first.

        The meaning is that of the whole text and that of its single words. A text in capitals may be the initials of a
        name. What the graph says nothing of goes further behind, with the score that it has.
        """
        best = {found.iri: (score, found) for score, found in self._by_meaning(text, k=max(k, _REORDERED))}
        for score, found in [*self._by_name(text, best, k=k), *self._abbreviated(text)]:
            if found.iri not in best or score > best[found.iri][0]:
                best[found.iri] = score, found
        ordered = sorted(best.values(), key=lambda one: (-one[0] * (_BARE if one[1].is_bare else 1.0), one[1].iri))
        return [_hit(score, found, text) for score, found in ordered[:k]]

    def _by_name(
        self, text: str, by_meaning: Mapping[URIRef, tuple[float, Description]], *, k: int
    ) -> list[tuple[float, Description]]:
        """What has a name like the text; one that is not nearly the same counts half, and the meaning the other half.

        A name much shorter than the text is no more than a word of it, unless it stands there with its capitals.
        """
        matches = [m for m in self.names.search(text, k=k) if m.row < self.value_offset]
        found = self.descriptions([match.row for match in matches])
        scored = []
        for match in matches:
            description = found[match.row]
            score = match.score
            if match.name.islower() or match.name not in text:
                score *= min(1.0, 2 * len(match.name) / len(text))
            if match.is_short:
                score *= WITHOUT_NOTE
            if score < _SAME_NAME:
                meaning, _ = by_meaning.get(description.iri, (0.0, None))
                score = (score + meaning) / 2
            scored.append((score, description))
        return scored

    def _abbreviated(self, text: str) -> list[tuple[float, Description]]:
        """What a text in capitals has the initials of, the nearest in meaning first."""
        matches = self.names.abbreviated(text) if text.isupper() else []
        rows = [match.row for match in matches if match.row < self.value_offset]
        if not rows:
            return []
        (nearest,) = self.nearest_each(self.embedder.embed([text]), k=len(rows), among=np.asarray(rows, dtype=np.int64))
        return [(_ABBREVIATES + (1 - _ABBREVIATES) * max(0.0, score), found) for score, found in nearest]

    def _by_meaning(self, text: str, *, k: int) -> list[tuple[float, Description]]:
        """The descriptions nearest to a text, by the vector of the whole and by how much of it their words cover."""
        (nearest,) = self.nearest_each(self.embedder.embed([text]), k=k)
        weight = _COVERAGE if self._words else 0.0
        said = [_words_said(found) for _, found in nearest]
        covered = self._words.of_each(text, said, embed=self.phrase_vectors) if weight else [0.0] * len(said)
        return [
            ((max(0.0, score) + weight * share) / (1 + weight), found)
            for (score, found), share in zip(nearest, covered, strict=True)
        ]

    def popular(self, k: int) -> list[URIRef]:
        """The ``k`` nodes that stand in most triples."""
        if k not in self._popular:
            query = "SELECT iri FROM node WHERE kind = 'node' ORDER BY popularity DESC, row LIMIT ?"
            self._popular[k] = [URIRef(iri) for (iri,) in self._fetch(query, [k])]
        return self._popular[k]

    def rows_of_type(self, classes: Iterable[URIRef]) -> list[int]:
        """The rows of the nodes that are stated to belong to one of some classes."""
        wanted = [str(cls) for cls in classes]
        query = f"SELECT DISTINCT row FROM type WHERE class IN ({','.join('?' * len(wanted))})"  # noqa: S608
        return [row for (row,) in self._fetch(query, wanted)]

    def _fetch(self, sql: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._nodes.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise DamagedIndexError(
                "the index's nodes.sqlite is damaged", why=str(error), try_next="kgllm index --rebuild"
            ) from error

    def _select(self, column: str, keys: Sequence[Any]) -> Iterable[tuple[int, Description]]:
        for start in range(0, len(keys), 500):
            chunk = [str(key) if column == "iri" else int(key) for key in keys[start : start + 500]]
            query = (
                "SELECT row, iri, kind, label, names, description, types, popularity, text "  # noqa: S608
                f"FROM node WHERE {column} IN ({','.join('?' * len(chunk))})"
            )
            for row, iri, kind, label, names, description, types, popularity, text in self._fetch(query, chunk):
                yield (
                    row,
                    Description(
                        URIRef(iri),
                        kind,
                        label,
                        tuple((name, language) for name, language in json.loads(names)),
                        description,
                        tuple(URIRef(t) for t in json.loads(types)),
                        popularity,
                        text,
                    ),
                )


def fill_generation(
    folder: Path,
    *,
    store: GraphStore,
    ontology_store: GraphStore | None,
    settings: IndexSettings,
    embedder: Embedder,
    previous: Path | None,
    progress: Progress,
) -> Mapping[str, Any]:
    """Write all of an index but its graph into a folder, and return what the manifest is to say of it.

    Vectors of texts that a ``previous`` generation, made with the same embedder, holds already are taken from it.
    """
    started = time.perf_counter()
    stores = [store] if ontology_store is None else [store, ontology_store]
    progress("read the ontology", 0, 1)
    ontology = read_ontology(stores, languages=settings.languages)
    progress("pull descriptions", 0, 1)
    descriptions = describe_graph(store, ontology, languages=settings.languages, describe_with=settings.describe_with)
    values = values_of(store, ontology)
    (folder / "ontology.json").write_text(ontology.to_json(), encoding="utf-8")
    _write_nodes(folder / "nodes.sqlite", descriptions, values)
    NameIndex.build(folder / "names.sqlite", _name_rows(descriptions, values))
    phrases = _phrases(ontology, enumerated(values))
    (folder / "phrases.json").write_text(json.dumps(phrases, ensure_ascii=False), encoding="utf-8")
    before_embedding = time.perf_counter()
    texts = [description.text for description in descriptions]
    WordTable.build(folder, [_words_said(d) for d in descriptions if d.description], embedder)
    vectors, embedded = _embed(texts, embedder, previous, progress)
    save_array(folder / "vectors.npy", _learned(folder, vectors, descriptions, stores, embedder, progress))
    save_array(folder / "phrases.npy", embedder.embed(phrases))
    (folder / "texts.json").write_text(json.dumps([_digest(text) for text in texts]), encoding="utf-8")
    after_embedding = time.perf_counter()
    return {
        "index_format": FORMAT,
        "kgllm": kgllm.__version__,
        "settings": settings.to_json(),
        "descriptions": len(descriptions),
        "values": len(values),
        "embedded": embedded,
        "dimension": embedder.dimension,
        "seconds": {
            "embed": round(after_embedding - before_embedding, 3),
            "rest": round(before_embedding - started, 3),
        },
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _embed(texts: Sequence[str], embedder: Embedder, previous: Path | None, progress: Progress) -> tuple[Vectors, int]:
    """Vectors of all texts, and how many of them had to be embedded."""
    known: dict[str, Vectors] = {}
    if previous is not None and (previous / "texts.json").exists():
        changed = previous / "embedded.npy"
        old = np.load(changed if changed.exists() else previous / "vectors.npy", mmap_mode="r", allow_pickle=False)
        if old.shape[1:] == (embedder.dimension,):
            known = dict(zip(json.loads((previous / "texts.json").read_text()), old, strict=True))
    missing = [text for text in dict.fromkeys(texts) if _digest(text) not in known]
    fresh = dict(zip(missing, embedder.embed(missing, progress=progress), strict=True))
    vectors = np.zeros((len(texts), embedder.dimension), dtype=np.float32)
    for row, text in enumerate(texts):
        vectors[row] = fresh[text] if text in fresh else known[_digest(text)]
    return vectors, len(missing)


def _learned(
    folder: Path,
    vectors: Vectors,
    descriptions: Sequence[Description],
    stores: Sequence[GraphStore],
    embedder: Embedder,
    progress: Progress,
) -> Vectors:
    """The vectors to be searched: those of the texts, and what the graph's own names and neighbours teach."""
    described = [row for row, description in enumerate(descriptions) if description.description]
    if not described:
        return vectors
    save_array(folder / "embedded.npy", vectors)
    if len(described) >= ENOUGH_PAIRS:
        progress("learn from the graph's own names", 0, 1)
        chosen = np.random.default_rng(0).permutation(described)[:MOST_PAIRS]
        adapter = draw_together(
            embedder.embed([descriptions[row].label for row in chosen]),
            embedder.embed([descriptions[row].description for row in chosen]),
        )
        save_array(folder / "adapter.npy", adapter)
        vectors = adapted(vectors, adapter)
    return with_neighbours(
        vectors, _edges(stores, {descriptions[row].iri: (row, descriptions[row]) for row in described})
    )


def _edges(stores: Sequence[GraphStore], described: Mapping[Term | None, tuple[int, Description]]) -> NDArray[np.int64]:
    """The pairs of rows of like descriptions, shape (m, 2), that some triple joins.

    A class is like a class, a property like a property, and a node like those that share a class with it. None of a
    graph that has too many, or whose endpoint does not give them: what they add is not worth a failure.
    """
    apart = ", ".join(f"<{prop}>" for prop in _NO_NEIGHBOURS)
    query = (
        f"SELECT ?s ?o WHERE {{ ?s ?p ?o . FILTER(isIRI(?s) && isIRI(?o) && ?s != ?o && ?p NOT IN ({apart})) }} "
        f"LIMIT {_MOST_EDGES + 1}"
    )
    pairs: set[tuple[int, int]] = set()
    for store in stores:
        try:
            rows = store.select(query, timeout_s=600).rows
        except BackendError:
            return np.empty((0, 2), dtype=np.int64)
        for s, o in rows if len(rows) <= _MOST_EDGES else ():
            if s in described and o in described:
                (subject, one), (object_, other) = described[s], described[o]
                if one.kind == other.kind and (one.kind != "node" or set(one.types) & set(other.types)):
                    pairs.add((subject, object_))
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _hit(score: float, found: Description, text: str) -> Hit:
    return Hit(found.iri, score, found.kind, text, found.text)


def _words_said(description: Description) -> str:
    """All that a description says: every name, and the text."""
    return " ".join([*(name for name, _ in description.names), description.text])


def _name_rows(descriptions: Sequence[Description], values: Sequence[Value]) -> Iterable[NameRow]:
    for row, description in enumerate(descriptions):
        for name, language in description.names:
            yield NameRow(row, name, language or None, float(description.popularity))
            if description.kind == "node" and (short := without_note(name)):
                yield NameRow(row, short, language or None, float(description.popularity), is_short=True)
    for row, value in enumerate(values, start=len(descriptions)):
        yield NameRow(row, str(value.literal), value.literal.language, float(value.count))


def _phrases(ontology: Ontology, values: Sequence[Value]) -> list[str]:
    """What the words of a question are compared with.

    Every name of a class or property, every single word of these, and the values that a word may mean.
    """
    names: dict[str, None] = dict.fromkeys(fixed_phrases())
    named = [(t.label, *t.names) for t in ontology.classes.values()]
    named += [(t.label, *t.names) for t in ontology.properties.values()]
    for own in named:
        for name in own:
            names[name.lower()] = None
            names.update(dict.fromkeys(name.lower().split()))
    return list(names | dict.fromkeys(str(value.literal).lower() for value in values))


def _write_nodes(path: Path, descriptions: Sequence[Description], values: Sequence[Value]) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.executescript(
            """CREATE TABLE node (row INTEGER PRIMARY KEY, iri TEXT UNIQUE, kind TEXT, label TEXT, names TEXT,
                                  description TEXT, types TEXT, popularity INTEGER, text TEXT);
               CREATE TABLE type (class TEXT, row INTEGER);
               CREATE TABLE value (row INTEGER PRIMARY KEY, property TEXT, literal TEXT, count INTEGER);"""
        )
        connection.executemany(
            "INSERT INTO node VALUES (?,?,?,?,?,?,?,?,?)",
            (
                (
                    row,
                    d.iri,
                    d.kind,
                    d.label,
                    json.dumps(d.names),
                    d.description,
                    json.dumps(d.types),
                    d.popularity,
                    d.text,
                )
                for row, d in enumerate(descriptions)
            ),
        )
        connection.executemany(
            "INSERT INTO type VALUES (?,?)",
            ((cls, row) for row, d in enumerate(descriptions) for cls in d.types),
        )
        connection.execute("CREATE INDEX type_class ON type (class)")
        connection.executemany(
            "INSERT INTO value VALUES (?,?,?,?)",
            ((row, v.property, n3(v.literal), v.count) for row, v in enumerate(values, start=len(descriptions))),
        )
    connection.close()
