"""A query: a typed graph pattern that compiles to read-only SPARQL 1.1. Text never becomes one; only patterns do.

Whatever can be made of these classes parses; what would not cannot be made, or raises ``ValueError`` when compiled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal as OneOfStrings
from typing import TypeAlias

from kgllm.pattern import (
    XSD,
    Comparison,
    Computed,
    Group,
    Operator,
    Ordering,
    Path,
    PatternTerm,
    TriplePattern,
    Values,
    Variable,
    check_one_of,
    written,
)
from kgllm.terms import Literal, Namespaces, Term, URIRef

__all__ = [
    "Aggregate",
    "Column",
    "Comparison",
    "Computed",
    "Function",
    "Group",
    "Having",
    "Operator",
    "Order",
    "Path",
    "PatternTerm",
    "Query",
    "TriplePattern",
    "Values",
    "Variable",
]

Function: TypeAlias = OneOfStrings["count", "sum", "avg", "min", "max"]
Form: TypeAlias = OneOfStrings["select", "ask", "count", "describe"]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate over a variable, named ``name`` in the result.

    A count counts distinct terms, or with ``distinct=False`` every solution that binds the variable.
    """

    function: Function
    variable: Variable
    name: str = "number"
    numeric: bool = False
    distinct: bool = True

    def __post_init__(self) -> None:
        check_one_of(self.function, Function)
        Variable(self.name)

    def expression(self, namespaces: Namespaces) -> str:
        """The aggregate without its name."""
        if self.function == "count":
            return f"COUNT({'DISTINCT ' if self.distinct else ''}{self.variable})"
        number = namespaces.curie(XSD + "decimal")
        inner = f"{number}(STR({self.variable}))" if self.numeric else str(self.variable)
        return f"{self.function.upper()}({inner})"


_EMPTY = Group()
Column: TypeAlias = Variable | Aggregate | Computed
"""A column that is computed is made of the query's aggregates, by their names, and of what it groups by."""


@dataclass(frozen=True, slots=True)
class Order:
    """An ordering by a variable, or by an aggregate or computed number by name; ``numeric`` as in ``Comparison``."""

    key: Variable
    descending: bool = False
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Having:
    """A condition on an aggregate or a computed column of the groups."""

    key: Variable
    operator: Ordering
    right: Literal | Variable

    def __post_init__(self) -> None:
        check_one_of(self.operator, Ordering)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the graph.

    ``select`` names the columns; the first is the answer. ``unshown`` are aggregates and computed numbers that columns,
    ``having`` and ``order_by`` are made of. An ``ask`` has no columns; a ``describe`` binds ``?node`` to ``nodes`` and
    asks for their immediate facts; a ``count`` is a select of one count.
    """

    form: Form
    where: Group = _EMPTY
    select: tuple[Column, ...] = ()
    nodes: tuple[URIRef, ...] = ()
    group_by: tuple[Variable, ...] = ()
    having: tuple[Having, ...] = ()
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    unshown: tuple[Aggregate | Computed, ...] = ()

    def __post_init__(self) -> None:
        check_one_of(self.form, Form)
        if self.limit is not None and (type(self.limit) is not int or self.limit < 0):
            raise ValueError(f"{str(self.limit)[:40]!r} is no limit")
        if self.form == "describe":
            if not self.nodes:
                raise ValueError("a describe needs a node")
            return
        if not any(group.patterns for group in self.where.groups()):
            raise ValueError("a query needs a triple pattern")
        if self.form == "ask":
            if self.select or self.group_by or self.having or self.order_by or self.limit is not None:
                raise ValueError("an ask has no columns, and nothing to group or order them by")
            return
        self._check_columns()

    @property
    def made(self) -> tuple[Aggregate | Computed, ...]:
        """The aggregates and computed numbers, shown or not, each after those it is made of."""
        parts = [part for part in (*self.unshown, *self.select) if not isinstance(part, Variable)]
        ordered: list[Aggregate | Computed] = [part for part in parts if isinstance(part, Aggregate)]
        computed = [part for part in parts if isinstance(part, Computed)]
        while computed:
            waiting = {part.variable for part in computed}
            ready = [part for part in computed if waiting.isdisjoint(part.variables())] or computed
            ordered += ready
            computed = [part for part in computed if part not in ready]
        return tuple(ordered)

    def columns(self) -> list[Variable]:
        """The names of the columns."""
        return [column_name(part) for part in self.select]

    def _check_columns(self) -> None:
        """SPARQL 1.1, section 11.4 and 18.2.4.4: what an aggregating query may project, and under which names."""
        if not self.select:
            raise ValueError(f"a {self.form} needs a column")
        aggregates = [part for part in self.made if isinstance(part, Aggregate)]
        if self.form == "count" and not (len(self.select) == 1 and isinstance(self.select[0], Aggregate)):
            raise ValueError("a count has one column, which is an aggregate")
        bound = set(self.where.variables())
        plain = [part for part in self.select if isinstance(part, Variable)]
        _check_bound([*plain, *self.group_by, *(part.variable for part in aggregates)], bound)
        names = [column_name(part) for part in self.made]
        if len({*names, *plain}) < len(names) + len(plain) or set(names) & bound:
            raise ValueError("two columns have one name")
        grouped = set(self.group_by) if aggregates or self.group_by or self.having else bound
        if ungrouped := set(plain) - grouped:
            raise ValueError(f"{min(ungrouped)} is neither grouped by nor aggregated")
        known = grouped | {Variable(part.name) for part in aggregates}
        for part in self.made:
            if isinstance(part, Computed):
                _check_bound(part.variables(), known)
                known = known | {part.variable}
        keys = [having.key for having in self.having] + [order.key for order in self.order_by]
        _check_bound(keys, known if grouped is not bound else known | bound)
        _check_bound((h.right for h in self.having if isinstance(h.right, Variable)), known)

    def iris(self) -> set[URIRef]:
        """Every IRI that the query names."""
        return {*self.where.iris(), *self.nodes}

    def to_sparql(self, namespaces: Namespaces | None = None) -> str:
        """The query as text, with the prefixes it uses. Raises ``ValueError`` for a pattern that is no SPARQL."""
        spaces = namespaces or Namespaces()
        body = self.body(spaces)
        return spaces.sparql([*self.iris(), *_datatypes(body, spaces)]) + body

    def body(self, namespaces: Namespaces) -> str:
        """The query as text without its prefixes, as it stands inside another one."""
        if self.form == "describe":
            nodes = " ".join(written(node, namespaces) for node in self.nodes)
            return (
                f"SELECT ?node ?property ?value WHERE {{\n  VALUES ?node {{ {nodes} }}\n  ?node ?property ?value .\n}}"
            )
        where = self.where.to_sparql(namespaces)
        if self.form == "ask":
            return f"ASK {{\n{where}\n}}"
        made = self._expressions(namespaces)
        names = [column_name(part) for part in self.select]
        columns = " ".join(f"({made[name]} AS {name})" if name in made else str(name) for name in names)
        text = f"SELECT DISTINCT {columns} WHERE {{\n{where}\n}}"
        if self.group_by:
            text += f"\nGROUP BY {' '.join(map(str, self.group_by))}"
        if self.having:
            held = (
                f"({made.get(h.key, str(h.key))} {h.operator} "
                f"{made.get(h.right, str(h.right)) if isinstance(h.right, Variable) else written(h.right, namespaces)})"
                for h in self.having
            )
            text += f"\nHAVING {' '.join(held)}"
        if self.order_by:
            shown = set(names)
            keys = (self._ordered(order, made if order.key not in shown else {}, namespaces) for order in self.order_by)
            text += f"\nORDER BY {' '.join(keys)}"
        if self.limit is not None:
            text += f"\nLIMIT {self.limit}"
        return text

    def _expressions(self, namespaces: Namespaces) -> dict[Variable, str]:
        """Each aggregate and computed number written out, since SPARQL knows the names of shown columns only."""
        made: dict[Variable, str] = {}
        for part in self.made:
            if isinstance(part, Aggregate):
                made[Variable(part.name)] = part.expression(namespaces)
            else:
                made[part.variable] = f"({part.expression(namespaces, made)})"
        return made

    @staticmethod
    def _ordered(order: Order, made: Mapping[Variable, str], namespaces: Namespaces) -> str:
        """A condition behind ``ORDER BY``."""
        key = made.get(order.key, str(order.key))
        if order.numeric:
            key = f"{namespaces.curie(XSD + 'double')}(STR({key}))"
        return f"{'DESC' if order.descending else 'ASC'}({key})"

    def to_solutions(self, namespaces: Namespaces | None = None, *, answers: Sequence[Term] = ()) -> str:
        """A SELECT of every variable of the pattern, which must have one, so that a solution can be traced to triples.

        ``answers`` restricts the first column to those terms: the solutions behind the rows that were kept.
        """
        first = self.select[0] if self.select else None
        where = self.where
        if answers and isinstance(first, Variable):
            where = replace(where, values=(*where.values, Values(first, tuple(answers))))
        return Query("select", where, tuple(where.variables())).to_sparql(namespaces)

    def to_construct(self, namespaces: Namespaces | None = None) -> str:
        """The memory as a CONSTRUCT: the triples of the pattern's positive part."""
        spaces = namespaces or Namespaces()
        if self.form == "describe":
            nodes = " ".join(written(node, spaces) for node in self.nodes)
            body = (
                "CONSTRUCT { ?node ?property ?value } "
                f"WHERE {{\n  VALUES ?node {{ {nodes} }}\n  ?node ?property ?value .\n}}"
            )
            return spaces.sparql(self.iris()) + body
        template = "\n".join(
            "  " + pattern.to_sparql(spaces)
            for pattern in self.where.triple_patterns()
            if not isinstance(pattern.predicate, Path)
        )
        text = f"CONSTRUCT {{\n{template}\n}} WHERE {{\n{self.where.to_sparql(spaces)}\n}}"
        return spaces.sparql([*self.iris(), *_datatypes(text, spaces)]) + text


def column_name(part: Column) -> Variable:
    """What a column is called in the result."""
    if isinstance(part, Aggregate):
        return Variable(part.name)
    return part.variable if isinstance(part, Computed) else part


def _check_bound(variables: Iterable[Variable], bound: set[Variable]) -> None:
    if missing := sorted(str(variable) for variable in set(variables) - bound):
        raise ValueError(f"no pattern binds {', '.join(missing)}")


def _datatypes(text: str, namespaces: Namespaces) -> Iterator[str]:
    """The namespaces of the casts that the text makes."""
    for name in ("double", "decimal"):
        if f"{namespaces.curie(XSD + name)}(" in text:
            yield XSD + name
