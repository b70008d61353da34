"""Words of one family have one root, and a compound is of the kind of its second part."""

from __future__ import annotations

import pytest

from kgllm.roots import heads, root


@pytest.mark.parametrize(
    "words",
    [
        "write wrote written writer writers writing",
        "direct directed director",
        "act acted actor actress",
        "win winner won",
    ],
)
def test_the_forms_of_a_verb_and_who_does_it_have_one_root(words: str) -> None:
    assert len({root(word) for word in words.split()}) == 1


@pytest.mark.parametrize(("word", "other"), [("employer", "employee"), ("writer", "reader"), ("father", "fat")])
def test_other_words_have_other_roots(word: str, other: str) -> None:
    assert root(word) != root(other)


def test_a_compound_has_the_root_of_its_second_part() -> None:
    assert root("writer") in heads("screenwriter")
    assert root("screen") not in heads("screenwriter")
    assert not list(heads("writer"))[1:], "a word is no compound of what is left of it"
