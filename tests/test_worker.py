"""The worker ends what runs away, reads foreign files safely, and never dials."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pyoxigraph as ox
import pytest
import rdflib

from kgllm.engines.oxigraph import OxigraphStore
from kgllm.engines.worker import Worker
from kgllm.errors import (
    DamagedIndexError,
    DeadlineError,
    EmptyGraphError,
    InputError,
    QueryRefusedError,
    RdfSyntaxError,
    SourceNotFoundError,
    WorkerError,
)
from kgllm.terms import Literal, URIRef

EX = "http://example.org/"
TRIPLE = f"<{EX}s> <{EX}p> <{EX}o> .\n"
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
EVERYTHING = "SELECT ?s ?p ?o { ?s ?p ?o }"
PRODUCT = "SELECT (COUNT(*) AS ?n) { " + " ".join(f"?s{i} ?p{i} ?o{i} ." for i in range(9)) + " }"
MANY = "".join(f"<{EX}s{number}> <{EX}p> <{EX}o> .\n" for number in range(20))


def load(file: Path, text: str | bytes, **limits: int) -> OxigraphStore:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return OxigraphStore.load([file], source=file.name, **limits)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OxigraphStore]:
    store = load(tmp_path / "many.nt", MANY)
    yield store
    store.close()


# Ending what runs away


def test_a_runaway_query_ends_and_the_next_one_answers(store: OxigraphStore) -> None:
    begin = time.monotonic()
    with pytest.raises(DeadlineError, match=r"within 0\.5 s"):
        store.select(PRODUCT, timeout_s=0.5)
    assert time.monotonic() - begin < 1.0
    assert len(store.select(EVERYTHING).rows) == 20


@pytest.mark.parametrize("query", ["SELECT * " + "{" * 20_000, "SELECT * { BIND(" + "STR(" * 20_000])
def test_a_query_that_overflows_the_stack_ends_the_child_alone(store: OxigraphStore, query: str) -> None:
    with pytest.raises(WorkerError, match="stack"):
        store.select(query)
    assert len(store.select(EVERYTHING).rows) == 20


def test_a_query_that_eats_memory_ends_the_child_alone(tmp_path: Path) -> None:
    store = load(tmp_path / "many.nt", MANY, memory_bytes=512 * 2**20)
    doubling = " ".join(f"BIND(CONCAT(?x{i}, ?x{i}) AS ?x{i + 1})" for i in range(40))
    with pytest.raises(WorkerError, match="memory"):
        store.select(f'SELECT (STRLEN(?x40) AS ?n) {{ BIND("0123456789" AS ?x0) {doubling} }}')
    assert len(store.select(EVERYTHING).rows) == 20
    store.close()


def test_a_killed_child_is_replaced(store: OxigraphStore) -> None:
    os.kill(store._worker._children[0].process.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="killed"):
        store.select(EVERYTHING)
    assert len(store.select(EVERYTHING).rows) == 20


def test_files_that_changed_are_not_taken_for_the_same_graph(store: OxigraphStore, tmp_path: Path) -> None:
    with pytest.raises(DeadlineError):
        store.select(PRODUCT, timeout_s=0.3)
    (tmp_path / "many.nt").write_text(TRIPLE)
    with pytest.raises(WorkerError, match="changed"):
        store.select(EVERYTHING)


def test_many_threads_each_get_their_own_answer(store: OxigraphStore) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        for _ in range(20):
            rows = store.select(f"SELECT ?o {{ <{EX}s{number}> ?p ?o BIND({number} AS ?n) }}").rows
            answer = store.select(f"SELECT ?n {{ BIND({number} AS ?n) }}").rows[0][0]
            if len(rows) != 1 or str(answer) != str(number):
                wrong.append((number, rows, answer))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_waiting_for_another_threads_query_has_a_deadline_too(store: OxigraphStore) -> None:
    def run_away() -> None:
        with pytest.raises(DeadlineError):
            store.select(PRODUCT, timeout_s=1.5)

    busy = threading.Thread(target=run_away)
    busy.start()
    time.sleep(0.3)
    with pytest.raises(DeadlineError, match="did not begin"):
        store.ask("ASK {}", timeout_s=0.3)
    busy.join()


def test_the_child_ends_with_its_parent_even_in_the_midst_of_a_query(tmp_path: Path) -> None:
    file = tmp_path / "many.nt"
    file.write_text(MANY)
    script = f"""
import threading, time
from pathlib import Path
from typing import ClassVar
from kgllm.engines.oxigraph import OxigraphStore
store = OxigraphStore.load([Path({str(file)!r})], source="many")
threading.Thread(target=lambda: store.select({PRODUCT!r}, timeout_s=600), daemon=True).start()
time.sleep(0.3)
print(store._worker._children[0].process.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(child)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_lost_store_leaves_no_process(tmp_path: Path) -> None:
    store = load(tmp_path / "one.nt", TRIPLE)
    child = store._worker._children[0].process
    del store
    assert child.poll() is not None


def test_a_cold_child_imports_neither_rdflib_nor_numpy() -> None:
    heavy = {"rdflib", "numpy", "httpx2", "asyncio"}
    code = f"import sys, kgllm.engines.graph_jobs; print(sorted({heavy!r} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


# Never dialling


class Canary(http.server.BaseHTTPRequestHandler):
    hits: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.hits.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/sparql-results+json")
        body = b'{"head": {"vars": ["x"]}, "results": {"bindings": []}}'
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def canary() -> Iterator[str]:
    Canary.hits.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Canary) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_linux_keeps_the_worker_in_by_seccomp(store: OxigraphStore) -> None:
    assert store._worker.call("sandbox", timeout_s=5, what="asking").header == {"sandbox": "seccomp"}


def test_service_dials_without_the_worker_and_never_within(canary: str, store: OxigraphStore) -> None:
    query = f"SELECT * {{ SERVICE <{canary}/sparql> {{ ?x ?p ?o }} }}"
    list(ox.Store().query(query))  # type: ignore[arg-type]
    assert Canary.hits == ["/sparql"]
    with pytest.raises(QueryRefusedError):
        store.select(query)
    assert store.select(query.replace("SERVICE", "SERVICE SILENT")).rows in ([], [(None, None, None)])
    assert Canary.hits == ["/sparql"]


@pytest.mark.parametrize("query", ["LOAD <{}/x>", "SELECT * FROM <{}/x> {{ ?s ?p ?o }}", "DROP ALL"])
def test_nothing_is_loaded_and_nothing_dropped(canary: str, store: OxigraphStore, query: str) -> None:
    with contextlib.suppress(QueryRefusedError):
        assert store.select(query.format(canary)).rows == []
    assert Canary.hits == []
    assert len(store.select(EVERYTHING).rows) == 20


def test_a_remote_context_is_never_fetched(canary: str, tmp_path: Path) -> None:
    with pytest.raises(RdfSyntaxError, match="@context"):
        load(tmp_path / "x.jsonld", json.dumps({"@context": f"{canary}/context", "@id": EX, "name": "x"}))
    assert Canary.hits == []


# Reading files

FORMATS = {
    "ttl": TRIPLE,
    "nt": TRIPLE,
    "nq": f"<{EX}s> <{EX}p> <{EX}o> <{EX}g> .\n",
    "trig": f"<{EX}g> {{ {TRIPLE} }}",
    "rdf": f'<rdf:RDF {RDF} xmlns:e="{EX}"><rdf:Description rdf:about="{EX}s" e:p="x"/></rdf:RDF>',
    "jsonld": json.dumps({"@id": EX + "s", EX + "p": {"@id": EX + "o"}}),
}
FORMATS["rdf"] = FORMATS["rdf"].replace(' e:p="x"/>', f'><e:p rdf:resource="{EX}o"/></rdf:Description>')
FORMATS |= {"owl": FORMATS["rdf"], "xml": FORMATS["rdf"], "json": FORMATS["jsonld"]}


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("extension", FORMATS)
def test_every_format_is_read_plain_and_compressed(tmp_path: Path, extension: str, compressed: bool) -> None:
    text = FORMATS[extension].encode()
    store = load(tmp_path / f"x.{extension}{'.gz' * compressed}", gzip.compress(text) if compressed else text)
    assert store.select(EVERYTHING).rows == [(URIRef(EX + "s"), URIRef(EX + "p"), URIRef(EX + "o"))]
    store.close()


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("x.ttl", TRIPLE + f"<{EX}a> <{EX}b> .\n", ":2:"),
        ("x.nt", TRIPLE + f"<{EX}a> foo .\n", ":2:"),
        ("x.nq", TRIPLE + f"<{EX}a> foo .\n", ":2:"),
        ("x.trig", f"<{EX}g> {{\n<{EX}a> foo .}}", ":2:"),
        ("x.jsonld", '{"@id": "http://x",\n "http://p": {"@id" "x"}}', ":2:"),
        ("x.rdf", f"<rdf:RDF {RDF}>\n<rdf:Description>\n</rdf:RDF>", ":3:"),
        ("x.ttl", "<!DOCTYPE html><html></html>", "web page"),
        ("x.rdf", "<html></html>", "web page"),
        ("x.ttl", gzip.compress(TRIPLE.encode()), "gzip data"),
        ("x.ttl.gz", TRIPLE, "damaged gzip"),
        ("x.ttl.gz", gzip.compress(TRIPLE.encode() * 99)[:-9], "damaged gzip"),
        ("x.ttl", b"\x89PNG\0\0\0", "binary"),
        ("x.ttl", TRIPLE.encode("utf-16"), "UTF-16"),
        ("x.ttl", f"<{EX}a b> <{EX}p> 1 .", "IRI"),
        ("x.nt", f'<{EX}a> <{EX}b> "{"x" * 17 * 2**20}" .', "16 MiB"),
    ],
)
def test_a_broken_file_is_named_with_its_place(tmp_path: Path, name: str, text: str | bytes, place: str) -> None:
    with pytest.raises(RdfSyntaxError, match=place) as caught:
        load(tmp_path / name, text)
    assert str(tmp_path / name) in caught.value.what


BOMB = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">{}]><rdf:RDF {}><rdf:li rdf:about="{}">{}</rdf:li></rdf:RDF>'


@pytest.mark.parametrize(
    "text",
    [
        BOMB.format("".join(f'<!ENTITY a{i} "{"&a;" * 10}">' for i in range(9)), RDF, EX, "&a8;"),
        BOMB.format('<!ENTITY b SYSTEM "file:///etc/hostname">', RDF, EX, "&b;"),
        BOMB.format('<!ENTITY % b SYSTEM "http://127.0.0.1:9/x">%b;', RDF, EX, ""),
        BOMB.format(f'<!ENTITY b "{"b" * 10_000}">', RDF, EX, "&b;" * 10_000),
        f"<rdf:RDF {RDF}>" + "<a>" * 300,
    ],
    ids=["laughs", "external", "parameter", "quadratic", "deep"],
)
def test_hostile_xml_is_refused_at_once(tmp_path: Path, text: str) -> None:
    begin = time.monotonic()
    with pytest.raises(RdfSyntaxError, match=r"XML|entit"):
        load(tmp_path / "bomb.rdf", text)
    assert time.monotonic() - begin < 3


def test_the_namespace_entities_of_an_ontology_are_read(tmp_path: Path) -> None:
    text = f'<!DOCTYPE r [<!ENTITY e "{EX}">]>' + FORMATS["rdf"].replace(f'"{EX}', '"&e;')
    store = load(tmp_path / "protege.owl", text)
    assert store.select(EVERYTHING).rows == [(URIRef(EX + "s"), URIRef(EX + "p"), URIRef(EX + "o"))]
    store.close()


def test_a_file_that_decompresses_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="decompressed"):
        load(tmp_path / "big.nt.gz", gzip.compress(TRIPLE.encode() * 100_000), file_bytes=2**20)


def test_a_relative_iri_tells_nothing_of_this_machine(tmp_path: Path) -> None:
    store = load(tmp_path / "x.ttl", f"<#a> <{EX}p> <b> .")
    assert store.select(EVERYTHING).rows == [(URIRef("urn:x-base:/#a"), URIRef(EX + "p"), URIRef("urn:x-base:/b"))]
    store.close()


def test_blank_nodes_of_two_files_stay_apart(tmp_path: Path) -> None:
    files = [tmp_path / "1.ttl", tmp_path / "2.ttl"]
    for file in files:
        file.write_text(f"_:x <{EX}p> '{file.name}' .")
    store = OxigraphStore.load(files, source="both")
    assert len({row[0] for row in store.select(EVERYTHING).rows}) == 2
    store.close()


def test_queries_see_the_union_of_all_graphs_and_each_triple_once(tmp_path: Path) -> None:
    text = f"{TRIPLE} <{EX}g1> {{ {TRIPLE} }} <{EX}g2> {{ {TRIPLE} <{EX}s> <{EX}p> 2 }}"
    built = tmp_path / "built"
    dataset = rdflib.Dataset()
    for name in ("g1", "g2"):
        dataset.graph(URIRef(EX + name)).add((URIRef(EX + "s"), URIRef(EX + "p"), URIRef(EX + "o")))
    dataset.default_graph.add((URIRef(EX + "s"), URIRef(EX + "p"), Literal("2")))
    memory = load(tmp_path / "x.trig", text)
    assert OxigraphStore.build([tmp_path / "x.trig"], built).triples == 2
    for store in (memory, OxigraphStore.from_graph(dataset), OxigraphStore.open(built, source="x", prefixes={})):
        assert len(store) == 2
        assert str(store.select("SELECT (COUNT(*) AS ?n) { ?s ?p ?o }").rows[0][0]) == "2"
        assert len(store.select("SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } }").rows) == 2
        store.close()


def test_prefixes_are_those_of_the_files_the_first_one_first(tmp_path: Path) -> None:
    (tmp_path / "1.ttl").write_text(f"@prefix ex: <{EX}> . @prefix a: <{EX}a#> .\nex:s a ex:T .")
    (tmp_path / "2.rdf").write_text(FORMATS["rdf"].replace("xmlns:e=", f'xmlns:ex="{EX}other/" xmlns:e='))
    store = OxigraphStore.load([tmp_path / "1.ttl", tmp_path / "2.rdf"], source="both")
    assert store.prefixes() == {"ex": EX, "a": EX + "a#", "e": EX, "rdf": RDF.split('"')[1]}
    store.close()


def test_a_source_without_a_triple_is_told(tmp_path: Path) -> None:
    with pytest.raises(EmptyGraphError):
        load(tmp_path / "empty.ttl", "# nothing\n")
    with pytest.raises(EmptyGraphError):
        OxigraphStore.from_graph(rdflib.Graph())


# Stores on disk, and graphs in hand


def test_a_broken_file_leaves_no_store_behind(tmp_path: Path) -> None:
    (tmp_path / "good.nt").write_text(MANY)
    (tmp_path / "bad.nt").write_text("bad")
    with pytest.raises(RdfSyntaxError):
        OxigraphStore.build([tmp_path / "good.nt", tmp_path / "bad.nt"], tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_store_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "good.nt").write_text(MANY)
    with pytest.raises(InputError, match="exists"):
        OxigraphStore.build([tmp_path / "good.nt"], tmp_path)


def test_a_missing_store_and_a_damaged_one_are_told(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        OxigraphStore.open(tmp_path / "none", source="x", prefixes={})
    with pytest.raises(DamagedIndexError):
        OxigraphStore.open(tmp_path, source="x", prefixes={})


def test_a_graph_in_hand_keeps_its_blank_nodes_through_a_restart() -> None:
    graph = rdflib.Graph()
    node = rdflib.BNode("mine")
    graph.add((node, URIRef(EX + "p"), Literal("x")))
    store = OxigraphStore.from_graph(graph)
    os.kill(store._worker._children[0].process.pid, signal.SIGKILL)
    with pytest.raises(WorkerError):
        store.ask("ASK {}")
    assert store.select("SELECT ?s { ?s ?p ?o }").rows == [(node,)]
    store.close()


def test_a_graph_in_hand_cannot_smuggle_a_triple() -> None:
    graph = rdflib.Graph()
    graph.add(
        (URIRef(EX), URIRef(EX + "p"), Literal("x", datatype=URIRef("http://d> .\n<http://a> <http://b> <http://c")))
    )
    with pytest.raises(InputError, match="not a triple of RDF"):
        OxigraphStore.from_graph(graph)


def test_the_fingerprint_of_a_graph_does_not_depend_on_the_names_of_its_blank_nodes(tmp_path: Path) -> None:
    built = [
        OxigraphStore.build(rdflib.Graph().parse(data=f"[] <{EX}p> [ <{EX}q> '{text}' ] ."), tmp_path / str(number))
        for number, text in enumerate(["x", "x", "y"])
    ]
    assert built[0].fingerprint == built[1].fingerprint != built[2].fingerprint


def test_closing_ends_the_call_of_another_thread(store: OxigraphStore) -> None:
    ended: list[type[BaseException]] = []

    def run_away() -> None:
        with pytest.raises(WorkerError) as caught:
            store.select(PRODUCT, timeout_s=30)
        ended.append(caught.type)

    busy = threading.Thread(target=run_away)
    busy.start()
    time.sleep(0.3)
    store.close()
    busy.join(timeout=3)
    assert ended == [WorkerError]


def test_a_call_after_close_is_told() -> None:
    worker = Worker("kgllm.engines.graph_jobs")
    worker.close()
    worker.close()
    with pytest.raises(WorkerError, match="closed"):
        worker.call("ask", body=b"ASK {}", timeout_s=5, what="the query")
