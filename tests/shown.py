"""Answers and memories to show, harmless and hostile, and how what is shown is read."""

from __future__ import annotations

import re
from base64 import b64decode
from html.parser import HTMLParser

from kgllm.answer import Answer, Claim
from kgllm.memory import WorkingMemoryGraph
from kgllm.protocols import Hit
from kgllm.terms import Namespaces, Triple, URIRef

EX = "https://example.org/"
NAMESPACES = Namespaces({"ex": EX})
APOLLO, ARMSTRONG, COMMANDER = URIRef(EX + "Apollo_11"), URIRef(EX + "Neil_Armstrong"), URIRef(EX + "commander")
MISSION, ASTRONAUT = URIRef(EX + "Mission"), URIRef(EX + "Astronaut")
FACT: Triple = (APOLLO, COMMANDER, ARMSTRONG)
HOSTILE = [
    "</title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b]0;owned\x07",
    "\u202etxet",
    "[click](javascript:alert(1))",
    "</svg><iframe srcdoc=x>",
    "a\r\nb\x9b31m",
    "\ufffe\uffff\ud800\x00",
    "x" * 10_000,
    "wide words " * 1_000,
    "\u05d0\u05e4\u05d5\u05dc\u05d5 11 \u2067 left",
    "javascript:alert(1)",
    "]]>&amp;<!--",
]


def answer(*triples: Triple, label: str = "Apollo 11", text: str = "Neil Armstrong [1].") -> Answer:
    memory = WorkingMemoryGraph("Who?", links=[Hit(APOLLO, 0.9, "node", "Apollo 11", "Apollo 11")])
    for triple in triples:
        memory.assert_triple(triple)
    memory.labels[APOLLO] = label
    memory.classes |= {APOLLO: MISSION, ARMSTRONG: ASTRONAUT}
    memory.checked_against = ("ontology", "shapes")
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
        self.ids: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.text += data


def is_harmless(page: Page) -> bool:
    links = [value for name, value in page.attributes if name in {"href", "xlink:href"}]
    images = [value for name, value in page.attributes if name == "src"]
    return (
        not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(page.tags)
        and not any(name.startswith("on") for name, _ in page.attributes)
        and all(link.startswith(("http://", "https://", "#kgllm-")) for link in links)
        and all(image.startswith("data:image/svg+xml;base64,") for image in images)
    )


def memory_of(count: int) -> WorkingMemoryGraph:
    """A memory of so many nodes: of several classes, with long names, cross links, values, and entailed facts."""
    memory = WorkingMemoryGraph(f"A memory of {count} nodes?", prefixes={"ex": EX})
    names = ["Apollo 11", "Neil Armstrong", "Kennedy Space Center, Florida", "Moon", "WWW MMM WWW MMM", "漢字の名前"]
    kinds = [URIRef(f"{EX}Class{number}") for number in range(9)]
    nodes = [URIRef(f"{EX}node{number}") for number in range(count)]
    memory.labels |= {cls: f"Class {number}" for number, cls in enumerate(kinds)}
    for number, node in enumerate(nodes):
        memory.labels[node] = f"{names[number % len(names)]} {number}"
        memory.classes[node] = kinds[number * 7 % len(kinds)]
    for number in range(1, count):
        other = nodes[max(0, number - 1 - number * 5 % 8)]
        ends = (other, nodes[number]) if number % 3 else (nodes[number], other)
        triple: Triple = (ends[0], URIRef(f"{EX}property{number % 5}"), ends[1])
        memory.assert_triple(triple)
        if number % 4 == 0:
            memory.entail((ends[0], URIRef(EX + "follows"), ends[1]), rule="prp-spo1", premises=(triple,))
    for number in range(count // 6):
        memory.assert_triple((nodes[number], URIRef(EX + "near"), nodes[-1 - number * 2]))
    memory.set_roles({nodes[0]: "topic", nodes[count // 2]: "answer"})
    memory.checked_against = ("ontology", "shapes")
    return memory


def pictures(text: str) -> list[str]:
    """The pictures of a page or fragment, as SVG."""
    coded = re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', text)
    return [*re.findall(r"<svg.*?</svg>", text, re.DOTALL), *(b64decode(one).decode() for one in coded)]
