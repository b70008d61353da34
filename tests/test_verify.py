"""Verify: what a graph bears out is said to be so, and the same sentence with one thing wrong never is."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from kgllm import Assistant
from kgllm.errors import QuestionError

CLAIMS = [  # a sentence, its verdict, the same with one thing wrong, and the verdict of that
    ("Neil Armstrong was the commander of Apollo 11.", "asserted", "Buzz Aldrin was the commander of Apollo 11."),
    ("Neil Armstrong commanded Apollo 11.", "asserted", "Apollo 11 commanded Neil Armstrong."),
    ("Apollo 11 was commanded by Neil Armstrong.", "asserted", "Neil Armstrong was commanded by Apollo 11."),
    ("The commander of Apollo 15 was David Scott.", "asserted", "The commander of David Scott was Apollo 15."),
    ("Apollo 11 was launched on 16 July 1969.", "asserted", "Apollo 11 was launched on 17 July 1969."),
    ("Apollo 11 was launched in 1969.", "asserted", "Apollo 11 was launched in 1970."),
    ("Apollo 11's launch date was July 16, 1969.", "asserted", "Apollo 12's launch date was July 16, 1969."),
    ("Neil Armstrong was born in Wapakoneta.", "asserted", "Neil Armstrong was born in Houston."),
    ("Neil Armstrong is an astronaut.", "asserted", "Neil Armstrong is an engineer."),
    ("Neil Armstrong is a person.", "entailed", "Apollo 11 is a person."),
    ("Neil Armstrong was a crew member of Apollo 11.", "entailed", "Neil Armstrong was a crew member of Apollo 12."),
    ("Buzz Aldrin walked on the Moon.", "asserted", "Yuri Gagarin walked on the Moon."),
    ("Buzz Aldrin walked on the Moon.", "asserted", "The Moon walked on Buzz Aldrin."),
    ("Buzz Aldrin walked on the Moon.", "asserted", "All astronauts walked on the Moon."),
    ("Saturn V launched Apollo 11.", "asserted", "Apollo 11 launched Saturn V."),
    ("The launch vehicle of Apollo 11 was Saturn V.", "asserted", "The launch vehicle of Saturn V was Apollo 11."),
    ("Neil Armstrong commanded Apollo 11.", "asserted", "Only Neil Armstrong commanded Apollo 11."),
    ("Neil Armstrong commanded Apollo 11.", "asserted", "Neil Armstrong first commanded Apollo 11."),
    ("Neil Armstrong commanded Apollo 11.", "asserted", "He commanded Apollo 11."),
    ("Neil Armstrong commanded Apollo 11.", "asserted", "Neil Armstrong did not command Apollo 11."),
    ("Neil Armstrong commanded Apollo 11.", "asserted", "Zaphod Beeblebrox commanded Apollo 11."),
]


@pytest.mark.parametrize(("right", "verdict", "wrong"), CLAIMS, ids=[wrong for _, _, wrong in CLAIMS])
def test_a_sentence_is_borne_out_and_its_twin_is_not(demo: Assistant, right: str, verdict: str, wrong: str) -> None:
    found = demo.verify(right)
    assert found.verdict == verdict
    assert found.claims[0].evidence
    assert demo.verify(wrong).verdict in {"contradicted", "unsupported"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Neil Armstrong was born in Houston.", "one value at most"),
        ("Apollo 11 was launched on 17 July 1969.", "The launch date of Apollo 11 is 1969-07-16."),
        ("Apollo 11 is a person.", "nothing is both a lunar landing mission and a person"),
        ("The Moon walked on Buzz Aldrin.", "an astronaut, not a natural satellite"),
        ("Neil Armstrong did not command Apollo 11.", "the graph says what it denies"),
    ],
)
def test_what_an_axiom_or_a_fact_excludes_is_contradicted_with_the_reason(
    demo: Assistant, text: str, reason: str
) -> None:
    (claim,) = demo.verify(text).claims
    assert claim.verdict == "contradicted"
    assert claim.evidence
    assert reason in (claim.reason or "")


def test_a_property_that_may_have_many_values_contradicts_nothing(demo: Assistant) -> None:
    assert demo.verify("Yuri Gagarin walked on the Moon.").verdict == "unsupported"
    assert demo.verify("Neil Armstrong was a crew member of Apollo 12.").verdict == "unsupported"


def test_a_denial_is_never_borne_out_by_silence(demo: Assistant) -> None:
    (claim,) = demo.verify("Neil Armstrong did not command Apollo 12.").claims
    assert claim.verdict == "unsupported"


def test_each_sentence_has_its_verdict_and_the_text_the_worst(demo: Assistant) -> None:
    found = demo.verify("Neil Armstrong commanded Apollo 11. Neil Armstrong is a person. He was born in Houston.")
    assert [claim.verdict for claim in found.claims] == ["asserted", "entailed", "unsupported"]
    assert found.verdict == "unsupported"
    assert "(by " in str(found)
    entailed = found.to_json()["claims"][1]
    assert entailed["rule"] in {"cax-sco", "prp-dom"}
    assert entailed["premises"]
    assert json.loads(json.dumps(found.to_json())) == found.to_json()


def test_what_follows_by_the_ontology_is_entailed_and_what_it_denies_is_contradicted(
    open_cached: Callable[..., Assistant],
) -> None:
    kg = open_cached("""@prefix : <http://example.org/> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
        @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
        :married a owl:ObjectProperty, owl:SymmetricProperty ; rdfs:label "married to" .
        :likes a owl:ObjectProperty ; rdfs:label "likes" .
        :Anna rdfs:label "Anna Berg" ; :married :Bert ; :likes :Cleo . :Bert rdfs:label "Bert Holm" ; :likes :Anna .
        :Cleo rdfs:label "Cleo Lind" ; :likes :Anna .
        [] a owl:NegativePropertyAssertion ; owl:sourceIndividual :Bert ; owl:assertionProperty :likes ;
           owl:targetIndividual :Cleo .
    """)
    assert kg.verify("Bert Holm is married to Anna Berg.").verdict == "entailed"
    assert kg.verify("Anna Berg is married to Bert Holm.").verdict == "asserted"
    assert kg.verify("Bert Holm is married to Cleo Lind.").verdict == "unsupported"
    assert kg.verify("Bert Holm likes Anna Berg.").verdict == "asserted"
    assert kg.verify("Bert Holm likes Cleo Lind.").verdict == "contradicted"


def test_a_number_may_carry_the_unit_that_its_property_describes(open_cached: Callable[..., Assistant]) -> None:
    kg = open_cached("""@prefix : <http://example.org/> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
        @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
        :mass a owl:DatatypeProperty, owl:FunctionalProperty ; rdfs:label "mass" ; rdfs:comment "In kilograms (kg)." .
        :Rover rdfs:label "Lunar Rover" ; :mass 2100 . :Lander rdfs:label "Moon Lander" ; :mass 15000 .
    """)
    assert kg.verify("The mass of Lunar Rover is 2,100 kg.").verdict == "asserted"
    assert kg.verify("The mass of Lunar Rover is 2,200 kg.").verdict == "contradicted"
    assert kg.verify("The mass of Lunar Rover is 2,100 tons.").verdict == "unsupported"
    assert kg.verify("The mass of Moon Lander is 2,100 kg.").verdict == "contradicted"


def test_what_is_no_text_is_refused_and_what_is_hostile_is_harmless(demo: Assistant) -> None:
    for text in ("", "   ", "x" * 5_000):
        with pytest.raises(QuestionError):
            demo.verify(text)
    hostile = demo.verify("Neil Armstrong \x1b[31mcommanded\x1b[0m <b>Apollo 11</b>.")
    assert hostile.verdict == "unsupported"
    assert "\x1b" not in str(hostile)
