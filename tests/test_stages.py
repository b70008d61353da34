"""What is not answered right is blamed on the stage that lost it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgllm.assistant import Assistant
from kgllm.link import link
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.recall import recall
from kgllm.similarity import Vocabulary
from kgllm.stages import STAGES, stages
from kgllm.terms import n3
from tests.question_file import write

SPACE = "https://example.org/spaceflight/"
QUESTION = "Who commanded Apollo 11?"
ARMSTRONG = f"<{SPACE}Neil_Armstrong>"
PREFIXES = f"PREFIX s: <{SPACE}> PREFIX sf: <{SPACE}ontology#> "


def explained(kg: Assistant, folder: Path, question: str, *gold: str, sparql: str | None = None) -> dict[str, Any]:
    """What is told of one question."""
    file = write(folder, {"id": 1, "question": question, "answer_nt": gold, "sparql": sparql})
    report = stages(kg, kg.index, file)
    assert report["n"] == report["right"] + sum(counts["n"] for counts in report["stages"].values())
    return report


def blamed(report: dict[str, Any]) -> tuple[str, str]:
    (miss,) = report["misses"]
    assert report["stages"][miss["stage"]] == {"n": 1, "abstained": 0, "wrong": 0, "partly": 0, miss["outcome"]: 1}
    return miss["stage"], miss["outcome"]


def test_what_is_right_is_blamed_on_nothing(demo: Assistant, tmp_path: Path) -> None:
    report = explained(demo, tmp_path, QUESTION, ARMSTRONG)
    assert (report["right"], report["misses"], report["places"]) == (1, [], {})


def test_a_node_of_the_gold_query_that_no_word_names_is_a_fault_of_linking(demo: Assistant, tmp_path: Path) -> None:
    sparql = f"{PREFIXES} SELECT ?x {{ s:Skylab_programme sf:runBy ?x }}"
    report = explained(demo, tmp_path, QUESTION, "<urn:other>", sparql=sparql)
    assert blamed(report) == ("linking", "wrong")
    assert report["misses"][0]["why"] == f"<{SPACE}Skylab_programme>"


def test_gold_that_no_reading_gives_is_told_with_its_query(demo: Assistant, tmp_path: Path) -> None:
    sparql = f"{PREFIXES} SELECT ?x {{ s:Apollo_11 sf:commander ?x FILTER(?x = <urn:other>) }}"
    linked = f"{PREFIXES} SELECT ?x {{ s:Apollo_11 sf:commander ?x }}"
    report = explained(demo, tmp_path, QUESTION, "<urn:other>", sparql=linked)
    assert blamed(report) == ("no reading", "wrong")
    assert (report["misses"][0]["why"], "commander" in report["misses"][0]["given"]) == (linked, True)
    assert blamed(explained(demo, tmp_path, QUESTION, "<urn:other>", sparql=sparql))[0] == "linking"
    assert blamed(explained(demo, tmp_path, QUESTION, ARMSTRONG, "<urn:other>")) == ("no reading", "partly")


def test_a_right_reading_behind_another_has_its_place(demo: Assistant, tmp_path: Path) -> None:
    planner = EmbeddedPlanner(Vocabulary(demo.index))
    found: list[list[str]] = []
    for ranked in planner.plan(link(QUESTION, vocabulary=planner.vocabulary)):
        rows = recall(ranked.query, question=QUESTION, links=[], index=demo.index).rows.rows
        if rows:
            found.append([n3(row[0]) for row in rows if row[0] is not None])
    place = next(number for number, terms in enumerate(found, start=1) if ARMSTRONG not in terms)
    report = explained(demo, tmp_path, QUESTION, *found[place - 1])
    assert blamed(report)[0] == "ranked lower"
    assert report["places"] == {str(place): 1}
    assert report["misses"][0]["why"].startswith(f"at place {place}: ")


def test_a_right_reading_below_the_threshold_is_held_back(demo: Assistant, tmp_path: Path) -> None:
    strict = Assistant(demo.workspace, min_confidence=1.0)
    report = explained(strict, tmp_path, QUESTION, ARMSTRONG)
    assert blamed(report) == ("held back", "abstained")
    assert "too unlikely" in report["misses"][0]["why"]


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_meaning_and_a_row(demo: Assistant, tmp_path: Path, stage: Any) -> None:
    assert STAGES[stage]
    assert explained(demo, tmp_path, QUESTION, ARMSTRONG)["stages"][stage]["n"] == 0
