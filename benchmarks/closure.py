"""Three ways to find what follows by OWL 2 RL from a memory and its surroundings: kgllm's rules, owlrl, reasonable.

    python benchmarks/closure.py -g GRAPH [--ontology FILE] [--nodes N] [--out FILE]

Takes the surroundings of some nodes of the graph, as a check of a memory does, and closes them with each engine that
is installed; prints milliseconds (median of five), and how many relations and classes of the graph's own terms each
finds for them. reasonable is no dependency of kgllm: pip install reasonable.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import rdflib

import kgllm
from kgllm.entailment import close
from kgllm.memory import WorkingMemoryGraph
from kgllm.ontology import Ontology
from kgllm.terms import BNode, Literal, Triple, URIRef
from kgllm.validate import surroundings
from kgllm.vocabularies import OWL, RDF_TYPE, is_vocabulary
from kgllm.workspace import Workspace

RUNS = 5
SAME_AS = URIRef(OWL + "sameAs")


def main() -> None:
    """Measure what the arguments name, and print it."""
    options = parsed()
    with kgllm.open(options.graph, ontology=options.ontology) as kg:
        report: dict[str, Any] = {
            "graph": Path(options.graph[0]).name,
            "hardware": options.note,
            "seed": options.seed,
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in ("owlrl", "reasonable")},
            "memories": [measured(kg.workspace, n, options.seed) for n in options.nodes],
        }
    for memory in report["memories"]:
        print(json.dumps(memory))
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def measured(workspace: Workspace, n: int, seed: int) -> dict[str, Any]:
    """The engines on the surroundings of ``n`` nodes."""
    ontology = workspace.ontology
    rows = workspace.store.select("SELECT DISTINCT ?s WHERE { ?s a ?c . FILTER(isIRI(?s)) } LIMIT 5000").rows
    terms = {*ontology.classes, *ontology.properties}
    nodes = sorted(s for (s,) in rows if isinstance(s, URIRef) and s not in terms)
    memory = WorkingMemoryGraph("")
    for node in random.Random(seed).sample(nodes, min(n, len(nodes))):
        memory.assert_triple((node, SAME_AS, node))
    around, _ = surroundings(memory, workspace.store, timeout_s=60)
    engines: dict[str, Callable[[Sequence[Triple], Ontology], Iterable[Triple]]] = {
        "kgllm": own,
        "owlrl": owlrl_closure,
    }
    if version("reasonable"):
        engines["reasonable"] = reasonable_closure
    found: dict[str, Any] = {"nodes": n, "triples": len(around), "axioms": len(ontology.axioms)}
    for name, engine in engines.items():
        spent, closed = [], set[Triple]()
        for _ in range(RUNS):
            started = time.perf_counter()
            closed = set(engine(around, ontology))
            spent.append((time.perf_counter() - started) * 1000)
            if spent[0] > 20_000:
                break
        found[name] = {"ms": round(statistics.median(spent), 2), "entailed": len(told(closed, ontology) - set(around))}
    return found


def told(triples: Iterable[Triple], ontology: Ontology) -> set[Triple]:
    """What is said of nodes in the graph's own terms: engines differ in what they say of everything."""
    terms = {*ontology.classes, *ontology.properties}
    return {
        (s, p, o)
        for s, p, o in triples
        if s not in terms
        and isinstance(s, URIRef)
        and not is_vocabulary(s)
        and not isinstance(o, BNode)
        and (not is_vocabulary(str(p)) or (p == RDF_TYPE and not is_vocabulary(str(o))))
        and not (isinstance(o, Literal) and p == RDF_TYPE)
    }


def own(triples: Sequence[Triple], ontology: Ontology) -> Iterable[Triple]:
    """kgllm's: rules compiled from the axioms once, and the proof of each triple kept."""
    return close(triples, ontology.rules)


def owlrl_closure(triples: Sequence[Triple], ontology: Ontology) -> Iterable[Triple]:
    """owlrl's, in Python over rdflib; it keeps no proof."""
    import owlrl

    graph = rdflib.Graph()
    for triple in (*ontology.axioms.triples, *triples):
        graph.add(triple)
    owlrl.DeductiveClosure(owlrl.OWLRL_Semantics).expand(graph)  # type: ignore[no-untyped-call,attr-defined]
    return graph  # type: ignore[return-value]


def reasonable_closure(triples: Sequence[Triple], ontology: Ontology) -> Iterable[Triple]:
    """reasonable's, in Rust; it keeps no proof, and has no chains, no keys and no contradictions."""
    import reasonable  # type: ignore[import-not-found]

    reasoner = reasonable.PyReasoner()
    with tempfile.TemporaryDirectory() as folder:
        graph = rdflib.Graph()
        for triple in (*ontology.axioms.triples, *triples):
            graph.add(triple)
        file = Path(folder) / "memory.ttl"
        graph.serialize(file, format="nt")
        reasoner.load_file(str(file))
    return reasoner.reason()  # type: ignore[no-any-return]


def version(package: str) -> str:
    """The version of a package; empty where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def parsed() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-g", "--graph", action="append", required=True)
    parser.add_argument("--ontology", action="append", default=None)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--note", default="", help="the hardware, in words")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
