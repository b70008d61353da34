"""The schema that a model's plan is constrained to: a query over handles, or a wish to see more of the graph.

It is the same for every question over a graph, so that a server compiles its grammar once. A plan holds only what it
needs, since what it writes is what takes time.
It keeps to what grammar engines and OpenAI's strict mode both support: an object at the root, enums, bounded
arrays, alternatives, and required properties in a fixed order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from kgllm.query import Variable
from kgllm.terms import Literal, URIRef

__all__ = ["VARIABLES", "Handles", "PlanError", "Pools", "plan_schema"]

VARIABLES = 24
LONGEST_SEARCH = 80  # characters
_WORDS = r'^[^\x00-\x20"\\]+( [^\x00-\x20"\\]+){0,11}$'
"""What is searched for: twelve words at most. Counting characters took a grammar engine 20 times as long to prepare."""
MOST_ROWS = 100


class PlanError(ValueError):
    """A plan that is no query; the message is for the model."""


@dataclass(frozen=True, slots=True)
class Pools:
    """How many handles there are of each kind."""

    nodes: int
    properties: int
    classes: int
    values: int

    @property
    def size(self) -> int:
        """All of them."""
        return self.nodes + self.properties + self.classes + self.values


@dataclass(frozen=True, slots=True)
class Handles:
    """What each handle stands for: ``n`` nodes, ``p`` properties, ``c`` classes, ``v`` values."""

    nodes: tuple[URIRef, ...] = ()
    properties: tuple[URIRef, ...] = ()
    classes: tuple[URIRef, ...] = ()
    values: tuple[Literal, ...] = ()

    def pool(self, letter: str) -> Sequence[URIRef | Literal]:
        """What the handles of a letter stand for, in their order."""
        pools: dict[str, Sequence[URIRef | Literal]] = {
            "n": self.nodes,
            "p": self.properties,
            "c": self.classes,
            "v": self.values,
        }
        return pools[letter]

    def term(self, handle: Any) -> Variable | URIRef | Literal:
        """The term of a handle. Raises ``PlanError`` for one that stands for nothing."""
        if not isinstance(handle, str) or not re.fullmatch(r"[xnpcv][0-9]{1,3}", handle):
            said = handle[:40] if isinstance(handle, str) else f"what is of type {type(handle).__name__}"
            raise PlanError(f"{said} is no handle")
        number = int(handle[1:])
        if handle[0] == "x":
            if number >= VARIABLES:
                raise PlanError(f"{handle} is no variable; there are x0 to x{VARIABLES - 1}")
            return Variable(handle)
        pool = self.pool(handle[0])
        if number >= len(pool):
            raise PlanError(f"{handle} is not listed")
        return pool[number]


def _names(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: Any, least: int, most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


OPERATORS = ["=", "!=", "<", "<=", ">", ">=", "contains", "starts"]
ORDERINGS = OPERATORS[:6]
FUNCTIONS = ["count", "count_all", "sum", "avg", "min", "max"]
ABSTAIN = "the graph does not say"


@cache
def plan_schema(pools: Pools) -> Mapping[str, Any]:
    """The schema of a plan over pools of some size; the same object at every call."""
    variables, nodes = _names("x", VARIABLES), _names("n", pools.nodes)
    properties, classes = _names("p", pools.properties), _names("c", pools.classes)
    values = _names("v", pools.values)
    variable, compared = _ref("variable"), _ref("compared")
    computed = _object(let=variable, **{"is": {"enum": ["+", "-", "*", "/"]}}, of=_list(compared, 2, 6))
    then = {
        "anyOf": [
            _object(fn={"enum": FUNCTIONS}, of=variable, **{"as": variable}),
            computed,
            _object(group=_list(variable, 1, 6)),
            _object(having=variable, op={"enum": ORDERINGS}, to=compared),
            _object(order={"enum": ["asc", "desc"]}, by=variable),
            _object(limit={"type": "integer", "minimum": 1, "maximum": MOST_ROWS}),
        ]
    }
    simple = [
        _object(s=_ref("subject"), p=_ref("predicate"), o=_ref("object")),
        _object(s=_ref("subject"), path=_ref("property"), times={"enum": ["+", "*"]}, o=_ref("object")),
        _object(x=variable, op={"enum": OPERATORS}, to=_ref("object")),
        computed,
    ]
    nested = _object(where=_list(_ref("simple"), 1, 12), then=_list(_ref("then"), 0, 5), select=_list(variable, 1, 4))
    inner = {"anyOf": [_ref("simple"), _object(sub=nested)]}
    condition = {
        "anyOf": [
            _ref("inner"),
            _object(**{"not": _list(_ref("inner"), 1, 6)}),
            _object(optional=_list(_ref("inner"), 1, 6)),
            _object(either=_list(_list(_ref("inner"), 1, 6), 2, 4)),
        ]
    }
    conditions = _list(_ref("condition"), 1, 32)
    plan = [
        _object(where=conditions, then=_list(_ref("then"), 0, 8), select=_list(variable, 1, 12)),
        _object(ask=conditions),
        _object(describe=_list({"enum": nodes + classes + properties}, 1, 3)),
        _object(look={"enum": nodes}),
        _object(values=_ref("property")),
        _object(search={"type": "string", "pattern": _WORDS}),
        _object(abstain={"enum": [ABSTAIN]}),
    ]
    return {
        "$defs": {
            "variable": {"enum": variables},
            "subject": {"enum": variables + nodes},
            "property": {"enum": properties},
            "predicate": {"enum": ["type", *properties, *variables]},
            "object": {"enum": variables + nodes + values + classes},
            "compared": {"enum": variables + values},
            "simple": {"anyOf": simple},
            "inner": inner,
            "condition": condition,
            "then": then,
        },
        **_object(plan={"anyOf": plan}),
    }
