"""The assistant on graphs of every shape, and on what no question should be."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rdflib

import kgllm
from kgllm import Assistant, BatchError, InputError, ModelServerError, QuestionError, Step
from kgllm.protocols import Completion, Message, Usage, Vectors
from kgllm.terms import BNode, Literal, URIRef
from kgllm.testing import ScriptedModel

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


class Model:
    """A language model that takes its time, has no plan for any question, and breaks off at some."""

    name = "slow"

    def __init__(self, *, seconds: float = 0.0, breaks_at: str = "\0") -> None:
        self.calls = self.running = self.most = 0
        self._lock = threading.Lock()
        self._seconds, self._breaks_at = seconds, breaks_at

    def complete(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> list[Completion]:
        with self._lock:
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(self._seconds)
        with self._lock:
            self.running -= 1
        if any(self._breaks_at in message.content for turns in conversations for message in turns):
            raise ModelServerError("the server broke off", try_next="start it again")
        return [Completion({"nothing": "of use"}, Usage(7, 1)) for _ in conversations]

    def stream(
        self, conversation: Sequence[Message], *, schema: Mapping[str, Any], max_tokens: int
    ) -> Iterator[str | Completion]:
        yield from self.complete([conversation], schema=schema, max_tokens=max_tokens)

    def tokens(self, prompt: str | Sequence[Message]) -> int | None:
        return None

    def context_length(self) -> int | None:
        return None


QUESTIONS = [f"Who commanded Apollo {number}?" for number in range(7, 18)]


def test_questions_are_asked_side_by_side_within_the_bound(demo: Assistant) -> None:
    model = Model(seconds=0.1)
    answers = Assistant(demo.workspace, model=model, in_flight=4).ask_many(QUESTIONS)
    assert [answer.question for answer in answers] == QUESTIONS
    assert model.most == 4


def test_the_fault_of_one_question_loses_none_of_the_others(demo: Assistant) -> None:
    kg = Assistant(demo.workspace, model=Model(breaks_at="Apollo 9?"), in_flight=4)
    outcomes = list(kg.ask_each(QUESTIONS))
    assert [isinstance(outcome, ModelServerError) for outcome in outcomes] == [q == QUESTIONS[2] for q in QUESTIONS]
    with pytest.raises(BatchError) as ended:
        kg.ask_many(QUESTIONS)
    assert list(ended.value.faults) == [2]
    assert [answer is None for answer in ended.value.answers] == [q == QUESTIONS[2] for q in QUESTIONS]
    assert "question 3: the server broke off" in ended.value.what
    assert ended.value.exit_code == 5


def test_the_planner_without_a_model_loses_none_either(demo: Assistant) -> None:
    first, fault, last = demo.ask_each([QUESTIONS[4], " ", QUESTIONS[4]])
    assert isinstance(fault, QuestionError)
    assert all(isinstance(answer, kgllm.Answer) and names(answer) == {"Neil_Armstrong"} for answer in (first, last))


def test_an_endless_list_of_questions_is_read_no_further_than_needed(demo: Assistant) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "Who commanded Apollo 11?"

    for kg in (demo, Assistant(demo.workspace, model=Model(), in_flight=3)):
        taken = 0
        assert len(list(islice(kg.ask_each(endless()), 5))) == 5
        assert taken <= 5 + 2 * kg.in_flight


def test_what_the_list_itself_raises_comes_after_the_answers_before_it(demo: Assistant) -> None:
    def broken() -> Iterator[str]:
        yield from QUESTIONS[:2]
        raise LookupError("line 3")

    for kg in (demo, Assistant(demo.workspace, model=Model())):
        outcomes = kg.ask_each(broken())
        assert [isinstance(next(outcomes), kgllm.Answer) for _ in range(2)] == [True, True]
        with pytest.raises(LookupError):
            next(outcomes)


def test_the_steps_tell_how_an_answer_was_come_by(demo: Assistant) -> None:
    *seen, answer = demo.stream("Who commanded Apollo 11?")
    assert isinstance(answer, kgllm.Answer)
    assert all(isinstance(step, Step) for step in seen)
    assert [(step.stage, step.text) for step in seen if isinstance(step, Step)] == [
        ("link", "looked up Apollo 11"),
        ("plan", "planned: Apollo 11 commander ?x"),
        ("recall", "the graph has 1 row"),
        ("validate", "checked 1 fact: nothing amiss"),
    ]


def test_an_answer_keeps_the_exchanges_with_the_model(demo: Assistant) -> None:
    answer = Assistant(demo.workspace, model=Model()).ask(QUESTIONS[4])
    assert [(e.purpose, e.reply, e.usage.prompt_tokens) for e in answer.exchanges] == [
        ("plan", {"nothing": "of use"}, 7)
    ] * answer.rounds
    assert not answer.cached
    assert demo.ask(QUESTIONS[4]).exchanges == ()


def test_many_are_awaited_at_once(demo: Assistant) -> None:
    model = Model(seconds=0.1)
    kg = Assistant(demo.workspace, model=model)

    async def ask() -> list[kgllm.Answer]:
        return list(await asyncio.gather(*(kg.aask(question) for question in QUESTIONS)))

    assert [answer.question for answer in asyncio.run(ask())] == QUESTIONS
    assert model.most > 3


def test_steps_are_awaited_one_by_one(demo: Assistant) -> None:
    async def follow() -> list[object]:
        return [item async for item in demo.astream("Who commanded Apollo 11?")]

    *seen, answer = asyncio.run(follow())
    assert isinstance(answer, kgllm.Answer)
    assert [step.stage for step in seen if isinstance(step, Step)] == ["link", "plan", "recall", "validate"]


def test_a_question_that_is_cancelled_asks_the_model_nothing_more(demo: Assistant) -> None:
    model = Model(seconds=0.2)
    kg = Assistant(demo.workspace, model=model)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(kg.aask(QUESTIONS[0]), timeout=0.05)
        assert names(await demo.aask(QUESTIONS[4])) == {"Neil_Armstrong"}  # and nothing is stuck

    began = time.perf_counter()
    asyncio.run(give_up())
    assert time.perf_counter() - began < 5
    time.sleep(0.5)
    assert model.calls <= 2  # the round that it was at; not the three of a whole question


def test_a_fault_is_raised_to_who_awaits_it(demo: Assistant) -> None:
    with pytest.raises(ModelServerError):
        asyncio.run(Assistant(demo.workspace, model=Model(breaks_at="Apollo")).aask(QUESTIONS[0]))
    with pytest.raises(QuestionError):
        asyncio.run(demo.aask(" "))


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


class Liking:
    """A reranker that likes one word."""

    name = "liking"

    def __init__(self, word: str) -> None:
        self.word = word
        self.asked = 0

    def scores(self, question: str, texts: Sequence[str]) -> Vectors:
        self.asked += 1
        return np.array([float(self.word in text) for text in texts], dtype=np.float32)


def test_a_reranker_orders_the_nodes_that_a_model_is_offered(demo: Assistant) -> None:
    reranker, question = Liking("rover"), "Which vehicles drove about up there?"
    asking = Assistant(demo.workspace, model=ScriptedModel([None] * 3), reranker=reranker)
    asked = asking.ask(question).exchanges[0].prompt[1].content
    plain = Assistant(demo.workspace, model=ScriptedModel([None] * 3)).ask(question).exchanges[0].prompt[1].content
    assert reranker.asked == 1
    assert asked != plain
    assert asked.index("(rover)") <= plain.index("(rover)")


def test_a_server_that_cannot_brief_hinders_all_who_wait_for_it_once(demo: Assistant) -> None:
    class Gone(ScriptedModel):
        tries = 0

        def context_length(self) -> int | None:
            Gone.tries += 1
            time.sleep(0.3)
            raise ModelServerError("no model server answers")

    began = time.monotonic()
    outcomes = list(Assistant(demo.workspace, model=Gone([]), in_flight=8).ask_each(["Who?"] * 8))
    assert [str(outcome) for outcome in outcomes] == ["no model server answers"] * 8
    assert Gone.tries == 1
    assert time.monotonic() - began < 2


def test_a_closed_assistant_says_that_it_is(open_cached: Open) -> None:
    kg = open_cached(PREFIXES + 'ex:a a ex:Thing ; rdfs:label "Anna" .\n')
    kg.close()
    with pytest.raises(InputError, match="the assistant is closed"):
        kg.ask("Who is Anna?")


@pytest.mark.parametrize("wrong", [None, 7, ["Who?"]])
def test_a_question_that_is_no_text_is_refused(demo: Assistant, wrong: Any) -> None:
    with pytest.raises(QuestionError, match="a question is text"):
        demo.ask(wrong)


def test_one_text_is_no_list_of_questions(demo: Assistant) -> None:
    with pytest.raises(QuestionError, match="takes a list"):
        demo.ask_many("Who?")
