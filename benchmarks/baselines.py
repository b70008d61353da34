"""What the parts of the embedded planner are worth, on the same questions.

    python benchmarks/baselines.py --limit 200 --out FILE NAME GRAPH ONTOLOGY QUESTIONS [NAME GRAPH …]

Arguments come in fours, one for each data set. Measured are

    planner        as it is
    no masking     the names stay in the question where its meaning is compared with that of a reading
    lexical only   every vector is zero: words are like others by their stems and families alone
    plain recipe   no planning: the nodes whose descriptions are nearest to the question are the answer, the first of
                   them, or the first five

each by hits@1 and F1 of the answers, however unsure (``min_confidence`` 0), so that the order of readings is what
differs. ``--limit`` questions of each set are drawn with a fixed seed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import kgllm
from kgllm.assistant import Assistant
from kgllm.evaluate import evaluate
from kgllm.index import Index
from kgllm.protocols import Progress, Vectors
from kgllm.questions import read_questions
from kgllm.terms import n3

SEED = 7


class NoMeaning:
    """An embedder to which nothing means anything."""

    def __init__(self, dimension: int) -> None:
        self.name, self.dimension = "nothing", dimension

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Zero vectors."""
        return np.zeros((len(texts), self.dimension), dtype=np.float32)


def planner(kg: Assistant, questions: Path) -> dict[str, Any]:
    """The embedded planner as it is."""
    return shares(evaluate(kg, questions)["overall"])


def no_masking(kg: Assistant, questions: Path) -> dict[str, Any]:
    """The same, where a reading is compared with the question as it was asked."""
    with patch("kgllm.scoring.masked", lambda links, sketch, ontology: links.question.lower()):
        return planner(kg, questions)


def lexical_only(kg: Assistant, questions: Path) -> dict[str, Any]:
    """The same with no vectors. The assistant is of no use afterwards."""
    index = kg.index
    index.embedder = NoMeaning(index.embedder.dimension)
    index._phrase_vectors = np.zeros_like(index._phrase_vectors)
    index._new_phrases.clear()
    kg.__dict__.pop("_embedded", None)
    return planner(kg, questions)


def plain_recipe(kg: Assistant, questions: Path) -> dict[str, Any]:
    """The nodes nearest to the question, taken for its answer."""
    index: Index = kg.index
    nodes = [row for row, d in index.descriptions(range(len(index))).items() if d.kind == "node"]
    hits, one, five = [], [], []
    for question in read_questions(questions, kg.workspace.store):
        found = [n3(hit.iri) for hit in index.nearest(question.text, k=5, among=nodes)]
        gold = {n3(term) for term in question.gold.terms}
        hits.append(float(found[0] in gold))
        one.append(f1(found[:1], gold))
        five.append(f1(found, gold))
    return {
        "hits@1": round(statistics.fmean(hits), 4),
        "f1": round(statistics.fmean(one), 4),
        "f1 of five": round(statistics.fmean(five), 4),
    }


def f1(found: Sequence[str], gold: set[str]) -> float:
    """The harmonic mean of precision and recall."""
    return 2 * len(gold.intersection(found)) / (len(found) + len(gold))


def shares(overall: dict[str, Any]) -> dict[str, Any]:
    """What is compared."""
    return {measure: overall[measure] for measure in ("hits@1", "f1", "abstained", "wrong")}


WAYS: dict[str, Callable[[Assistant, Path], dict[str, Any]]] = {
    "plain recipe": plain_recipe,
    "planner": planner,
    "no masking": no_masking,
    "lexical only": lexical_only,
}


def one_set(graph: str, ontology: str, questions: str, index: Path, limit: int) -> dict[str, Any]:
    """Every way on a sample of one data set's questions."""
    lines = Path(questions).read_text(encoding="utf-8").splitlines()
    sample = random.Random(SEED).sample(lines, min(limit, len(lines)))
    drawn = index.parent / "drawn.jsonl"
    drawn.write_text("\n".join(sample), encoding="utf-8")
    kg = kgllm.open(graph, ontology=ontology, index=index, planner="embedded", min_confidence=0)
    kg.workspace.build()
    report: dict[str, Any] = {"n": len(sample)}
    for way, measured in WAYS.items():
        started = time.perf_counter()
        report[way] = measured(kg, drawn)
        print(index.name, way, report[way], f"{time.perf_counter() - started:.0f} s", flush=True)
    kg.close()
    return report


def main() -> None:
    """Measure each data set, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("sets", nargs="+")
    options = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    report: dict[str, Any] = {"commit": commit, "python": platform.python_version(), "cpus": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(options.sets), 4):
            name, *paths = options.sets[start : start + 4]
            report[name] = one_set(*paths, Path(folder) / name, options.limit)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
