"""Probes: an assistant that reads the graph stands them, one that answers from memory fails all three."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kgllm import Assistant
from kgllm.answer import Answer
from kgllm.engines.oxigraph import OxigraphStore
from kgllm.errors import InputError, KgllmError, WorkerError
from kgllm.opening import over
from kgllm.premises import false_premises
from kgllm.probes import Probe, probe
from kgllm.protocols import Rows
from kgllm.sources import resolve
from kgllm.terms import Term, URIRef, n3, parse_term
from kgllm.workspace import Workspace

SPACE = "https://example.org/spaceflight/"
SF = SPACE + "ontology#"
COMMANDER = f"SELECT ?x {{ <{SPACE}Apollo_11> <{SF}commander> ?x }}"
BORN = f"SELECT ?x {{ <{SPACE}Valentina_Tereshkova> <{SF}birthPlace> ?x }}"
WALKED = f"ASK {{ <{SPACE}Buzz_Aldrin> <{SF}walkedOn> <{SPACE}Moon> }}"
TRUE = '"true"^^<http://www.w3.org/2001/XMLSchema#boolean>'
QUESTIONS = [
    ("Who commanded Apollo 11?", f"<{SPACE}Neil_Armstrong>", COMMANDER),
    ("Where was Valentina Tereshkova born?", f"<{SPACE}Bolshoye_Maslennikovo>", BORN),
    ("Did Buzz Aldrin walk on the Moon?", TRUE, WALKED),
]
EX = "http://example.org/"
A, B, C = (URIRef(EX + name) for name in "abc")
LIKES, LABEL = URIRef(EX + "likes"), URIRef("http://www.w3.org/2000/01/rdf-schema#label")


class FromMemory:
    """An assistant that is none: it says what it remembers, whatever the graph says, and Neil Armstrong elsewhere."""

    index = None

    def __init__(self, remembered: Mapping[str, Term], workspace: Workspace) -> None:
        self.workspace = workspace
        self._remembered = remembered

    def held_out(self, questions: Iterable[str]) -> FromMemory:
        return self

    def ask_each(self, questions: Iterable[str]) -> Iterator[Answer | KgllmError]:
        for question in questions:
            term = self._remembered.get(question, URIRef(SPACE + "Neil_Armstrong"))
            yield Answer(question, "As everybody knows.", Rows(("x",), [(term,)]))


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    lines = [
        {"id": number, "question": question, "answer_nt": [gold], "sparql": sparql}
        for number, (question, gold, sparql) in enumerate(QUESTIONS)
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


def probed(assistant: Assistant, questions: Path, name: Probe, **options: Any) -> dict[str, Any]:
    report = probe(assistant, questions, over=partial(over, assistant), which=[name], **options)
    found: dict[str, Any] = report[name]
    return found


def remembered(assistant: Assistant, questions: Path, name: Probe, **options: Any) -> dict[str, Any]:
    known = {question: parse_term(gold) for question, gold, _ in QUESTIONS}
    make = partial(FromMemory, known)
    return probe(make(assistant.workspace), questions, over=make, which=[name], **options)


def test_an_answer_that_is_read_goes_with_its_triples(demo: Assistant, questions: Path) -> None:
    found = probed(demo, questions, "delete")
    assert (found["n"], found["held"], found["left_out"]) == (3, 1.0, 0)


def test_an_answer_that_is_remembered_stays(demo: Assistant, questions: Path) -> None:
    report = remembered(demo, questions, "delete")
    assert (report["delete"]["n"], report["delete"]["unchanged"], report["delete"]["held"]) == (3, 3, 0.0)
    assert {failure["came"] for failure in report["failures"]} == {"As everybody knows."}
    assert "no triple" in report["failures"][0]["why"]


def test_an_answer_that_is_read_follows_exchanged_facts(demo: Assistant, questions: Path) -> None:
    found = probed(demo, questions, "swap")
    assert (found["n"], found["followed"], found["held"]) == (3, 3, 1.0)


def test_an_answer_that_is_remembered_does_not_follow(demo: Assistant, questions: Path) -> None:
    report = remembered(demo, questions, "swap")
    assert (report["swap"]["n"], report["swap"]["followed"], report["swap"]["held"]) == (3, 0, 0.0)
    assert "exchanged their facts" in report["failures"][0]["why"]


def test_without_a_gold_query_the_one_that_was_right_stands_in(demo: Assistant, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(json.dumps({"question": QUESTIONS[0][0], "answer_nt": [QUESTIONS[0][1]]}), encoding="utf-8")
    names: tuple[Probe, ...] = ("delete", "swap")
    for name in names:
        found = probed(demo, file, name)
        assert (found["n"], found["held"]) == (1, 1.0)
    assert remembered(demo, file, "swap")["swap"]["left_out"] == 1


def test_a_question_that_was_answered_wrong_proves_nothing(demo: Assistant, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(json.dumps({"question": QUESTIONS[0][0], "answer_nt": ["<urn:nobody>"]}), encoding="utf-8")
    found = probed(demo, file, "delete")
    assert (found["n"], found["not_right"], found["held"]) == (0, 1, None)


def test_who_never_abstains_refuses_no_premise(demo: Assistant, questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    report = remembered(demo, questions, "premise", limit=30, out=out)
    assert (report["premise"]["n"], report["premise"]["refused"], report["premise"]["held"]) == (30, 0, 0.0)
    assert len(report["failures"]) == 20
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(written) == 30
    assert {line["probe"] for line in written} == {"premise"}


def test_a_premise_is_false_and_there_are_no_two_alike(demo: Assistant) -> None:
    premises = false_premises(demo.index, n=60)
    assert len({premise.question for premise in premises}) == 60
    assert {premise.kind for premise in premises} == {"right class", "other class"}
    for premise in premises:
        one, other = n3(premise.subject), n3(premise.property)
        assert not demo.index.store.ask(f"ASK {{ {{ {one} {other} ?o }} UNION {{ ?s {other} {one} }} }}")
    assert premises == false_premises(demo.index, n=60)
    assert premises != false_premises(demo.index, n=60, seed=1)


BOOKS = """@prefix : <http://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:emma a :Book ; rdfs:label "Emma" ; :author :austen .
:austen a :Writer ; rdfs:label "Jane Austen" .
:ulysses a :Book ; rdfs:label "Ulysses" ; %s .
:joyce a :Writer ; rdfs:label "James Joyce" .
"""


def test_what_another_property_of_the_same_meaning_says_is_no_false_premise(
    open_cached: Callable[..., Assistant],
) -> None:
    said_otherwise = open_cached(BOOKS % ":authors :joyce")
    assert not [p for p in false_premises(said_otherwise.index) if "Ulysses" in p.question or "Joyce" in p.question]
    unsaid = open_cached(BOOKS % "rdfs:seeAlso :joyce")
    assert [p.subject for p in false_premises(unsaid.index) if p.kind == "right class"] == [URIRef(EX + "ulysses")]


def test_an_endpoint_is_not_altered(demo: Assistant, questions: Path, tmp_path: Path) -> None:
    workspace = Workspace(resolve("http://localhost:9/sparql"), tmp_path)
    with pytest.raises(InputError, match="no copy"):
        probe(FromMemory({}, workspace), questions, over=partial(FromMemory, {}))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OxigraphStore]:
    (tmp_path / "graph.nq").write_text(f"<{A}> <{LIKES}> <{B}> .\n<{A}> <{LIKES}> <{B}> <{EX}g> .\n", encoding="utf-8")
    store = OxigraphStore.load([tmp_path / "graph.nq"], source="test")
    yield store
    store.close()


def everything(store: OxigraphStore) -> set[Any]:
    return set(store.construct("CONSTRUCT { ?s ?p ?o } { { ?s ?p ?o } UNION { GRAPH ?g { ?s ?p ?o } } }"))


def test_an_altered_graph_is_without_triples_and_has_others_until_the_end(store: OxigraphStore) -> None:
    with store.altered(without=[(A, LIKES, B), (A, LIKES, C)], plus=[(B, LIKES, C)]):
        assert everything(store) == {(B, LIKES, C)}
    assert everything(store) == {(A, LIKES, B)}
    assert len(store.select("SELECT ?s { GRAPH ?g { ?s ?p ?o } }").rows) == 1


def test_what_stays_is_not_lost_when_it_is_put_in_again(store: OxigraphStore) -> None:
    with store.altered(plus=[(A, LIKES, B)]):
        assert everything(store) == {(A, LIKES, B)}
    assert everything(store) == {(A, LIKES, B)}


def test_a_graph_that_was_loaded_anew_meanwhile_is_told(store: OxigraphStore) -> None:
    with ExitStack() as stack:
        stack.enter_context(store.altered(without=[(A, LIKES, B)]))
        os.kill(store._worker._children[0].process.pid, signal.SIGKILL)
        with pytest.raises(WorkerError):
            store.select("SELECT ?s { ?s ?p ?o }")
        assert everything(store) == {(A, LIKES, B)}
        with pytest.raises(WorkerError, match="did not stay altered"):
            stack.close()
