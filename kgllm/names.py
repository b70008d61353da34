"""The names of a graph's nodes, classes and properties: looked up exactly, despite typing errors, and by their words.

One SQLite file, written once and read-only from then on. Names are compared in a *normal* form (``normalise``).
"""

from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote

from kgllm.errors import BackendError, DamagedIndexError
from kgllm.words import is_function_word

__all__ = ["WITHOUT_NOTE", "NameIndex", "NameMatch", "NameRow", "normalise", "without_note"]

WITHOUT_NOTE = 0.9  # score of a name whose note in brackets is left out: "Thriller" is rather what has just that name
_NOTE = 3  # words behind a comma that are no more than a note
_LONGEST_NAME = 300  # characters; what is longer is a description
_NAMESAKES = 100  # names of one normal form that a look-up gives: the weightiest
_CANDIDATES = 100  # a full-text query; comparing 200 names takes 0.1 ms
_WORDS = 16  # of a text that are looked at
_VOCABULARY = 200_000  # words, the commonest, that a mistyped word is compared with
_SPELLING_CUTOFF = 80.0
_MOST_INITIALS = 6

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE name (id INTEGER PRIMARY KEY, row INTEGER, name TEXT, normal TEXT, lang TEXT, weight REAL);
CREATE TABLE initials (letters TEXT, id INTEGER);
CREATE VIRTUAL TABLE words USING fts5 (
    normal, content = 'name', content_rowid = 'id',
    tokenize = "unicode61 remove_diacritics 2 categories 'L* M* N* Co'"
);
CREATE VIRTUAL TABLE term USING fts5vocab (words, row);
"""
_FINISH = """
CREATE INDEX name_by_normal ON name (normal, weight DESC);
CREATE INDEX name_by_initials ON initials (letters);
INSERT INTO words (words) VALUES ('rebuild');
INSERT INTO words (words) VALUES ('optimize');
"""
_EXACT = """
SELECT wanted.value, name.row, name.name, name.lang, name.weight FROM json_each(?) AS wanted
JOIN name ON name.id IN (SELECT id FROM name WHERE normal = wanted.value ORDER BY weight DESC LIMIT ?)
"""
_ABBREVIATED = """
SELECT name.row, name.name, name.lang, name.weight FROM initials JOIN name ON name.id = initials.id
WHERE initials.letters = ? ORDER BY name.weight DESC LIMIT ?
"""
_FULL_TEXT = """
SELECT name.id, name.row, name.name, name.normal, name.lang, name.weight
FROM (SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?) AS found JOIN name ON name.id = found.rowid
"""


@dataclass(frozen=True, slots=True)
class NameRow:
    """A name to index: ``row`` is the caller's number of what bears it; namesakes with more ``weight`` go first.

    The weight is at least 0. A name that ``is_short`` goes after all that are somebody's whole name.
    """

    row: int
    name: str
    lang: str | None
    weight: float
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class NameMatch:
    """A name that was found. ``score`` is in [0, 1]; 1 is the same normal form."""

    row: int
    name: str
    lang: str | None
    score: float
    weight: float  # below 0 for a name without its note in brackets

    @property
    def is_short(self) -> bool:
        """Whether what bears the name has a note behind it."""
        return self.weight < 0


def normalise(text: str) -> str:
    """The form in which names are compared: no case, accents or punctuation, single spaces.

    ``+`` and ``#`` behind a letter or digit stay, as in C++ and C#; a name of nothing but punctuation and symbols stays
    as it is.

    >>> normalise("Spider-Man: Ünïted_Front"), normalise("8½"), normalise("C++"), normalise("$")
    ('spider man united front', '8 1 2', 'c++', '$')
    """
    text = text[:_LONGEST_NAME]
    if not text.isascii():
        text = _plain(text)
    text = text.casefold()
    normal = " ".join(_SEPARATING.sub(" ", text).split())
    return normal or " ".join(text.split())


def without_note(name: str) -> str:
    """What stands before a note in brackets at the end, or behind the only comma; empty if there is none.

    The note tells a name from its namesakes, or says more of what has it. What a comma begins a list with is no note.

    >>> [without_note(name) for name in ("Thriller (Michael Jackson album)", "Cambridge, MA", "Earth, Wind & Fire")]
    ['Thriller', 'Cambridge', '']
    """
    short, _, note = name.rpartition(" (")
    if note.endswith(")") and note.count(")") == 1:
        return short
    short, _, note = name.partition(", ")
    words = note.split()
    is_list = "," in note or any(word == "&" or is_function_word(word) for word in words)
    return short if 0 < len(words) <= _NOTE and not is_list and not is_function_word(short) else ""


_SEPARATING = re.compile(r"(?:(?![+#])[\x00-\x2f\x3a-\x60\x7b-\x7f]|(?<![a-z0-9+#\x80-\U0010ffff])[+#])+")
_NO_SYMBOLS = str.maketrans("", "", "+#")
_FRACTION = re.compile("[\u00bc-\u00be\u2150-\u215e\u2189]")
_TRADE_MARKS = str.maketrans(dict.fromkeys("\u00a9\u00ae\u2117\u2120\u2122", " "))


def _plain(text: str) -> str:
    """The text without accents; what separates outside ASCII becomes a space, unless nothing else is there."""
    text = _FRACTION.sub(lambda match: f" {unicodedata.normalize('NFKD', match[0])} ", text.translate(_TRADE_MARKS))
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")  # never seen
    kept = [_plain_character(character) for character in text]
    plain = unicodedata.normalize("NFC", "".join(kept))
    return plain if any(character.isalnum() for character in plain) else text


def _plain_character(character: str) -> str:
    if character.isascii() or character.isalnum():
        return character
    if _is_accent(ord(character)):
        return ""
    category = unicodedata.category(character)
    return character if category[0] == "M" or category == "Co" else " "


def _is_accent(code: int) -> bool:
    """Marks that a writer may leave out: accents, Hebrew and Arabic points. Those of other scripts are letters."""
    return (
        0x0300 <= code <= 0x036F
        or 0x0591 <= code <= 0x05C7
        or 0x064B <= code <= 0x065F
        or code == 0x0670
        or 0x1AB0 <= code <= 0x1DFF
        or 0x20D0 <= code <= 0x20FF
    )


class NameIndex:
    """The index of names in a file that ``NameIndex.build`` wrote. Usable from several threads.

    Raises ``DamagedIndexError`` for a file that is no such index.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._vocabulary: dict[int, list[str]] | None = None  # by length, the commonest first
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise _damaged(path, error) from error
        self._length = int(self._fetch("SELECT count(*) FROM name", ())[0][0])

    @classmethod
    def build(cls, path: Path, rows: Iterable[NameRow]) -> NameIndex:
        """Write the index to a file that does not exist yet, and open it. Names without a normal form are left out.

        Raises ``BackendError`` if it cannot be written.
        """
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO name (row, name, normal, lang, weight) VALUES (?, ?, ?, ?, ?)",
                (
                    (row.row, name, normal, row.lang, -1 / (1 + row.weight) if row.is_short else row.weight)
                    for row in rows
                    if (normal := normalise(name := _encodable(row.name)))
                ),
            )
            connection.executemany(
                "INSERT INTO initials (letters, id) VALUES (?, ?)",
                (
                    (letters, key)
                    for key, normal in connection.execute("SELECT id, normal FROM name").fetchall()
                    for letters in _initials(normal)
                ),
            )
            connection.executescript(_FINISH)  # commits first
        except sqlite3.Error as error:
            raise BackendError(
                f"{path.name} cannot be written",
                why=str(error),
                try_next="free some disk space, then build the index again: kgllm index",
            ) from error
        finally:
            connection.close()
        return cls(path)

    def __len__(self) -> int:
        """How many names it holds."""
        return self._length

    def close(self) -> None:
        """Free the file. Closing twice is harmless."""
        with self._lock:
            self._connection.close()

    def exact(self, normals: Sequence[str], *, shortened: bool = False) -> dict[str, list[NameMatch]]:
        """The names of each normal form that is one of a name, the weightiest first, at most a hundred each.

        Short ones are given besides whole ones if ``shortened``, else only where there is no whole one.
        """
        found: dict[str, list[NameMatch]] = {}
        wanted = json.dumps([_encodable(normal) for normal in dict.fromkeys(normals)])
        for normal, row, name, lang, weight in self._fetch(_EXACT, (wanted, _NAMESAKES)):
            found.setdefault(normal, []).append(NameMatch(row, name, lang, 1.0, weight))
        for normal, matches in found.items():
            matches.sort(key=lambda match: -match.weight)
            if not shortened and not matches[0].is_short:
                found[normal] = [match for match in matches if not match.is_short]
        return found

    def abbreviated(self, text: str) -> list[NameMatch]:
        """The names of several words that have the letters of a text as their initials, the weightiest first.

        Words that carry grammar count or not: both "DOD" and "DD" are the Department of Defense.
        """
        letters = normalise(_encodable(text)).replace(" ", "")
        rows = self._fetch(_ABBREVIATED, (letters, _NAMESAKES))
        return [NameMatch(row, name, lang, 1.0, weight) for row, name, lang, weight in rows]

    def similar(self, text: str, *, k: int) -> list[NameMatch]:
        """The names most like the text letter by letter, best first: what it may be a mistyping of. One a row."""
        from rapidfuzz import fuzz

        return self._ranked(text, k=k, likeness=fuzz.ratio)

    def search(self, text: str, *, k: int) -> list[NameMatch]:
        """The names that share words with the text or are like it, best first. One a row."""
        from rapidfuzz import fuzz

        return self._ranked(
            text, k=k, likeness=lambda left, right: (fuzz.ratio(left, right) + fuzz.token_set_ratio(left, right)) / 2
        )

    def _ranked(self, text: str, *, k: int, likeness: Callable[[str, str], float]) -> list[NameMatch]:
        normal = normalise(_encodable(text))
        same = self.exact([normal], shortened=True).get(normal, [])
        best: dict[int, NameMatch] = {match.row: match for match in reversed(same)}
        for row, name, candidate, lang, weight in self._candidates(normal):
            score = likeness(normal, candidate) / 100
            if row not in best or best[row].score < score:
                best[row] = NameMatch(row, name, lang, score, weight)
        return sorted(best.values(), key=lambda match: (-match.score, -match.weight, match.row))[:k]

    def _candidates(self, normal: str) -> list[tuple[int, str, str, str | None, float]]:
        """Names with all words; with the last one unfinished; with mistyped ones put right; with the rarest words."""
        words = [word for word in dict.fromkeys(normal.split()) if any(map(str.isalnum, word))][:_WORDS]
        if not words:
            return []
        counts = self._counts(words)
        alternatives = [
            [word] if counts[word] else self._respelt(word) or [word] for word in words
        ]  # a word that no name has is a mistyped one
        rarest = sorted((word for word in words if counts[word]), key=lambda word: counts[word])[:3]
        queries = [
            " AND ".join(map(_quoted, words)),
            " AND ".join([*map(_quoted, words[:-1]), f"{_quoted(words[-1])} *"]),
            " AND ".join(f"({' OR '.join(map(_quoted, spellings))})" for spellings in alternatives),
            " OR ".join(map(_quoted, rarest)),
        ]
        found: dict[int, tuple[int, str, str, str | None, float]] = {}
        for query in filter(None, dict.fromkeys(queries)):
            for key, *name in self._fetch(_FULL_TEXT, (query, _CANDIDATES)):
                found[key] = (name[0], name[1], name[2], name[3], name[4])
        return list(found.values())

    def _counts(self, words: list[str]) -> dict[str, int]:
        terms = {word: word.translate(_NO_SYMBOLS) for word in words}  # "c++" is "c" to the full-text index
        rows = self._fetch(
            "SELECT term, doc FROM json_each(?) AS wanted JOIN term ON term = wanted.value",
            (json.dumps(list(terms.values())),),
        )
        counts = dict(rows)
        return {word: int(counts.get(term, 0)) for word, term in terms.items()}

    def _respelt(self, word: str) -> list[str]:
        """Words of the graph like this one: of about its length, four fifths of the letters in the same order."""
        from rapidfuzz import fuzz, process

        if self._vocabulary is None:
            vocabulary: dict[int, list[str]] = {}
            for (term,) in self._fetch("SELECT term FROM term ORDER BY doc DESC LIMIT ?", (_VOCABULARY,)):
                vocabulary.setdefault(len(term), []).append(term)
            self._vocabulary = vocabulary
        near = [term for length in range(len(word) - 2, len(word) + 3) for term in self._vocabulary.get(length, ())]
        hits = process.extract(word, near, scorer=fuzz.ratio, score_cutoff=_SPELLING_CUTOFF, limit=8)
        return [term for term, _, _ in hits]

    def _fetch(self, sql: str, values: tuple[str | int, ...]) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise _damaged(self._path, error) from error


def _initials(normal: str) -> set[str]:
    words = normal.split()
    every = "".join(word[0] for word in words)
    meaning = "".join(word[0] for word in words if not is_function_word(word))
    return {letters for letters in (every, meaning) if 1 < len(letters) <= _MOST_INITIALS}


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


def _encodable(text: str) -> str:
    """The text without lone surrogates, which UTF-8 cannot write."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _damaged(path: Path, error: sqlite3.Error) -> DamagedIndexError:
    return DamagedIndexError(
        f"{path.name} is no index of names", why=str(error), try_next="build the index anew: kgllm index --rebuild"
    )
