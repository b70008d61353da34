"""The jobs of a SHACL worker: read shapes once, then check data against them.

Run as ``python -m kgllm.engines.shacl_jobs MEMORY_BYTES``. Core constraints and ``sh:sparql`` alone: no rules, no
JavaScript, no ``owl:imports``; and only such ``sh:sparql`` as the guard would let a stranger send.

pySHACL is driven by its parts. ``pyshacl.validate`` builds the shapes anew for every graph, patches rdflib while it
does, and takes every node that is not among its ``focus_nodes`` to conform to whatever shape it meets further in.
"""

from __future__ import annotations

import gc
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyoxigraph as ox
import pyshacl.shape
import rdflib
import rdflib.plugins.sparql
from pyshacl.constraints import CONSTRAINT_PARAMETERS_MAP
from pyshacl.constraints.core.value_constraints import DatatypeConstraintComponent
from pyshacl.graph_abstraction import DataGraph
from pyshacl.validator import Validator
from rdflib.namespace import OWL, SH, XSD

from kgllm.datatypes import has_value_of
from kgllm.engines.rdf_files import load_file
from kgllm.engines.results import triples_of
from kgllm.engines.shacl_reads import path_text, reads_of
from kgllm.engines.worker_main import serve
from kgllm.errors import InputError, QueryRefusedError
from kgllm.terms import BNode, Literal, Node, URIRef, n3

if TYPE_CHECKING:
    from pyshacl.shape import Shape

_QUERIES = (SH.select, SH.ask, SH.construct, SH.update)
_SWITCHES = tuple(map(str, (SH.closed, SH.deactivated, SH.uniqueLang, SH.qualifiedValueShapesDisjoint)))
_OPTIONS = {"use_js": False, "advanced": False, "inference": "none", "inplace": True}


class ShaclJobs:
    """A shapes graph, and what is checked against it."""

    def __init__(self) -> None:
        self.shapes = rdflib.Graph()
        self._built = self._validator().shacl_graph
        self._executor = self._validator().make_executor()
        self._targeting: list[Shape] = []

    def shapes_files(self, header: dict[str, Any], _: bytes) -> tuple[dict[str, Any], bytes]:
        """Read shapes from files."""
        read: Any = _Quads()
        for file in header["files"]:
            load_file(read, Path(file), bulk=False, limit_bytes=header["file_bytes"])
        store = ox.Store()
        store.extend(read.quads)  # it writes numbers as it does those of the data, so that 4.0 is 4 in both
        self.shapes = _graph(store)
        for predicate in _QUERIES:
            for shape, text in self.shapes.subject_objects(predicate):
                _refuse_foreign(shape, str(text))
        for regime in self.shapes.objects(None, SH.entailment):
            raise _unusable(f"they ask for the entailment regime {regime}, which is not supported")
        _import_prefixes(self.shapes)
        with _told_as_unusable():
            self._built = self._validator().shacl_graph
            self._targeting = [shape for shape in self._built.shapes if any(any(found) for found in shape.target())]
        self.validate({}, b"")  # shapes that cannot be used are to be told of now
        gc.freeze()  # what is there by now stays: a check need not look through it for garbage
        reads = reads_of(self.shapes, (shape.node for shape in self._targeting if not shape.deactivated))
        return {"triples": len(self.shapes), "reads": reads}, b""

    def validate(self, header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """Check N-Triples; the results are in the body, as JSON, their terms as N-Triples.

        With ``focus``, a list of IRIs, in the header only these are checked.
        """
        graph = _graph(ox.parse(data, format=ox.RdfFormat.N_TRIPLES))
        focus = None if (named := header.get("focus")) is None else {URIRef(node) for node in named}
        found: list[Any] = []
        with _told_as_unusable():
            for shape in self._targeting:
                nodes = shape.focus_nodes(graph)  # type: ignore[no-untyped-call]
                if nodes := nodes if focus is None else nodes & focus:
                    found += shape.validate(self._executor, graph, focus=list(nodes))[1]
            report = Validator.create_validation_report(self._built, False, found)[0] if found else rdflib.Graph()
        results = [self._result(report, node) for node in report.objects(None, SH.result)]
        return {"conforms": not found}, json.dumps(results).encode()

    def _validator(self) -> Validator:
        """Over no data: it is asked for its parts."""
        return Validator(DataGraph.from_rdflib(rdflib.Graph()), shacl_graph=self.shapes, options=dict(_OPTIONS))

    def _result(self, report: rdflib.Graph, node: Node) -> dict[str, str | None]:
        path, value = report.value(node, SH.resultPath), report.value(node, SH.value)
        messages = sorted(str(message) for message in report.objects(node, SH.resultMessage))
        return {
            "focus": _written(report.value(node, SH.focusNode)),
            "path": _written(Literal(path_text(report, path)) if isinstance(path, BNode) else path),
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


class _DatatypeByValue(DatatypeConstraintComponent):
    """Takes an integer for one of a narrower type whose range it keeps to, and a date-time with its zone likewise.

    Oxigraph's store keeps ``"7"^^xsd:int`` as the integer 7, so that the narrower type is not to be had back.
    """

    def evaluate(self, executor: Any, target_graph: Any, focus_value_nodes: Any, path: Any) -> Any:
        """As SHACL has it (section 4.1.2), for the values left."""
        left = {f: [v for v in values if not self._was_narrower(v)] for f, values in focus_value_nodes.items()}
        return super().evaluate(executor, target_graph, left, path)

    def _was_narrower(self, value: Any) -> bool:
        kept, asked = getattr(value, "datatype", None), str(self.datatype_rule)
        if kept == XSD.dateTime and asked == str(XSD.dateTimeStamp):
            return getattr(value.value, "tzinfo", None) is not None
        return kept == XSD.integer and asked != str(XSD.decimal) and has_value_of(value, str(kept), asked)


_made_once = cache(cache)  # each component of each shape, which pySHACL would read from the shapes at every node
_COMPONENTS = {p: _made_once(made) for p, made in {**CONSTRAINT_PARAMETERS_MAP, SH.datatype: _DatatypeByValue}.items()}
# It looks them up where it would search through a list.
pyshacl.shape.CONSTRAINT_PARAMS = (_COMPONENTS, _COMPONENTS)  # type: ignore[attr-defined]


class _Graph(rdflib.Graph):
    """A graph that is true at once: rdflib would count its triples, and pySHACL asks at every result."""

    def __bool__(self) -> bool:
        return True


class _Quads:
    """Stands for a store that files are loaded into, since a store takes ``"1"^^xsd:boolean`` for ``true``.

    SHACL's switches are on where the term is ``true``, and the other is another term (W3C's uniqueLang-002).
    """

    def __init__(self) -> None:
        self.quads: list[ox.Quad] = []

    def load(self, stream: IO[bytes], *, format: ox.RdfFormat, base_iri: str) -> None:
        for quad in ox.parse(stream, format=format, base_iri=base_iri, rename_blank_nodes=True):
            if quad.predicate.value not in _SWITCHES or not _is_off(quad.object):
                self.quads.append(quad)


def _is_off(value: Any) -> bool:
    return isinstance(value, ox.Literal) and value.datatype.value == str(XSD.boolean) and value.value != "true"


def _written(term: Node | None) -> str | None:
    return None if term is None else n3(term)


@contextmanager
def _told_as_unusable() -> Iterator[None]:
    """What pySHACL and rdflib raise is whatever comes to hand, ``NotImplementedError`` and ``Exception`` itself."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise _unusable(str(getattr(error, "message", "") or error or type(error).__name__)) from None


def _import_prefixes(shapes: rdflib.Graph) -> None:
    """Prefixes are those of ``sh:prefixes/owl:imports*/sh:declare`` (SHACL, 5.2.1); pySHACL follows no import."""
    for named in set(shapes.objects(None, SH.prefixes)):
        for imported in list(shapes.transitive_objects(named, OWL.imports)):
            for declared in list(shapes.objects(imported, SH.declare)):
                shapes.add((named, SH.declare, declared))


def _graph(quads: Any) -> rdflib.Graph:
    graph = _Graph(store="SimpleMemory", bind_namespaces="none")
    for triple in triples_of(quads):
        graph.add(triple)
    return graph


def _refuse_foreign(shape: Node, text: str) -> None:
    from kgllm.engines.guard import refuse_unless_read_only  # it takes 25 ms, and few shapes have SPARQL

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
