"""The results of SPARQL queries as tables, CSV, TSV, SPARQL 1.1 Query Results JSON, HTML, and Turtle."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Sequence
from typing import Any

from kgllm.cli.forms import as_json, as_turtle
from kgllm.display import linked, term_text
from kgllm.protocols import GraphStore, Rows
from kgllm.terms import BNode, Literal, Namespaces, Term, Triple, URIRef, clean, n3

__all__ = ["as_html", "boolean", "counted", "form_of", "result_of", "triples", "with_prefixes", "written"]

_WIDEST_CELL = 60  # characters
_PROLOGUE = re.compile(r"(?:\s|#[^\n]*|BASE\s*<[^>]*>|PREFIX\s+[^\s:]*:\s*<[^>]*>)*(?P<form>[A-Za-z]+)", re.IGNORECASE)
_SKIPPED = r"""\#[^\n]*|<[^<>"{}|^`\\\s]*>|\"\"\".*?\"\"\"|'''.*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'"""
_PREFIX_USED = re.compile(rf"(?P<skipped>{_SKIPPED})|(?<![\w?$@:-])(?P<prefix>[A-Za-z][\w-]*):", re.DOTALL)


def form_of(sparql: str) -> str:
    """The query's form in capitals, as SELECT; empty where the text begins like no query."""
    match = _PROLOGUE.match(sparql)
    return match["form"].upper() if match else ""


def with_prefixes(sparql: str, namespaces: Namespaces) -> str:
    """The query with the prefixes declared that it uses, does not declare, and that are known.

    They stand on its first line, so that an error still names the right one.
    """
    declared = {prefix.lower() for prefix in re.findall(r"PREFIX\s+([^\s:]*):", sparql, re.IGNORECASE)}
    used = {match["prefix"] for match in _PREFIX_USED.finditer(sparql) if match["prefix"]}
    missing = sorted(prefix for prefix in used & namespaces.prefixes.keys() if prefix.lower() not in declared)
    return "".join(f"PREFIX {prefix}: <{namespaces.prefixes[prefix]}> " for prefix in missing) + sparql


def result_of(
    sparql: str, store: GraphStore, namespaces: Namespaces, *, limit: int | None = None
) -> bool | list[Triple] | Rows:
    """What a read-only query gives by its form: a truth value, triples, or rows; known prefixes need no declaration."""
    declared, form = with_prefixes(sparql, namespaces), form_of(sparql)
    if form == "ASK":
        return store.ask(declared)
    if form in {"CONSTRUCT", "DESCRIBE"}:
        return store.construct(declared, limit=limit)
    return store.select(declared, limit=limit)


def counted(rows: Rows) -> str:
    """How many rows there are, and whether there are more."""
    return f"{len(rows):,} row{'' if len(rows) == 1 else 's'}{'' if rows.complete else ', cut: there are more'}"


def boolean(holds: bool, form: str) -> str:
    """The answer to an ASK."""
    return as_json({"head": {}, "boolean": holds}) if form == "json" else str(holds).lower()


def triples(found: Sequence[Triple], form: str, namespaces: Namespaces) -> str:
    """The triples of a CONSTRUCT as Turtle, or as JSON-LD."""
    from rdflib import Graph

    graph = Graph(bind_namespaces="none")
    for prefix, namespace in namespaces.prefixes.items():
        graph.bind(prefix, namespace)
    for triple in found:
        graph.add(triple)
    if form == "json":
        return as_json(json.loads(graph.serialize(format="json-ld")), indent=2)
    return as_turtle(graph.serialize(format="turtle").rstrip())


def written(rows: Rows, form: str, namespaces: Namespaces, *, cleaned: bool = False) -> str:
    """The rows of a SELECT as ``table``, ``csv``, ``tsv`` or ``json``, without the last line's end.

    CSV and TSV give the values as they are, unless ``cleaned`` for a terminal.
    """

    def shown(text: str) -> str:
        return clean(text, cap=None) if cleaned else text

    if form == "json":
        return _json(rows)
    if form == "tsv":  # SPARQL 1.1 Query Results CSV and TSV Formats, section 4
        lines = ["\t".join(f"?{shown(name)}" for name in rows.vars)]
        lines += [
            "\t".join("" if term is None else shown(n3(term).replace("\t", "\\t")) for term in row) for row in rows.rows
        ]
        return "\n".join(lines)
    if form == "csv":  # section 3 of the same: values alone
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow([shown(name) for name in rows.vars])
        writer.writerows([["" if term is None else shown(_value(term)) for term in row] for row in rows.rows])
        return text.getvalue().removesuffix("\r\n")
    return _table(rows, namespaces)


def as_html(rows: Rows, namespaces: Namespaces) -> str:
    """The rows of a SELECT as a table for a browser, in which IRIs of the web are links."""
    style = 'style="text-align:left;vertical-align:top"'
    head = "".join(f"<th {style}>?{html.escape(clean(name))}</th>" for name in rows.vars)
    lines = ("".join(f"<td {style}>{_html_cell(term, namespaces)}</td>" for term in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html_cell(term: Term | None, namespaces: Namespaces) -> str:
    if term is None:
        return ""
    return linked(term, f"<bdi>{html.escape(term_text(term, namespaces))}</bdi>")


def _value(term: Term) -> str:
    return f"_:{term}" if isinstance(term, BNode) else str(term)


def _json(rows: Rows) -> str:
    bindings = [
        {name: _binding(term) for name, term in zip(rows.vars, row, strict=True) if term is not None}
        for row in rows.rows
    ]
    return as_json({"head": {"vars": list(rows.vars)}, "results": {"bindings": bindings}})


def _binding(term: Term) -> dict[str, Any]:
    if isinstance(term, URIRef):
        return {"type": "uri", "value": str(term)}
    if isinstance(term, BNode):
        return {"type": "bnode", "value": str(term)}
    found = {"type": "literal", "value": str(term)}
    if isinstance(term, Literal) and term.language:
        found["xml:lang"] = term.language
    elif isinstance(term, Literal) and term.datatype is not None:
        found["datatype"] = str(term.datatype)
    return found


def _table(rows: Rows, namespaces: Namespaces) -> str:
    cells = [[f"?{clean(name)}" for name in rows.vars]]  # an endpoint may have named them
    cells += [["" if term is None else term_text(term, namespaces) for term in row] for row in rows.rows]
    widths = [min(_WIDEST_CELL, max(len(row[column]) for row in cells)) for column in range(len(rows.vars))]
    cells.insert(1, ["─" * width for width in widths])
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
