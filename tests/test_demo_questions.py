"""Questions that a person would ask of the demo graph, with gold: results, evidence, and the promises of the JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest

from kgllm import Answer, Assistant
from kgllm.ontology import is_vocabulary
from kgllm.terms import Literal, URIRef, n3
from tests.demo_file import graph

ROOT = Path(__file__).resolve().parents[1]
SPACE = "https://example.org/spaceflight/"
SF = SPACE + "ontology#"
XSD = "http://www.w3.org/2001/XMLSchema#"


def nodes(*names: str) -> set[str]:
    return {f"<{SPACE}{name}>" for name in names}


def literal(text: str, kind: str) -> set[str]:
    return {f'"{text}"^^<{XSD}{kind}>'}


MOONWALKERS = nodes(
    *("Neil_Armstrong", "Buzz_Aldrin", "Pete_Conrad", "Alan_Bean", "Alan_Shepard", "Edgar_Mitchell"),
    *("David_Scott", "James_Irwin", "John_Young", "Charles_Duke", "Gene_Cernan", "Harrison_Schmitt"),
)
BORN_IN_OHIO = nodes(
    *("Donn_Eisele", "Gene_Kranz", "Gregory_Harbaugh", "Jim_Lovell", "John_Glenn"),
    *("Judith_Resnik", "Michael_Good", "Neil_Armstrong", "Ronald_Sega", "Sunita_Williams"),
)
GOLD: dict[str, set[str]] = {
    "Who walked on the Moon?": MOONWALKERS,
    "How many people walked on the Moon?": literal("12", "integer"),
    "Who commanded Apollo 11?": nodes("Neil_Armstrong"),
    "When was Apollo 13 launched?": literal("1970-04-11", "date"),
    "Which rocket launched Gemini 4?": nodes("Titan_II_GLV"),
    "Where did Apollo 17 land on the Moon?": nodes("Taurus_Littrow"),
    "Did Yuri Gagarin fly on Vostok 1?": literal("true", "boolean"),
    "Did Neil Armstrong fly on Apollo 13?": literal("false", "boolean"),
    "What is a service module?": {f"<{SF}ServiceModule>"},
    "Wer war der Kommandant von Apollo 13?": nodes("Jim_Lovell"),
    "Welche Rakete startete Apollo 8?": nodes("Saturn_V"),
    "Which country is the commander of Vostok 6 from?": nodes("Soviet_Union"),
    "From which launch sites were missions of the Gemini programme launched?": nodes("Launch_Complex_19"),
    "Who was born in Ohio?": BORN_IN_OHIO,
    "Which is the heaviest launch vehicle?": nodes("Saturn_V"),
    "Which mission lasted longest?": nodes("Skylab_4"),
    "Which missions serviced the Hubble Space Telescope?": nodes("STS_61", "STS_125"),
    "Who made the first spacewalk?": nodes("Alexei_Leonov"),
    "Which is heavier, the Saturn V or the Titan II GLV?": nodes("Saturn_V"),
    "Who was the crew of Apollo 11?": nodes("Neil_Armstrong", "Buzz_Aldrin", "Michael_Collins"),
    "Who flew on both Gemini 8 and Apollo 11?": nodes("Neil_Armstrong"),
    "Who commanded the mission that landed at Taurus-Littrow?": nodes("Gene_Cernan"),
}
MISSION = "?x a/rdfs:subClassOf* sf:Mission . ?x"
COUNTED: dict[str, str] = {
    "Which missions were launched after 2010?": f"{MISSION} sf:launchDate ?d . FILTER(YEAR(?d) > 2010)",
    "Which missions were launched before 1962?": f"{MISSION} sf:launchDate ?d . FILTER(YEAR(?d) < 1962)",
    "Which missions did John Young command?": "?x sf:commander space:John_Young .",
}
QUESTIONS = [*GOLD, *COUNTED]


@cache
def occurring() -> frozenset[str]:
    return frozenset(
        part.value
        for quad in graph()
        for part in (quad.subject, quad.predicate, quad.object)
        if isinstance(part, ox.NamedNode)
    )


def holds(triple: Iterable[str]) -> bool:
    return bool(graph().query(f"ASK {{ {' '.join(triple)} }}"))


def selected(pattern: str) -> set[str]:
    rdfs = "PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>"
    found: Any = graph().query(f"{rdfs} PREFIX sf: <{SF}> PREFIX space: <{SPACE}> SELECT ?x {{ {pattern} }}")
    return {str(row["x"]) for row in found}


_answers: dict[str, Answer] = {}


def asked(demo: Assistant, question: str) -> Answer:
    """The answer to a question, asked once for all the tests of it."""
    if question not in _answers:
        _answers[question] = demo.ask(question)
    return _answers[question]


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_is_the_gold(demo: Assistant, question: str) -> None:
    gold = GOLD.get(question) or selected(COUNTED[question])
    answer = asked(demo, question)
    assert {n3(term) for term in answer.results} == gold
    assert len(answer.results) == len(gold)
    assert not answer.abstained


@pytest.mark.parametrize("question", [question for question in QUESTIONS if "service module" not in question])
def test_every_claim_rests_on_triples_of_the_file(demo: Assistant, question: str) -> None:
    answer = asked(demo, question)
    for claim in answer.claims:
        assert claim.verdict == "asserted"
        assert claim.evidence
        assert all(holds(map(n3, triple)) for triple in claim.evidence)
    axioms = set(demo.index.ontology.axioms.triples)
    for fact in answer.memory:
        if fact.status == "asserted":
            assert holds(map(n3, fact.triple)) or fact.triple in axioms
        else:
            assert fact.premises
            assert all(premise in answer.memory for premise in fact.premises)
    assert set(answer.facts) <= set(answer.memory.triples())


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_iri_is_invented(demo: Assistant, question: str) -> None:
    answer = asked(demo, question)
    assert answer.query is not None
    named = [*answer.results, *answer.query.iris(), *(term for fact in answer.facts for term in fact)]
    iris = {str(term) for term in named if isinstance(term, URIRef)}
    assert {iri for iri in iris if not is_vocabulary(iri)} <= occurring()


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_query_runs_anywhere_and_gives_the_results(demo: Assistant, question: str) -> None:
    answer = asked(demo, question)
    assert answer.query is not None
    found: Any = graph().query(answer.sparql)
    if answer.query.form == "ask":
        assert literal(str(bool(found)).lower(), "boolean") == {n3(term) for term in answer.results}
    else:
        assert {str(row[0]) for row in found} == {n3(term) for term in answer.results}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_graph_that_conforms_gets_no_violation(demo: Assistant, question: str) -> None:
    assert asked(demo, question).violations == ()


NUMBER, MAYBE_TEXT = (int, float), (str, type(None))
TRIPLE = [str]
JSON_FORM: dict[str, Any] = {
    **dict.fromkeys(["question", "text", "planner"], str),
    **dict.fromkeys(["reason", "model", "query"], MAYBE_TEXT),
    **dict.fromkeys(["abstained", "complete"], bool),
    "vars": [str],
    "results": [str],
    "rounds": int,
    "rows": [[MAYBE_TEXT]],
    "claims": [{"text": str, "verdict": str, "evidence": [TRIPLE]}],
    "memory": {
        "triples": [{"triple": TRIPLE, "status": str, "rule": MAYBE_TEXT}],
        "links": [{"span": str, "iri": str, "kind": str, "score": NUMBER}],
    },
    "violations": [dict.fromkeys(["focus", "path", "value", "constraint", "severity", "message", "blame"], MAYBE_TEXT)],
    "timings_ms": dict.fromkeys(["link", "plan", "recall", "validate", "answer", "total"], NUMBER),
    "usage": dict.fromkeys(["prompt_tokens", "completion_tokens", "cached_tokens"], int),
}


def has_form(value: Any, form: Any) -> bool:
    """Whether a JSON value has at least the keys of a form, and values of its types."""
    if isinstance(form, dict):
        return isinstance(value, dict) and all(key in value and has_form(value[key], form[key]) for key in form)
    if isinstance(form, list):
        return isinstance(value, list) and all(has_form(item, form[0]) for item in value)
    return isinstance(value, form)


@pytest.mark.parametrize("question", [*QUESTIONS, "Who was the cook on Apollo 11?"])
def test_the_json_has_every_key_with_its_type(demo: Assistant, question: str) -> None:
    written = asked(demo, question).to_json()
    assert has_form(written, JSON_FORM)
    assert json.loads(json.dumps(written)) == written


def test_a_form_is_missed_by_a_missing_key_and_by_a_wrong_type() -> None:
    assert not has_form({"a": 1}, {"a": int, "b": int})
    assert not has_form({"a": [1, "2"]}, {"a": [int]})


def test_what_the_graph_does_not_hold_is_not_answered(demo: Assistant) -> None:
    answer = asked(demo, "Who was the cook on Apollo 11?")
    assert answer.abstained
    assert (answer.results, answer.claims) == ([], ())
    assert "does not say" in answer.text
    assert answer.reason
    assert URIRef(SPACE + "Apollo_11") in {hit.iri for hit in answer.nearest}


def test_a_no_is_told_as_what_the_graph_does_not_state(demo: Assistant) -> None:
    answer = asked(demo, "Did Neil Armstrong fly on Apollo 13?")
    assert answer.results == [Literal("false", datatype=URIRef(XSD + "boolean"))]
    assert answer.claims == ()
    assert "does not state" in answer.text


def test_a_count_keeps_its_members(demo: Assistant) -> None:
    answer = asked(demo, "How many people walked on the Moon?")
    held = {n3(node) for node in answer.memory.nodes()}
    assert held >= MOONWALKERS
    assert {n3(s) for s, _, _ in answer.claims[0].evidence} | {n3(o) for _, _, o in answer.claims[0].evidence} >= (
        MOONWALKERS
    )


def test_the_words_that_were_tied_to_the_graph_are_kept(demo: Assistant) -> None:
    links = {link.span: str(link.iri) for link in asked(demo, "Who commanded Apollo 11?").memory.links}
    assert links["Apollo 11"] == SPACE + "Apollo_11"
    assert links["commanded"] == SF + "commander"
