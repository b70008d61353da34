"""The JSON form of a plan: whatever the schema admits is a query or is sent back, and so is anything else."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pyoxigraph as ox
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kgllm.ceiling import POOLS
from kgllm.engines.guard import refuse_unless_read_only
from kgllm.ontology import RDF_TYPE, Class, Ontology, Property, Signature
from kgllm.query import Aggregate, Comparison, Group, Order, Query, TriplePattern, Values, Variable
from kgllm.query_json import parse_query, write_query
from kgllm.query_schema import VARIABLES, Handles, PlanError, plan_schema
from kgllm.terms import Literal, Namespaces, URIRef

few = settings(max_examples=200, deadline=None)
EX = "http://example.org/"
XSD = "http://www.w3.org/2001/XMLSchema#"
POOL = POOLS[0]


def ex(name: str) -> URIRef:
    return URIRef(EX + name)


CREWED, ORBITER, LANDER = (
    Class(ex("Crewed"), "crewed", instances=1),
    Class(ex("Orbiter"), "orbiter", parents=(ex("Crewed"),), instances=2),
    Class(ex("Lander"), "lander", instances=2),
)
KNOWS = Property(ex("p0"), "knows", signatures=(Signature(ex("Lander"), ex("Lander"), False, 2),))
MASS = Property(ex("p1"), "mass", signatures=(Signature(ex("Lander"), URIRef(XSD + "decimal"), True, 2),))
CODE = Property(ex("p2"), "code", signatures=(Signature(ex("Lander"), URIRef(XSD + "string"), True, 2),))
ONTOLOGY = Ontology({c.iri: c for c in (CREWED, ORBITER, LANDER)}, {p.iri: p for p in (KNOWS, MASS, CODE)})
BARE = Ontology({}, {p.iri: p for p in (KNOWS, MASS, CODE)})
HANDLES = Handles(
    nodes=tuple(ex(f"n{number}") for number in range(POOL.nodes - 2)),
    properties=tuple(ex(f"p{number}") for number in range(POOL.properties - 2)),
    classes=(CREWED.iri, ORBITER.iri, LANDER.iri),
    values=(Literal('"} #'), Literal("5", datatype=URIRef(XSD + "decimal")), Literal("Mond", lang="de")),
)
SCHEMA: Any = plan_schema(POOL)
PLANS = [
    option for option in SCHEMA["properties"]["plan"]["anyOf"] if {"where", "ask", "describe"} & {*option["properties"]}
]
SMALL = {
    "variable": ["x0", "x1", "x2", "x3"],
    "subject": ["x0", "x1", "n0"],
    "property": ["p0", "p1"],
    "predicate": ["p0", "p1", "p2", "type", "x2"],
    "object": ["x0", "x1", "x2", "n1", "v1", "c0", "c2"],
    "compared": ["x1", "x2", "v0", "v1"],
}


def made_from(schema: Any, few_of: dict[str, list[str]] | None = None) -> st.SearchStrategy[Any]:
    """What a schema admits, read from the schema itself; with few handles of each kind, if these are given."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        if few_of and name in few_of:
            return st.sampled_from(few_of[name])
        return st.deferred(lambda: made_from(SCHEMA["$defs"][name], few_of))
    if "anyOf" in schema:
        return st.one_of([made_from(option, few_of) for option in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    if schema["type"] == "array":
        least = schema["minItems"]
        return st.lists(made_from(schema["items"], few_of), min_size=least, max_size=min(schema["maxItems"], least + 3))
    assert schema["type"] == "object"
    assert schema["required"] == list(schema["properties"])
    return st.fixed_dictionaries({key: made_from(inner, few_of) for key, inner in schema["properties"].items()})


CHAIN = [{"s": "x0", "p": "p0", "o": "x1"}, {"s": "x1", "p": "p1", "o": "x2"}]
conditions = st.lists(made_from({"$ref": "#/$defs/condition"}, SMALL), max_size=3).map(lambda more: CHAIN + more)
likely = st.one_of(
    st.fixed_dictionaries({"ask": conditions}),
    st.fixed_dictionaries(
        {
            "where": conditions,
            "then": st.lists(made_from({"$ref": "#/$defs/then"}, SMALL), max_size=3),
            "select": st.lists(st.sampled_from(["x0", "x1", "x2", "x3"]), min_size=1, max_size=2),
        }
    ),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def assert_is_a_query_or_is_sent_back(value: Any) -> bool:
    try:
        query = parse_query(value, HANDLES, ONTOLOGY)
    except PlanError as error:
        query, reason = None, str(error)
    if query is None:
        assert reason
        return False
    texts = [query.to_sparql(Namespaces({"ex": EX}))]
    if query.form != "ask":
        texts.append(query.to_construct())
    for text in texts:
        refuse_unless_read_only(text)
        ox.Store().query(text)
    return True


@few
@given(st.one_of([made_from(plan) for plan in PLANS]) | likely)
def test_whatever_the_schema_admits_parses_or_is_sent_back(value: Any) -> None:
    jsonschema.validate({"plan": value}, SCHEMA)
    assert_is_a_query_or_is_sent_back(value)


@few
@given(json_values)
def test_anything_at_all_is_sent_back_and_never_breaks(value: Any) -> None:
    with pytest.raises(PlanError):
        parse_query(value, HANDLES, ONTOLOGY)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, part in inner for found in places(part, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@few
@given(likely, st.data())
def test_a_plan_with_one_thing_wrong_is_sent_back_or_was_right(value: dict[str, Any], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(places(value)))
    handles = st.sampled_from(["x0", "x99", "n0", "p0", "c0", "v0", "type", "n٣", "x0 } #"])
    wrong = replaced(value, path, data.draw(handles | json_values | st.lists(json_values | handles, max_size=2)))
    is_admitted = jsonschema.Draft202012Validator(SCHEMA).is_valid({"plan": wrong})
    assert assert_is_a_query_or_is_sent_back(wrong) <= is_admitted


def nameless(query: Query) -> str:
    """A query in which variables are numbered in the order in which they stand."""
    names: dict[str, str] = {}
    return re.sub(r"name='(\w+)'", lambda match: names.setdefault(match[1], f"{len(names)}"), repr(query))


@few
@given(likely)
def test_what_is_written_is_read_as_the_same_query(value: Any) -> None:
    try:
        query = parse_query(value, HANDLES, BARE)
    except PlanError:
        assume(False)
    plan = write_query(query, HANDLES)
    jsonschema.validate({"plan": plan}, SCHEMA)
    assert nameless(parse_query(plan, HANDLES, BARE)) == nameless(query)


@pytest.mark.parametrize("pools", POOLS)
def test_the_schema_is_the_same_object_and_the_same_bytes_each_time(pools: Any) -> None:
    first = json.dumps(plan_schema(pools))
    parse_query(plan(), HANDLES, ONTOLOGY)
    assert plan_schema(pools) is plan_schema(pools)
    assert json.dumps(plan_schema(pools)) == first
    jsonschema.Draft202012Validator.check_schema(plan_schema(pools))


@pytest.mark.parametrize("pools", POOLS)
def test_the_schema_has_a_handle_for_every_place_of_the_pools(pools: Any) -> None:
    text = json.dumps(plan_schema(pools))
    counts = {"n": pools.nodes, "p": pools.properties, "c": pools.classes, "v": pools.values, "x": VARIABLES}
    for letter, count in counts.items():
        assert f'"{letter}{count - 1}"' in text
        assert f'"{letter}{count}"' not in text


@pytest.mark.parametrize(
    ("text", "is_admitted"),
    [
        ("crewed lunar landings", True),
        ("Mondlandefähre", True),
        ("", False),
        (" ", False),
        ('a" b', False),
        ("a " * 12 + "a", False),
    ],
)
def test_a_search_is_a_few_words(text: str, is_admitted: bool) -> None:
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid({"plan": {"search": text}}) == is_admitted


def triple(text: str) -> dict[str, str]:
    return dict(zip("spo", text.split(), strict=True))


def compared(text: str) -> dict[str, str]:
    return dict(zip(("x", "op", "to"), text.split(), strict=True))


def plan(*conditions: Any, then: Any = (), select: Any = ("x0",)) -> dict[str, Any]:
    where = [triple(c) if isinstance(c, str) else c for c in conditions or ("x0 p0 n1",)]
    return {"where": where, "then": list(then), "select": list(select)}


def fn(name: str, of: str, into: str) -> dict[str, str]:
    return {"fn": name, "of": of, "as": into}


def parsed(*conditions: Any, **parts: Any) -> Query:
    value = plan(*conditions, **parts)
    jsonschema.validate({"plan": value}, SCHEMA)
    return parse_query(value, HANDLES, ONTOLOGY)


X0, X1, X2 = Variable("x0"), Variable("x1"), Variable("x2")


def test_a_plan_says_with_handles_what_a_query_says_with_iris() -> None:
    assert parsed() == Query("select", Group((TriplePattern(X0, ex("p0"), ex("n1")),)), (X0,))
    described = parse_query({"describe": ["n2", "c1", "p0"]}, HANDLES, ONTOLOGY)
    assert described == Query("describe", nodes=(ex("n2"), ORBITER.iri, ex("p0")))
    assert parse_query({"ask": [triple("n0 p0 n1")]}, HANDLES, ONTOLOGY).form == "ask"
    assert parsed(then=[fn("count", "x0", "x1")], select=["x1"]).form == "count"


def test_a_class_stands_for_those_below_it() -> None:
    where = parsed("x0 type c0").where
    assert where.values == (Values(Variable("type0"), (CREWED.iri, ORBITER.iri)),)
    assert parsed("x0 type c2").where == Group((TriplePattern(X0, RDF_TYPE, LANDER.iri),))


def test_the_classes_of_one_part_are_not_those_of_another() -> None:
    query = parsed("x0 type c0", {"not": [triple("x0 type c0")]}, {"optional": [triple("x0 type c0")]})
    kinds = [values.variable for group in query.where.groups() for values in group.values]
    assert len(set(kinds)) == len(kinds) == 3


def test_only_numbers_are_compared_and_ordered_as_numbers() -> None:
    def comparison(op: str, value: str) -> Comparison:
        return parsed("x0 p1 x1", compared(f"x1 {op} {value}")).where.comparisons[0]

    assert comparison(">", "v1").numeric
    assert not comparison(">", "v0").numeric
    assert not comparison("contains", "v1").numeric
    ordered = [{"order": "desc", "by": "x1"}, {"limit": 1}]
    assert parsed("x0 p1 x1", then=ordered).order_by == (Order(X1, True, numeric=True),)
    assert parsed("x0 p0 x1", then=ordered).order_by == (Order(X1, True, numeric=False),)


def test_nodes_are_put_in_order_by_their_text_and_nothing_else_is() -> None:
    assert parsed("x0 p0 x1", compared("x0 < x1")).where.comparisons[0].lexical
    assert not parsed("x0 p0 x1", compared("x0 != x1")).where.comparisons[0].lexical
    assert not parsed("x0 p1 x1", "x0 p2 x2", compared("x1 < x2")).where.comparisons[0].lexical
    assert parsed("x0 p0 x1", compared("x1 != n3")).where.comparisons == (Comparison(X1, "!=", ex("n3")),)


def test_text_is_added_up_as_numbers_and_numbers_as_they_are() -> None:
    assert parsed("x0 p2 x1", then=[fn("sum", "x1", "x2")], select=["x2"]).select == (
        Aggregate("sum", X1, "x2", numeric=True),
    )
    assert parsed("x0 p1 x1", then=[fn("sum", "x1", "x2")], select=["x2"]).select == (Aggregate("sum", X1, "x2"),)


@pytest.mark.parametrize("op", ["=", "<"])
def test_the_order_of_conditions_does_not_matter(op: str) -> None:
    mean = {"sub": {"where": [triple("x3 p1 x4")], "then": [fn("avg", "x4", "x2")], "select": ["x2"]}}
    conditions: list[Any] = [mean, triple("x0 p1 x1"), compared(f"x1 {op} x2")]
    assert parsed(*conditions) == parsed(*conditions[::-1])


def spoiled(**parts: Any) -> dict[str, Any]:
    return plan("x0 p0 n1") | parts


SUB = {"where": [triple("x2 p1 x3")], "then": [fn("avg", "x3", "x4")], "select": ["x4"]}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ([], "the plan is no object"),
        ({}, "where, then and select, or ask alone"),
        ({"construct": []}, "where, then and select"),
        ({"look": "n0"}, "where, then and select"),
        (spoiled(more=1), "where, then and select"),
        (spoiled(where=[]), "no list of 1 to 32"),
        (spoiled(select=[]), "no list of 1 to 12"),
        (spoiled(where=[triple("x0 p0 n1")] * 33), "no list of 1 to 32"),
        ({"describe": ["v0"]}, "a node or class or property belongs"),
        ({"describe": ["x0"]}, "a node or class or property belongs"),
        (plan("x0 p51 n1"), "p51 is not listed"),
        (plan("x0 p999 n1"), "p999 is not listed"),
        (plan("x0 p0 n-1"), "no handle"),
        (plan("x0 p0 n٣"), "no handle"),
        (plan("x0 p0 type"), "no handle"),
        (plan("x24 p0 n0"), "no variable"),
        (plan("x0 n0 n1"), "n0 where a property or variable belongs"),
        (plan("v0 p0 n1"), "v0 where a variable or node belongs"),
        (plan("x0 p0 p1"), "p1 where a variable or node or value or class belongs"),
        (plan({"s": "x0", "path": "type", "times": "+", "o": "x1"}), "no handle"),
        (plan({"s": "x0", "path": "p0", "times": "?", "o": "x1"}), "no condition"),
        (plan("x0 p0 n1", "x1 p0 n1", select=["x0"]), "share no variable"),
        (plan("x0 p0 n1", {"sub": SUB}), "share no variable"),
        (plan("x0 p0 n1", {"optional": [triple("x1 p0 x2")]}), "optional shares nothing"),
        (plan("x0 p0 n1", {"not": [triple("x1 p0 x2")]}), "not shares nothing"),
        (plan("x0 p0 n1", {"not": [{"not": [triple("x0 p0 n2")]}]}), "no condition that may stand there"),
        (plan("x0 p0 n1", {"not": [{"either": [[triple("x0 p0 n2")]] * 2}]}), "no condition that may stand there"),
        (plan({"sub": SUB | {"where": [{"sub": SUB}]}}, select=["x4"]), "no condition that may stand there"),
        (plan({"sub": SUB | {"where": [{"not": [triple("x2 p1 x3")]}]}}, select=["x4"]), "no condition"),
        (plan({"sub": SUB | {"more": 1}}, select=["x4"]), "sub has where, then and select"),
        (plan({"either": [[triple("x0 p0 n1")]]}), "no list of 2 to 4"),
        (plan("x0 p1 x1", {"either": [[triple("x0 p0 n1"), compared("x1 = v0")]] * 2}), "uses x1"),
        (plan("x0 p0 n1", compared("x1 = v0")), "uses x1"),
        (plan("x0 p0 n1", compared("x0 = x1")), "uses x1"),
        (plan("x0 p0 n1", {"not": [compared("x1 = v0")]}), "uses x1"),
        (plan("x0 p0 n1", compared("x0 = v15")), "v15 is not listed"),
        (plan("x0 p0 n1", compared("x0 = p0")), "p0 where a variable"),
        (plan("x0 p0 n1", compared("x0 < n0")), "orders by n0"),
        (plan("x0 p0 n1", {"x": "x0", "op": "= ?x0) } #", "to": "v0"}), "no operator"),
        (plan("x0 p1 x1", {"let": "x1", "is": "+", "of": ["x1", "x1"]}), "stands for something else"),
        (plan("x0 p1 x1", {"let": "x2", "is": "+", "of": ["x1", "x3"]}), "uses x3"),
        (plan("x0 p1 x1", {"let": "x2", "is": "^", "of": ["x1", "x1"]}), "none of"),
        (plan("x0 p1 x1", {"let": "x2", "is": "+", "of": ["v1", "v1"]}), "needs a variable"),
        (plan(select=["x1"]), "select names x1"),
        (plan(select=["n1"]), "n1 where a variable belongs"),
        (plan(then=[{"order": "asc", "by": "x1"}]), r"no pattern binds \?x1"),
        (plan(then=[{"order": "up", "by": "x0"}]), "no step"),
        (plan(then=[fn("sample(*)", "x0", "x1")]), "no step"),
        (plan(then=[fn("count", "x0", "x0")], select=["x0"]), "one name"),
        (plan(then=[fn("count", "x0", "x1"), fn("sum", "x0", "x1")], select=["x1"]), "x1 a second time"),
        (plan(then=[fn("count", "x0", None)]), "no handle"),  # type: ignore[arg-type]
        (plan(then=[fn("count", "x0", "x1"), {"having": "x1", "op": "=", "to": "n0"}]), "n0 where a variable or value"),
        (plan(then=[{"having": "x0", "op": "contains", "to": "v0"}]), "no step"),
        (plan(then=[{"limit": 0}]), "no step"),
        (plan(then=[{"limit": 101}]), "no step"),
        (plan(then=[{"limit": "1 } #"}]), "no step"),
        (plan(then=[{"limit": True}]), "no step"),
        (plan(then=[{"limit": [[[]]]}]), "no step"),
    ],
)
def test_a_plan_that_is_no_query_is_sent_back_with_the_reason(wrong: Any, reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        parse_query(wrong, HANDLES, ONTOLOGY)


def test_patterns_that_hang_together_by_a_node_alone_are_a_condition() -> None:
    assert len(parsed("x0 p0 n1", "n1 p1 n2").where.patterns) == 2
    asked = parse_query({"ask": [triple("n0 p0 n1"), triple("n2 p1 n3")]}, HANDLES, ONTOLOGY)
    assert len(asked.where.patterns) == 2


@pytest.mark.parametrize("handle", ["n24", "n99", "n-1", "n", "", "n0 ", "n٣", "q0", "x0 } #", "type", None, 0])
def test_a_handle_that_stands_for_nothing_is_none(handle: Any) -> None:
    with pytest.raises(PlanError):
        HANDLES.term(handle)
    assert HANDLES.term("n0") == ex("n0")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (Query("select", Group((TriplePattern(X0, ex("p99"), X1),)), (X0,)), "has no handle"),
        (Query("select", Group((TriplePattern(X0, ex("p0"), X1),), (Values(X0, (ex("n0"),)),)), (X0,)), "no list of"),
        (Query("select", Group((TriplePattern(X0, ex("p0"), X1),)), (X0,), limit=101), "no limit of 101"),
        (
            Query("ask", Group(tuple(TriplePattern(X0, ex("p0"), Variable(f"y{n}")) for n in range(VARIABLES)))),
            "24 variables",
        ),
    ],
)
def test_what_a_plan_cannot_say_is_not_written(query: Query, reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        write_query(query, HANDLES)


GRAPH = f"""
@prefix ex: <{EX}> . @prefix xsd: <{XSD}> .
ex:n0 a ex:Crewed, ex:Orbiter ; ex:p0 ex:n1, ex:n2 ; ex:p1 10.0 ; ex:p2 "1" .
ex:n1 a ex:Lander ; ex:p0 ex:n2 ; ex:p1 20.0 ; ex:p2 "2" .
ex:n2 a ex:Lander ; ex:p1 60.0 ; ex:p2 "x" .
ex:n3 a ex:Orbiter ; ex:p0 ex:n3 ; ex:p1 5 .
"""


def rows(*conditions: Any, **parts: Any) -> list[tuple[str | None, ...]]:
    store = ox.Store()
    store.load(GRAPH.encode(), format=ox.RdfFormat.TURTLE)
    found: Any = store.query(parsed(*conditions, **parts).to_sparql())
    return [tuple(None if cell is None else str(cell.value).removeprefix(EX) for cell in row) for row in found]


def names(*conditions: Any, **parts: Any) -> list[str | None]:
    return sorted((row[0] for row in rows(*conditions, **parts)), key=str)


def test_more_than_the_average_is_asked_for() -> None:
    assert names("x0 p1 x1", {"sub": SUB}, compared("x1 > x4")) == ["n2"]
    lightest = SUB | {"then": [fn("min", "x3", "x4")]}
    assert names("x0 p1 x1", {"sub": lightest}, compared("x1 = x4")) == ["n3"]


def test_groups_are_chosen_and_ordered_by_what_is_not_shown() -> None:
    most = [fn("count", "x1", "x2"), {"order": "desc", "by": "x2"}, {"limit": 1}]
    assert rows("x0 p0 x1", then=most) == [("n0",)]
    two = [
        fn("count", "x1", "x2"),
        {"let": "x3", "is": "*", "of": ["x2", "v1"]},
        {"having": "x3", "op": ">", "to": "v1"},
    ]
    assert rows("x0 p0 x1", then=two, select=["x0", "x3"]) == [("n0", "10")]


def test_the_ratio_of_aggregates_is_a_column() -> None:
    ratio = [fn("sum", "x1", "x2"), fn("count", "x0", "x3"), {"let": "x4", "is": "/", "of": ["x2", "x3"]}]
    assert rows("x0 p1 x1", then=ratio, select=["x4"]) == [("23.75",)]


def test_either_of_filters_or_of_parts_has_to_hold() -> None:
    light_or_heavy = {"either": [[compared("x1 < v1")], [compared("x1 > x2"), compared("x2 > v1")]]}
    pair = ("x0 p1 x1", "x0 p0 x3", "x3 p1 x2")
    assert names(*pair, light_or_heavy) == []
    assert names(*pair, {"either": [[compared("x1 = v1")], [compared("x1 < x2")]]}) == ["n0", "n1", "n3"]
    assert names({"either": [[triple("x0 p0 n1")], [triple("x0 type c2"), triple("x0 p0 n2")]]}) == ["n0", "n1"]


def test_what_stands_in_not_takes_away_with_its_filter() -> None:
    assert names("x0 p1 x1", {"not": [triple("x0 p0 x2"), triple("x2 p1 x3"), compared("x3 > x1")]}) == ["n2", "n3"]
    assert names("x0 p1 x1", {"not": [triple("x0 p0 x2")]}) == ["n2"]
    assert names("x0 p1 x1", {"not": [compared("x1 > v1")]}) == ["n3"]


def test_what_is_optional_takes_nothing_away() -> None:
    assert rows("x0 type c2", {"optional": [triple("x0 p0 x1")]}, select=["x0", "x1"]) in (
        [("n1", "n2"), ("n2", None)],
        [("n2", None), ("n1", "n2")],
    )


def test_a_repeated_property_reaches_what_lies_beyond() -> None:
    def reached(times: str) -> list[str | None]:
        return names({"s": "n0", "path": "p0", "times": times, "o": "x0"})

    assert reached("+") == ["n1", "n2"]
    assert reached("*") == ["n0", "n1", "n2"]


def test_repetitions_are_counted_only_where_that_is_asked() -> None:
    assert rows("x1 p0 x0", then=[fn("count", "x0", "x2")], select=["x2"]) == [("3",)]
    assert rows("x1 p0 x0", then=[fn("count_all", "x0", "x2")], select=["x2"]) == [("4",)]


def test_a_thing_of_two_classes_is_counted_and_added_once() -> None:
    crewed = ("x0 type c0", "x0 p1 x1")
    assert rows(*crewed, then=[fn("count_all", "x0", "x2")], select=["x2"]) == [("2",)]
    assert rows(*crewed, then=[fn("sum", "x1", "x2")], select=["x2"]) == [("15",)]
    heavy = {"where": [triple(c) for c in crewed], "then": [fn("sum", "x1", "x2")], "select": ["x2"]}
    assert rows({"sub": heavy}, "x3 p1 x4", compared("x4 > x2"), select=["x2"]) == [("15",)]
    assert rows("n0 type c0", "n0 p1 x1", then=[fn("sum", "x1", "x2")], select=["x2"]) == [("10",)]


def test_others_than_a_node_are_asked_for() -> None:
    assert names("n0 p0 x1", "x0 p0 x1", compared("x0 != n0")) == ["n1"]


def test_a_node_described_twice_is_described_once() -> None:
    assert parse_query({"describe": ["n1", "n1"]}, HANDLES, ONTOLOGY).nodes == (HANDLES.nodes[1],)
