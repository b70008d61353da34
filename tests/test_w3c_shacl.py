"""The W3C's SHACL test suite through ``kgllm check``: the verdicts and the results are the suite's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pyshacl
import pytest
import rdflib

from kgllm.checking import CheckReport, check
from kgllm.engines.rdf_files import BASE_IRI
from kgllm.engines.shacl import Shapes
from kgllm.errors import InputError
from kgllm.sources import resolve
from kgllm.terms import BNode, Literal, Node, Term, URIRef, from_ox, local_name
from kgllm.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
SUITE = ROOT.parent / "shared/data/w3c-shacl"
MF = "http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SH = "http://www.w3.org/ns/shacl#"
SHT = "http://www.w3.org/ns/shacl-test#"

PYSHACL_FAULTS = {
    # A processor may leave $shapesGraph out, but then has to fail where a shape uses it (SHACL, section 5.3.1).
    "sparql/pre-binding/shapesGraph-001": "Shapes Graph is not currently supported",
}
KEPT_BY_VALUE = {
    # "55"^^xsd:integer is no xsd:byte. But Oxigraph's store keeps "55"^^xsd:byte as that very integer, and to report
    # each byte would be a false alarm: an integer within the range of a byte passes for one.
    "core/property/datatype-ill-formed": 1,
}

Result = tuple[Node | str | None, ...]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SUITE.exists(), reason="the W3C's SHACL tests are not in ../shared/data"),
    pytest.mark.filterwarnings("ignore"),  # rdflib warns of literals that are ill-typed on purpose
]


class Graph:
    """The quads of a file, its terms as they are written, its relative IRIs as kgllm makes them absolute."""

    def __init__(self, file: Path, *, base_iri: str = BASE_IRI) -> None:
        self.quads = list(ox.parse(path=str(file), format=ox.RdfFormat.TURTLE, base_iri=base_iri))

    def objects(self, subject: Any, predicate: str) -> list[Any]:
        return [q.object for q in self.quads if q.subject == subject and q.predicate.value == predicate]

    def object(self, subject: Any, predicate: str) -> Any:
        return next(iter(self.objects(subject, predicate)), None)

    def term(self, subject: Any, predicate: str) -> Term | None:
        found = self.object(subject, predicate)
        return None if found is None else from_ox(found)


@dataclass(frozen=True, slots=True)
class Case:
    """A test of the suite; ``conforms`` is ``None`` where checking has to end in a failure."""

    name: str
    data: Path
    shapes: Path
    conforms: bool | None
    results: tuple[Result, ...]


def same(term: Node | None) -> Node | str | None:
    """A term to compare: a blank node has another name each time it is read, and a store writes 4.0 as 4."""
    if isinstance(term, BNode):
        return "a blank node"
    if isinstance(term, Literal) and isinstance(term.value, int | Decimal) and not isinstance(term.value, bool):
        return f"the number {Decimal(term.value).normalize()}"
    return term


def case(file: Path) -> Case:
    graph = Graph(file)
    entry = next(
        q.subject for q in graph.quads if q.predicate.value == RDF + "type" and q.object.value == SHT + "Validate"
    )
    action, result = graph.object(entry, MF + "action"), graph.object(entry, MF + "result")

    def named(role: str) -> Path:
        iri = graph.object(action, SHT + role).value
        return file if iri == BASE_IRI else file.parent / iri.removeprefix(BASE_IRI)

    conforms = graph.object(result, SH + "conforms")
    results = (
        (
            same(graph.term(found, SH + "focusNode")),
            path if isinstance(path := graph.term(found, SH + "resultPath"), URIRef) else None,
            same(graph.term(found, SH + "value")),
            local_name(str(graph.term(found, SH + "sourceConstraintComponent"))),
            local_name(str(graph.term(found, SH + "resultSeverity"))),
        )
        for found in graph.objects(result, SH + "result")
    )
    name = str(file.relative_to(SUITE).with_suffix(""))
    return Case(name, named("dataGraph"), named("shapesGraph"), conforms and conforms.value == "true", tuple(results))


def files(manifest: Path) -> Iterator[Path]:
    graph = Graph(manifest, base_iri=manifest.as_uri())
    included = sorted(q.object.value for q in graph.quads if q.predicate.value == MF + "include")
    for iri in included:
        yield from files(Path(iri.removeprefix("file://")))
    if not included:
        yield manifest


CASES = [case(file) for file in files(SUITE / "manifest.ttl")] if SUITE.exists() else []
FAILING = [c for c in CASES if c.conforms is None]
VALIDATED = [c for c in CASES if c.conforms is not None]


def ids(cases: list[Case]) -> list[str]:
    return [c.name for c in cases]


def checked(case: Case) -> CheckReport:
    workspace = Workspace(resolve(case.data), folder=ROOT / "no-index", shapes_files=(case.shapes,))
    try:
        return check(workspace)
    finally:
        workspace.close()


def test_the_suite_is_there_whole() -> None:
    assert (len(VALIDATED), len(FAILING)) == (113, 7)


@pytest.mark.parametrize("expected", VALIDATED, ids=ids(VALIDATED))
def test_verdict_and_results_are_the_suites(expected: Case) -> None:
    if fault := PYSHACL_FAULTS.get(expected.name):
        with pytest.raises(InputError, match=fault):
            checked(expected)
        return
    report = checked(expected)
    by_shapes = [v for v in report.violations if v.source == "shapes"]
    by_ontology = [v for v in report.violations if v.source == "ontology"]
    assert all(v.constraint == "datatype" for v in by_ontology)  # a literal that is ill-typed, which the suite wants
    assert report.conforms is (expected.conforms and not by_ontology)
    found: Counter[Result] = Counter(
        (same(v.focus), v.path, same(v.value), v.constraint, v.severity) for v in by_shapes
    )
    wanted = Counter(expected.results)
    assert not found - wanted
    assert (wanted - found).total() == KEPT_BY_VALUE.get(expected.name, 0)


@pytest.mark.parametrize("expected", FAILING, ids=ids(FAILING))
def test_shapes_that_must_not_be_used_are_refused(expected: Case) -> None:
    with pytest.raises(InputError, match=r"the shapes cannot be used|the SPARQL of the shape .* is refused"):
        checked(expected)


@pytest.mark.parametrize("name", sorted(PYSHACL_FAULTS))
def test_a_fault_that_is_put_down_to_pyshacl_is_pyshacls(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rdflib, "NORMALIZE_LITERALS", rdflib.NORMALIZE_LITERALS)  # pySHACL leaves it changed
    file = str(SUITE / f"{name}.ttl")
    with pytest.raises(NotImplementedError, match=PYSHACL_FAULTS[name]):
        pyshacl.validate(file, shacl_graph=file, data_graph_format="turtle", shacl_graph_format="turtle")


PATHS = {
    "core/path/path-inverse-001": {"^<http://datashapes.org/sh/tests/core/path/path-inverse-001.test#child>"},
    "core/path/path-zeroOrOne-001": {"(<http://datashapes.org/sh/tests/core/path/path-zeroOrOne-001.test#child>)?"},
}


@pytest.mark.parametrize("name", sorted(PATHS))
def test_a_longer_path_is_told_as_sparql_writes_it(name: str) -> None:
    found = next(c for c in CASES if c.name == name)
    shapes = Shapes([found.shapes])
    try:
        data = ox.serialize((q.triple for q in Graph(found.data).quads), format=ox.RdfFormat.N_TRIPLES)
        report = shapes.validate(data or b"", timeout_s=30)
    finally:
        shapes.close()
    assert {str(result.path) for result in report.results} == PATHS[name]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("core/node/and-001", 4),
        ("core/property/uniqueLang-002", 0),
        ("core/misc/severity-001", 4),
        ("sparql/node/prefixes-001", 4),
        ("sparql/pre-binding/unsupported-sparql-003", 2),
        ("sparql/pre-binding/shapesGraph-001", 2),
    ],
)
def test_the_command_ends_with_the_verdict(name: str, code: int, tmp_path: Path) -> None:
    found = next(c for c in CASES if c.name == name)
    command = [
        sys.executable,
        str(ROOT / "cli.py"),
        "check",
        "-g",
        str(found.data),
        "--shapes",
        str(found.shapes),
        "--json",
    ]
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={"KGLLM_CACHE_DIR": str(tmp_path)}
    )
    assert ended.returncode == code, ended.stderr
    if code != 2:
        assert json.loads(ended.stdout)["conforms"] is (code == 0)
