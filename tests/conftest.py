"""What the tests of the verbs share: the demo graph with its index, and small graphs that open in a second."""

from __future__ import annotations

import base64
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

import kgllm
from kgllm import Assistant
from kgllm.engines.onnx import OnnxEmbedder
from kgllm.workspace import Workspace

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from playwright.sync_api import Browser

pytest.register_assert_rewrite("tests.command_line", "tests.asked_model")

ROOT = Path(__file__).resolve().parents[1]
DEMO_GRAPH = ROOT / "examples/spaceflight.ttl"
DEMO_ONTOLOGY = ROOT / "ontologies/spaceflight-ontology.ttl"
DEMO_SHAPES = ROOT / "ontologies/spaceflight-shapes.ttl"

BROWSER_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Embed: TypeAlias = Callable[[Sequence[str]], Any]


def clean(patch: pytest.MonkeyPatch, folder: Path, *, cache: Path) -> None:
    """No settings but the defaults: no variables, no ``kgllm.toml``, and a cache of the tests' own."""
    for name in [name for name in os.environ if name.startswith(("KGLLM_", "OPENAI_"))]:
        patch.delenv(name)
    patch.setenv("KGLLM_CACHE_DIR", str(cache))
    patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    patch.setenv("KGLLM_RUNS", str(folder / "runs.sqlite"))
    patch.chdir(folder)


@contextmanager
def surroundings(cache: Path) -> Iterator[None]:
    """Clean ones, as long as something is opened."""
    with pytest.MonkeyPatch.context() as patch:
        clean(patch, cache, cache=cache)
        yield


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


@pytest.fixture
def clean_surroundings(demo: Assistant, shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the test's own, and the cache in which the demo's index lies."""
    clean(monkeypatch, tmp_path, cache=shared_cache)


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """A shell with the extension loaded."""
    from tests.cells import running_shell

    with running_shell() as running:
        yield running


@pytest.fixture
def demo_shell(shell: InteractiveShell, demo: Assistant) -> InteractiveShell:
    """The same with the demo graph chosen."""
    from tests.cells import succeeds

    shell.user_ns["demo"] = demo
    succeeds(shell, "%kg demo")
    return shell


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
            shutil.copytree(folder, to, dirs_exist_ok=True, copy_function=os.link)

    def build(workspace: Workspace) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("kgllm.engines.sentence_transformers.SentenceTransformersEmbedder", Exported)
            workspace.build()

    return build


@pytest.fixture(scope="module")
def open_cached(
    make_index: Callable[[Workspace], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Assistant]]:
    """``kgllm.open`` with its index built; Turtle in place of a source is written to a file.

    Closed and removed at the end of the module, since every index has 90 MB of model.
    """
    opened: list[Assistant] = []
    folders: list[Path] = []

    def open_graph(source: Any, **options: Any) -> Assistant:
        folder = tmp_path_factory.mktemp("graph")
        folders.append(folder)
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
    for folder in folders:
        shutil.rmtree(folder)


class PoolingServer(ThreadingHTTPServer):
    """A server that lists its models, and answers each path by the function that stands for it in ``routes``."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, embed: Embed, *, models: tuple[str, ...], owner: str) -> None:
        super().__init__(("127.0.0.1", 0), _Pooling)
        self.embed = embed
        self.models = [{"id": name, "owned_by": owner, "max_model_len": 16_384} for name in models]
        self.routes: dict[str, Callable[[dict[str, Any]], Any]] = {
            "/v1/embeddings": self.embeddings,
            "/score": self.scores,
        }
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.base_url = f"http://127.0.0.1:{self.server_port}/v1"

    def embeddings(self, request: dict[str, Any]) -> Any:
        vectors = np.asarray(self.embed(request["input"]), dtype="<f4")
        written = [base64.b64encode(vector.tobytes()).decode() for vector in vectors]
        return {"data": [{"index": index, "embedding": each} for index, each in enumerate(written)]}

    def scores(self, request: dict[str, Any]) -> Any:
        [question], texts = self.embed([request["text_1"]]), self.embed(request["text_2"])
        found = [float(np.dot(question, text)) for text in texts]
        return {"data": [{"index": index, "score": score} for index, score in enumerate(found)]}


class _Pooling(BaseHTTPRequestHandler):
    server: PoolingServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply({"data": self.server.models})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        self.server.keys.add(self.headers["Authorization"])
        route = self.server.routes.get(self.path)
        if route is None:
            self._reply({"error": {"message": "no such path"}}, status=404)
        else:
            self._reply(route(request))

    def _reply(self, body: Any, *, status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def by_length(texts: Sequence[str]) -> list[list[float]]:
    """Vectors of three dimensions in which a text of another length has another direction."""
    return [[1.0, len(text) / 10, (len(text) % 7) / 7] for text in texts]


@pytest.fixture(scope="session")
def serve_pooling() -> Iterator[Callable[..., PoolingServer]]:
    """Starts a server that embeds and scores by a function from texts to vectors."""
    servers: list[PoolingServer] = []

    def start(embed: Embed = by_length, *, models: tuple[str, ...] = ("tiny",), owner: str = "vllm") -> PoolingServer:
        server = PoolingServer(embed, models=models, owner=owner)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, Debian's or else Playwright's own; skips where there is neither.

    It lives as long as a module: while it does, this thread has a running event loop, beside which asyncio starts none.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = shutil.which("chromium") or playwright.chromium.executable_path
        if not Path(found).exists():
            pytest.skip("there is no chromium: `make browser` installs one")
        launched = playwright.chromium.launch(executable_path=found, args=list(BROWSER_OPTIONS))
        yield launched
        launched.close()
