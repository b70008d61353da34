"""Answer: a triple said as a sentence, and the verdict that its place in memory gives it."""

from __future__ import annotations

import pytest

from kgllm.answer import sentence, verdict_of
from kgllm.memory import WorkingMemoryGraph
from kgllm.ontology import RDF_TYPE
from kgllm.terms import Literal, Triple, URIRef

EX = "http://example.org/"


def ex(name: str) -> URIRef:
    return URIRef(EX + name)


@pytest.mark.parametrize(
    ("triple", "labels", "said"),
    [
        ((ex("alien"), ex("director"), ex("scott")), {}, "The director of alien is scott."),
        ((ex("alien"), ex("directedBy"), ex("scott")), {}, "alien is directed by scott."),
        ((ex("alien"), ex("starsIn"), ex("space")), {}, "alien stars in space."),
        ((ex("alien"), RDF_TYPE, ex("Opera")), {}, "alien is an opera."),
        ((ex("alien"), ex("year"), Literal("1979")), {ex("alien"): "Alien"}, "The year of Alien is 1979."),
    ],
)
def test_a_triple_is_a_sentence_of_labels(triple: Triple, labels: dict[URIRef, str], said: str) -> None:
    assert sentence(triple, labels) == said  # type: ignore[arg-type]


def test_a_verdict_needs_every_triple_in_memory() -> None:
    memory = WorkingMemoryGraph("?")
    stated, entailed = (ex("a"), ex("p"), ex("b")), (ex("b"), ex("q"), ex("a"))
    memory.assert_triple(stated)
    memory.entail(entailed, rule="inverse", premises=(stated,))
    assert verdict_of([stated], memory) == "asserted"
    assert verdict_of([stated, entailed], memory) == "entailed"
    assert verdict_of([stated, (ex("a"), ex("p"), ex("c"))], memory) == "unsupported"
    assert verdict_of([], memory) == "unsupported"
