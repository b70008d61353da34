"""The JSON form of a query, over handles: read from a model's plan as if nothing had constrained it, and written.

What the schema cannot forbid (parts that share no variable, a column that nothing binds) is refused here, with a
message that a model can act on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kgllm.datatypes import comparable, is_number
from kgllm.ontology import RDF_TYPE, Ontology, Signature
from kgllm.query import (
    Aggregate,
    Comparison,
    Computed,
    Group,
    Having,
    Order,
    Path,
    Query,
    TriplePattern,
    Values,
    Variable,
    column_name,
)
from kgllm.query_schema import FUNCTIONS, MOST_ROWS, OPERATORS, ORDERINGS, VARIABLES, Handles, PlanError
from kgllm.terms import Literal, URIRef

__all__ = ["handles_of", "parse_query", "write_query"]

_EMPTY = Group()
_GROUP = 6  # variables that one step groups by
_KINDS = {"x": "variable", "n": "node", "p": "property", "c": "class", "v": "value"}
_MULTIPLIED = ["count_all", "sum", "avg"]
"""Functions that count a thing once for each way in which it is found."""


def parse_query(plan: Any, handles: Handles, ontology: Ontology) -> Query:
    """The query that a plan writes: one with ``where``, ``ask`` or ``describe``. Raises ``PlanError`` alone."""
    try:
        return _Reader(handles, ontology).query(plan)
    except PlanError:
        raise
    except ValueError as error:
        raise PlanError(str(error)) from None


def _is_multiplied(then: Sequence[Any]) -> bool:
    return any(isinstance(step, dict) and step.get("fn") in _MULTIPLIED for step in then)


class _Reader:
    """Reads one plan; the variables for the classes below a class are numbered, so that no two parts meet there."""

    def __init__(self, handles: Handles, ontology: Ontology) -> None:
        self.handles = handles
        self.ontology = ontology
        self.is_multiplied = False
        self.kinds = 0

    def query(self, plan: Any) -> Query:
        match _mapping(plan, "the plan"):
            case {"describe": nodes, **rest} if not rest:
                named = [self._term(handle, "describe", "ncp") for handle in _items(nodes, "describe", 1, 3)]
                return Query("describe", nodes=tuple(dict.fromkeys(n for n in named if isinstance(n, URIRef))))
            case {"ask": conditions, **rest} if not rest:
                return Query("ask", self.group(_items(conditions, "ask", 1, 32), "ask", depth=2))
            case {"where": conditions, "then": then, "select": columns, **rest} if not rest:
                steps = _items(then, "then", 0, 8)
                self.is_multiplied = _is_multiplied(steps)
                where = self.group(_items(conditions, "where", 1, 32), "where", depth=2)
                return self.select(where, steps, _items(columns, "select", 1, 12))
        raise PlanError("a plan has where, then and select, or ask alone, or describe alone")

    def group(self, conditions: Sequence[Any], place: str, *, depth: int, around: Group = _EMPTY) -> Group:
        """The conditions joined; ``depth`` is how deep parts may still stand in each other, ``around`` what is outside.

        What binds variables comes first, the rest is read in its light.
        """
        group = Group()
        for number, condition in sorted(enumerate(conditions), key=lambda item: _rank(item[1])):
            group = self._add(group, _mapping(condition, f"{place}[{number}]"), f"{place}[{number}]", depth, around)
        own = set(group.variables())
        compared = [*group.comparisons, *(c for ways in group.either for way in ways for c in way)]
        unbound = {v for comparison in compared for v in comparison.variables()} - own - set(around.variables())
        unbound |= {v for computed in group.computed for v in computed.variables()} - own
        if unbound:
            raise PlanError(f"{place} uses {_said(unbound)}, which no condition there binds")
        _check_joined(group)
        return group

    def _add(self, group: Group, item: Mapping[str, Any], place: str, depth: int, around: Group) -> Group:
        match item:
            case {"s": s, "p": p, "o": o, **rest} if not rest:
                return self._triple(group, self._subject(s, place), self._predicate(p, place), self._object(o, place))
            case {"s": s, "path": p, "times": ("+" | "*") as times, "o": o, **rest} if not rest:
                path = Path(self._property(p, place), times)
                pattern = TriplePattern(self._subject(s, place), path, self._object(o, place))
                return replace(group, patterns=(*group.patterns, pattern))
            case {"x": x, "op": op, "to": to, **rest} if not rest:
                comparison = self._comparison(x, op, to, place, (group, around))
                return replace(group, comparisons=(*group.comparisons, comparison))
            case {"let": _, "is": _, "of": _, **rest} if not rest:
                return replace(group, computed=(*group.computed, self._computed(item, place)))
            case {"sub": nested, **rest} if not rest and depth:
                return replace(group, nested=(*group.nested, self._nested(nested, f"{place}.sub")))
            case {"not": inner, **rest} if not rest and depth > 1:
                part = self.group(_items(inner, f"{place}.not", 1, 6), f"{place}.not", depth=1, around=group)
                return replace(group, negated=(*group.negated, part))
            case {"optional": inner, **rest} if not rest and depth > 1:
                items = _items(inner, f"{place}.optional", 1, 6)
                part = self.group(items, f"{place}.optional", depth=1, around=group)
                return replace(group, optional=(*group.optional, part))
            case {"either": options, **rest} if not rest and depth > 1:
                return self._either(group, _items(options, f"{place}.either", 2, 4), f"{place}.either")
        raise PlanError(f"{place} is no condition that may stand there")

    def _triple(
        self, group: Group, s: Variable | URIRef, p: Variable | URIRef, o: Variable | URIRef | Literal
    ) -> Group:
        below = self.ontology.populated(o) if p == RDF_TYPE and isinstance(o, URIRef) else []
        if len(below) < 2:
            return replace(group, patterns=tuple(dict.fromkeys([*group.patterns, TriplePattern(s, p, o)])))
        kind = Variable(f"type{self.kinds}")
        self.kinds += 1
        pattern, values = TriplePattern(s, p, kind), Values(kind, tuple(below))
        if self.is_multiplied:  # a thing of two of the classes is still one thing
            members = Group((pattern,), (values,))
            if not isinstance(s, Variable):
                return replace(group, required=(*group.required, members))
            return replace(group, nested=(*group.nested, Query("select", members, (s,))))
        return replace(group, patterns=(*group.patterns, pattern), values=(*group.values, values))

    def _either(self, group: Group, options: Sequence[Any], place: str) -> Group:
        """Filters of which one has to hold, or parts of which one has to."""
        parts = [_items(option, f"{place}[{number}]", 1, 6) for number, option in enumerate(options)]
        around = group if _are_filters(options) else _EMPTY  # a part sees nothing of what stands beside it
        groups = [self.group(part, f"{place}[{number}]", depth=1, around=around) for number, part in enumerate(parts)]
        if _are_filters(options):
            return replace(group, either=(*group.either, tuple(part.comparisons for part in groups)))
        return replace(group, alternatives=(*group.alternatives, tuple(groups)))

    def _nested(self, value: Any, place: str) -> Query:
        match _mapping(value, place):
            case {"where": conditions, "then": then, "select": columns, **rest} if not rest:
                steps, outside = _items(then, f"{place}.then", 0, 5), self.is_multiplied
                self.is_multiplied = _is_multiplied(steps)
                where = self.group(_items(conditions, f"{place}.where", 1, 12), f"{place}.where", depth=0)
                self.is_multiplied = outside
                return replace(self.select(where, steps, _items(columns, f"{place}.select", 1, 4)), form="select")
        raise PlanError(f"{place} has where, then and select")

    def select(self, where: Group, then: Sequence[Any], columns: Sequence[Any]) -> Query:
        """The query of a pattern, of what is done with its solutions, and of its columns."""
        made: dict[Variable, Aggregate | Computed] = {}
        group: list[Variable] = []
        having: list[Having] = []
        order: list[Order] = []
        limit: int | None = None
        for number, step in enumerate(then):
            place = f"then[{number}]"
            match _mapping(step, place):
                case {"fn": fn, "of": of, "as": name, **rest} if not rest and fn in FUNCTIONS:
                    _add_to(made, self._aggregate(str(fn), of, self._variable(name, place), place, where), place)
                case {"let": _, "is": _, "of": _, **rest} if not rest:
                    _add_to(made, self._computed(step, place), place)
                case {"group": names, **rest} if not rest:
                    group += [self._variable(name, place) for name in _items(names, place, 1, _GROUP)]
                case {"having": name, "op": op, "to": to, **rest} if not rest and op in ORDERINGS:
                    having.append(Having(self._variable(name, place), op, self._compared(to, place)))
                case {"order": ("asc" | "desc") as direction, "by": name, **rest} if not rest:
                    key = self._variable(name, place)
                    order.append(Order(key, direction == "desc", _is_numeric(key, where, self.ontology)))
                case {"limit": count, **rest} if not rest and type(count) is int and 1 <= count <= MOST_ROWS:
                    limit = count
                case _:
                    raise PlanError(f"{place} is no step that may stand there")
        shown = [self._variable(name, "select") for name in columns]
        if unbound := set(shown) - set(where.variables()) - set(made):
            raise PlanError(f"select names {_said(unbound)}, which no condition binds")
        plain = [variable for variable in shown if variable not in made]
        if any(isinstance(part, Aggregate) for part in made.values()):
            group += plain
        select = tuple(made.get(variable, variable) for variable in dict.fromkeys(shown))
        is_count = len(select) == 1 and isinstance(select[0], Aggregate) and select[0].function == "count"
        return Query(
            "count" if is_count and not group and not having else "select",
            where,
            select,
            group_by=tuple(dict.fromkeys(group)),
            having=tuple(having),
            order_by=tuple(order),
            limit=limit,
            unshown=tuple(part for variable, part in made.items() if variable not in shown),
        )

    def _aggregate(self, fn: str, of: Any, variable: Variable, place: str, where: Group) -> Aggregate:
        over = self._variable(of, place)
        function = "count" if fn == "count_all" else fn
        is_cast = fn in {"sum", "avg"} and not _is_made(over, where) and not _is_numeric(over, where, self.ontology)
        return Aggregate(function, over, variable.name, is_cast, distinct=fn != "count_all")  # type: ignore[arg-type]

    def _computed(self, item: Mapping[str, Any], place: str) -> Computed:
        operands = tuple(self._compared(name, place) for name in _items(item["of"], f"{place}.of", 2, 6))
        return Computed(self._variable(item["let"], place), item["is"], operands)

    def _comparison(self, x: Any, op: Any, to: Any, place: str, groups: Sequence[Group]) -> Comparison:
        left, right = self._variable(x, place), self._object(to, place)
        if op not in OPERATORS:
            raise PlanError(f"{place} has no operator that there is")
        if isinstance(right, URIRef):
            if op not in {"=", "!="}:
                raise PlanError(f"{place} orders by {to}; a node is only equal to another or not")
            return Comparison(left, op, right)
        is_ordered = op in {"<", "<=", ">", ">="}
        if isinstance(right, Variable):
            are_nodes = all(any(_is_node(v, group, self.ontology) for group in groups) for v in (left, right))
            return Comparison(left, op, right, lexical=is_ordered and are_nodes)
        return Comparison(left, op, right, numeric=is_number(right.datatype) and op not in {"contains", "starts"})

    def _term(self, handle: Any, place: str, letters: str) -> Variable | URIRef | Literal:
        """The term of a handle of those kinds that may stand there."""
        term = self.handles.term(handle)
        if str(handle)[:1] not in letters:
            wanted = " or ".join(_KINDS[letter] for letter in letters)
            raise PlanError(f"{place} has {handle} where a {wanted} belongs")
        return term

    def _variable(self, name: Any, place: str) -> Variable:
        return self._term(name, place, "x")  # type: ignore[return-value]

    def _subject(self, handle: Any, place: str) -> Variable | URIRef:
        return self._term(handle, place, "xn")  # type: ignore[return-value]

    def _object(self, handle: Any, place: str) -> Variable | URIRef | Literal:
        return self._term(handle, place, "xnvc")

    def _compared(self, handle: Any, place: str) -> Variable | Literal:
        return self._term(handle, place, "xv")  # type: ignore[return-value]

    def _predicate(self, handle: Any, place: str) -> Variable | URIRef:
        return RDF_TYPE if handle == "type" else self._term(handle, place, "px")  # type: ignore[return-value]

    def _property(self, handle: Any, place: str) -> URIRef:
        return self._term(handle, place, "p")  # type: ignore[return-value]


def _are_filters(options: Any) -> bool:
    """Whether an either is one of filters."""
    return isinstance(options, list) and all(
        isinstance(option, list) and all(isinstance(item, dict) and "x" in item for item in option)
        for option in options
    )


def _rank(condition: Any) -> int:
    """When a condition is read: what binds variables before what needs them."""
    if not isinstance(condition, dict) or "s" in condition:
        return 0
    if "sub" in condition or ("either" in condition and not _are_filters(condition["either"])):
        return 1
    return 2 if "let" in condition else 3 if "optional" in condition else 4


def _add_to(made: dict[Variable, Aggregate | Computed], part: Aggregate | Computed, place: str) -> None:
    variable = column_name(part)
    if variable in made:
        raise PlanError(f"{place} makes {variable.name} a second time")
    made[variable] = part


def _mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PlanError(f"{place} is no object")
    return value


def _items(value: Any, place: str, least: int, most: int) -> Sequence[Any]:
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise PlanError(f"{place} is no list of {least} to {most}")
    return value


def _said(variables: Iterable[Variable]) -> str:
    return ", ".join(sorted(variable.name for variable in variables))


def _check_joined(group: Group) -> None:
    """Parts that share no variable multiply instead of meeting; one without variables only holds or does not."""
    parts = [set(pattern.variables()) for pattern in group.patterns if any(pattern.variables())]
    parts += [set(query.columns()) for query in group.nested]
    parts += [set().union(*(set(option.variables()) for option in options)) for options in group.alternatives]
    ties = [set(comparison.variables()) for comparison in group.comparisons]
    ties += [set(c.variables()) for ways in group.either for way in ways for c in way]
    ties += [{computed.variable, *computed.variables()} for computed in group.computed]
    rest = [part for part in parts if part]
    joined = set(rest.pop(0)) if rest else set()
    while touching := [part for part in [*rest, *ties] if joined & part and not part <= joined]:
        joined |= set().union(*touching)
    if any(not part <= joined for part in rest):
        raise PlanError("the patterns fall into parts that share no variable; connect them")
    ends = {end for pattern in group.patterns for end in (pattern.subject, pattern.object)}
    for key, inner in (("optional", group.optional), ("not", group.negated)):
        for part in inner:
            own: set[Any] = set(part.variables()) | {v for c in part.comparisons for v in c.variables()}
            own |= {end for pattern in part.patterns for end in (pattern.subject, pattern.object)}
            if not own & (joined | ends):
                raise PlanError(f"what stands in {key} shares nothing with the patterns; connect it")


def _is_made(variable: Variable, where: Group) -> bool:
    """Whether a variable is computed, or a column of a nested query, and so of the type that it ought to have."""
    made = {computed.variable for computed in where.computed}
    return variable in made.union(*(query.columns() for query in where.nested))


def _objects_of(variable: Variable, where: Group, ontology: Ontology) -> list[Signature]:
    """What the graph has where the triples have the variable as an object."""
    return [
        signature
        for pattern in where.triple_patterns()
        if pattern.object == variable and isinstance(pattern.predicate, URIRef)
        if (prop := ontology.properties.get(pattern.predicate))
        for signature in prop.signatures
    ]


def _is_numeric(variable: Variable, where: Group, ontology: Ontology) -> bool:
    """Whether a variable stands for the numbers that a property has."""
    return any(is_number(signature.object) for signature in _objects_of(variable, where, ontology))


def _is_node(variable: Variable, where: Group, ontology: Ontology) -> bool:
    """Whether a variable stands for nodes."""
    found = _objects_of(variable, where, ontology)
    is_subject = any(pattern.subject == variable for pattern in where.triple_patterns())
    return is_subject or (bool(found) and not any(signature.literal for signature in found))


def handles_of(query: Query) -> Handles:
    """Handles for the terms of a query alone."""
    pools: dict[str, dict[Any, None]] = {"n": dict.fromkeys(query.nodes), "p": {}, "c": {}, "v": {}}

    def add(term: Any, letter: str) -> None:
        if isinstance(term, Literal):
            pools["v"][term] = None
        elif isinstance(term, URIRef):
            pools[letter][term] = None

    queries = [query]
    for group in query.where.groups():
        queries += group.nested
        for pattern in group.patterns:
            predicate = pattern.predicate.iri if isinstance(pattern.predicate, Path) else pattern.predicate
            add(pattern.subject, "n")
            add(pattern.object, "c" if predicate == RDF_TYPE else "n")
            if predicate != RDF_TYPE:
                add(predicate, "p")
        for comparison in [*group.comparisons, *(c for ways in group.either for way in ways for c in way)]:
            add(comparison.right, "n")
        for computed in group.computed:
            for operand in computed.operands:
                add(operand, "n")
    for each in queries:
        for having in each.having:
            add(having.right, "n")
        for part in each.made:
            for operand in part.operands if isinstance(part, Computed) else ():
                add(operand, "n")
    return Handles(*(tuple(pools[letter]) for letter in "npcv"))


def write_query(query: Query, handles: Handles) -> dict[str, Any]:
    """The plan that ``parse_query`` reads as this query. Raises ``PlanError`` for what a plan cannot say."""
    return _Writer(handles).plan(query)


class _Writer:
    """Writes one query; its variables get the names x0, x1, … in the order in which they are met."""

    def __init__(self, handles: Handles) -> None:
        self.places = {
            (letter, term): f"{letter}{number}"
            for letter in "vcpn"
            for number, term in reversed(list(enumerate(handles.pool(letter))))
        }
        numbers = [(number, value) for number, value in enumerate(handles.values) if is_number(value.datatype)]
        self.numbers = {comparable(value): f"v{number}" for number, value in reversed(numbers)}
        self.names: dict[Variable, str] = {}

    def plan(self, query: Query) -> dict[str, Any]:
        if query.form == "describe":
            return {"describe": [self._term(node, "ncp") for node in query.nodes]}
        if query.form == "ask":
            return {"ask": self._conditions(query.where)}
        return {"where": self._conditions(query.where), "then": self._then(query), "select": self._columns(query)}

    def _conditions(self, group: Group) -> list[dict[str, Any]]:
        if group.values or group.required:
            raise PlanError("a plan has no list of terms for a variable")
        written: list[dict[str, Any]] = [
            {"sub": {"where": self._conditions(q.where), "then": self._then(q), "select": self._columns(q)}}
            for q in group.nested
        ]
        written += [self._pattern(pattern) for pattern in group.patterns]
        for options in group.alternatives:
            written.append({"either": [self._conditions(option) for option in options]})
        written += [self._let(computed) for computed in group.computed]
        written += [{"optional": self._conditions(part)} for part in group.optional]
        written += [{"not": self._conditions(part)} for part in group.negated]
        written += [self._compared(comparison) for comparison in group.comparisons]
        for ways in group.either:
            written.append({"either": [[self._compared(comparison) for comparison in way] for way in ways]})
        return written

    def _pattern(self, pattern: TriplePattern) -> dict[str, Any]:
        s = self._term(pattern.subject, "n")
        if isinstance(pattern.predicate, Path):
            p, o = self._term(pattern.predicate.iri, "p"), self._term(pattern.object, "nvc")
            return {"s": s, "path": p, "times": pattern.predicate.closure, "o": o}
        if pattern.predicate == RDF_TYPE:
            return {"s": s, "p": "type", "o": self._term(pattern.object, "cnv")}
        return {"s": s, "p": self._term(pattern.predicate, "p"), "o": self._term(pattern.object, "nvc")}

    def _compared(self, comparison: Comparison) -> dict[str, Any]:
        right = self._operand(comparison.right, "vnc")
        return {"x": self._term(comparison.left, ""), "op": comparison.operator, "to": right}

    def _let(self, computed: Computed) -> dict[str, Any]:
        operands = [self._operand(operand) for operand in computed.operands]
        return {"let": self._term(computed.variable, ""), "is": computed.operator, "of": operands}

    def _then(self, query: Query) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = []
        for part in query.made:
            if isinstance(part, Computed):
                steps.append(self._let(part))
                continue
            fn = "count_all" if part.function == "count" and not part.distinct else part.function
            name = self._term(Variable(part.name), "")
            steps.append({"fn": fn, "of": self._term(part.variable, ""), "as": name})
        plain = tuple(part for part in query.select if isinstance(part, Variable))
        is_aggregated = any(isinstance(part, Aggregate) for part in query.made)
        if query.group_by and not (is_aggregated and query.group_by == plain):
            names = [self._term(variable, "") for variable in query.group_by]
            steps += [{"group": names[start : start + _GROUP]} for start in range(0, len(names), _GROUP)]
        for having in query.having:
            right = self._operand(having.right)
            steps.append({"having": self._term(having.key, ""), "op": having.operator, "to": right})
        for order in query.order_by:
            steps.append({"order": "desc" if order.descending else "asc", "by": self._term(order.key, "")})
        if query.limit is not None:
            if not 1 <= query.limit <= MOST_ROWS:
                raise PlanError(f"a plan has no limit of {query.limit}")
            steps.append({"limit": query.limit})
        return steps

    def _columns(self, query: Query) -> list[str]:
        return [self._term(variable, "") for variable in query.columns()]

    def _operand(self, term: Any, letters: str = "v") -> str:
        """The handle of what something is compared with or computed from: of a number, any that has its value."""
        is_given = ("v", term) in self.places or not (isinstance(term, Literal) and is_number(term.datatype))
        if not is_given and (handle := self.numbers.get(comparable(term))) is not None:
            return handle
        return self._term(term, letters)

    def _term(self, term: Any, letters: str) -> str:
        """The handle of a term, of those kinds that may stand there."""
        if isinstance(term, Variable):
            name = self.names.setdefault(term, f"x{len(self.names)}")
            if len(self.names) > VARIABLES:
                raise PlanError(f"a plan has {VARIABLES} variables")
            return name
        handle = next((self.places[letter, term] for letter in letters if (letter, term) in self.places), None)
        if handle is None:
            raise PlanError(f"{term} has no handle")
        return handle
