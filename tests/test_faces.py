"""One question, one answer: the command line, Python, the cells of a notebook and the saved page say the same."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from kgllm import Answer, Assistant
from kgllm.display import term_text
from kgllm.terms import URIRef, n3, triple_n3
from tests.cells import drawn, succeeds
from tests.command_line import run
from tests.conftest import DEMO_GRAPH, DEMO_ONTOLOGY, DEMO_SHAPES, ROOT

LINES = (ROOT / "tests/demo_questions.jsonl").read_text(encoding="utf-8").splitlines()
QUESTIONS = [json.loads(line)["question"] for line in LINES[::5]]  # twelve, of nearly every kind


@dataclass(frozen=True)
class Seen:
    """What a person sees of an answer: its text with the citations, and its facts by their numbers."""

    text: str
    facts: dict[int, tuple[str, ...]]


def of_answer(answer: Answer) -> Seen:
    facts = {
        number: tuple(term_text(term, answer.namespaces) for term in triple)
        for number, triple in enumerate(answer.facts, start=1)
    }
    return Seen(closed(answer.text), facts)


def of_text(block: str) -> Seen:
    """As ``kgllm ask`` writes it; a label stands beside its node."""
    text, _, rest = block.partition("\n\nFacts\n")
    facts = {}
    for line in rest.partition("\n\n")[0].splitlines():
        number, row = re.findall(r"^ *\[(\d+)\] (.*)$", line)[0]
        facts[int(number)] = tuple(re.sub(r' ! ".*"$', "", term.strip()) for term in re.split(" {3,}", row))
    return Seen(closed(text), facts)


def of_html(page: str) -> Seen:
    """As a page or a notebook shows it; beside a label stands the IRI in short."""
    (said,) = re.findall(r'<p class="said"[^>]*>(.*?)</p>', page, re.DOTALL)
    facts = {}
    for number, row in re.findall(r'<tr id="[\w-]+-f(\d+)"[^>]*>(.*?)</tr>', page):
        cells = re.findall(r"<td>(.*?)</td>", row)[1:4]
        facts[int(number)] = tuple(plain(re.sub(r".*<code>", "", cell)) for cell in cells)
    return Seen(closed(plain(said)), facts)


def plain(markup: str) -> str:
    return html.unescape(re.sub("<[^>]*>", "", markup))


def closed(text: str) -> str:
    """The text with its citations at its words: a page has them small and high there, a terminal after a space."""
    return re.sub(r" (?=\[\d+\])", "", text)


@pytest.fixture(scope="module")
def answers(demo: Assistant) -> list[Answer]:
    return [demo.ask(question) for question in QUESTIONS]


@pytest.fixture
def asked(answers: list[Answer], clean_surroundings: None) -> list[Seen]:
    """What Python sees, in the surroundings in which the others are to see it."""
    return [of_answer(answer) for answer in answers]


def on_the_command_line(*options: str) -> str:
    over = ("-g", str(DEMO_GRAPH), "--ontology", str(DEMO_ONTOLOGY), "--shapes", str(DEMO_SHAPES), "--quiet")
    result = run("ask", *over, *options, stdin="\n".join(QUESTIONS))
    assert result.exit_code == 0, result.stderr
    written: str = result.stdout
    return written


def test_the_twelve_questions_are_answered_counted_refuted_and_refused(answers: list[Answer]) -> None:
    assert len(answers) == 12
    assert 2 <= sum(answer.abstained for answer in answers) <= 6
    assert {answer.query.form for answer in answers if answer.query} >= {"select", "count", "ask"}
    assert len({len(answer.facts) for answer in answers}) > 3


def test_json_has_the_same_results_text_and_citations(answers: list[Answer], asked: list[Seen]) -> None:
    found = [json.loads(line) for line in on_the_command_line("--jsonl").splitlines()]
    assert [one["question"] for one in found] == QUESTIONS
    for one, answer in zip(found, answers, strict=True):
        assert one["results"] == [n3(term) for term in answer.results]
        assert (one["text"], one["abstained"]) == (answer.text, answer.abstained)
        evidence = dict.fromkeys(tuple(triple) for claim in one["claims"] for triple in claim["evidence"])
        assert list(evidence) == [tuple(triple_n3(triple)) for triple in answer.facts]


def test_the_terminal_has_the_same_text_and_citations(asked: list[Seen]) -> None:
    blocks = re.split(r"^» (.*)\n", on_the_command_line(), flags=re.MULTILINE)[1:]
    assert blocks[::2] == QUESTIONS
    assert [of_text(block.strip()) for block in blocks[1::2]] == asked


def test_a_cell_has_the_same_results_text_and_citations(
    demo_shell: InteractiveShell, answers: list[Answer], asked: list[Seen]
) -> None:
    for answer, seen in zip(answers, asked, strict=True):
        found = succeeds(demo_shell, f"%%ask\n{answer.question}")
        assert (found.question, found.results, of_answer(found)) == (answer.question, answer.results, seen)
        assert of_html(drawn(demo_shell, found)["text/html"]) == seen


def test_the_page_has_the_same_text_and_citations_however_it_is_made(
    answers: list[Answer], asked: list[Seen], tmp_path: Path
) -> None:
    printed = re.findall(r"<!DOCTYPE html>.*?</html>", on_the_command_line("-f", "html"), re.DOTALL)
    saved = [answer.save(tmp_path / f"{number}.html") for number, answer in enumerate(answers)]
    for page, file, seen in zip(printed, saved, asked, strict=True):
        assert of_html(page) == of_html(file.read_text(encoding="utf-8")) == seen


def test_what_a_proof_brings_into_the_memory_has_its_own_names(demo: Assistant) -> None:
    memory = demo.ask("Which missions launched on the Saturn V?").memory
    assert any(fact.rule for fact in memory)
    nodes = [node for node in memory.nodes() if isinstance(node, URIRef)]
    assert {node: memory.labels[node] for node in nodes} == demo.index.labels(nodes)
    assert (
        memory.classes.keys() == set(nodes) - demo.index.ontology.classes.keys() - demo.index.ontology.properties.keys()
    )


def test_the_comparison_sees_another_fact_another_number_and_another_text(answers: list[Answer]) -> None:
    answer = next(one for one in answers if len(one.facts) > 1)
    page = Seen(**vars(of_answer(answer)))
    first, second = page.facts[1], page.facts[2]
    assert Seen(page.text, {**page.facts, 1: second, 2: first}) != of_answer(answer)
    assert Seen(page.text.replace("[1]", "[2]"), page.facts) != of_answer(answer)
    assert Seen(page.text + "!", page.facts) != of_answer(answer)
