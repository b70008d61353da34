"""vLLM in its other roles: it embeds with the real default model, it scores, and it writes in a process of its own."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest

import kgllm
from kgllm.assistant import Assistant
from kgllm.doctor import examine
from kgllm.engines.onnx import OnnxEmbedder
from kgllm.engines.pooling import ServedEmbedder, ServedReranker
from kgllm.engines.vllm_process import VllmProcess
from kgllm.errors import IndexMismatchError, ModelServerError
from kgllm.protocols import Message
from kgllm.settings import Settings
from tests.conftest import DEMO_GRAPH, DEMO_ONTOLOGY

from .conftest import ENVIRONMENT, PYTHON, VllmServer

pytestmark = pytest.mark.vllm

QUESTIONS = [
    "Who walked on the Moon?",
    "How many people walked on the Moon?",
    "Who commanded Apollo 11?",
    "When was Apollo 13 launched?",
    "Which is the heaviest launch vehicle?",
    "Who was the cook on Apollo 11?",
]
NODE = {
    "type": "object",
    "properties": {"node": {"enum": [f"n{number}" for number in range(64)]}},
    "required": ["node"],
    "additionalProperties": False,
}


# It embeds


@pytest.fixture(scope="module")
def by_server(embedding_server: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    """The demo graph with an index that the server embedded."""
    index = tmp_path_factory.mktemp("index") / "served"
    with kgllm.open(
        DEMO_GRAPH, ontology=DEMO_ONTOLOGY, index=index, embed_base_url=embedding_server.base_url
    ) as assistant:
        yield assistant


def test_its_vectors_are_those_of_the_local_embedder(embedding_server: VllmServer, demo: Assistant) -> None:
    texts = [description.text for description in demo.index.descriptions(range(198)).values()]
    texts += ["word " * 500, "Apollo 11, naïve café, 月面着陸; " * 60]  # both longer than the model's 256 tokens
    assert isinstance(demo.index.embedder, OnnxEmbedder)
    served, local = ServedEmbedder(embedding_server.base_url).embed(texts), demo.index.embedder.embed(texts)
    assert len(texts) == 200
    assert np.max(np.abs(served - local)) < 1e-5


def test_questions_are_answered_as_with_the_local_embedder(by_server: Assistant, demo: Assistant) -> None:
    for served, local in zip(by_server.ask_many(QUESTIONS), demo.ask_many(QUESTIONS), strict=True):
        assert (served.results, served.sparql) == (local.results, local.sparql), served.question


def test_another_model_under_its_name_is_noticed(
    by_server: Assistant, embedding_server: VllmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = by_server.workspace.folder
    assert len(by_server.index) > 0
    monkeypatch.setattr("kgllm.engines.pooling._PROBES", ("Something else is asked.", "butter"))
    other = kgllm.open(DEMO_GRAPH, ontology=DEMO_ONTOLOGY, index=folder, embed_base_url=embedding_server.base_url)
    with pytest.raises(IndexMismatchError, match="gives other vectors for all-MiniLM-L6-v2"):
        _ = other.index


# It scores


def test_an_embedding_model_scores_by_the_cosine(embedding_server: VllmServer) -> None:
    question, texts = "Who walked on the Moon?", ["Neil Armstrong walked on the Moon.", "bread", "", "bread " * 3_000]
    scores = ServedReranker(embedding_server.base_url).scores(question, texts)
    vectors = ServedEmbedder(embedding_server.base_url).embed([question, *texts])
    assert np.allclose(scores[[0, 1, 3]], (vectors[1:] @ vectors[0])[[0, 1, 3]], atol=1e-4)
    assert scores.argmax() == 0


def test_a_cross_encoder_scores_each_text_by_itself(scoring_server: VllmServer) -> None:
    reranker = ServedReranker(scoring_server.base_url)
    texts = [f"candidate number {number} " * number for number in range(150)]
    scores = reranker.scores("Who walked on the Moon?", texts)
    assert scores.shape == (150,)
    assert len(set(scores[:50].tolist())) > 20
    assert np.allclose(reranker.scores("Who walked on the Moon?", texts[::-1]), scores[::-1], atol=1e-5)


def test_doctor_finds_all_three_roles_well(
    vllm_server: VllmServer, embedding_server: VllmServer, tmp_path: Path
) -> None:
    url = embedding_server.base_url
    settings = Settings(cache_dir=tmp_path, base_url=vllm_server.base_url, embed_base_url=url, rerank_base_url=url)
    told = {finding.name: finding for finding in examine(settings).findings}
    for name in ("embedder", "reranker", "model server", "schema", "context", "prefix cache"):
        assert told[name].state == "ok", told[name]
    assert "16,384 tokens" in told["context"].detail


# It writes, in a process of its own


@pytest.fixture(scope="module")
def process(tiny_model: Path) -> Iterator[VllmProcess]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONPATH", raising=False)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        model = VllmProcess(str(tiny_model), python=PYTHON, options={"enforce_eager": True})
        yield model
        model.close()


def asked(text: str) -> list[Message]:
    return [Message("system", "Use the handles alone."), Message("user", text)]


def test_sixteen_conversations_come_back_in_their_order_and_valid(process: VllmProcess) -> None:
    conversations = [asked("n0 " * (16 - number)) for number in range(16)]
    completions = process.complete(conversations, schema=NODE, max_tokens=40)
    assert [each.usage.prompt_tokens for each in completions] == list(map(process.tokens, conversations))
    for completion in completions:
        jsonschema.validate(completion.value, NODE)


def test_the_context_is_told_and_a_prompt_beyond_it_is_refused_alone(process: VllmProcess) -> None:
    assert process.context_length() == 16_384
    with pytest.raises(ModelServerError, match=r"refused the request[^\n]*\nwhy: .*16384 tokens"):
        process.complete([asked("n0 " * 17_000)], schema=NODE, max_tokens=40)
    assert process.complete([asked("Who?")], schema=NODE, max_tokens=3)[0].value is None


def test_a_schema_that_vllm_cannot_hold_to_is_refused_by_the_process(process: VllmProcess) -> None:
    unheld: dict[str, Any] = {"type": "array", "items": {"enum": ["n0", "n1"]}, "uniqueItems": True}
    with pytest.raises(ModelServerError, match="refused the request"):
        process.complete([asked("Who?")], schema=unheld, max_tokens=40)


@pytest.mark.slow
def test_a_process_that_is_killed_is_a_clear_fault_and_leaves_nothing_behind(process: VllmProcess) -> None:
    process.tokens("It runs.")
    child = process._children[0]._process.pid
    endless: dict[str, Any] = {"type": "object", "additionalProperties": {"$ref": "#"}, "minProperties": 5}
    threading.Timer(1, os.kill, (child, signal.SIGKILL)).start()
    began = time.monotonic()
    with pytest.raises(ModelServerError, match=r"the process of vLLM that ran .* ended\nwhy: it was killed"):
        process.complete([asked("Who?")] * 16, schema=endless, max_tokens=16_000)
    assert time.monotonic() - began < 20
    gone = time.monotonic() + 20  # on a busy machine the children take a while to be swept up
    while group_of(child) and time.monotonic() < gone:
        time.sleep(0.1)
    assert group_of(child) == []


def group_of(leader: int) -> list[str]:
    """The processes of a group that still run, by name."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, group = rest.split()[:3]
        if int(group) == leader and state != "Z":
            found.append(name)
    return found
