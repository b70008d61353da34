"""Literals and their datatypes: what text a datatype admits, and which literals write one value."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from kgllm.terms import Literal, Term, URIRef
from kgllm.vocabularies import LEAST_OF_INTEGERS, NUMERIC, XSD

__all__ = ["Value", "comparable", "has_value_of", "ill_typed", "is_date", "is_number", "number_in"]

Value: TypeAlias = tuple[str, int | float | str | bool]
_DATE_TYPES = ("#date", "#dateTime", "#gYear", "#gYearMonth", "#time")
_INEXACT = {XSD + "double", XSD + "float", XSD + "decimal"}


def is_number(iri: URIRef | None) -> bool:
    """Whether a datatype is one of numbers."""
    return str(iri) in NUMERIC


def is_date(iri: URIRef | None) -> bool:
    """Whether a datatype is one of dates or years."""
    return iri is not None and str(iri).endswith(_DATE_TYPES)


def comparable(term: Term) -> Value:
    """What is equal for terms of one value: numbers of two types, text of two languages."""
    if not isinstance(term, Literal):
        return ("iri" if isinstance(term, URIRef) else "blank node", str(term))
    datatype = str(term.datatype)
    if datatype in NUMERIC and (number := number_in(str(term), inexact=datatype in _INEXACT)) is not None:
        return ("number", number)
    if datatype == XSD + "boolean" and str(term) in {"true", "false", "1", "0"}:
        return ("boolean", str(term) in {"true", "1"})
    return ("text", str(term))


_DECIMAL = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\s*")


def number_in(text: str, *, inexact: bool) -> int | float | None:
    """A number to compare by; of an inexact type its first twelve digits, since engines divide to different lengths."""
    if not _DECIMAL.fullmatch(text):
        return None
    try:
        value = Decimal(text.strip())
        if inexact:
            value = Decimal(f"{value:.11e}")
    except InvalidOperation:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


_GREATEST = {
    XSD + "nonPositiveInteger": 0,
    XSD + "negativeInteger": -1,
    **{f"{XSD}{kind}": 2 ** (bits - 1) - 1 for kind, bits in (("byte", 8), ("short", 16), ("int", 32), ("long", 64))},
    **{f"{XSD}unsigned{kind}": 2**bits - 1 for kind, bits in (("Byte", 8), ("Short", 16), ("Int", 32), ("Long", 64))},
}
_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)"
_LEXICAL = {
    **dict.fromkeys(LEAST_OF_INTEGERS, r"[+-]?\d+"),
    XSD + "decimal": _NUMBER,
    XSD + "double": _NUMBER + r"([eE][+-]?\d+)?|[+-]?INF|NaN",
    XSD + "float": _NUMBER + r"([eE][+-]?\d+)?|[+-]?INF|NaN",
    XSD + "boolean": r"true|false|0|1",
    XSD + "date": r"-?\d{4,}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(Z|[+-]\d\d:\d\d)?",
    XSD + "dateTime": r"-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?",
    XSD + "gYear": r"-?\d{4,}(Z|[+-]\d\d:\d\d)?",
}


def has_value_of(literal: Literal, datatype: str, kind: str) -> bool:
    """Whether a literal of one datatype lies in the value space of another (XML Schema 1.1, part 2, section 2.2.3)."""
    if kind == XSD + "decimal":
        return datatype in LEAST_OF_INTEGERS
    if datatype not in LEAST_OF_INTEGERS or kind not in LEAST_OF_INTEGERS or ill_typed(literal):
        return False
    least, greatest, value = LEAST_OF_INTEGERS[kind], _GREATEST.get(kind), int(str(literal))
    return (least is None or value >= least) and (greatest is None or value <= greatest)


def ill_typed(literal: Literal) -> bool:
    """Whether a literal's text is outside its datatype's lexical space (the common XML Schema types)."""
    pattern = _LEXICAL.get(str(literal.datatype))
    return pattern is not None and re.fullmatch(pattern, str(literal).strip()) is None
