"""The verbs that look into a graph: ``search``, ``show``, ``query``, ``check`` and ``info``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgllm.cli.forms import as_json, as_turtle
from kgllm.cli.verbs import ABSTAINED, DOES_NOT_CONFORM, Common, verb
from kgllm.errors import BackendError

if TYPE_CHECKING:
    from kgllm.terms import Namespaces, URIRef

__all__ = ["check", "info", "query", "search", "show"]


@verb("search")
def search(
    common: Common,
    text: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many, at most.")] = 10,
) -> int:
    """Nodes, classes and properties by meaning and by name, best first, with scores. Formats: text, json."""
    form = common.chosen_format("text", "json")
    with common.assistant() as assistant:
        hits = assistant.search(text, k=k)
        index = assistant.index
        described = index.described([hit.iri for hit in hits])
        labels = index.labels([hit.iri for hit in hits])
        if form == "json":
            from kgllm.terms import n3

            found = [
                {
                    "iri": n3(hit.iri),
                    "label": labels[hit.iri],
                    "kind": hit.kind,
                    "score": round(hit.score, 4),
                    "types": [n3(t) for t in described[hit.iri].types] if hit.iri in described else [],
                }
                for hit in hits
            ]
            common.terminal.out(as_json({"text": text, "hits": found}))
        else:
            from kgllm.display import hit_line

            for hit in hits:
                types = described[hit.iri].types if hit.iri in described else ()
                common.terminal.out(hit_line(hit, labels[hit.iri], types, index.namespaces))
    if not hits:
        common.terminal.remark("nothing found")
    return 0 if hits else ABSTAINED


@verb("show")
def show(
    common: Common,
    node: Annotated[str | None, typer.Argument(help="An IRI, a CURIE or a label.")] = None,
    hops: Annotated[int, typer.Option("--hops", min=1, max=5, help="How far to walk from the node.")] = 1,
    why: Annotated[
        tuple[str, str, str] | None,
        typer.Option("--why", metavar="S P O", help="Why a triple holds, back to what the graph asserts."),
    ] = None,
) -> int:
    """One node: description, types, and facts in both directions; or why a triple holds.

    Formats: text, json. Exits with 3 if there is none, or if the triple does not hold.
    """
    from kgllm.lookup import find, labels_of
    from kgllm.lookup import show as look_up

    form = common.chosen_format("text", "json")
    if (node is None) == (why is None):
        raise typer.BadParameter("give a node, or a triple with --why")
    with common.workspace() as workspace:
        if why is not None:
            from kgllm.explain import explain

            explanation = explain(workspace, *why)
            _print(common, explanation, form)
            return 0 if explanation.steps else ABSTAINED
        assert node is not None  # noqa: S101 - one of the two was given
        view = look_up(workspace, node, hops=hops)
        if view is not None:
            _print(common, view, form)
            return 0
        near = find(workspace, node)
        labels = labels_of(workspace, near)
        _print_near(common, node, {iri: labels.get(iri, "") for iri in near}, form, workspace.namespaces)
    return ABSTAINED


@verb("query")
def query(
    common: Common,
    sparql: Annotated[str, typer.Argument(help="A SELECT, ASK, CONSTRUCT or DESCRIBE; - for standard input.")],
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most rows or triples to print.")] = None,
) -> int:
    """A read-only SPARQL query; the prefixes of the graph need not be declared.

    Formats: table, csv, tsv, json (SPARQL 1.1 Query Results JSON); CONSTRUCT and DESCRIBE give Turtle or JSON-LD.
    """
    from kgllm.engines.guard import refuse_unless_read_only

    form = common.chosen_format("table", "csv", "tsv", "json")
    text = sys.stdin.read() if sparql == "-" else sparql
    refuse_unless_read_only(text)
    with common.workspace() as workspace:
        from kgllm.cli import tables

        namespaces = workspace.namespaces
        found = tables.result_of(text, workspace.store, namespaces, limit=limit)
        if isinstance(found, bool):
            common.terminal.out(tables.boolean(found, form))
        elif isinstance(found, list):
            common.terminal.out(tables.triples(found, form, namespaces))
        else:
            common.terminal.out(tables.written(found, form, namespaces, cleaned=sys.stdout.isatty()))
            common.terminal.remark(tables.counted(found))
    return 0


@verb("check")
def check(
    common: Common,
    file: Annotated[
        Path | None, typer.Argument(help="Triples to check as if they were added; - for stdin. Without: the graph.")
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option("--claim", metavar="TEXT", help="Sentences to check against the graph; repeatable; - for stdin."),
    ] = None,
) -> int:
    """The graph, or a file of triples, against the ontology and the shapes; or sentences against the graph.

    Formats: text, json. Exits with 4 if it does not conform or a sentence is contradicted, with 3 if the graph does
    not bear a sentence out, with 5 if it could not be checked to the end.
    """
    if claim:
        if file is not None:
            raise typer.BadParameter("give a file of triples or --claim, not both")
        return _check_claim(common, "\n".join(sys.stdin.read() if text == "-" else text for text in claim))
    from kgllm.checking import check as run_check

    form = common.chosen_format("text", "json")
    given = sys.stdin.buffer.read() if str(file) == "-" else file
    with common.workspace() as workspace:
        report = run_check(workspace, given)
    _print(common, report, form)
    if report.conforms is None:
        return BackendError.exit_code  # not checked to the end, which is neither
    return 0 if report.conforms else DOES_NOT_CONFORM


def _check_claim(common: Common, text: str) -> int:
    form = common.chosen_format("text", "json")
    with common.assistant() as assistant:
        found = assistant.verify(text)
    _print(common, found, form)
    return {"contradicted": DOES_NOT_CONFORM, "unsupported": ABSTAINED}.get(found.verdict, 0)


@verb("info")
def info(common: Common) -> int:
    """What is in the graph, and what one can ask of it. Formats: text, json, ttl (VoID)."""
    from kgllm.overview import overview

    form = common.chosen_format("text", "json", "ttl")
    with common.workspace() as workspace:
        found = overview(workspace)
    if form == "ttl":
        common.terminal.out(as_turtle(found.to_void().rstrip()))
    else:
        _print(common, found, form)
    return 0


def _print_near(common: Common, node: str, near: Mapping[URIRef, str], form: str, namespaces: Namespaces) -> None:
    from kgllm.display import named
    from kgllm.terms import clean, n3

    if form == "json":
        found = [{"iri": n3(iri), "label": label} for iri, label in near.items()]
        common.terminal.out(as_json({"node": node, "iri": None, "near": found}))
        return
    common.terminal.out(f"The graph has no node {clean(node)}." + (" Near it are" if near else ""))
    for iri, label in near.items():
        common.terminal.out(f"  {named(iri, label, namespaces)}")


def _print(common: Common, found: Any, form: str) -> None:
    common.terminal.out(as_json(found.to_json()) if form == "json" else str(found))
