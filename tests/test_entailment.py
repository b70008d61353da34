"""Entailment: each rule of OWL 2 RL fires where its table says so, not on the twin, and never without its premises."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgllm.axioms import Axioms
from kgllm.entailment import Closure, close
from kgllm.owl_rules import Rules
from kgllm.terms import Triple, URIRef
from kgllm.vocabularies import OWL, RDF_TYPE
from tests.turtle import EX, parse


def closed(ontology: str, data: str) -> Closure:
    return close(parse(data), Rules(Axioms(parse(ontology))))


RULES = [
    ("eq-sym", "", ":a owl:sameAs :b .", ":b owl:sameAs :a", ":a owl:differentFrom :b ."),
    ("eq-trans", "", ":a owl:sameAs :b . :b owl:sameAs :c .", ":a owl:sameAs :c", ":a owl:sameAs :b . :c :p :b ."),
    ("eq-rep-s", "", ":a owl:sameAs :b . :a :p :x .", ":b :p :x", ":a :knows :b . :a :p :x ."),
    ("eq-rep-o", "", ":a owl:sameAs :b . :x :p :a .", ":x :p :b", ":a :knows :b . :x :p :a ."),
    ("prp-dom", ":p rdfs:domain :C .", ":x :p :y .", ":x a :C", ":x :q :y . :y :p :z ."),
    ("prp-rng", ":p rdfs:range :C .", ":x :p :y .", ":y a :C", ":y :p :x ."),
    ("prp-fp", ":p a owl:FunctionalProperty .", ":x :p :y, :z .", ":y owl:sameAs :z", ":x :p :y . :w :p :z ."),
    ("prp-ifp", ":p a owl:InverseFunctionalProperty .", ":x :p :z . :y :p :z .", ":x owl:sameAs :y", ":x :p :z, :y ."),
    ("prp-symp", ":p a owl:SymmetricProperty .", ":x :p :y .", ":y :p :x", ":x :q :y ."),
    ("prp-trp", ":p a owl:TransitiveProperty .", ":x :p :y . :y :p :z .", ":x :p :z", ":x :p :y . :z :p :y ."),
    ("prp-spo1", ":p rdfs:subPropertyOf :q .", ":x :p :y .", ":x :q :y", ":x :r :y ."),
    ("prp-spo2", ":g owl:propertyChainAxiom ( :p :q ) .", ":x :p :y . :y :q :z .", ":x :g :z", ":x :q :y . :y :p :z ."),
    ("prp-eqp1", ":p owl:equivalentProperty :q .", ":x :p :y .", ":x :q :y", ":x :r :y ."),
    ("prp-eqp2", ":p owl:equivalentProperty :q .", ":x :q :y .", ":x :p :y", ":x :r :y ."),
    ("prp-inv1", ":p owl:inverseOf :q .", ":x :p :y .", ":y :q :x", ":y :p :x ."),
    ("prp-inv2", ":p owl:inverseOf :q .", ":x :q :y .", ":y :p :x", ":y :q :x ."),
    (
        "prp-key",
        ":C owl:hasKey ( :p :q ) .",
        ":x a :C ; :p 1 ; :q 2 . :y a :C ; :p 1 ; :q 2 .",
        ":x owl:sameAs :y",
        ":x a :C ; :p 1 ; :q 2 . :y a :C ; :p 1 ; :q 3 . :z :p 1 ; :q 2 .",
    ),
    ("cls-int1", ":C owl:intersectionOf ( :A :B ) .", ":x a :A, :B .", ":x a :C", ":x a :A . :y a :B ."),
    ("cls-int2", ":C owl:intersectionOf ( :A :B ) .", ":x a :C .", ":x a :B", ":x a :A ."),
    ("cls-uni", ":C owl:unionOf ( :A :B ) .", ":x a :B .", ":x a :C", ":x a :D ."),
    (
        "cls-svf1",
        ":C owl:equivalentClass [ owl:onProperty :p ; owl:someValuesFrom :D ] .",
        ":x :p :y . :y a :D .",
        ":x a :C",
        ":x :p :y . :y a :E . :z a :D .",
    ),
    (
        "cls-svf2",
        ":C owl:equivalentClass [ owl:onProperty :p ; owl:someValuesFrom owl:Thing ] .",
        ":x :p :y .",
        ":x a :C",
        ":y :p :z .",
    ),
    (
        "cls-avf",
        ":C rdfs:subClassOf [ owl:onProperty :p ; owl:allValuesFrom :D ] .",
        ":x a :C ; :p :y .",
        ":y a :D",
        ":x :p :y .",
    ),
    (
        "cls-hv1",
        ":C rdfs:subClassOf [ owl:onProperty :p ; owl:hasValue :v ] .",
        ":x a :C .",
        ":x :p :v",
        ":x a :D .",
    ),
    (
        "cls-hv2",
        ":C owl:equivalentClass [ owl:onProperty :p ; owl:hasValue :v ] .",
        ":x :p :v .",
        ":x a :C",
        ":x :p :w .",
    ),
    (
        "cls-maxc2",
        ":C rdfs:subClassOf [ owl:onProperty :p ; owl:maxCardinality 1 ] .",
        ":x a :C ; :p :y, :z .",
        ":y owl:sameAs :z",
        ":x :p :y, :z .",
    ),
    (
        "cls-maxqc3",
        ":C rdfs:subClassOf [ owl:onProperty :p ; owl:maxQualifiedCardinality 1 ; owl:onClass :D ] .",
        ":x a :C ; :p :y, :z . :y a :D . :z a :D .",
        ":y owl:sameAs :z",
        ":x a :C ; :p :y, :z . :y a :D .",
    ),
    (
        "cls-maxqc4",
        ":C rdfs:subClassOf [ owl:onProperty :p ; owl:maxQualifiedCardinality 1 ; owl:onClass owl:Thing ] .",
        ":x a :C ; :p :y, :z .",
        ":y owl:sameAs :z",
        ":x :p :y, :z .",
    ),
    ("cax-sco", ":C rdfs:subClassOf :D .", ":x a :C .", ":x a :D", ":x a :E ."),
    ("cax-eqc1", ":C owl:equivalentClass :D .", ":x a :C .", ":x a :D", ":x a :E ."),
    ("cax-eqc2", ":C owl:equivalentClass :D .", ":x a :D .", ":x a :C", ":x a :E ."),
]


def the(triple: str) -> Triple:
    (parsed,) = parse(triple + " .")
    return parsed


@pytest.mark.parametrize(("rule", "ontology", "data", "entailed", "twin"), RULES, ids=[case[0] for case in RULES])
def test_a_rule_fires_as_its_table_says_and_not_on_the_twin(
    rule: str, ontology: str, data: str, entailed: str, twin: str
) -> None:
    closure = closed(ontology, data)
    assert the(entailed) in closure
    rules = {found.rule for _, found in closure.proof(the(entailed)) if found}
    assert rule in rules
    assert the(entailed) not in closed(ontology, twin)


@pytest.mark.parametrize("case", RULES, ids=[case[0] for case in RULES])
def test_a_rule_fires_in_whatever_order_its_premises_come(case: tuple[str, ...]) -> None:
    _, ontology, data, entailed, _ = case
    rules = Rules(Axioms(parse(ontology)))
    assert the(entailed) in close(reversed(parse(data)), rules)
    assert the(entailed) in close(sorted(parse(data), key=lambda triple: (triple[1] == RDF_TYPE, triple)), rules)


def test_what_was_given_has_no_derivation() -> None:
    closure = closed(":C rdfs:subClassOf :D .", ":x a :C, :D .")
    assert closure.derivation(the(":x a :D")) is None
    assert list(closure) == parse(":x a :C, :D .")


def test_a_proof_leads_back_to_what_was_given() -> None:
    closure = closed(
        ":in a owl:TransitiveProperty . :capital rdfs:subPropertyOf :in . :in owl:inverseOf :has .",
        ":berlin :capital :germany . :germany :in :europe . :mitte :in :berlin .",
    )
    proof = closure.proof(the(":europe :has :mitte"))
    known: set[Triple] = set()
    for triple, found in proof:
        assert found is None or set(found.premises) <= known
        assert found is not None or triple in parse(
            ":berlin :capital :germany . :germany :in :europe . :mitte :in :berlin ."
        )
        known.add(triple)
    assert {found.rule for _, found in proof if found} == {"prp-inv1", "prp-trp", "prp-spo1"}


def test_an_axiom_stands_beside_the_premises() -> None:
    found = closed(":p owl:inverseOf :q .", ":x :p :y .").derivation(the(":y :q :x"))
    assert found is not None
    assert (found.premises, found.axioms) == ((the(":x :p :y"),), (the(":p owl:inverseOf :q"),))


def test_a_functional_property_with_very_many_values_makes_no_equality() -> None:
    values = ", ".join(f":v{n}" for n in range(300))
    closure = closed(":p a owl:FunctionalProperty .", f":x :p {values} .")
    assert closure.is_whole
    assert not closure.derivations


def test_a_closing_that_is_too_large_is_given_up_and_says_so() -> None:
    chain = " ".join(f":n{n} :in :n{n + 1} ." for n in range(400))
    rules = Rules(Axioms(parse(":in a owl:TransitiveProperty .")))
    assert not close(parse(chain), rules, most=1_000).is_whole
    assert not close(parse(chain * 5), rules, timeout_s=0).is_whole
    assert close(parse(chain), rules, timeout_s=600).is_whole


# Against another engine


PROPERTIES = [URIRef(EX + name) for name in "pqr"]
CLASSES = [URIRef(EX + name) for name in "CDE"]
NODES = [URIRef(EX + name) for name in "wxyz"]
_AXIOMS = [f":{p} rdfs:subPropertyOf :{q} ." for p in "pqr" for q in "pqr" if p != q]
_AXIOMS += [f":{p} owl:inverseOf :{q} ." for p in "pqr" for q in "pqr"]
_AXIOMS += [f":{p} a owl:{kind}Property ." for p in "pqr" for kind in ("Transitive", "Symmetric")]
_AXIOMS += [f":{p} rdfs:{end} :{c} ." for p in "pqr" for end in ("domain", "range") for c in "CDE"]
_AXIOMS += [f":{c} rdfs:subClassOf :{d} ." for c in "CDE" for d in "CDE" if c != d]
_AXIOMS += [f":{p} owl:propertyChainAxiom ( :{q} :{r} ) ." for p in "pqr" for q in "pqr" for r in "pqr"]
_AXIOMS += [f":{c} owl:{kind}Of ( :{d} :E ) ." for c in "CD" for d in "CD" for kind in ("union", "intersection")]
_AXIOMS += [
    f":{c} owl:equivalentClass [ a owl:Restriction ; owl:onProperty :{p} ; owl:{kind} :{v} ] ."
    for c in "CD"
    for p in "pq"
    for kind, v in (("someValuesFrom", "E"), ("allValuesFrom", "E"), ("hasValue", "w"))
]
_DATA = [f":{s} :{p} :{o} ." for s in "wxyz" for p in "pqr" for o in "wxyz"]
_DATA += [f":{s} a :{c} ." for s in "wxyz" for c in "CDE"] + [":w owl:sameAs :x ."]


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(_AXIOMS), max_size=5), st.sets(st.sampled_from(_DATA), min_size=1, max_size=6))
def test_what_follows_is_what_owlrl_makes_of_it(axioms: set[str], data: set[str]) -> None:
    import owlrl
    import rdflib

    ontology, facts = parse(" ".join(sorted(axioms))), parse(" ".join(sorted(data)))
    graph = rdflib.Graph()
    for triple in (*ontology, *facts):
        graph.add(triple)
    owlrl.DeductiveClosure(owlrl.OWLRL_Semantics).expand(graph)  # type: ignore[no-untyped-call,attr-defined]
    nodes, terms = set(NODES), {*CLASSES, *PROPERTIES, *NODES}

    def told(triples: object) -> set[Triple]:
        """What is said of the nodes, but for what each engine says of everything."""
        return {
            (s, p, o)
            for s, p, o in triples  # type: ignore[attr-defined]
            if s in nodes and o in terms and not (p == URIRef(OWL + "sameAs") and s == o)
        }

    assert told(close(facts, Rules(Axioms(ontology)))) == told(graph)
