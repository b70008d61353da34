"""What every vector index owes, with exact search as the oracle."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgllm.engines.faiss import FaissIndex
from kgllm.errors import DamagedIndexError, IndexMismatchError
from kgllm.protocols import Vectors

Build = Callable[[Vectors], FaissIndex]

BUILDS: dict[str, Build] = {
    "exact": FaissIndex.build,
    "hnsw": lambda vectors: FaissIndex.build(vectors, exact_up_to=0),
    "hnsw, opened again": lambda vectors: FaissIndex(
        vectors, links=FaissIndex.build(vectors, exact_up_to=0).to_bytes()
    ),
}


def unit_vectors(n: int, *, d: int = 16, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(params=list(BUILDS))
def build(request: pytest.FixtureRequest) -> Build:
    return BUILDS[request.param]


def test_the_nearest_are_found_best_first(build: Build) -> None:
    vectors, queries = unit_vectors(3_000), unit_vectors(50, seed=1)
    scores, rows = build(vectors).search(queries, k=10)
    right = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    assert np.mean([np.isin(a, b).mean() for a, b in zip(right, rows, strict=True)]) >= 0.98
    assert (np.diff(scores, axis=1) <= 0).all()
    assert np.allclose(scores, np.einsum("qd,qkd->qk", queries, vectors[rows]), atol=1e-5)


def test_scores_are_cosines(build: Build) -> None:
    vectors = unit_vectors(100)
    scores, rows = build(vectors).search(vectors, k=1)
    assert (rows[:, 0] == np.arange(100)).all()
    assert np.allclose(scores, 1, atol=1e-5)
    assert scores.max() <= 1


@pytest.mark.parametrize("k", [1, 7, 8, 100])
def test_no_more_than_there_are_and_never_a_row_that_is_not(build: Build, k: int) -> None:
    scores, rows = build(unit_vectors(7)).search(unit_vectors(3, seed=1), k=k)
    assert scores.shape == rows.shape == (3, min(k, 7))
    assert (rows >= 0).all()
    assert all(len(set(row)) == len(row) for row in rows.tolist())


def test_a_zero_row_is_never_found(build: Build) -> None:
    vectors = unit_vectors(50)
    vectors[[0, 7, 49]] = 0
    index = build(vectors)
    _, rows = index.search(vectors[[1, 8]], k=50)
    assert len(index) == 47
    assert rows.shape == (2, 47)
    assert not np.isin(rows, [0, 7, 49]).any()
    assert rows[:, 0].tolist() == [1, 8]


def test_an_empty_index_finds_nothing(build: Build) -> None:
    scores, rows = build(np.zeros((0, 16), np.float32)).search(unit_vectors(2), k=5)
    assert scores.shape == rows.shape == (2, 0)


def test_no_question_finds_nothing(build: Build) -> None:
    scores, rows = build(unit_vectors(5)).search(np.zeros((0, 16), np.float32), k=3)
    assert scores.shape == rows.shape == (0, 3)


def test_a_subset_is_searched_alone_and_exactly(build: Build) -> None:
    vectors, queries = unit_vectors(500), unit_vectors(4, seed=1)
    vectors[20] = 0
    subset = np.arange(10, 60, dtype=np.int64)
    scores, rows = build(vectors).search(queries, k=5, subset=subset)
    expected = 10 + np.argsort(-(queries @ vectors[10:60].T), axis=1)[:, :5]
    assert (rows == expected).all()
    assert np.allclose(scores, np.einsum("qd,qkd->qk", queries, vectors[rows]), atol=1e-5)
    assert build(vectors).search(queries, k=99, subset=subset)[1].shape == (4, 49)
    assert (build(vectors).search(queries, k=5, subset=subset[::-1].copy())[1] == expected).all()
    assert build(vectors).search(queries, k=5, subset=subset[:0])[1].shape == (4, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1_000])
def test_a_row_that_is_no_unit_vector_is_refused_by_number(build: Build, bad: float) -> None:
    vectors = unit_vectors(5)
    vectors[3, 0] = bad
    with pytest.raises(DamagedIndexError, match="row 3"):
        build(vectors)


def test_a_question_of_another_dimension_is_a_mismatch(build: Build) -> None:
    with pytest.raises(IndexMismatchError, match="16 dimensions"):
        build(unit_vectors(5)).search(unit_vectors(1, d=8), k=1)


def test_a_question_that_is_not_finite_is_refused(build: Build) -> None:
    with pytest.raises(ValueError, match="not finite"):
        build(unit_vectors(5)).search(np.full((1, 16), np.nan, np.float32), k=1)


def test_threads_share_an_index(build: Build) -> None:
    vectors = unit_vectors(1_000)
    index = build(vectors)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: int(index.search(vectors[[row]], k=1)[1][0, 0]), range(200)))
    assert found == list(range(200))


def test_only_hnsw_leaves_links_and_without_the_vectors() -> None:
    vectors = unit_vectors(2_000, d=128)
    assert BUILDS["exact"](vectors).to_bytes() == b""
    assert 0 < len(BUILDS["hnsw"](vectors).to_bytes()) < vectors.nbytes


def test_recall_is_measured_and_enough() -> None:
    assert BUILDS["exact"](unit_vectors(2_000)).recall() == 1
    assert BUILDS["hnsw"](unit_vectors(2_000)).recall() >= 0.98


def test_links_of_other_vectors_are_refused() -> None:
    links = BUILDS["hnsw"](unit_vectors(50)).to_bytes()
    with pytest.raises(DamagedIndexError, match="other vectors"):
        FaissIndex(unit_vectors(51), links=links).search(unit_vectors(1), k=1)


def test_another_kind_of_index_is_refused_before_faiss_reads_it() -> None:
    with pytest.raises(DamagedIndexError, match="another kind"):
        FaissIndex(unit_vectors(5), links=b"IwFl" + bytes(100)).search(unit_vectors(1), k=1)


def test_cut_links_are_refused() -> None:
    links = BUILDS["hnsw"](unit_vectors(50)).to_bytes()
    with pytest.raises(DamagedIndexError, match="cannot be read"):
        FaissIndex(unit_vectors(50), links=links[: len(links) // 2]).search(unit_vectors(1), k=1)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 40), k=st.integers(1, 50), seed=st.integers(0, 1_000))
def test_exact_is_exact(n: int, k: int, seed: int) -> None:
    vectors, query = unit_vectors(n, seed=seed), unit_vectors(1, seed=seed + 1)
    scores, _ = FaissIndex.build(vectors).search(query, k=k)
    assert np.allclose(scores[0], np.sort(query[0] @ vectors.T)[::-1][:k], atol=1e-5)
