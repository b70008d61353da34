"""How the endpoint store meets servers that are wrong, slow, cut short or hostile."""

from __future__ import annotations

import base64
import gzip
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from kgllm.engines.endpoint import EndpointStore
from kgllm.errors import DeadlineError, EndpointError, QueryRefusedError
from kgllm.terms import Literal
from tests.fault_server import AtOnce, address_of_nothing, reply

JSON = "application/sparql-results+json"
A, B = b'{"x":{"type":"literal","value":"a"}}', b'{"x":{"type":"literal","value":"b"}}'
ROWS = b'{"head":{"vars":["x"]},"results":{"bindings":[' + A + b"," + B + b"]}}"
YES = b'{"head":{},"boolean":true}'
TRIPLES = b"<http://e/s> <http://e/p> <http://e/o> .\n"
SELECT = "SELECT ?x { ?s ?p ?x }"

Answer = Callable[["Server"], None]
Serve = Callable[[Answer], str]


class Server(http.server.BaseHTTPRequestHandler):
    answer: ClassVar[Answer]
    requests: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
        type(self).answer(self)

    def do_GET(self) -> None:
        self.requests.append((self.path, {}, b""))
        self.give(ROWS)

    def give(self, body: bytes, *, status: int = 200, media_type: str = JSON, **headers: str) -> None:
        reply(self, body, status=status, media_type=media_type, **headers)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Serve]:
    Server.requests.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def serve(answer: Answer) -> str:
            Server.answer = answer
            return f"http://127.0.0.1:{server.server_port}/sparql"

        yield serve
        server.shutdown()


@pytest.fixture
def opened() -> Iterator[Callable[..., EndpointStore]]:
    stores: list[EndpointStore] = []

    def opened(url: str, **options: object) -> EndpointStore:
        stores.append(EndpointStore(url, **options))  # type: ignore[arg-type]
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


Opened = Callable[..., EndpointStore]


def test_a_query_goes_out_by_post_and_says_who_asks(serve: Serve, opened: Opened) -> None:
    rows = opened(serve(lambda server: server.give(ROWS))).select(SELECT)
    assert (rows.rows, rows.complete) == ([(Literal("a"),), (Literal("b"),)], True)
    ((_, headers, body),) = Server.requests
    assert body.startswith(b"query=SELECT")
    assert headers["user-agent"].startswith("kgllm/")
    assert headers["accept"] == JSON
    assert "authorization" not in headers


def test_a_name_and_a_token_are_sent(serve: Serve, opened: Opened) -> None:
    url = serve(lambda server: server.give(YES))
    opened(url, username="me", password="secret").ask("ASK {}")
    opened(url, token="tick").ask("ASK {}")
    basic = "Basic " + base64.b64encode(b"me:secret").decode()
    assert [headers["authorization"] for _, headers, _ in Server.requests] == [basic, "Bearer tick"]


def test_a_password_in_the_url_is_not_shown(opened: Opened) -> None:
    assert opened("http://me:secret@127.0.0.1:9/sparql").source == "http://127.0.0.1:9/sparql"


@pytest.mark.parametrize(
    "query", ["INSERT DATA { <http://a> <http://b> 1 }", "SELECT * { SERVICE <http://x/> { ?s ?p ?o } }", "nonsense"]
)
def test_nothing_but_reading_goes_out(serve: Serve, opened: Opened, query: str) -> None:
    with pytest.raises(QueryRefusedError):
        opened(serve(lambda server: server.give(ROWS))).select(query)
    assert Server.requests == []


def test_a_redirect_is_told_and_not_followed(serve: Serve, opened: Opened) -> None:
    url = serve(lambda server: server.give(b"", status=302, Location="/elsewhere"))
    with pytest.raises(EndpointError, match="elsewhere"):
        opened(url, token="tick").select(SELECT)
    assert len(Server.requests) == 1


FAULTS: dict[str, tuple[Answer, str]] = {
    "web page": (lambda s: s.give(b"<!DOCTYPE html><html>", media_type="text/html"), "web page"),
    "web page in disguise": (lambda s: s.give(b"<html></html>"), "web page"),
    "other type": (lambda s: s.give(b"x,y", media_type="text/csv"), "text/csv"),
    "broken JSON": (lambda s: s.give(ROWS[:-20]), "format"),
    "invalid IRI": (lambda s: s.give(ROWS.replace(b'"literal","value":"a"', b'"uri","value":"a b"')), "format"),
    "password": (lambda s: s.give(b"", status=401), "refused access"),
    "server error": (
        lambda s: s.give(b"SP030: \x1b[31mbroken\nstack", status=500),
        r"HTTP 500(?s:.*)SP030: .\[31mbroken$",
    ),
    "not there": (lambda s: s.give(b"no", status=404, media_type="text/plain"), "repositories"),
    "too much": (lambda s: s.give(gzip.compress(b" " * 2**21), Content_Encoding="gzip"), "more than 1 MiB"),
}


@pytest.mark.parametrize(("answer", "told"), FAULTS.values(), ids=FAULTS)
def test_what_is_no_answer_is_told(serve: Serve, opened: Opened, answer: Answer, told: str) -> None:
    with pytest.raises(EndpointError) as caught:
        opened(serve(answer), answer_bytes=2**20).select(SELECT)
    assert caught.match(told)


def test_a_refused_query_shows_the_servers_reason(serve: Serve, opened: Opened) -> None:
    url = serve(lambda server: server.give(b"line 1: no such prefix\nat x", status=400, media_type="text/plain"))
    with pytest.raises(QueryRefusedError, match=r"line 1: no such prefix$"):
        opened(url).select(SELECT)


def test_rows_cut_by_the_server_are_marked(serve: Serve, opened: Opened) -> None:
    assert not opened(serve(lambda s: s.give(ROWS, X_SPARQL_MaxRows="2"))).select(SELECT).complete
    assert opened(serve(lambda s: s.give(ROWS, X_SPARQL_MaxRows="3"))).select(SELECT).complete
    assert not opened(serve(lambda s: s.give(ROWS, X_SQL_State="S1TAT"))).select(SELECT).complete


def test_half_an_ask_or_construct_is_a_fault(serve: Serve, opened: Opened) -> None:
    with pytest.raises(EndpointError, match="part"):
        opened(serve(lambda s: s.give(YES, X_SQL_State="S1TAT"))).ask("ASK {}")
    nt = "application/n-triples"
    url = serve(lambda s: s.give(TRIPLES, media_type=nt, X_SPARQL_MaxRows="1"))
    with pytest.raises(EndpointError, match="part"):
        opened(url).construct("CONSTRUCT WHERE { ?s ?p ?o }")
    whole = serve(lambda s: s.give(TRIPLES, media_type="text/turtle"))
    assert len(opened(whole).construct("CONSTRUCT WHERE { ?s ?p ?o }")) == 1


def test_a_busy_server_is_asked_once_more(serve: Serve, opened: Opened) -> None:
    def busy_once(server: Server) -> None:
        server.give(YES) if len(Server.requests) > 1 else server.give(b"", status=503, Retry_After="0")

    assert opened(serve(busy_once)).ask("ASK {}")
    Server.requests.clear()
    with pytest.raises(EndpointError, match="HTTP 429"):
        opened(serve(lambda s: s.give(b"slow down", status=429, media_type="text/plain", Retry_After="0"))).ask(
            "ASK {}"
        )
    assert len(Server.requests) == 2


def drip(server: Server) -> None:
    server.send_response(200)
    server.send_header("Content-Type", JSON)
    server.send_header("Content-Length", "100")
    server.end_headers()
    for _ in range(30):
        try:
            server.wfile.write(b" ")
            time.sleep(0.1)
        except OSError:
            return


@pytest.mark.parametrize("answer", [drip, lambda server: time.sleep(3)], ids=["a byte at a time", "silent"])
def test_a_slow_server_is_left_at_the_deadline(serve: Serve, opened: Opened, answer: Answer) -> None:
    store = opened(serve(answer))
    begin = time.monotonic()
    with pytest.raises(DeadlineError):
        store.select(SELECT, timeout_s=0.5)
    assert time.monotonic() - begin < 1.0


def test_at_most_two_are_asked_at_once(serve: Serve, opened: Opened) -> None:
    at_once = AtOnce()

    def slow(server: Server) -> None:
        with at_once:
            time.sleep(0.1)
        server.give(YES)

    store = opened(serve(slow))
    threads = [threading.Thread(target=store.ask, args=("ASK {}",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert at_once.most == 2


def test_a_server_that_is_not_there_is_told(opened: Opened) -> None:
    with pytest.raises(EndpointError, match="cannot be reached"):
        opened(address_of_nothing()).select(SELECT)
