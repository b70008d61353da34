"""Read SPARQL as a ``Query``, where a query can say it: what people wrote becomes what a planner would have to write.

``compiled`` keeps what a SPARQL query means up to the repetition of equal rows, with three liberties: ``?a IN (?b)``
makes one variable of two, which is more than equal values; ``contains`` ignores case; and what a pattern says with
``rdfs:subClassOf*`` is left to the ontology, by which ``kgllm`` reads every class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import rdflib
from rdflib.paths import AlternativePath, InvPath, MulPath, SequencePath

from kgllm.ceiling import algebra
from kgllm.datatypes import is_number
from kgllm.ontology import RDF_TYPE, RDFS_SUBCLASS
from kgllm.pattern import XSD, Comparison, Computed, Group, Path, TriplePattern, Variable, joined
from kgllm.query import Aggregate, Column, Having, Order, Query
from kgllm.terms import BNode, Literal, URIRef

__all__ = ["NotExpressibleError", "column_names", "compiled"]

CASTS = {XSD + name for name in ("integer", "int", "decimal", "double", "float")}
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
NEGATED: dict[str, Any] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "!=", "!=": "="}


class NotExpressibleError(ValueError):
    """What a query cannot say; the message names the construct."""


def compiled(sparql: str) -> Query:
    """The query that a SPARQL text writes. Raises ``NotExpressibleError`` for what a query cannot say."""
    parsed = algebra(sparql)
    reader = _Reader(set(re.findall(r"[?$](\w+)", sparql)))
    if parsed.name == "AskQuery":
        made = Query("ask", reader.group(parsed.p.p))
    elif parsed.name == "SelectQuery":
        made = reader.select(parsed.p)
    else:
        raise NotExpressibleError(parsed.name)
    same = {variable: reader.root(variable) for variable in reader.same}
    try:
        query: Query = _renamed(made, same)
        return query
    except ValueError as error:
        raise NotExpressibleError(str(error)) from None


def column_names(sparql: str) -> list[str]:
    """What a SELECT calls its columns, which are those of the compiled query in the same order."""
    parsed = algebra(sparql)
    return [str(name) for name in parsed.PV] if parsed.name == "SelectQuery" else []


def _renamed(value: Any, names: Mapping[Variable, Variable]) -> Any:
    """A copy in which variables have other names."""
    if isinstance(value, Variable):
        return names.get(value, value)
    if isinstance(value, tuple):
        return tuple(_renamed(part, names) for part in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changed = {f.name: _renamed(getattr(value, f.name), names) for f in fields(value)}
    if isinstance(value, Aggregate):
        changed["name"] = _renamed(Variable(value.name), names).name
    if isinstance(value, Group):
        changed["patterns"] = tuple(dict.fromkeys(changed["patterns"]))
    return replace(value, **changed)


def _variables(value: Any) -> Iterator[Variable]:
    """Every variable in something, hidden ones too."""
    if isinstance(value, Variable):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _variables(part)
    elif is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, Aggregate):
            yield Variable(value.name)
        for f in fields(value):
            yield from _variables(getattr(value, f.name))


@dataclass
class _Reader:
    """Reads one query; ``same`` leads from a variable to the one that it is the same as."""

    taken: set[str]
    same: dict[Variable, Variable] = field(default_factory=dict)
    blank: dict[BNode, Variable] = field(default_factory=dict)

    def fresh(self) -> Variable:
        """A variable that nothing has."""
        name = next(f"v{number}" for number in range(1000) if f"v{number}" not in self.taken)
        self.taken.add(name)
        return Variable(name)

    def root(self, variable: Variable) -> Variable:
        """The variable that a variable is the same as."""
        while variable in self.same:
            variable = self.same[variable]
        return variable

    def unify(self, one: Variable, other: Variable) -> None:
        """Make one variable of two; the other's name stays."""
        if self.root(one) != self.root(other):
            self.same[self.root(one)] = self.root(other)

    def term(self, term: Any) -> Any:
        """The term of a triple pattern."""
        if isinstance(term, rdflib.Variable):
            return Variable(str(term))
        if isinstance(term, BNode):
            return self.blank.setdefault(term, self.fresh())
        return term

    # --- patterns

    def group(self, node: Any) -> Group:
        """The group of a pattern of the algebra."""
        match node.name:
            case "BGP":
                return self.triples([tuple(map(self.term, triple)) for triple in node.triples])
            case "Join":
                return joined(self.group(node.p1), self.group(node.p2))
            case "Filter":
                return joined(self.group(node.p), self.conditions(node.expr))
            case "LeftJoin":
                optional = self.group(node.p2)
                if getattr(node.expr, "name", "") != "TrueFilter":
                    optional = joined(optional, self.conditions(node.expr))
                return joined(self.group(node.p1), Group(optional=(optional,)))
            case "Minus":
                first, taken = self.group(node.p1), self.group(node.p2)
                if not set(map(self.root, taken.variables())) & set(map(self.root, first.variables())):
                    return first
                return joined(first, Group(negated=(taken,)))
            case "Union":
                return Group(alternatives=(tuple(self.branches(node)),))
            case "Extend":
                return self.bound(self.group(node.p), Variable(str(node.var)), node.expr)
            case "ToMultiSet":
                return self.values(node.p.res) if node.p.name == "values" else self.nested(node.p)
        raise NotExpressibleError(node.name)

    def branches(self, node: Any) -> Iterator[Group]:
        """The parts of a union."""
        parts = (part for side in (node.p1, node.p2) for part in self.branches(side)) if node.name == "Union" else ()
        yield from parts or (self.group(node),)

    def bound(self, group: Group, variable: Variable, expr: Any) -> Group:
        """A group with what ``BIND`` or a column adds: another name, or something computed."""
        parts, made = self.number(expr, variable)
        if isinstance(made, Literal):
            raise NotExpressibleError("BIND of a constant")
        if made != variable:
            self.unify(variable, made)
        return joined(group, Group(computed=tuple(parts)))

    def triples(self, triples: Sequence[tuple[Any, Any, Any]]) -> Group:
        """Triple patterns; a property path becomes several."""
        tops = {
            s: o for s, p, o in triples if isinstance(p, MulPath) and p.path == RDFS_SUBCLASS and isinstance(o, URIRef)
        }
        parts = []
        for s, p, o in triples:
            if s in tops and isinstance(p, MulPath):
                continue
            parts.append(self.path(s, p, tops.get(o, o) if p == RDF_TYPE else o))
        return joined(*parts)

    def path(self, s: Any, p: Any, o: Any) -> Group:
        """A property path between two terms."""
        if isinstance(p, InvPath):
            return self.path(o, p.arg, s)
        if isinstance(p, SequencePath):
            steps = list(p.args)
            if len(steps) > 1 and steps[-2] == RDF_TYPE and getattr(steps[-1], "path", None) == RDFS_SUBCLASS:
                steps.pop()
            ends = [s, *(self.fresh() for _ in steps[1:]), o]
            return joined(*(self.path(*step) for step in zip(ends, steps, ends[1:], strict=False)))
        if isinstance(p, AlternativePath):
            return Group(alternatives=(tuple(self.path(s, way, o) for way in p.args),))
        if isinstance(p, MulPath):
            if not isinstance(p.path, URIRef) or p.mod not in {"+", "*"}:
                raise NotExpressibleError(f"path {p.n3()}")
            return Group((TriplePattern(s, Path(p.path, p.mod), o),))
        if isinstance(s, Literal):
            raise NotExpressibleError("literal as a subject")
        if not isinstance(p, URIRef | Variable):
            raise NotExpressibleError(f"path {type(p).__name__}")
        return Group((TriplePattern(s, p, o),))

    def values(self, rows: Sequence[Mapping[Any, Any]]) -> Group:
        """Inline data of one variable."""
        if not rows or any(len(row) != 1 for row in rows):
            raise NotExpressibleError("VALUES of several variables")
        equal = [Comparison(Variable(str(name)), "=", term) for row in rows for name, term in row.items()]
        return Group(comparisons=(equal[0],)) if len(equal) == 1 else Group(either=(tuple((c,) for c in equal),))

    def nested(self, node: Any) -> Group:
        """A sub-select: its pattern where nothing else is done to it, else a nested query. What it hides is renamed."""
        query, is_distinct = self.select(node), _is_distinct(node)
        hidden = dict.fromkeys(v for v in _variables(query) if v not in query.columns())
        query = _renamed(query, {v: self.fresh() for v in hidden if v not in self.same})
        is_plain = not query.made and not query.group_by and query.limit is None
        if is_plain and not is_distinct:
            where: Group = query.where
            return where
        return Group(nested=(replace(query, form="select"),))

    # --- conditions

    def conditions(self, expr: Any) -> Group:
        """What a filter asks for."""
        name = getattr(expr, "name", type(expr).__name__)
        if name == "ConditionalAndExpression":
            return joined(*(self.conditions(part) for part in [expr.expr, *expr.other]))
        if name == "ConditionalOrExpression":
            return self.either([self.conditions(part) for part in [expr.expr, *expr.other]])
        if name in {"Builtin_NOTEXISTS", "Builtin_EXISTS"}:
            inner = self.group(expr.graph)
            return Group(negated=(inner,)) if name == "Builtin_NOTEXISTS" else inner
        if name == "UnaryNot":
            return self.opposite(expr.expr)
        if name == "RelationalExpression":
            return self.related(expr)
        if name in {"Builtin_CONTAINS", "Builtin_STRSTARTS"}:
            operator: Any = "contains" if name == "Builtin_CONTAINS" else "starts"
            parts, left = self.number(_text(expr.arg1))
            text = _text(expr.arg2)
            if isinstance(left, Variable) and isinstance(text, Literal):
                return Group(comparisons=(Comparison(left, operator, text),), computed=tuple(parts))
        if name == "Builtin_REGEX" and re.fullmatch(r"[\w ]+", str(expr.pattern)):
            return Group(comparisons=(Comparison(self.term(_text(expr.text)), "contains", expr.pattern),))
        raise NotExpressibleError(f"filter {name}")

    def either(self, ways: Sequence[Group]) -> Group:
        """Filters of which one has to hold."""
        if not all(way == Group(comparisons=way.comparisons) for way in ways):
            raise NotExpressibleError("|| of what is no comparison")
        return Group(either=(tuple(way.comparisons for way in ways),))

    def opposite(self, expr: Any) -> Group:
        """What a negated filter asks for."""
        inner = self.conditions(expr)
        if inner == Group(negated=inner.negated) and len(inner.negated) == 1:
            return inner.negated[0]
        if inner == Group(comparisons=inner.comparisons) and len(inner.comparisons) == 1:
            (one,) = inner.comparisons
            if one.operator in NEGATED:
                return Group(comparisons=(replace(one, operator=NEGATED[one.operator]),))
        return Group(negated=(inner,))

    def related(self, expr: Any) -> Group:
        """Two values compared, or one with a list."""
        if expr.op in {"IN", "NOT IN"}:
            return self.listed(self.term(_text(expr.expr)), expr.op, expr.other)
        is_lexical = all(getattr(side, "name", "") == "Builtin_STR" for side in (expr.expr, expr.other))
        first, left = self.number(_text(expr.expr))
        second, right = self.number(_text(expr.other))
        operator = expr.op
        if not isinstance(left, Variable):
            left, operator, right = right, FLIPPED[operator], left
        if not isinstance(left, Variable):
            raise NotExpressibleError("two constants compared")
        is_lexical = is_lexical and isinstance(right, Variable)
        comparison = Comparison(left, operator, right, _is_numeric(right), lexical=is_lexical)
        return Group(comparisons=(comparison,), computed=(*first, *second))

    def listed(self, left: Any, operator: str, listed: Any) -> Group:
        """A variable and a list of terms; with a list of one variable it is that."""
        terms = [self.term(term) for term in (listed if isinstance(listed, list) else [listed])]
        if not isinstance(left, Variable):
            raise NotExpressibleError(operator)
        if operator == "IN" and len(terms) == 1 and isinstance(terms[0], Variable):
            self.unify(terms[0], left)
            return Group()
        is_in = operator == "IN"
        compared = tuple(Comparison(left, "=" if is_in else "!=", t, _is_numeric(t)) for t in terms)
        one_holds = Group(either=(tuple((one,) for one in compared),))
        return Group(comparisons=compared) if len(compared) == 1 or not is_in else one_holds

    def number(self, expr: Any, variable: Variable | None = None) -> tuple[list[Computed], Any]:
        """What an expression computes in steps, and the variable or constant that it is in the end."""
        name = getattr(expr, "name", "")
        if name in {"AdditiveExpression", "MultiplicativeExpression"}:
            steps, operands = [], []
            for part in [expr.expr, *expr.other]:
                more, operand = self.number(part)
                steps += more
                operands.append(operand)
            operators = list(expr.op)
            made = operands[0]
            while operators:
                run = next((n for n, op in enumerate(operators) if op != operators[0]), len(operators))
                result = variable if variable and run == len(operators) else self.fresh()
                steps.append(Computed(result, operators[0], (made, *operands[1 : run + 1])))
                made, operands, operators = result, operands[run:], operators[run:]
            return steps, made
        if name == "Function" and str(expr.iri) in CASTS:
            return self.number(expr.expr[0])
        if name:
            raise NotExpressibleError(f"function {name.removeprefix('Builtin_')}")
        return [], self.term(expr)

    # --- columns

    def select(self, node: Any) -> Query:
        """The query of a select and of all that is done with its solutions."""
        limit = None
        if node.name == "Slice":
            if node.start:
                raise NotExpressibleError("OFFSET")
            limit, node = node.length, node.p
        while node.name in {"Distinct", "Reduced"}:
            node = node.p
        shown = [Variable(str(name)) for name in node.PV]
        node = node.p
        order: Sequence[Any] = ()
        if node.name == "OrderBy":
            order, node = node.expr, node.p
        columns: dict[Variable, Any] = {}
        held = None
        while True:
            if node.name == "Extend" and Variable(str(node.var)) in shown:
                columns[Variable(str(node.var))] = node.expr
            elif node.name == "Filter" and _is_aggregated(node.p):
                held = node.expr
            else:
                break
            node = node.p
        if node.name == "AggregateJoin":
            return _Grouped(self, node).query(shown, columns, held, order, limit)
        where = self.group(node)
        for name, expr in reversed(columns.items()):
            where = self.bound(where, name, expr)
        keys = []
        for condition in order:
            parts, key = self.number(condition.expr)
            where = joined(where, Group(computed=tuple(parts)))
            keys.append(Order(key, condition.order == "DESC"))
        return self.made("select", where, tuple(shown), order_by=tuple(keys), limit=limit)

    def made(self, form: Any, where: Group, select: tuple[Column, ...], **parts: Any) -> Query:
        """A query of parts in which what is the same has one name."""
        same = {variable: self.root(variable) for variable in self.same}
        renamed = {key: _renamed(part, same) for key, part in parts.items()}
        try:
            return Query(form, _renamed(where, same), _renamed(select, same), **renamed)
        except ValueError as error:
            raise NotExpressibleError(str(error)) from None


class _Grouped:
    """Reads a select with aggregates."""

    def __init__(self, reader: _Reader, node: Any) -> None:
        self.reader = reader
        self.where = reader.group(node.p.p)
        self.keys: list[Variable] = []
        for expr in node.p.expr or ():
            parts, key = reader.number(expr)
            self.where = joined(self.where, Group(computed=tuple(parts)))
            self.keys.append(key)
        self.results = {Variable(str(a.res)): a for a in node.A}
        self.made: dict[Variable, Aggregate | Computed] = {}
        self.names: dict[Variable, Variable] = {}

    def query(
        self, shown: Sequence[Variable], columns: Mapping[Variable, Any], held: Any, order: Sequence[Any], limit: Any
    ) -> Query:
        """The query with its columns, in the order of the SPARQL query."""
        select = [self.column(columns.get(name, name), name) for name in shown]
        having = [] if held is None else list(self.having(held))
        order_by = [Order(self.key(condition.expr), condition.order == "DESC") for condition in order]
        parts: tuple[Column, ...] = tuple(self.made.get(name, name) for name in select)
        is_count = len(parts) == 1 and isinstance(parts[0], Aggregate) and parts[0].function == "count"
        return self.reader.made(
            "count" if is_count and not self.keys and not having else "select",
            self.where,
            parts,
            group_by=tuple(self.keys),
            having=tuple(having),
            order_by=tuple(order_by),
            limit=limit,
            unshown=tuple(part for name, part in self.made.items() if name not in select),
        )

    def column(self, expr: Any, name: Variable) -> Variable:
        """The name of a column."""
        found = self.key(expr, name)
        if found != name and found not in self.made:
            self.reader.unify(name, found)
        return found

    def key(self, expr: Any, name: Variable | None = None) -> Variable:
        """What is shown or ordered by."""
        found: Variable | Literal = self.value(expr, name)
        if isinstance(found, Literal):
            raise NotExpressibleError("a constant column")
        return found

    def value(self, expr: Any, name: Variable | None) -> Any:
        """The variable or constant of an expression over aggregates; what is computed is kept in ``made``."""
        if isinstance(expr, rdflib.Variable):
            variable = Variable(str(expr))
            return self.aggregate(variable, name) if variable in self.results else self.names.get(variable, variable)
        if isinstance(expr, Literal):
            return expr
        steps, made = self.reader.number(expr, name)
        for step in steps:
            operands = tuple(
                self.value(rdflib.Variable(operand.name), None) if isinstance(operand, Variable) else operand
                for operand in step.operands
            )
            self.made[step.variable] = replace(step, operands=operands)
        return self.value(rdflib.Variable(made.name), name) if isinstance(made, Variable) and not steps else made

    def aggregate(self, result: Variable, name: Variable | None) -> Variable:
        """The name of an aggregate, which is made at its first use."""
        node = self.results[result]
        if node.name == "Aggregate_Sample":
            return self.reader.root(Variable(str(node.vars)))
        function: Any = node.name.removeprefix("Aggregate_").lower()
        if function not in {"count", "sum", "avg", "min", "max"}:
            raise NotExpressibleError(f"aggregate {function}")
        if node.vars == "*":
            if node.distinct:
                raise NotExpressibleError("COUNT(DISTINCT *)")
            over: Any = _always_bound(self.where)
        else:
            parts, over = self.reader.number(node.vars)
            self.where = joined(self.where, Group(computed=tuple(parts)))
        is_distinct = bool(node.distinct)
        if is_distinct and function in {"sum", "avg"}:
            raise NotExpressibleError(f"{function}(DISTINCT)")
        for known, part in self.made.items():
            same = Aggregate(function, over, known.name, distinct=is_distinct or function != "count")
            if part == same:
                return known
        made = name or self.reader.fresh()
        self.made[made] = Aggregate(function, over, made.name, distinct=is_distinct or function != "count")
        return made

    def having(self, expr: Any) -> Iterator[Having]:
        """The conditions on groups."""
        name = getattr(expr, "name", "")
        if name == "ConditionalAndExpression":
            for part in [expr.expr, *expr.other]:
                yield from self.having(part)
        elif name == "RelationalExpression" and expr.op in FLIPPED:
            left, right, operator = self.value(expr.expr, None), self.value(expr.other, None), expr.op
            if isinstance(left, Literal):
                left, right, operator = right, left, FLIPPED[operator]
            yield Having(left, operator, right)
        else:
            raise NotExpressibleError(f"HAVING {name}")


def _always_bound(where: Group) -> Variable:
    """A variable that every solution binds."""
    bound = [v for pattern in where.patterns for v in pattern.variables()]
    bound += [column for query in where.nested for column in query.columns()]
    if not bound:
        raise NotExpressibleError("COUNT(*) over alternatives")
    return bound[0]


def _is_aggregated(node: Any) -> bool:
    while node.name in {"Extend", "Filter"}:
        node = node.p
    return bool(node.name == "AggregateJoin")


def _is_distinct(node: Any) -> bool:
    return node.name in {"Distinct", "Reduced"} or (node.name == "Slice" and _is_distinct(node.p))


def _is_numeric(term: Any) -> bool:
    return isinstance(term, Literal) and is_number(term.datatype)


def _text(expr: Any) -> Any:
    """An expression without the casts to text and to one case, which comparisons do by themselves."""
    while getattr(expr, "name", "") in {"Builtin_STR", "Builtin_LCASE", "Builtin_UCASE"}:
        expr = expr.arg
    return expr
