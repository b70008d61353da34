"""The guard lets reading through, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgllm.engines.guard import refuse_unless_read_only
from kgllm.errors import QueryRefusedError

GOOD = {
    "select": "SELECT * WHERE { ?s ?p ?o }",
    "prologue": "# a comment with DELETE\nBASE <http://e/> PREFIX ex: <http://e/#from> SELECT ?x { ?x a ex:Service }",
    "ask": "ask { <http://e/service> ?p 'INSERT' }",
    "construct": "CONSTRUCT WHERE { ?s ?p ?o }",
    "describe": "DESCRIBE <http://e/x>",
    "words in strings": 'SELECT ?s { ?s ?p "FROM SERVICE <x>", """LOAD "x" DROP""", \'CLEAR\'@en }',
    "words in names": "PREFIX a: <http://a/> SELECT ?service ?from { ?service a:from a:service ; a:delete ?from }",
    "comparison": "SELECT ?x { ?x ?p ?y FILTER(?x<?y && ?y >= 3.5e-1 || !bound(?x)) }",
    "path": "SELECT ?x { ?x ^<http://p>/(<http://q>|!<http://r>)*/<http://s>+ ?y . }",
    "escape": 'SELECT ?x { ?x ?p "caf\\u00e9" }',
    "sub-select": "SELECT ?x { { SELECT (COUNT(*) AS ?x) { ?a ?b ?c } HAVING(COUNT(*) > 1) } VALUES ?x { 1 } } LIMIT 3",
    "named graph": "SELECT * { GRAPH ?g { ?s ?p ?o } MINUS { ?s a [] } }",
    "local escapes": "PREFIX ex: <http://e/> SELECT * { ex:a\\,b ex:c%20d ex:1.2 }",
}
BAD = {
    "service": "SELECT * { SERVICE <http://127.0.0.1/> { ?s ?p ?o } }",
    "service, no spaces": "SELECT*{service<http://127.0.0.1/>{?s ?p ?o}}",
    "service, silent": "SELECT * { ?a ?b ?c SERVICE SILENT ?x { ?s ?p ?o } }",
    "service after a number": "SELECT * { ?a ?b 1SERVICE <http://x/> { ?s ?p ?o } }",
    "service after a dot": "PREFIX e: <http://e/> SELECT * { ?a ?b e:x.SERVICE <http://x/> { ?s ?p ?o } }",
    "service and a name": "PREFIX : <http://e/> SELECT * { SERVICE:x { ?s ?p ?o } }",
    "service behind an escape": "SELECT * { S\\u0045RVICE <http://x/> { ?s ?p ?o } }",
    "service behind a string": 'SELECT * { ?s ?p "\\u0022} SERVICE <http://x/> { ?a ?b \\u0022" }',
    "service behind a long string": 'SELECT * { ?s ?p """a" SERVICE <http://x/> { } # " }}',
    "service behind a comment": "SELECT * { ?s <a b#> SERVICE <http://x/> { ?a ?b ?c } }",
    "from": "SELECT * FROM <file:///etc/passwd> { ?s ?p ?o }",
    "from named": "SELECT * FROM NAMED <http://x/> { ?s ?p ?o }",
    "insert": "INSERT DATA { <http://a> <http://b> 1 }",
    "second statement": "SELECT * { ?s ?p ?o } ; DROP ALL",
    "load": "LOAD <http://x/>",
    "with": "WITH <http://g> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }",
    "lateral": "SELECT * { ?s ?p ?o LATERAL { ?o ?q ?r } }",
    "no form": "PREFIX ex: <http://e/>",
    "empty": "",
    "control character": "SELECT * { ?s ?p '\x1b[31m' }",
    "surrogate": "SELECT * { ?s ?p '\ud800' }",
    "long": "SELECT * { ?s ?p ?o }" + " " * 70_000,
    "many tokens": "SELECT * { VALUES ?x { " + "1 " * 5_000 + "} }",
    "deep": "SELECT * " + "{" * 30 + "}" * 30,
    "deep call": "SELECT * { BIND(" + "STR(" * 30 + "1" + ")" * 30 + " AS ?x) }",
    "long path": "SELECT * { ?s " + "/".join(["<http://p>"] * 40) + " ?o }",
}


@pytest.mark.parametrize("query", GOOD.values(), ids=GOOD)
def test_reading_is_let_through(query: str) -> None:
    refuse_unless_read_only(query)


@pytest.mark.parametrize("query", BAD.values(), ids=BAD)
def test_anything_else_is_refused(query: str) -> None:
    with pytest.raises(QueryRefusedError):
        refuse_unless_read_only(query)


def test_the_place_is_shown_with_a_caret() -> None:
    with pytest.raises(QueryRefusedError) as caught:
        refuse_unless_read_only("SELECT *\nWHERE { SERVICE <http://x/> { ?s ?p ?o } }")
    first, line, caret, *_ = str(caught.value).split("\n")
    assert first.startswith("line 2, column 9: SERVICE")
    assert line[caret.index("^") :].startswith("SERVICE")


@given(st.text(max_size=60), st.sampled_from(sorted(GOOD.values())), st.integers(0, 200))
def test_whatever_stands_in_a_query_it_is_let_through_or_refused(text: str, query: str, place: int) -> None:
    try:
        refuse_unless_read_only(query[:place] + text + query[place:])
    except QueryRefusedError:
        return
