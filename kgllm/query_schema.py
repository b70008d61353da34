"""The JSON form of a query, over handles, and the schema that a model's output is constrained to.

The pools have fixed sizes, so that the schema is the same for every question and a server compiles its grammar once. It
keeps to what grammar engines support: enums, bounded arrays, required properties in a fixed order.
"""

from __future__ import annotations

import re
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
        if not re.fullmatch(r"[xnpcv][0-9]{1,2}", handle):
            raise PlanError(f"{handle[:40]} is no handle")
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
    """The query that a plan writes, checked as if nothing had constrained it. Raises ``PlanError`` alone."""
    _check(value, plan_schema(), "the plan")
    try:
        return _parse(value, handles, ontology)
    except PlanError:
        raise
    except ValueError as error:
        raise PlanError(str(error)) from None


def _check(value: Any, schema: Mapping[str, Any], place: str) -> None:
    """What a validator of JSON Schema would say, of the keywords that ``plan_schema`` uses."""
    if "enum" in schema:
        if isinstance(value, bool) or value not in schema["enum"]:
            said = repr(value[:40]) if isinstance(value, str) else f"of type {type(value).__name__}"
            raise PlanError(f"{place} is {said}, not one of {_listed(schema['enum'])}")
    elif schema["type"] == "array":
        if not isinstance(value, list) or len(value) > schema["maxItems"]:
            raise PlanError(f"{place} is no list of at most {schema['maxItems']}")
        for number, item in enumerate(value):
            _check(item, schema["items"], f"{place}[{number}]")
    elif not isinstance(value, dict) or set(value) != set(schema["properties"]):
        raise PlanError(f"{place} is no object of {', '.join(schema['properties'])}")
    else:
        for key, inner in schema["properties"].items():
            _check(value[key], inner, key if place == "the plan" else f"{place}.{key}")


def _listed(options: Sequence[object]) -> str:
    return ", ".join(map(str, options)) if len(options) < 10 else f"{options[0]} … {options[-1]}"


def _parse(value: Mapping[str, Any], handles: Handles, ontology: Ontology) -> Query:
    if value["form"] == "describe":
        nodes = [handles.term(handle) for handle in value["nodes"]]
        return Query("describe", nodes=tuple(node for node in nodes if isinstance(node, URIRef)))
    patterns, values = _triples(value["patterns"], handles, ontology, part="")
    if not patterns:
        raise PlanError("there is no pattern")
    _check_joined(patterns)
    groups: dict[str, list[Group]] = {"optional": [], "not": []}
    for key, found in groups.items():
        for number, item in enumerate(value[key]):
            group = Group(*_triples([item], handles, ontology, part=f"{key}{number}"))
            _check_hangs_on(group, patterns, key)
            found.append(group)
    where = Group(
        patterns,
        values,
        tuple(_filter(item, handles, patterns) for item in value["filters"]),
        optional=tuple(groups["optional"]),
        negated=tuple(groups["not"]),
    )
    answer = Variable(value["answer"])
    if value["form"] == "ask":
        return Query("ask", where)
    if value["form"] == "count":
        return Query("count", where, (Aggregate("count", answer),))
    return _select(value, where, answer, ontology)


def _select(value: Mapping[str, Any], where: Group, answer: Variable, ontology: Ontology) -> Query:
    aggregate = None
    if value["aggregate"] != _NONE:
        over = Variable(value["over"]) if value["over"] != _NONE else answer
        aggregate = Aggregate(value["aggregate"], over, numeric=value["aggregate"] in {"sum", "avg"})
    group = (Variable(value["group"]),) if value["group"] != _NONE and aggregate else ()
    columns: tuple[Variable | Aggregate, ...] = (answer,) if aggregate is None else (*group, aggregate)
    order: tuple[Order, ...] = ()
    if value["order"] != _NONE and value["by"] != _NONE:
        key = Variable(aggregate.name if aggregate else "number") if value["by"] == "number" else Variable(value["by"])
        order = (Order(key, value["order"] == "desc", _is_numeric(key, where.patterns, ontology)),)
    limit = int(value["limit"]) or None
    return Query("select", where, columns, group_by=group, order_by=order, limit=limit)


def _triples(
    items: Sequence[Mapping[str, str]], handles: Handles, ontology: Ontology, *, part: str
) -> tuple[tuple[TriplePattern, ...], tuple[Values, ...]]:
    """Triple patterns; the variables for the classes below a class are the part's own: no two parts meet there."""
    patterns, values = [], []
    for number, item in enumerate(items):
        s, p, o = (handles.term(item[key]) for key in "spo")
        if isinstance(s, Literal) or not isinstance(p, URIRef):
            raise PlanError(f"{item} is no triple")
        if p == RDF_TYPE and isinstance(o, URIRef) and len(below := ontology.populated(o)) > 1:
            kind = Variable(f"type{part}{number}{item['s']}")
            patterns.append(TriplePattern(s, p, kind))
            values.append(Values(kind, tuple(below)))
        else:
            patterns.append(TriplePattern(s, p, o))
    return tuple(dict.fromkeys(patterns)), tuple(values)


def _check_joined(patterns: Sequence[TriplePattern]) -> None:
    """Patterns that share no variable multiply instead of meeting; one without variables only holds or does not."""
    rest = [set(pattern.variables()) for pattern in patterns if any(pattern.variables())]
    joined = set(rest[0]) if rest else set()
    while touching := [variables for variables in rest if joined & variables]:
        joined |= set().union(*touching)
        rest = [variables for variables in rest if not joined & variables]
    if rest:
        raise PlanError("the patterns fall into parts that share no variable; connect them")


def _check_hangs_on(group: Group, patterns: Sequence[TriplePattern], key: str) -> None:
    ends = {end for pattern in patterns for end in (pattern.subject, pattern.object)}
    if not any(end in ends for pattern in group.patterns for end in (pattern.subject, pattern.object)):
        raise PlanError(f"what stands in {key} shares nothing with the patterns; connect it")


def _filter(item: Mapping[str, str], handles: Handles, patterns: Sequence[TriplePattern]) -> Comparison:
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
