"""The working memory graph: two doors for triples, and to RDF and back without loss."""

from __future__ import annotations

import pickle
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pyshacl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdflib import Dataset, Graph

from kgllm import Assistant
from kgllm.memory import WMG, Role, WorkingMemoryGraph
from kgllm.protocols import Hit
from kgllm.terms import BNode, Literal, Resource, Term, Triple, URIRef, from_ox

SHAPES = Path(__file__).resolve().parents[1] / "ontologies" / "wmg-shapes.ttl"
EX = "http://example.org/"
ALICE, BOB, KNOWS, KNOWN_BY = (URIRef(EX + name) for name in ("Alice", "Bob", "knows", "knownBy"))
STATED: Triple = (ALICE, KNOWS, BOB)
FOLLOWS: Triple = (BOB, KNOWN_BY, ALICE)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
iris = st.builds(lambda n: URIRef(f"{EX}{n}"), st.sampled_from(["a", "b", "c.d", "ä", "x/y", "type"]))
blanks = st.builds(BNode, st.sampled_from(["f0", "question", "wmg", "wmgf0", "l0", "b"]))
literals = st.one_of(
    st.builds(Literal, texts),
    st.builds(lambda text: Literal(text, lang="en-gb"), texts),
    st.builds(lambda text, iri: Literal(text, datatype=iri), texts, iris),
)
hits = st.builds(Hit, iris, st.floats(0, 1), st.sampled_from(["node", "class", "property"]), texts, texts)


@st.composite
def memories(draw: st.DrawFn, *, with_blanks: bool = True) -> WorkingMemoryGraph:
    nodes: st.SearchStrategy[Resource] = st.one_of(iris, blanks) if with_blanks else iris
    ends: st.SearchStrategy[Term] = st.one_of(nodes, literals)
    question = draw(texts.filter(bool))
    memory = WorkingMemoryGraph(question, query=draw(texts), links=draw(st.lists(hits, max_size=2)))
    for triple in draw(st.lists(st.tuples(nodes, iris, ends), max_size=4)):
        memory.assert_triple(triple)
    for triple in draw(st.lists(st.tuples(nodes, iris, ends), max_size=2)) if len(memory) else ():
        premises = draw(st.lists(st.sampled_from(memory.triples()), min_size=1, max_size=3))
        memory.entail(triple, rule=draw(texts), premises=tuple(premises))
    roles: st.SearchStrategy[Role] = st.sampled_from(["topic", "answer", "bridge"])
    memory.set_roles({node: draw(roles) for node in memory.nodes()})
    return memory


few = settings(max_examples=60, deadline=None)


@few
@given(memories())
def test_to_a_dataset_and_back_is_the_identity(memory: WorkingMemoryGraph) -> None:
    assert WorkingMemoryGraph.from_dataset(memory.to_dataset()) == memory


FORMATS = {"trig": ox.RdfFormat.TRIG, "nquads": ox.RdfFormat.N_QUADS, "json-ld": ox.RdfFormat.JSON_LD}


def read(text: str, format: ox.RdfFormat) -> Dataset:
    dataset = Dataset()
    for quad in ox.parse(text, format=format):
        name: Any = quad.graph_name
        into = dataset.default_graph if isinstance(name, ox.DefaultGraph) else dataset.graph(URIRef(name.value))
        triple: Any = tuple(from_ox(part) for part in (quad.subject, quad.predicate, quad.object))
        into.add(triple)
    return dataset


@few
@given(memories(with_blanks=False), st.sampled_from(sorted(FORMATS)))
def test_to_text_and_back_is_the_identity(memory: WorkingMemoryGraph, format: str) -> None:
    assert WorkingMemoryGraph.from_dataset(read(memory.serialize(format), FORMATS[format])) == memory


@few
@given(memories(with_blanks=False))
def test_oxigraph_reads_in_the_text_what_the_memory_holds(memory: WorkingMemoryGraph) -> None:
    quads = list(ox.parse(memory.serialize("trig"), format=ox.RdfFormat.TRIG))
    held = [quad for quad in quads if not isinstance(quad.graph_name, ox.DefaultGraph)]
    assert len(held) == len(memory)
    triples = list(ox.parse(memory.serialize("nt"), format=ox.RdfFormat.N_TRIPLES))
    assert {quad.triple for quad in held} == {quad.triple for quad in triples}


def conforms(dataset: Dataset) -> tuple[bool, str]:
    default = Graph()
    for triple in dataset.default_graph:
        default.add(triple)
    good, _, report = pyshacl.validate(default, shacl_graph=Graph().parse(SHAPES), do_owl_imports=False)
    return good, report


@settings(max_examples=15, deadline=None)
@given(memories())
def test_every_memory_conforms_to_the_shapes(memory: WorkingMemoryGraph) -> None:
    good, report = conforms(memory.to_dataset())
    assert good, report


@pytest.fixture
def memory() -> WorkingMemoryGraph:
    links = [Hit(KNOWS, 0.8312345678, "property", "knows", "knows"), Hit(ALICE, 1e-7, "node", "Alice", "Alice")]
    memory = WorkingMemoryGraph('Whom does "Alice" know?', query="SELECT ?x {}", links=links)
    memory.assert_triple(STATED)
    memory.entail(FOLLOWS, rule="prp-inv1", premises=(STATED,))
    memory.set_roles({ALICE: "topic", BOB: "answer"})
    return memory


def test_what_the_shapes_forbid_does_not_conform(memory: WorkingMemoryGraph) -> None:
    dataset = memory.to_dataset()
    assert conforms(dataset)[0]
    dataset.default_graph.remove((None, URIRef(WMG + "premise"), None))
    assert not conforms(dataset)[0]


def test_a_triple_follows_only_from_what_is_in_memory(memory: WorkingMemoryGraph) -> None:
    with pytest.raises(ValueError, match="not in memory"):
        memory.entail((BOB, KNOWS, ALICE), rule="prp-symp", premises=((BOB, KNOWS, BOB),))
    with pytest.raises(ValueError, match="not in memory"):
        memory.entail((BOB, KNOWS, ALICE), rule="prp-symp", premises=((BOB, KNOWS, ALICE),))
    with pytest.raises(ValueError, match="needs premises"):
        memory.entail((BOB, KNOWS, ALICE), rule="prp-symp", premises=())
    assert (BOB, KNOWS, ALICE) not in memory


@settings(max_examples=30, deadline=None)
@given(memories())
def test_every_entailed_fact_has_its_premises_in_memory(memory: WorkingMemoryGraph) -> None:
    for fact in memory:
        assert (fact.status == "entailed") == bool(fact.premises)
        assert all(premise in memory for premise in fact.premises)


def test_what_is_asserted_stays_so_and_what_is_entailed_can_become_so(memory: WorkingMemoryGraph) -> None:
    memory.entail(STATED, rule="prp-inv2", premises=(FOLLOWS,))
    assert memory.fact(STATED) is not None
    assert [fact.status for fact in memory] == ["asserted", "entailed"]
    memory.assert_triple(FOLLOWS)
    assert [fact.status for fact in memory] == ["asserted", "asserted"]
    assert memory.fact((BOB, KNOWS, BOB)) is None


@pytest.mark.parametrize("predicate", ["premise", "rule"])
def test_a_dataset_whose_facts_hang_in_the_air_is_refused(memory: WorkingMemoryGraph, predicate: str) -> None:
    dataset = memory.to_dataset()
    dataset.default_graph.remove((None, URIRef(WMG + predicate), None))
    with pytest.raises(ValueError, match="neither was asserted"):
        WorkingMemoryGraph.from_dataset(dataset)


def test_a_dataset_holds_exactly_one_memory(memory: WorkingMemoryGraph) -> None:
    with pytest.raises(ValueError, match="0 working memory graphs"):
        WorkingMemoryGraph.from_dataset(Dataset())
    both = memory.to_dataset()
    for triple in WorkingMemoryGraph("another").to_dataset().default_graph:
        both.default_graph.add(triple)
    with pytest.raises(ValueError, match="2 working memory graphs"):
        WorkingMemoryGraph.from_dataset(both)


def changed(memory: WorkingMemoryGraph, **parts: Any) -> WorkingMemoryGraph:
    given_parts = {"question": memory.question, "query": memory.query, "links": memory.links} | parts
    other = WorkingMemoryGraph(given_parts.pop("question"), **given_parts)
    other.assert_triple(STATED)
    other.entail(FOLLOWS, rule="prp-inv1", premises=(STATED,))
    other.roles = dict(memory.roles)
    return other


def test_memories_are_the_same_only_if_all_of_them_is(memory: WorkingMemoryGraph) -> None:
    assert changed(memory) == memory
    assert changed(memory, links=tuple(reversed(memory.links))) == memory
    assert changed(memory, question="another") != memory
    assert changed(memory, query="") != memory
    assert changed(memory, links=()) != memory
    more = changed(memory)
    more.assert_triple(FOLLOWS)
    assert more != memory
    assert memory != STATED


def test_roles_are_those_of_nodes_and_concepts(memory: WorkingMemoryGraph) -> None:
    memory.assert_triple((BOB, KNOWS, URIRef(EX + "Carol")))
    memory.assert_triple((BOB, KNOWS, Literal("nobody")))
    memory.set_roles({ALICE: "topic", BOB: "answer", Literal("nobody"): "answer"})
    assert memory.roles == {ALICE: "topic", BOB: "answer", URIRef(EX + "Carol"): "bridge", KNOWS: "concept"}


def test_the_picture_of_networkx_has_labels_roles_and_rules(memory: WorkingMemoryGraph) -> None:
    memory.labels[ALICE] = "Alice A."
    graph = memory.to_networkx()
    assert graph.nodes[ALICE] == {"label": "Alice A.", "role": "topic", "kind": "node", "classes": ""}
    assert graph.nodes[BOB]["label"] == "Bob"
    assert graph.edges[ALICE, BOB, KNOWS] == {"label": "knows", "status": "asserted", "rule": ""}
    assert graph.edges[BOB, ALICE, KNOWN_BY]["rule"] == "prp-inv1"


def test_the_picture_of_networkx_has_classes_and_literals(memory: WorkingMemoryGraph) -> None:
    person, nobody = URIRef(EX + "Person"), Literal("nobody")
    for kind in (person, URIRef(EX + "Knower")):
        memory.assert_triple((ALICE, URIRef("http://www.w3.org/1999/02/22-rdf-syntax-ns#type"), kind))
    memory.assert_triple((BOB, KNOWS, nobody))
    memory.labels[person] = "human being"
    graph = memory.to_networkx()
    assert graph.nodes[ALICE]["classes"] == "human being, Knower"
    assert graph.nodes[nobody] == {"label": "nobody", "role": "literal", "kind": "literal", "classes": ""}


def test_turtle_holds_the_triples_alone(memory: WorkingMemoryGraph) -> None:
    assert set(Graph().parse(data=memory.serialize("turtle"))) == {STATED, FOLLOWS}


def test_the_same_memory_has_the_same_name_and_text(memory: WorkingMemoryGraph) -> None:
    assert memory.serialize("trig") == changed(memory).serialize("trig")
    assert "urn:uuid:" in memory.serialize("trig")
    assert memory.serialize("trig") != changed(memory, question="another").serialize("trig")


def test_an_answer_can_be_copied_and_pickled_without_its_assistant(demo: Assistant) -> None:
    answer = demo.ask("Who commanded Apollo 11?")
    for copied in (deepcopy(answer), pickle.loads(pickle.dumps(answer))):
        assert copied.memory == answer.memory
        assert copied.text == answer.text
        assert copied.memory.kg is None
    assert answer.memory.kg is demo
