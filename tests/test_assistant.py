"""The assistant on graphs of every shape, and on what no question should be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import rdflib

import kgllm
from kgllm import Assistant, QuestionError
from kgllm.terms import BNode, Literal, URIRef

ROOT = Path(__file__).resolve().parents[1]
SPACE = "https://example.org/spaceflight/"
EX = "http://example.org/"
PREFIXES = f"""@prefix ex: <{EX}> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
"""
Open = Callable[..., Assistant]


def names(answer: kgllm.Answer) -> set[str]:
    return {str(term).rsplit("/", 1)[-1] for term in answer.results}


# Questions


@pytest.mark.parametrize("question", ["", " ", "\n\t", "why " * 25_000, "x" * 4_001])
def test_an_empty_or_endless_question_is_refused(demo: Assistant, question: str) -> None:
    with pytest.raises(QuestionError) as refused:
        demo.ask(question)
    assert refused.value.try_next
    assert len(str(refused.value)) < 400


def test_a_bad_question_among_many_is_refused_before_any_is_answered(demo: Assistant) -> None:
    with pytest.raises(QuestionError):
        demo.ask_many(["Who commanded Apollo 11?", ""])


def test_answers_come_in_the_order_of_the_questions(demo: Assistant) -> None:
    questions = ["Who commanded Apollo 13?", "Who commanded Apollo 11?", "Who commanded Apollo 13?"]
    answers = demo.ask_many(questions)
    assert [answer.question for answer in answers] == questions
    assert [names(answer) for answer in answers] == [{"Jim_Lovell"}, {"Neil_Armstrong"}, {"Jim_Lovell"}]
    assert demo.ask_many([]) == []


def test_the_same_question_has_the_same_answer(demo: Assistant) -> None:
    one, other = demo.ask_many(["Which missions were launched in 1969?"] * 2)
    assert (one.text, one.results, one.facts, one.memory) == (other.text, other.results, other.facts, other.memory)


def test_an_answer_is_its_text_and_its_results_are_rdflib_terms(demo: Assistant) -> None:
    answer = demo.ask("Who commanded Apollo 11?")
    assert str(answer) == answer.text == "The commander of Apollo 11 is Neil Armstrong [1]."
    assert answer.results == [rdflib.URIRef(SPACE + "Neil_Armstrong")]
    assert all(isinstance(term, rdflib.term.Node) for fact in answer.facts for term in fact)
    assert rdflib.URIRef(SPACE + "Apollo_11") in answer.memory.to_networkx()


def test_an_abstention_says_what_is_near_and_what_was_tried(demo: Assistant) -> None:
    answer = demo.ask("Which missions were launched after 2090?")
    assert answer.abstained
    assert answer.nearest
    assert answer.query is not None
    assert "2091" in answer.sparql
    assert demo.index.store.select(answer.sparql).rows == []
    assert "Looked for: " in answer.text


NOISE = {
    "an injected query": "Who commanded Apollo 11? } ; DELETE WHERE { ?s ?p ?o } #",
    "an injected service": "SELECT * WHERE { SERVICE <http://127.0.0.1:9/> { ?s ?p ?o } }",
    "an injected IRI": "Who commanded <https://example.org/spaceflight/Apollo_11> . ?s ?p ?o }",
    "quotes": 'Who "commanded" \'Apollo 11\' \\ \\" ?',
    "control characters": "Who\x00 commanded\x1b[31m Apollo\x07 11?",
    "a lone surrogate": "Who commanded \ud800 Apollo 11?",
    "emoji": "🚀👩‍🚀 who commanded Apollo 11 🌕?",
    "Arabic": "من كان قائد أبولو 11؟",
    "right to left marks": "Who \u202ecommanded\u202c Apollo 11?",
    "Chinese": "谁指挥了阿波罗11号?",
    "combining marks": "e" + "\u0301" * 500,
    "one character": "?",
    "a number": "11",
    "one word of 4,000": "a" * 4_000,
    "braces and formats": "Who is {} {0} %s ${x}?",
    "markup": "<script>alert(1)</script> Apollo 11",
}


@pytest.mark.parametrize("noise", NOISE)
def test_noise_is_answered_from_the_graph_or_not_at_all(demo: Assistant, noise: str) -> None:
    before = demo.index.store.select("SELECT (COUNT(*) AS ?n) { ?s ?p ?o }").rows
    answer = demo.ask(NOISE[noise])
    assert answer.abstained or answer.claims or answer.query
    assert all(claim.verdict == "asserted" for claim in answer.claims)
    assert not {"\x00", "\x1b", "\x07", "\u202e"} & set(answer.text)
    assert not {"DELETE", "SERVICE"} & set(answer.sparql.split())
    assert demo.index.store.select("SELECT (COUNT(*) AS ?n) { ?s ?p ?o }").rows == before


def test_words_around_a_question_do_not_hide_it(demo: Assistant) -> None:
    assert names(demo.ask("🚀 Who commanded Apollo 11? 🌕")) == {"Neil_Armstrong"}
    assert names(demo.ask("  who   commanded\napollo 11 ")) == {"Neil_Armstrong"}


def test_search_finds_by_name_and_by_meaning(demo: Assistant) -> None:
    assert demo.search("Neil Armstrong")[0].iri == URIRef(SPACE + "Neil_Armstrong")
    assert len(demo.search("a walk outside", k=3)) == 3
    scores = [hit.score for hit in demo.search("lunar rover", k=10)]
    assert scores == sorted(scores, reverse=True)
    with pytest.raises(QuestionError):
        demo.search(" ")


# Graphs


def test_a_graph_without_labels_is_asked_by_its_local_names(open_cached: Open) -> None:
    kg = open_cached(PREFIXES + "ex:Apollo_11 ex:commandedBy ex:Neil_Armstrong . ex:Apollo_12 ex:commandedBy ex:Pete .")
    assert names(kg.ask("Who was Apollo 11 commanded by?")) == {"Neil_Armstrong"}


def test_a_graph_of_one_triple_has_one_answer(open_cached: Open) -> None:
    kg = open_cached(PREFIXES + "ex:Ann ex:mother ex:Eve .")
    answer = kg.ask("Who is the mother of Ann?")
    assert answer.facts == [(URIRef(EX + "Ann"), URIRef(EX + "mother"), URIRef(EX + "Eve"))]
    assert kg.ask("What is the recipe for goulash?").abstained


def test_an_rdflib_graph_is_a_source_and_stays_as_it_was(open_cached: Open) -> None:
    graph = rdflib.Graph()
    ann, age = rdflib.URIRef(EX + "Ann"), rdflib.URIRef(EX + "age")
    graph.add((ann, age, rdflib.Literal(41)))
    graph.add((ann, rdflib.RDFS.label, rdflib.Literal("Ann Lee", lang="en")))
    kg = open_cached(graph)
    answer = kg.ask("What is the age of Ann Lee?")
    assert answer.results == [Literal("41", datatype=rdflib.XSD.integer)]
    assert answer.facts[0] in graph
    assert len(graph) == 2


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    (folder / "one.ttl").write_text(PREFIXES + "ex:Ann ex:mother ex:Eve .")
    (folder / "two.ttl").write_text(PREFIXES + "ex:Eve ex:mother ex:Zoe .")
    return folder


@pytest.mark.parametrize("source", [".", "*.ttl"])
def test_a_folder_and_a_glob_are_one_graph(open_cached: Open, parts: Path, source: str) -> None:
    kg = open_cached(parts / source if source == "." else str(parts / source))
    assert names(kg.ask("Who is the mother of the mother of Ann?")) == {"Zoe"}


def test_blank_nodes_are_on_the_way_but_never_invented(open_cached: Open) -> None:
    kg = open_cached(
        PREFIXES
        + """ex:Ann rdfs:label "Ann" ; ex:address [ ex:city ex:Graz ; ex:street "High Street" ] .
        ex:Bob rdfs:label "Bob" ; ex:address [ ex:city ex:Linz ] ."""
    )
    answer = kg.ask("What is the city of the address of Ann?")
    assert names(answer) == {"Graz"}
    assert any(isinstance(term, BNode) for fact in answer.facts for term in fact)
    assert answer.to_json()["results"] == [f"<{EX}Graz>"]
    street = kg.ask("What is the address of Ann?")
    assert all(isinstance(term, URIRef | BNode | Literal) for term in street.results)


def test_a_graph_in_german_is_asked_in_german(open_cached: Open) -> None:
    kg = open_cached(
        PREFIXES
        + """ex:n1 rdfs:label "Österreich"@de ; ex:p1 ex:n2 . ex:n2 rdfs:label "Wien"@de .
        ex:p1 rdfs:label "Hauptstadt"@de . ex:n3 rdfs:label "Ungarn"@de ; ex:p1 ex:n4 .
        ex:n4 rdfs:label "Budapest"@de ."""
    )
    answer = kg.ask("Was ist die Hauptstadt von Österreich?")
    assert names(answer) == {"n2"}
    assert "Wien" in answer.text


def test_a_hub_of_2000_nodes_is_listed_whole_and_shown_in_part(open_cached: Open) -> None:
    spokes = "\n".join(f'ex:s{n} a ex:Station ; rdfs:label "Station {n}" ; ex:line ex:Hub .' for n in range(2_000))
    kg = open_cached(PREFIXES + 'ex:Hub a ex:Line ; rdfs:label "Circle Line" .\n' + spokes)
    answer = kg.ask("Which stations are on the Circle Line?")
    assert len(answer.results) == 2_000
    assert answer.rows.complete
    assert len(answer.text) < 2_000
    assert "more" in answer.text
    (number,) = kg.ask("How many stations are on the Circle Line?").results
    assert str(number) == "2000"
    assert names(kg.ask("Which line is station 7 on?")) == {"Hub"}


# Opening and closing


def test_strict_answers_are_rendered_from_triples(open_cached: Open) -> None:
    kg = open_cached(PREFIXES + "ex:Ann ex:mother ex:Eve .\n", strict=True)
    assert kg.strict
    assert kg.ask("Who is the mother of Ann?").text == "The mother of Ann is Eve [1]."


def children() -> set[str]:
    tasks = Path(f"/proc/{os.getpid()}/task")
    return {child for task in tasks.iterdir() for child in (task / "children").read_text().split()}


@pytest.mark.skipif(not Path(f"/proc/{os.getpid()}/task").exists(), reason="needs Linux's /proc to see child processes")
def test_close_leaves_no_process_behind(open_cached: Open) -> None:
    before = children()
    kg = open_cached(
        PREFIXES + "ex:Ann a ex:Person ; ex:mother ex:Eve .\n",
        shapes=ROOT / "ontologies/spaceflight-shapes.ttl",
        ontology=ROOT / "ontologies/spaceflight-ontology.ttl",
    )
    with kg:
        assert names(kg.ask("Who is the mother of Ann?")) == {"Eve"}
        assert children() - before
    assert children() <= before
    kg.close()  # twice is harmless
