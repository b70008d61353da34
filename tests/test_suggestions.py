"""Suggestions: questions worded from a graph's own paths, which have an answer and which kgllm answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kgllm import Assistant
from kgllm.samples import Samples
from kgllm.suggestions import Suggestion, suggestions
from kgllm.terms import URIRef

GRAPH = """
@prefix e: <http://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
e:Agency rdfs:label "agency" . e:Person rdfs:label "person" . e:Ship rdfs:label "ship (vessel)" .
e:captain rdfs:label "has captain" . e:paintedBy rdfs:label "painted by" . e:in rdfs:label "in language" .
e:moored rdfs:label "is moored at" . e:launched rdfs:label "launch date" .
e:mary a e:Ship ; rdfs:label "Mary"@en, "Maria"@de ; e:captain e:ann ; e:paintedBy e:bob ;
  e:in "English" ; e:moored e:pier ; e:launched "1901-05-01"^^xsd:date .
e:anna a e:Ship ; rdfs:label "Anna" ; e:captain e:ann ; e:moored e:pier ; e:launched "1911-05-01"^^xsd:date .
e:ann a e:Person ; rdfs:label "Ann" ; e:employer e:navy . e:bob a e:Person ; rdfs:label "Bob" .
e:navy a e:Agency ; rdfs:label "the Navy" . e:pier a e:Pier ; rdfs:label "Pier 9" .
"""

Open = Callable[..., Assistant]


def made(kg: Assistant, *languages: str) -> dict[str, Suggestion]:
    samples = Samples(kg.index.store, languages or ("en", ""), timeout_s=10)
    return {suggestion.question: suggestion for suggestion in suggestions(kg.index.ontology, samples)}


@pytest.fixture
def kg(open_cached: Open) -> Assistant:
    return open_cached(GRAPH)


def test_questions_of_each_form_are_made_in_words_that_one_can_read(kg: Assistant) -> None:
    assert set(made(kg)) == {
        "What is the employer of the captain of Anna?",
        "Who is the captain of Anna?",
        "What is the employer of Ann?",
        "What is the launch date of Anna?",
        "Which ship has the latest launch date?",
        "Which ships have Ann as their captain?",
        "Which ships are moored at Pier 9?",
        "Which people have the Navy as their employer?",
        "How many ships are there?",
        "How many people are there?",
    }


def test_a_label_that_no_question_can_be_made_with_is_left_out(kg: Assistant) -> None:
    assert not [question for question in made(kg) if "painted" in question or "language" in question]


def test_names_are_those_of_the_languages_asked_for(kg: Assistant) -> None:
    german = made(kg, "de")
    assert "Who is the captain of Maria?" not in german, "its captain has no German name"
    assert "What is the launch date of Maria?" in german


def test_every_question_has_an_answer_in_the_graph_and_kgllm_gives_it(kg: Assistant, demo: Assistant) -> None:
    for graph in (kg, demo):
        for question, suggestion in made(graph).items():
            gold = {row[0] for row in graph.index.store.select(suggestion.query.to_sparql()).rows}
            assert gold, question
            assert set(graph.ask(question).results) == gold, question


def test_no_property_is_asked_about_twice_while_there_are_others(demo: Assistant) -> None:
    properties = [suggestion.properties for suggestion in made(demo).values()]
    assert len(properties) == 10
    assert not any(one & other for place, one in enumerate(properties) for other in properties[:place])


def test_a_graph_that_names_nothing_has_names_of_its_iris_but_not_of_numbers(open_cached: Open) -> None:
    kg = open_cached(
        "@prefix e: <http://example.org/> .\n"
        "e:Eve_Smith a e:Person ; e:mother e:x17 . e:Zoe_Smith a e:Person ; e:mother e:Eve_Smith ."
    )
    samples = Samples(kg.index.store, ("en", ""), timeout_s=10)
    assert samples.instances(URIRef("http://example.org/Person"), count=2, most=3) == ("Eve Smith", "Zoe Smith")
    found = samples.path(URIRef("http://example.org/Person"), [URIRef("http://example.org/mother")], count=2)
    assert found is not None
    assert found[2:] == ("Zoe Smith", "Eve Smith")
    assert samples.path(URIRef("http://example.org/Person"), [URIRef("http://example.org/father")], count=0) is None


def test_a_graph_without_classes_has_nothing_to_ask(open_cached: Open) -> None:
    assert made(open_cached("@prefix e: <http://example.org/> .\ne:a e:b e:c .\n")) == {}
