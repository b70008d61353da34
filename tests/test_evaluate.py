"""Evaluate: the measures, their laws, and a run that loses nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgllm.answer import Answer, Claim
from kgllm.errors import InputError, KgllmError, ModelServerError, SourceNotFoundError
from kgllm.evaluate import Scores, evaluate, score
from kgllm.protocols import Rows, Usage
from kgllm.query import Group, Query, TriplePattern, Variable
from kgllm.questions import Gold
from kgllm.sources import resolve
from kgllm.terms import Literal, Term, URIRef
from kgllm.workspace import Workspace
from tests.question_file import write

EX = "http://example.org/"
A, B, C = URIRef(EX + "a"), URIRef(EX + "b"), URIRef(EX + "c")
LIKES = URIRef(EX + "likes")
XSD = "http://www.w3.org/2001/XMLSchema#"
NOTHING = Scores(0, 0, 0, 0, 0, 0, 1)
ALL = Scores(1, 1, 1, 1, 1, 0, 0)


def number(text: str, kind: str = "integer") -> Literal:
    return Literal(text, datatype=URIRef(XSD + kind))


def said(*rows: Term | tuple[Term, ...], abstained: bool = False) -> Answer:
    tuples = [row if isinstance(row, tuple) else (row,) for row in rows]
    width = max(map(len, tuples), default=1)
    return Answer("?", "", Rows(tuple("xyzuvw"[:width]), list(tuples)), abstained=abstained)


def same(one: Term, other: Term) -> bool:
    return score(said(one), Gold((other,))) == ALL and score(said(other), Gold((one,))) == ALL


def test_one_of_two_found_and_one_too_many() -> None:
    half = score(said(A, C), Gold((A, B)))
    assert (half.hit_at_1, half.precision, half.recall, half.f1, half.exact) == (1, 0.5, 0.5, 0.5, 0)
    assert score(said(C, A), Gold((A, B))).hit_at_1 == 0
    assert score(said(C), Gold((A, B))) == NOTHING


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (number("5"), number("5.0", "decimal")),
        (number("05"), number("5", "int")),
        (number("98000"), number("9.8E4", "double")),
        (number("0.30000000000000004", "double"), number("0.3", "decimal")),
        (number("0.333333333333333333", "decimal"), number("0.333333333333333333333333", "decimal")),
        (number("5"), Literal("5")),
        (number("true", "boolean"), number("1", "boolean")),
        (number("true", "boolean"), Literal("true")),
        (Literal("a", lang="en"), Literal("a")),
        (Literal("a", lang="en"), Literal("a", lang="de")),
        (Literal("a", datatype=URIRef(XSD + "string")), Literal("a")),
        (number("2015-01-01", "date"), Literal("2015-01-01")),
    ],
)
def test_the_same_value_written_otherwise_is_the_same(one: Literal, other: Literal) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (number("5"), number("6")),
        (number("10000000000000001"), number("10000000000000002")),
        (Literal("05"), Literal("5")),
        (Literal("a"), Literal("A")),
        (number("true", "boolean"), number("false", "boolean")),
        (number("1", "boolean"), number("1")),
        (URIRef(EX + "5"), Literal(EX + "5")),
        (number("five"), number("5")),
    ],
)
def test_another_value_is_another(one: Term, other: Term) -> None:
    assert not same(one, other)


def test_abstaining_is_right_only_where_there_is_nothing_to_say() -> None:
    assert score(said(abstained=True), Gold(())) == Scores(1, 1, 1, 1, 1, 1, 0)
    assert score(said(abstained=True), Gold((A,))) == Scores(0, 0, 0, 0, 0, 1, 0)
    assert score(said(A), Gold(())) == NOTHING


def test_a_node_meets_the_plain_text_that_names_it_but_no_literal_of_that_text() -> None:
    answer = said(A)
    answer.memory.labels[A] = "Bergen"
    assert score(answer, Gold((Literal("Bergen"),), names=True)) == ALL
    assert score(answer, Gold((Literal("Bergen"),))) == NOTHING
    assert score(answer, Gold((Literal("Oslo"),), names=True)) == NOTHING


def test_any_of_the_gold_is_enough_where_the_question_says_so() -> None:
    assert score(said(A), Gold((A, B), any_of=True)) == ALL
    assert score(said(A), Gold((A, B))).recall == 0.5
    assert score(said(C), Gold((A, B), any_of=True)) == NOTHING


def test_all_columns_count_where_gold_and_answer_have_several() -> None:
    table = Gold((A, number("1"), B, number("2")), columns=2)
    assert score(said((A, number("1")), (B, number("2"))), table) == ALL
    assert score(said(A, B), table).recall == 0.5
    assert score(said((A, number("9")), (B, number("8"))), Gold((A, B))) == ALL


TERMS: st.SearchStrategy[Term] = st.one_of(
    st.sampled_from([A, B, C]),
    st.builds(Literal, st.text("ab5", max_size=2), lang=st.sampled_from([None, "en"])),
    st.builds(number, st.sampled_from(["0", "5", "05", "-1", "x"]), st.sampled_from(["integer", "decimal", "double"])),
)


@given(st.lists(TERMS), st.lists(TERMS), st.booleans())
def test_scores_keep_their_laws(predicted: list[Term], gold: list[Term], any_of: bool) -> None:
    found = score(said(*predicted), Gold(tuple(gold), any_of=any_of))
    p, r = found.precision, found.recall
    assert all(0 <= part <= 1 for part in (found.hit_at_1, p, r, found.f1, found.exact))
    assert found.f1 == pytest.approx(2 * p * r / (p + r) if p + r else 0)
    assert (found.exact == 1) == (p == r == 1)
    assert (found.wrong == 1) == (found.f1 == 0)


@given(st.lists(TERMS, min_size=1), st.randoms())
def test_the_gold_itself_is_perfect_in_any_order(gold: list[Term], random: object) -> None:
    shuffled = sorted(gold, key=lambda term: hash((str(random), term)))
    assert score(said(*gold), Gold(tuple(shuffled))) == ALL


@given(st.lists(TERMS), st.lists(TERMS))
def test_precision_one_way_is_recall_the_other_way(one: list[Term], other: list[Term]) -> None:
    assert score(said(*one), Gold(tuple(other))).precision == score(said(*other), Gold(tuple(one))).recall


Answers = Callable[[str], Answer]


class Scripted:
    """Answers by a script, over a real graph."""

    def __init__(self, workspace: Workspace, answers: Answers) -> None:
        self.workspace = workspace
        self.answers = answers
        self.index: object = None

    def held_out(self, questions: Iterable[str]) -> Scripted:
        return self

    def ask_each(self, questions: Iterable[str]) -> Iterator[Answer | KgllmError]:
        for question in questions:
            try:
                yield replace(self.answers(question), timings_ms={"total": float(len(question))})
            except KgllmError as error:
                yield error


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    graph = tmp_path / "graph.ttl"
    graph.write_text(f"<{A}> <{LIKES}> <{B}> . <{A}> a <{EX}Cat> .")
    made = Workspace(resolve(graph), tmp_path / "index")
    yield made
    made.close()


def test_a_run_measures_each_kind_and_writes_each_prediction(workspace: Workspace, tmp_path: Path) -> None:
    pattern = TriplePattern(A, LIKES, Variable("x"))
    query = Query("select", Group((pattern,)), (Variable("x"),))
    right = Answer(
        "", "b", Rows(("x",), [(B,)]), (Claim("a likes b", "asserted", ((A, LIKES, B),)),), query, usage=Usage(10, 2, 8)
    )
    questions = write(
        tmp_path,
        {"id": "q1", "question": "whom does a like?", "kind": "who", "answer_nt": [f"<{B}>"]},
        {"id": "q2", "question": "of what kind is a?", "kind": "what", "answer_nt": [f"<{EX}Cat>"]},
        {"id": "q3", "question": "whom does b like?", "kind": "who", "answer_nt": []},
    )
    answers = {"whom does a like?": right, "of what kind is a?": said(C), "whom does b like?": said(abstained=True)}
    out = tmp_path / "predictions.jsonl"
    summary = evaluate(Scripted(workspace, answers.__getitem__), questions, out=out)
    assert summary["n"] == 3
    assert summary["overall"] == {
        "n": 3,
        "hits@1": 0.6667,
        "precision": 0.6667,
        "recall": 0.6667,
        "f1": 0.6667,
        "exact": 0.6667,
        "abstained": 0.3333,
        "wrong": 0.3333,
    }
    assert (summary["by_kind"]["who"]["f1"], summary["by_kind"]["what"]["f1"]) == (1, 0)
    assert (summary["tokens_per_question"], summary["unsupported_claims"], summary["errors"]) == (4, 0, 0)
    assert summary["invented_iris"] == 1  # c, which the graph does not have
    assert summary["latency_ms"] == {"p50": 17, "p95": 18}
    assert (summary["prompt_tokens"]["p95"], summary["completion_tokens"]["p95"]) == (10, 2)
    assert summary["cached_share"] == 0.8
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["q1", "q2", "q3"]
    assert lines[0]["results"] == [f"<{B}>"]
    assert evaluate(Scripted(workspace, answers.__getitem__), questions, kind="who")["n"] == 2
    assert evaluate(Scripted(workspace, answers.__getitem__), questions, limit=1)["overall"]["f1"] == 1


@pytest.mark.parametrize(
    ("invented", "answer"),
    [
        (0, said(B, URIRef(EX + "Cat"), URIRef("http://www.w3.org/2002/07/owl#Thing"))),
        (1, said((B, C))),
        (1, Answer("", "", claims=(Claim("", "unsupported", ((A, LIKES, C),)),))),
        (1, Answer("", "", query=Query("ask", Group((TriplePattern(A, URIRef(EX + "hates"), B),))))),
    ],
)
def test_what_neither_graph_nor_ontology_has_is_invented(
    workspace: Workspace, tmp_path: Path, invented: int, answer: Answer
) -> None:
    questions = write(tmp_path, {"question": "q", "answer_nt": []})
    summary = evaluate(Scripted(workspace, lambda _: answer), questions)
    assert summary["invented_iris"] == invented
    assert summary["unsupported_claims"] == len(answer.claims)


def test_a_question_that_fails_is_wrong_and_the_run_goes_on(workspace: Workspace, tmp_path: Path) -> None:
    def answers(question: str) -> Answer:
        if question == "bad":
            raise ModelServerError("the server broke off")
        return said(B)

    questions = write(tmp_path, *({"id": q, "question": q, "answer_nt": [f"<{B}>"]} for q in ("bad", "good")))
    out = tmp_path / "out.jsonl"
    summary = evaluate(Scripted(workspace, answers), questions, out=out)
    assert (summary["errors"], summary["overall"]["f1"], summary["overall"]["wrong"]) == (1, 0.5, 0.5)
    failed, good = map(json.loads, out.read_text().splitlines())
    assert (failed["id"], "the server broke off" in failed["error"]) == ("bad", True)
    assert "error" not in good


def test_what_was_answered_before_a_crash_is_on_disk(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"

    def answers(question: str) -> Answer:
        if question == "2":
            assert json.loads(out.read_text())["id"] == "1"
            raise KeyboardInterrupt
        return said(B)

    questions = write(tmp_path, *({"id": q, "question": q, "answer_nt": []} for q in "12"))
    with pytest.raises(KeyboardInterrupt):
        evaluate(Scripted(workspace, answers), questions, out=out)
    assert len(out.read_text().splitlines()) == 1


def test_files_that_cannot_be_used_are_said_so(workspace: Workspace, tmp_path: Path) -> None:
    assistant = Scripted(workspace, lambda _: said(B))
    with pytest.raises(SourceNotFoundError):
        evaluate(assistant, tmp_path / "absent.jsonl")
    questions = write(tmp_path, {"question": "q", "kind": "who", "answer_nt": []})
    with pytest.raises(InputError, match="of the kind what") as raised:
        evaluate(assistant, questions, kind="what")
    assert "who" in raised.value.try_next
    with pytest.raises(InputError, match="cannot be written"):
        evaluate(assistant, questions, out=tmp_path / "no" / "folder.jsonl")
