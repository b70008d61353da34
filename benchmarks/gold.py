"""What a perfect planner could reach: gold queries written as plans, read back, run, and compared with the gold rows.

    python benchmarks/gold.py [DATA [OUT.json]]

DATA is a folder of data sets, ../shared/data by default; each has questions.dev.jsonl with gold SPARQL beside the files
of its graph. The plan is over handles that are made of the gold query's own terms, so that nothing but the language of
plans is measured. A question is right if the rows are exactly the gold's: the same columns in the same order, numbers
by value, as a set. Columns that the gold rows leave out, though the gold query has them, stay unshown. Where rows tie
at a LIMIT, others than the gold's are right too; these are counted under ``ties``.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import rdflib

from kgllm.datatypes import comparable
from kgllm.engines.oxigraph import OxigraphStore
from kgllm.ontology import Ontology
from kgllm.ontology_reading import read_ontology
from kgllm.query import Query, Variable, column_name
from kgllm.query_json import handles_of, parse_query, write_query
from kgllm.query_schema import PlanError
from kgllm.terms import Term, parse_term
from kgllm.tuning.sparql_to_query import NotExpressibleError, column_names, compiled

SPIDER = "spider4sparql"
SETS = ("metaqa", "pathquestion", "wc2014", "ck25", "cwd", SPIDER)
TIMEOUT_S = 60.0
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a question: ``exact``, ``tie``, ``wrong rows``, or the construct that a plan cannot say."""

    id: str
    said: str


def value(term: Term | None) -> Any:
    """A term by its value, so that numbers of two types and of two lengths are equal."""
    return None if term is None else comparable(term)


def rows_of(query: Query, store: OxigraphStore) -> list[Row]:
    """The rows of a query, in their order."""
    sparql = query.to_sparql()
    if query.form == "ask":
        return [(("boolean", store.ask(sparql, timeout_s=TIMEOUT_S)),)]
    return [tuple(map(value, row)) for row in store.select(sparql, timeout_s=TIMEOUT_S).rows]


def shown(query: Query, names: Sequence[str], wanted: Sequence[str]) -> Query:
    """The query with those of its columns alone that the gold rows have."""
    if query.form == "ask" or not wanted or not set(wanted) < set(names):
        return query
    columns = dict(zip(names, query.select, strict=True))
    rest = tuple(c for name, c in columns.items() if name not in wanted and not isinstance(c, Variable))
    select, unshown = tuple(columns[name] for name in wanted), (*query.unshown, *rest)
    return replace(query, form="select", select=select, unshown=unshown)


def gold_of(question: dict[str, Any]) -> list[Row]:
    """The gold rows."""
    rows = question.get("rows") or [[cell] for cell in question["answer_nt"]]
    return [tuple(None if cell is None else value(parse_term(cell)) for cell in row) for row in rows]


def is_tie(query: Query, found: set[Row], gold: set[Row], store: OxigraphStore) -> bool:
    """Whether both are the first rows by the order of the query, which leaves open which of several come last."""
    if query.limit is None or not query.order_by or len(found) != len(gold):
        return False
    made = {column_name(part): part for part in query.made}
    keys = tuple(made.get(order.key, order.key) for order in query.order_by)
    columns = tuple(dict.fromkeys([*query.select, *keys]))
    unshown = tuple(part for part in query.unshown if part not in columns)
    names = [column_name(part) for part in columns]
    places = [names.index(order.key) for order in query.order_by]
    width = len(query.select)
    whole = rows_of(replace(query, form="select", select=columns, unshown=unshown, limit=None), store)
    if len(whole) < query.limit:
        return False
    last = [whole[query.limit - 1][place] for place in places]
    first: set[Row] = set()
    for row in whole:
        if [row[place] for place in places] == last:
            break
        first.add(row[:width])
    tied = {row[:width] for row in whole if [row[place] for place in places] == last}
    return all(first <= rows <= first | tied for rows in (found, gold))


def outcome(question: dict[str, Any], ontology: Ontology, store: OxigraphStore) -> Outcome:
    """Write the gold query of a question as a plan, read it back, run it and compare."""
    said = ""
    try:
        query = shown(compiled(question["sparql"]), column_names(question["sparql"]), question.get("vars") or ())
        handles = handles_of(query)
        plan = json.loads(json.dumps(write_query(query, handles)))
        query = parse_query(plan, handles, ontology)
        found, gold = set(rows_of(query, store)), set(gold_of(question))
        said = "exact" if found == gold else "tie" if is_tie(query, found, gold, store) else "wrong rows"
    except (NotExpressibleError, PlanError) as error:
        said = f"not expressible: {error}"
    return Outcome(str(question["id"]), said)


def measured(folder: Path) -> list[Outcome]:
    """Every question of a data set."""
    graphs = [path for path in sorted(folder.iterdir()) if path.name.startswith(("graph.", "labels."))]
    ontologies = [path for path in sorted(folder.iterdir()) if path.name.startswith("ontology")]
    lines = (folder / "questions.dev.jsonl").read_text(encoding="utf-8").splitlines()
    store = OxigraphStore.load(graphs, source=folder.name)
    extra = OxigraphStore.load(ontologies, source="ontology")
    try:
        ontology = read_ontology([store, extra])
        questions = [json.loads(line) for line in lines]
        return [outcome(question, ontology, store) for question in questions if question.get("sparql")]
    finally:
        extra.close()
        store.close()


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of a data set."""
    counts = Counter(o.said for o in outcomes)
    unsaid = {said.removeprefix("not expressible: "): n for said, n in counts.items() if said.startswith("not ")}
    right = counts["exact"] + counts["tie"]
    return {
        "n": len(outcomes),
        "expressible": round(1 - sum(unsaid.values()) / len(outcomes), 4),
        "exact": round(right / len(outcomes), 4),
        "ties": counts["tie"],
        "wrong_rows": [o.id for o in outcomes if o.said == "wrong rows"],
        "not_expressible": dict(sorted(unsaid.items(), key=lambda item: -item[1])),
    }


def table(figures: dict[str, dict[str, Any]]) -> Iterable[str]:
    """The figures, a line a data set, and what cannot be said."""
    yield f"{'':34}{'n':>7}{'expressible':>13}{'exact':>8}{'ties':>6}"
    for name, of_set in figures.items():
        yield f"{name:<34}{of_set['n']:>7}{of_set['expressible']:>13.3f}{of_set['exact']:>8.3f}{of_set['ties']:>6}"
    for name, of_set in figures.items():
        for construct, number in of_set["not_expressible"].items():
            yield f"{name}: {number} × {construct}"
        if of_set["wrong_rows"]:
            yield f"{name}: other rows: {' '.join(of_set['wrong_rows'])}"


def main(arguments: list[str]) -> None:
    """Measure, print, and write the result where a file is named."""
    data = Path(arguments[0] if arguments else "../shared/data")
    figures: dict[str, dict[str, Any]] = {}
    for name in SETS:
        folders = sorted(path for path in (data / name).iterdir() if path.is_dir()) if name == SPIDER else [data / name]
        of_set = []
        for folder in folders:
            began = time.perf_counter()
            outcomes = measured(folder)
            of_set += outcomes
            if name == SPIDER:
                figures[f"{name}/{folder.name}"] = summary(outcomes)
            print(f"{folder.name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
        figures[name] = summary(of_set)
    print("\n".join(table(figures)))
    if len(arguments) > 1:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        about = {
            "command": "python benchmarks/gold.py",
            "commit": commit.stdout.strip(),
            "versions": {
                "python": platform.python_version(),
                "rdflib": rdflib.__version__,
                "pyoxigraph": ox.__version__,
            },
        }
        Path(arguments[1]).write_text(json.dumps(about | {"results": figures}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
