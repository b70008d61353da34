"""Coverage: how much of a text the words of a description say, exactly or by meaning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from kgllm.coverage import WordTable, words_of
from kgllm.protocols import Vectors

MEANINGS = {"boat": 0.0, "ship": 0.3, "boats": 0.1, "river": 1.6, "stream": 1.8}


class Meanings:
    """Words on a circle, those of like meaning side by side; every other word is opposite them all."""

    dimension = 2

    def embed(self, texts: Sequence[str], **_: object) -> Vectors:
        angles = [MEANINGS.get(text, 4.0) for text in texts]
        return np.array([[np.cos(angle), np.sin(angle)] for angle in angles], dtype=np.float32)


TEXTS = ["a ship on a river", "the ship", "a river", "thing", "a thing of the past", "a thing to come", "things"]


@pytest.fixture
def table(tmp_path: Path) -> WordTable:
    WordTable.build(tmp_path, TEXTS, Meanings())  # type: ignore[arg-type]
    return WordTable(tmp_path)


def covered(table: WordTable, text: str, *descriptions: str) -> list[float]:
    return [round(share, 2) for share in table.of_each(text, descriptions, embed=Meanings().embed)]


def test_a_description_with_every_word_covers_a_text_and_one_with_none_does_not(table: WordTable) -> None:
    assert covered(table, "a ship on the river", "the river had a ship", "a thing") == [1, 0]


def test_a_word_of_like_meaning_covers_nearly_as_much(table: WordTable) -> None:
    assert covered(table, "boat", "a ship", "a river", "a thing") == [0.96, 0, 0]
    assert covered(table, "stream", "a ship", "a river") == [0, 0.98]


def test_another_form_of_a_word_is_the_word_though_only_one_description_has_it(table: WordTable) -> None:
    assert covered(table, "the past", "it passed", "of the past") == [0, 1]
    assert covered(table, "two ships", "one ship") == covered(table, "two ship", "one ship")


def test_a_rare_word_counts_more_than_a_common_one(table: WordTable) -> None:
    rare, common = covered(table, "a river thing", "a river", "a thing")
    assert rare > common > 0


def test_a_text_of_nothing_but_grammar_is_covered_by_nothing(table: WordTable) -> None:
    assert covered(table, "what is the", "a ship", "") == [0, 0]
    assert covered(table, "", "a ship") == [0]
    assert words_of("What is the Ship of a ship?") == ["ship"]


def test_without_descriptions_nothing_is_covered(tmp_path: Path) -> None:
    WordTable.build(tmp_path, [], Meanings())  # type: ignore[arg-type]
    assert covered(WordTable(tmp_path), "a ship", "a ship") == [0]
