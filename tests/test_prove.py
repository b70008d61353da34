"""Prove: what follows from facts further off is found, and where no rule leads further nothing more is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kgllm.engines.oxigraph import OxigraphStore
from kgllm.ontology_reading import read_ontology
from kgllm.protocols import Rows
from kgllm.prove import Proof, prove
from tests.turtle import PREFIXES, parse

ONTOLOGY = """
:in a owl:TransitiveProperty . :cityOf rdfs:subPropertyOf :in . :uncle owl:propertyChainAxiom ( :parent :brother ) .
:sonOf rdfs:subPropertyOf :parent . :spouse a owl:SymmetricProperty . :birthMother rdfs:subPropertyOf :mother .
:mother a owl:FunctionalProperty . :likes rdfs:domain :Person .
"""
FACTS = """
:ulm :cityOf :swabia . :swabia :in :germany . :germany :in :europe . :max :sonOf :ida . :ida :brother :jo .
:max :spouse :eva . :max :birthMother :ida, :ida2 . :ida2 :likes :tea . :max :likes :cake . :jo owl:sameAs :joe .
:joe :likes :rum .
"""


class Counting(OxigraphStore):
    """Counts how often it is asked."""

    asked = 0

    def select(self, sparql: str, *, timeout_s: float | None = None, limit: int | None = None) -> Rows:
        Counting.asked += 1
        return super().select(sparql, timeout_s=timeout_s, limit=limit)


Prove = Callable[[str], Proof]


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prove]:
    file = tmp_path_factory.mktemp("family") / "graph.ttl"
    file.write_text(PREFIXES + ONTOLOGY + FACTS, encoding="utf-8")
    store = Counting.load([file], source="family")
    ontology = read_ontology([store])

    def proof(triple: str) -> Proof:
        Counting.asked = 0
        return prove(parse(triple + " .")[0], store, ontology)

    yield proof
    store.close()


@pytest.mark.parametrize(
    ("triple", "rule"),
    [
        (":ulm :in :europe", "prp-trp"),  # the first step is of the property below
        (":max :uncle :jo", "prp-spo2"),
        (":eva :spouse :max", "prp-symp"),
        (":max :mother :ida", "prp-spo1"),
        (":ida :likes :tea", "eq-rep-s"),  # by the one mother that one has
        (":jo :likes :rum", "eq-rep-s"),
        (":max a :Person", "prp-dom"),
    ],
)
def test_what_follows_is_proved_however_far_its_premises_lie(proved: Prove, triple: str, rule: str) -> None:
    found = proved(triple)
    assert found.steps
    assert rule in {derivation.rule for _, derivation in found.steps if derivation}


@pytest.mark.parametrize("triple", [":europe :in :ulm", ":jo :uncle :max", ":max :likes :tea", ":ulm :cityOf :europe"])
def test_what_does_not_follow_is_not_proved(proved: Prove, triple: str) -> None:
    assert proved(triple).steps == ()


def test_where_no_rule_leads_further_nothing_more_is_fetched(proved: Prove) -> None:
    found = proved(":ulm :likes :europe")
    assert (found.steps, found.is_whole) == ((), True)
    assert Counting.asked == 2  # what the two ends have, in both directions
