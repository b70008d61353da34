"""A small model that was trained here on questions made of the demo graph plans through a real vLLM server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest

import kgllm
from kgllm.assistant import Assistant
from kgllm.evaluate import evaluate
from kgllm.tuning.language_model import tune_language_model
from kgllm.tuning.made_questions import make_questions, write_questions
from kgllm.vocabularies import RDF_TYPE, RDFS_LABEL
from tests.conftest import DEMO_GRAPH, DEMO_ONTOLOGY

from .conftest import WRITES, serving

pytestmark = pytest.mark.vllm

MADE, ASKED = 3_000, 100
KINDS = {"chain-1", "chain-2", "count"}
BAR = 0.25  # hits@1 over questions that it did not learn from
ONTOLOGY = "https://example.org/spaceflight/ontology#"
RELATIONS = ("commander", "launchVehicle", "launchSite", "launchDate", "nationality", "birthPlace", "programme")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven relations of the demo, so that a minute of training is enough."""
    file = tmp_path_factory.mktemp("graph") / "part.ttl"
    kept = {ONTOLOGY + name for name in RELATIONS} | {str(RDF_TYPE), str(RDFS_LABEL)}
    quads = ox.parse(path=DEMO_GRAPH, format=ox.RdfFormat.TURTLE)
    ox.serialize([quad.triple for quad in quads if quad.predicate.value in kept], str(file), ox.RdfFormat.TURTLE)
    return file


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the questions are that it does not learn from."""
    return tmp_path_factory.mktemp("questions") / "asked.jsonl"


@pytest.fixture(scope="module")
def model(graph: Path, asked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planner")
    with kgllm.open(graph, ontology=DEMO_ONTOLOGY, planner="embedded") as kg:
        made = [each for each in make_questions(kg.index, count=MADE, seed=7) if each.kind in KINDS]
        write_questions(made[:ASKED], asked)
        write_questions(made[ASKED:], folder / "learned.jsonl")
        tune_language_model(kg, folder / "learned.jsonl", folder / "model", size="3m", epochs=16)
    return folder / "model"


@pytest.fixture(scope="module")
def report(graph: Path, asked: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    log = tmp_path_factory.mktemp("served") / "server.log"
    with (
        serving(model, log=log, name="planner", options=WRITES) as server,
        kgllm.open(
            graph,
            ontology=DEMO_ONTOLOGY,
            planner="model",
            base_url=server.base_url,
            model=server.model,
            no_cache=True,
            in_flight=8,
        ) as kg,
    ):
        assert isinstance(kg, Assistant)
        yield evaluate(kg, asked)


def test_a_small_model_plans_what_it_learned(report: dict[str, Any]) -> None:
    assert report["overall"]["n"] == ASKED
    assert report["overall"]["hits@1"] >= BAR


def test_what_a_small_model_plans_is_of_the_graph(report: dict[str, Any]) -> None:
    assert report["invented_iris"] == 0
    assert report["unsupported_claims"] == 0
    assert report["errors"] == 0


def test_a_question_takes_few_tokens(report: dict[str, Any]) -> None:
    assert report["tokens_per_question"] < 1_000
