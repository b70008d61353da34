"""Link: the words of a question are tied to what they name, the longest name first."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kgllm import Assistant
from kgllm.link import Links, link
from kgllm.similarity import Vocabulary

EX = "http://example.org/"
PLACES = f"""@prefix ex: <{EX}> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
ex:york a ex:City ; rdfs:label "York" ; ex:code "YRK-1" . ex:new_york a ex:City ; rdfs:label "New York" .
ex:new_york_times a ex:Paper ; rdfs:label "New York Times" ; ex:city ex:new_york .
ex:hall a ex:Building ; rdfs:label "Town Hall 12" . ex:road a ex:Road ; rdfs:label "Route" .
ex:road_66 a ex:Road ; rdfs:label "Route 66" .
ex:loop_sensor a ex:Part ; rdfs:label "Loop Sensor" . ex:paris a ex:City ; rdfs:label "Paris" ; ex:country ex:france .
ex:paris_texas a ex:City ; rdfs:label "Paris" . ex:france rdfs:label "France" .
ex:fame_film a ex:Film ; rdfs:label "Fame (1980 film)" ; ex:city ex:new_york ; ex:star ex:irene ; ex:code "F" .
ex:fame a ex:Song ; rdfs:label "Fame" . ex:low a ex:Album ; rdfs:label "Low Tide (David Bowie album)" .
"""
Linked = Callable[[str], Links]


@pytest.fixture(scope="module")
def linked(open_cached: Callable[..., Assistant]) -> Linked:
    vocabulary = Vocabulary(open_cached(PLACES).index)
    return lambda question: link(question, vocabulary=vocabulary)


def named(links: Links) -> dict[str, str]:
    return {hit.span: hit.iri.removeprefix(EX) for hit in links.hits() if hit.kind == "node"}


@pytest.mark.parametrize(
    ("question", "mentions"),
    [
        ("Which city is the New York Times from?", {"New York Times": "new_york_times"}),
        ("Is New York larger than York?", {"New York": "new_york", "York": "york"}),
        ("where is the new york times?", {"new york times": "new_york_times"}),
        ("How many Loop Sensors are there?", {"Loop Sensors": "loop_sensor"}),
        ("What about New Yorke Times?", {"New Yorke Times": "new_york_times"}),
        ("Where is Town Hal 12?", {"Town Hal 12": "hall"}),
        ("Where is Town Hall 21?", {}),
        ("Where does Route 77 end?", {}),
        ("Where does Route 66 end?", {"Route 66": "road_66"}),
        ("Where did Route 1926 end?", {"Route": "road"}),
        ("Did Route have 77 lanes?", {"Route": "road"}),
        ("What was York 77 years ago?", {"York": "york"}),
        ("Where is Atlantis?", {}),
        ("Where was Low Tide made?", {"Low Tide": "low"}),
        ("Where was Low Tide (David Bowie album) made?", {"Low Tide (David Bowie album)": "low"}),
        ("Where was Low Tide (the single) made?", {"Low Tide": "low"}),
        ("", {}),
    ],
)
def test_the_longest_name_is_linked_and_no_token_twice(linked: Linked, question: str, mentions: dict[str, str]) -> None:
    links = linked(question)
    assert named(links) == mentions
    for one, other in zip(links.mentions, links.mentions[1:], strict=False):
        assert not one.overlaps(other)


def test_a_name_of_two_has_both_as_candidates_the_better_connected_first(linked: Linked) -> None:
    (paris,) = [m for m in linked("Which country is Paris in?").mentions if m.text == "Paris"]
    assert [c.description.iri.removeprefix(EX) for c in paris.candidates if c.description] == ["paris", "paris_texas"]
    assert all(0 < candidate.score <= 1 for candidate in paris.candidates)


def test_what_has_just_that_name_goes_before_what_has_it_with_a_note(linked: Linked) -> None:
    (mention,) = linked("Where was Fame made?").named()
    assert [c.term().removeprefix(EX) for c in mention.candidates] == ["fame", "fame_film"]
    (mention,) = linked("Where was Fame (1980 film) made?").named()
    assert [c.term().removeprefix(EX) for c in mention.candidates] == ["fame_film"]


def test_a_quoted_value_is_linked_as_a_value(linked: Linked) -> None:
    (code,) = [m for m in linked("Which city has YRK-1?").mentions if m.text == "YRK-1"]
    assert code.candidates[0].kind == "value"
    assert code.candidates[0].value is not None
    assert str(code.candidates[0].value.literal) == "YRK-1"


def test_search_finds_what_has_just_that_name_before_what_has_it_with_a_note(
    open_cached: Callable[..., Assistant],
) -> None:
    hits = open_cached(PLACES).search("Fame", k=2)
    assert [hit.iri.removeprefix(EX) for hit in hits] == ["fame", "fame_film"]
    assert hits[0].score > hits[1].score > 0.8


def test_search_finds_what_has_a_label_before_what_has_only_an_iri(open_cached: Callable[..., Assistant]) -> None:
    hits = open_cached(PLACES + "<http://example.org/pages/Paris> ex:about ex:paris .").search("Paris", k=3)
    assert [hit.iri.removeprefix(EX) for hit in hits] == ["paris", "paris_texas", "pages/Paris"]
    assert hits[2].score == hits[0].score, "it is called so all the same"
