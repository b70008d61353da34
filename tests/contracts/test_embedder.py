"""What every embedder owes, on the two embedded ones and one behind a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgllm.engines.onnx import OnnxEmbedder
from kgllm.engines.pooling import ServedEmbedder
from kgllm.engines.sentence_transformers import SentenceTransformersEmbedder
from kgllm.protocols import Embedder

MOON = "Neil Armstrong was the first person to walk on the Moon."


@pytest.fixture(scope="module")
def embedders(tmp_path_factory: pytest.TempPathFactory, serve_pooling: Callable[..., Any]) -> dict[str, Embedder]:
    folder: Path = tmp_path_factory.mktemp("export")
    builder = SentenceTransformersEmbedder()
    builder.export(folder)
    exported = OnnxEmbedder(folder)
    served = ServedEmbedder(serve_pooling(exported.embed).base_url)
    return {"sentence-transformers": builder, "onnx": exported, "served": served}


@pytest.fixture(params=["sentence-transformers", "onnx", "served"])
def embedder(request: pytest.FixtureRequest, embedders: dict[str, Embedder]) -> Embedder:
    return embedders[request.param]


def test_texts_become_unit_vectors(embedder: Embedder) -> None:
    vectors = embedder.embed([MOON, "a", "bread"])
    assert vectors.shape == (3, embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_become_no_vectors(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_the_order_is_the_one_given_whatever_the_lengths(embedder: Embedder) -> None:
    texts = ["word " * n for n in (90, 1, 40, 3, 200, 2)]
    together = embedder.embed(texts)
    alone = np.vstack([embedder.embed([text]) for text in texts])
    assert np.min(np.sum(together * alone, axis=1)) > 0.9999


def test_near_in_meaning_is_near(embedder: Embedder) -> None:
    question, moon, bread = embedder.embed(["Who walked on the Moon first?", MOON, "Bread is made of flour."])
    assert question @ moon > question @ bread + 0.3


@pytest.mark.parametrize("blank", ["", " \n\t ", "\u200b"])
def test_a_blank_text_has_no_direction(embedder: Embedder, blank: str) -> None:
    vectors = embedder.embed([MOON, blank])
    assert not vectors[1].any()
    assert vectors[0].any()


def test_an_endless_text_is_cut(embedder: Embedder) -> None:
    endless, cut = embedder.embed(["moon " * 200_000, "moon " * 800])
    assert endless @ cut > 0.9999


@pytest.mark.parametrize("text", ["broken \ud800 half", "\udfff", "nul \x00 here", "\u202eright to left", "🚀" * 3_000])
def test_odd_characters_do_not_fail_the_batch(embedder: Embedder, text: str) -> None:
    assert np.isfinite(embedder.embed([text, MOON])).all()


def test_progress_ends_at_the_whole(embedder: Embedder) -> None:
    told: list[tuple[str, int, int]] = []
    texts = ["", *(f"label number {n}" for n in range(300))]
    embedder.embed(texts, progress=lambda stage, done, total: told.append((stage, done, total)))
    assert told[-1] == ("embed", 301, 301)
    assert len(told) > 2
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_all_engines_give_the_same_vectors(embedders: dict[str, Embedder]) -> None:
    texts = [MOON, "a", "Ünïcode — 月面着陸", "word " * 500, "$", "THE SAME in capitals"]
    built, *others = (engine.embed(texts) for engine in embedders.values())
    for other in others:
        assert np.min(np.sum(built * other, axis=1)) > 0.9999
