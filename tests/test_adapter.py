"""The adapter: names drawn to their own descriptions, descriptions to their neighbours, and an index that uses both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kgllm import Assistant
from kgllm.adapter import adapted, draw_together, with_neighbours
from kgllm.protocols import Vectors
from kgllm.terms import URIRef
from kgllm.workspace import Workspace

Open = Callable[..., Assistant]
SEEN, ALL, DIMENSION = 1_500, 2_000, 48


def unit(vectors: NDArray[Any]) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def descriptions() -> Vectors:
    return unit(np.random.default_rng(1).standard_normal((ALL, DIMENSION)))


@pytest.fixture
def names(descriptions: Vectors) -> Vectors:
    """Half of what a name says is not in its description, and always in the same dimensions."""
    random = np.random.default_rng(2)
    own = descriptions + 0.05 * random.standard_normal(descriptions.shape)
    own[:, : DIMENSION // 2] = 0.15 * random.standard_normal((ALL, DIMENSION // 2))
    return unit(own)


def found_first(names: Vectors, descriptions: Vectors) -> float:
    return float(np.mean((names @ descriptions.T).argmax(axis=1) == np.arange(len(names))))


def test_names_that_it_never_saw_find_their_own_descriptions(names: Vectors, descriptions: Vectors) -> None:
    matrix = draw_together(names[:SEEN], descriptions[:SEEN])
    before = found_first(names[SEEN:], descriptions[SEEN:])
    after = found_first(adapted(names[SEEN:], matrix), adapted(descriptions[SEEN:], matrix))
    assert after > before + 0.02


def test_names_of_other_descriptions_teach_nothing(names: Vectors, descriptions: Vectors) -> None:
    matrix = draw_together(names[:SEEN], descriptions[:SEEN][::-1])
    before = found_first(names[SEEN:], descriptions[SEEN:])
    after = found_first(adapted(names[SEEN:], matrix), adapted(descriptions[SEEN:], matrix))
    assert after <= before


def test_the_same_pairs_give_the_same_matrix_of_the_same_type(names: Vectors, descriptions: Vectors) -> None:
    first, second = (draw_together(names[:600], descriptions[:600]) for _ in range(2))
    assert first.dtype == np.float32
    assert np.array_equal(first, second)
    assert np.allclose(np.linalg.norm(adapted(descriptions, first), axis=1), 1, atol=1e-6)


def test_a_vector_goes_towards_its_neighbours_and_one_without_any_stays() -> None:
    vectors = np.eye(4, dtype=np.float32)
    moved = with_neighbours(vectors, np.array([[0, 1], [0, 2]]))
    assert moved[0] @ vectors[1] == pytest.approx(moved[0] @ vectors[2])
    assert moved[1] @ vectors[0] == pytest.approx(0.35 / np.hypot(1, 0.35))
    assert moved[0] @ vectors[3] == 0
    assert np.array_equal(moved[3], vectors[3])
    assert np.array_equal(with_neighbours(vectors, np.empty((0, 2), dtype=np.int64)), vectors)


PARTS = ["hull", "mast", "sail", "keel", "deck", "bow"]
THINGS = "\n".join(
    f"""e:{part} a e:Part ; rdfs:label "{part}"@en ;
        rdfs:comment "the part of a boat that a sailor calls by number {place}"@en ;
        e:next e:{PARTS[place - 1]} ."""
    for place, part in enumerate(PARTS)
)
GRAPH = f"@prefix e: <urn:x:> .\n@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n{THINGS}\n"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgllm.index.ENOUGH_PAIRS", 5)


def arrays(workspace: Workspace) -> dict[str, Any]:
    name = (workspace.folder / "CURRENT").read_text().split()[0]
    return {path.stem: np.load(path) for path in (workspace.folder / name).glob("*.npy")}


def test_an_index_searches_with_the_adapter_and_takes_old_vectors_from_before_it(
    few: None, open_cached: Open, make_index: Callable[[Workspace], None], tmp_path: Path
) -> None:
    (tmp_path / "graph.ttl").write_text(GRAPH)
    kg = open_cached(tmp_path / "graph.ttl", index=tmp_path / "index")
    first = arrays(kg.workspace)
    question = adapted(kg.index.embedder.embed(["what stands in a boat"]), first["adapter"])
    (hit,) = kg.index.nearest("what stands in a boat", k=1)
    assert hit.score == pytest.approx(float((question @ first["vectors"].T).max()), abs=1e-5)
    (tmp_path / "graph.ttl").write_text(GRAPH + 'e:oar rdfs:label "oar" ; rdfs:comment "what one rows a boat with" .\n')
    again = open_cached(tmp_path / "graph.ttl", index=tmp_path / "index")
    second = arrays(again.workspace)
    assert len(second["embedded"]) == len(first["embedded"]) + 1
    kept = [row for row in first["embedded"] if np.isclose(second["embedded"], row).all(axis=1).any()]
    assert len(kept) == len(first["embedded"])


def test_a_graph_of_few_descriptions_or_none_keeps_the_vectors_of_its_texts(open_cached: Open) -> None:
    described = arrays(open_cached(GRAPH).workspace)
    assert "adapter" not in described
    assert not np.allclose(described["vectors"], described["embedded"]), "neighbours count without an adapter too"
    bare = arrays(open_cached("@prefix e: <urn:x:> .\ne:Ann e:mother e:Eve .\n").workspace)
    assert {"adapter", "embedded"} & set(bare) == set()


def test_a_node_is_found_by_another_of_its_names(open_cached: Open) -> None:
    graph = GRAPH + '<urn:x:mast> <http://www.w3.org/2004/02/skos/core#altLabel> "tall pole for canvas"@en .\n'
    hits = open_cached(graph).index.search("pole with canvas on it", k=1)
    assert [hit.iri for hit in hits] == [URIRef("urn:x:mast")]
