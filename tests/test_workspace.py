"""The workspace: an index is reused, brought up to date or refused, and never half of one."""

from __future__ import annotations

import base64
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
import rdflib

from kgllm import Assistant, DamagedIndexError, EmbedderError, IndexMismatchError, RdfSyntaxError
from kgllm.generations import Generations
from kgllm.index import IndexSettings
from kgllm.opening import default_folder
from kgllm.overview import overview
from kgllm.sources import resolve
from kgllm.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
ONE = "<urn:x:Ann> <urn:x:mother> <urn:x:Eve> .\n"
MORE = ONE + "<urn:x:Eve> <urn:x:mother> <urn:x:Zoe> .\n"
COUNT = "SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }"
Make = Callable[..., Workspace]
Build = Callable[[Workspace], None]
Serve = Callable[..., Any]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Workspace] = []

    def workspace(text: str = ONE, *, own: bool = True, settings: IndexSettings | None = None) -> Workspace:
        file = tmp_path / "graph.nt"
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
        made.append(
            Workspace(resolve(file), tmp_path / "index", settings=settings or IndexSettings(), is_own_folder=own)
        )
        return made[-1]

    yield workspace
    for workspace_ in made:
        workspace_.close()


def generations(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in workspace.folder.glob("gen-*"))


def manifest(workspace: Workspace) -> dict[str, object]:
    name = (workspace.folder / "CURRENT").read_text().split()[0]
    read: dict[str, object] = json.loads((workspace.folder / name / "MANIFEST.json").read_text())
    return read


def test_an_index_of_an_unchanged_file_is_used_again(make: Make, make_index: Build) -> None:
    make_index(make())
    again = make()
    before = generations(again)
    make_index(again)
    assert len(again.index) == 3
    assert generations(again) == before


def test_a_file_that_is_only_touched_has_not_changed(make: Make, make_index: Build, tmp_path: Path) -> None:
    make_index(make())
    os.utime(tmp_path / "graph.nt", ns=(1, 1))
    again = make()
    make_index(again)
    assert len(generations(again)) == 1


def test_only_changed_texts_are_embedded_when_a_file_changes(make: Make, make_index: Build) -> None:
    make_index(make(ONE))
    assert manifest(make(ONE))["embedded"] == 3
    changed = make(ONE + '<urn:x:Bob> <http://www.w3.org/2000/01/rdf-schema#label> "Bob" .\n')
    make_index(changed)
    assert (manifest(changed)["descriptions"], manifest(changed)["embedded"]) == (4, 1)
    assert len(generations(changed)) == 2
    assert changed.index.search("Bob")[0].iri == rdflib.URIRef("urn:x:Bob")


def test_an_own_folder_of_another_graph_is_refused_and_kept(make: Make, make_index: Build) -> None:
    make_index(make(ONE))
    other = make(MORE)
    before = generations(other)
    with pytest.raises(IndexMismatchError, match="the graph changed") as refused:
        other.index  # noqa: B018
    assert "kgllm index" in refused.value.try_next
    assert generations(other) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (IndexSettings(model="bge-small"), "model was the default, now bge-small"),
        (IndexSettings(languages=("de",)), "languages was"),
        (IndexSettings(describe_with=(rdflib.URIRef("urn:x:name"),)), "describe_with was the default"),
    ],
)
def test_an_own_folder_with_other_settings_is_refused(
    make: Make, make_index: Build, settings: IndexSettings, message: str
) -> None:
    make_index(make())
    with pytest.raises(IndexMismatchError, match=message):
        make(settings=settings).index  # noqa: B018


def test_other_graphs_and_settings_have_other_folders_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.nt").write_text(ONE)
    (tmp_path / "b.nt").write_text(ONE)
    a, b = resolve(tmp_path / "a.nt"), resolve(tmp_path / "b.nt")
    folders = [
        default_folder(tmp_path, a, (), IndexSettings()),
        default_folder(tmp_path, b, (), IndexSettings()),
        default_folder(tmp_path, a, (tmp_path / "b.nt",), IndexSettings()),
        default_folder(tmp_path, a, (), IndexSettings(languages=("de",))),
    ]
    assert len(set(folders)) == 4
    assert default_folder(tmp_path, a, (), IndexSettings()) == folders[0]
    assert all(folder.is_relative_to(tmp_path) for folder in folders)


def test_an_rdflib_graph_has_the_folder_of_its_triples(tmp_path: Path) -> None:
    one, same, other = (rdflib.Graph().parse(data=text) for text in (ONE, ONE, MORE))
    folder = default_folder(tmp_path, one, (), IndexSettings())
    assert default_folder(tmp_path, same, (), IndexSettings()) == folder
    assert default_folder(tmp_path, other, (), IndexSettings()) != folder


@pytest.mark.parametrize("name", ["nodes.sqlite", "vectors.npy", "ontology.json", "embedder/model.onnx"])
def test_a_damaged_file_is_named(make: Make, make_index: Build, name: str) -> None:
    workspace = make()
    make_index(workspace)
    (file,) = workspace.folder.glob(f"gen-*/{name}")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DamagedIndexError, match=name) as refused:
        make().index  # noqa: B018
    assert "--rebuild" in refused.value.try_next


def test_a_build_that_breaks_off_leaves_the_old_index(make: Make, make_index: Build, tmp_path: Path) -> None:
    make_index(make(ONE))
    before = (tmp_path / "index/CURRENT").read_text()
    with pytest.raises(RdfSyntaxError):
        make_index(make("this is no RDF\n"))
    assert (tmp_path / "index/CURRENT").read_text() == before
    assert len(generations(make(ONE))) == 1
    assert len(make(ONE).index) == 3


def test_the_store_is_readable_before_there_is_an_index(make: Make) -> None:
    workspace = make()
    assert len(workspace.store.select("SELECT * { ?s ?p ?o }").rows) == 1
    assert not workspace.folder.exists()
    assert rdflib.URIRef("urn:x:mother") in workspace.ontology.properties


COLD = """
import sys, kgllm
graph, ontology = sys.argv[1:]
with kgllm.open(graph, ontology=ontology) as kg:
    print(*kg.ask("Who commanded Apollo 11?").results)
print(*({"torch", "transformers", "sentence_transformers", "pandas", "sklearn"} & set(sys.modules)))
"""


def serve(graph: str, asked: list[tuple[str, str]], slow: list[bool]) -> http.server.ThreadingHTTPServer:
    """A SPARQL endpoint on the loopback over N-Triples, which writes down who asks what."""
    store = ox.Store()
    store.load(graph.encode(), format=ox.RdfFormat.N_TRIPLES)

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            query = urllib.parse.parse_qs(body)["query"][0]
            asked.append((self.headers.get("Authorization", ""), query))
            if slow and query == COUNT:
                time.sleep(1.5)
            found = store.query(query)
            assert not isinstance(found, ox.QueryTriples)
            answer = found.serialize(format=ox.QueryResultsFormat.JSON) or b""
            self.send_response(200)
            self.send_header("Content-Type", "application/sparql-results+json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_an_endpoint_is_given_the_password_that_nothing_shows_and_is_counted_once(
    tmp_path: Path, make_index: Build
) -> None:
    asked: list[tuple[str, str]] = []
    slow: list[bool] = []
    with serve(ONE, asked, slow) as server:
        source = resolve(f"http://ann:secret@127.0.0.1:{server.server_port}/sparql")
        first = Workspace(source, tmp_path / "index", is_own_folder=True)
        make_index(first)
        shown = [json.dumps(manifest(first)), repr(first), overview(first).to_void()]
        first.close()
        assert not any("secret" in text for text in shown)
        assert {who for who, _ in asked} == {"Basic " + base64.b64encode(b"ann:secret").decode()}
        for is_slow in (False, True):
            asked.clear()
            slow[:] = [True] * is_slow
            again = Workspace(source, tmp_path / "index", is_own_folder=True, timeout_s=1 if is_slow else 30)
            assert len(again.index) == 3  # an endpoint too slow to count is not taken for another graph
            assert again.store.ask("ASK { ?s ?p ?o }")
            again.close()
            assert [query for _, query in asked].count(COUNT) == 1
        server.shutdown()


def test_an_endpoint_with_more_triples_is_another_graph(tmp_path: Path, make_index: Build) -> None:
    with serve(ONE, [], []) as one, serve(MORE, [], []) as more:
        for server in (one, more):
            workspace = Workspace(resolve(f"http://127.0.0.1:{one.server_port}/sparql"), tmp_path / "i")
            if server is one:
                make_index(workspace)
            one.RequestHandlerClass = more.RequestHandlerClass
            generation = Generations(tmp_path / "i").current(verify="sizes")
            assert generation is not None
            assert (workspace.mismatch(generation) is None) is (server is one)
            workspace.close()
        one.shutdown()
        more.shutdown()


def test_a_cold_start_imports_no_training_stack(demo: Assistant, shared_cache: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KGLLM_", "OPENAI_"))}
    environment |= {"KGLLM_CACHE_DIR": str(shared_cache), "XDG_CONFIG_HOME": str(shared_cache / "config")}
    environment["PYTHONPATH"] = str(ROOT)
    before = generations(demo.workspace)
    files = [ROOT / "examples/spaceflight.ttl", ROOT / "ontologies/spaceflight-ontology.ttl"]
    printed = subprocess.run(
        [sys.executable, "-c", COLD, *map(str, files)],
        env=environment,
        cwd=shared_cache,
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == "https://example.org/spaceflight/Neil_Armstrong\n\n"
    assert generations(demo.workspace) == before


# An index whose embedder is a server


def served_by(server: Any, *, model: str = "") -> IndexSettings:
    return IndexSettings(model, embed_base_url=server.base_url)


def other_vectors(texts: Sequence[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0, -1.0] for text in texts]


def test_an_index_by_a_server_needs_no_model_of_its_own(
    make: Make, serve_pooling: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kgllm.engines.sentence_transformers", None)  # an import of it fails
    monkeypatch.setattr("kgllm.workspace.OnnxEmbedder", None)
    server = serve_pooling()
    workspace = make(settings=served_by(server))
    assert workspace.index.nearest("Ann", k=1)
    assert manifest(workspace)["model"] == "tiny of a server"
    assert not list(workspace.folder.glob("gen-*/embedder"))


def test_a_server_that_moved_is_the_same_embedder(make: Make, serve_pooling: Serve) -> None:
    built = make(settings=served_by(serve_pooling())).build()
    moved = make(settings=served_by(serve_pooling()))
    assert moved.build().folder == built.folder
    assert len(moved.index) > 0


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"models": ("other",)}, "it was made with tiny of a server, now it is other of a server"),
        ({"embed": other_vectors}, "the server gives other vectors for tiny than when it was made"),
    ],
    ids=["other-name", "same-name"],
)
def test_an_own_folder_of_another_server_s_model_is_refused_and_can_be_built_anew(
    make: Make, serve_pooling: Serve, how: dict[str, Any], told: str
) -> None:
    make(settings=served_by(serve_pooling())).build()
    other = make(settings=served_by(serve_pooling(**how)))
    with pytest.raises(IndexMismatchError, match=told):
        _ = other.index
    texts = manifest(other)["embedded"]
    other.build()
    assert manifest(other)["embedded"] == texts, "no vector of the other model may be kept"
    assert len(other.index) > 0


def test_an_index_by_a_server_is_none_without_it_and_the_other_way_round(
    make: Make, make_index: Build, serve_pooling: Serve
) -> None:
    make_index(make())
    with pytest.raises(IndexMismatchError, match="embedder was the default, now a server"):
        _ = make(settings=served_by(serve_pooling())).index
    make(settings=served_by(serve_pooling())).build()
    with pytest.raises(IndexMismatchError, match="embedder was a server, now the default"):
        _ = make().index


def test_the_graph_alone_is_read_without_its_server(make: Make, serve_pooling: Serve) -> None:
    make(settings=served_by(serve_pooling())).build()
    gone = make(settings=IndexSettings(embed_base_url="http://127.0.0.1:9/v1"))
    assert gone.query(COUNT).rows
    with pytest.raises(EmbedderError, match="no model server answers"):
        _ = gone.index
