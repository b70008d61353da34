"""How the time of a question grows with the graph: ten times as many nodes, and a node with 100,000 neighbours.

    python benchmarks/scale.py GRAPH ONTOLOGY QUESTIONS --limit 300 --copies 10 --out FILE

The larger graph is the given one beside copies of it whose nodes have other IRIs and other names: every letter of a
label is moved on in the alphabet by as many places as the copy has as its number. So the questions mean in it what they
mean in the smaller one. The hub is a city in which 100,000 people with generated names were born, beside one with a
hundred. So that the indexes are built in minutes, descriptions have random vectors, searched exactly: what a
description means plays no part in a question that names something. Each question is asked of both graphs in turn, in
one warm process: compare the ratios, not the times.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyoxigraph as ox

import kgllm
from kgllm.answer import Answer
from kgllm.assistant import Assistant
from kgllm.engines.faiss import FaissIndex
from kgllm.protocols import Embedder, Vectors

SEED = 7
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
HUB_ONTOLOGY = """
@prefix : <http://hub.example.org/> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:Person a owl:Class ; rdfs:label "person" . :City a owl:Class ; rdfs:label "city" .
:Company a owl:Class ; rdfs:label "company" .
:bornIn a owl:ObjectProperty ; rdfs:label "born in" ; rdfs:domain :Person ; rdfs:range :City .
:worksFor a owl:ObjectProperty ; rdfs:label "works for" ; rdfs:domain :Person ; rdfs:range :Company .
"""
HUB_QUESTIONS = (
    "Who was born in {city}?",
    "How many people were born in {city}?",
    "Where was {person} born?",
    "Which company does {person} work for?",
    "Which companies do people born in {city} work for?",
    "Was {person} born in {city}?",
)


def multiplied(graph: Path, copies: int, out: Path) -> int:
    """Write a graph and renamed copies of it, ``copies`` in all, as N-Triples; return the number of triples."""
    with gzip.open(graph) as file:
        triples = list(ox.parse(file, format=ox.RdfFormat.TURTLE))
    nodes = {triple.subject for triple in triples}
    with out.open("wb") as written:
        for number in range(copies):
            moved = str.maketrans(
                LETTERS + LETTERS.upper(),
                LETTERS[number:] + LETTERS[:number] + (LETTERS[number:] + LETTERS[:number]).upper(),
            )

            def renamed(term: Any, number: int = number) -> Any:
                is_node = isinstance(term, ox.NamedNode) and term in nodes and number
                return ox.NamedNode(f"{term.value}--{number}") if is_node else term

            def lines(moved: dict[int, int] = moved, renamed: Any = renamed) -> Any:
                for triple in triples:
                    end = renamed(triple.object)
                    if triple.predicate.value == LABEL:
                        end = ox.Literal(triple.object.value.translate(moved))
                    yield ox.Triple(renamed(triple.subject), triple.predicate, end)

            ox.serialize(lines(), written, format=ox.RdfFormat.N_TRIPLES)
    return copies * len(triples)


def hub(people: int, out: Path) -> None:
    """Write a city with so many people born in it, who work for ten companies."""
    chance = random.Random(SEED)
    base = "http://hub.example.org/"
    said = [f'<{base}hub> a <{base}City> ; <{LABEL}> "Hubville" .']
    said += [f'<{base}company{n}> a <{base}Company> ; <{LABEL}> "{name(chance)} Limited" .' for n in range(10)]
    for number in range(people):
        label = "Ada Lovelace" if number == 0 else f"{name(chance)} {name(chance)}"
        said.append(
            f'<{base}p{number}> a <{base}Person> ; <{LABEL}> "{label}" ; <{base}bornIn> <{base}hub> ; '
            f"<{base}worksFor> <{base}company{number % 10}> ."
        )
    out.write_text("\n".join(said), encoding="utf-8")


def name(chance: random.Random) -> str:
    """A name that nobody has."""
    return "".join(chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") for _ in range(3)).capitalize()


def in_turn(small: Assistant, large: Assistant, questions: list[str]) -> dict[str, Any]:
    """The times of each question in both graphs, one after the other."""
    times: dict[str, list[float]] = {"small": [], "large": []}
    parts: dict[str, list[dict[str, float]]] = {"small": [], "large": []}
    same = 0
    for question in ["warm up", *questions]:
        answers: list[Answer] = []
        for which, kg in (("small", small), ("large", large)):
            started = time.perf_counter()
            answer = kg.ask(question)
            times[which].append(1000 * (time.perf_counter() - started))
            parts[which].append(dict(answer.timings_ms))
            answers.append(answer)
        same += set(answers[0].results) == set(answers[1].results)
    report: dict[str, Any] = {"questions": len(questions), "same answer": same - 1}
    for which in times:
        report[which] = spread(times[which][1:])
        report[which]["parts"] = {
            part: round(statistics.fmean(of[part] for of in parts[which][1:]), 1) for part in parts[which][0]
        }
    return {
        **report,
        "ratio of medians": round(report["large"]["median ms"] / report["small"]["median ms"], 2),
        "ratio of p95": round(report["large"]["p95 ms"] / report["small"]["p95 ms"], 2),
    }


def spread(values: list[float]) -> dict[str, Any]:
    """The median and the 95th percentile."""
    ordered = sorted(values)
    return {
        "median ms": round(statistics.median(ordered), 1),
        "p95 ms": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
    }


def at_random(texts: Sequence[str], embedder: Embedder, *_: Any) -> tuple[Vectors, int]:
    """Unit vectors that mean nothing."""
    vectors = np.random.default_rng(SEED).standard_normal((len(texts), embedder.dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, len(texts)


def opened(graph: Path, ontology: Path, index: Path) -> Assistant:
    """A graph with its index built."""
    started = time.perf_counter()
    kg = kgllm.open(graph, ontology=ontology, index=index, planner="embedded")
    exact = classmethod(lambda cls, vectors: cls(vectors))
    with patch("kgllm.index._embed", at_random), patch.object(FaissIndex, "build", exact):
        kg.workspace.build()
    print(graph.name, len(kg.index), "descriptions", f"{time.perf_counter() - started:.0f} s", flush=True)
    return kg


def main() -> None:
    """Measure both, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph", type=Path)
    parser.add_argument("ontology", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    lines = options.questions.read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line)["question"] for line in random.Random(SEED).sample(lines, options.limit)]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    report: dict[str, Any] = {"commit": commit, "python": platform.python_version(), "cpus": os.cpu_count()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "hub-ontology.ttl").write_text(HUB_ONTOLOGY, encoding="utf-8")
        sizes = {"small": 100, "large": options.people}
        for which, people in sizes.items():
            hub(people, folder / f"hub-{which}.ttl")
        hubs = [opened(folder / f"hub-{w}.ttl", folder / "hub-ontology.ttl", folder / f"hub-{w}") for w in sizes]
        texts = [text.format(city="Hubville", person="Ada Lovelace") for text in HUB_QUESTIONS]
        report["hub"] = {text: in_turn(*hubs, [text] * 5) for text in texts}
        print(json.dumps(report["hub"], indent=1), flush=True)
        triples = multiplied(options.graph, options.copies, folder / "large.nt")
        small = opened(options.graph, options.ontology, folder / "small")
        large = opened(folder / "large.nt", options.ontology, folder / "large")
        report["copies"] = {"copies": options.copies, "triples": triples, **in_turn(small, large, asked)}
        print(json.dumps(report["copies"], indent=1), flush=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
