"""The check of a query before it runs: false alarms on gold queries, and how many of their faulty twins it finds.

    python benchmarks/query_checks.py [DATA [OUT.json]]

DATA is a folder of data sets, ../shared/data by default, as for ``gold.py``. A twin has one property swapped for
another that is stated or seen of other subjects, or other objects, alone; or one edge turned round whose ends are
stated or seen to be of other classes. ``bound`` are twins in which a term at such an end is a node or literal that the
query names, or stands in another pattern too; the others ask for nothing impossible: ``free``.
"""

from __future__ import annotations

import json
import platform
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kgllm.engines.oxigraph import OxigraphStore
from kgllm.ontology import RDF_TYPE, Ontology, is_vocabulary
from kgllm.ontology_reading import read_ontology
from kgllm.query import Query, TriplePattern, Variable
from kgllm.terms import Literal, URIRef, n3
from kgllm.tuning.sparql_to_query import NotExpressibleError, compiled
from kgllm.validate_query import validate_query

SPIDER = "spider4sparql"
SETS = ("metaqa", "pathquestion", "wc2014", "ck25", "cwd", SPIDER)
TWINS = 3  # of a kind, of a query
SEED = 0


@dataclass(slots=True)
class Figures:
    """What was found of the queries of a data set."""

    queries: int = 0
    alarms: list[str] = field(default_factory=list)
    with_twins: int = 0
    twins: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    spent_ms: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """The figures as they are written."""
        kinds = sorted(self.twins)
        return {
            "queries": self.queries,
            "false_alarms": round(len(self.alarms) / max(1, self.queries), 4),
            "alarms": self.alarms[:10],
            "with_bound_twins": self.with_twins,
            "twins": dict(self.twins),
            "found": {kind: round(self.found[kind] / self.twins[kind], 4) for kind in kinds},
            "missed": self.missed[:10],
            "ms": round(statistics.median(self.spent_ms), 3) if self.spent_ms else None,
        }


def twins(query: Query, ontology: Ontology, chance: random.Random) -> Iterator[tuple[str, Query, str]]:
    """Faulty twins of a query: what kind of, the query, and in words what was done."""
    patterns = query.where.patterns
    swaps, turns = [], []
    for number, pattern in enumerate(patterns):
        p = pattern.predicate
        if not isinstance(p, URIRef) or is_vocabulary(p) or p not in ontology.properties:
            continue
        subjects, objects = ontology.ends(p)
        others = [q.iri for q in ontology.relations() if q.iri != p and q.iri not in ontology.subproperties(p)]
        for q in others:
            ends = [
                e for e, mine, its in zip("so", ontology.ends(p), ontology.ends(q), strict=True) if mine.isdisjoint(its)
            ]
            if ends and ontology.properties[q].signatures:
                swaps.append(
                    (number, replace(pattern, predicate=q), ends, f"{ontology.label(p)} -> {ontology.label(q)}")
                )
        is_turned = subjects and objects and subjects.isdisjoint(objects)
        if is_turned and not isinstance(pattern.object, Literal):
            around = TriplePattern(pattern.object, p, pattern.subject)
            turns.append((number, around, list("so"), f"{ontology.label(p)} turned round"))
    for kind, made in (("swapped", swaps), ("turned", turns)):
        for number, pattern, ends, words in chance.sample(made, min(TWINS, len(made))):
            new = (*patterns[:number], pattern, *patterns[number + 1 :])
            others_ = [t for n, other in enumerate(patterns) if n != number for t in (other.subject, other.object)]
            at = [pattern.subject if end == "s" else pattern.object for end in ends]
            is_bound = any(not isinstance(term, Variable) or term in others_ for term in at)
            try:
                yield (
                    f"{kind}, {'bound' if is_bound else 'free'}",
                    replace(query, where=replace(query.where, patterns=new)),
                    words,
                )
            except ValueError:
                continue


def types_of(query: Query, store: OxigraphStore) -> dict[URIRef, list[URIRef]]:
    """The classes of the nodes that a query names, as an index knows them."""
    nodes = [i for i in query.iris() if not is_vocabulary(i)]
    values = " ".join(map(n3, nodes))
    found: dict[URIRef, list[URIRef]] = {}
    for s, c in store.select(f"SELECT ?s ?c WHERE {{ VALUES ?s {{ {values} }} ?s {n3(RDF_TYPE)} ?c }}").rows:
        found.setdefault(s, []).append(c)  # type: ignore[arg-type]
    return found


def faulty(query: Query, ontology: Ontology, types: dict[URIRef, list[URIRef]]) -> list[str]:
    """The messages of the violations."""
    return [v.message for v in validate_query(query, ontology, types=types) if v.severity == "Violation"]


def measured(folder: Path, figures: Figures) -> None:
    """Add every question of a data set."""
    graphs = [path for path in sorted(folder.iterdir()) if path.name.startswith(("graph.", "labels."))]
    ontologies = [path for path in sorted(folder.iterdir()) if path.name.startswith("ontology")]
    lines = (folder / "questions.dev.jsonl").read_text(encoding="utf-8").splitlines()
    store = OxigraphStore.load(graphs, source=folder.name)
    extra = OxigraphStore.load(ontologies, source="ontology")
    chance = random.Random(SEED)
    try:
        ontology = read_ontology([store, extra])
        for question in map(json.loads, lines):
            if not question.get("sparql"):
                continue
            try:
                query = compiled(question["sparql"])
            except (NotExpressibleError, Exception):
                continue
            types = types_of(query, store)
            started = time.perf_counter()
            alarms = faulty(query, ontology, types)
            figures.spent_ms.append((time.perf_counter() - started) * 1000)
            figures.queries += 1
            figures.alarms += [f"{question['id']}: {message}" for message in alarms[:1]]
            made = list(twins(query, ontology, chance))
            figures.with_twins += any("bound" in kind for kind, _, _ in made)
            for kind, twin, words in made:
                is_found = bool(faulty(twin, ontology, types))
                figures.twins[kind] += 1
                figures.found[kind] += is_found
                if not is_found and "bound" in kind:
                    figures.missed.append(f"{question['id']}: {words}")
    finally:
        extra.close()
        store.close()


def main(arguments: Sequence[str]) -> None:
    """Measure, print, and write the result where a file is named."""
    data = Path(arguments[0] if arguments else "../shared/data")
    results: dict[str, Any] = {}
    whole = Figures()
    for name in SETS:
        folders = sorted(path for path in (data / name).iterdir() if path.is_dir()) if name == SPIDER else [data / name]
        figures = Figures()
        for folder in folders:
            measured(folder, figures)
        results[name] = figures.summary()
        print(name, json.dumps({k: v for k, v in results[name].items() if k not in {"alarms", "missed"}}), flush=True)
        for line in [*figures.alarms[:4], *figures.missed[:6]]:
            print(f"    {line}")
        whole.queries += figures.queries
        whole.alarms += figures.alarms
        whole.twins += figures.twins
        whole.found += figures.found
        whole.spent_ms += figures.spent_ms
    results["all"] = {k: v for k, v in whole.summary().items() if k not in {"alarms", "missed", "with_bound_twins"}}
    print("all", json.dumps(results["all"]))
    if len(arguments) > 1:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        about = {
            "command": "python benchmarks/query_checks.py",
            "commit": commit.stdout.strip(),
            "seed": SEED,
            "versions": {"python": platform.python_version()},
        }
        Path(arguments[1]).write_text(json.dumps(about | {"results": results}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
