"""Quantities: the numbers, units and dates that a sentence writes, and whether a literal has the value of one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from kgllm.terms import Literal
from kgllm.words import numbers_in_words

__all__ = ["Date", "Number", "dates", "in_words", "numbers", "of_literal", "says_unit", "unit_behind", "units_in"]

_MONTHS = (
    "january|januar|jan", "february|februar|feb", "march|märz|mar", "april|apr", "may|mai", "june|juni|jun",
    "july|juli|jul", "august|aug", "september|sept|sep", "october|oktober|oct|okt", "november|nov",
    "december|dezember|dec|dez",
)  # fmt: skip
_MONTH = "(?P<month>" + "|".join(_MONTHS) + r")\.?"
_DAY, _YEAR = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th|\.)?", r"(?P<year>[0-9]{4})"
_NO_MORE_BEFORE, _NO_MORE_BEHIND = r"(?<![\w.,/−-])", r"(?!\w|[.,:/−-][0-9])"
_DATES = tuple(
    re.compile(f"{_NO_MORE_BEFORE}(?:{form}){_NO_MORE_BEHIND}", re.I)
    for form in (
        rf"{_YEAR}-(?P<month>[0-9]{{2}})-(?P<day>[0-9]{{2}})",
        rf"{_DAY} (?:of )?{_MONTH},? {_YEAR}",
        rf"{_MONTH} {_DAY},? {_YEAR}",
        rf"{_MONTH},? {_YEAR}",
        _YEAR,
    )
)
_NUMBER = re.compile(
    rf"{_NO_MORE_BEFORE}[−-]?(?:[0-9]{{1,3}}(?:,[0-9]{{3}})+|[0-9]+)(?:\.[0-9]+)?(?!\w|[.,:/−][0-9]|-\w)"
)
_WRITTEN_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*")
_WRITTEN_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T.*)?)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?")

_UNITS: dict[str, tuple[str, str]] = {
    name: (kind, factor)
    for kind, factor, names in (
        ("mass", "0.001", "g gram grams gramme grammes gramm"),
        ("mass", "1", "kg kilo kilos kilogram kilograms kilogramme kilogrammes kilogramm"),
        ("mass", "1000", "t tonne tonnes tonnen"),
        ("mass", "0.45359237", "lb lbs pound pounds"),
        ("length", "0.001", "mm millimetre millimetres millimeter millimeters"),
        ("length", "0.01", "cm centimetre centimetres centimeter centimeters zentimeter"),
        ("length", "1", "m metre metres meter meters"),
        ("length", "1000", "km kilometre kilometres kilometer kilometers"),
        ("length", "0.3048", "ft foot feet"),
        ("length", "1609.344", "mi mile miles meile meilen"),
        ("time", "1", "s sec second seconds sekunde sekunden"),
        ("time", "60", "min minute minutes minuten"),
        ("time", "3600", "h hr hrs hour hours stunde stunden"),
        ("time", "86400", "d day days tag tage"),
        ("area", "1", "km² km2 sqkm"),
        ("share", "1", "% percent prozent"),
    )
    for name in names.split()
}
"""What a unit measures, and how many of its kind's own unit it is (SI; the international pound, foot and mile)."""


@dataclass(frozen=True, slots=True)
class Date:
    """A date as far as it was written: a year, a month of it, or a day."""

    year: int
    month: int | None = None
    day: int | None = None

    def agrees(self, other: Date) -> bool | None:
        """Whether this is what the other one says, or less of it; ``None`` where the other says too little to tell."""
        for own, its in ((self.year, other.year), (self.month, other.month), (self.day, other.day)):
            if own is None:
                return True
            if its is None:
                return None
            if own != its:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Number:
    """A number and the unit behind it, empty where there is none."""

    value: Decimal
    unit: str = ""

    def agrees(self, other: Number, units: Iterable[str]) -> bool | None:
        """Whether both are one quantity, the other being in one of some units; ``None`` where these do not tell."""
        if not self.unit:
            return self.value == other.value
        kind, factor = _UNITS[self.unit]
        factors = {_UNITS[unit][1] for unit in units if _UNITS[unit][0] == kind}
        if len(factors) != 1:
            return None
        return self.value * Decimal(factor) == other.value * Decimal(factors.pop())


def dates(text: str) -> Iterator[tuple[int, int, Date]]:
    """The dates in a text with their places, in every form in which they are written out; a year alone is one."""
    for form in _DATES:
        for match in form.finditer(text):
            found = match.groupdict()
            if (date := _date(found["year"], found.get("month"), found.get("day"))) is not None:
                yield match.start(), match.end(), date


def _date(year: str, month: str | None, day: str | None) -> Date | None:
    number = None
    if month is not None:
        names = (n for n, spelled in enumerate(_MONTHS, start=1) if month.casefold() in spelled.split("|"))
        number = int(month) if month.isdigit() else next(names)
    if not 1 <= (number or 1) <= 12 or not 1 <= int(day or 1) <= 31:
        return None
    return Date(int(year), number, int(day) if day else None)


def numbers(text: str) -> Iterator[tuple[int, int, Number]]:
    """The numbers in a text with their places, each with the unit behind it if there is one."""
    for match in _NUMBER.finditer(text):
        value = Decimal(match.group().replace(",", "").replace("−", "-"))
        behind = re.match(r"\s?(%|[^\W\d_]+[²2]?)(?!\w)", text[match.end() :])
        unit = behind[1].casefold() if behind else ""
        if behind and unit in _UNITS:
            yield match.start(), match.end() + behind.end(), Number(value, unit)
        yield match.start(), match.end(), Number(value)


def in_words(word: str) -> Number | None:
    """The number up to twelve that a word writes."""
    found = numbers_in_words(word)
    return Number(Decimal(found[0])) if found else None


def of_literal(literal: Literal) -> tuple[Date | None, Number | None]:
    """The date and the number that a literal may be; a year without a datatype may be either."""
    text = str(literal)
    number = None
    if _WRITTEN_NUMBER.fullmatch(text):
        try:
            number = Number(Decimal(text.strip()))
        except InvalidOperation:
            number = None
    match = _WRITTEN_DATE.fullmatch(text)
    return (_date(*match.groups()) if match else None), number


def unit_behind(text: str, place: int) -> str:
    """The word of a unit that stands right behind a place of a text; empty without one.

    >>> unit_behind("higher than 8000 metres", 16), unit_behind("more than 2 crews", 11)
    ('metres', '')
    """
    word = re.match(r"\s*([^\W\d_]+)", text[place:])
    return word[1] if word is not None and word[1].lower() in _UNITS else ""


def says_unit(unit: str, texts: Iterable[str]) -> bool:
    """Whether some texts speak of a unit, by whatever name: "kilograms" of a "mass (kg)"."""
    return _UNITS[unit.lower()] in {_UNITS[name] for name in units_in(texts)}


def units_in(texts: Iterable[str]) -> set[str]:
    """The units that some texts speak of: a property's names, say.

    >>> sorted(units_in(["mass (kg)", "The mass in kilograms."]))
    ['kg', 'kilograms']
    """
    return {word for text in texts for word in re.findall(r"%|[^\W\d_]+[²2]?", text.casefold()) if word in _UNITS}
