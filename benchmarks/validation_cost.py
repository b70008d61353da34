"""What validation adds to the time of an answer, and to the start of a process.

    python benchmarks/validation_cost.py [DATA] [--out OUT.json] [--limit N]

DATA is a folder of data sets, ../shared/data by default. Each set is asked its questions once to warm up and once more,
measured, with the embedded planner; the time of validation is that of the answers' own clock, with the ontology alone
and, where there are shapes, with these too, in one process. The cold start is that of ``kgllm ask`` over the demo graph
in a process of its own, in turns with and without shapes: their difference is what starting SHACL costs a user; the
check against the ontology starts nothing, and its first time is given beside its later ones.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kgllm

ROOT = Path(__file__).resolve().parents[1]
COLD_QUESTION = "Who commanded Apollo 11?"
STARDOG_QUESTIONS = (("Album", "artist", 60), ("Album", "producer", 60), ("Song", "writer", 80))


@dataclass(frozen=True, slots=True)
class Subject:
    """A graph with its ontology, its shapes if it has some, and questions."""

    name: str
    graph: Path
    ontology: Path
    shapes: Path | None
    questions: tuple[str, ...]


def subjects(data: Path, limit: int) -> list[Subject]:
    """The graphs that are there."""
    demo = [json.loads(line)["question"] for line in (ROOT / "examples/questions.jsonl").read_text().splitlines()]
    found = [
        Subject(
            "demo",
            ROOT / "examples/spaceflight.ttl",
            ROOT / "ontologies/spaceflight-ontology.ttl",
            ROOT / "ontologies/spaceflight-shapes.ttl",
            tuple(demo * 5),
        )
    ]
    if (folder := data / "metaqa").exists():
        lines = (folder / "questions.dev.jsonl").read_text(encoding="utf-8").splitlines()
        asked = tuple(json.loads(line)["question"] for line in lines[:: max(1, len(lines) // limit)][:limit])
        found.append(Subject("metaqa", folder / "graph.ttl.gz", folder / "ontology.ttl", None, asked))
    if (folder := data / "stardog_music").exists():
        graph = folder / "graph.ttl.gz"
        asked = tuple(stardog_questions(graph, folder / "ontology.ttl"))[:limit]
        found.append(Subject("stardog_music", graph, folder / "ontology.ttl", folder / "shapes.ttl", asked))
    return found


def stardog_questions(graph: Path, ontology: Path) -> list[str]:
    """Questions made up over the names in the graph, mixed; every answer that is found is as good for a clock."""
    kinds = []
    with kgllm.open(graph, ontology=ontology) as kg:
        for cls, prop, number in STARDOG_QUESTIONS:
            rows = kg.query(
                f"PREFIX : <http://stardog.com/tutorial/> SELECT ?n WHERE {{ ?x a :{cls} ; :name ?n }} "
                f"ORDER BY MD5(?n) LIMIT {number}"
            ).rows
            kinds.append([f"Who is the {prop} of {row[0]}?" for row in rows])
    return [question for questions in zip(*kinds, strict=False) for question in questions]


def measured(subject: Subject, *, with_shapes: bool) -> dict[str, Any]:
    """The medians over the answers that a memory was validated for, in milliseconds."""
    shapes = subject.shapes if with_shapes else None
    with kgllm.open(subject.graph, ontology=subject.ontology, shapes=shapes) as kg:
        first = kg.ask(subject.questions[0])
        for question in subject.questions[:20]:
            kg.ask(question)
        answers = [kg.ask(question) for question in subject.questions]
    with_memory = [answer for answer in answers if len(answer.memory)]
    validate = [answer.timings_ms["validate"] for answer in with_memory]
    rest = [answer.timings_ms["total"] - answer.timings_ms["validate"] for answer in with_memory]
    median = statistics.median
    return {
        "asked": len(answers),
        "validated": len(with_memory),
        "validate_ms": round(median(validate), 2),
        "validate_p95_ms": round(statistics.quantiles(validate, n=20)[-1], 2),
        "rest_ms": round(median(rest), 2),
        "added": round(median(validate) / median(rest), 4),
        "first_validate_ms": round(first.timings_ms["validate"], 2),
    }


def ask_cold(demo: Subject, *, with_shapes: bool) -> tuple[float, float]:
    """The seconds of one ``kgllm ask``, and the milliseconds of validation in them."""
    command = [sys.executable, str(ROOT / "cli.py"), "ask", "-g", str(demo.graph), "--ontology", str(demo.ontology)]
    command += ["--shapes", str(demo.shapes)] if with_shapes else []
    begin = time.perf_counter()
    done = subprocess.run([*command, "--json", COLD_QUESTION], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - begin
    return seconds, json.loads(done.stdout)["timings_ms"]["validate"]


def cold_starts(demo: Subject, *, times: int) -> dict[str, Any]:
    """Medians over processes started in turns."""
    turns = [(ask_cold(demo, with_shapes=False), ask_cold(demo, with_shapes=True)) for _ in range(times)]
    without, with_shapes = zip(*turns, strict=True)
    median = statistics.median
    return {
        "times": times,
        "without_shapes_s": round(median(seconds for seconds, _ in without), 3),
        "with_shapes_s": round(median(seconds for seconds, _ in with_shapes), 3),
        "of_shapes_s": round(median(b[0] - a[0] for a, b in turns), 3),
        "first_validate_without_shapes_ms": round(median(spent for _, spent in without), 1),
        "first_validate_with_shapes_ms": round(median(spent for _, spent in with_shapes), 1),
    }


def main(arguments: Sequence[str]) -> None:
    """Measure, print, and write the result where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--limit", type=int, default=150, help="questions of a set, at most")
    parser.add_argument("--cold", type=int, default=9, help="processes started of each kind")
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    results: dict[str, Any] = {}
    found = subjects(options.data, options.limit)
    for subject in found:
        results[subject.name] = {"ontology": measured(subject, with_shapes=False)}
        if subject.shapes is not None:
            results[subject.name]["ontology and shapes"] = measured(subject, with_shapes=True)
        print(json.dumps({subject.name: results[subject.name]}), flush=True)
    results["cold start"] = cold_starts(found[0], times=options.cold)
    print(json.dumps(results["cold start"]))
    if options.out is not None:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        written = {
            "command": f"python benchmarks/validation_cost.py --limit {options.limit} --cold {options.cold}",
            "commit": commit.stdout.strip(),
            "hardware": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
            "load before": round(load, 2),
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("rdflib", "pyoxigraph", "pyshacl")},
            },
            "results": results,
        }
        options.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
