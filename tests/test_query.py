"""Queries: whatever can be made of the dataclasses parses, reads only, and means what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgllm.engines.guard import refuse_unless_read_only
from kgllm.query import (
    Aggregate,
    Comparison,
    Computed,
    Group,
    Having,
    Order,
    Path,
    PatternTerm,
    Query,
    TriplePattern,
    Values,
    Variable,
)
from kgllm.terms import BNode, Literal, Namespaces, URIRef

few = settings(max_examples=120, deadline=None)
EX = "http://example.org/"
XSD = "http://www.w3.org/2001/XMLSchema#"
SPACES = Namespaces({"ex": EX, "service": EX + "service/", "": EX + "x/"})
X, Y, Z, T = Variable("x"), Variable("y"), Variable("z"), Variable("t")
NODE, KNOWS = URIRef(EX + "a"), URIRef(EX + "knows")
HOSTILE = (
    '" } ; DROP ALL #',
    "'''",
    '"""',
    "a\\",
    "\\u0022",
    "\\\\u0022 \\U00000022",
    "line\nbreak\r",
    "{ } ${x} %s",
    "\x00\x01\x7f",
    "\u202e\ufeff\u2028",
)

variables = st.sampled_from([X, Y, Z])
iris = st.builds(
    URIRef, st.sampled_from([EX + "a", EX + "x/b", EX + "service/c", EX + "a.service", "urn:x:1", EX + "(ä)'é;#,"])
)
texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
literals = st.one_of(
    st.builds(Literal, texts),
    st.builds(lambda text: Literal(text, lang="en"), texts),
    st.builds(lambda text, iri: Literal(text, datatype=iri), texts, iris),
    st.builds(lambda number: Literal(str(number), datatype=URIRef(XSD + "integer")), st.integers()),
)
ends: st.SearchStrategy[PatternTerm] = st.one_of(variables, iris, literals)
paths = st.builds(Path, iris, st.sampled_from(["+", "*"]))
patterns = st.builds(TriplePattern, st.one_of(variables, iris), st.one_of(variables, iris, paths), ends)
values = st.builds(Values, variables, st.lists(st.one_of(iris, literals), max_size=3).map(tuple))
operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "contains", "starts"])
comparisons = st.builds(Comparison, variables, operators, ends, st.booleans(), st.booleans())
computed = st.builds(
    Computed,
    st.sampled_from([Variable("made"), Variable("sum")]),
    st.sampled_from(["+", "-", "*", "/"]),
    st.tuples(variables, st.one_of(variables, literals)),
)


def some(what: st.SearchStrategy[Any], most: int = 2, *, least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(what, min_size=least, max_size=most).map(tuple)


def made_of(pattern: TriplePattern, function: Any) -> Query:
    """A nested query over what a pattern binds."""
    bound = list(pattern.variables())
    if not bound or function is None:
        return Query("select", Group((TriplePattern(X, KNOWS, Y),)), (Y,), limit=2)
    return Query("select", Group((pattern,)), (Aggregate(function, bound[0], "z" if Z not in bound else "total"),))


FUNCTIONS = ["count", "sum", "avg", "min", "max"]
nested = st.builds(made_of, patterns, st.sampled_from([None, *FUNCTIONS]))


def group_of(computed: tuple[Computed, ...], *parts: Any) -> Group:
    """A group with what may be computed in it."""
    whole = Group(*parts)
    try:
        return replace(whole, computed=computed)
    except ValueError:
        return whole


leaves = st.builds(Group, some(patterns), some(values, 1), some(comparisons, 1))
groups = st.recursive(
    leaves,
    lambda inner: st.builds(
        group_of,
        some(computed, 1),
        some(patterns),
        some(values),
        some(comparisons),
        some(inner, 1),
        some(inner, 1),
        some(some(inner), 1),
        some(some(some(comparisons, least=1), least=1), 1),
        st.just(()),
        some(nested, 1),
        some(inner, 1),
    ),
    max_leaves=4,
)
OPERATORS = ["=", "!=", "<", "<=", ">", ">="]


@st.composite
def queries(draw: st.DrawFn) -> Query:
    form = draw(st.sampled_from(["select", "groups", "ask", "count", "describe"]))
    if form == "describe":
        return Query("describe", nodes=draw(st.lists(iris, min_size=1, max_size=3).map(tuple)))
    where = draw(groups.filter(lambda group: any(group.variables()) and any(g.patterns for g in group.groups())))
    bound = st.sampled_from(where.variables())
    aggregates = st.builds(Aggregate, st.sampled_from(FUNCTIONS), bound, st.just("number"), st.booleans())
    if form == "ask":
        return Query("ask", where)
    if form == "count":
        return Query("count", where, (draw(aggregates),))
    columns = tuple(draw(st.lists(bound, min_size=1, max_size=2, unique=True)))
    keys, limit = bound, draw(st.none() | st.integers(0, 5))
    if form == "groups":
        number, twice = Variable("number"), Variable("twice")
        keys = st.sampled_from([*columns, number, twice])
        having = some(st.builds(Having, keys, st.sampled_from(OPERATORS), st.one_of(literals, keys)), 1)
        order = draw(some(st.builds(Order, keys, st.booleans(), st.booleans())))
        made = (draw(aggregates), Computed(twice, "*", (number, draw(st.one_of(literals, st.just(number))))))
        shown = draw(st.integers(0, 2))
        select = (*columns, *made[:shown])
        return Query("select", where, select, (), columns, draw(having), order, limit, made[shown:])
    order = draw(some(st.builds(Order, keys, st.booleans(), st.booleans())))
    return Query("select", where, columns, order_by=order, limit=limit)


@few
@given(queries())
def test_whatever_can_be_made_parses_and_only_reads(query: Query) -> None:
    texts = [query.to_sparql(SPACES), query.to_sparql()]
    if query.form != "ask":
        texts += [query.to_construct(SPACES)]
    if query.form != "describe" and query.where.variables():
        texts += [query.to_solutions(SPACES), query.to_solutions(SPACES, answers=[NODE, Literal('"')])]
    for text in texts:
        refuse_unless_read_only(text)
        ox.Store().query(text)


def asks_for(value: Literal) -> str:
    return Query("ask", Group((TriplePattern(X, KNOWS, value),))).to_sparql(SPACES)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_value_is_found_as_it_is_and_breaks_nothing_open(text: str) -> None:
    store = ox.Store()
    store.add(ox.Quad(ox.NamedNode(EX + "b"), ox.NamedNode(KNOWS), ox.Literal(text)))
    refuse_unless_read_only(asks_for(Literal(text)))
    assert bool(store.query(asks_for(Literal(text))))
    assert not bool(store.query(asks_for(Literal(text + "x"))))


@pytest.mark.parametrize("iri", [EX + "a> ?o } #", EX + "a b", "relative", "", EX + "\n"])
def test_an_iri_that_is_none_is_not_written(iri: str) -> None:
    for pattern in (TriplePattern(URIRef(iri), KNOWS, X), TriplePattern(X, Path(URIRef(iri), "+"), Y)):
        with pytest.raises(ValueError, match="IRI"):
            Query("select", Group((pattern,)), (X,)).to_sparql(SPACES)


def test_a_blank_node_cannot_be_asked_for() -> None:
    where = Group((TriplePattern(X, KNOWS, Y),), (Values(X, (BNode("b"),)),))
    with pytest.raises(ValueError, match="blank node"):
        Query("select", where, (X,)).to_sparql()


PAIR = Group((TriplePattern(X, KNOWS, Y),))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: Variable("x } #"), "variable name"),
        (lambda: Variable("ä"), "variable name"),
        (lambda: Path(KNOWS, "|<urn:b>"), "none of"),  # type: ignore[arg-type]
        (lambda: Comparison(X, "= 1) || (1 =", Y), "none of"),  # type: ignore[arg-type]
        (lambda: Aggregate("sample", X), "none of"),  # type: ignore[arg-type]
        (lambda: Aggregate("count", X, "n) } #"), "variable name"),
        (lambda: Having(X, "contains", Literal("1")), "none of"),  # type: ignore[arg-type]
        (lambda: Computed(X, "^", (Y, Z)), "none of"),  # type: ignore[arg-type]
        (lambda: Computed(X, "+", (Y,)), "two operands"),
        (lambda: replace(PAIR, computed=(Computed(X, "+", (Y, Y)),)), "something else already"),
        (lambda: replace(PAIR, computed=(Computed(Z, "+", (Z, Y)),)), "something else already"),
        (lambda: Computed(X, "+", (Literal("1"), Literal("2"))), "needs a variable"),
        (lambda: Query("construct", PAIR), "none of"),  # type: ignore[arg-type]
        (lambda: Query("select", PAIR, (X,), limit="1 } #"), "limit"),  # type: ignore[arg-type]
        (lambda: Query("select", PAIR, (X,), limit=-1), "limit"),
        (lambda: Query("select", PAIR, (X,), limit=True), "limit"),
        (lambda: Query("select", PAIR), "needs a column"),
        (lambda: Query("select", Group(), (X,)), "needs a triple pattern"),
        (lambda: Query("select", PAIR, (Z,)), r"no pattern binds \?z"),
        (lambda: Query("select", PAIR, (X,), order_by=(Order(Z),)), r"no pattern binds \?z"),
        (lambda: Query("select", PAIR, (X, Aggregate("count", Y))), "neither grouped"),
        (lambda: Query("select", PAIR, (X, X)), "one name"),
        (lambda: Query("select", PAIR, (Aggregate("count", X, "y"),)), "one name"),
        (lambda: Query("select", PAIR, (Aggregate("count", Y),), unshown=(Aggregate("sum", Y),)), "one name"),
        (lambda: Query("select", PAIR, (X,), unshown=(Aggregate("count", Y),)), "neither grouped"),
        (lambda: Query("select", PAIR, (X,), having=(Having(Z, "=", Literal("1")),)), "neither grouped"),
        (lambda: Query("select", PAIR, (Computed(Z, "+", (X, Variable("n"))),)), r"no pattern binds \?n"),
        (lambda: Query("select", PAIR, (Aggregate("count", Y), Computed(Z, "+", (X, X)))), r"no pattern binds \?x"),
        (lambda: Query("count", PAIR, (X,)), "one column"),
        (lambda: Query("ask", PAIR, (X,)), "no columns"),
        (lambda: Query("describe"), "needs a node"),
    ],
)
def test_what_would_not_parse_cannot_be_made(made: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        made()


FILM = f"""
@prefix ex: <{EX}> .
ex:a ex:name "Alien"@en ; ex:year "1979" ; ex:cast ex:w, ex:h . ex:b ex:name "Brazil" ; ex:year "985" ; ex:cast ex:p .
ex:one ex:knows ex:two . ex:two ex:knows ex:three . ex:w ex:name "Sigourney" . ex:h ex:name "Ian" ; ex:dead true .
ex:p ex:name "Ian" . ex:c ex:name "Untitled" .
"""
TWO = Literal("2", datatype=URIRef(XSD + "integer"))
NAME, YEAR, CAST = URIRef(EX + "name"), URIRef(EX + "year"), URIRef(EX + "cast")


def answers(query: Query) -> list[str]:
    store = ox.Store()
    store.load(FILM.encode(), format=ox.RdfFormat.TURTLE)
    rows: Any = store.query(query.to_sparql(SPACES))
    return [str(row[0].value).removeprefix(EX) for row in rows if row[0] is not None]


def films(**parts: Any) -> Query:
    return Query("select", Group((TriplePattern(X, NAME, Y),), **parts), (X,))


def test_contains_ignores_case_language_and_datatype() -> None:
    for value in (Literal("ALI"), Literal("ali", lang="de"), Literal("ali", datatype=URIRef(EX + "text"))):
        assert answers(films(comparisons=(Comparison(Y, "contains", value),))) == ["a"]
    assert answers(films(comparisons=(Comparison(Y, "contains", Literal("alx")),))) == []


def test_starts_compares_from_the_beginning() -> None:
    assert answers(films(comparisons=(Comparison(Y, "starts", Literal("Bra", lang="en")),))) == ["b"]
    assert answers(films(comparisons=(Comparison(Y, "starts", Literal("razil")),))) == []


def test_numbers_that_are_written_as_text_are_compared_as_numbers() -> None:
    year = Group((TriplePattern(X, YEAR, Y),), comparisons=(Comparison(Y, ">", Literal("1000"), numeric=True),))
    assert answers(Query("select", year, (X,))) == ["a"]
    order = (Order(Y, descending=True, numeric=True),)
    assert answers(Query("select", Group((TriplePattern(X, YEAR, Y),)), (X,), order_by=order, limit=1)) == ["a"]
    as_text = (Order(Y, descending=True),)
    assert answers(Query("select", Group((TriplePattern(X, YEAR, Y),)), (X,), order_by=as_text, limit=1)) == ["b"]


def test_a_negated_part_takes_away_and_an_optional_one_does_not() -> None:
    cast = Group((TriplePattern(X, CAST, Z),))
    assert sorted(answers(films(negated=(cast,)))) == ["c", "h", "p", "w"]
    assert sorted(answers(films(optional=(cast,)))) == ["a", "b", "c", "h", "p", "w"]


def test_alternatives_are_joined_by_or() -> None:
    options = (Group((TriplePattern(X, YEAR, Literal("1979")),)), Group((TriplePattern(X, YEAR, Literal("985")),)))
    assert sorted(answers(films(alternatives=(options,)))) == ["a", "b"]
    assert sorted(answers(films(alternatives=((options[0],),)))) == ["a"]


def test_groups_are_counted_each_and_having_chooses_among_them() -> None:
    where, count = Group((TriplePattern(X, CAST, Y),)), Aggregate("count", Y)
    two = (Having(Variable("number"), ">=", TWO),)
    assert answers(Query("count", where, (count,))) == ["3"]
    assert answers(Query("select", where, (X, count), group_by=(X,), having=two)) == ["a"]
    assert answers(Query("select", where, (X,), group_by=(X,), having=two, unshown=(count,))) == ["a"]


def test_groups_are_ordered_by_what_is_not_shown() -> None:
    where, order = Group((TriplePattern(X, CAST, Y),)), (Order(Variable("number"), descending=True),)
    most = Query("select", where, (X,), group_by=(X,), order_by=order, unshown=(Aggregate("count", Y),))
    assert answers(most) == ["a", "b"]
    assert answers(replace(most, order_by=(Order(Variable("number")),))) == ["b", "a"]


def test_a_number_is_made_of_aggregates_of_what_is_grouped_by_and_of_constants() -> None:
    where = Group((TriplePattern(X, CAST, Y), TriplePattern(X, YEAR, Z)))
    number, years = Aggregate("count", Y), Aggregate("sum", Z, "years", numeric=True)
    mean = Computed(Variable("mean"), "/", (Variable("years"), Variable("number")))
    twice = Computed(Variable("twice"), "*", (Variable("mean"), TWO))
    assert answers(Query("select", where, (mean,), unshown=(number, years)))[0].startswith("1647.66")
    by_film = Query("select", where, (twice, mean), (), (X,), unshown=(number, years))
    assert sorted(answers(by_film)) == ["1970", "3958"]
    assert Query("select", where, (mean,), unshown=(twice, number, years)).made[-1] == twice


def test_what_a_nested_query_finds_is_compared_with() -> None:
    years = Query("select", Group((TriplePattern(Z, YEAR, T),)), (Aggregate("avg", T, "mean", numeric=True),))
    later = (Comparison(Y, ">", Variable("mean"), numeric=True),)
    assert answers(Query("select", Group((TriplePattern(X, YEAR, Y),), comparisons=later, nested=(years,)), (X,))) == [
        "a"
    ]


def test_one_of_several_filters_has_to_hold() -> None:
    def either(*names: str) -> Query:
        ways = tuple((Comparison(Y, "starts", Literal(name)), Comparison(Y, "!=", Literal("Ian"))) for name in names)
        return films(either=(ways,))

    assert sorted(answers(either("Al", "Br"))) == ["a", "b"]
    assert answers(either("Al", "I")) == ["a"]


def test_a_negated_filter_takes_away() -> None:
    named_ian = Group(comparisons=(Comparison(Y, "contains", Literal("ian")),))
    assert sorted(answers(films(negated=(named_ian,)))) == ["a", "b", "c", "w"]


def test_a_required_part_does_not_multiply() -> None:
    cast = Group((TriplePattern(X, CAST, Z),))
    every = Aggregate("count", Y, distinct=False)
    assert answers(Query("count", Group((TriplePattern(X, NAME, Y),), required=(cast,)), (every,))) == ["2"]
    joined = Group((TriplePattern(X, NAME, Y), TriplePattern(X, CAST, Z)))
    assert answers(Query("count", joined, (every,))) == ["3"]
    assert answers(Query("count", joined, (Aggregate("count", Y),))) == ["2"]


def test_a_repeated_property_reaches_what_lies_beyond() -> None:
    def reached(closure: Any) -> list[str]:
        return answers(Query("select", Group((TriplePattern(URIRef(EX + "one"), Path(KNOWS, closure), X),)), (X,)))

    assert sorted(reached("+")) == ["three", "two"]
    assert sorted(reached("*")) == ["one", "three", "two"]


def test_nodes_are_compared_and_put_in_order_by_their_text() -> None:
    where = (TriplePattern(X, CAST, Y),)
    other = Group(where, comparisons=(Comparison(Y, "!=", URIRef(EX + "h")),))
    assert sorted(answers(Query("select", other, (Y,)))) == ["p", "w"]
    before = Group((TriplePattern(X, CAST, Y), TriplePattern(X, CAST, Z)))
    pairs = replace(before, comparisons=(Comparison(Y, "<", Z, lexical=True),))
    assert answers(Query("select", pairs, (Y,))) == ["h"]


def test_the_solutions_can_be_kept_to_some_answers() -> None:
    query = Query("select", Group((TriplePattern(X, CAST, Y),)), (X,))
    store = ox.Store()
    store.load(FILM.encode(), format=ox.RdfFormat.TURTLE)
    all_rows: Any = store.query(query.to_solutions(SPACES))
    some_rows: Any = store.query(query.to_solutions(SPACES, answers=[URIRef(EX + "b")]))
    assert (len(list(all_rows)), len(list(some_rows))) == (3, 1)


def test_a_triple_pattern_becomes_a_triple_where_all_is_bound() -> None:
    pattern = TriplePattern(X, KNOWS, Y)
    assert pattern.at({"x": NODE, "y": Literal("b")}) == (NODE, KNOWS, Literal("b"))
    assert pattern.at({"x": NODE, "y": None}) is None
    assert TriplePattern(X, Path(KNOWS, "+"), NODE).at({"x": NODE}) is None


def test_every_iri_that_is_named_is_known() -> None:
    inner = Group((TriplePattern(X, YEAR, Y),), (Values(X, (NODE,)),), (Comparison(Y, "=", CAST),))
    assert Query("ask", Group((TriplePattern(X, KNOWS, Y),), negated=(inner,))).iris() == {KNOWS, YEAR, NODE, CAST}
