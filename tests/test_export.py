"""A memory saved to a file: what Gephi and yEd read is the memory, and no label makes a file that nobody can read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx
import pytest
from hypothesis import given, settings

from kgllm import Assistant, InputError
from kgllm.export import drawable
from kgllm.memory import WorkingMemoryGraph
from kgllm.terms import BNode, Literal, URIRef
from kgllm.vocabularies import RDF_TYPE
from tests.test_memory import memories

EX = "https://example.org/"
ALICE, KNOWS, PERSON = (URIRef(EX + name) for name in ("Alice", "knows", "Person"))
XML_FORBIDS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
HOSTILE = [
    "n" * 10_000,
    "a\x00b\x0b\x1b[31m\x85",
    "\u202etxet\u202c \u200b",
    "\ufffe\uffff\U0001fffe",
    "\ud800",
    "]]></data><script>alert(1)</script>&amp;<!--",
    '" onload="',
    "",
]
READ: dict[str, Callable[[Path], Any]] = {
    ".graphml": lambda path: networkx.read_graphml(path, force_multigraph=True),
    ".gexf": networkx.read_gexf,
}


def parts(graph: Any) -> tuple[Any, ...]:
    """What a graph consists of, but for the order. What is read from GEXF is a multigraph only where it has to be."""
    nodes = {node: dict(about) for node, about in graph.nodes(data=True)}
    edges = {}
    for s, o, *key, about in graph.edges(data=True, **({"keys": True} if graph.is_multigraph() else {})):
        edges[s, o, key[0] if key else about["id"]] = {name: text for name, text in about.items() if name != "id"}
    return nodes, edges


def hostile() -> WorkingMemoryGraph:
    memory = WorkingMemoryGraph("Who\x00 \u202eis it?")
    for number, label in enumerate(HOSTILE):
        node = URIRef(f"{EX}{number}")
        memory.labels[node] = label
        memory.assert_triple((ALICE, KNOWS, node))
        memory.assert_triple((node, KNOWS, Literal(label)))
    memory.labels[KNOWS] = "\x07knows"
    memory.set_roles({ALICE: "topic"})
    return memory


@pytest.mark.parametrize("ending", READ)
def test_a_saved_answer_reads_back_as_the_same_graph(demo: Assistant, tmp_path: Path, ending: str) -> None:
    memory = demo.ask("Who commanded Apollo 11?").memory
    path = memory.save(tmp_path / f"memory{ending}")
    assert parts(READ[ending](path)) == parts(drawable(memory))
    nodes, edges = parts(READ[ending](path))
    assert len(nodes) == memory.to_networkx().number_of_nodes()
    assert len(edges) == len(memory)
    mission = nodes["https://example.org/spaceflight/Apollo_11"]
    assert (mission["label"], mission["role"], mission["kind"]) == ("Apollo 11", "topic", "node")
    assert {about["label"] for about in edges.values()} >= {"commander"}


@pytest.mark.parametrize("ending", READ)
def test_no_label_makes_a_file_that_nobody_can_read(tmp_path: Path, ending: str) -> None:
    memory = hostile()
    path = memory.save(tmp_path / f"memory{ending}")
    text = path.read_text(encoding="utf-8")
    assert not XML_FORBIDS.search(text)
    assert not re.search("[\u202e\u202c\u200b\ufffe\uffff]|<script", text)
    assert "n" * 301 not in text
    assert parts(READ[ending](path)) == parts(drawable(memory))


@settings(max_examples=40, deadline=None)
@given(memories())
def test_every_memory_reads_back_as_the_same_graph(
    tmp_path_factory: pytest.TempPathFactory, memory: WorkingMemoryGraph
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for ending, read in READ.items():
        written = read(memory.save(folder / f"any{ending}"))
        assert parts(written) == parts(drawable(memory))
    terms = memory.to_networkx()
    assert networkx.is_isomorphic(drawable(memory), terms)


def test_terms_that_cleaning_makes_alike_stay_apart() -> None:
    memory = WorkingMemoryGraph("?")
    for text in ("a\nb", "a\tb", "a b"):
        memory.assert_triple((ALICE, KNOWS, Literal(text)))
    memory.assert_triple((ALICE, KNOWS, Literal("a b", lang="en")))
    memory.assert_triple((ALICE, KNOWS, BNode("b")))
    assert list(drawable(memory)) == [str(ALICE), '"a b"', '"a b" (2)', '"a b" (3)', '"a b"@en', "_:b"]


@pytest.mark.parametrize("ending", READ)
def test_no_two_elements_of_a_file_have_one_name(tmp_path: Path, ending: str) -> None:
    text = hostile().save(tmp_path / f"memory{ending}").read_text(encoding="utf-8")
    names = re.findall(r'<(?:node|edge) [^>]*?\bid="([^"]*)"', text)
    assert len(names) == len(set(names)) > len(HOSTILE)
    assert 'attr.name="id"' not in text


def test_an_entailed_edge_has_its_rule(tmp_path: Path) -> None:
    memory = WorkingMemoryGraph("?")
    stated, bob = (ALICE, KNOWS, URIRef(EX + "Bob")), URIRef(EX + "Bob")
    memory.assert_triple(stated)
    memory.entail((bob, KNOWS, ALICE), rule="prp-symp", premises=(stated,))
    _, edges = parts(networkx.read_gexf(memory.save(tmp_path / "memory.gexf")))
    assert [(about["status"], about["rule"]) for about in edges.values()] == [
        ("asserted", ""),
        ("entailed", "prp-symp"),
    ]
    assert {about["property"] for about in edges.values()} == {str(KNOWS)}


def test_rdf_is_what_serialize_writes(tmp_path: Path) -> None:
    memory = WorkingMemoryGraph("Who is it?")
    memory.assert_triple((ALICE, RDF_TYPE, PERSON))
    for ending, format in ((".ttl", "turtle"), (".TRIG", "trig"), (".jsonld", "json-ld")):
        assert memory.save(str(tmp_path / f"memory{ending}")).read_text(encoding="utf-8") == memory.serialize(format)


@pytest.mark.parametrize("name", ["memory.png", "memory", ".graphml"])
def test_an_unknown_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as raised:
        WorkingMemoryGraph("?").save(tmp_path / name)
    assert ".graphml .gexf .ttl .trig .jsonld" in raised.value.try_next
    assert not list(tmp_path.iterdir())


def test_a_file_is_replaced_whole_or_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "memory.ttl"
    file.write_text("before", encoding="utf-8")
    memory = WorkingMemoryGraph("?")
    memory.assert_triple((ALICE, KNOWS, PERSON))

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as half:
            half.write(content[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(InputError, match="cannot be written") as raised:
            memory.save(file)
    assert "No space left" in raised.value.why
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("memory.ttl", "before")]
    memory.save(file)
    assert "Alice" in file.read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_not_there_and_a_term_that_rdf_cannot_write_are_told(tmp_path: Path) -> None:
    memory = WorkingMemoryGraph("?")
    memory.assert_triple((ALICE, KNOWS, URIRef("a b>")))
    with pytest.raises(InputError, match="cannot be written"):
        memory.save(tmp_path / "none" / "memory.graphml")
    for ending in (".ttl", ".trig", ".jsonld"):
        with pytest.raises(InputError, match=f"cannot be written as {ending}"):
            memory.save(tmp_path / f"memory{ending}")
    assert not list(tmp_path.iterdir())
    assert networkx.read_graphml(memory.save(tmp_path / "memory.graphml")).number_of_nodes() == 2
