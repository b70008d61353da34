"""Wordings: a name of a property in each of its grammatical forms, and which side of it is the subject."""

from __future__ import annotations

import pytest

from kgllm.claims.wordings import Form, Wordings, base
from kgllm.ontology import Ontology, Property
from kgllm.terms import URIRef

P = URIRef("http://example.org/p")


def meant(name: str, form: Form, words: str) -> list[bool]:
    """For each meaning of the words whether it is turned round."""
    wordings = Wordings(Ontology({}, {P: Property(P, name)}))
    return [meaning.is_turned for meaning in wordings.meanings(form, words.split())]


@pytest.mark.parametrize(
    ("name", "form", "words", "turned"),
    [
        ("directed by", "copula", "directed by", False),
        ("directed by", "active", "directed", True),
        ("director", "noun", "director", False),
        ("director", "copula", "director of", True),
        ("director", "copula", "directed by", False),
        ("director", "active", "directed", True),
        ("commanded", "active", "commanded", False),
        ("commanded", "copula", "commanded by", True),
        ("orbits", "active", "orbited", False),
        ("orbits", "copula", "orbited by", True),
        ("capital of", "copula", "capital of", False),
        ("capital", "copula", "capital of", True),
        ("born in", "copula", "born in", False),
        ("birth place", "copula", "born in", False),
        ("date of birth", "copula", "born on", False),
        ("release year", "copula", "released in", False),
        ("written by", "active", "wrote", True),
    ],
)
def test_a_name_says_who_is_the_subject(name: str, form: Form, words: str, turned: bool) -> None:
    assert meant(name, form, words) == [turned]


@pytest.mark.parametrize(
    ("name", "form", "words"),
    [
        ("author", "noun", "authority"),
        ("pilots", "active", "pilots"),
        ("pilot", "active", "piloted"),
        ("father", "active", "fathered"),
        ("player", "active", "played"),
        ("border", "active", "bordered"),
        ("married", "copula", "married to"),
        ("command module pilot", "noun", "pilot"),
        ("pilot", "noun", "command module pilot"),
        ("directed by", "copula", "written by"),
        ("employee", "active", "employed"),
    ],
)
def test_words_that_are_only_like_a_name_mean_nothing(name: str, form: Form, words: str) -> None:
    assert meant(name, form, words) == []


def test_inflection_is_taken_away_and_nothing_else() -> None:
    same = [("launched", "launch"), ("released", "release"), ("wrote", "written"), ("born", "birth")]
    apart = [("author", "authority"), ("university", "universe"), ("policy", "police"), ("organ", "organization")]
    assert all(base(one) == base(other) for one, other in same)
    assert not any(base(one) == base(other) for one, other in apart)


def test_a_participle_beside_the_verb_of_its_inverse_says_what_is_done_to_its_subject() -> None:
    other = URIRef("http://example.org/q")
    properties = {
        P: Property(P, "encompassed", inverses=(other,)),
        other: Property(other, "encompasses", inverses=(P,)),
    }
    meanings = Wordings(Ontology({}, properties)).meanings("active", ["encompassed"])
    assert {(meaning.property, meaning.is_turned) for meaning in meanings} == {(P, True), (other, False)}
