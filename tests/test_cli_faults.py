"""Bad inputs on the command line: each with what happened and what to try, on one screen, and no harm to a terminal."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyoxigraph as ox
import pytest

from kgllm.cli.tables import written
from kgllm.protocols import Rows
from kgllm.terms import Literal, Namespaces
from tests.command_line import GRAPH, QUESTION, demo, failed, file, run
from tests.fault_server import reply

pytestmark = pytest.mark.usefixtures("clean_surroundings")


def test_no_graph() -> None:
    failed(run("ask", QUESTION), 2, "no graph is named", "-g FILE")


def test_a_missing_file() -> None:
    failed(run("ask", QUESTION, "-g", "nowhere.ttl"), 2, "nowhere.ttl", "try: ")


def test_a_file_that_is_no_rdf(tmp_path: Path) -> None:
    (tmp_path / "picture.ttl").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    failed(run("ask", QUESTION, "-g", str(tmp_path / "picture.ttl")), 2, "picture.ttl")
    failed(run("ask", QUESTION, "-g", file(tmp_path / "notes.txt", "hello")), 2, "extension")


def test_broken_turtle_names_file_line_and_column(tmp_path: Path) -> None:
    broken = file(tmp_path / "broken.ttl", "<urn:a> <urn:b> <urn:c> .\n<urn:a> <urn:b> oops\n")
    failed(run("ask", QUESTION, "-g", broken), 2, f"{broken}:2:")


def test_an_empty_graph(tmp_path: Path) -> None:
    failed(run("ask", QUESTION, "-g", file(tmp_path / "empty.ttl", "# nothing\n")), 2, "not one triple")


def test_a_graph_without_names_is_asked_by_its_local_names(tmp_path: Path) -> None:
    nameless = file(tmp_path / "nameless.ttl", "<urn:x:Apollo_11> <urn:x:commander> <urn:x:Neil_Armstrong> .")
    result = run("ask", "Who is the commander of Apollo 11?", "-g", nameless)
    assert result.exit_code == 0, result.stderr
    assert "Neil_Armstrong" in result.stdout


def test_unknown_options_and_settings_name_the_nearest(tmp_path: Path) -> None:
    file(tmp_path / "kgllm.toml", '[llm]\nbase_ulr = "http://localhost/v1"\n')
    failed(run("ask", QUESTION, "-g", GRAPH), 2, "llm.base_ulr", "did you mean llm.base_url?")


Answering = Callable[[str, str], tuple[int, str, bytes]]


@pytest.fixture
def serve() -> Iterator[Callable[[Answering], str]]:
    servers: list[ThreadingHTTPServer] = []

    def start(answering: Answering) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                status, media_type, body = answering(self.path, self.rfile.read(length).decode())
                reply(self, body, status=status, media_type=media_type)

            do_POST = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_an_endpoint_that_is_a_web_page(serve: Callable[[Answering], str]) -> None:
    url = serve(lambda path, body: (200, "text/html", b"<html><title>Workbench</title></html>"))
    failed(run("ask", QUESTION, "-g", url), 5, "web page", "/sparql")


def test_a_model_server_that_is_not_there() -> None:
    unreachable = ["--base-url", "http://127.0.0.1:9/v1", "-m", "tiny"]
    failed(demo("ask", QUESTION, *unreachable), 5, "http://127.0.0.1:9/v1")
    doctor = demo("doctor", *unreachable)
    assert doctor.exit_code == 5
    assert "✗ model server" in doctor.stdout


def test_a_model_that_is_not_served(serve: Callable[[Answering], str]) -> None:
    def server(path: str, body: str) -> tuple[int, str, bytes]:
        if path == "/v1/models":
            return 200, "application/json", b'{"data": [{"id": "kgllm"}]}'
        return 404, "application/json", b'{"error": {"message": "The model `qwen` does not exist."}}'

    url = serve(server) + "/v1"
    failed(demo("ask", QUESTION, "--base-url", url, "-m", "qwen"), 5, "does not serve qwen", "--model kgllm")
    assert "does not serve qwen" in demo("doctor", "--base-url", url, "-m", "qwen").stdout


def test_a_model_without_a_server() -> None:
    failed(demo("ask", QUESTION, "-m", "qwen"), 2, "no server is named", "--base-url")


def test_a_damaged_index_is_refused_with_the_file_and_the_way_out(tmp_path: Path) -> None:
    graph = file(tmp_path / "small.ttl", "<urn:x:a> <urn:x:knows> <urn:x:b> .")
    folder = tmp_path / "index"
    assert run("index", "-g", graph, "--index", str(folder)).exit_code == 0
    (names,) = folder.glob("gen-*/names.sqlite")
    names.chmod(0o600)
    names.write_bytes(names.read_bytes()[:-100] + b"\xff" * 100)
    failed(run("search", "a", "-g", graph, "--index", str(folder)), 2, "names.sqlite", "--rebuild")
    assert run("index", "--rebuild", "-g", graph, "--index", str(folder)).exit_code == 0
    assert run("search", "a", "-g", graph, "--index", str(folder)).exit_code == 0


def test_labels_cannot_reach_the_terminal_as_commands(tmp_path: Path) -> None:
    label = "Evil \\u001b]0;owned\\u0007 \\u202e name"
    graph = file(
        tmp_path / "evil.ttl",
        f'<urn:x:n> <http://www.w3.org/2000/01/rdf-schema#label> "{label}" ; <urn:x:p> <urn:x:o> .',
    )
    for arguments in [("search", "evil name"), ("show", "urn:x:n"), ("query", "SELECT * { ?s ?p ?o }"), ("info",)]:
        shown = run(*arguments, "-g", graph)
        assert not {"\x1b", "\x07", "\u202e"} & set(shown.stdout + shown.stderr)


def test_json_and_turtle_escape_what_a_terminal_obeys_and_lose_nothing(tmp_path: Path) -> None:
    label = "a\x1b\x9b\u202e\u2028b"
    graph = file(tmp_path / "evil.ttl", f'<urn:x:n> <http://www.w3.org/2000/01/rdf-schema#label> "{label}" .')
    rows = run("query", "SELECT ?o { ?s ?p ?o }", "--json", "-g", graph).stdout
    assert rows.strip().isprintable()
    assert json.loads(rows)["results"]["bindings"][0]["o"]["value"] == label
    for form in ("table", "json"):
        built = run("query", "CONSTRUCT WHERE { ?s ?p ?o }", "-f", form, "-g", graph).stdout
        assert built.replace("\n", "").isprintable()
        written_as = ox.RdfFormat.TURTLE if form == "table" else ox.RdfFormat.JSON_LD
        assert [quad.object.value for quad in ox.parse(built.encode(), format=written_as)] == [label]


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_csv_and_tsv_are_exact_in_a_file_and_clean_on_a_terminal(form: str) -> None:
    rows = Rows(("o",), [(Literal("a\x1bb\x9b"),)], complete=True)
    exact = written(rows, form, Namespaces())
    assert ("a\x1bb\x9b" if form == "csv" else "a\\u001Bb\x9b") in exact
    shown = written(rows, form, Namespaces(), cleaned=True)
    assert "<U+009B>" in shown
    assert not {"\x1b", "\x9b"} & set(shown)
