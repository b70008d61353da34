"""How often ``search`` finds the node that somebody's words are about, and what it costs.

    python benchmarks/search.py --out FILE NAME GRAPH ONTOLOGY QUESTIONS [NAME GRAPH ONTOLOGY QUESTIONS …]

Arguments come in fours, one for each data set; an ONTOLOGY of ``-`` is none. A question has the IRIs it is about in
``answers``, any of which is right. Each is put to ``Index.search``, and to its parts alone: ``nearest`` (one vector of
label and description), and ``names``. Given are hit@1 and hit@10 over all questions and by kind, the median time of a
search, and the size and the building time of the index.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import kgllm
from kgllm.index import Index

PLACES = 10


def by_names(index: Index, text: str) -> list[str]:
    """The IRIs whose names are like the text."""
    matches = [match for match in index.names.search(text, k=PLACES) if match.row < index.value_offset]
    found = index.descriptions([match.row for match in matches])
    return [str(found[match.row].iri) for match in matches]


WAYS: dict[str, Callable[[Index, str], list[str]]] = {
    "search": lambda index, text: [str(hit.iri) for hit in index.search(text, k=PLACES)],
    "nearest": lambda index, text: [str(hit.iri) for hit in index.nearest(text, k=PLACES)],
    "names": by_names,
}


def measure(index: Index, questions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What each way finds of the questions, and how long it takes."""
    results: dict[str, Any] = {}
    for way, find in WAYS.items():
        find(index, "warm up")
        places: dict[str, list[int]] = defaultdict(list)
        times = []
        for question in questions:
            started = time.perf_counter()
            found = find(index, question["question"])
            times.append(1000 * (time.perf_counter() - started))
            right = [place for place, iri in enumerate(found) if iri in question["answers"]]
            places[question["kind"]].append(min(right, default=PLACES))
        every = [place for of_kind in places.values() for place in of_kind]
        results[way] = {
            **hits(every),
            "median ms": round(statistics.median(times), 1),
            "by kind": {kind: hits(of_kind) for kind, of_kind in sorted(places.items())},
        }
    return results


def hits(places: Sequence[int]) -> dict[str, Any]:
    """The shares found first and among the first ten."""
    return {
        "n": len(places),
        "hit@1": round(sum(place == 0 for place in places) / len(places), 3),
        "hit@10": round(sum(place < PLACES for place in places) / len(places), 3),
    }


def one_set(graph: str, ontology: str, questions: str, folder: Path) -> dict[str, Any]:
    """Index one graph in a folder, and search it."""
    kg = kgllm.open(graph, ontology=None if ontology == "-" else ontology, index=folder)
    started = time.perf_counter()
    kg.workspace.build()
    index = kg.index
    built = time.perf_counter() - started
    asked = [json.loads(line) for line in Path(questions).read_text(encoding="utf-8").splitlines()]
    result = measure(index, asked)
    files = {file.name: file.stat().st_size for file in folder.glob("gen-*/*") if file.is_file()}
    kg.close()
    return {
        **result,
        "nodes": len(index),
        "seconds to open or build": round(built, 1),
        "MB on disk": {name: round(size / 1e6, 1) for name, size in sorted(files.items()) if size > 50_000},
    }


def main() -> None:
    """Measure each data set, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--indexes", type=Path, help="a folder of indexes to use or to fill")
    parser.add_argument("sets", nargs="+")
    options = parser.parse_args()
    report: dict[str, Any] = {
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.indexes or Path(temporary)
        for start in range(0, len(options.sets), 4):
            name, *paths = options.sets[start : start + 4]
            report[name] = one_set(*paths, folder / name)
            print(name, {way: {k: v for k, v in report[name][way].items() if k != "by kind"} for way in WAYS})
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
