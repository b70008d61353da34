"""The words of a question: what it asks for, which numbers and extremes it sets, in English and in German."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgllm.words import (
    asks_for,
    bounds,
    content_tokens,
    definition_of,
    ends_asking,
    is_function_word,
    looks_like_description,
    most_or_fewest,
    shares,
    stem,
    superlative,
    tokenize,
)


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=60))
def test_tokens_are_the_text_at_their_places_and_lose_only_space(text: str) -> None:
    tokens = tokenize(text)
    assert all(text[token.start : token.end] == token.text for token in tokens)
    assert "".join(token.text for token in tokens) == "".join(text.split())
    asks_for(text), definition_of(text), looks_like_description(text), bounds(text), superlative(text)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Armstrong's crew", ["Armstrong", "'s", "crew"]),
        ("don’t O'Neill", ["don’t", "O'Neill"]),
        ("V-2, Köln?", ["V", "-", "2", ",", "Köln", "?"]),
    ],
)
def test_a_possessive_stands_alone_and_an_apostrophe_inside_does_not(text: str, tokens: list[str]) -> None:
    assert [token.text for token in tokenize(text)] == tokens


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Which astronauts were on Apollo 11?", ["astronauts", "Apollo", "11"]),
        ("List the names of all moons", ["moons"]),
        ("Wer war der Kommandant von Apollo 13?", ["Kommandant", "Apollo", "13"]),
        ("What types are the moons of Mars?", ["types", "moons", "Mars"]),
        ("What type of moon is Phobos?", ["moon", "Phobos"]),
        ("What is it?", []),
    ],
)
def test_the_words_with_content_are_those_of_what_is_asked_about(question: str, words: list[str]) -> None:
    assert [token.text for token in content_tokens(tokenize(question))] == words


def test_grammar_is_told_from_meaning() -> None:
    assert all(map(is_function_word, ("The", "of", "Which", "der", "wurde")))
    assert not any(map(is_function_word, ("moon", "Apollo", "Mond", "commander")))


def test_a_stem_joins_the_forms_of_a_word_and_no_others() -> None:
    assert stem("Launched") == stem("launch") == stem("launches")
    assert stem("commander") != stem("comment")


@pytest.mark.parametrize(
    ("question", "form"),
    [
        ("Who commanded Apollo 11?", "who"),
        ("Whose rover was it?", "who"),
        ("Wer war Kommandant?", "who"),
        ("When was it launched?", "when"),
        ("In which year did it land?", "when"),
        ("Wann startete Apollo 11?", "when"),
        ("Where did it land?", "where"),
        ("Wo landete es?", "where"),
        ("How many moons does Mars have?", "how many"),
        ("What is the number of crew members?", "how many"),
        ("What is the serial number?", "which"),
        ("Total number of missions", "how many"),
        ("Wie viele Monde hat Mars?", "how many"),
        ("Did it land on the Moon?", "yes/no"),
        ("Was Yuri Gagarin on Vostok 1?", "yes/no"),
        ("Was it launched in 1969?", "yes/no"),
        ("Ist Mars ein Planet?", "yes/no"),
        ("Was ist ein Mond?", "which"),
        ("Was bedeutet EVA?", "which"),
        ("Which planet is the largest?", "which"),
        ("Welcher Planet ist der größte?", "which"),
        ("Name the planet that was found last", "other"),
        ("moons of Mars", "other"),
        ("Whoever wins", "other"),
    ],
)
def test_the_wording_says_what_kind_of_answer_is_wanted(question: str, form: str) -> None:
    assert asks_for(question) == form
    assert asks_for(f"  {question}  ") == form


@pytest.mark.parametrize(
    ("question", "rest"),
    [
        ("What is a service module?", "service module"),
        ("Who was Neil Armstrong?", "Neil Armstrong"),
        ("What's the Lunar Gateway", "Lunar Gateway"),
        ("Define spacewalk.", "spacewalk"),
        ("tell me about the Moon!", "Moon"),
        ("What is the meaning of docking?", "docking"),
        ("Was ist ein Servicemodul?", "Servicemodul"),
        ("Wer war der Kommandant?", "Kommandant"),
        ("Which module is this?", None),
        ("When was Neil Armstrong born?", None),
        ("Was Neil Armstrong an astronaut?", None),
        ("What?", None),
    ],
)
def test_what_is_to_be_explained_is_what_stands_behind_the_phrase(question: str, rest: str | None) -> None:
    assert definition_of(question) == rest


@pytest.mark.parametrize(
    ("text", "describes"),
    [
        ("a vehicle that carries people across the Moon", True),
        ("the part that slows a capsule down", True),
        ("a vehicle that carries people?", False),
        ("Which vehicle carries people", False),
        ("list vehicles that carry people", False),
        ("Did it carry people", False),
        ("number of vehicles", False),
        ("Welche Fahrzeuge", False),
    ],
)
def test_a_description_is_told_from_a_question_and_a_request(text: str, describes: bool) -> None:
    assert looks_like_description(text) is describes


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("missions after 1969", [(">", "1969", True)]),
        ("missions before the year 1970", [("<", "1970", True)]),
        ("missions since 1961-04-12", [(">", "1961-04-12", False)]),
        ("missions launched in 1969", [("=", "1969", True)]),
        ("more than 1,000 kg", [(">", "1000", False)]),
        ("at least 2.5 t", [(">=", "2.5", False)]),
        ("no more than 3 people", [("<=", "3", False)]),
        ("after 1960 and before 1970", [(">", "1960", True), ("<", "1970", True)]),
        ("schwerer, mindestens 5 t", [(">=", "5", False)]),
        ("Missionen nach 1969", [(">", "1969", True)]),
        ("between 1950 and 1,960 kg", [(">=", "1950", True), ("<=", "1960", False)]),
        ("born between 1950 and 1960", [(">=", "1950", True), ("<=", "1960", True)]),
        ("from 3 to 5 people", [(">=", "3", False), ("<=", "5", False)]),
        ("born in the 1950s", [(">=", "1950", True), ("<=", "1959", True)]),
        ("the 1950s", []),
        ("from 3 people", []),
        ("a crew of 3", []),
        ("Apollo 11", []),
        ("moreover 5", []),
        ("mehr als ٣", []),
    ],
)
def test_a_bound_is_a_number_with_a_word_for_an_order(question: str, found: list[tuple[str, str, bool]]) -> None:
    assert sorted((b.operator, b.value, b.is_year) for b in bounds(question)) == sorted(found)
    said = [question[b.start : b.end].replace(",", "") for b in bounds(question)]
    assert all(b.value in words or "0s" in words for b, words in zip(bounds(question), said, strict=True))
    assert all(b.is_date == (b.value.count("-") == 2) for b in bounds(question))


def test_a_number_belongs_to_one_bound_alone() -> None:
    assert [b.operator for b in bounds("not less than 5")] == [">="]
    assert [b.operator for b in bounds("no more than 5")] == ["<="]


@pytest.mark.parametrize(
    ("question", "quantity", "descending"),
    [
        ("Which is the heaviest rocket?", "mass", True),
        ("the smallest moon", "size", False),
        ("the most expensive mission", "cost", True),
        ("the least expensive mission", "cost", False),
        ("Welche ist die schwerste Rakete?", "mass", True),
        ("der älteste Astronaut", "age", False),
        ("die ersten Flüge", "date", False),
    ],
)
def test_a_superlative_says_of_what_and_which_end(question: str, quantity: str, descending: bool) -> None:
    found = superlative(question)
    assert found is not None
    assert quantity in found.quantities
    assert found.descending is descending
    assert found.end > found.start


@pytest.mark.parametrize("question", ["a heavy rocket", "the heavier rocket", "Forest fires", "blast radius", "moons"])
def test_what_is_no_superlative_is_none(question: str) -> None:
    assert superlative(question) is None


def test_a_comparative_is_the_greater_of_two() -> None:
    found = superlative("Which is heavier, Apollo or Soyuz?", comparative=True)
    assert found is not None
    assert (found.quantities, found.descending) == (("mass", "weight"), True)
    assert superlative("Which is heaviest?", comparative=True) is None


@pytest.mark.parametrize(
    ("question", "descending"),
    [
        ("Who flew the most missions?", True),
        ("Which moon has the fewest craters?", False),
        ("the most expensive mission", None),
        ("almost every mission", None),
    ],
)
def test_most_and_fewest_count_what_they_stand_before(question: str, descending: bool | None) -> None:
    found = most_or_fewest(question)
    assert (found[0] if found else None) is descending


@pytest.mark.parametrize(
    ("question", "is_last"),
    [
        ("the films directed by the director of Alien starred who", True),
        ("the films of Ridley Scott were released in which years?", True),
        ("who starred in the films directed by the director of Alien", False),
        ("which films were directed by Ridley Scott", False),
    ],
)
def test_what_is_asked_for_may_stand_last(question: str, is_last: bool) -> None:
    assert ends_asking(question) == is_last


@pytest.mark.parametrize(
    ("question", "is_shared"),
    [
        ("which films share actors with Alien", True),
        ("who co-wrote films with Dan O'Bannon", True),
        ("which films have the same director", True),
        ("who wrote Alien", False),
        ("which company makes it", False),
    ],
)
def test_a_question_for_what_has_the_same_says_so(question: str, is_shared: bool) -> None:
    assert shares(question) == is_shared
