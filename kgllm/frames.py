"""Rows as a pandas DataFrame: a column a variable, IRIs as they are, literals as the Python values that they write."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, TypeAlias

from kgllm.datatypes import ill_typed
from kgllm.errors import BackendError
from kgllm.terms import Literal, Term
from kgllm.vocabularies import LEAST_OF_INTEGERS, XSD

if TYPE_CHECKING:
    import pandas

    from kgllm.protocols import Rows

__all__ = ["Cell", "frame_of", "value_of"]

Cell: TypeAlias = str | int | float | bool | date | datetime | None


def frame_of(rows: Rows) -> pandas.DataFrame:
    """The rows as a DataFrame, each column of the narrowest type that holds all of its values.

    Numbers, truth values, texts and times of one kind make a column of that type, in which what is unbound is missing
    (NA, NaN or NaT); IRIs, blank nodes and mixed values make one of objects, in which it is ``None``.
    ``attrs["complete"]`` is false where rows may be missing. Raises ``BackendError`` without pandas.
    """
    try:
        import pandas
    except ImportError as error:
        raise BackendError(
            "a table for pandas needs pandas, which cannot be imported",
            why=str(error),
            try_next="pip install 'kgllm[notebook]'",
        ) from None
    columns = [[value_of(row[number]) for row in rows.rows] for number in range(len(rows.vars))]
    # by number, as a query may name a variable twice
    frame = pandas.DataFrame(dict(enumerate(map(_column, columns))), index=range(len(rows)))
    frame.columns = pandas.Index(rows.vars, dtype=object)
    frame.attrs["complete"] = rows.complete
    return frame


def value_of(term: Term | None) -> Cell:
    """An IRI or blank node as it is, which is a ``str``; of a literal the Python value, its text where it has none.

    Whole numbers and ``xsd:gYear`` are ``int``, other numbers ``float``; days lose their timezone. A text that its
    datatype does not admit, and a time before year 1 or after 9999, stays the text.
    """
    if term is None or not isinstance(term, Literal):
        return term
    text, read = str(term), _READ.get(str(term.datatype))
    if read is None or ill_typed(term):
        return text
    try:
        return read(text.strip())
    except ValueError:  # no such day, or more digits than Python reads
        return text


_ZONE = re.compile(r"(?:Z|[+-]\d\d:\d\d)$")


def _year(text: str) -> int:
    return int(_ZONE.sub("", text))


def _day(text: str) -> date:
    return date.fromisoformat(_ZONE.sub("", text))


def _decimal(text: str) -> float:
    """Raises ``ValueError`` for a number beyond a float's: there is no infinite decimal."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def _is_true(text: str) -> bool:
    return text in {"true", "1"}


_READ: dict[str, Callable[[str], Cell]] = {
    **dict.fromkeys(LEAST_OF_INTEGERS, int),
    XSD + "decimal": _decimal,
    XSD + "double": float,
    XSD + "float": float,
    XSD + "boolean": _is_true,
    XSD + "gYear": _year,
    XSD + "date": _day,
    XSD + "dateTime": datetime.fromisoformat,
}


def _column(values: Sequence[Cell]) -> pandas.Series[Any]:
    import pandas

    kinds = {type(value) for value in values if value is not None}
    has_gaps = None in values
    dtype, held = "object", values
    if kinds == {int}:
        dtype = "Int64" if has_gaps else "int64"
    elif kinds and kinds <= {int, float}:
        dtype = "float64"
    elif kinds == {bool}:
        dtype = "boolean" if has_gaps else "bool"
    elif kinds == {str}:
        dtype = "str"
    elif kinds and kinds <= {date, datetime}:
        dtype, held = _moments(values)
    try:
        return pandas.Series(held, dtype=dtype)
    except (OverflowError, ValueError):  # a number or a time that is too large for the narrow type
        return pandas.Series(values, dtype="object")


def _moments(values: Sequence[Cell]) -> tuple[str, list[datetime | None]]:
    """The type and the values of a column of days and times: a day is its midnight.

    Where one has a timezone, all are given in UTC, which is also that of those that have none.
    """
    moments = [
        value if isinstance(value, datetime) else datetime.combine(value, time()) if isinstance(value, date) else None
        for value in values
    ]
    if all(moment is None or moment.tzinfo is None for moment in moments):
        return "datetime64[us]", moments
    zoned = [moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment for moment in moments]
    return "datetime64[us, UTC]", zoned
