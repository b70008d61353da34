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
    (
        "Neil Armstrong was born on 5 August 1930 and died on 25 August 2012.",
        "asserted",
        "Neil Armstrong died on 5 August 1930 and was born on 25 August 2012.",
    ),
    (
        "Neil Armstrong commanded Apollo 11 and Pete Conrad commanded Apollo 12.",
        "asserted",
        "Neil Armstrong commanded Apollo 12 and Pete Conrad commanded Apollo 11.",
    ),
    (
        "Armstrong, born in Wapakoneta, commanded Apollo 11.",
        "asserted",
        "Armstrong, born in Houston, commanded Apollo 11.",
    ),
    (
        "Neil Armstrong was born on 5 August 1930 in Wapakoneta.",
        "asserted",
        "Neil Armstrong was born on 5 August 1930 in Houston.",
    ),
    ("The Moon orbits the Earth.", "asserted", "The Moon is orbited by the Earth."),
    ("Apollo 11 was followed by Apollo 12.", "asserted", "Apollo 11 follows Apollo 12."),
    ("The call sign of Apollo 11 was Columbia.", "asserted", "The call sign of Columbia is Apollo 11."),
    ("Neil Armstrong flew on Apollo 11.", "entailed", "Neil Armstrong flew to Apollo 11."),
    ("Apollo 11 landed at Tranquility Base.", "asserted", "Apollo 11 landed at Tranquility Base on 24 July 1969."),
    ("Neil Armstrong was employed by NASA.", "asserted", "NASA was employed by Neil Armstrong."),
    ("The astronaut Neil Armstrong commanded Apollo 11.", "asserted", "The engineer Neil Armstrong led Apollo 11."),
    ("Saturn V has a mass of 2,950,000 kg.", "asserted", "Saturn V has a mass of 2,950,000 pounds."),
    ("The mass of Saturn V is 2,950 tonnes.", "asserted", "The mass of Saturn V is 2,950,000 tonnes."),
    ("Apollo 11 had three crew members.", "entailed", "Apollo 11 had four crew members."),
    ("The commander of Apollo 11 was Neil Armstrong.", "asserted", "Der Kommandant von Neil Armstrong war Apollo 11."),
    ("Neil Armstrong wurde in Wapakoneta geboren.", "asserted", "Neil Armstrong wurde in Houston geboren."),
    ("NASA ran the Gemini programme.", "asserted", "NASA was run by the Gemini programme."),
    ('Vostok 1\'s call sign was "Kedr".', "asserted", "Yuri Gagarin's call sign was Vostok 1."),
    ("Vostok 1 had the call sign Kedr.", "asserted", "Kedr had the call sign Vostok 1."),
    (
        "Jim Lovell commanded Apollo 13, which was launched on 11 April 1970.",
        "asserted",
        "Jim Lovell commanded Apollo 13, which was launched on 17 April 1970.",
    ),
    (
        "Neil Armstrong was born on August 5, 1930, in Wapakoneta.",
        "asserted",
        "Neil Armstrong was born on August 25, 2012, in Wapakoneta.",
    ),
    (
        "Yuri Gagarin commanded Vostok 1 and was born in 1934.",
        "asserted",
        "Yuri Gagarin commanded Vostok 1 and Vostok 2.",
    ),
    (
        "The command module pilot of Apollo 11 was Michael Collins.",
        "asserted",
        "The command module pilot of Apollo 11 was Buzz Aldrin and its lunar module pilot was Michael Collins.",
    ),
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


@pytest.mark.parametrize(
    "text",
    [
        "Neil Armstrong hardly commanded Apollo 11.",
        "Neil Armstrong refused to command Apollo 11.",
        "It is false that Neil Armstrong commanded Apollo 11.",
        "If Neil Armstrong commanded Apollo 11, then Buzz Aldrin commanded Apollo 11.",
        "Did Neil Armstrong command Apollo 11?",
        "Nobody but Neil Armstrong walked on the Moon.",
        "Neil Armstrong walked on the Moon in 1930.",
        "Apollo 11 was commander to Neil Armstrong.",
        "Neil Armstrong, Buzz Aldrin and Michael Collins walked on the Moon.",
        "Neil Armstrong commanded Apollo 11 and Buzz Aldrin.",
    ],
)
def test_no_word_of_a_sentence_is_passed_over(demo: Assistant, text: str) -> None:
    assert demo.verify(text).verdict in {"unsupported", "contradicted"}


def test_a_pronoun_is_the_one_node_of_its_kind_in_the_sentence_before(demo: Assistant) -> None:
    found = demo.verify("Neil Armstrong commanded Apollo 11. He was born in Wapakoneta. It was launched in 1969.")
    assert [claim.verdict for claim in found.claims] == ["asserted", "asserted", "unsupported"]  # it is the town
    unclear = demo.verify("Neil Armstrong and Buzz Aldrin walked on the Moon. He was born in Wapakoneta.")
    assert [claim.verdict for claim in unclear.claims] == ["asserted", "unsupported"]


def test_what_words_may_mean_loosely_is_not_held_against_them(demo: Assistant) -> None:
    assert demo.verify("Apollo 11 is part of the Apollo programme.").verdict != "contradicted"
    assert demo.verify("Neil Armstrong was not from Wapakoneta.").verdict == "unsupported"


def test_a_property_that_may_have_many_values_contradicts_nothing(demo: Assistant) -> None:
    assert demo.verify("Yuri Gagarin walked on the Moon.").verdict == "unsupported"
    assert demo.verify("Neil Armstrong was a crew member of Apollo 12.").verdict == "unsupported"


def test_a_denial_is_never_borne_out_by_silence(demo: Assistant) -> None:
    (claim,) = demo.verify("Neil Armstrong did not command Apollo 12.").claims
    assert claim.verdict == "unsupported"


def test_each_sentence_has_its_verdict_and_the_text_the_worst(demo: Assistant) -> None:
    found = demo.verify("Neil Armstrong commanded Apollo 11. Neil Armstrong is a person. He was born in Houston.")
    assert [claim.verdict for claim in found.claims] == ["asserted", "entailed", "contradicted"]
    assert found.verdict == "contradicted"
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
    assert kg.verify("Bert Holm does not like Cleo Lind.").verdict == "entailed"
    assert kg.verify("Bert Holm does not like Anna Berg.").verdict == "contradicted"
    assert kg.verify("Anna Berg does not like Bert Holm.").verdict == "unsupported"


def test_a_full_stop_within_a_name_a_date_or_an_abbreviation_ends_no_sentence(
    open_cached: Callable[..., Assistant],
) -> None:
    kg = open_cached("""@prefix : <http://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
        :author rdfs:label "author" . :born rdfs:label "birth date" .
        :Book rdfs:label "St. Ives. A Tale" ; :author :Ann . :Ann rdfs:label "Ann P. Lee" ; :born "1850-07-16" .
    """)
    found = kg.verify(
        "The author of St. Ives. A Tale is Ann P. Lee. Ann P. Lee wurde am 16. Juli 1850 geboren. No. 5 is."
    )
    assert [claim.text for claim in found.claims] == [
        "The author of St. Ives. A Tale is Ann P. Lee.",
        "Ann P. Lee wurde am 16. Juli 1850 geboren.",
        "No. 5 is.",
    ]
    assert [claim.verdict for claim in found.claims] == ["asserted", "unsupported", "unsupported"]


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
