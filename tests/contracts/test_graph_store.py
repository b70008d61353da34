"""What every graph store owes, on all four kinds of it."""

from __future__ import annotations

import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rdflib

from kgllm.engines.endpoint import EndpointStore
from kgllm.engines.oxigraph import OxigraphStore
from kgllm.errors import DeadlineError, KgllmError, QueryRefusedError
from kgllm.protocols import GraphStore
from kgllm.terms import BNode, Literal, URIRef

EX = "http://example.org/"
DATA = f"""@prefix ex: <{EX}> .
ex:apollo11 a ex:Mission ; ex:label "Apollo 11"@en ; ex:crew ex:armstrong , ex:aldrin ; ex:year 1969 ;
    ex:note "tab\\tquote\\" back\\\\slash\\nline" ; ex:site [ ex:name "Tranquility" ] .
ex:armstrong ex:label "Neil Armstrong" . ex:aldrin ex:label "Buzz Aldrin" .
"""
TRIPLES = 10
PRODUCT = "SELECT (COUNT(*) AS ?n) { " + " ".join(f"?s{i} ?p{i} ?o{i} ." for i in range(9)) + " }"


@pytest.fixture(scope="module", params=["memory", "disk", "rdflib", "endpoint"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphStore]:
    folder = tmp_path_factory.mktemp("store")
    file = folder / "data.ttl"
    file.write_text(DATA)
    if request.param == "endpoint":
        yield from endpoint(folder, file)
        return
    made: OxigraphStore
    if request.param == "memory":
        made = OxigraphStore.load([file], source="data")
    elif request.param == "disk":
        built = OxigraphStore.build([file], folder / "built")
        made = OxigraphStore.open(folder / "built", source="data", prefixes=built.prefixes)
    else:
        made = OxigraphStore.from_graph(rdflib.Graph().parse(data=DATA))
    yield made
    made.close()


def endpoint(folder: Path, file: Path) -> Iterator[GraphStore]:
    binary = Path(sysconfig.get_path("scripts")) / "oxigraph"
    if not binary.exists():
        pytest.skip("the package oxigraph, a SPARQL server, is not installed")
    location = str(folder / "served")
    subprocess.run([binary, "load", "--location", location, "--file", file], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [str(binary), "serve-read-only", "--location", location, "--bind", f"127.0.0.1:{port}"]
    server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        store = EndpointStore(f"http://127.0.0.1:{port}/query")
        yield store
        store.close()
    finally:
        server.kill()
        server.wait()


def test_select_gives_a_term_a_variable_and_none_where_unbound(store: GraphStore) -> None:
    rows = store.select(
        f"SELECT ?who ?label ?age {{ ?m <{EX}crew> ?who . ?who <{EX}label> ?label OPTIONAL {{ ?who <{EX}age> ?age }} }}"
    )
    assert rows.vars == ("who", "label", "age")
    assert rows.complete
    assert set(rows.rows) == {
        (URIRef(EX + "armstrong"), Literal("Neil Armstrong"), None),
        (URIRef(EX + "aldrin"), Literal("Buzz Aldrin"), None),
    }


def test_literals_keep_language_datatype_and_every_character(store: GraphStore) -> None:
    rows = store.select(
        f"SELECT ?label ?year ?note {{ ?m <{EX}label> ?label ; <{EX}year> ?year ; <{EX}note> ?note }}"
    ).rows
    year = Literal("1969", datatype=URIRef("http://www.w3.org/2001/XMLSchema#integer"))
    assert rows == [(Literal("Apollo 11", lang="en"), year, Literal('tab\tquote" back\\slash\nline'))]


def test_order_is_kept(store: GraphStore) -> None:
    rows = store.select(f"SELECT ?label {{ ?who <{EX}label> ?label }} ORDER BY DESC(STR(?label))").rows
    assert [str(row[0]) for row in rows] == ["Neil Armstrong", "Buzz Aldrin", "Apollo 11"]


def test_a_limit_that_cuts_is_told(store: GraphStore) -> None:
    cut = store.select("SELECT * { ?s ?p ?o }", limit=3)
    assert (len(cut.rows), cut.complete) == (3, False)


def test_a_limit_that_just_suffices_cuts_nothing(store: GraphStore) -> None:
    whole = store.select("SELECT * { ?s ?p ?o }", limit=TRIPLES)
    assert (len(whole.rows), whole.complete) == (TRIPLES, True)


def test_no_rows_is_a_complete_result(store: GraphStore) -> None:
    rows = store.select(f"SELECT ?s {{ ?s <{EX}nothing> ?o }}")
    assert (rows.rows, rows.complete) == ([], True)


def test_a_pattern_without_variables_has_one_empty_row(store: GraphStore) -> None:
    assert store.select(f"SELECT * {{ <{EX}apollo11> a <{EX}Mission> }}").rows == [()]


@pytest.mark.parametrize(("who", "truth"), [("armstrong", True), ("gagarin", False)])
def test_ask(store: GraphStore, who: str, truth: bool) -> None:
    assert store.ask(f"ASK {{ ?m <{EX}crew> <{EX}{who}> }}") is truth


def test_construct_gives_each_triple_once(store: GraphStore) -> None:
    triples = store.construct(f"CONSTRUCT {{ ?m a <{EX}Crewed> }} WHERE {{ ?m <{EX}crew> ?who }}")
    assert triples == [
        (URIRef(EX + "apollo11"), URIRef("http://www.w3.org/1999/02/22-rdf-syntax-ns#type"), URIRef(EX + "Crewed"))
    ]


def test_construct_takes_a_limit(store: GraphStore) -> None:
    assert len(store.construct("CONSTRUCT WHERE { ?s ?p ?o }")) == TRIPLES
    assert len(store.construct("CONSTRUCT WHERE { ?s ?p ?o }", limit=4)) == 4


def test_a_blank_node_is_the_same_in_every_row(store: GraphStore) -> None:
    ((site, same),) = store.select(f"SELECT ?site ?same {{ ?m <{EX}site> ?site . ?same <{EX}name> ?name }}").rows
    assert isinstance(site, BNode)
    assert site == same


def test_a_thousand_values_fit_in_a_query(store: GraphStore) -> None:
    values = " ".join(f"<{EX}thing/{number}>" for number in range(2_000))
    assert store.select(f"SELECT ?s {{ VALUES ?s {{ {values} <{EX}aldrin> }} ?s <{EX}label> ?label }}").rows == [
        (URIRef(EX + "aldrin"),)
    ]


@pytest.mark.parametrize("query", ["SELECT * { ?s ?p", "SELECT * { ?s no:prefix ?o }", "nonsense", ""])
def test_a_query_that_does_not_parse_is_refused(store: GraphStore, query: str) -> None:
    with pytest.raises(QueryRefusedError):
        store.select(query)


@pytest.mark.parametrize(
    ("call", "query"),
    [
        (lambda store, query: store.ask(query), "SELECT * { ?s ?p ?o }"),
        (lambda store, query: store.select(query), "ASK { ?s ?p ?o }"),
        (lambda store, query: store.construct(query), "ASK { ?s ?p ?o }"),
    ],
)
def test_a_query_of_another_form_is_an_error(
    store: GraphStore, call: Callable[[GraphStore, str], object], query: str
) -> None:
    with pytest.raises(KgllmError):
        call(store, query)


def test_an_update_is_refused_and_changes_nothing(store: GraphStore) -> None:
    with pytest.raises(QueryRefusedError):
        store.select(f"DELETE WHERE {{ <{EX}apollo11> ?p ?o }}")
    assert store.ask(f"ASK {{ <{EX}apollo11> a <{EX}Mission> }}")


def test_a_runaway_query_ends_at_its_deadline_and_the_next_one_answers(store: GraphStore) -> None:
    begin = time.monotonic()
    with pytest.raises(DeadlineError):
        store.select(PRODUCT, timeout_s=1.0)
    assert time.monotonic() - begin < 1.5
    assert store.ask(f"ASK {{ <{EX}apollo11> a <{EX}Mission> }}")


def test_prefixes_are_those_of_the_source(store: GraphStore) -> None:
    assert store.prefixes().get("ex") == (None if isinstance(store, EndpointStore) else EX)


def test_closing_twice_is_harmless() -> None:
    for store in (EndpointStore("http://127.0.0.1:9/"), OxigraphStore.from_graph(rdflib.Graph().parse(data=DATA))):
        store.close()
        store.close()
        with pytest.raises(KgllmError):
            store.ask("ASK {}")
