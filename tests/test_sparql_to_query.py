"""SPARQL read as a query: each construct becomes the query that says the same, or is named as one that none can say."""

from __future__ import annotations

from typing import Any

import pytest

from kgllm.ontology import RDF_TYPE
from kgllm.query import (
    Aggregate,
    Comparison,
    Computed,
    Group,
    Having,
    Order,
    Query,
    TriplePattern,
    Variable,
)
from kgllm.query import Path as Repeated
from kgllm.terms import Literal, URIRef
from kgllm.tuning.sparql_to_query import NotExpressibleError, column_names, compiled

EX = "http://example.org/"
INTEGER = URIRef("http://www.w3.org/2001/XMLSchema#integer")
X, Y, Z, A, B, N = (Variable(name) for name in "xyzabn")
V0, V1 = Variable("v0"), Variable("v1")
FIVE = Literal("5", datatype=INTEGER)


def read(text: str) -> Query:
    return compiled(f"PREFIX ex: <{EX}> PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#> {text}")


def ex(name: str) -> URIRef:
    return URIRef(EX + name)


def triple(text: str) -> TriplePattern:
    def term(word: str) -> Any:
        return Variable(word[1:]) if word[0] == "?" else ex(word)

    s, p, o = text.split()
    return TriplePattern(term(s), RDF_TYPE if p == "a" else term(p), term(o))


def where(*triples: str, **parts: Any) -> Group:
    return Group(tuple(map(triple, triples)), **parts)


def patterns(text: str) -> Group:
    return read(f"SELECT ?x {{ {text} }}").where


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("?x ex:p ?y ; a ex:C .", where("?x p ?y", "?x a C")),
        ("?x ex:p [ ex:q ?y ] .", where("?x p ?v0", "?v0 q ?y")),
        ("?x ex:p/ex:q ex:n .", where("?x p ?v0", "?v0 q n")),
        ("?x ^ex:p ex:n .", where("n p ?x")),
        (r"?x ex:a\#b ?y .", where("?x a#b ?y")),
        ("?x ex:p+ ex:n .", Group((TriplePattern(X, Repeated(ex("p"), "+"), ex("n")),))),
        ("?x ex:p|ex:q ex:n .", Group(alternatives=((where("?x p n"), where("?x q n")),))),
        ("?x a/rdfs:subClassOf* ex:C .", where("?x a C")),
        ("?x a ?y . ?y rdfs:subClassOf* ex:C .", where("?x a C")),
        ("?x ex:p ?y OPTIONAL { ?x ex:q ?z }", where("?x p ?y", optional=(where("?x q ?z"),))),
        ("{ ?x ex:p ex:n } UNION { ?x ex:q ex:n }", Group(alternatives=((where("?x p n"), where("?x q n")),))),
        ("?x ex:p ?y MINUS { ?x ex:q ?z }", where("?x p ?y", negated=(where("?x q ?z"),))),
        ("?x ex:p ?y MINUS { ?z ex:q ?a }", where("?x p ?y")),
        ("?x ex:p ?y FILTER NOT EXISTS { ?x ex:q ?z }", where("?x p ?y", negated=(where("?x q ?z"),))),
        ("?x ex:p ?y FILTER EXISTS { ?x ex:q ?z }", where("?x p ?y", "?x q ?z")),
        ("?x ex:p ?y FILTER(?y > 5)", where("?x p ?y", comparisons=(Comparison(Y, ">", FIVE, numeric=True),))),
        ("?x ex:p ?y FILTER(5 > ?y)", where("?x p ?y", comparisons=(Comparison(Y, "<", FIVE, numeric=True),))),
        ("?x ex:p ?y FILTER(?y != ex:n)", where("?x p ?y", comparisons=(Comparison(Y, "!=", ex("n")),))),
        ("?x ex:p ?y FILTER(!(?y = ex:n))", where("?x p ?y", comparisons=(Comparison(Y, "!=", ex("n")),))),
        ("?x ex:p ?y FILTER(STR(?x) < STR(?y))", where("?x p ?y", comparisons=(Comparison(X, "<", Y, lexical=True),))),
        (
            'FILTER(CONTAINS(LCASE(?y), LCASE("A"))) ?x ex:p ?y',
            where("?x p ?y", comparisons=(Comparison(Y, "contains", Literal("A")),)),
        ),
        (
            '?x ex:p ?y FILTER(?y = "a" || ?y = "b")',
            where("?x p ?y", either=(tuple((Comparison(Y, "=", Literal(text)),) for text in "ab"),)),
        ),
        (
            '?x ex:p ?y FILTER(?y IN ("a", "b"))',
            where("?x p ?y", either=(tuple((Comparison(Y, "=", Literal(text)),) for text in "ab"),)),
        ),
        (
            "?x ex:p ?y, ?z BIND(?y + ?z + 5 - ?y AS ?n)",
            where("?x p ?y", "?x p ?z", computed=(Computed(V0, "+", (Y, Z, FIVE)), Computed(N, "-", (V0, Y)))),
        ),
        (
            "?x ex:p ?y { SELECT ?y { ?z ex:q ?y } }",
            where("?x p ?y", "?v0 q ?y"),
        ),
        (
            "?x ex:p ?y { SELECT DISTINCT ?y { ?z ex:q ?y } }",
            where("?x p ?y", nested=(Query("select", where("?v0 q ?y"), (Y,)),)),
        ),
        (
            "?x ex:p ?y FILTER(?y > ?a) { SELECT (AVG(?z) AS ?a) { ?y ex:p ?z } }",
            where(
                "?x p ?y",
                comparisons=(Comparison(Y, ">", A),),
                nested=(Query("select", where("?v0 p ?v1"), (Aggregate("avg", V1, "a"),)),),
            ),
        ),
        (
            "?x ex:p ?y FILTER NOT EXISTS { { SELECT ?a { ?b ex:q ?a } } FILTER(?y IN (?a)) }",
            where("?x p ?y", negated=(where("?v0 q ?y"),)),
        ),
        ("?x ex:p ?y FILTER(?y IN (?z)) ?a ex:q ?z", where("?x p ?y", "?a q ?y")),
    ],
)
def test_a_pattern_becomes_the_same_pattern(text: str, expected: Group) -> None:
    found = patterns(text)
    assert {*found.patterns} == {*expected.patterns}
    assert Group((), *[getattr(found, name) for name in PARTS]) == Group(
        (), *[getattr(expected, name) for name in PARTS]
    )


PARTS = ("values", "comparisons", "optional", "negated", "alternatives", "either", "computed", "nested", "required")


def test_a_minus_of_selects_is_a_negated_group() -> None:
    query = read("SELECT ?n { { SELECT (?y AS ?n) { ?x ex:p ?y } } MINUS { SELECT (?y AS ?n) { ?x ex:q ?y } } }")
    (column,) = query.columns()
    (negated,) = query.where.negated
    assert query.where.patterns[0].object == negated.patterns[0].object == column
    assert query.where.patterns[0].subject != negated.patterns[0].subject


P = where("?x p ?y")
COUNT = Aggregate("count", Y, "n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ASK { ?x ex:p ?y }", Query("ask", P)),
        (
            "SELECT ?x { ?x ex:p ?y } ORDER BY DESC(?y) LIMIT 2",
            Query("select", P, (X,), order_by=(Order(Y, True),), limit=2),
        ),
        ("SELECT (COUNT(DISTINCT ?y) AS ?n) { ?x ex:p ?y }", Query("count", P, (COUNT,))),
        ("SELECT (COUNT(*) AS ?n) { ?x ex:p ?y }", Query("count", P, (Aggregate("count", X, "n", distinct=False),))),
        (
            "SELECT ?x (COUNT(DISTINCT ?y) AS ?n) { ?x ex:p ?y } GROUP BY ?x HAVING(?n > 5) ORDER BY ?n",
            Query("select", P, (X, COUNT), (), (X,), (Having(N, ">", FIVE),), (Order(N),)),
        ),
        (
            "SELECT ?x { ?x ex:p ?y } GROUP BY ?x ORDER BY DESC(SUM(?y)) LIMIT 1",
            Query("select", P, (X,), (), (X,), (), (Order(V0, True),), 1, (Aggregate("sum", Y, "v0"),)),
        ),
        (
            "SELECT (SUM(?y) / COUNT(DISTINCT ?x) AS ?n) { ?x ex:p ?y }",
            Query(
                "select",
                P,
                (Computed(N, "/", (V0, V1)),),
                unshown=(Aggregate("sum", Y, "v0"), Aggregate("count", X, "v1")),
            ),
        ),
        ("SELECT (?y AS ?n) { ?x ex:p ?y }", Query("select", P, (Y,))),
    ],
)
def test_what_is_done_with_the_solutions_is_kept(text: str, expected: Query) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT ?x { ?x ex:p ?y } OFFSET 2", "OFFSET"),
        ("SELECT ?x { ?x ex:p? ?y }", "path"),
        ("SELECT ?x { ?x !ex:p ?y }", "path"),
        ("SELECT ?x { GRAPH ex:g { ?x ex:p ?y } }", "Graph"),
        ("SELECT (ROUND(AVG(?y)) AS ?n) { ?x ex:p ?y }", "function ROUND"),
        ("SELECT (GROUP_CONCAT(?y) AS ?n) { ?x ex:p ?y }", "aggregate groupconcat"),
        ("SELECT (SUM(DISTINCT ?y) AS ?n) { ?x ex:p ?y }", r"sum\(DISTINCT\)"),
        ("SELECT (COUNT(DISTINCT *) AS ?n) { ?x ex:p ?y }", r"COUNT\(DISTINCT \*\)"),
        ("SELECT ?x { ?x ex:p ?y BIND(5 AS ?z) }", "constant"),
        ("SELECT ?x { ?x ex:p ?y FILTER(BOUND(?y)) }", "filter Builtin_BOUND"),
        ("SELECT ?x { ?x ex:p ?y FILTER(?y = 5 || EXISTS { ?x ex:q ?y }) }", "no comparison"),
        ("SELECT ?x { VALUES (?x ?y) { (ex:a ex:b) } ?x ex:p ?y }", "several variables"),
        ("CONSTRUCT { ?x ex:p ?y } { ?x ex:p ?y }", "ConstructQuery"),
    ],
)
def test_what_no_query_can_say_is_named(text: str, reason: str) -> None:
    with pytest.raises(NotExpressibleError, match=reason):
        read(text)


def test_columns_keep_their_names_apart_from_the_query() -> None:
    assert column_names("SELECT (?y AS ?n) ?x { ?x <urn:p> ?y }") == ["n", "x"]
    assert column_names("ASK { ?x <urn:p> ?y }") == []
