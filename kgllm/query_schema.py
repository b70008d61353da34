"""The schema that a model's plan is constrained to: a query over handles, or a wish to see more of the graph.

It is the same for every question over a graph, so that a server compiles its grammar once. A plan holds only what it
needs, since what it writes is what takes time. It keeps to what grammar engines and OpenAI's strict mode both support:
an object at the root, enums, bounded arrays, alternatives, and required properties in a fixed order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from kgllm.query import Variable
from kgllm.terms import Literal, URIRef

__all__ = ["VARIABLES", "Handles", "PlanError", "Pools", "list_of", "object_of", "plan_schema"]

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


def object_of(**properties: Any) -> dict[str, Any]:
    """The schema of an object of exactly these properties, in this order."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def list_of(items: Any, least: int, most: int) -> dict[str, Any]:
    """The schema of a list of so many items."""
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


OPERATORS = ["=", "!=", "<", "<=", ">", ">=", "contains", "starts"]
ORDERINGS = OPERATORS[:6]
FUNCTIONS = ["count", "count_all", "sum", "avg", "min", "max"]
ABSTAIN = "the graph does not say"


@cache
def plan_schema(pools: Pools, *, may_wish: bool = True) -> Mapping[str, Any]:
    """The schema of a plan over pools of some size, perhaps a wish to see more; the same object at every call."""
    variables, nodes = _names("x", VARIABLES), _names("n", pools.nodes)
    properties, classes = _names("p", pools.properties), _names("c", pools.classes)
    values = _names("v", pools.values)
    variable, compared = _ref("variable"), _ref("compared")
    computed = object_of(let=variable, **{"is": {"enum": ["+", "-", "*", "/"]}}, of=list_of(compared, 2, 6))
    then = {
        "anyOf": [
            object_of(fn={"enum": FUNCTIONS}, of=variable, **{"as": variable}),
            computed,
            object_of(group=list_of(variable, 1, 6)),
            object_of(having=variable, op={"enum": ORDERINGS}, to=compared),
            object_of(order={"enum": ["asc", "desc"]}, by=variable),
            object_of(limit={"type": "integer", "minimum": 1, "maximum": MOST_ROWS}),
        ]
    }
    simple = [
        object_of(s=_ref("subject"), p=_ref("predicate"), o=_ref("object")),
        object_of(s=_ref("subject"), path=_ref("property"), times={"enum": ["+", "*"]}, o=_ref("object")),
        object_of(x=variable, op={"enum": OPERATORS}, to=_ref("object")),
        computed,
    ]
    nested = object_of(
        where=list_of(_ref("simple"), 1, 12), then=list_of(_ref("then"), 0, 5), select=list_of(variable, 1, 4)
    )
    inner = {"anyOf": [_ref("simple"), object_of(sub=nested)]}
    condition = {
        "anyOf": [
            _ref("inner"),
            object_of(**{"not": list_of(_ref("inner"), 1, 6)}),
            object_of(optional=list_of(_ref("inner"), 1, 6)),
            object_of(either=list_of(list_of(_ref("inner"), 1, 6), 2, 4)),
        ]
    }
    conditions = list_of(_ref("condition"), 1, 32)
    plan = [
        object_of(where=conditions, then=list_of(_ref("then"), 0, 8), select=list_of(variable, 1, 12)),
        object_of(ask=conditions),
        object_of(describe=list_of({"enum": nodes + classes + properties}, 1, 3)),
        object_of(abstain={"enum": [ABSTAIN]}),
    ]
    wishes = [
        object_of(look={"enum": nodes}),
        object_of(values=_ref("property")),
        object_of(search={"type": "string", "pattern": _WORDS}),
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
        **object_of(plan={"anyOf": [*plan, *wishes] if may_wish else plan}),
    }
