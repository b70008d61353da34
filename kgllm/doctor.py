"""Doctor: what is installed, configured, reachable and truly enforced, and where each setting came from."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, TypeAlias

import kgllm
from kgllm.engines.model_server import ModelServer, listed
from kgllm.engines.onnx import OnnxEmbedder
from kgllm.engines.openai import OpenAIServer
from kgllm.engines.worker import Worker
from kgllm.errors import KgllmError
from kgllm.generations import Generations
from kgllm.opening import make_workspace
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
        }

    def __str__(self) -> str:
        width = max(len(name) for name, _, _ in self.settings)
        value_width = min(48, max(len(value) for _, value, _ in self.settings))
        installed = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        lines = ["Versions", f"  {installed}", "", "Settings"]
        lines += [f"  {name:<{width}}  {clean(value):<{value_width}}  {clean(o)}" for name, value, o in self.settings]
        return "\n".join([*lines, "", "Findings", *(f"  {finding}" for finding in self.findings)])


def examine(settings: Settings) -> Examination:
    """Look at everything that a question would need. Nothing raises: each fault is a finding."""
    return Examination(_versions(), tuple(_told(settings)), tuple(_findings(settings)))


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
        yield _looked("embedder", lambda: _embedder(settings.embed_model))
    yield from _model_server(settings)


def _looked(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except KgllmError as error:
        return Finding(name, "fault", f"{error.what} ({error.why})" if error.why else error.what, error.try_next)


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
        yield _looked("embedder", lambda: _embedder(settings.embed_model, workspace if index.state == "ok" else None))
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


def _embedder(model: str, workspace: Workspace | None = None) -> Finding:
    """An up-to-date index carries the embedder it needs; else the one that would build it is loaded."""
    if workspace is not None:
        embedder = workspace.index.embedder
        embedder.embed(["Does it embed?"])
        kind = "from the index, by ONNX Runtime" if isinstance(embedder, OnnxEmbedder) else "from the index"
        return Finding("embedder", "ok", f"{embedder.name}, {embedder.dimension} dimensions, {kind}")
    from kgllm.engines.sentence_transformers import DEFAULT_MODEL, SentenceTransformersEmbedder

    loaded = SentenceTransformersEmbedder(model or DEFAULT_MODEL)
    return Finding("embedder", "ok", f"{loaded.name}, {loaded.dimension} dimensions, by sentence-transformers")


def _model_server(settings: Settings) -> Iterator[Finding]:
    if not settings.base_url:
        state: State = "fault" if settings.planner == "model" or settings.model else "not configured"
        yield Finding("model server", state, "none is named; the embedded planner answers", "--base-url URL")
        return
    url = settings.base_url
    served: list[str] = []

    def reach() -> Finding:
        server = ModelServer(url, model=settings.model, api_key=settings.api_key, timeout_s=_TIMEOUT_S)
        served.extend(server.run(server.describe()).models)
        if settings.model and served and settings.model not in served:
            told = f"{server.base_url} does not serve {settings.model}, but {listed(served)}"
            return Finding("model server", "fault", told, f"--model {served[0]}")
        return Finding("model server", "ok", f"{server.base_url} serves {listed(served) or 'models it does not list'}")

    def probe() -> Finding:
        model = OpenAIServer(url, model=settings.model, api_key=settings.api_key, timeout_s=_TIMEOUT_S)
        found = model.probe()
        if found.enforced:
            return Finding("schema", "ok", f"{model.name} is held to a schema: {found.detail}")
        return Finding("schema", "warning", f"{model.name} is not held to a schema: {found.detail}")

    reached = _looked("model server", reach)
    yield reached
    if reached.state == "ok":
        yield _looked("schema", probe)
