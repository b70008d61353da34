"""A query: a typed graph pattern that compiles to read-only SPARQL 1.1. Text never becomes one; only patterns do.

Whatever can be made of these classes parses; what would not cannot be made, or raises ``ValueError`` when compiled.

The pattern is the algebra of SPARQL 1.1 (section 18) cut down to what questions need: triple patterns, inline values,
comparisons, optional, negated and alternative parts, grouping, aggregates, ordering and a limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal as OneOfStrings
from typing import TypeAlias, get_args

from kgllm.terms import BNode, Literal, Namespaces, Term, Triple, URIRef, n3

__all__ = [
    "Aggregate",
    "Comparison",
    "Group",
    "Order",
    "Path",
    "PatternTerm",
    "Query",
    "TriplePattern",
    "Values",
    "Variable",
]


@dataclass(frozen=True, slots=True, order=True)
class Variable:
    """A SPARQL variable; ``name`` without its question mark."""

    name: str

    def __post_init__(self) -> None:
        if not self.name.isascii() or not self.name.isidentifier():
            raise ValueError(f"not a variable name: {self.name!r}")

    def __str__(self) -> str:
        return f"?{self.name}"


PatternTerm: TypeAlias = Variable | URIRef | Literal


Closure: TypeAlias = OneOfStrings["+", "*"]
Operator: TypeAlias = OneOfStrings["=", "!=", "<", "<=", ">", ">=", "contains", "starts"]
Ordering: TypeAlias = OneOfStrings["=", "!=", "<", "<=", ">", ">="]
Function: TypeAlias = OneOfStrings["count", "sum", "avg", "min", "max"]
Form: TypeAlias = OneOfStrings["select", "ask", "count", "describe"]


def _check_one_of(value: object, options: object) -> None:
    if value not in get_args(options):
        raise ValueError(f"{str(value)[:40]!r} is none of {', '.join(get_args(options))}")


@dataclass(frozen=True, slots=True)
class Path:
    """A property repeated: ``iri+`` or ``iri*`` (SPARQL 1.1, section 9)."""

    iri: URIRef
    closure: Closure

    def __post_init__(self) -> None:
        _check_one_of(self.closure, Closure)


@dataclass(frozen=True, slots=True)
class TriplePattern:
    """A triple with variables in it."""

    subject: Variable | URIRef
    predicate: Variable | URIRef | Path
    object: PatternTerm

    def variables(self) -> Iterator[Variable]:
        """Its variables, subject first."""
        for part in (self.subject, self.predicate, self.object):
            if isinstance(part, Variable):
                yield part

    def at(self, solution: Mapping[str, Term | None]) -> Triple | None:
        """The triple that a solution makes of it; ``None`` where a variable is unbound or the property repeated."""
        parts = [solution.get(part.name) if isinstance(part, Variable) else part for part in self._parts()]
        if any(part is None or isinstance(part, Path) for part in parts):
            return None
        return (parts[0], parts[1], parts[2])  # type: ignore[return-value]

    def _parts(self) -> tuple[Variable | URIRef, Variable | URIRef | Path, PatternTerm]:
        return self.subject, self.predicate, self.object


@dataclass(frozen=True, slots=True)
class Values:
    """A variable and the terms it may stand for."""

    variable: Variable
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A filter between a variable and a term or another variable.

    ``contains`` ignores case; it and ``starts`` compare lexical forms. ``numeric`` reads both sides as numbers whatever
    their datatype, for graphs that write numbers as strings.
    """

    left: Variable
    operator: Operator
    right: PatternTerm
    numeric: bool = False

    def __post_init__(self) -> None:
        _check_one_of(self.operator, Operator)

    def to_sparql(self, namespaces: Namespaces) -> str:
        """The expression inside ``FILTER()``."""
        right = _term(self.right, namespaces)
        if self.operator == "contains":
            return f"CONTAINS(LCASE(STR({self.left})), LCASE(STR({right})))"
        if self.operator == "starts":
            return f"STRSTARTS(STR({self.left}), STR({right}))"
        if self.numeric:
            number = namespaces.curie("http://www.w3.org/2001/XMLSchema#double")
            return f"{number}(STR({self.left})) {self.operator} {number}(STR({right}))"
        return f"{self.left} {self.operator} {right}"


@dataclass(frozen=True, slots=True)
class Group:
    """A group graph pattern; its parts are joined."""

    patterns: tuple[TriplePattern, ...] = ()
    values: tuple[Values, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    optional: tuple[Group, ...] = ()
    negated: tuple[Group, ...] = ()
    alternatives: tuple[tuple[Group, ...], ...] = ()

    def triple_patterns(self, *, negated: bool = False) -> Iterator[TriplePattern]:
        """The triple patterns at any depth, those of negated parts only if asked for."""
        yield from self.patterns
        inner = [*self.optional, *(group for groups in self.alternatives for group in groups)]
        for group in inner + (list(self.negated) if negated else []):
            yield from group.triple_patterns(negated=negated)

    def variables(self) -> list[Variable]:
        """The variables that a solution can bind, in order of appearance."""
        return list(dict.fromkeys(variable for pattern in self.triple_patterns() for variable in pattern.variables()))

    def iris(self) -> Iterator[URIRef]:
        """Every IRI that the group names."""
        for pattern in self.triple_patterns(negated=True):
            for part in (pattern.subject, pattern.predicate, pattern.object):
                if isinstance(part, Path):
                    yield part.iri
                elif isinstance(part, URIRef):
                    yield part
        for group in self._groups():
            for values in group.values:
                yield from (term for term in values.terms if isinstance(term, URIRef))
            yield from (c.right for c in group.comparisons if isinstance(c.right, URIRef))

    def _groups(self) -> Iterator[Group]:
        yield self
        for group in [*self.optional, *self.negated, *(g for groups in self.alternatives for g in groups)]:
            yield from group._groups()

    def to_sparql(self, namespaces: Namespaces, *, indent: str = "  ") -> str:
        """The lines between the braces."""
        lines = [
            f"{indent}VALUES {values.variable} {{ {' '.join(_term(term, namespaces) for term in values.terms)} }}"
            for values in self.values
        ]
        lines += [indent + _pattern(pattern, namespaces) for pattern in self.patterns]
        for groups in self.alternatives:
            bodies = [f"{{\n{group.to_sparql(namespaces, indent=indent + '  ')}\n{indent}}}" for group in groups]
            lines.append(indent + " UNION ".join(bodies))
        for keyword, parts in (("OPTIONAL", self.optional), ("FILTER NOT EXISTS", self.negated)):
            lines += [
                f"{indent}{keyword} {{\n{group.to_sparql(namespaces, indent=indent + '  ')}\n{indent}}}"
                for group in parts
            ]
        lines += [f"{indent}FILTER({comparison.to_sparql(namespaces)})" for comparison in self.comparisons]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate over a variable, named ``name`` in the result. A count counts distinct terms."""

    function: Function
    variable: Variable
    name: str = "number"
    numeric: bool = False

    def __post_init__(self) -> None:
        _check_one_of(self.function, Function)
        Variable(self.name)

    def to_sparql(self, namespaces: Namespaces) -> str:
        """The ``(… AS ?name)`` of the SELECT clause."""
        return f"({self.expression(namespaces)} AS ?{self.name})"

    def expression(self, namespaces: Namespaces) -> str:
        """The aggregate alone, as HAVING needs it."""
        if self.function == "count":
            return f"COUNT(DISTINCT {self.variable})"
        number = namespaces.curie("http://www.w3.org/2001/XMLSchema#decimal")
        inner = f"{number}(STR({self.variable}))" if self.numeric else str(self.variable)
        return f"{self.function.upper()}({inner})"


@dataclass(frozen=True, slots=True)
class Order:
    """An ordering by a variable or by an aggregate's name; ``numeric`` as in ``Comparison``."""

    key: Variable
    descending: bool = False
    numeric: bool = False

    def to_sparql(self, namespaces: Namespaces) -> str:
        """The condition behind ``ORDER BY``."""
        number = namespaces.curie("http://www.w3.org/2001/XMLSchema#double")
        key = f"{number}(STR({self.key}))" if self.numeric else str(self.key)
        return f"{'DESC' if self.descending else 'ASC'}({key})"


@dataclass(frozen=True, slots=True)
class Having:
    """A condition on an aggregate of the groups."""

    aggregate: Aggregate
    operator: Ordering
    right: Literal

    def __post_init__(self) -> None:
        _check_one_of(self.operator, Ordering)

    def to_sparql(self, namespaces: Namespaces) -> str:
        """The condition behind ``HAVING``."""
        return f"({self.aggregate.expression(namespaces)} {self.operator} {_term(self.right, namespaces)})"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the graph.

    ``select`` names the columns; the first is the answer. An ``ask`` has no columns; a ``describe`` binds ``?node`` to
    ``nodes`` and asks for their immediate facts; a ``count`` is a select of one count.
    """

    form: Form
    where: Group = Group()
    select: tuple[Variable | Aggregate, ...] = ()
    nodes: tuple[URIRef, ...] = ()
    group_by: tuple[Variable, ...] = ()
    having: tuple[Having, ...] = ()
    order_by: tuple[Order, ...] = ()
    limit: int | None = None

    def __post_init__(self) -> None:
        _check_one_of(self.form, Form)
        if self.limit is not None and (type(self.limit) is not int or self.limit < 0):
            raise ValueError(f"{str(self.limit)[:40]!r} is no limit")
        if self.form == "describe":
            if not self.nodes:
                raise ValueError("a describe needs a node")
            return
        if not any(True for _ in self.where.triple_patterns()):
            raise ValueError("a query needs a triple pattern")
        if self.form == "ask":
            if self.select or self.group_by or self.having or self.order_by or self.limit is not None:
                raise ValueError("an ask has no columns, and nothing to group or order them by")
            return
        self._check_columns()

    def _check_columns(self) -> None:
        """SPARQL 1.1, section 11.4 and 18.2.4.4: what an aggregating query may project, and under which names."""
        if not self.select:
            raise ValueError(f"a {self.form} needs a column")
        aggregates = [part for part in self.select if isinstance(part, Aggregate)]
        if self.form == "count" and not (len(self.select) == len(aggregates) == 1):
            raise ValueError("a count has one column, which is an aggregate")
        bound = set(self.where.variables())
        used = [*self.select, *self.group_by, *(having.aggregate for having in self.having)]
        _check_bound((part.variable if isinstance(part, Aggregate) else part for part in used), bound)
        names = {Variable(part.name) for part in aggregates}
        plain = {part for part in self.select if isinstance(part, Variable)}
        if len(names | plain) < len(self.select) or names & bound:
            raise ValueError("two columns have one name")
        if aggregates or self.group_by or self.having:
            if ungrouped := plain - set(self.group_by):
                raise ValueError(f"{min(ungrouped)} is neither grouped by nor aggregated")
            bound = set(self.group_by) | names
        _check_bound((order.key for order in self.order_by), bound)

    def iris(self) -> set[URIRef]:
        """Every IRI that the query names."""
        return set(self.where.iris()) | set(self.nodes)

    def to_sparql(self, namespaces: Namespaces | None = None) -> str:
        """The query as SPARQL text, with the PREFIX lines it needs. Raises ``ValueError`` for an IRI that is none."""
        spaces = namespaces or Namespaces()
        if self.form == "describe":
            nodes = " ".join(_term(node, spaces) for node in self.nodes)
            body = (
                f"SELECT ?node ?property ?value WHERE {{\n  VALUES ?node {{ {nodes} }}\n  ?node ?property ?value .\n}}"
            )
            return spaces.sparql(self.iris()) + body
        where = self.where.to_sparql(spaces)
        if self.form == "ask":
            text = f"ASK {{\n{where}\n}}"
        else:
            columns = " ".join(
                part.to_sparql(spaces) if isinstance(part, Aggregate) else str(part) for part in self.select
            )
            text = f"SELECT DISTINCT {columns} WHERE {{\n{where}\n}}"
        if self.group_by:
            text += f"\nGROUP BY {' '.join(map(str, self.group_by))}"
        if self.having:
            text += f"\nHAVING {' '.join(having.to_sparql(spaces) for having in self.having)}"
        if self.order_by:
            text += f"\nORDER BY {' '.join(order.to_sparql(spaces) for order in self.order_by)}"
        if self.limit is not None:
            text += f"\nLIMIT {self.limit}"
        return spaces.sparql([*self.iris(), *_datatypes(text, spaces)]) + text

    def to_solutions(self, namespaces: Namespaces | None = None, *, answers: Sequence[Term] = ()) -> str:
        """A SELECT of every variable of the pattern, which must have one, so that a solution can be traced to triples.

        ``answers`` restricts the first column to those terms: the solutions behind the rows that were kept.
        """
        first = self.select[0] if self.select else None
        where = self.where
        if answers and isinstance(first, Variable):
            where = replace(where, values=(*where.values, Values(first, tuple(answers))))
        return replace(
            self,
            form="select",
            where=where,
            select=tuple(self.where.variables()),
            group_by=(),
            having=(),
            order_by=(),
            limit=None,
        ).to_sparql(namespaces)

    def to_construct(self, namespaces: Namespaces | None = None) -> str:
        """The memory as a CONSTRUCT: the triples of the pattern's positive part."""
        spaces = namespaces or Namespaces()
        if self.form == "describe":
            nodes = " ".join(_term(node, spaces) for node in self.nodes)
            body = (
                "CONSTRUCT { ?node ?property ?value } "
                f"WHERE {{\n  VALUES ?node {{ {nodes} }}\n  ?node ?property ?value .\n}}"
            )
            return spaces.sparql(self.iris()) + body
        template = "\n".join(
            "  " + _pattern(pattern, spaces)
            for pattern in self.where.triple_patterns()
            if not isinstance(pattern.predicate, Path)
        )
        text = f"CONSTRUCT {{\n{template}\n}} WHERE {{\n{self.where.to_sparql(spaces)}\n}}"
        return spaces.sparql([*self.iris(), *_datatypes(text, spaces)]) + text


def _pattern(pattern: TriplePattern, namespaces: Namespaces) -> str:
    predicate = pattern.predicate
    if isinstance(predicate, Path):
        verb = _term(predicate.iri, namespaces) + predicate.closure
    else:
        verb = _term(predicate, namespaces)
    return f"{_term(pattern.subject, namespaces)} {verb} {_term(pattern.object, namespaces)} ."


def _term(term: PatternTerm | Term, namespaces: Namespaces) -> str:
    if isinstance(term, Variable):
        return str(term)
    if isinstance(term, BNode):
        raise ValueError("a blank node has no name that a query could call it by")
    checked = n3(term)
    return namespaces.curie(term) if isinstance(term, URIRef) else _ESCAPES.sub(_keep_from_decoding, checked)


_ESCAPES = re.compile(r"\\\\([uU])|\\.")


def _keep_from_decoding(escape: re.Match[str]) -> str:
    """A backslash that is text, and a u: engines that decode before they parse would take them for an escape."""
    return f"\\\\\\u{ord(escape[1]):04X}" if escape[1] else escape[0]


def _check_bound(variables: Iterable[Variable], bound: set[Variable]) -> None:
    if missing := sorted(str(variable) for variable in set(variables) - bound):
        raise ValueError(f"no pattern binds {', '.join(missing)}")


def _datatypes(text: str, namespaces: Namespaces) -> list[str]:
    """The namespaces of the casts that the text makes."""
    xsd = "http://www.w3.org/2001/XMLSchema#"
    return [xsd + name for name in ("double", "decimal") if f"{namespaces.curie(xsd + name)}(" in text]
