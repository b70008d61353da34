"""A small model that was trained here on questions made of the demo graph plans through a real vLLM server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kgllm
from kgllm.assistant import Assistant
from kgllm.evaluate import evaluate
from kgllm.tuning.language_model import tune_language_model
from kgllm.tuning.made_questions import make_questions, write_questions
from tests.conftest import DEMO_GRAPH, DEMO_ONTOLOGY

from .conftest import WRITES, serving

pytestmark = pytest.mark.vllm

LEARNED, ASKED = 1_000, 120
BAR = 0.3  # hits@1 over questions of fourteen kinds, none of which it learned from


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Questions to learn from, and others."""
    folder = tmp_path_factory.mktemp("questions")
    return folder / "learned.jsonl", folder / "asked.jsonl"


@pytest.fixture(scope="module")
def model(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planner") / "model"
    learned, asked = files
    with kgllm.open(DEMO_GRAPH, ontology=DEMO_ONTOLOGY, planner="embedded") as kg:
        made = make_questions(kg.index, count=LEARNED + ASKED, seed=7)
        write_questions(made[ASKED:], learned)
        write_questions(made[:ASKED], asked)
        tune_language_model(kg, learned, folder, size="3m", epochs=4)
    return folder


@pytest.fixture(scope="module")
def report(model: Path, files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    log = tmp_path_factory.mktemp("served") / "server.log"
    with (
        serving(model, log=log, name="planner", options=WRITES) as server,
        kgllm.open(
            DEMO_GRAPH,
            ontology=DEMO_ONTOLOGY,
            planner="model",
            base_url=server.base_url,
            model=server.model,
            no_cache=True,
            in_flight=8,
        ) as kg,
    ):
        assert isinstance(kg, Assistant)
        yield evaluate(kg, files[1])


def test_a_small_model_plans_what_it_learned(report: dict[str, Any]) -> None:
    assert report["overall"]["n"] == ASKED
    assert report["overall"]["hits@1"] >= BAR


def test_what_a_small_model_plans_is_of_the_graph(report: dict[str, Any]) -> None:
    assert report["invented_iris"] == 0
    assert report["unsupported_claims"] == 0
    assert report["errors"] == 0


def test_a_question_takes_few_tokens(report: dict[str, Any]) -> None:
    assert report["tokens_per_question"] < 1_000
