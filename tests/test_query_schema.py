"""The JSON form of a plan: whatever the schema admits is a query or is sent back, and so is anything else."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgllm.engines.guard import refuse_unless_read_only
from kgllm.ontology import RDF_TYPE, Class, Ontology, Property, Signature
from kgllm.query import Comparison, Group, Order, Query, TriplePattern, Values, Variable
from kgllm.query_schema import CLASSES, NODES, PROPERTIES, VALUES, Handles, PlanError, parse_plan, plan_schema
from kgllm.terms import Literal, Namespaces, URIRef

few = settings(max_examples=150, deadline=None)
EX = "http://example.org/"
XSD = "http://www.w3.org/2001/XMLSchema#"


def ex(name: str) -> URIRef:
    return URIRef(EX + name)


CREWED, ORBITER, LANDER = (
    Class(ex("Crewed"), "crewed", instances=1),
    Class(ex("Orbiter"), "orbiter", parents=(ex("Crewed"),), instances=2),
    Class(ex("Lander"), "lander", instances=2),
)
MASS = Property(ex("p1"), "mass", signatures=(Signature(ex("Lander"), URIRef(XSD + "decimal"), True, 2),))
ONTOLOGY = Ontology({c.iri: c for c in (CREWED, ORBITER, LANDER)}, {MASS.iri: MASS})
HANDLES = Handles(
    nodes=tuple(ex(f"n{number}") for number in range(NODES - 2)),
    properties=tuple(ex(f"p{number}") for number in range(PROPERTIES - 2)),
    classes=(CREWED.iri, ORBITER.iri, LANDER.iri),
    values=(Literal('"} #'), Literal("5", datatype=URIRef(XSD + "decimal")), Literal("Mond", lang="de")),
)


def made_from(schema: Any) -> st.SearchStrategy[Any]:
    """What a schema admits, read from the schema itself."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "array":
        return st.lists(made_from(schema["items"]), max_size=schema["maxItems"])
    assert schema["type"] == "object"
    assert schema["required"] == list(schema["properties"])
    return st.fixed_dictionaries({key: made_from(inner) for key, inner in schema["properties"].items()})


SMALL = {"s": ["x0", "x1", "n0"], "p": ["type", "p0", "p1"], "o": ["x0", "x1", "n1", "v1", "c0", "c2"]}
triples = st.fixed_dictionaries({key: st.sampled_from(options) for key, options in SMALL.items()})
likely = st.fixed_dictionaries(
    {key: made_from(inner) for key, inner in plan_schema()["properties"].items()}
    | {
        "patterns": st.lists(triples, min_size=1, max_size=3),
        "optional": st.lists(triples, max_size=1),
        "not": st.lists(triples, max_size=1),
        "filters": st.just([]),
        **{key: st.sampled_from(["x0", "x1"]) for key in ("answer", "group", "over", "by")},
    }
)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def assert_is_a_query_or_is_sent_back(value: Any) -> bool:
    try:
        query = parse_plan(value, HANDLES, ONTOLOGY)
    except PlanError as error:
        query, reason = None, str(error)
    if query is None:
        assert reason
        return False
    sparql = query.to_sparql(Namespaces({"ex": EX}))
    refuse_unless_read_only(sparql)
    ox.Store().query(sparql)
    return True


@few
@given(made_from(plan_schema()) | likely)
def test_whatever_the_schema_admits_parses_or_is_sent_back(value: Any) -> None:
    jsonschema.validate(value, plan_schema())
    assert_is_a_query_or_is_sent_back(value)


@few
@given(json_values)
def test_anything_at_all_is_sent_back_and_never_breaks(value: Any) -> None:
    with pytest.raises(PlanError):
        parse_plan(value, HANDLES, ONTOLOGY)


@few
@given(likely, st.data())
def test_a_plan_with_one_thing_wrong_is_sent_back_or_was_right(value: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    wrong = value | {key: data.draw(json_values | st.lists(json_values, max_size=2))}
    is_admitted = jsonschema.Draft202012Validator(plan_schema()).is_valid(wrong)
    assert assert_is_a_query_or_is_sent_back(wrong) <= is_admitted


def test_the_schema_is_the_same_object_and_the_same_bytes_each_time() -> None:
    first = json.dumps(plan_schema())
    parse_plan(plan(), HANDLES, ONTOLOGY)
    assert plan_schema() is plan_schema()
    assert json.dumps(plan_schema()) == first
    jsonschema.Draft202012Validator.check_schema(plan_schema())


def test_the_schema_has_a_handle_for_every_place_of_the_pools() -> None:
    text = json.dumps(plan_schema())
    for letter, count in (("n", NODES), ("p", PROPERTIES), ("c", CLASSES), ("v", VALUES)):
        assert f'"{letter}{count - 1}"' in text
        assert f'"{letter}{count}"' not in text


def triple(text: str) -> dict[str, str]:
    return dict(zip("spo", text.split(), strict=True))


def plan(form: str = "select", patterns: tuple[str, ...] = ("x0 p0 n1",), **parts: Any) -> dict[str, Any]:
    none = {"group": "none", "aggregate": "none", "over": "none", "order": "none", "by": "none", "limit": 0}
    whole = {"form": form, "nodes": [], "patterns": [triple(text) for text in patterns], "optional": [], "not": []}
    return whole | {"filters": [], "answer": "x0"} | none | parts


def parsed(*args: Any, **parts: Any) -> Query:
    value = plan(*args, **parts)
    jsonschema.validate(value, plan_schema())
    return parse_plan(value, HANDLES, ONTOLOGY)


X0, X1 = Variable("x0"), Variable("x1")


def test_a_plan_says_with_handles_what_a_query_says_with_iris() -> None:
    assert parsed() == Query("select", Group((TriplePattern(X0, ex("p0"), ex("n1")),)), (X0,))
    assert parsed("describe", nodes=["n2", "c1"]) == Query("describe", nodes=(ex("n2"), ORBITER.iri))
    assert parsed("count").select[0] != parsed().select[0]
    assert parsed("ask", ("n0 p0 n1",)).form == "ask"


def test_a_class_stands_for_those_below_it() -> None:
    where = parsed(patterns=("x0 type c0",)).where
    assert where.values == (Values(Variable("type0x0"), (CREWED.iri, ORBITER.iri)),)
    assert parsed(patterns=("x0 type c2",)).where == Group((TriplePattern(X0, RDF_TYPE, LANDER.iri),))


def test_the_classes_of_one_part_are_not_those_of_another() -> None:
    query = parsed(patterns=("x0 type c0",), **{"not": [triple("x0 type c0")]}, optional=[triple("x0 type c0")])
    kinds = [values.variable for group in query.where._groups() for values in group.values]
    assert len(set(kinds)) == len(kinds) == 3


def test_only_numbers_are_compared_and_ordered_as_numbers() -> None:
    def compared(op: str, value: str) -> Comparison:
        return parsed(patterns=("x0 p1 x1",), filters=[{"var": "x1", "op": op, "value": value}]).where.comparisons[0]

    assert compared(">", "v1").numeric
    assert not compared(">", "v0").numeric
    assert not compared("contains", "v1").numeric
    ordered = {"order": "desc", "by": "x1", "limit": 1}
    assert parsed(patterns=("x0 p1 x1",), **ordered).order_by == (Order(X1, True, numeric=True),)
    assert parsed(patterns=("x0 p0 x1",), **ordered).order_by == (Order(X1, True, numeric=False),)


def test_groups_are_counted() -> None:
    query = parsed(patterns=("x0 p0 x1",), group="x0", aggregate="count", over="x1", order="desc", by="number", limit=3)
    assert query.group_by == (X0,)
    assert "ORDER BY DESC(?number)\nLIMIT 3" in query.to_sparql()


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"patterns": []}, "no pattern"),
        ({"form": "describe"}, "needs a node"),
        ({"form": "construct"}, "form is 'construct', not one of select"),
        ({"patterns": [triple("x0 p39 n1")]}, "p39 is not listed"),
        ({"patterns": [triple("x0 p40 n1")]}, "not one of type … p39"),
        ({"patterns": [triple("x0 p0 n-1")]}, "not one of"),
        ({"patterns": [triple("x0 p0 n٣")]}, "not one of"),
        ({"patterns": [triple("x0 n0 n1")]}, "not one of"),
        ({"patterns": [triple("x0 p0 n1"), triple("x1 p0 n1")]}, "share no variable"),
        ({"patterns": [triple("x0 p0 n1")] * 7}, "at most 6"),
        ({"optional": [triple("x1 p0 x2")]}, "shares nothing"),
        ({"not": [triple("x1 p0 x2")]}, "shares nothing"),
        ({"answer": "x1"}, r"no pattern binds \?x1"),
        ({"order": "asc", "by": "x1"}, r"no pattern binds \?x1"),
        ({"order": "asc", "by": "number"}, r"no pattern binds \?number"),
        ({"filters": [{"var": "x1", "op": "=", "value": "v0"}]}, r"no pattern binds \?x1"),
        ({"filters": [{"var": "x0", "op": "= ?x0) } #", "value": "v0"}]}, "op is '= "),
        ({"filters": [{"var": "x0", "op": "=", "value": "v15"}]}, "v15 is not listed"),
        ({"aggregate": "sample(*)"}, "not one of none"),
        ({"limit": "1 } #"}, "limit is '1 } #'"),
        ({"limit": True}, "of type bool"),
        ({"limit": [[[]]]}, "of type list"),
        ({"more": 1}, "no object of form"),
    ],
)
def test_a_plan_that_is_no_query_is_sent_back_with_the_reason(parts: dict[str, Any], reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        parse_plan(plan() | parts, HANDLES, ONTOLOGY)


def test_patterns_that_hang_together_by_a_node_alone_are_a_condition() -> None:
    assert len(parsed(patterns=("x0 p0 n1", "n1 p1 n2")).where.patterns) == 2
    assert len(parsed("ask", ("n0 p0 n1", "n2 p1 n3")).where.patterns) == 2


@pytest.mark.parametrize("handle", ["n24", "n99", "n-1", "n", "", "n0 ", "n٣", "q0", "x0 } #"])
def test_a_handle_that_stands_for_nothing_is_none(handle: str) -> None:
    with pytest.raises(PlanError):
        HANDLES.term(handle)
    assert HANDLES.term("n0") == ex("n0")
