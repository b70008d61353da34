"""What the tests of the verbs share: the demo graph with its index, and small graphs that open in a second."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import kgllm
from kgllm import Assistant
from kgllm.engines.onnx import OnnxEmbedder
from kgllm.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
DEMO_GRAPH = ROOT / "examples/spaceflight.ttl"
DEMO_ONTOLOGY = ROOT / "ontologies/spaceflight-ontology.ttl"
DEMO_SHAPES = ROOT / "ontologies/spaceflight-shapes.ttl"


@contextmanager
def surroundings(cache: Path) -> Iterator[pytest.MonkeyPatch]:
    """No settings but the defaults: no variables, no ``kgllm.toml``, and a cache of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("KGLLM_", "OPENAI_"))]:
            patch.delenv(name)
        patch.setenv("KGLLM_CACHE_DIR", str(cache))
        patch.setenv("XDG_CONFIG_HOME", str(cache / "config"))
        patch.setenv("KGLLM_RUNS", str(cache / "runs.sqlite"))
        patch.chdir(cache)
        yield patch


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The KGLLM_CACHE_DIR in which the demo's index lies."""
    return tmp_path_factory.mktemp("shared-cache")


@pytest.fixture(scope="session")
def demo(shared_cache: Path) -> Iterator[Assistant]:
    """The demo graph as the tutorial opens it, its index built by the default model."""
    with surroundings(shared_cache):
        assistant = kgllm.open(DEMO_GRAPH, ontology=DEMO_ONTOLOGY, shapes=DEMO_SHAPES)
    assistant.index  # noqa: B018  # built here once, for all
    yield assistant
    assistant.close()


@pytest.fixture(scope="session")
def make_index(demo: Assistant) -> Callable[[Workspace], None]:
    """Build the index of a workspace with the model as the demo's index holds it.

    Its vectors are those of the default model, without the ten seconds that PyTorch takes to load and export it.
    """
    (folder,) = demo.workspace.folder.glob("gen-*/embedder")

    class Exported(OnnxEmbedder):
        def __init__(self, model: str) -> None:
            super().__init__(folder)
            if model != self.name:
                self.identity = f"{model} sha256:0"

        def export(self, to: Path) -> None:
            shutil.copytree(folder, to, dirs_exist_ok=True)

    def build(workspace: Workspace) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("kgllm.engines.sentence_transformers.SentenceTransformersEmbedder", Exported)
            workspace.build()

    return build


@pytest.fixture(scope="session")
def open_cached(
    make_index: Callable[[Workspace], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Assistant]]:
    """``kgllm.open`` with its index built; Turtle in place of a source is written to a file. Closed at the end."""
    opened: list[Assistant] = []

    def open_graph(source: Any, **options: Any) -> Assistant:
        folder = tmp_path_factory.mktemp("graph")
        if isinstance(source, str) and "\n" in source:
            (folder / "graph.ttl").write_text(source, encoding="utf-8")
            source = folder / "graph.ttl"
        if isinstance(ontology := options.get("ontology"), str) and "\n" in ontology:
            (folder / "ontology.ttl").write_text(ontology, encoding="utf-8")
            options["ontology"] = folder / "ontology.ttl"
        with surroundings(folder):
            assistant = kgllm.open(source, **options)
        opened.append(assistant)
        make_index(assistant.workspace)
        assistant.index  # noqa: B018
        return assistant

    yield open_graph
    for assistant in opened:
        assistant.close()
