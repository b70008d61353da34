"""Quantities: what a sentence writes is the value of a literal in whatever form, and of no other."""

from __future__ import annotations

import pytest

from kgllm.quantities import Date, Number, dates, numbers, of_literal, units_in
from kgllm.terms import Literal


@pytest.mark.parametrize(
    "text",
    ["16 July 1969", "July 16, 1969", "1969-07-16", "16th of July 1969", "16. Juli 1969", "Jul 1969", "1969"],
)
def test_a_date_is_read_in_every_form(text: str) -> None:
    found = [date for _, _, date in dates(f"It flew on {text}.")]
    known, _ = of_literal(Literal("1969-07-16"))
    assert known == Date(1969, 7, 16)
    assert found
    assert all(date.agrees(known) for date in found)
    assert Date(1970).agrees(known) is False


def test_a_date_that_says_more_than_is_known_is_neither_right_nor_wrong() -> None:
    year = Date(1969)
    assert Date(1969, 7, 16).agrees(year) is None
    assert Date(1970, 7, 16).agrees(year) is False


@pytest.mark.parametrize("text", ["31.12", "1,23", "A1969", "2019-99-01", "19690"])
def test_what_is_no_date_is_none(text: str) -> None:
    assert not [date for _, _, date in dates(text) if date.month is not None]


def test_a_number_counts_with_its_unit() -> None:
    found = [number for _, _, number in numbers("It weighs 2,950 t.")]
    tonnes = next(number for number in found if number.unit)
    assert Number(tonnes.value, "t") in found
    kilograms = of_literal(Literal("2950000.0"))[1]
    assert kilograms is not None
    assert tonnes.agrees(kilograms, units_in(["mass (kg)"])) is True
    assert tonnes.agrees(kilograms, units_in(["mass (t)"])) is False
    assert tonnes.agrees(kilograms, units_in(["mass"])) is None
    assert tonnes.agrees(kilograms, units_in(["height (m)"])) is None
