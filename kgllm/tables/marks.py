"""The words by which a question asks for a table: averages, counts, groups, orders, conditions and denials.

Each is found as a mark: a stretch of tokens and what it asks for. English alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal as OneOfStrings
from typing import TypeAlias

from kgllm.words import EXCEPT, GREATER, LESSER, NUMBER_WORDS, Token, superlatives

__all__ = ["Mark", "marks"]

MarkKind: TypeAlias = OneOfStrings[
    "function", "count", "each", "most", "common", "extreme", "order", "not", "operator", "beyond", "text", "average",
    "number", "sentence",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """A stretch of tokens, ``first`` to before ``last``, that asks for a form.

    ``value`` is the function, operator or number; ``descending`` is of an order or an extreme, whose ``quantities``
    are what an adjective may mean.
    """

    kind: MarkKind
    first: int
    last: int
    value: str = ""
    descending: bool = False
    quantities: tuple[str, ...] = ()


_NUMBER = rf"(?:[0-9][0-9,]*(?:\.[0-9]+)?|{'|'.join(NUMBER_WORDS)})"
_THE = r"(?:the )?"
_DISTINCT = r"(?: different| distinct| unique| total)*"
_OF = rf"(?:numbers?|amount|count) of(?: all)?(?: the)?{_DISTINCT}"
_MOST_OF = r"(?:largest|greatest|highest|biggest|maximum|most)"
_LEAST_OF = r"(?:smallest|lowest|minimum|fewest|least)"
_HIGHEST = r"(?:the )?(?:highest|largest|biggest|oldest|latest|most \w+)"
_LOWEST = r"(?:the )?(?:lowest|smallest|shortest|youngest|earliest|least \w+)"
_RISING = r"(?:ascending|increasing|alphabetical|alphabetic|lexicographical|chronological)"
_MORE, _LESS = rf"(?:{GREATER}|better)", rf"(?:{LESSER})"
_NO = r"(?:no|not)"
_THEM = r"(?: the| these| them| results?)*"
_BY = r"(?: alphabetically| by| in)"
_TEXT = r"(?:letters?|words?|substring|string|prefix|text)"

_PATTERNS: tuple[tuple[MarkKind, str, bool, str], ...] = (
    ("average", ">", False, rf"(?:above|over|{_MORE} than|exceeds?) {_THE}(?:average|mean)"),
    ("average", "<", False, rf"(?:below|under|{_LESS} than) {_THE}(?:average|mean)"),
    ("operator", ">=", False, rf"at least|minimum of|{_NO} {_LESS} than|{_NO} (?:under|below|before)"),
    ("operator", "<=", False, rf"at most|maximum of|up to|{_NO} {_MORE} than|{_NO} (?:over|above|after)"),
    ("operator", "<=", False, r"(?:does |do )?not exceed(?:ing)?"),
    ("operator", ">", False, rf"{_MORE} than|exceeds?|exceeding|above|over|after|since"),
    ("operator", "<", False, rf"{_LESS} than|below|under|before|prior to|until"),
    ("operator", "between", False, r"between|from(?= [0-9,.]+ (?:to|until)\b)"),
    ("operator", "=", False, r"exactly|equal to"),
    ("beyond", ">=", False, r"(?:or|and) (?:more|above|after|later|higher|greater|over|older|longer)"),
    ("beyond", "<=", False, r"(?:or|and) (?:less|below|before|earlier|lower|fewer|under|younger|shorter)"),
    ("text", "starts", False, rf"(?:starts?|starting|begins?|beginning) with(?: the)?(?: {_TEXT})?"),
    ("text", "contains", False, rf"(?:contains?|containing)(?: the)?(?: {_TEXT})?"),
    ("text", "contains", False, rf"(?:has|have|having|with) (?:the|a) {_TEXT}"),
    ("most", "", True, rf"{_THE}{_MOST_OF} {_OF}"),
    ("most", "", False, rf"{_THE}{_LEAST_OF} {_OF}"),
    ("common", "", True, rf"{_THE}most (?:common|frequent(?:ly)?|often)"),
    ("common", "", False, rf"{_THE}least (?:common|frequent(?:ly)?|often)"),
    ("order", "", True, r"(?:in )?(?:descending|decreasing|reversed?(?: \w+)?) order(?: of| by)?"),
    ("order", "", False, rf"(?:in )?(?:the )?(?:{_RISING} )?order(?: of| by)|in {_RISING} order"),
    ("order", "", False, rf"(?:and )?(?:ordered|sorted|ranked|arranged){_THEM}{_BY}*"),
    ("order", "", False, rf"(?<!the )(?<!an )(?:and )?(?:order|sort|rank|arrange){_THEM}{_BY}+"),
    ("order", "", False, r"(?:order|sort|rank|arrange) (?:them|these|(?:the )?results?)"),
    ("order", "", False, r"(?:^|(?<=[.?;!] )|and )(?:order|sort|rank|arrange)(?: the)?(?= \w)"),
    ("order", "", True, rf"from {_HIGHEST} to {_LOWEST}"),
    ("order", "", False, rf"from {_LOWEST} to {_HIGHEST}"),
    ("count", "", False, rf"how many{_DISTINCT}|{_THE}(?:total |different |distinct |unique )*{_OF}"),
    ("count", "", False, r"the counts?|counts?(?= *[.?!,]|$)|(?:^|(?<=[.?;!] ))count(?: all)?(?: the)?(?= \w)"),
    ("function", "avg", False, rf"{_THE}(?:averages?|mean)"),
    ("function", "sum", False, rf"{_THE}(?:total|sum of|sum|combined|overall)"),
    ("function", "max", False, rf"{_THE}(?:maximum|max|maximal)"),
    ("function", "min", False, rf"{_THE}(?:minimum|min|minimal)"),
    ("each", "", False, rf"(?:for |in |of |to |from )?(?:each|every|per)(?: of)?(?: the)?{_DISTINCT}"),
    ("each", "", False, r"for (?:all )?(?:the )?different"),
    ("not", "", False, r"(?:not|never|without|neither|nor|no|cannot|\w+n['’]t)(?: any)?"),
    ("not", "", False, EXCEPT),
)  # fmt: skip
"""In the order in which they claim their words: a comparison before the extreme or the denial that is a part of it."""
_COMPILED = [
    (kind, value, descending, re.compile(rf"(?<![\w'’])(?:{pattern})(?![\w])", re.I))
    for kind, value, descending, pattern in _PATTERNS
]
_FIRST = re.compile(
    rf"\b(?:top|first|last) (?P<many>{_NUMBER})\b|(?<![\w,.])(?P<before>[0-9]{{1,3}}|{'|'.join(NUMBER_WORDS)})\s*$",
    re.I,
)
_VALUE = re.compile(
    r"(?<![\w.-])(?P<value>[0-9][0-9,]*(?:\.[0-9]+)?)(?: (?P<scale>thousand|million|billion))?(?![\w-])", re.I
)
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}


def marks(question: str, tokens: Sequence[Token], *, taken: Sequence[tuple[int, int]] = ()) -> list[Mark]:
    """The marks of a question in order of place; none in the ``taken`` stretches of tokens, which are names."""
    found: list[Mark] = []
    claimed = {place for first, last in taken for place in range(first, last)}

    def claim(mark: Mark) -> None:
        places = set(range(mark.first, mark.last))
        if places and not places & claimed:
            claimed.update(places)
            found.append(mark)

    for kind, value, descending, pattern in _COMPILED:
        if kind == "count":  # the extremes of adjectives, of which those above claim the longer ones
            for mark in _extremes(question, tokens):
                claim(mark)
        for match in pattern.finditer(question):
            start, many = match.start(), value
            if kind in {"common", "most"}:
                start, many = _many(question, start)
            claim(Mark(kind, *_places(tokens, start, match.end()), many, descending))
    for mark in [*_numbers(question, tokens), *_sentences(tokens)]:
        claim(mark)
    return sorted(found, key=lambda mark: mark.first)


def _places(tokens: Sequence[Token], start: int, end: int) -> tuple[int, int]:
    """The tokens between two characters."""
    inside = [place for place, token in enumerate(tokens) if start <= token.start < end]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _extremes(question: str, tokens: Sequence[Token]) -> Iterator[Mark]:
    for extreme in superlatives(question):
        if question[extreme.start : extreme.end].lower() in {"maximum", "minimum"}:
            continue
        start, many = _many(question, extreme.start)
        first, last = _places(tokens, start, extreme.end)
        yield Mark("extreme", first, last, many, extreme.descending, extreme.quantities)
    for match in re.finditer(rf"\b(?:the )?(?P<most>most|fewest|least|top (?P<many>{_NUMBER}))\b", question, re.I):
        start, many = (match.start(), _plain(match["many"])) if match["many"] else _many(question, match.start())
        is_most = match["most"].lower() not in {"fewest", "least"}
        yield Mark("most", *_places(tokens, start, match.end()), many, is_most)


def _many(question: str, start: int) -> tuple[int, str]:
    """Where a superlative begins with the number before it, and how many it asks for: "the 3 youngest"."""
    match = _FIRST.search(question[:start].rstrip())
    if match is None:
        return start, "1"
    is_beside = match["before"] is not None or not question[match.end() : start].strip()
    return (match.start() if is_beside else start), _plain(match["many"] or match["before"])


def _plain(number: str) -> str:
    """A number in figures, whole and without commas."""
    return str(int(float(NUMBER_WORDS.get(number.lower(), number).replace(",", ""))))


def _numbers(question: str, tokens: Sequence[Token]) -> Iterator[Mark]:
    """Numbers in figures, and in words where a condition can be meant."""
    for match in _VALUE.finditer(question):
        number = match["value"].replace(",", "")
        if match["scale"]:
            number = str(int(float(number) * _SCALES[match["scale"].lower()]))
        yield Mark("number", *_places(tokens, match.start(), match.end()), number)
    for place, token in enumerate(tokens):
        if (number := NUMBER_WORDS.get(token.lower)) is not None and token.lower not in {"once", "twice"}:
            yield Mark("number", place, place + 1, number)


def _sentences(tokens: Sequence[Token]) -> Iterator[Mark]:
    for place, token in enumerate(tokens[:-1]):
        if token.text in {".", "?", ";", "!"}:
            yield Mark("sentence", place, place + 1)
