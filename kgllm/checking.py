"""Check: the whole graph, or triples that are to join it, against the ontology and the user's shapes."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kgllm.engines.oxigraph import OxigraphStore
from kgllm.errors import InputError, RdfSyntaxError
from kgllm.lookup import labels_of, shown
from kgllm.ontology import RDF_TYPE
from kgllm.ontology_reading import whole
from kgllm.protocols import GraphStore
from kgllm.sources import resolve
from kgllm.terms import BNode, Literal, Namespaces, Node, Triple, URIRef, clean, n3
from kgllm.validate import blame, validate_triples
from kgllm.violation import NOT_CHECKED, Violation
from kgllm.workspace import Workspace

__all__ = ["CheckReport", "check"]

LARGEST = 2_000_000  # triples: what is held at once, about 2 GB
_CHUNK = 200
_GROUPS = 8  # on one screen, with so many examples each
_EXAMPLES = 3
FAULTS = {"data": "the graph's own", "memory": "of the new triples", "query": "of the query"}


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found. ``conforms`` is ``None`` where nothing is wrong but the shapes could not be checked in time.

    ``triples`` counts those checked: of the graph, or of the file. A warning of the ontology does not keep it from
    conforming; any result of the shapes does, as SHACL has it.
    """

    what: str
    conforms: bool | None
    violations: tuple[Violation, ...]
    triples: int
    against: tuple[str, ...]
    seconds: float
    labels: Mapping[Node, str] = field(default_factory=dict)
    namespaces: Namespaces = field(default_factory=Namespaces)

    def to_json(self) -> dict[str, Any]:
        """As ``kgllm check --json`` prints it."""
        return {
            "conforms": self.conforms,
            "violations": [violation.to_json() for violation in self.violations],
            "checked": {
                "what": self.what,
                "triples": self.triples,
                "against": list(self.against),
                "seconds": round(self.seconds, 3),
            },
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        from kgllm.pages import report_html, unique

        return report_html(self, key=unique(self.what, *self.violations))

    def _lines(self) -> Iterator[str]:
        verdict = {True: "conforms", False: "does not conform", None: "was not checked to the end"}[self.conforms]
        checked = f"{self.triples:,} triples against {' and '.join(self.against)}, {self.seconds:.1f} s"
        yield f"{clean(self.what)} {verdict} ({checked})"
        groups = _grouped(self.violations)
        for (constraint, severity, fault), members in groups[:_GROUPS]:
            yield f"\n{len(members):,} × {clean(constraint)} ({severity.lower()}, {FAULTS[fault]})"
            yield from map(self._line, members[:_EXAMPLES])
            if len(members) > _EXAMPLES:
                yield f"  … and {len(members) - _EXAMPLES:,} more"
        if len(groups) > _GROUPS:
            rest = sum(len(members) for _, members in groups[_GROUPS:])
            yield f"\n… and {rest:,} more of {len(groups) - _GROUPS} other kinds"

    def _line(self, violation: Violation) -> str:
        parts = [shown(violation.focus, self.namespaces, self.labels)] if violation.focus is not None else []
        if violation.path is not None:
            parts.append(clean(self.namespaces.curie(violation.path)))
        if violation.value is not None:
            parts.append(shown(violation.value, self.namespaces, self.labels))
        return f"  {'  '.join(parts)}\n    {clean(violation.message)}" if parts else f"  {clean(violation.message)}"


def check(workspace: Workspace, given: Path | bytes | None = None) -> CheckReport:
    """Check the whole graph, or with ``given`` (a file, or Turtle or N-Triples as bytes) what joins it.

    New triples are checked together with what the graph says of the nodes they mention and of the neighbours of these.
    A violation that the graph has without them is blamed on the data, any other on the memory, which here is the new
    triples; of the data's, those at the nodes mentioned are told. Raises ``RdfSyntaxError`` for a bad file,
    ``EmptyGraphError`` for an empty one, ``InputError`` for more than two million triples.
    """
    started = time.perf_counter()
    if given is None:
        what, triples, found = workspace.name, *_check_graph(workspace)
    else:
        what, new = _read(given)
        triples, found = len(new), _check_new(workspace, new)
    found.sort(key=lambda v: (v.blame != "memory", v.severity != "Violation", v.constraint, str(v.focus), str(v.path)))
    against = ("the ontology", "the shapes") if workspace.shapes is not None else ("the ontology",)
    examples = [v for _, members in _grouped(found)[:_GROUPS] for v in members[:_EXAMPLES]]
    return CheckReport(
        what,
        _conforms(found),
        tuple(found),
        triples,
        against,
        time.perf_counter() - started,
        labels_of(workspace, [node for v in examples for node in (v.focus, v.value) if node is not None]),
        workspace.namespaces,
    )


def _conforms(found: Sequence[Violation]) -> bool | None:
    """No result of the shapes keeps from it less than another does, whatever its severity (SHACL, section 3.6.1.1)."""
    if any(violation.severity == "Violation" or violation.source == "shapes" for violation in found):
        return False
    return None if any(violation.constraint == NOT_CHECKED for violation in found) else True


def _check_graph(workspace: Workspace) -> tuple[int, list[Violation]]:
    rows = whole(workspace.store, "SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }", workspace.timeout_s)
    if (count := int(str(rows[0][0]))) > LARGEST:
        raise _too_large(f"{workspace.name} has {count:,} triples")
    triples = workspace.store.construct("CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }")
    return len(triples), [replace(violation, blame="data") for violation in _findings(workspace, triples)]


def _check_new(workspace: Workspace, new: Sequence[Triple]) -> list[Violation]:
    mentioned: set[Node] = {s for s, _, _ in new}
    mentioned |= {o for _, p, o in new if p != RDF_TYPE and not isinstance(o, Literal)}
    around = _around(workspace, mentioned, new)
    found = _findings(workspace, list(dict.fromkeys([*around, *new])))
    if not found:
        return []
    before = _findings(workspace, around)
    # Without a finished check of what was there before, nobody can tell whose fault a violation is.
    found += [v for v in before if v.constraint == NOT_CHECKED and v not in found]
    return [v for v in blame(found, before) if v.blame == "memory" or v.focus is None or v.focus in mentioned]


def _findings(workspace: Workspace, triples: Sequence[Triple]) -> list[Violation]:
    found = validate_triples(triples, workspace.ontology, timeout_s=workspace.timeout_s)
    if workspace.shapes is not None:
        found += workspace.shapes(triples, None)
    return found


def _around(workspace: Workspace, mentioned: Iterable[Node], new: Sequence[Triple]) -> list[Triple]:
    """What the graph says of the nodes mentioned and their neighbours, and who has a value that is one node's alone."""
    store = workspace.store
    iris = sorted(node for node in mentioned if isinstance(node, URIRef))
    found: dict[Triple, None] = {}
    for start in range(0, len(iris), _CHUNK):
        nodes = " ".join(map(n3, iris[start : start + _CHUNK]))
        # One query a direction, since blank nodes keep their identity only within one.
        for query in (
            f"CONSTRUCT {{ ?x ?p ?o . ?o ?q ?v }} WHERE {{ VALUES ?x {{ {nodes} }} ?x ?p ?o . "
            "OPTIONAL { ?o ?q ?v } }",
            f"CONSTRUCT {{ ?s ?q ?v }} WHERE {{ VALUES ?x {{ {nodes} }} ?s ?p ?x . FILTER(?p != {n3(RDF_TYPE)}) "
            "?s ?q ?v }",
        ):
            _add(found, store, query)
    properties = workspace.ontology.properties
    unique = sorted(
        f"({n3(p)} {n3(o)})"
        for _, p, o in new
        if p in properties and "inverse_functional" in properties[p].characteristics and isinstance(o, Literal)
    )
    for start in range(0, len(unique), _CHUNK):
        pairs = " ".join(unique[start : start + _CHUNK])
        _add(found, store, f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ VALUES (?p ?o) {{ {pairs} }} ?s ?p ?o }}")
    return list(found)


def _add(found: dict[Triple, None], store: GraphStore, query: str) -> None:
    found.update(dict.fromkeys(store.construct(query, limit=LARGEST + 1)))
    if len(found) > LARGEST:
        raise _too_large(f"the nodes mentioned have more than {LARGEST:,} triples around them")


def _too_large(what: str) -> InputError:
    return InputError(
        what,
        why=f"a check holds what it checks in memory, at most {LARGEST:,} triples",
        try_next="check part of it: a file with the triples that are new",
    )


def _read(given: Path | bytes) -> tuple[str, list[Triple]]:
    """The name and the triples of a file or of bytes; their blank nodes are none of the graph's."""
    if isinstance(given, Path):
        return given.name, _load(resolve(given).files, given.name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "standard-input.ttl"  # N-Triples is Turtle
        file.write_bytes(given)
        try:
            return "standard input", _load([file], "standard input")
        except RdfSyntaxError as error:
            message = error.what.partition(": ")[2]
            raise RdfSyntaxError("standard input", message, line=error.line, column=error.column) from None


def _load(files: Sequence[Path], name: str) -> list[Triple]:
    store = OxigraphStore.load(files, source=name)
    try:
        triples = store.construct("CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }", limit=LARGEST + 1)
    finally:
        store.close()
    if len(triples) > LARGEST:
        raise _too_large(f"{name} has more than {LARGEST:,} triples")
    return [(_apart(s), p, _apart(o)) for s, p, o in triples]


def _apart(term: Any) -> Any:
    return BNode(f"new{term}") if isinstance(term, BNode) else term


_Kind = tuple[str, str, str]


def _grouped(violations: Iterable[Violation]) -> list[tuple[_Kind, list[Violation]]]:
    """The violations by constraint, severity and blame, in the order of their first."""
    groups: dict[_Kind, list[Violation]] = defaultdict(list)
    for violation in violations:
        groups[violation.constraint, violation.severity, violation.blame].append(violation)
    return list(groups.items())
