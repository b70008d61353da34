"""Open a graph: settings, sources and engines put together into an assistant."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgllm.errors import InputError, SettingsError, SourceNotFoundError
from kgllm.notebook import progress_here
from kgllm.settings import Planner, Settings, read_settings
from kgllm.sources import Source, resolve

if TYPE_CHECKING:
    import rdflib

    from kgllm.assistant import Assistant
    from kgllm.index import IndexSettings
    from kgllm.protocols import LanguageModel, Progress, Reranker
    from kgllm.runs import RunLog
    from kgllm.terms import URIRef
    from kgllm.workspace import Workspace

__all__ = [
    "IN_PROCESS",
    "default_folder",
    "here",
    "make_assistant",
    "make_log",
    "make_model",
    "make_reranker",
    "make_workspace",
    "open",
    "over",
]

IN_PROCESS = "vllm:"
"""What a base URL begins with that is none: the model after it is run by vLLM in a process of its own."""


def open(
    source: str | Path | Sequence[str | Path] | rdflib.Graph | None = None,
    *,
    ontology: str | Path | Sequence[str | Path] | None = None,
    shapes: str | Path | Sequence[str | Path] | None = None,
    index: str | Path | None = None,
    planner: Planner | None = None,
    base_url: str | None = None,
    model: str | None = None,
    api_key: str | None = None,
    embed_base_url: str | None = None,
    embed_model: str | None = None,
    rerank_base_url: str | None = None,
    rerank_model: str | None = None,
    lang: str | Sequence[str] | None = None,
    labels: str | Sequence[str] | None = None,
    strict: bool | None = None,
    min_confidence: float | None = None,
    timeout_s: float | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    in_flight: int | None = None,
    no_cache: bool | None = None,
    log: bool | None = None,
    examples: bool | None = None,
    progress: Progress | None = None,
) -> Assistant:
    """An assistant over a graph: a path, glob or folder, an endpoint's URL, a name of kgllm.toml, or an rdflib graph.

    What is not passed is taken from the environment, ``./kgllm.toml`` and the user's configuration. ``index`` is the
    folder of the index, ``labels`` the properties that name and describe nodes, ``strict`` has every sentence rendered
    from triples by code; an answer that is less likely right than ``min_confidence`` is not given. A model is asked
    ``in_flight`` questions at a time, with ``no_cache`` each of them anew; with ``log`` every answer goes into the run
    log; ``examples=False`` shows it no solved questions. ``progress`` is called while the index is built, at its first
    use; a notebook shows it by itself. Raises ``InputError`` for what cannot be used.
    """
    is_graph = source is not None and not isinstance(source, str | Path | Sequence)
    if is_graph and not hasattr(source, "triples"):  # an rdflib graph, known without importing rdflib
        raise InputError(
            f"a {type(source).__name__} is no graph", try_next="give a path, a glob, a URL, or an rdflib.Graph"
        )
    given = {
        "graph": ("an rdflib graph",) if is_graph else source,
        "ontology": ontology,
        "shapes": shapes,
        "index": index,
        "planner": planner,
        "base_url": base_url,
        "model": model,
        "api_key": api_key,
        "embed_base_url": embed_base_url,
        "embed_model": embed_model,
        "rerank_base_url": rerank_base_url,
        "rerank_model": rerank_model,
        "languages": lang,
        "labels": labels,
        "strict": strict,
        "min_confidence": min_confidence,
        "timeout_s": timeout_s,
        "temperature": temperature,
        "seed": seed,
        "in_flight": in_flight,
        "no_cache": no_cache,
        "log": log,
        "examples": examples,
    }
    settings = here({key: (value, f"argument {key}") for key, value in given.items()})
    graph = source if is_graph else None
    return make_assistant(settings, graph=graph, progress=progress or progress_here())  # type: ignore[arg-type]


def here(given: Mapping[str, tuple[Any, str]]) -> Settings:
    """The settings of this process: its environment, its working directory, its user's folders."""
    from platformdirs import user_cache_path, user_config_path

    return read_settings(
        given,
        environment=os.environ,
        folder=Path.cwd(),
        user_folder=user_config_path("kgllm"),
        cache_dir=user_cache_path("kgllm"),
    )


def make_assistant(
    settings: Settings, *, graph: rdflib.Graph | None = None, progress: Progress | None = None
) -> Assistant:
    """The assistant that some settings describe; ``graph`` takes the place of their source."""
    from kgllm.assistant import Assistant
    from kgllm.cache import Completions
    from kgllm.runs import Served

    workspace = make_workspace(settings, graph=graph, progress=progress)
    model = make_model(settings)
    is_cached = model is not None and not settings.no_cache
    return Assistant(
        workspace,
        model=model,
        reranker=make_reranker(settings),
        strict=settings.strict,
        min_confidence=settings.min_confidence,
        in_flight=settings.in_flight,
        cache=Completions(settings.cache_dir / "completions.sqlite") if is_cached else None,
        log=make_log(settings) if settings.log else None,
        served=Served(settings.base_url or "", settings.temperature, settings.seed),
        examples=settings.examples,
    )


def over(assistant: Assistant, workspace: Workspace) -> Assistant:
    """An assistant that is asked as another one is, over another workspace, without examples and keeping no answers.

    The model is that of the other one: close the workspace, not this assistant.
    """
    from kgllm.assistant import Assistant

    return Assistant(
        workspace,
        model=assistant.model,
        reranker=assistant.reranker,
        strict=assistant.strict,
        min_confidence=assistant.min_confidence,
        in_flight=assistant.in_flight,
        served=assistant.served,
        examples=False,
    )


def make_log(settings: Settings) -> RunLog | None:
    """The run log of some settings, whether questions are logged or not; ``None`` where it is off altogether."""
    from platformdirs import user_data_path

    from kgllm.runs import RunLog

    if settings.runs == "off":
        return None
    return RunLog(settings.runs or user_data_path("kgllm") / "runs.sqlite")


def make_workspace(
    settings: Settings, *, graph: rdflib.Graph | None = None, progress: Progress | None = None
) -> Workspace:
    """The graph of some settings with its ontology, shapes and index folder. Files are not read yet."""
    source: Source | rdflib.Graph = _source(settings) if graph is None else graph
    ontology_files = _files(settings.ontology, "--ontology")
    shapes_files = _files(settings.shapes, "--shapes")
    from kgllm.index import IndexSettings
    from kgllm.workspace import Workspace

    described_by = tuple(_iri(text, settings) for text in settings.labels)
    index_settings = IndexSettings(
        settings.embed_model, settings.languages, described_by, settings.embed_base_url or ""
    )
    folder = settings.index or default_folder(settings.cache_dir, source, ontology_files, index_settings)
    return Workspace(
        source,
        folder,
        ontology_files=ontology_files,
        shapes_files=shapes_files,
        settings=index_settings,
        is_own_folder=settings.index is not None,
        embedders=settings.cache_dir / "embedders",
        timeout_s=settings.timeout_s,
        api_key=settings.api_key,
        **({} if progress is None else {"progress": progress}),
    )


def default_folder(
    cache: Path, source: Source | rdflib.Graph, ontology_files: Sequence[Path], settings: IndexSettings
) -> Path:
    """The folder under ``cache`` for the index of a source, its ontology and settings."""
    from kgllm.engines.oxigraph import graph_fingerprint

    if isinstance(source, Source):
        named = [source.url or "", *map(str, source.files), *map(str, ontology_files)]
        name = source.name
    else:
        named, name = [graph_fingerprint(source), *map(str, ontology_files)], "graph"
    key = json.dumps([named, settings.to_json()], sort_keys=True)
    readable = "".join(c if c.isalnum() else "-" for c in name)[:40]
    return cache / "indexes" / f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def make_model(settings: Settings) -> LanguageModel | None:
    """The language model that some settings ask for; ``None`` for the embedded planner.

    Raises ``SettingsError`` where a model is asked for without a server.
    """
    if settings.planner == "embedded" or (settings.planner == "auto" and not settings.base_url and not settings.model):
        return None
    if not settings.base_url:
        asked = f"model {settings.model}" if settings.model else "planner model"
        origin = settings.origins.get("model" if settings.model else "planner", "")
        raise SettingsError(
            f"{asked} is asked for (by {origin}), but no server is named that serves it",
            why="kgllm speaks to an OpenAI-compatible server, vLLM for one",
            try_next="--base-url http://localhost:8000/v1, or --planner embedded to do without",
        )
    if settings.base_url.startswith(IN_PROCESS):
        return _in_process(settings)
    from kgllm.engines.openai import OpenAIServer

    return OpenAIServer(
        settings.base_url,
        model=settings.model,
        api_key=settings.api_key,
        temperature=settings.temperature,
        seed=settings.seed,
        max_in_flight=settings.in_flight,
    )


def _in_process(settings: Settings) -> LanguageModel:
    from kgllm.engines.vllm_process import VllmProcess

    name = (settings.base_url or "").removeprefix(IN_PROCESS) or settings.model
    if not name:
        raise SettingsError(
            f"{IN_PROCESS} names no model for vLLM to run", try_next="--base-url vllm:FOLDER, or a model hub's name"
        )
    if settings.temperature or settings.seed is not None:
        raise SettingsError(
            f"{IN_PROCESS}{name} is asked with temperature 0 and without a seed",
            why="vLLM in a process of its own is for batches whose answers repeat",
            try_next="serve the model, and name the server with --base-url",
        )
    return VllmProcess(name)


def make_reranker(settings: Settings) -> Reranker | None:
    """The reranker that some settings ask for; ``None`` without its server, which is asked for its only model."""
    if settings.rerank_base_url is None:
        return None
    from kgllm.engines.pooling import ServedReranker

    return ServedReranker(settings.rerank_base_url, model=settings.rerank_model, api_key=settings.api_key)


def _source(settings: Settings) -> Source:
    if not settings.graph:
        raise InputError(
            "no graph is named",
            try_next="-g FILE (or a glob, a folder, the URL of a SPARQL endpoint), KGLLM_GRAPH, or a kgllm.toml",
        )
    try:
        return resolve(settings.graph)
    except SourceNotFoundError as error:
        near = difflib.get_close_matches(settings.graph[0], settings.graph_names, n=1)
        if not near:
            raise
        raise SourceNotFoundError(error.what, try_next=f"kgllm.toml has a graph {near[0]}: -g {near[0]}") from None


def _files(parts: Sequence[str], option: str) -> tuple[Path, ...]:
    if not parts:
        return ()
    source = resolve(parts)
    if source.kind == "endpoint":
        raise InputError(f"{option} takes files, not the URL {source.url}", try_next="download it, and name the file")
    return source.files


def _iri(text: str, settings: Settings) -> URIRef:
    from kgllm.terms import Namespaces, n3

    iri = Namespaces(settings.prefixes).expand(text)
    try:
        if iri is None:
            raise ValueError(text)
        n3(iri)
    except ValueError as error:
        raise SettingsError(
            f"--label {text} is no IRI, and its prefix is not known",
            try_next="write the IRI in full, or give its prefix in [prefixes] of kgllm.toml",
        ) from error
    return iri
