"""Recall and answer: the rows of a query, the triples behind each, and nothing said beyond them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kgllm import Assistant
from kgllm.answer import Claim, render_claims, render_text
from kgllm.index import Index
from kgllm.ontology import RDF_TYPE
from kgllm.protocols import Rows
from kgllm.query import Aggregate, Comparison, Group, Order, Path, Query, TriplePattern, Values, Variable
from kgllm.recall import Recalled, recall
from kgllm.terms import Literal, URIRef

EX = "http://example.org/"
XSD = "http://www.w3.org/2001/XMLSchema#"
FILMS = f"""@prefix ex: <{EX}> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
ex:alien a ex:Film ; rdfs:label "Alien" ; ex:director ex:scott ; ex:year 1979 .
ex:legend a ex:Film ; rdfs:label "Legend" ; ex:director ex:scott ; ex:year 1985 .
ex:heat a ex:Film ; rdfs:label "Heat" ; ex:director ex:mann ; ex:year 1995 ; rdfs:comment "A heist." .
ex:scott rdfs:label "Ridley Scott" . ex:mann rdfs:label "Michael\\u001b[31m Mann" .
"""
X, YEAR = Variable("x"), Variable("year")
Recall = Callable[[Query], Recalled]


def ex(name: str) -> URIRef:
    return URIRef(EX + name)


def integer(number: int) -> Literal:
    return Literal(str(number), datatype=URIRef(XSD + "integer"))


BY_SCOTT = TriplePattern(X, ex("director"), ex("scott"))
IN_YEAR = TriplePattern(X, ex("year"), YEAR)


@pytest.fixture(scope="module")
def recalled(open_cached: Callable[..., Assistant]) -> Recall:
    index = open_cached(FILMS).index
    return lambda query: recall(query, question="?", links=[], index=index)


def answered(recalled: Recalled) -> tuple[str, tuple[Claim, ...]]:
    claims = render_claims(recalled.query, recalled)
    return render_text(recalled.query, recalled, claims), claims


def test_each_row_keeps_the_triples_it_rests_on(recalled: Recall) -> None:
    found = recalled(Query("select", Group((BY_SCOTT, IN_YEAR)), (X,)))
    assert [row[0] for row in found.rows.rows] == [ex("alien"), ex("legend")]
    assert set(found.evidence[ex("alien")]) == {
        (ex("alien"), ex("director"), ex("scott")),
        (ex("alien"), ex("year"), integer(1979)),
    }
    assert len(found.memory) == 4


def test_a_count_keeps_its_members_and_a_count_of_none_is_nothing(recalled: Recall) -> None:
    count = (Aggregate("count", X),)
    two = recalled(Query("count", Group((BY_SCOTT,)), count))
    assert [str(row[0]) for row in two.rows.rows] == ["2"]
    assert {s for s, _, _ in two.memory.triples()} == {ex("alien"), ex("legend")}
    assert not two.is_empty
    assert recalled(Query("count", Group((TriplePattern(X, ex("director"), ex("nobody")),)), count)).is_empty


@pytest.fixture(scope="module")
def ways(open_cached: Callable[..., Assistant]) -> Index:
    """Two ways from one place to another."""
    return open_cached(f"@prefix ex: <{EX}> .\nex:a ex:to ex:b, ex:c . ex:b ex:to ex:d . ex:c ex:to ex:d .").index


@pytest.mark.parametrize(
    "query",
    [
        Query("select", Group((TriplePattern(X, ex("to"), YEAR),)), (YEAR, X)),
        Query("count", Group((TriplePattern(X, ex("to"), ex("d")),)), (Aggregate("count", X),)),
        Query("select", Group((TriplePattern(ex("a"), Path(ex("to"), "+"), X),)), (X,)),
        Query("describe", Group(()), nodes=(ex("a"),)),
    ],
    ids=["select", "count", "chain", "describe"],
)
def test_the_facts_have_one_order_in_whichever_the_store_gives_them(
    query: Query, ways: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    select = type(ways.store).select

    def backwards(*given: Any, **options: Any) -> Rows:
        rows = select(*given, **options)
        return Rows(rows.vars, rows.rows[::-1], rows.complete)

    before = recall(query, question="?", links=[], index=ways)
    monkeypatch.setattr(type(ways.store), "select", backwards)
    after = recall(query, question="?", links=[], index=ways)
    assert before.evidence == after.evidence
    assert before.members == after.members
    assert before.memory.triples() == after.memory.triples()
    assert len(before.memory) > 1


def test_an_extreme_keeps_the_value_that_made_it_one(recalled: Recall) -> None:
    found = recalled(Query("select", Group((IN_YEAR,)), (X,), order_by=(Order(YEAR, descending=True),), limit=1))
    assert [row[0] for row in found.rows.rows] == [ex("heat")]
    assert found.memory.triples() == [(ex("heat"), ex("year"), integer(1995))]


def test_what_a_filter_leaves_out_is_not_remembered(recalled: Recall) -> None:
    early = Group((IN_YEAR,), comparisons=(Comparison(YEAR, "<", integer(1980)),))
    assert {s for s, _, _ in recalled(Query("select", early, (X,))).memory.triples()} == {ex("alien")}


@pytest.mark.parametrize(("director", "holds"), [("mann", True), ("scott", False)])
def test_a_yes_has_its_triple_and_a_no_has_none(recalled: Recall, director: str, holds: bool) -> None:
    found = recalled(Query("ask", Group((TriplePattern(ex("heat"), ex("director"), ex(director)),))))
    text, claims = answered(found)
    assert [str(row[0]) for row in found.rows.rows] == [str(holds).lower()]
    assert len(claims) == len(found.memory) == int(holds)
    assert text == ("Yes [1]." if holds else "No: the graph does not state it.")


def test_a_description_is_the_graphs_own(recalled: Recall) -> None:
    text, (claim,) = answered(recalled(Query("describe", nodes=(ex("heat"),))))
    assert text.startswith("Heat: A heist.")
    assert claim.verdict == "asserted"


def test_nothing_found_is_empty_and_nothing_is_remembered(recalled: Recall) -> None:
    for query in (
        Query("select", Group((TriplePattern(X, ex("none"), X),)), (X,)),
        Query("describe", nodes=(ex("no"),)),
    ):
        found = recalled(query)
        assert found.is_empty
        assert len(found.memory) == 0


def test_roles_name_topics_and_answers(recalled: Recall) -> None:
    roles = recalled(Query("select", Group((BY_SCOTT,)), (X,))).memory.roles
    assert roles == {ex("scott"): "topic", ex("alien"): "answer", ex("legend"): "answer"}


def test_the_text_cites_facts_and_cannot_steer_a_terminal(recalled: Recall) -> None:
    pattern = TriplePattern(ex("heat"), ex("director"), X)
    text, claims = answered(recalled(Query("select", Group((pattern,)), (X,))))
    assert text.startswith("The director of Heat is Michael")
    assert text.endswith("[1].")
    assert "\x1b" not in text + claims[0].text


def test_an_optional_part_that_matched_nothing_is_no_fact(recalled: Recall) -> None:
    absent = TriplePattern(ex("heat"), ex("director"), ex("scott"))  # ground, and in no graph
    present = TriplePattern(ex("heat"), ex("director"), ex("mann"))
    where = Group((BY_SCOTT,), optional=(Group((absent,)), Group((present,))))
    memory = recalled(Query("select", where, (X,))).memory
    assert (ex("heat"), ex("director"), ex("mann")) in memory
    assert (ex("heat"), ex("director"), ex("scott")) not in memory


def test_a_count_names_what_it_counts_and_not_what_lies_between(recalled: Recall) -> None:
    people = Variable("p")
    where = Group((TriplePattern(X, ex("director"), people), TriplePattern(X, ex("year"), YEAR)))
    found = recalled(Query("count", where, (Aggregate("count", people),)))
    assert set(found.members) == {ex("scott"), ex("mann")}


PARTS = f"""@prefix ex: <{EX}> .
ex:bolt a ex:Part ; ex:partOf ex:wheel .
ex:wheel a ex:Part ; ex:partOf ex:axle . ex:axle a ex:Part ; ex:partOf ex:cart .
ex:wheel ex:partOf ex:bolt . ex:cart a ex:Cart ; ex:weight 90 . ex:wheel ex:weight 9 . ex:axle ex:weight 30 .
"""
PART_OF = Path(ex("partOf"), "+")


@pytest.fixture(scope="module")
def of_parts(open_cached: Callable[..., Assistant]) -> Recall:
    index = open_cached(PARTS).index
    return lambda query: recall(query, question="?", links=[], index=index)


def part_of(one: str, other: str) -> tuple[URIRef, URIRef, URIRef]:
    return ex(one), ex("partOf"), ex(other)


def test_what_a_repeated_property_reaches_rests_on_the_chain_of_triples(of_parts: Recall) -> None:
    found = of_parts(Query("select", Group((TriplePattern(ex("bolt"), PART_OF, X),)), (X,)))
    assert found.evidence[ex("cart")] == (part_of("bolt", "wheel"), part_of("wheel", "axle"), part_of("axle", "cart"))
    assert found.evidence[ex("bolt")] == (part_of("bolt", "wheel"), part_of("wheel", "bolt"))


def test_a_yes_by_a_chain_names_it_and_a_no_names_nothing(of_parts: Recall) -> None:
    def asked(one: str, other: str) -> Recalled:
        return of_parts(Query("ask", Group((TriplePattern(ex(one), PART_OF, ex(other)),))))

    yes, no = asked("axle", "cart"), asked("cart", "axle")
    assert (str(yes.rows.rows[0][0]), yes.memory.triples()) == ("true", [part_of("axle", "cart")])
    assert (str(no.rows.rows[0][0]), no.memory.triples(), no.is_groundless) == ("false", [], False)


def test_what_is_reached_by_no_step_rests_on_nothing(of_parts: Recall) -> None:
    itself = TriplePattern(ex("cart"), Path(ex("partOf"), "*"), ex("cart"))
    assert of_parts(Query("ask", Group((itself,)))).is_groundless


def test_rows_compared_with_an_average_keep_in_memory_what_it_is_the_average_of(of_parts: Recall) -> None:
    weight, mean, other = ex("weight"), Variable("mean"), Variable("other")
    average = Query(
        "select", Group((TriplePattern(Variable("any"), weight, other),)), (Aggregate("avg", other, "mean"),)
    )
    heavier = Group((TriplePattern(X, weight, YEAR),), comparisons=(Comparison(YEAR, ">", mean),), nested=(average,))
    found = of_parts(Query("select", heavier, (X,)))
    assert [row[0] for row in found.rows.rows] == [ex("cart")]
    assert found.evidence[ex("cart")] == ((ex("cart"), weight, integer(90)),)
    assert {s for s, _, _ in found.memory.triples()} == {ex("cart"), ex("wheel"), ex("axle")}


def test_a_restriction_by_a_nested_query_is_evidence_of_its_row_and_of_no_other(of_parts: Recall) -> None:
    kind = Variable("kind")
    parts = Query(
        "select", Group((TriplePattern(X, RDF_TYPE, kind),), values=(Values(kind, (ex("Part"), ex("Cart"))),)), (X,)
    )
    weighed = Group((TriplePattern(X, ex("weight"), YEAR),), nested=(parts,))
    found = of_parts(Query("select", weighed, (X,)))
    assert set(found.evidence[ex("cart")]) == {
        (ex("cart"), ex("weight"), integer(90)),
        (ex("cart"), RDF_TYPE, ex("Cart")),
    }
    total = of_parts(Query("select", weighed, (Aggregate("sum", YEAR),)))
    assert str(total.rows.rows[0][0]) == "129"
    assert {s for s, _, _ in total.evidence[total.rows.rows[0][0]]} == {ex("cart"), ex("wheel"), ex("axle")}  # type: ignore[index]
    assert ex("bolt") not in total.memory.nodes()


def test_what_rests_on_nested_queries_alone_rests_on_all_they_do(of_parts: Recall) -> None:
    each = Query("select", Group((TriplePattern(X, ex("partOf"), YEAR),)), (X, Aggregate("count", YEAR)), group_by=(X,))
    mean = of_parts(Query("select", Group(nested=(each,)), (Aggregate("avg", Variable("number"), "mean"),)))
    assert not mean.is_groundless
    assert len(mean.memory) == 4


def test_a_yes_that_the_graph_does_not_state_may_follow(open_cached: Callable[..., Assistant]) -> None:
    kg = open_cached(f"""@prefix ex: <{EX}> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
        ex:in a owl:ObjectProperty, owl:TransitiveProperty . ex:near a owl:ObjectProperty .
        ex:mitte ex:in ex:berlin . ex:berlin ex:in ex:germany ; ex:near ex:potsdam .
    """)

    def asked(*patterns: TriplePattern) -> Recalled:
        return recall(Query("ask", Group(patterns)), question="?", links=[], index=kg.index)

    goal = (ex("mitte"), ex("in"), ex("germany"))
    text, (claim,) = answered(found := asked(TriplePattern(*goal)))
    assert text.startswith("Yes [1]")
    assert claim.verdict == "entailed"
    assert claim.evidence[0] == goal
    assert set(claim.evidence[1:]) == {
        (ex("mitte"), ex("in"), ex("berlin")),
        (ex("berlin"), ex("in"), ex("germany")),
    }
    fact = found.memory.fact(goal)
    assert fact is not None
    assert fact.rule == "prp-trp"
    for wrong in (("germany", "in", "mitte"), ("mitte", "near", "potsdam")):
        no = TriplePattern(*map(ex, wrong))
        assert str(asked(no).rows.rows[0][0]) == "false"
        assert str(asked(TriplePattern(*goal), no).rows.rows[0][0]) == "false"
