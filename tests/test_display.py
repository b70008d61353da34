"""What is shown of answers: facts in columns, Markdown and HTML that no label breaks out of, the memory drawn."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgllm.answer import Answer, Claim
from kgllm.display import (
    answer_html,
    answer_markdown,
    answer_page,
    answer_text,
    fact_lines,
    hit_line,
    remarks,
    term_text,
)
from kgllm.memory import WorkingMemoryGraph
from kgllm.protocols import Hit
from kgllm.terms import BNode, Literal, Namespaces, Node, Triple, URIRef
from kgllm.violation import Violation

EX = "https://example.org/"
XSD = "http://www.w3.org/2001/XMLSchema#"
NAMESPACES = Namespaces({"ex": EX})
APOLLO, ARMSTRONG, COMMANDER = URIRef(EX + "Apollo_11"), URIRef(EX + "Neil_Armstrong"), URIRef(EX + "commander")
FACT: Triple = (APOLLO, COMMANDER, ARMSTRONG)
HOSTILE = [
    "</title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b]0;owned\x07",
    "\u202etxet",
    "[click](javascript:alert(1))",
    "</svg><iframe srcdoc=x>",
    "a\r\nb\x9b31m",
]


def answer(*triples: Triple, label: str = "Apollo 11", text: str = "Neil Armstrong [1].") -> Answer:
    memory = WorkingMemoryGraph("Who?", links=[Hit(APOLLO, 0.9, "node", "Apollo 11", "Apollo 11")])
    for triple in triples:
        memory.assert_triple(triple)
    memory.labels[APOLLO] = label
    memory.set_roles({APOLLO: "topic", ARMSTRONG: "answer"})
    claims = tuple(Claim("", "asserted", (triple,)) for triple in triples)
    return Answer("Who?", text, claims=claims, memory=memory, namespaces=NAMESPACES, timings_ms={"total": 210.0})


class Page(HTMLParser):
    """The tags, attributes and text of a document."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


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


def test_remarks_are_one_line() -> None:
    assert remarks(answer(FACT)) == "1 link · 1 fact · ontology ✓ · 0.2 s"


def test_what_was_not_checked_is_not_ticked_off() -> None:
    unchecked = Violation(None, None, None, "notChecked", "Info", "the shapes were not checked")
    assert remarks(replace(answer(FACT), violations=(unchecked,))) == "1 link · 1 fact · shapes not checked · 0.2 s"


@pytest.mark.parametrize("link", ["https://x.org/`a", "WWW.x.org", "(ftp://x.org)", "a@x.org", "xmpp:a", "``http://x"])
def test_no_bare_link_of_a_label_is_one_in_markdown(link: str) -> None:
    text = answer_markdown(answer(text=f"See {link} and [1]"))
    assert re.fullmatch(r"See (`+) (.*) \1 and \\\[1\\\]\n", text)
    assert link in text
    assert max(len(run) for run in re.findall("`+", link) or [""]) < len(re.findall("`+", text)[0])


def test_the_html_has_picture_facts_and_sup_numbers() -> None:
    page = Page(answer_html(answer(FACT)))
    assert {"svg", "details", "sup", "table"} <= set(page.tags)
    assert page.tags.count("circle") == 2
    assert ("href", str(APOLLO)) in page.attributes


def test_the_same_answer_is_drawn_the_same() -> None:
    assert answer_html(answer(FACT)) == answer_html(answer(FACT))


def test_at_most_thirty_nodes_are_drawn_and_the_rest_is_told() -> None:
    many: list[Triple] = [(APOLLO, COMMANDER, URIRef(f"{EX}n{number}")) for number in range(50)]
    page = Page(answer_html(answer(*many)))
    assert page.tags.count("circle") == 30
    assert "21 more facts are not drawn" in page.text


def test_a_node_that_points_to_itself_and_an_empty_memory_are_drawn() -> None:
    assert "circle" in Page(answer_html(answer((APOLLO, COMMANDER, APOLLO)))).tags
    assert "svg" not in Page(answer_html(answer())).tags


def test_a_page_may_load_and_run_nothing() -> None:
    assert "default-src 'none'" in answer_page(answer(FACT))


def is_harmless(page: Page) -> bool:
    links = [value for name, value in page.attributes if name in {"href", "src", "xlink:href"}]
    return (
        not {"script", "iframe", "img", "object", "embed", "link", "base", "form"} & set(page.tags)
        and not any(name.startswith("on") for name, _ in page.attributes)
        and all(link.startswith(("http://", "https://")) for link in links)
    )


@given(st.sampled_from(HOSTILE) | st.text(max_size=60))
def test_no_label_makes_html_that_runs_or_loads(label: str) -> None:
    triples: list[Triple] = [FACT, (APOLLO, URIRef("javascript:alert(1)"), Literal(label))]
    page = Page(answer_page(answer(*triples, label=label, text=label)))
    assert is_harmless(page)
    assert not any(character < " " and character != "\n" for character in page.text)


def test_the_check_of_harm_sees_harm() -> None:
    assert not is_harmless(Page("<p onclick=x>"))
    assert not is_harmless(Page('<a href="javascript:x">'))


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
