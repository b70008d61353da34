"""The jobs of a SHACL worker: read shapes once, then check data against them.

Run as ``python -m kgllm.engines.shacl_jobs MEMORY_BYTES``. Core constraints and ``sh:sparql`` alone: no rules, no
JavaScript, no ``owl:imports``; and only such ``sh:sparql`` as the guard would let a stranger send.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pyshacl
import rdflib
import rdflib.plugins.sparql
from pyshacl.errors import ReportableRuntimeError
from rdflib.collection import Collection
from rdflib.namespace import RDF, SH

from kgllm.engines.guard import refuse_unless_read_only
from kgllm.engines.rdf_files import load_file
from kgllm.engines.results import triples_of
from kgllm.engines.worker_main import serve
from kgllm.errors import InputError, QueryRefusedError
from kgllm.terms import BNode, Literal, Node, URIRef, n3

_QUERIES = (SH.select, SH.ask, SH.construct, SH.update)
_SUFFIXES = {SH.zeroOrMorePath: "*", SH.oneOrMorePath: "+", SH.zeroOrOnePath: "?"}


class ShaclJobs:
    """A shapes graph, an ontology, and what is checked against them."""

    def __init__(self) -> None:
        self.shapes = rdflib.Graph()
        self.ontology = rdflib.Graph()

    def shapes_files(self, header: dict[str, Any], ontology: bytes) -> tuple[dict[str, Any], bytes]:
        """Read shapes from files and the ontology from N-Triples."""
        store = ox.Store()
        for file in header["files"]:
            load_file(store, Path(file), bulk=False, limit_bytes=header["file_bytes"])
        self.shapes = _graph(store)
        self.ontology = _graph(ox.parse(ontology, format=ox.RdfFormat.N_TRIPLES))
        for predicate in _QUERIES:
            for shape, text in self.shapes.subject_objects(predicate):
                _refuse_foreign(shape, str(text))
        self.validate({}, b"")  # shapes that cannot be used are to be told of now
        return {"triples": len(self.shapes)}, b""

    def validate(self, header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """Check N-Triples; the results are in the body, as JSON, their terms as N-Triples.

        With ``focus``, a list of IRIs, in the header only these are checked.
        """
        try:
            conforms, report, text = pyshacl.validate(
                _graph(ox.parse(data, format=ox.RdfFormat.N_TRIPLES)),
                shacl_graph=self.shapes,
                ont_graph=self.ontology if len(self.ontology) else None,
                inference="none",
                advanced=False,
                js=False,
                do_owl_imports=False,
                meta_shacl=False,
                focus_nodes=header.get("focus"),
            )
        except (ReportableRuntimeError, RecursionError) as error:
            raise _unusable(str(getattr(error, "message", error))) from None
        if not isinstance(report, rdflib.Graph):
            raise _unusable(str(text))
        results = [self._result(report, node) for node in report.subjects(RDF.type, SH.ValidationResult)]
        return {"conforms": bool(conforms)}, json.dumps(results).encode()

    def _result(self, report: rdflib.Graph, node: Node) -> dict[str, str | None]:
        path, value = report.value(node, SH.resultPath), report.value(node, SH.value)
        messages = sorted(str(message) for message in report.objects(node, SH.resultMessage))
        return {
            "focus": _written(report.value(node, SH.focusNode)),
            "path": _written(Literal(_path(report, path)) if isinstance(path, BNode) else path),
            "value": _written(value),
            "component": _written(report.value(node, SH.sourceConstraintComponent)),
            "severity": _written(report.value(node, SH.resultSeverity)),
            "message": messages[0] if messages else "",
            "source_shape": _written(self._named(report.value(node, SH.sourceShape))),
        }

    def _named(self, shape: Node | None) -> Node | None:
        """The shape, or the nearest one around it that has an IRI."""
        around = shape
        for _ in range(8):
            if around is None or isinstance(around, URIRef):
                break
            around = next(self.shapes.subjects(None, around), None)
        return around if isinstance(around, URIRef) else shape


def _written(term: Node | None) -> str | None:
    return None if term is None else n3(term)


def _path(graph: rdflib.Graph, node: Node | None) -> str:
    """A property path as SPARQL writes it."""
    if node is None or isinstance(node, URIRef):
        return "" if node is None else n3(node)
    if (node, RDF.first, None) in graph:
        return "/".join(_path(graph, step) for step in Collection(graph, node))
    if (choices := graph.value(node, SH.alternativePath)) is not None:
        return "(" + "|".join(_path(graph, choice) for choice in Collection(graph, choices)) + ")"
    if (inverse := graph.value(node, SH.inversePath)) is not None:
        return f"^{_path(graph, inverse)}"
    for predicate, suffix in _SUFFIXES.items():
        if (repeated := graph.value(node, predicate)) is not None:
            return f"({_path(graph, repeated)}){suffix}"
    return ""


def _graph(quads: Any) -> rdflib.Graph:
    graph = rdflib.Graph(bind_namespaces="none")
    for triple in triples_of(quads):
        graph.add(triple)
    return graph


def _refuse_foreign(shape: Node, text: str) -> None:
    try:
        refuse_unless_read_only(text)
    except QueryRefusedError as error:
        raise InputError(
            f"the SPARQL of the shape {shape} is refused", why=error.what, try_next="take it out of the shapes"
        ) from None


def _unusable(why: str) -> InputError:
    return InputError("the shapes cannot be used", why=why[:500], try_next="correct the shapes file")


if __name__ == "__main__":
    rdflib.plugins.sparql.SPARQL_LOAD_GRAPHS = False
    warnings.simplefilter("ignore")  # pySHACL warns of what it finds in foreign shapes; it has no one to tell here
    jobs = ShaclJobs()
    serve({"shapes": jobs.shapes_files, "validate": jobs.validate}, memory_bytes=int(sys.argv[1]))
