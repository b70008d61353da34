"""The ceiling of any planner: how often all that a gold query names is among the candidates for its question."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rdflib.paths import Path as RdflibPath
from rdflib.plugins.sparql.algebra import translateQuery
from rdflib.plugins.sparql.parser import parseQuery
from rdflib.plugins.sparql.parserutils import CompValue

from kgllm.candidates import candidates, graph_terms, pools_for
from kgllm.datatypes import comparable
from kgllm.errors import InputError
from kgllm.index import Index
from kgllm.link import link
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.protocols import Progress
from kgllm.query_schema import Handles, Pools
from kgllm.questions import Question, read_questions
from kgllm.similarity import Vocabulary
from kgllm.terms import Literal, Namespaces, Term, URIRef, n3
from kgllm.vocabularies import RDF_TYPE, RDFS_SUBCLASS

__all__ = ["POOLS", "Named", "algebra", "ceiling", "gold_names", "named", "read_gold"]

T = TypeVar("T")

_KINDS = ("nodes", "properties", "classes", "values")
_NEEDED = ("nodes", "properties", "classes")

POOLS: tuple[Pools, ...] = (Pools(16, 52, 12, 20), Pools(40, 92, 40, 28), Pools(80, 276, 100, 44))
"""100, 200 and 500 handles."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a query names: nodes, properties, classes and literals, each once, sorted."""

    nodes: tuple[URIRef, ...] = ()
    properties: tuple[URIRef, ...] = ()
    classes: tuple[URIRef, ...] = ()
    values: tuple[Literal, ...] = ()


def ceiling(
    index: Index,
    questions: Path,
    *,
    pools: Sequence[Pools] = POOLS,
    misses: int = 20,
    limit: int | None = None,
    kind: str | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """The share of questions of which all that the gold names is offered; what ``eval --candidates --json`` prints.

    For each size of ``pools``, and under ``graph`` for the pools that a plan over this graph is given: ``all`` is the
    share for nodes, properties and classes together, the rest is for each kind alone; ``values`` are literals, by
    value. No question is asked. The first ``misses`` misses have the terms that were missing, and the
    sizes at which they were. Questions without a ``sparql`` that can be read are left out. Raises ``InputError`` if no
    question has one.
    """
    asked = read_questions(questions, index.store, limit=limit, kind=kind)
    read = [(question, gold) for question in asked if (gold := gold_names(question, index.namespaces)) is not None]
    if not read:
        raise InputError(
            f"no question in {questions} has a gold query", try_next='each line needs a "sparql" beside its answers'
        )
    planner = EmbeddedPlanner(Vocabulary(index))
    sizes = {str(size.size): size for size in pools} | {"graph": pools_for(index)}
    stable = {name: graph_terms(index.ontology, pools=size) for name, size in sizes.items()}
    found: dict[str, list[tuple[Question, dict[str, bool]]]] = {name: [] for name in sizes}
    missed: list[dict[str, Any]] = []
    for number, (question, gold) in enumerate(read):
        progress("ask", number, len(read))
        links = link(question.text, vocabulary=planner.vocabulary)
        of_question: list[dict[str, Any]] = []
        for name, size in sizes.items():
            missing = _missing(gold, candidates(links, planner, pools=size, stable=stable[name]))
            held = {each: not missing[each] for each in _KINDS}
            found[name].append((question, held | {"all": all(held[each] for each in _NEEDED)}))
            terms = {each: [n3(term) for term in missing[each]] for each in _KINDS if missing[each]}
            same = next((miss for miss in of_question if miss["missing"] == terms), None)
            if same is not None:
                same["handles"].append(name)
            elif terms:
                of_question.append({"id": question.id, "question": question.text, "handles": [name], "missing": terms})
        missed += of_question[: misses - len(missed)]
    progress("ask", len(read), len(read))
    shares = {name: _shares(of_size) for name, of_size in found.items()}
    return {"n": len(read), "left_out": len(asked) - len(read), "handles": shares, "misses": missed}


def _shares(found: Sequence[tuple[Question, dict[str, bool]]]) -> dict[str, Any]:
    by_kind: dict[str, list[dict[str, bool]]] = defaultdict(list)
    for question, held in found:
        if question.kind is not None:
            by_kind[question.kind].append(held)
    overall = _share([held for _, held in found])
    return {"overall": overall, "by_kind": {kind: _share(by_kind[kind]) for kind in sorted(by_kind)}}


def _share(held: Sequence[dict[str, bool]]) -> dict[str, float]:
    return {"n": len(held)} | {
        name: round(sum(each[name] for each in held) / len(held), 4) for name in ("all", *_KINDS)
    }


def _missing(gold: Named, handles: Handles) -> dict[str, list[Term]]:
    """What the gold names and no handle stands for. A node may stand among the classes, and the other way round."""
    offered = {*handles.nodes, *handles.classes}
    values = {comparable(value) for value in handles.values}
    return {
        "nodes": [node for node in gold.nodes if node not in offered],
        "properties": [prop for prop in gold.properties if prop not in set(handles.properties)],
        "classes": [cls for cls in gold.classes if cls not in offered],
        "values": [value for value in gold.values if comparable(value) not in values],
    }


def gold_names(question: Question, namespaces: Namespaces) -> Named | None:
    """What the question's gold query names; ``None`` where there is no query that can be read."""
    return read_gold(question, namespaces, named)


def read_gold(question: Question, namespaces: Namespaces, read: Callable[[str], T]) -> T | None:
    """The question's gold query as ``read`` makes it of its text; ``None`` where there is none that it can read.

    The prefixes of the graph need not be declared.
    """
    if question.sparql is None:
        return None
    known = "".join(f"PREFIX {prefix}: <{iri}>\n" for prefix, iri in namespaces.prefixes.items())
    try:
        return read(known + question.sparql)
    except Exception:  # rdflib raises bare ones for what it cannot translate
        return None


def named(sparql: str) -> Named:
    """What a SPARQL query names. Raises what rdflib's parser raises for text that is no query."""
    found: dict[str, dict[Any, None]] = {kind: {} for kind in _KINDS}

    def add(term: Any, kind: str) -> None:
        if isinstance(term, Literal):
            found["values"][term] = None
        elif isinstance(term, URIRef):
            found[kind][term] = None

    for part in _parts(algebra(sparql)):
        if isinstance(part, tuple):
            s, p, o = part
            properties = list(_iris(p))
            add(s, "nodes")
            add(o, "classes" if {RDF_TYPE, RDFS_SUBCLASS} & set(properties) else "nodes")
            for prop in properties:
                if prop not in {RDF_TYPE, RDFS_SUBCLASS}:
                    add(prop, "properties")
        else:
            add(part, "nodes")
    return Named(*(tuple(sorted(found[kind])) for kind in _KINDS))


def _iris(path: Any) -> Iterator[URIRef]:
    """The properties of a path."""
    if isinstance(path, URIRef):
        yield path
    elif isinstance(path, RdflibPath):
        for part in [*getattr(path, "args", ()), getattr(path, "arg", None), getattr(path, "path", None)]:
            yield from _iris(part)


_NO_TERMS = {"_vars", "PV", "start", "length", "iri", "datasetClause", "A"}  # names, numbers of rows, casts


def _parts(node: Any) -> Iterator[Any]:
    """The triples of an algebra, and the terms of its filters."""
    if isinstance(node, CompValue):
        if node.name == "BGP":
            yield from node.triples
            return
        if node.name in {"Builtin_EXISTS", "Builtin_NOTEXISTS"}:
            yield from _parts(node.graph)  # its items are those of the text, before it became algebra
            return
        for key, value in node.items():
            if key not in _NO_TERMS:
                yield from _parts(value)
    elif isinstance(node, dict):
        for value in node.values():
            yield from _parts(value)
    elif isinstance(node, list | tuple):
        for part in node:
            yield from _parts(part)
    elif isinstance(node, URIRef | Literal):
        yield node


_TOKEN = re.compile(
    r"""(?P<kept>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|<[^<>\s]*>|[?$]\w+)|(?P<prefix>[\w.-]*):(?P<local>(?:[\w.%:-]|\\.)*)"""
)
_ESCAPE = re.compile(r"\\(.)")
_PREFIX = re.compile(r"\bPREFIX\s+([\w.-]*):\s*<([^<>\s]*)>", re.IGNORECASE)


def algebra(sparql: str) -> CompValue:
    """The algebra of a query by rdflib, which leaves the backslashes in prefixed names: those are written out here."""
    prefixes = dict(_PREFIX.findall(sparql))

    def written_out(match: re.Match[str]) -> str:
        local = match["local"] or ""
        if match["kept"] or "\\" not in local or match["prefix"] not in prefixes:
            return match[0]
        return f"<{prefixes[match['prefix']]}" + _ESCAPE.sub(r"\1", local) + ">"

    algebra: CompValue = translateQuery(parseQuery(_TOKEN.sub(written_out, sparql))).algebra
    return algebra
