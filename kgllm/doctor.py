"""Doctor: what is installed, configured, reachable and truly enforced, and where each setting came from."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias

import kgllm
from kgllm.engines.model_server import ModelServer, listed
from kgllm.engines.onnx import OnnxEmbedder
from kgllm.engines.openai import OpenAIServer
from kgllm.engines.pooling import ServedEmbedder, ServedReranker
from kgllm.engines.worker import Worker
from kgllm.errors import KgllmError
from kgllm.generations import Generations
from kgllm.hardware import SPECULATION, SPECULATION_REASON, Hardware, find_hardware, serve_command
from kgllm.opening import IN_PROCESS, make_workspace
from kgllm.settings import DEFAULT, Settings
from kgllm.terms import clean
from kgllm.workspace import Workspace

__all__ = ["Examination", "Finding", "examine"]

_PACKAGES = (
    "rdflib", "pyoxigraph", "faiss-cpu", "onnxruntime", "tokenizers", "sentence-transformers", "torch", "pyshacl",
    "numpy", "networkx", "httpx2", "typer", "vllm",
)  # fmt: skip
_HONOURED = ("HF_HOME", "HF_HUB_OFFLINE", "NO_COLOR")
_TIMEOUT_S = 20.0
_LEAST_CONTEXT = 8_192  # tokens; below it, candidates have to be left out of most prompts

State: TypeAlias = Literal["ok", "warning", "fault", "not configured"]
_MARKS: dict[State, str] = {"ok": "✓", "warning": "!", "fault": "✗", "not configured": "–"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. A fault is something that is configured and cannot be used."""

    name: str
    state: State
    detail: str
    try_next: str = ""

    def __str__(self) -> str:
        hint = f"\n      try: {clean(self.try_next)}" if self.try_next else ""
        return f"{_MARKS[self.state]} {self.name}: {clean(self.detail, cap=600)}{hint}"


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found. ``settings`` are name, value as text (a key is not shown) and origin."""

    versions: dict[str, str]
    settings: tuple[tuple[str, str, str], ...]
    findings: tuple[Finding, ...]
    hardware: Hardware

    @property
    def is_well(self) -> bool:
        """Whether all that is configured can be used."""
        return all(finding.state != "fault" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """As ``kgllm doctor --json`` prints it."""
        return {
            "well": self.is_well,
            "versions": self.versions,
            "settings": {name: {"value": value, "origin": origin} for name, value, origin in self.settings},
            "findings": [
                {"name": f.name, "state": f.state, "detail": f.detail, "try": f.try_next} for f in self.findings
            ],
            "serve": {
                "hardware": str(self.hardware),
                "command": serve_command(self.hardware),
                "option": SPECULATION,
                "reason": SPECULATION_REASON,
            },
        }

    def __str__(self) -> str:
        width = max(len(name) for name, _, _ in self.settings)
        value_width = min(48, max(len(value) for _, value, _ in self.settings))
        installed = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        lines = ["Versions", f"  {installed}", "", "Settings"]
        lines += [f"  {name:<{width}}  {clean(value):<{value_width}}  {clean(o)}" for name, value, o in self.settings]
        lines += ["", "Findings", *(f"  {finding}" for finding in self.findings)]
        command = serve_command(self.hardware).replace("\n", "\n  ")
        lines += ["", f"To serve a model here ({clean(str(self.hardware))})", f"  {command}"]
        lines += [f"  and perhaps {SPECULATION}:", f"    {SPECULATION_REASON}"]
        return "\n".join(lines)


def examine(settings: Settings) -> Examination:
    """Look at everything that a question would need. Nothing raises: each fault is a finding."""
    return Examination(_versions(), tuple(_told(settings)), tuple(_findings(settings)), find_hardware())


def _versions() -> dict[str, str]:
    found = {"kgllm": kgllm.__version__, "Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _told(settings: Settings) -> Iterator[tuple[str, str, str]]:
    for each in fields(settings):
        if each.name in {"origins", "graph_names", "unread_variables", "prefixes"}:
            continue
        value = getattr(settings, each.name)
        if each.name == "api_key" and value:
            value = "set, not shown"
        shown = ", ".join(part or "(none)" for part in value) if isinstance(value, tuple) else str(value)
        yield each.name, "–" if value in {None, "", ()} else shown, settings.origins.get(each.name, DEFAULT)
    for name in _HONOURED:
        if value := os.environ.get(name):
            yield name, value, "environment"


def _findings(settings: Settings) -> Iterator[Finding]:
    yield _looked("sandbox", _sandbox)
    if settings.unread_variables:
        yield Finding("variables", "warning", f"these mean nothing: {', '.join(settings.unread_variables)}")
    if settings.graph:
        yield from _graph(settings)
    else:
        yield Finding("graph", "not configured", "no graph is named", "-g FILE, KGLLM_GRAPH, or a kgllm.toml")
        yield _looked("embedder", lambda: _embedder(settings))
    if settings.rerank_base_url:
        yield _looked("reranker", lambda: _reranker(settings))
    yield from _model_server(settings)


def _looked(name: str, look: Callable[[], Finding], *, otherwise: State = "fault") -> Finding:
    try:
        return look()
    except KgllmError as error:
        return Finding(name, otherwise, f"{error.what} ({error.why})" if error.why else error.what, error.try_next)


def _sandbox() -> Finding:
    worker = Worker("kgllm.engines.graph_jobs")
    try:
        kind = worker.call("sandbox", timeout_s=_TIMEOUT_S, what="starting the worker").header["sandbox"]
    finally:
        worker.close()
    if kind == "seccomp":
        return Finding("sandbox", "ok", "workers can open no connection and start no program (seccomp)")
    return Finding("sandbox", "warning", f"no system call filter on this machine; workers have {kind}")


def _graph(settings: Settings) -> Iterator[Finding]:
    try:
        workspace = make_workspace(settings)
    except KgllmError as error:
        yield Finding("graph", "fault", error.what, error.try_next)
        return
    try:
        yield _looked("graph", lambda: _answers(workspace))
        index = _looked("index", lambda: _index(workspace))
        yield index
        yield _looked("embedder", lambda: _embedder(settings, workspace if index.state == "ok" else None))
    finally:
        workspace.close()


def _answers(workspace: Workspace) -> Finding:
    if workspace.store.ask("ASK { ?s ?p ?o }"):
        return Finding("graph", "ok", f"{workspace.name} answers SPARQL")
    return Finding("graph", "fault", f"{workspace.name} has not one triple")


def _index(workspace: Workspace) -> Finding:
    generation = Generations(workspace.folder).current(verify="hashes")
    if generation is None:
        return Finding("index", "not configured", f"none yet in {workspace.folder}", "kgllm index")
    if mismatch := workspace.mismatch(generation):
        return Finding("index", "warning", f"{workspace.folder} is not up to date: {mismatch}", "kgllm index")
    if generation.fallback:
        return Finding(
            "index", "warning", f"{workspace.folder} is damaged; the one before it is used", "kgllm index --rebuild"
        )
    return Finding("index", "ok", f"{workspace.folder} is up to date")


def _embedder(settings: Settings, workspace: Workspace | None = None) -> Finding:
    """An up-to-date index carries the embedder it needs, or its server is asked; else the one that would build it."""
    if settings.embed_base_url:
        return _served_embedder(settings, workspace)
    if workspace is not None:
        embedder = workspace.index.embedder
        embedder.embed(["Does it embed?"])
        kind = "from the index, by ONNX Runtime" if isinstance(embedder, OnnxEmbedder) else "from the index"
        return Finding("embedder", "ok", f"{embedder.name}, {embedder.dimension} dimensions, {kind}")
    from kgllm.engines.sentence_transformers import DEFAULT_MODEL, SentenceTransformersEmbedder

    loaded = SentenceTransformersEmbedder(settings.embed_model or DEFAULT_MODEL)
    return Finding("embedder", "ok", f"{loaded.name}, {loaded.dimension} dimensions, by sentence-transformers")


def _served_embedder(settings: Settings, workspace: Workspace | None) -> Finding:
    served = ServedEmbedder(
        settings.embed_base_url or "",
        model=settings.embed_model or None,
        api_key=settings.api_key,
        timeout_s=_TIMEOUT_S,
    )
    generation = Generations(workspace.folder).current(verify="sizes") if workspace is not None else None
    if workspace is not None and generation is not None and (other := workspace.other_model(generation)):
        return Finding("embedder", "warning", f"{workspace.folder} does not match: {other}", "kgllm index")
    return Finding("embedder", "ok", f"{served.name}, {served.dimension} dimensions, by {served.base_url}")


def _reranker(settings: Settings) -> Finding:
    reranker = ServedReranker(
        settings.rerank_base_url or "", model=settings.rerank_model, api_key=settings.api_key, timeout_s=_TIMEOUT_S
    )
    texts = ["Neil Armstrong walked on the Moon.", "Bread is made of flour."]
    moon, bread = reranker.scores("Who walked on the Moon?", texts)
    told = f"{reranker.name} at {reranker.base_url}"
    if moon > bread:
        return Finding("reranker", "ok", f"{told} scores texts")
    return Finding("reranker", "warning", f"{told} finds bread nearer to a question about the Moon", "another model")


def _model_server(settings: Settings) -> Iterator[Finding]:
    if not settings.base_url:
        state: State = "fault" if settings.planner == "model" or settings.model else "not configured"
        yield Finding("model server", state, "none is named; the embedded planner answers", "--base-url URL")
        return
    if settings.base_url.startswith(IN_PROCESS):
        if find_spec("vllm") is None:
            told = f"{settings.base_url} is to run here, and vLLM is not installed"
            yield Finding("model", "fault", told, "pip install 'kgllm[vllm]'")
        else:
            yield Finding("model", "ok", f"{settings.base_url} is run here by vLLM, loaded at the first question")
        return
    url = settings.base_url
    server = _looked_for_server(url, settings)
    yield server
    if server.state == "ok":
        yield _looked("schema", lambda: _schema(_model(url, settings)))
        yield _looked("context", lambda: _context(_model(url, settings)))
        yield _looked(
            "prefix cache", lambda: _prefix_cache(_model(url, settings).name, url, settings), otherwise="warning"
        )


def _looked_for_server(url: str, settings: Settings) -> Finding:
    def reach() -> Finding:
        server = ModelServer(url, model=settings.model, api_key=settings.api_key, timeout_s=_TIMEOUT_S)
        served = list(server.run(server.describe()).models)
        if settings.model and served and settings.model not in served:
            told = f"{server.base_url} does not serve {settings.model}, but {listed(served)}"
            return Finding("model server", "fault", told, f"--model {served[0]}")
        return Finding("model server", "ok", f"{server.base_url} serves {listed(served) or 'models it does not list'}")

    return _looked("model server", reach)


def _model(url: str, settings: Settings) -> OpenAIServer:
    return OpenAIServer(url, model=settings.model, api_key=settings.api_key, timeout_s=_TIMEOUT_S)


def _schema(model: OpenAIServer) -> Finding:
    found = model.probe()
    if found.enforced:
        return Finding("schema", "ok", f"{model.name} is held to a schema: {found.detail}")
    return Finding("schema", "warning", f"{model.name} is not held to a schema: {found.detail}")


def _context(model: OpenAIServer) -> Finding:
    length = model.context_length()
    if length is None:
        return Finding("context", "ok", f"the server does not say how many tokens {model.name} takes")
    told = f"{model.name} takes {length:,} tokens of prompt and answer together"
    if length < _LEAST_CONTEXT:
        return Finding("context", "warning", told, f"serve it with --max-model-len {_LEAST_CONTEXT} or more")
    return Finding("context", "ok", told)


def _prefix_cache(model: str, url: str, settings: Settings) -> Finding:
    """Whether a second prompt of the same beginning is taken from the cache, by the server's own count."""
    server = ModelServer(url, model=model, api_key=settings.api_key, timeout_s=_TIMEOUT_S)
    # The first words are new each time, so that nothing of it is in the cache from before.
    prompt = f"{uuid.uuid4()} " + "Every rule of the prompt comes before the question that is asked. " * 60
    request = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 1, "temperature": 0}

    async def ask() -> dict[str, Any]:
        await server.call("POST", f"{server.base_url}/chat/completions", request)
        return await server.call("POST", f"{server.base_url}/chat/completions", request)

    match server.run(ask()).get("usage"):
        case {"prompt_tokens": int(whole), "prompt_tokens_details": {"cached_tokens": int(cached)}} if cached > 0:
            return Finding("prefix cache", "ok", f"{cached:,} of {whole:,} tokens of a repeated prompt were cached")
        case {"prompt_tokens_details": {"cached_tokens": int()}}:
            told, hint = "nothing of a repeated prompt was cached", "start vLLM with --enable-prefix-caching"
            return Finding("prefix cache", "warning", told, hint)
    told = f"{server.base_url} does not report how many tokens were cached"
    return Finding("prefix cache", "warning", told, "start vLLM with --enable-prompt-tokens-details")
