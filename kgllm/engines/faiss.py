"""The embedded vector index: FAISS over unit vectors, exact while that is quick, a navigable graph (HNSW) beyond.

The vectors themselves are the truth and live in a ``.npy`` file that is mapped, not read; FAISS sees them after they
were checked. What FAISS writes is only HNSW's links (``to_bytes``), as bytes: its own file writing loses data silently
on a full disk, and its file reading opens whatever path an index names.
"""

from __future__ import annotations

from importlib import import_module
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgllm.errors import DamagedIndexError, IndexMismatchError
from kgllm.protocols import Vectors

__all__ = ["FaissIndex"]

_EXACT_UP_TO = 50_000  # vectors: an exact search among these takes about as long as embedding the question
_NEIGHBOURS = 32
_EF_CONSTRUCTION = 40
_EF_SEARCH = (128, 256, 512, 1_024)
_LEAST_RECALL = 0.98
_HNSW_OVER_FLAT_STORAGE = b"IHNf"
_REBUILD = "build the index anew: kgllm index --rebuild"


class FaissIndex:
    """Nearest rows of an (n, d) float32 array of unit vectors by inner product. Zero rows are allowed and never found.

    ``links`` are what ``to_bytes`` gave; empty for an exact index. Usable from several threads. Raises
    ``DamagedIndexError`` for an array that is none of this, a row that is no unit vector, or links that do not fit.
    """

    dimension: int

    def __init__(self, vectors: Vectors, *, links: bytes = b"") -> None:
        if vectors.ndim != 2 or vectors.dtype != np.float32:
            raise DamagedIndexError(
                f"the vectors are of shape {vectors.shape} and type {vectors.dtype}, not rows of float32",
                try_next=_REBUILD,
            )
        self.dimension = int(vectors.shape[1])
        self._vectors = vectors
        self._rows = _rows_with_direction(vectors)
        self._links = links
        self._index: Any = None
        self._opening = Lock()

    @classmethod
    def build(cls, vectors: Vectors, *, exact_up_to: int = _EXACT_UP_TO) -> FaissIndex:
        """An exact index of up to ``exact_up_to`` vectors; beyond, HNSW with effort for a recall@10 of .98."""
        index = cls(vectors)
        if len(index) > exact_up_to:
            index._link()
        return index

    def to_bytes(self) -> bytes:
        """HNSW's links, without the vectors; empty for an exact index."""
        return self._links

    def __len__(self) -> int:
        """How many vectors it holds, zero rows not counted."""
        return len(self._rows)

    def search(
        self, vectors: Vectors, *, k: int, subset: NDArray[np.int64] | None = None
    ) -> tuple[Vectors, NDArray[np.int64]]:
        """Scores and row numbers, each of shape (len(vectors), min(k, len(self))), best first; scores are cosines.

        With ``subset``, distinct row numbers, exactly the best of those: then the second length is at most theirs.
        Raises ``IndexMismatchError`` for vectors of another dimension, ``ValueError`` for ones that are not finite.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise IndexMismatchError(
                f"the index holds vectors of {self.dimension} dimensions, asked with shape {vectors.shape}",
                why="it was built with another embedding model",
                try_next=_REBUILD,
            )
        if not np.isfinite(vectors).all():
            raise ValueError("a vector to search for is not finite")
        queries = np.ascontiguousarray(vectors, dtype=np.float32)
        if subset is not None:
            return self._exact(queries, k=k, rows=subset[self._vectors[subset].any(axis=1)])
        k = min(k, len(self))
        if k <= 0 or len(queries) == 0:
            return np.zeros((len(queries), max(k, 0)), np.float32), np.zeros((len(queries), max(k, 0)), np.int64)
        index = self._opened()
        if not self._links:
            scores, found = index.search(queries, k)
        else:
            effort = _faiss().SearchParametersHNSW(efSearch=max(int(index.hnsw.efSearch), 2 * k))
            scores, found = index.search(queries, k, params=effort)
        rows = self._rows[found]
        for short in np.flatnonzero((found < 0).any(axis=1)):  # parts of HNSW that no link reaches; -1 is no row
            scores[short], rows[short] = (part[0] for part in self._exact(queries[[short]], k=k, rows=self._rows))
        return np.clip(scores, -1, 1), rows

    def recall(self, *, samples: int = 200) -> float:
        """Recall@10 against exact search, of vectors at a cosine of about .9 from rows of its own."""
        random = np.random.default_rng(0)
        chosen = self._vectors[np.sort(random.choice(self._rows, size=min(samples, len(self)), replace=False))]
        noise = random.standard_normal(chosen.shape).astype(np.float32)
        queries = chosen + 0.5 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        _, found = self.search(queries, k=10)
        _, right = self._exact(queries, k=10, rows=self._rows)
        return float(np.mean([np.isin(right[row], found[row]).mean() for row in range(len(right))]))

    def _exact(self, queries: Vectors, *, k: int, rows: NDArray[np.int64]) -> tuple[Vectors, NDArray[np.int64]]:
        scores = queries @ (self._with_direction() if rows is self._rows else self._vectors[rows]).T
        k = max(min(k, len(rows)), 0)
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k] if 0 < k < len(rows) else np.argsort(-scores)[:, :k]
        best = np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable"), 1)
        return np.clip(np.take_along_axis(scores, best, 1), -1, 1), rows[best]

    def _with_direction(self) -> Vectors:
        every = len(self._rows) == len(self._vectors)  # then the mapped array serves as it is, without a copy
        return self._vectors if every else self._vectors[self._rows]

    def _stored(self) -> Any:
        storage = _faiss().IndexFlatIP(self.dimension)
        storage.add(np.ascontiguousarray(self._with_direction()))
        return storage

    def _opened(self) -> Any:
        with self._opening:
            if self._index is None:
                self._index = self._relinked() if self._links else self._stored()
            return self._index

    def _relinked(self) -> Any:
        faiss = _faiss()
        if self._links[:4] != _HNSW_OVER_FLAT_STORAGE:  # other kinds of index may open files
            raise DamagedIndexError("the links of the vector index are of another kind of index", try_next=_REBUILD)
        try:
            index = faiss.deserialize_index(np.frombuffer(self._links, np.uint8), faiss.IO_FLAG_SKIP_STORAGE)
        except RuntimeError as error:
            raise DamagedIndexError(
                "the links of the vector index cannot be read", why=str(error).splitlines()[0], try_next=_REBUILD
            ) from error
        if (index.ntotal, index.d) != (len(self), self.dimension) or index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise DamagedIndexError("the links of the vector index belong to other vectors", try_next=_REBUILD)
        index.storage = self._storage = self._stored()  # FAISS does not keep it alive
        index.own_fields = False
        return index

    def _link(self) -> None:
        faiss = _faiss()
        index = faiss.IndexHNSWFlat(self.dimension, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _EF_CONSTRUCTION
        for start in range(0, len(self._rows), 65_536):  # never a second copy of all vectors
            index.add(np.ascontiguousarray(self._vectors[self._rows[start : start + 65_536]]))
        self._index = index
        for effort in _EF_SEARCH:
            index.hnsw.efSearch = effort
            self._links = faiss.serialize_index(index, faiss.IO_FLAG_SKIP_STORAGE).tobytes()
            if self.recall() >= _LEAST_RECALL:
                return


def _faiss() -> Any:
    """The library, imported on the first search: it takes 150 ms."""
    return import_module("faiss")


def _rows_with_direction(vectors: Vectors) -> NDArray[np.int64]:
    """The rows that are not zero. Raises ``DamagedIndexError`` naming the first neither zero nor of length 1."""
    squares = np.einsum("ij,ij->i", vectors, vectors)
    wrong = np.flatnonzero(~((np.abs(squares - 1) < 2e-3) | (squares == 0)))
    if len(wrong):
        raise DamagedIndexError(
            f"row {wrong[0]} of the vectors is no unit vector: the square of its length is {squares[wrong[0]]:.4g}",
            try_next=_REBUILD,
        )
    return np.flatnonzero(squares).astype(np.int64)
