"""Rows as a DataFrame: what pandas sums, sorts and counts is what the graph says."""

from __future__ import annotations

import sys
from datetime import date, datetime
from typing import Any

import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgllm import Answer, Assistant, BackendError
from kgllm.frames import value_of
from kgllm.protocols import Rows
from kgllm.terms import BNode, Literal, Term, URIRef
from kgllm.vocabularies import LEAST_OF_INTEGERS, XSD

EX = "https://example.org/"


def typed(text: str, datatype: str) -> Literal:
    return Literal(text, datatype=URIRef(XSD + datatype), normalize=False)  # which pySHACL turns on again


def column(*terms: Term | None) -> Any:
    return Rows(("x",), [(term,) for term in terms]).to_frame()["x"]


@pytest.mark.parametrize(
    ("term", "value"),
    [
        (typed(" 12 ", "integer"), 12),
        (typed("12", "unsignedByte"), 12),
        (typed("1969", "gYear"), 1969),
        (typed("-0043+01:00", "gYear"), -43),
        (typed("1.50", "decimal"), 1.5),
        (typed("1e3", "double"), 1000.0),
        (typed("-INF", "float"), float("-inf")),
        (typed("1", "boolean"), True),
        (typed("false", "boolean"), False),
        (typed("1969-07-20", "date"), date(1969, 7, 20)),
        (typed("1969-07-20-05:00", "date"), date(1969, 7, 20)),
        (typed("1969-07-20T20:17:40", "dateTime"), datetime(1969, 7, 20, 20, 17, 40)),
        (Literal("Mond", lang="de"), "Mond"),
        (Literal("12"), "12"),
        (typed("12", "string"), "12"),
        (URIRef(EX + "Moon"), URIRef(EX + "Moon")),
        (BNode("b"), BNode("b")),
        (None, None),
    ],
)
def test_a_literal_becomes_the_value_that_it_writes(term: Term | None, value: Any) -> None:
    found = value_of(term)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "datatype"),
    [
        ("twelve", "integer"),
        ("1_000", "integer"),
        ("9" * 5_000, "integer"),
        ("9" * 400, "decimal"),
        ("inf", "double"),
        ("1e5", "decimal"),
        ("yes", "boolean"),
        ("2001-02-30", "date"),
        ("20010203", "date"),
        ("-0043-03-15", "date"),
        ("12001-01-01T00:00:00", "dateTime"),
        ("P1D", "duration"),
    ],
)
def test_what_its_datatype_or_python_does_not_admit_stays_its_text(text: str, datatype: str) -> None:
    assert value_of(typed(text, datatype)) == text
    assert type(value_of(typed(text, datatype))) is str


@pytest.mark.parametrize(
    ("terms", "dtype"),
    [
        ([typed("1", "integer"), typed("2", "int")], "int64"),
        ([typed("1", "integer"), None], "Int64"),
        ([typed("1", "integer"), typed("2.5", "decimal"), None], "float64"),
        ([typed("true", "boolean")], "bool"),
        ([typed("true", "boolean"), None], "boolean"),
        ([Literal("a"), Literal("b", lang="de"), None], "str"),
        ([typed("1969-07-20", "date"), None], "datetime64[us]"),
        ([typed("1969-07-20", "date"), typed("1969-07-20T20:17:40", "dateTime")], "datetime64[us]"),
        ([typed("1969-07-20T20:17:40Z", "dateTime"), None], "datetime64[us, UTC]"),
        ([URIRef(EX + "a"), None], "object"),
        ([URIRef(EX + "a"), Literal("a")], "object"),
        ([typed("1", "integer"), typed("one", "integer")], "object"),
        ([typed("1", "integer"), typed("true", "boolean")], "object"),
        ([typed("9" * 30, "integer")], "object"),
        ([typed("9" * 400, "integer"), typed("1.5", "double")], "object"),
        ([typed("0001-01-01T00:00:00+14:00", "dateTime"), typed("9999-12-31T23:59:59-14:00", "dateTime")], None),
        ([None], "object"),
        ([], "object"),
    ],
)
def test_a_column_has_the_narrowest_type_that_holds_it(terms: list[Term | None], dtype: str | None) -> None:
    found = column(*terms)
    assert dtype is None or str(found.dtype) == dtype
    assert len(found) == len(terms)
    assert list(found.isna()) == [term is None for term in terms]


def test_numbers_are_summed_and_times_sorted() -> None:
    assert column(typed("1", "integer"), None, typed("2", "integer")).sum() == 3
    assert column(typed("9" * 30, "integer"), typed("1", "integer")).sum() == 10**30
    summer, noon = typed("2020-07-01T12:00:00+02:00", "dateTime"), typed("2020-07-01T11:00:00", "dateTime")
    assert list(column(noon, summer).sort_values().index) == [1, 0]  # 10:00 in UTC comes before 11:00
    assert column(typed("1969-07-20", "date")).dt.year[0] == 1969


def test_an_iri_stays_one() -> None:
    found = column(URIRef(EX + "a"), None)
    assert type(found[0]) is URIRef
    assert found[1] is None


def test_a_variable_may_be_named_twice_and_rows_may_have_none() -> None:
    moon = URIRef(EX + "Moon")
    twice = Rows(("x", "x"), [(moon, Literal("Moon"))]).to_frame()
    assert list(twice.columns) == ["x", "x"]
    assert list(twice.iloc[0]) == [moon, "Moon"]
    assert Rows((), [(), ()]).to_frame().shape == (2, 0)
    assert Rows((), []).to_frame().empty


def test_a_frame_tells_whether_it_is_whole() -> None:
    assert Rows(("x",), []).to_frame().attrs["complete"] is True
    assert Rows(("x",), [], complete=False).to_frame().attrs["complete"] is False


texts = st.one_of(st.text(max_size=12), st.from_regex(r"-?\d{1,5}(-\d\d-\d\d(T\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)?)?)?"))
datatypes = st.sampled_from(
    [*LEAST_OF_INTEGERS, *(XSD + n for n in ("decimal", "double", "boolean", "date", "dateTime", "gYear", "time"))]
)
literals = st.builds(lambda text, datatype: Literal(text, datatype=URIRef(datatype), normalize=False), texts, datatypes)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), literals), max_size=5))
def test_no_literal_hinders_a_frame(terms: list[Term | None]) -> None:
    assert list(column(*terms).index) == list(range(len(terms)))


def test_rows_are_iterated_and_counted() -> None:
    rows = Rows(("x",), [(Literal("a"),), (None,)])
    assert list(rows) == rows.rows
    assert len(rows) == 2


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(BackendError) as raised:
        Rows(("x",), []).to_frame()
    assert raised.value.try_next == "pip install 'kgllm[notebook]'"


def test_an_answer_and_a_query_become_frames(demo: Assistant) -> None:
    answer = demo.ask("Who commanded Apollo 11?")
    assert isinstance(answer.to_frame(), pandas.DataFrame)
    assert list(answer.to_frame().iloc[:, 0]) == answer.results
    namespace = "https://example.org/spaceflight/ontology#"
    frame = demo.query(f"SELECT ?m ?d WHERE {{ ?m <{namespace}launchDate> ?d }}").to_frame()
    assert str(frame.dtypes["d"]) == "datetime64[us]"
    assert frame["d"].is_monotonic_increasing is False
    assert frame.sort_values("d")["d"].is_monotonic_increasing
    assert Answer("?", "").to_frame().empty
