"""Question files in the forms in which others keep them, and what is said of a broken one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgllm.engines.oxigraph import OxigraphStore
from kgllm.errors import InputError
from kgllm.protocols import GraphStore
from kgllm.questions import Gold, read_questions
from kgllm.terms import Literal, URIRef, parse_term
from kgllm.vocabularies import XSD
from tests.question_file import write

EX = "http://example.org/"
A, B, C = (URIRef(EX + name) for name in "ABC")
TRUE = Literal("true", datatype=URIRef(XSD + "boolean"))
GRAPH = f"<{A}> <{EX}knows> <{B}>, <{C}> . <{B}> <{EX}age> 7 ."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[GraphStore]:
    file = tmp_path / "graph.ttl"
    file.write_text(GRAPH)
    opened = OxigraphStore.load([file], source="graph.ttl")
    yield opened
    opened.close()


def test_gold_is_read_from_rows_and_answers_too(tmp_path: Path, store: GraphStore) -> None:
    file = write(
        tmp_path,
        {"question": "q", "rows": [["Moxico", "4745750"], [f"<{A}>", None]]},
        "",
        {"question": "q", "answers": [str(A), "plain", 7, True], "match": "any", "topic": str(C)},
        {"question": "q", "answer_nt": ['"5"^^<http://www.w3.org/2001/XMLSchema#integer>'], "answers": ["no"]},
    )
    rows, answers, terms = read_questions(file, store)
    assert rows.gold == Gold((Literal("Moxico"), Literal("4745750"), A), columns=2)
    assert answers.gold == Gold((A, Literal("plain"), Literal("7"), Literal("true")), any_of=True)
    assert terms.gold == Gold((parse_term('"5"^^<http://www.w3.org/2001/XMLSchema#integer>'),))
    assert (rows.id, answers.id) == (1, 3)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "7",
        '{"answer_nt": []}',
        '{"question": 7, "answer_nt": []}',
        '{"question": "q"}',
        '{"question": "q", "answer_nt": ["no term"]}',
        '{"question": "q", "answer_nt": [7]}',
        '{"question": "q", "answer_nt": "<http://a>"}',
        '{"question": "q", "rows": ["<http://a>"]}',
        "[" * 100_000,
    ],
)
def test_a_broken_line_is_named_with_file_and_number(tmp_path: Path, store: GraphStore, line: str) -> None:
    file = write(tmp_path, {"question": "q", "answer_nt": []}, line)
    with pytest.raises(InputError, match=r"questions\.jsonl:2:"):
        read_questions(file, store)


QUERY = f"PREFIX ex: <{EX}> SELECT ?who WHERE {{ ex:A ex:knows ?who }} ORDER BY ?who"


def test_a_query_is_gold_enough(tmp_path: Path, store: GraphStore) -> None:
    asking = f"# a comment\nPREFIX ex: <{EX}>\nASK {{ ex:A ex:knows ex:B }}"
    table = f"SELECT ?x ?y WHERE {{ ?x <{EX}age> ?y }}"
    file = write(tmp_path, *({"question": "q", "sparql": sparql} for sparql in (QUERY, asking, table)))
    one, two, three = read_questions(file, store)
    assert one.gold == Gold((B, C))
    assert two.gold == Gold((TRUE,))
    assert three.gold == Gold((B, Literal("7", datatype=URIRef(XSD + "integer"))), columns=2)
    assert one.sparql == QUERY


def test_a_gold_query_that_fails_is_named_with_its_question(tmp_path: Path, store: GraphStore) -> None:
    file = write(tmp_path, {"question": "q", "sparql": QUERY}, {"id": "odd", "question": "q", "sparql": "SELECT ?"})
    with pytest.raises(InputError, match="gold query of question odd"):
        read_questions(file, store)
    assert len(read_questions(file, store, limit=1)) == 1  # of those that are not asked no query is run


QALD = {
    "dataset": {"id": "some"},
    "questions": [
        {
            "id": "7",
            "question": [
                {"language": "de", "string": "Wen kennt A?"},
                {"language": "en", "string": "Who does A know?"},
            ],
            "query": {"sparql": QUERY},
            "answers": [
                {
                    "head": {"vars": ["who", "age"]},
                    "results": {
                        "bindings": [
                            {
                                "who": {"type": "uri", "value": str(B)},
                                "age": {"type": "typed-literal", "value": "07", "datatype": XSD + "integer"},
                            },
                            {"who": {"type": "literal", "value": "C", "xml:lang": "en"}},
                        ]
                    },
                }
            ],
        },
        {"question": [{"language": "en", "string": "Yes?"}], "answers": [{"head": {}, "boolean": True}]},
        {"question": [{"language": "en", "string": "Who?"}], "query": {"sparql": QUERY}, "answers": []},
    ],
}


def test_qald_is_read_in_the_language_that_is_preferred(tmp_path: Path, store: GraphStore) -> None:
    file = tmp_path / "qald.json"
    file.write_text(json.dumps(QALD))
    one, two, three = read_questions(file, store, languages=("de", "en"))
    assert (one.id, one.text, one.sparql) == ("7", "Wen kennt A?", QUERY)
    seven = Literal("07", datatype=URIRef(XSD + "integer"), normalize=False)
    assert one.gold == Gold((B, seven, Literal("C", lang="en")), columns=2)
    assert (two.id, two.text, two.gold) == (2, "Yes?", Gold((TRUE,)))
    assert three.gold == Gold((B, C))
    assert read_questions(file, store)[0].text == "Who does A know?"
    assert read_questions(file, store, languages=("fr",))[0].text == "Wen kennt A?"


CHALLENGE = f"""---
dataset:
  id: https://example.org/dataset
  prefix: ex
questions:
  - id: 1
    question:
      en: Who does A know?
      de: Wen kennt A?
    features: [SELECT]
    query:
      sparql: |
        {QUERY}
  - question: {{en: "Does A know B?"}}
    query: {{sparql: "ASK {{ <{A}> <{EX}knows> <{B}> }}"}}
"""


@pytest.mark.parametrize("name", ["questions.yml", "questions.yaml", "questions.yml.gz"])
def test_the_challenges_yaml_is_read_with_its_gold_from_the_graph(tmp_path: Path, store: GraphStore, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(gzip.compress(CHALLENGE.encode()) if name.endswith(".gz") else CHALLENGE.encode())
    one, two = read_questions(file, store, languages=("de",))
    assert (one.id, one.text, one.gold) == (1, "Wen kennt A?", Gold((B, C)))
    assert (two.id, two.text, two.gold) == (2, "Does A know B?", Gold((TRUE,)))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("q.json", "{", "not JSON"),
        ("q.json", '{"question": "q", "answer_nt": []}\n{}', "not JSON"),
        ("q.json", "[]", "no list of questions"),
        ("q.json", '{"questions": [7]}', "question 1: not an object"),
        ("q.json", '{"questions": [{"question": "Who?"}]}', "question 1: not a list"),
        ("q.json", '{"questions": [{"question": []}]}', "no answers and no query"),
        ("q.json", '{"questions": [{"question": [], "query": {"sparql": "ASK {}"}}]}', "no text"),
        (
            "q.json",
            '{"questions": [{"question": [{"language": "en", "string": "q"}], "answers": '
            '[{"head": {"vars": ["x"]}, "results": {"bindings": [{"x": {"type": "bnode", "value": "b"}}]}}]}]}',
            "no term",
        ),
        ("q.yml", "a: [", "not YAML"),
        ("q.yml", "questions: 7", "no list of questions"),
        ("q.yml", "questions: [{question: {en: q}}]", "question 1: not an object"),
        ("q.yml", "questions: [{question: {en: q}, query: {sparql: ''}}]", "no query"),
        ("q.yml", "questions: [{question: q, query: {sparql: ASK}}]", "not an object"),
        ("q.yml", "!!python/object/apply:os.system [exit]", "not YAML"),
    ],
)
def test_what_is_wrong_with_a_document_is_said(
    tmp_path: Path, store: GraphStore, name: str, text: str, told: str
) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(InputError, match=told):
        read_questions(file, store)
