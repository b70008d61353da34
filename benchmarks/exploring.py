"""How long ``kg.explore`` takes to open on a large graph, at a node with few neighbours and at hubs.

    python benchmarks/exploring.py [--triples 5000000] [--out results/DATE-exploring.json]

The graph is made here: 20,000 named nodes in twelve classes, joined at random by twelve properties, so that some nodes
have millions of neighbours and most have a few hundred. Opening includes the search for the name, the queries, the
places of the boxes and the widget, but not the reading of the graph and its index.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

import kgllm

NODES, CLASSES, PROPERTIES = 20_000, 12, 12
LABEL = "<http://www.w3.org/2000/01/rdf-schema#label>"
TYPE = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"
NAMES = {"few neighbours": 15_000, "some thousand": 300, "tens of thousands": 1, "most": 0}


def make(file: Path, triples: int) -> None:
    """Write the graph; the object of a triple is the likelier the lower its number."""
    draw = random.Random(1)
    seen: set[tuple[int, int, int]] = set()
    with file.open("w") as lines:
        for number in range(NODES):
            lines.write(
                f'<urn:n{number}> {LABEL} "Person {number}" .\n<urn:n{number}> {TYPE} <urn:C{number % CLASSES}> .\n'
            )
        while len(seen) < triples - 2 * NODES:
            edge = draw.randrange(NODES), draw.randrange(PROPERTIES), int(NODES * draw.random() ** 6)
            if edge not in seen:
                seen.add(edge)
                lines.write(f"<urn:n{edge[0]}> <urn:p{edge[1]}> <urn:n{edge[2]}> .\n")


def main() -> None:
    """Make the graph, open it, and time the first and the later openings of views."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--triples", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.nt"
        make(file, arguments.triples)
        with kgllm.open(file, index=Path(folder) / "index") as kg:
            kg.index  # noqa: B018
        with kgllm.open(file, index=Path(folder) / "index") as kg:
            kg.index  # noqa: B018
            result: dict[str, object] = {"triples": arguments.triples, "seconds": {}}
            for told, number in NAMES.items():
                times = []
                for _ in range(arguments.runs):
                    began = time.perf_counter()
                    view = kg.explore(f"Person {number}")
                    times.append(time.perf_counter() - began)
                figures = {"first": times[0], "median": statistics.median(times), "boxes": len(view.shown["nodes"])}
                print(f"{told:<20} first {times[0]:.2f} s, median {figures['median']:.2f} s, {figures['boxes']} boxes")
                result["seconds"] |= {told: figures}  # type: ignore[operator]
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
