"""Every working memory graph conforms to its own shapes and vocabulary, thousands of them; its wrong twins do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from rdflib import Dataset

from kgllm import Assistant
from kgllm.engines.oxigraph import OxigraphStore
from kgllm.engines.shacl import Shapes
from kgllm.memory import WMG, WorkingMemoryGraph
from kgllm.ontology import Ontology
from kgllm.ontology_reading import read_ontology
from kgllm.protocols import Hit
from kgllm.terms import BNode, Literal, Node, Triple, URIRef, n3
from kgllm.validate import validate_triples
from tests.test_demo_questions import GOLD
from tests.test_memory import memories

ONTOLOGIES = Path(__file__).resolve().parents[1] / "ontologies"
EX = "http://example.org/"
PROV = "http://www.w3.org/ns/prov#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XSD = "http://www.w3.org/2001/XMLSchema#"
TYPE = URIRef(RDF + "type")
MANY, AT_ONCE = 2_000, 500


@pytest.fixture(scope="module")
def shapes() -> Iterator[Shapes]:
    made = Shapes([ONTOLOGIES / "wmg-shapes.ttl"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def vocabulary() -> Ontology:
    store = OxigraphStore.load([ONTOLOGIES / "wmg.ttl"], source="wmg")
    read = read_ontology([store])
    store.close()
    return read


def faults(triples: Iterable[Triple], shapes: Shapes, vocabulary: Ontology) -> set[str]:
    """The messages of all that is wrong with what is said of memories."""
    held = list(triples)
    data = "".join(f"{n3(s)} {n3(p)} {n3(o)} .\n" for s, p, o in held)
    report = shapes.validate(data.encode(), timeout_s=120)
    assert report.conforms is not None
    contradictions = validate_triples(held, vocabulary, timeout_s=120)
    return {result.message for result in report.results} | {violation.constraint for violation in contradictions}


def told(dataset: Dataset, number: int) -> list[Triple]:
    """What the default graph says of a memory, its blank nodes told apart from those of others."""

    def apart(term: Node) -> Node:
        return BNode(f"m{number}x{term}") if isinstance(term, BNode) else term

    return [(apart(s), p, apart(o)) for s, p, o in dataset.default_graph]  # type: ignore[misc]


def test_thousands_of_memories_conform(shapes: Shapes, vocabulary: Ontology) -> None:
    made: list[list[Triple]] = []

    @settings(
        max_examples=MANY,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(memories())
    def make(memory: WorkingMemoryGraph) -> None:
        memory.question = f"{len(made)} {memory.question}"  # a memory is named after its question and query
        made.append(told(memory.to_dataset(), len(made)))

    make()
    assert len(made) >= MANY
    for start in range(0, len(made), AT_ONCE):
        batch = [triple for triples in made[start : start + AT_ONCE] for triple in triples]
        assert faults(batch, shapes, vocabulary) == set()


@pytest.mark.parametrize("question", list(GOLD)[:12])
def test_the_memory_of_an_answer_conforms(demo: Assistant, shapes: Shapes, vocabulary: Ontology, question: str) -> None:
    answer = demo.ask(question)
    assert faults(told(answer.memory.to_dataset(), 0), shapes, vocabulary) == set()


# Wrong twins

ALICE, BOB, KNOWS, KNOWN_BY = (URIRef(EX + name) for name in ("Alice", "Bob", "knows", "knownBy"))


@pytest.fixture
def said() -> list[Triple]:
    """What is said of a memory that holds an asserted and an entailed fact, a link and a claim."""
    links = [Hit(KNOWS, 0.83, "property", "knows", "knows")]
    memory = WorkingMemoryGraph("Whom does Alice know?", query="SELECT ?x {}", links=links)
    memory.assert_triple((ALICE, KNOWS, BOB))
    memory.entail((BOB, KNOWN_BY, ALICE), rule="prp-inv1", premises=((ALICE, KNOWS, BOB),))
    memory.set_roles({ALICE: "topic", BOB: "answer"})
    triples = told(memory.to_dataset(), 0)
    root = next(s for s, _, o in triples if o == term("WorkingMemoryGraph"))
    fact = next(s for s, _, o in triples if o == term("AssertedFact"))
    claim = BNode("claim")
    return [
        *triples,
        (root, term("claim"), claim),
        (claim, TYPE, term("Claim")),
        (claim, term("text"), Literal("Alice knows Bob.")),
        (claim, term("verdict"), Literal("asserted")),
        (claim, term("evidence"), fact),
    ]


def term(name: str) -> URIRef:
    return URIRef({"prov": PROV, "rdf": RDF}.get(name.split(":")[0], WMG) + name.split(":")[-1])


def typed(text: str, kind: str) -> Literal:
    return Literal(text, datatype=URIRef(XSD + kind), normalize=False)


def wrong(said: list[Triple], cls: str, predicate: str, *values: Node) -> list[Triple]:
    """The same, but for the values of a property of one node of a class."""
    node = next(s for s, p, o in said if (p, o) == (TYPE, term(cls)))
    kept = [(s, p, o) for s, p, o in said if (s, p) != (node, term(predicate))]
    return kept + [(node, term(predicate), value) for value in values]  # type: ignore[misc]


def test_the_right_twin_conforms(said: list[Triple], shapes: Shapes, vocabulary: Ontology) -> None:
    assert faults(said, shapes, vocabulary) == set()


TEXT, OTHER = Literal("x"), Literal("y")
TWINS: list[tuple[str, str, tuple[Node, ...], str]] = [
    ("WorkingMemoryGraph", "question", (), "A memory is made for exactly one question."),
    ("WorkingMemoryGraph", "question", (BNode("q"), BNode("r")), "A memory is made for exactly one question."),
    ("WorkingMemoryGraph", "question", (TEXT,), "A memory is made for exactly one question."),
    ("WorkingMemoryGraph", "query", (TEXT, OTHER), "A memory has at most one query, and not an empty one."),
    ("WorkingMemoryGraph", "query", (Literal(""),), "A memory has at most one query, and not an empty one."),
    ("WorkingMemoryGraph", "prov:wasGeneratedBy", (), "A memory was generated by exactly one run."),
    ("WorkingMemoryGraph", "prov:generatedAtTime", (TEXT,), "A memory was generated at one time at most."),
    ("WorkingMemoryGraph", "fact", (ALICE,), "What a memory holds is an asserted or an entailed fact."),
    ("WorkingMemoryGraph", "fact", (), "A fact is in a memory."),
    ("WorkingMemoryGraph", "link", (ALICE,), "A link of a memory is a wmg:Link."),
    ("WorkingMemoryGraph", "claim", (ALICE,), "A claim of a memory is a wmg:Claim."),
    ("Question", "text", (), "A question has one text."),
    ("Question", "text", (Literal(""),), "A question has one text."),
    ("Question", "text", (TEXT, OTHER), "functional"),
    ("Answering", "prov:used", (), "A run used at least its question."),
    ("AssertedFact", "rdf:subject", (), "A fact has exactly one subject, an IRI or a blank node."),
    ("AssertedFact", "rdf:subject", (TEXT,), "A fact has exactly one subject, an IRI or a blank node."),
    ("EntailedFact", "rdf:subject", (ALICE, BOB), "A fact has exactly one subject, an IRI or a blank node."),
    ("AssertedFact", "rdf:predicate", (BNode("p"),), "A fact has exactly one predicate, an IRI."),
    ("EntailedFact", "rdf:predicate", (), "A fact has exactly one predicate, an IRI."),
    ("AssertedFact", "rdf:object", (), "A fact has exactly one object."),
    ("AssertedFact", "rdf:object", (ALICE, TEXT), "A fact has exactly one object."),
    ("AssertedFact", "rule", (TEXT,), "An asserted fact needs no rule."),
    ("AssertedFact", "rule", (TEXT,), "domain"),
    ("AssertedFact", "premise", (ALICE,), "An asserted fact has no premises."),
    (
        "AssertedFact",
        "rdf:type",
        (term("AssertedFact"), term("EntailedFact")),
        "An asserted fact is not entailed as well.",
    ),
    ("AssertedFact", "rdf:type", (term("AssertedFact"), term("EntailedFact")), "disjoint"),
    ("EntailedFact", "rule", (), "An entailed fact names its rule."),
    ("EntailedFact", "premise", (), "An entailed fact has premises, which are facts."),
    ("EntailedFact", "premise", (ALICE,), "An entailed fact has premises, which are facts."),
    ("Link", "span", (), "A link has one span of the question."),
    ("Link", "target", (TEXT,), "A link has one target, an IRI."),
    ("Link", "target", (), "A link has one target, an IRI."),
    ("Link", "targetKind", (Literal("triple"),), "The target of a link is a node, a class or a property."),
    ("Link", "score", (typed("1.5", "decimal"),), "A link has one score, from 0 to 1."),
    ("Link", "score", (typed("-0.1", "decimal"),), "A link has one score, from 0 to 1."),
    ("Link", "score", (typed("0.5", "double"),), "A link has one score, from 0 to 1."),
    ("Link", "score", (typed("0.5", "decimal"), typed("0.6", "decimal")), "functional"),
    ("Claim", "text", (), "A claim has one text."),
    ("Claim", "verdict", (Literal("perhaps"),), "A claim has one verdict."),
    ("Claim", "verdict", (), "A claim has one verdict."),
    ("Claim", "evidence", (ALICE,), "The evidence of a claim is a fact."),
    ("Claim", "evidence", (), "Every claim but an unsupported one has evidence."),
]


@pytest.mark.parametrize(("cls", "predicate", "values", "message"), TWINS)
def test_a_wrong_twin_does_not_conform(
    said: list[Triple],
    shapes: Shapes,
    vocabulary: Ontology,
    cls: str,
    predicate: str,
    values: tuple[Node, ...],
    message: str,
) -> None:
    assert message in faults(wrong(said, cls, predicate, *values), shapes, vocabulary)


def test_an_unsupported_claim_needs_no_evidence(said: list[Triple], shapes: Shapes, vocabulary: Ontology) -> None:
    unsupported = wrong(wrong(said, "Claim", "evidence"), "Claim", "verdict", Literal("unsupported"))
    assert faults(unsupported, shapes, vocabulary) == set()


def test_every_message_of_the_shapes_has_its_wrong_twin() -> None:
    text = (ONTOLOGIES / "wmg-shapes.ttl").read_text(encoding="utf-8")
    messages = {line.split('"')[1] for line in text.splitlines() if "sh:message" in line}
    assert messages <= {message for *_, message in TWINS}
