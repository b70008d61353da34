"""The index: descriptions by row and by IRI, labels for everything, and search by name and by meaning."""

from __future__ import annotations

import numpy as np
import pytest

from kgllm import Assistant
from kgllm.index import Index
from kgllm.terms import URIRef

SPACE = "https://example.org/spaceflight/"
SF = SPACE + "ontology#"
ARMSTRONG = URIRef(SPACE + "Neil_Armstrong")
NOWHERE = URIRef("urn:x:NoSuchNode")


@pytest.fixture
def index(demo: Assistant) -> Index:
    return demo.index


def test_a_description_is_found_by_its_iri_and_an_unknown_one_is_not(index: Index) -> None:
    found = index.described([ARMSTRONG, NOWHERE, ARMSTRONG])
    assert list(found) == [ARMSTRONG]
    assert (found[ARMSTRONG].kind, found[ARMSTRONG].label) == ("node", "Neil Armstrong")


def test_every_iri_has_a_label_at_least_its_local_name(index: Index) -> None:
    assert index.label(ARMSTRONG) == "Neil Armstrong"
    assert index.labels([URIRef(SF + "commander"), NOWHERE]) == {
        URIRef(SF + "commander"): "commander",
        NOWHERE: "no such node",
    }
    assert index.labels([]) == {}


def test_rows_hold_as_many_descriptions_as_vectors(index: Index) -> None:
    assert len(index) == len(index.vectors)
    assert len(index.descriptions(range(len(index)))) == len(index)
    assert index.descriptions([len(index)]) == {}


def test_more_iris_than_one_query_takes_are_all_described(index: Index) -> None:
    every = [description.iri for description in index.descriptions(range(len(index))).values()]
    assert len(every) > 1_000
    assert set(index.described(every)) == set(every)


def test_the_nearest_are_best_first(index: Index) -> None:
    hits = index.nearest("a walk outside a spacecraft", k=5)
    assert URIRef(SF + "Spacewalk") in {hit.iri for hit in hits}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_the_nearest_among_some_rows_are_of_these(index: Index) -> None:
    rows = index.rows_of_type([URIRef(SF + "Programme")])
    hits = index.nearest("landing people on the Moon", k=3, among=rows)
    assert hits[0].iri == URIRef(SPACE + "Apollo_programme")
    assert {hit.iri for hit in hits} <= {d.iri for d in index.descriptions(rows).values()}


def test_search_gives_each_iri_once_with_scores_in_the_unit_interval(index: Index) -> None:
    hits = index.search("Apollo 11", k=10)
    assert hits[0].iri == URIRef(SPACE + "Apollo_11")
    assert len({hit.iri for hit in hits}) == len(hits) == 10
    assert all(0 <= hit.score <= 1 for hit in hits)


def found(index: Index, text: str) -> list[str]:
    return [hit.iri.removeprefix(SPACE) for hit in index.search(text, k=10)]


def test_a_text_in_capitals_finds_what_has_these_initials(index: Index) -> None:
    assert set(found(index, "PC")[:2]) == {"Panoramic_Camera", "Pete_Conrad"}
    assert not {"Panoramic_Camera", "Pete_Conrad"} & set(found(index, "pc"))


def test_a_name_that_is_a_word_of_a_long_text_does_not_stand_before_what_the_text_means(index: Index) -> None:
    described = "the first American to go around the Earth, who flew again in a shuttle thirty-six years later"
    assert found(index, described)[0] == "John_Glenn"
    assert found(index, "Earth")[0] == "Earth"


def test_a_name_in_a_long_text_is_found_where_it_has_its_capitals(index: Index) -> None:
    said = "whoever may have cooked the meals that people ate on board of {}, three times a day"
    capital, small = (index.search(said.format(name))[0] for name in ("Gemini 9A", "gemini 9a"))
    assert capital.iri == small.iri == URIRef(SPACE + "Gemini_9A")
    assert capital.score > small.score


@pytest.mark.parametrize("text", ["Neil Armstrong", "Niel Armstrong", "armstrong"])
def test_a_name_is_found_whole_mistyped_and_by_one_word(index: Index, text: str) -> None:
    assert found(index, text)[0] == "Neil_Armstrong"


def test_phrases_are_unit_vectors_and_the_same_every_time(index: Index) -> None:
    once, again = index.phrase_vectors(["commander", "an unseen phrase"]), index.phrase_vectors(["an unseen phrase"])
    assert np.allclose(np.linalg.norm(once, axis=1), 1, atol=1e-3)
    assert np.array_equal(once[1], again[0])
    assert index.phrase_vectors([]).shape == (0, index.embedder.dimension)


def test_names_match_whole_whatever_their_case(index: Index) -> None:
    rows = {match.row for match in index.names.exact(["neil armstrong"])["neil armstrong"]}
    assert ARMSTRONG in {description.iri for description in index.descriptions(sorted(rows)).values()}
    assert not index.names.exact(["neil armstrongest"]).get("neil armstrongest")
