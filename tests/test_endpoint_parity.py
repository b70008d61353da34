"""A graph behind an endpoint is answered as the same graph in a file; real graphs are answered as well as before."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kgllm import Assistant
from kgllm.evaluate import evaluate

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared/data"
Open = Callable[..., Assistant]
DEMO_QUESTIONS = [
    "Who commanded Apollo 11?",
    "How many people walked on the Moon?",
    "Which country is the commander of Vostok 6 from?",
    "Which is the heaviest launch vehicle?",
    "Which missions were launched before 1962?",
    "Did Neil Armstrong fly on Apollo 13?",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, list[str], str]]:
    """A graph's file, its ontology, six questions, and the URL at which the graph is served."""
    binary = Path(sysconfig.get_path("scripts")) / "oxigraph"
    if not binary.exists():
        pytest.skip("the package oxigraph, a SPARQL server, is not installed")
    folder = tmp_path_factory.mktemp("served")
    graph, ontology = ROOT / "examples/spaceflight.ttl", ROOT / "ontologies/spaceflight-ontology.ttl"
    questions = DEMO_QUESTIONS
    if (DATA / "ck25").exists():
        graph, ontology = folder / "graph.ttl", DATA / "ck25/ontology.ttl"
        with gzip.open(DATA / "ck25/graph.ttl.gz") as packed, graph.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        lines = (DATA / "ck25/questions.dev.jsonl").read_text().splitlines()
        questions = [json.loads(line)["question"] for line in lines[:6]]
    location = str(folder / "store")
    subprocess.run([binary, "load", "--location", location, "--file", graph], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [str(binary), "serve-read-only", "--location", location, "--bind", f"127.0.0.1:{port}"]
    server = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield graph, ontology, questions, f"http://127.0.0.1:{port}/query"
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_file_and_endpoint_give_the_same_answers_from_the_same_triples(
    served: tuple[Path, Path, list[str], str], open_cached: Open
) -> None:
    graph, ontology, questions, url = served
    of_file = open_cached(graph, ontology=ontology).ask_many(questions)
    of_endpoint = open_cached(url, ontology=ontology).ask_many(questions)
    assert any(not answer.abstained for answer in of_file)
    for one, other in zip(of_file, of_endpoint, strict=True):
        assert (one.abstained, set(one.results)) == (other.abstained, set(other.results)), one.question
        assert set(one.memory.triples()) == set(other.memory.triples()), one.question


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("wc2014", 0.85), ("pathquestion", 0.4)])
def test_real_questions_are_answered_no_worse_than_before(
    open_cached: Open, tmp_path: Path, name: str, least: float
) -> None:
    folder = DATA / name
    if not folder.exists():
        pytest.skip(f"the data set {name} is not beside the repository")
    lines = (folder / "questions.dev.jsonl").read_text().splitlines()
    sample = tmp_path / "sample.jsonl"
    sample.write_text("\n".join(random.Random(7).sample(lines, 60)) + "\n")
    kg = open_cached(folder / "graph.ttl.gz", ontology=folder / "ontology.ttl")
    report = evaluate(kg, sample)
    assert report["overall"]["hits@1"] >= least
    assert (report["invented_iris"], report["unsupported_claims"], report["errors"]) == (0, 0, 0)
