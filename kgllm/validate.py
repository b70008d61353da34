"""Validate: the memory of a question, against the ontology and the user's shapes.

The open world is respected: a class that is merely another one is no contradiction, a disjoint one is. Blame is split:
what the graph already violates without the memory is the data's fault.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TypeAlias

from kgllm.memory import WorkingMemoryGraph
from kgllm.ontology import Ontology
from kgllm.protocols import GraphStore
from kgllm.terms import BNode, Literal, Node, Term, Triple, URIRef, n3
from kgllm.violation import Severity, Violation
from kgllm.vocabularies import LEAST_OF_INTEGERS, RDF_TYPE, XSD
from kgllm.words import with_article

__all__ = ["ShapesCheck", "blame", "validate_memory", "validate_triples"]

ShapesCheck: TypeAlias = Callable[[Sequence[Triple], set[Node]], "list[Violation]"]
"""Checks triples against the user's shapes and returns the violations at some focus nodes."""


def validate_triples(
    triples: Sequence[Triple], ontology: Ontology, *, focus: set[Node] | None = None
) -> list[Violation]:
    """The contradictions among some triples: disjointness, domains, ranges, functional properties, datatypes.

    ``focus`` restricts the findings to those nodes; all triples serve as premises.
    """
    types: dict[Node, set[URIRef]] = defaultdict(set)
    values: dict[tuple[Node, URIRef], dict[Term, None]] = defaultdict(dict)
    subjects: dict[tuple[Term, URIRef], list[Node]] = defaultdict(list)
    for s, p, o in triples:
        if p == RDF_TYPE and isinstance(o, URIRef):
            types[s].add(o)
        elif o not in values[s, p]:
            values[s, p][o] = None
            subjects[o, p].append(s)
    found: list[Violation] = []
    label = ontology.label

    def report(
        node: Node, path: URIRef, value: Term | None, constraint: str, message: str, severity: Severity = "Violation"
    ) -> None:
        if focus is None or node in focus:
            found.append(Violation(node, path, value, constraint, severity, message))

    for node, classes in types.items():
        for one, other in combinations(sorted(classes), 2):
            if ontology.are_disjoint(one, other):
                report(
                    node,
                    RDF_TYPE,
                    other,
                    "disjoint",
                    f"nothing is both {with_article(label(one))} and {with_article(label(other))}",
                )
    for (subject, p), ends in values.items():
        objects = list(ends)
        prop = ontology.properties.get(p)
        if prop is None:
            continue
        if "functional" in prop.characteristics and len(objects) > 1 and _differ(objects):
            report(subject, p, objects[1], "functional", f"{prop.label} has one value at most, here {len(objects)}")
        for axiom in prop.domains:
            if clash := _clash(types[subject], axiom, ontology):
                report(
                    subject,
                    p,
                    None,
                    "domain",
                    f"what has {with_article(prop.label)} is {_either(axiom, label)}, not {with_article(label(clash))}",
                )
        for o in objects:
            if isinstance(o, Literal):
                found += _literal_faults(subject, p, o, prop.ranges, focus)
                continue
            for axiom in prop.ranges:
                if clash := _clash(types[o], axiom, ontology):
                    report(
                        subject,
                        p,
                        o,
                        "range",
                        f"{with_article(prop.label)} is {_either(axiom, label)}, not {with_article(label(clash))}",
                    )
    for (value, p), nodes in subjects.items():
        prop = ontology.properties.get(p)
        if prop and "inverse_functional" in prop.characteristics and len(nodes) > 1:
            message = f"{prop.label} belongs to one node at most, here {len(nodes)}, unless they are the same"
            for node in nodes:
                report(node, p, value, "inverseFunctional", message, "Warning")
    return found


def _differ(objects: Sequence[Term]) -> bool:
    """Whether values are different for sure: literals are, nodes may be one under two names."""
    return all(isinstance(o, Literal) for o in objects)


def _clash(types: set[URIRef], axiom: Sequence[URIRef], ontology: Ontology) -> URIRef | None:
    """A class that is disjoint with every alternative of an axiom."""
    alternatives = [c for c in axiom if c in ontology.classes]
    if not alternatives:
        return None
    return next((t for t in sorted(types) if all(ontology.are_disjoint(t, c) for c in alternatives)), None)


def _either(axiom: Sequence[URIRef], label: Callable[[URIRef], str]) -> str:
    return " or ".join(with_article(label(c)) for c in axiom)


def _literal_faults(
    s: Node, p: URIRef, o: Literal, ranges: Sequence[Sequence[URIRef]], focus: set[Node] | None
) -> list[Violation]:
    if focus is not None and s not in focus:
        return []
    found = []
    datatype = str(o.datatype or XSD + "string")
    if ill_typed(o):
        found.append(
            Violation(s, p, o, "datatype", "Violation", f"“{o}” is not written as {datatype.rsplit('#', 1)[-1]}")
        )
    wanted = [str(axiom[0]) for axiom in ranges if len(axiom) == 1 and str(axiom[0]).startswith(XSD)]
    for kind in wanted:
        if kind != datatype and not _has_value_of(o, datatype, kind) and not (kind == XSD + "string" and o.language):
            short = kind.rsplit("#", 1)[-1]
            found.append(
                Violation(s, p, o, "datatype", "Violation", f"“{o}” is {datatype.rsplit('#', 1)[-1]}, not {short}")
            )
    return found


_GREATEST = {XSD + "nonPositiveInteger": 0, XSD + "negativeInteger": -1}
_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)"
_LEXICAL = {
    **dict.fromkeys(LEAST_OF_INTEGERS, r"[+-]?\d+"),
    XSD + "decimal": _NUMBER,
    XSD + "double": _NUMBER + r"([eE][+-]?\d+)?|[+-]?INF|NaN",
    XSD + "float": _NUMBER + r"([eE][+-]?\d+)?|[+-]?INF|NaN",
    XSD + "boolean": r"true|false|0|1",
    XSD + "date": r"-?\d{4,}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(Z|[+-]\d\d:\d\d)?",
    XSD + "dateTime": r"-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?",
    XSD + "gYear": r"-?\d{4,}(Z|[+-]\d\d:\d\d)?",
}


def _has_value_of(literal: Literal, datatype: str, kind: str) -> bool:
    """Whether a literal of one datatype lies in the value space of another (XML Schema 1.1, part 2, section 2.2.3)."""
    if kind == XSD + "decimal":
        return datatype in LEAST_OF_INTEGERS
    if datatype not in LEAST_OF_INTEGERS or kind not in LEAST_OF_INTEGERS or ill_typed(literal):
        return False
    least, greatest, value = LEAST_OF_INTEGERS[kind], _GREATEST.get(kind), int(str(literal))
    return (least is None or value >= least) and (greatest is None or value <= greatest)


def ill_typed(literal: Literal) -> bool:
    """Whether a literal's text is outside its datatype's lexical space (the common XML Schema types)."""
    pattern = _LEXICAL.get(str(literal.datatype))
    return pattern is not None and re.fullmatch(pattern, str(literal).strip()) is None


_SURROUNDINGS = 100  # nodes whose descriptions are fetched; a memory beyond that is checked by the ontology alone
_FACTS = 5_000


def surroundings(memory: WorkingMemoryGraph, store: GraphStore, *, timeout_s: float) -> tuple[list[Triple], bool]:
    """What the graph says of the nodes in memory, in both directions, and the classes of what it says it with.

    The second value tells whether that is all of it: a partial view is no proof.
    """
    nodes = [node for node in memory.nodes() if isinstance(node, URIRef)]
    if not nodes:
        return [], True
    named = " ".join(n3(node) for node in nodes[:_SURROUNDINGS])
    is_whole = len(nodes) <= _SURROUNDINGS
    triples: dict[Triple, None] = {}
    for query in (
        f"SELECT ?s ?p ?o WHERE {{ VALUES ?s {{ {named} }} ?s ?p ?o }}",
        f"SELECT ?s ?p ?o WHERE {{ VALUES ?o {{ {named} }} ?s ?p ?o FILTER(?p != {n3(RDF_TYPE)}) }}",
        f"SELECT DISTINCT ?s ?p ?o WHERE {{ VALUES ?n {{ {named} }} ?n ?q ?s . BIND({n3(RDF_TYPE)} AS ?p) ?s ?p ?o }}",
    ):
        rows = store.select(query, timeout_s=timeout_s, limit=_FACTS)
        is_whole = is_whole and rows.complete
        for s, p, o in rows.rows:
            if isinstance(s, URIRef | BNode) and isinstance(p, URIRef) and o is not None:
                triples[s, p, o] = None
    return list(triples), is_whole


def validate_memory(
    memory: WorkingMemoryGraph, store: GraphStore, ontology: Ontology, *, shapes: ShapesCheck | None, timeout_s: float
) -> list[Violation]:
    """The contradictions that a memory stands in, with what the graph says of its nodes as context.

    ``shapes`` is asked only where that context is whole, so that no value is missing for want of fetching.
    """
    if not len(memory):
        return []
    around, is_whole = surroundings(memory, store, timeout_s=timeout_s)
    nodes = set(memory.nodes())

    def check(triples: Sequence[Triple]) -> list[Violation]:
        found = validate_triples(triples, ontology, focus=nodes)
        if shapes is None:
            return found
        if not is_whole:
            message = "the shapes were not checked: the memory's surroundings are too large to be fetched whole"
            return [*found, Violation(None, None, None, "notChecked", "Info", message)]
        return found + shapes(triples, nodes)

    before = check(around)
    added = set(memory.triples()).difference(around)
    return blame(check([*around, *added]) if added else before, before)


def blame(found: Sequence[Violation], before: Sequence[Violation]) -> list[Violation]:
    """The findings, those that stood before the memory (or the new triples) came marked as the data's."""
    old = {(v.focus, v.path, v.value, v.constraint) for v in before}
    return [replace(v, blame="data" if (v.focus, v.path, v.value, v.constraint) in old else "memory") for v in found]
