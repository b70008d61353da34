"""The ceiling: what a gold query names, and how often all of it is among the candidates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kgllm.assistant import Assistant
from kgllm.ceiling import POOLS, Named, ceiling, named
from kgllm.errors import InputError
from kgllm.query_schema import Pools
from kgllm.terms import Literal, URIRef

EX = "http://example.org/"
FILMS = f"""
@prefix ex: <{EX}> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
ex:Film rdfs:label "film" . ex:Person rdfs:label "person" .
ex:directed_by rdfs:label "directed by" . ex:year rdfs:label "year" .
ex:Alien a ex:Film ; rdfs:label "Alien" ; ex:directed_by ex:Scott ; ex:year 1979 .
ex:Brazil a ex:Film ; rdfs:label "Brazil" ; ex:directed_by ex:Gilliam ; ex:year 1985 .
ex:Scott a ex:Person ; rdfs:label "Ridley Scott" . ex:Gilliam a ex:Person ; rdfs:label "Terry Gilliam" .
"""


def ex(name: str) -> URIRef:
    return URIRef(EX + name)


def names(text: str) -> Named:
    return named(f"PREFIX ex: <{EX}> PREFIX xsd: <http://www.w3.org/2001/XMLSchema#> {text}")


def test_what_a_query_names_is_told_apart() -> None:
    gold = names('SELECT ?x { ?x a ex:Film ; ex:by ex:Scott ; ex:title "Alien" FILTER(?x != ex:Brazil) }')
    assert gold == Named((ex("Brazil"), ex("Scott")), (ex("by"), ex("title")), (ex("Film"),), (Literal("Alien"),))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT ?x { ?x ex:p/ex:q|^ex:r+ ?y }",
        "SELECT ?x { ?x ex:p ?y { SELECT ?x { ?x ex:q ?z } LIMIT 5 } OPTIONAL { ?x ex:r ?w } } ORDER BY ?y LIMIT 7",
        "SELECT ?x (COUNT(*) AS ?n) { ?x ex:p ?y FILTER NOT EXISTS { ?x ex:q ?z . ?z ex:r ?x } } GROUP BY ?x",
        "SELECT ?x { { ?x ex:p ?y } UNION { ?x ex:q ?y } MINUS { ?x ex:r ?y } BIND(xsd:integer(?y) AS ?z) }",
    ],
)
def test_every_part_of_a_query_is_looked_into_and_nothing_else_is_named(text: str) -> None:
    gold = names(text)
    assert set(gold.properties) == {ex("p"), ex("q"), ex("r")}
    assert (gold.nodes, gold.classes, gold.values) == ((), (), ())


def test_the_values_of_filters_and_of_tables_are_named() -> None:
    where = "VALUES ?x { ex:a ex:b } ?x ex:p ?y FILTER(?y > 5)"
    gold = names(f"SELECT ?x (SUM(?y) AS ?n) {{ {where} }} GROUP BY ?x HAVING(SUM(?y) > 7)")
    assert gold.nodes == (ex("a"), ex("b"))
    assert [str(value) for value in gold.values] == ["5", "7"]


def test_a_prefixed_name_may_be_escaped_and_text_like_one_is_text() -> None:
    gold = names(r'SELECT ?x { ?x ex:film\#year ?y ; ex:title "ex:film\\#year" }')
    assert gold.properties == (ex("film#year"), ex("title"))
    assert gold.values == (Literal(r"ex:film\#year"),)


@pytest.fixture(scope="module")
def films(open_cached: Callable[..., Assistant]) -> Assistant:
    return open_cached(FILMS)


def line(text: str, pattern: str, **parts: Any) -> str:
    sparql = f"PREFIX ex: <{EX}> SELECT ?x {{ {pattern} }}"
    return json.dumps({"question": text, "answers": [], "sparql": sparql} | parts)


def measured(films: Assistant, folder: Path, *lines: str, **options: Any) -> dict[str, Any]:
    file = folder / "questions.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return ceiling(films.index, file, **options)


def test_what_is_offered_and_what_is_missed_is_counted(films: Assistant, tmp_path: Path) -> None:
    report = measured(
        films,
        tmp_path,
        line("Who directed Alien?", "ex:Alien ex:directed_by ?x", kind="1-hop", id="a"),
        line("Which film is of 1985?", "?x a ex:Film ; ex:year 1985", kind="1-hop", id="b"),
        line("Who is the uncle of Nobody?", 'ex:Nobody ex:uncle ?x ; ex:title "none" ', kind="2-hop", id="c"),
        line("Which sparql is none?", "((", id="d"),
        misses=1,
    )
    shares = report["handles"]["100"]
    assert (report["n"], report["left_out"]) == (3, 1)
    assert shares["overall"] == {
        "n": 3, "all": 0.6667, "nodes": 0.6667, "properties": 0.6667, "classes": 1.0, "values": 0.6667,
    }  # fmt: skip
    assert shares["by_kind"]["1-hop"]["all"] == 1
    assert shares["by_kind"]["2-hop"]["all"] == 0
    (missed,) = report["misses"]
    assert (missed["id"], missed["handles"]) == ("c", ["100", "200", "500", "graph"])
    assert missed["missing"] == {
        "nodes": [f"<{EX}Nobody>"],
        "properties": [f"<{EX}title>", f"<{EX}uncle>"],
        "values": ['"none"'],
    }
    assert list(report["handles"]) == [str(pools.size) for pools in POOLS] + ["graph"]


def test_fewer_handles_hold_no_more(films: Assistant, tmp_path: Path) -> None:
    asked = line("Who directed Alien, and which year is it of?", "ex:Alien ex:directed_by ?x ; ex:year ?y")
    report = measured(films, tmp_path, asked, pools=[Pools(1, 1, 1, 1), Pools(4, 4, 2, 1)])
    assert report["handles"]["4"]["overall"]["properties"] == 0
    assert report["handles"]["11"]["overall"]["properties"] == 1


def test_questions_without_a_gold_query_are_bad_input(films: Assistant, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has a gold query"):
        measured(films, tmp_path, json.dumps({"question": "Who?", "answers": ["a"]}))
