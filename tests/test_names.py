"""Names are found exactly, despite typing errors, and by their words."""

from __future__ import annotations

import random
import sqlite3
import string
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgllm.errors import BackendError, DamagedIndexError
from kgllm.names import NameIndex, NameRow, normalise

FILMS = [
    "The Godfather",
    "The Godfather Part II",
    "Ocean's Eleven",
    "Spider-Man",
    "Amélie",
    "Kindergarten Cop",
    "The Silence of the Lambs",
    "$",
    "8½",
    "812",
    "Moon",
    "Moonraker",
    "मून",
]


def rows(names: list[str]) -> list[NameRow]:
    return [NameRow(number, name, "en", 1.0) for number, name in enumerate(names)]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> NameIndex:
    return NameIndex.build(tmp_path_factory.mktemp("names") / "names.sqlite", rows(FILMS))


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("Spider-Man", "spider man"),
        ("has_bom_part", "has bom part"),
        ("Ocean's Eleven", "ocean s eleven"),
        ("L’été", "l ete"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("İstanbul", "istanbul"),
        ("Ａｐｏｌｌｏ 11", "apollo 11"),
        ("(500) Days of Summer", "500 days of summer"),
        ("LEGO™", "lego"),
        ("zero\u200bwidth", "zerowidth"),
        ("line\nbreak\x00and nul", "line break and nul"),
        ("مُحَمَّد", "محمد"),
        ("  ", ""),
    ],
)
def test_case_accents_and_punctuation_make_no_difference(written: str, normal: str) -> None:
    assert normalise(written) == normal


def test_what_is_a_letter_in_its_script_does() -> None:
    assert normalise("が") != normalise("か")
    assert normalise("की") != normalise("का")


@pytest.mark.parametrize("name", ["$", "8½", "C++", "C#", "!!!", "…", "÷", "☃", "?", "1984", "日本"])
def test_every_name_keeps_something_distinctive(name: str) -> None:
    others = ["C", "8", "81 2", "812", "", "1"]
    assert normalise(name) not in [normalise(other) for other in others]


@given(st.text(max_size=40))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == " ".join(once.split())


def test_exact_finds_every_form_asked_for(films: NameIndex) -> None:
    found = films.exact(["amelie", "spider man", "$", "8 1 2", "nothing"])
    assert {normal: [match.name for match in matches] for normal, matches in found.items()} == {
        "amelie": ["Amélie"],
        "spider man": ["Spider-Man"],
        "$": ["$"],
        "8 1 2": ["8½"],
    }
    assert found["$"][0].score == 1


def test_exact_takes_any_number_of_forms(films: NameIndex) -> None:
    assert list(films.exact([f"no {n}" for n in range(40_000)] + ["moon", "moon"])) == ["moon"]


def test_namesakes_come_weightiest_first_and_not_without_end(tmp_path: Path) -> None:
    index = NameIndex.build(tmp_path / "n", [NameRow(n, "Untitled", None, float(n)) for n in range(5_000)])
    assert [match.row for match in index.exact(["untitled"])["untitled"]] == list(range(4_999, 4_899, -1))
    assert [match.row for match in index.similar("untitled", k=2)] == [4_999, 4_998]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Moonraker", "Moonraker"),
        ("Monraker", "Moonraker"),
        ("Kindergarden Cop", "Kindergarten Cop"),
        ("the silence of the lamb", "The Silence of the Lambs"),
        ("silense lambs", "The Silence of the Lambs"),
        ("oceans eleven", "Ocean's Eleven"),
        ("the godfater", "The Godfather"),
        ("godfather part ii", "The Godfather Part II"),
        ("kindergarten c", "Kindergarten Cop"),
        ("Amelei", "Amélie"),
        ("$", "$"),
    ],
)
def test_a_mistyped_name_is_found(films: NameIndex, typed: str, meant: str) -> None:
    best = films.similar(typed, k=3)[0]
    assert best.name == meant
    assert 0.5 < best.score <= 1
    assert (best.score == 1) == (normalise(typed) == normalise(meant))


@pytest.mark.parametrize("text", ["", "  ", '"', "* AND (", "xyzzyqqq", "NEAR(", "\ud800", "a" * 10_000, "normal:x"])
def test_text_like_nothing_finds_nothing_and_breaks_nothing(films: NameIndex, text: str) -> None:
    assert films.similar(text, k=5) == []
    assert films.search(text, k=5) == []


@pytest.mark.parametrize(
    ("letters", "names"),
    [
        ("TSOTL", ["The Silence of the Lambs"]),
        ("SL", ["The Silence of the Lambs"]),
        ("k.c.", ["Kindergarten Cop"]),
        ("TSO", []),
        ("M", []),
        ("", []),
    ],
)
def test_initials_find_the_whole_name_with_and_without_its_grammar(
    films: NameIndex, letters: str, names: list[str]
) -> None:
    assert [match.name for match in films.abbreviated(letters)] == names


def test_search_finds_by_a_single_word_of_a_name(films: NameIndex) -> None:
    names = [match.name for match in films.search("godfather", k=5)]
    assert names == ["The Godfather", "The Godfather Part II"]
    assert films.search("moon", k=5)[0].score == 1


def test_one_match_a_row_and_no_more_than_k(tmp_path: Path) -> None:
    names = [NameRow(n // 2, f"red moon {n}", "en", 1.0) for n in range(20)]
    found = NameIndex.build(tmp_path / "n", names).similar("red moon", k=7)
    assert len({match.row for match in found}) == len(found) == 7


def test_a_mistyping_of_one_letter_is_found_among_many(tmp_path: Path) -> None:
    chance = random.Random(1)
    names = ["".join(chance.choices(string.ascii_lowercase, k=9)) for _ in range(5_000)]
    index = NameIndex.build(tmp_path / "n", rows(names))
    mistyped = [(name, name[:4] + name[5:]) for name in names[:50]]
    assert all(name in [match.name for match in index.similar(typed, k=3)] for name, typed in mistyped)


def test_names_that_no_form_is_left_of_are_not_indexed(tmp_path: Path) -> None:
    assert len(NameIndex.build(tmp_path / "n", rows([" ", "\u200b", "a \ud800 b"]))) == 1


def test_threads_share_an_index(films: NameIndex) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: films.similar("Monraker", k=1)[0].name, range(100)))
    assert set(found) == {"Moonraker"}


def test_the_file_is_never_written_again(tmp_path: Path) -> None:
    index = NameIndex.build(tmp_path / "n", rows(FILMS))
    before = (tmp_path / "n").read_bytes()
    index.search("moon rakr", k=3)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        index._connection.execute("DELETE FROM name")
    index.close()
    index.close()
    assert (tmp_path / "n").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["n"]


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_a_file_that_is_no_index_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "names.sqlite").write_bytes(content)
    with pytest.raises(DamagedIndexError, match=r"names\.sqlite"):
        NameIndex(tmp_path / "names.sqlite")


def test_an_index_is_not_built_over_a_file_that_is_there(tmp_path: Path) -> None:
    NameIndex.build(tmp_path / "n", rows(FILMS)).close()
    with pytest.raises(BackendError, match="cannot be written"):
        NameIndex.build(tmp_path / "n", rows(FILMS))


def test_a_short_name_goes_after_whole_ones_and_by_itself_only_where_there_is_none(tmp_path: Path) -> None:
    index = NameIndex.build(
        tmp_path / "names.sqlite",
        [
            NameRow(0, "Fame", None, 9.0, is_short=True),
            NameRow(1, "Fame", None, 0.0),
            NameRow(2, "Fame", None, 900.0, is_short=True),
            NameRow(3, "Low", None, 9.0, is_short=True),
        ],
    )
    found = index.exact(["fame", "low"], shortened=True)
    assert [match.row for match in found["fame"]] == [1, 2, 0]
    assert [match.is_short for match in found["fame"]] == [False, True, True]
    assert {normal: [m.row for m in matches] for normal, matches in index.exact(["fame", "low"]).items()} == {
        "fame": [1],
        "low": [3],
    }
    assert [match.row for match in index.search("Fame", k=1)] == [1]
