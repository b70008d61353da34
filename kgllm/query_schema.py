"""The JSON form of a query, over handles, and the schema that a model's output is constrained to.

The pools have fixed sizes, so that the schema is the same for every question and a server compiles its grammar once. It
keeps to what grammar engines support: enums, bounded arrays, required properties in a fixed order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from kgllm.ontology import RDF_TYPE, Ontology
from kgllm.query import Aggregate, Comparison, Group, Order, Query, TriplePattern, Values, Variable
from kgllm.scoring import is_number
from kgllm.terms import Literal, URIRef

__all__ = ["CLASSES", "NODES", "PROPERTIES", "VALUES", "Handles", "PlanError", "parse_plan", "plan_schema"]

NODES, PROPERTIES, CLASSES, VALUES, VARIABLES = 24, 40, 16, 16, 6
_NONE = "none"


class PlanError(ValueError):
    """A plan that is no query; the message is for the model."""


@dataclass(frozen=True, slots=True)
class Handles:
    """What each handle stands for: ``n`` nodes, ``p`` properties, ``c`` classes, ``v`` values."""

    nodes: tuple[URIRef, ...]
    properties: tuple[URIRef, ...]
    classes: tuple[URIRef, ...]
    values: tuple[Literal, ...]

    def term(self, handle: str) -> Variable | URIRef | Literal:
        """The term of a handle. Raises ``PlanError`` for one that stands for nothing."""
        if handle == "type":
            return RDF_TYPE
        number = int(handle[1:])
        if handle[0] == "x":
            return Variable(handle)
        pools: dict[str, Sequence[URIRef | Literal]] = {
            "n": self.nodes,
            "p": self.properties,
            "c": self.classes,
            "v": self.values,
        }
        pool = pools[handle[0]]
        if number >= len(pool):
            raise PlanError(f"{handle} is not listed")
        return pool[number]


def _names(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


@cache
def plan_schema() -> Mapping[str, Any]:
    """The schema of a plan; the same object at every call."""
    variables, nodes = _names("x", VARIABLES), _names("n", NODES)
    values, classes = _names("v", VALUES), _names("c", CLASSES)
    triple = {
        "type": "object",
        "properties": {
            "s": {"enum": variables + nodes},
            "p": {"enum": ["type", *_names("p", PROPERTIES)]},
            "o": {"enum": variables + nodes + values + classes},
        },
        "required": ["s", "p", "o"],
        "additionalProperties": False,
    }
    compared = {
        "type": "object",
        "properties": {
            "var": {"enum": variables},
            "op": {"enum": ["=", "!=", "<", "<=", ">", ">=", "contains", "starts"]},
            "value": {"enum": values},
        },
        "required": ["var", "op", "value"],
        "additionalProperties": False,
    }
    properties = {
        "form": {"enum": ["select", "count", "ask", "describe"]},
        "nodes": {"type": "array", "items": {"enum": nodes + classes}, "maxItems": 3},
        "patterns": {"type": "array", "items": triple, "maxItems": 6},
        "optional": {"type": "array", "items": triple, "maxItems": 2},
        "not": {"type": "array", "items": triple, "maxItems": 2},
        "filters": {"type": "array", "items": compared, "maxItems": 3},
        "answer": {"enum": variables},
        "group": {"enum": [_NONE, *variables]},
        "aggregate": {"enum": [_NONE, "count", "sum", "avg", "min", "max"]},
        "over": {"enum": [_NONE, *variables]},
        "order": {"enum": [_NONE, "asc", "desc"]},
        "by": {"enum": [_NONE, "number", *variables]},
        "limit": {"enum": [0, 1, 2, 3, 5, 10, 20]},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def parse_plan(value: Any, handles: Handles, ontology: Ontology) -> Query:
    """The query that a plan writes, checked as if nothing had constrained it. Raises ``PlanError``."""
    try:
        return _parse(value, handles, ontology)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise PlanError(f"the plan does not keep to its schema: {error}") from None
    except ValueError as error:
        raise PlanError(str(error)) from None


def _parse(value: Mapping[str, Any], handles: Handles, ontology: Ontology) -> Query:
    if value["form"] == "describe":
        nodes = [handles.term(handle) for handle in value["nodes"]]
        return Query("describe", nodes=tuple(node for node in nodes if isinstance(node, URIRef)))
    patterns, values = _triples(value["patterns"], handles, ontology)
    if not patterns:
        raise PlanError("there is no pattern")
    _check_joined(patterns)
    parts = {key: [_triples([item], handles, ontology) for item in value[key]] for key in ("optional", "not")}
    groups = {key: tuple(Group(p, v) for p, v in found) for key, found in parts.items()}
    where = Group(
        patterns,
        values,
        tuple(_filter(item, handles, patterns, ontology) for item in value["filters"]),
        optional=groups["optional"],
        negated=groups["not"],
    )
    answer = Variable(value["answer"])
    if value["form"] == "ask":
        return Query("ask", where)
    if value["form"] == "count":
        return Query("count", where, (Aggregate("count", answer),))
    aggregate = None
    if value["aggregate"] != _NONE:
        over = Variable(value["over"]) if value["over"] != _NONE else answer
        aggregate = Aggregate(value["aggregate"], over, numeric=value["aggregate"] not in {"count", "min", "max"})
    group = (Variable(value["group"]),) if value["group"] != _NONE and aggregate else ()
    columns: tuple[Variable | Aggregate, ...] = (answer,)
    if aggregate is not None:
        columns = (*group, aggregate)
    order: tuple[Order, ...] = ()
    if value["order"] != _NONE and value["by"] != _NONE:
        key = Variable(aggregate.name if aggregate else "number") if value["by"] == "number" else Variable(value["by"])
        if not aggregate and key not in where.variables():
            raise PlanError(f"no pattern binds {key}, by which the answers are to be ordered")
        numeric = _is_numeric(key, patterns, ontology)
        order = (Order(key, value["order"] == "desc", numeric),)
    return Query("select", where, columns, group_by=group, order_by=order, limit=value["limit"] or None)


def _triples(
    items: Sequence[Mapping[str, str]], handles: Handles, ontology: Ontology
) -> tuple[tuple[TriplePattern, ...], tuple[Values, ...]]:
    patterns, values = [], []
    for number, item in enumerate(items):
        s, p, o = (handles.term(item[key]) for key in "spo")
        if isinstance(s, Literal) or not isinstance(p, URIRef):
            raise PlanError(f"{item} is no triple")
        if p == RDF_TYPE and isinstance(o, URIRef) and len(below := ontology.populated(o)) > 1:
            kind = Variable(f"type{number}{item['s']}")
            patterns.append(TriplePattern(s, p, kind))
            values.append(Values(kind, tuple(below)))
        else:
            patterns.append(TriplePattern(s, p, o))
    return tuple(dict.fromkeys(patterns)), tuple(values)


def _check_joined(patterns: Sequence[TriplePattern]) -> None:
    """Patterns that share no variable or node multiply instead of meeting."""
    joined = {*_ends(patterns[0])}
    rest = list(patterns[1:])
    while touching := [pattern for pattern in rest if joined & _ends(pattern)]:
        joined |= {end for pattern in touching for end in _ends(pattern)}
        rest = [pattern for pattern in rest if pattern not in touching]
    if rest:
        raise PlanError("the patterns fall into parts that share no variable; connect them")


def _ends(pattern: TriplePattern) -> set[object]:
    ends: set[object] = {pattern.subject, pattern.object}
    variables: set[object] = {end for end in ends if isinstance(end, Variable)}
    return variables or ends


def _filter(
    item: Mapping[str, str], handles: Handles, patterns: Sequence[TriplePattern], ontology: Ontology
) -> Comparison:
    variable, value = Variable(item["var"]), handles.term(item["value"])
    if not any(variable in pattern.variables() for pattern in patterns):
        raise PlanError(f"no pattern binds {variable}, which is filtered")
    numeric = isinstance(value, Literal) and is_number(value.datatype) and item["op"] not in {"contains", "starts"}
    return Comparison(variable, item["op"], value, numeric)  # type: ignore[arg-type]


def _is_numeric(variable: Variable, patterns: Sequence[TriplePattern], ontology: Ontology) -> bool:
    for pattern in patterns:
        if pattern.object == variable and isinstance(pattern.predicate, URIRef):
            prop = ontology.properties.get(pattern.predicate)
            return prop is not None and any(is_number(s.object) for s in prop.signatures)
    return False
