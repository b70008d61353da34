"""Doctor: each role of a model server looked at, and what is wrong with it told with what to do."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kgllm.doctor import Examination, Finding, examine
from kgllm.hardware import Hardware, serve_command
from kgllm.opening import make_workspace
from kgllm.settings import Settings

Serve = Callable[..., Any]
NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture
def examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Examination]:
    """What the doctor finds on a machine without a GPU and without a graph."""
    monkeypatch.setattr("kgllm.doctor.find_hardware", Hardware)
    return lambda **settings: examine(Settings(cache_dir=tmp_path, **settings))


def found(examination: Examination, name: str) -> Finding:
    return next(finding for finding in examination.findings if finding.name == name)


def chatting(server: Any, *, details: Any = None, word: str = "zq7") -> Any:
    """The server with chat completions that keep to the schema, and report ``details`` of their prompts."""
    server.routes["/v1/chat/completions"] = lambda request: {
        "model": "tiny",
        "choices": [{"message": {"content": json.dumps({"word": word})}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 5, "prompt_tokens_details": details},
    }
    return server


def test_a_server_in_all_three_roles_is_well(examined: Callable[..., Examination], serve_pooling: Serve) -> None:
    server = chatting(
        serve_pooling(lambda texts: [[1 + text.count("Moon")] for text in texts]), details={"cached_tokens": 896}
    )
    url = server.base_url
    examination = examined(base_url=url, embed_base_url=url, rerank_base_url=url)
    told = {f.name: (f.state, f.detail) for f in examination.findings}
    assert told["embedder"] == ("ok", f"tiny, 1 dimensions, by {url}")
    assert told["reranker"] == ("ok", f"tiny at {url} scores texts")
    assert told["schema"][0] == "ok"
    assert told["context"] == ("ok", "tiny takes 16,384 tokens of prompt and answer together")
    assert told["prefix cache"] == ("ok", "896 of 900 tokens of a repeated prompt were cached")
    assert examination.is_well


@pytest.mark.parametrize(
    ("details", "hint"),
    [
        (None, "--enable-prompt-tokens-details"),
        ({"cached_tokens": None}, "--enable-prompt-tokens-details"),
        ({"cached_tokens": 0}, "--enable-prefix-caching"),
    ],
)
def test_a_prefix_cache_that_does_nothing_or_says_nothing_is_a_warning(
    examined: Callable[..., Examination], serve_pooling: Serve, details: Any, hint: str
) -> None:
    examination = examined(base_url=chatting(serve_pooling(), details=details).base_url)
    finding = found(examination, "prefix cache")
    assert (finding.state, finding.try_next) == ("warning", f"start vLLM with {hint}")
    assert examination.is_well


def test_the_same_long_prompt_is_sent_twice_and_another_the_next_time(
    examined: Callable[..., Examination], serve_pooling: Serve
) -> None:
    server = chatting(serve_pooling())
    for _ in range(2):
        examined(base_url=server.base_url)
    prompts = [r["messages"][0]["content"] for r in server.requests if len(r["messages"][0]["content"]) > 2_000]
    assert len(prompts) == 4
    assert prompts[0] == prompts[1] != prompts[2] == prompts[3]
    assert prompts[0][:16] != prompts[2][:16]


def test_a_short_context_is_a_warning(examined: Callable[..., Examination], serve_pooling: Serve) -> None:
    server = chatting(serve_pooling())
    server.models[0]["max_model_len"] = 2_048
    assert found(examined(base_url=server.base_url), "context").state == "warning"
    del server.models[0]["max_model_len"]
    assert "does not say" in found(examined(base_url=server.base_url), "context").detail


def test_a_schema_that_is_not_kept_is_a_warning(examined: Callable[..., Examination], serve_pooling: Serve) -> None:
    server = chatting(serve_pooling(), word="mild")
    assert found(examined(base_url=server.base_url), "schema").state == "warning"


def test_servers_that_are_not_there_are_faults(examined: Callable[..., Examination]) -> None:
    examination = examined(embed_base_url=NOWHERE, embed_model="tiny", rerank_base_url=NOWHERE, rerank_model="tiny")
    assert (found(examination, "embedder").state, found(examination, "reranker").state) == ("fault", "fault")
    assert "--rerank-base-url" in found(examination, "reranker").try_next


def test_a_reranker_that_prefers_bread_is_a_warning(examined: Callable[..., Examination], serve_pooling: Serve) -> None:
    server = serve_pooling(lambda texts: [[1 + text.count("Bread")] for text in texts])
    assert found(examined(rerank_base_url=server.base_url), "reranker").state == "warning"


def test_vllm_in_a_process_is_not_started_but_looked_for(examined: Callable[..., Examination]) -> None:
    finding = found(examined(base_url="vllm:Qwen/Qwen3.5-4B"), "model")
    assert (finding.state, finding.try_next) == ("fault", "pip install 'kgllm[vllm]'")


def test_the_command_for_this_machine_is_in_both_forms(examined: Callable[..., Examination]) -> None:
    examination = examined()
    command = serve_command(Hardware())
    assert examination.to_json()["serve"]["command"] == command
    assert [line.strip() for line in command.splitlines()] == [
        line.strip() for line in str(examination).partition("(no GPU)\n")[2].splitlines()[: command.count("\n") + 1]
    ]
    assert "ngram" in str(examination)


def test_an_index_by_another_model_than_the_server_s_is_a_warning(
    tmp_path: Path, serve_pooling: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kgllm.doctor.find_hardware", Hardware)
    graph = tmp_path / "graph.nt"
    graph.write_text("<urn:x:Ann> <urn:x:mother> <urn:x:Eve> .\n")

    def states(server: Any) -> dict[str, str]:
        settings = Settings(
            cache_dir=tmp_path, graph=(str(graph),), index=tmp_path / "index", embed_base_url=server.base_url
        )
        with contextlib.closing(make_workspace(settings)) as workspace:
            if not workspace.folder.exists():
                workspace.build()
        return {f.name: f.state for f in examine(settings).findings}

    assert states(serve_pooling())["embedder"] == "ok"
    assert states(serve_pooling(lambda texts: [[-1.0, len(text)] for text in texts]))["embedder"] == "warning"
