"""What is shown of answers: facts in columns, Markdown and HTML that no label breaks out of, the memory drawn."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgllm.display import (
    answer_markdown,
    answer_text,
    fact_lines,
    hit_line,
    remarks,
    term_text,
)
from kgllm.protocols import Hit
from kgllm.terms import BNode, Literal, Node, Triple, URIRef
from kgllm.violation import Violation
from tests.shown import APOLLO, COMMANDER, EX, FACT, HOSTILE, NAMESPACES, answer

XSD = "http://www.w3.org/2001/XMLSchema#"


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (APOLLO, "ex:Apollo_11"),
        (URIRef("urn:a b"), "<urn:a b>"),
        (BNode("b0"), "_:b0"),
        (Literal("Mond", lang="de"), '"Mond"@de'),
        (Literal("Moon"), '"Moon"'),
        (Literal("1969-07-20", datatype=URIRef(XSD + "date")), "1969-07-20"),
    ],
)
def test_a_term_is_short(term: Node, text: str) -> None:
    assert term_text(term, NAMESPACES) == text


def test_facts_are_aligned_and_a_label_is_given_once() -> None:
    lines = fact_lines([FACT, (APOLLO, URIRef(EX + "on"), Literal("Moon"))], {APOLLO: "Apollo 11"}, NAMESPACES)
    assert lines == [
        '[1] ex:Apollo_11 ! "Apollo 11"   ex:commander   ex:Neil_Armstrong',
        '[2] ex:Apollo_11                 ex:on          "Moon"',
    ]


def test_a_hit_names_its_type_or_its_kind() -> None:
    node, cls = Hit(APOLLO, 0.834, "node", "", ""), Hit(APOLLO, 0.5, "class", "", "")
    assert hit_line(node, "Apollo 11", [COMMANDER], NAMESPACES) == '0.83  ex:Apollo_11 ! "Apollo 11"   a ex:commander'
    assert hit_line(cls, "", (), NAMESPACES) == "0.50  ex:Apollo_11   a class"


def test_the_text_has_facts_and_violations_with_their_blame() -> None:
    wrong = Violation(APOLLO, COMMANDER, None, "domain", "Violation", "a mission is no person", "data")
    text = answer_text(replace(answer(FACT), violations=(wrong,)))
    assert text.startswith("Neil Armstrong [1].\n\nFacts\n[1] ")
    assert "violation of the data: ex:Apollo_11 ex:commander a mission is no person" in text


def test_remarks_tell_what_of_the_question_was_not_read() -> None:
    assert "not read" not in remarks(answer())
    assert " · not read: old, shi␛ny · " in remarks(replace(answer(), unread=("old", "shi\x1bny")))


def test_remarks_are_one_line() -> None:
    assert remarks(answer(FACT)) == "1 link · 1 fact · ontology ✓ · 0.2 s"


def test_what_was_not_checked_is_not_ticked_off() -> None:
    unchecked = Violation(None, None, None, "notChecked", "Info", "the shapes were not checked")
    assert remarks(replace(answer(FACT), violations=(unchecked,))) == "1 link · 1 fact · shapes not checked · 0.2 s"


@pytest.mark.parametrize("link", ["https://x.org/`a", "WWW.x.org", "(ftp://x.org)", "a@x.org", "xmpp:a", "``http://x"])
def test_no_bare_link_of_a_label_is_one_in_markdown(link: str) -> None:
    text = answer_markdown(answer(text=f"See {link} and [1]"))
    assert re.fullmatch(r"\*\*Who\?\*\*\n\nSee (`+) ?(.*?) ?\1 and \\\[1\\\]\n", text)
    assert link in text
    assert max(len(run) for run in re.findall("`+", link) or [""]) < len(re.findall("`+", text)[0])


def test_markdown_has_question_answer_facts_and_remarks() -> None:
    wrong = Violation(APOLLO, COMMANDER, None, "domain", "Warning", "a *mission* is no person", "data")
    assert answer_markdown(replace(answer(FACT), violations=(wrong,))) == (
        "**Who?**\n\nNeil Armstrong \\[1\\].\n\n"
        "1. Apollo 11 (`ex:Apollo_11`) — `ex:commander` → `ex:Neil_Armstrong`\n\n"
        "- warning of the data: ex:Apollo\\_11 ex:commander a \\*mission\\* is no person"
    )


def test_markdown_tells_how_many_facts_it_leaves_out() -> None:
    many: list[Triple] = [(APOLLO, COMMANDER, URIRef(f"{EX}n{number}")) for number in range(50)]
    assert answer_markdown(answer(*many)).endswith("\n\n… and 10 more facts")


@given(st.sampled_from(HOSTILE) | st.text(max_size=60))
def test_no_label_reaches_the_terminal_as_a_command(label: str) -> None:
    text = answer_text(answer((APOLLO, COMMANDER, Literal(label)), label=label, text=label))
    assert not {unicodedata.category(character) for character in text.replace("\n", "")} & {
        "Cc",
        "Cf",
        "Cs",
        "Zl",
        "Zp",
    }


@pytest.mark.parametrize("label", HOSTILE)
def test_no_label_is_markup_in_markdown(label: str) -> None:
    text = answer_markdown(answer(FACT, label=label, text=label))
    assert "](" not in text.replace("\\]\\(", "")
    assert "<" not in text.replace("\\<", "")
