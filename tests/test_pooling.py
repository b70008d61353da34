"""A server that embeds and one that scores, scripted to misbehave; tests/vllm asks a real one."""

from __future__ import annotations

import base64
import math
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from kgllm.engines.pooling import TEXTS_PER_REQUEST, ServedEmbedder, ServedReranker
from kgllm.errors import EmbedderError, ModelServerError, SettingsError
from kgllm.protocols import Embedder, Reranker
from kgllm.reranking import best_first
from kgllm.terms import URIRef
from tests.fault_server import AtOnce

Serve = Callable[..., Any]
NOWHERE = "http://127.0.0.1:9/v1"


def decimal(request: dict[str, Any]) -> Any:
    data = [{"index": index, "embedding": [3, len(text), 0.5]} for index, text in enumerate(request["input"])]
    return {"data": data[::-1]}


def base64_of(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def changed(server: Any, path: str, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """From now on the server's ``data`` at a path is what ``change`` makes of it."""
    honest = server.routes[path]
    server.routes[path] = lambda request: {"data": change(honest(request)["data"])}


def test_it_is_an_embedder_and_a_reranker(serve_pooling: Serve) -> None:
    server = serve_pooling()
    embedder: Embedder = ServedEmbedder(server.base_url)
    reranker: Reranker = ServedReranker(server.base_url)
    assert (embedder.name, embedder.dimension, reranker.name) == ("tiny", 3, "tiny")


def test_vectors_are_put_in_order_by_their_index_in_whichever_form_they_come(serve_pooling: Serve) -> None:
    server = serve_pooling()
    server.routes["/v1/embeddings"] = decimal
    vectors = ServedEmbedder(server.base_url).embed(["a", "four"])
    expected = np.array([[3, 1, 0.5], [3, 4, 0.5]])
    assert np.allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True))


def test_only_what_can_be_seen_is_sent(serve_pooling: Serve) -> None:
    server = serve_pooling()
    embedder = ServedEmbedder(server.base_url)
    server.requests.clear()
    assert not embedder.embed(["", " \n", "\u200b\ufeff"]).any()
    assert server.requests == []
    embedder.embed(["", "a", " "])
    assert [request["input"] for request in server.requests] == [["a"]]


def test_batches_are_bounded_and_run_side_by_side(serve_pooling: Serve) -> None:
    at_once = AtOnce()

    def slowly(texts: Sequence[str]) -> Any:
        with at_once:
            time.sleep(0.05)
        return [[1.0, len(text)] for text in texts]

    server = serve_pooling(slowly)
    texts = ["x" * (1 + number % 50) for number in range(6 * TEXTS_PER_REQUEST)]
    vectors = ServedEmbedder(server.base_url, max_in_flight=3).embed(texts)
    assert np.allclose(vectors[:, 1] / vectors[:, 0], [len(text) for text in texts])
    assert max(len(request["input"]) for request in server.requests) == TEXTS_PER_REQUEST
    assert at_once.most == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[1:],
        lambda data: [*data, data[0]],
        lambda data: [{**each, "index": 0} for each in data],
        lambda data: [{**each, "index": bool(each["index"])} for each in data],
        lambda data: [data[0], {**data[1], "embedding": base64_of(1, 2)}],
        lambda data: [{**each, "embedding": base64_of(1, 2, 3, 4)} for each in data],
        lambda data: [{**each, "embedding": base64_of(1, math.nan, 3)} for each in data],
        lambda data: [{**each, "embedding": [1e308, 1e308, 1e308]} for each in data],
        lambda data: [{**each, "embedding": base64_of(0, 0, 0)} for each in data],
        lambda data: [{**each, "embedding": ["1", "2", "3"]} for each in data],
        lambda data: [{**each, "embedding": "not base64!"} for each in data],
        lambda data: [{**each, "embedding": "AAAA"} for each in data],
        lambda data: [{**each, "embedding": []} for each in data],
        lambda data: [{"index": each["index"]} for each in data],
        lambda _: None,
        lambda _: [1, 2],
    ],
    ids=[
        "too-few", "too-many", "twice", "bool", "mixed", "other-dimension", "nan", "overflow", "zero", "texts",
        "no-base64", "cut", "empty", "none", "no-data", "no-objects",
    ],
)  # fmt: skip
def test_what_is_no_vector_for_each_text_is_refused(serve_pooling: Serve, change: Any) -> None:
    server = serve_pooling()
    embedder = ServedEmbedder(server.base_url)
    changed(server, "/v1/embeddings", change)
    with pytest.raises(EmbedderError, match=r"did not answer what it was asked|no usable vector"):
        embedder.embed(["one", "two"])


def test_a_fault_of_the_server_is_the_embedder_s_and_names_its_options(serve_pooling: Serve) -> None:
    server = serve_pooling()
    embedder = ServedEmbedder(server.base_url)
    del server.routes["/v1/embeddings"]
    with pytest.raises(EmbedderError, match=r"(?s)no such path.*--embed-base-url and --embed-model"):
        embedder.embed(["one"])
    with pytest.raises(EmbedderError, match=r"no model server answers.*\n.*\n.*--embed-base-url"):
        ServedEmbedder(NOWHERE, model="tiny")


@pytest.mark.parametrize(("engine", "option"), [(ServedEmbedder, "--embed"), (ServedReranker, "--rerank")])
def test_a_bad_address_and_a_model_to_choose_are_told_with_their_options(
    serve_pooling: Serve, engine: Any, option: str
) -> None:
    with pytest.raises(SettingsError, match=f"try: {option}-base-url"):
        engine("localhost:8000")
    fault = EmbedderError if engine is ServedEmbedder else ModelServerError
    with pytest.raises(fault, match=rf"lists 2 models\nwhy: .*: one, two\ntry: {option}-model one"):
        engine(serve_pooling(models=("one", "two")).base_url)


def test_to_name_a_reranker_s_model_sends_nothing() -> None:
    with pytest.raises(ModelServerError, match=r"no model server answers.*\n.*\n.*--rerank-base-url"):
        ServedReranker(NOWHERE, model="tiny").scores("?", ["one"])


def test_only_vllm_is_asked_to_cut_at_the_model_s_limit(serve_pooling: Serve) -> None:
    for owner, cut in [("vllm", -1), ("somebody", None)]:
        server = serve_pooling(owner=owner)
        ServedEmbedder(server.base_url).embed(["one"])
        ServedReranker(server.base_url).scores("?", ["one"])
        assert {request.get("truncate_prompt_tokens") for request in server.requests} == {cut}


def test_the_key_is_sent(serve_pooling: Serve) -> None:
    server = serve_pooling()
    ServedEmbedder(server.base_url, api_key="secret-1")
    assert server.keys == {"Bearer secret-1"}


def test_a_model_is_known_again_by_its_vectors_but_not_by_its_name(serve_pooling: Serve) -> None:
    def noisy(texts: Sequence[str]) -> Any:
        return [[1.0, len(text) / 10 + 0.001, (len(text) % 7) / 7] for text in texts]

    first, same, other, wider = (
        ServedEmbedder(serve_pooling(embed).base_url)
        for embed in (
            noisy,
            lambda texts: [[1.0, len(text) / 10, (len(text) % 7) / 7] for text in texts],
            lambda texts: [[1.0, -len(text) / 10, (len(text) % 7) / 7] for text in texts],
            lambda texts: [[1.0, len(text) / 10, (len(text) % 7) / 7, 0.0] for text in texts],
        )
    )
    assert first.identity == same.identity == other.identity
    assert same.gave(first.probes)
    assert not other.gave(first.probes)
    assert not wider.gave(first.probes)
    assert not first.gave(None)


def test_scores_come_in_the_order_of_the_texts_over_all_batches(serve_pooling: Serve) -> None:
    server = serve_pooling(lambda texts: [[len(text)] for text in texts])
    changed(server, "/score", lambda data: data[::-1])
    texts = ["x" * number for number in range(1, 2 * TEXTS_PER_REQUEST)]
    assert ServedReranker(server.base_url).scores("??", texts).tolist() == [2 * len(text) for text in texts]
    assert ServedReranker(server.base_url).scores("??", []).shape == (0,)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[1:],
        lambda data: [{**each, "score": "0.5"} for each in data],
        lambda data: [{**each, "score": 1e300} for each in data],
        lambda data: [{**each, "score": None} for each in data],
        lambda data: [{**each, "index": 7} for each in data],
    ],
    ids=["too-few", "text", "endless", "none", "other-index"],
)
def test_what_is_no_score_for_each_text_is_refused(serve_pooling: Serve, change: Any) -> None:
    server = serve_pooling()
    reranker = ServedReranker(server.base_url)
    changed(server, "/score", change)
    with pytest.raises(ModelServerError, match="did not answer what it was asked"):
        reranker.scores("?", ["one", "two"])


def test_candidates_come_best_first_and_equals_in_their_order(serve_pooling: Serve) -> None:
    reranker = ServedReranker(serve_pooling(lambda texts: [[len(text)] for text in texts]).base_url)
    texts = {"urn:x:a": "bb", "urn:x:b": "a", "urn:x:c": "ccc", "urn:x:d": "dd"}
    candidates = {URIRef(iri): text for iri, text in texts.items()}
    assert [iri[-1] for iri in best_first("?", candidates, reranker=reranker)] == ["c", "a", "d", "b"]
    assert best_first("?", {}, reranker=reranker) == []
