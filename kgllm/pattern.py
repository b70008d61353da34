"""The graph pattern of a query: what SPARQL 1.1 writes between braces, as data.

The pattern is the algebra of SPARQL 1.1 (section 18) cut down to what questions need: triple patterns, repeated
properties, inline values, comparisons and arithmetic, optional, negated and alternative parts, and nested queries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias, get_args
from typing import Literal as OneOfStrings

from kgllm.terms import BNode, Literal, Namespaces, Term, Triple, URIRef, n3

if TYPE_CHECKING:
    from kgllm.query import Query

__all__ = [
    "Comparison",
    "Computed",
    "Group",
    "Operator",
    "Ordering",
    "Path",
    "PatternTerm",
    "TriplePattern",
    "Values",
    "Variable",
    "check_one_of",
    "joined",
    "written",
]

XSD = "http://www.w3.org/2001/XMLSchema#"


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
Arithmetic: TypeAlias = OneOfStrings["+", "-", "*", "/"]


def check_one_of(value: object, options: object) -> None:
    """Raise ``ValueError`` for a value that is none of a ``Literal`` type's."""
    if value not in get_args(options):
        raise ValueError(f"{str(value)[:40]!r} is none of {', '.join(get_args(options))}")


@dataclass(frozen=True, slots=True)
class Path:
    """A property repeated: ``iri+`` or ``iri*`` (SPARQL 1.1, section 9)."""

    iri: URIRef
    closure: Closure

    def __post_init__(self) -> None:
        check_one_of(self.closure, Closure)


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

    def to_sparql(self, namespaces: Namespaces) -> str:
        """The triple pattern with its full stop."""
        predicate = self.predicate
        if isinstance(predicate, Path):
            verb = written(predicate.iri, namespaces) + predicate.closure
        else:
            verb = written(predicate, namespaces)
        return f"{written(self.subject, namespaces)} {verb} {written(self.object, namespaces)} ."


@dataclass(frozen=True, slots=True)
class Values:
    """A variable and the terms it may stand for."""

    variable: Variable
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A filter between a variable and a term or another variable.

    ``contains`` ignores case; it and ``starts`` compare lexical forms. ``numeric`` reads both sides as numbers whatever
    their datatype, for graphs that write numbers as strings; ``lexical`` compares both as text, which orders nodes.
    """

    left: Variable
    operator: Operator
    right: PatternTerm
    numeric: bool = False
    lexical: bool = False

    def __post_init__(self) -> None:
        check_one_of(self.operator, Operator)

    def variables(self) -> Iterator[Variable]:
        """The variables that have to be bound before it can hold."""
        yield self.left
        if isinstance(self.right, Variable):
            yield self.right

    def to_sparql(self, namespaces: Namespaces) -> str:
        """The expression inside ``FILTER()``."""
        right = written(self.right, namespaces)
        if self.operator == "contains":
            return f"CONTAINS(LCASE(STR({self.left})), LCASE(STR({right})))"
        if self.operator == "starts":
            return f"STRSTARTS(STR({self.left}), STR({right}))"
        if self.numeric:
            number = namespaces.curie(XSD + "double")
            return f"{number}(STR({self.left})) {self.operator} {number}(STR({right}))"
        if self.lexical:
            return f"STR({self.left}) {self.operator} STR({right})"
        return f"{self.left} {self.operator} {right}"


@dataclass(frozen=True, slots=True)
class Computed:
    """A number made of others: ``variable`` is the operands joined by the operator from left to right."""

    variable: Variable
    operator: Arithmetic
    operands: tuple[Variable | Literal, ...]

    def __post_init__(self) -> None:
        check_one_of(self.operator, Arithmetic)
        if len(self.operands) < 2:
            raise ValueError("arithmetic needs two operands")
        if not any(self.variables()):
            raise ValueError("arithmetic needs a variable")

    def variables(self) -> Iterator[Variable]:
        """The variables that it is made of."""
        return (operand for operand in self.operands if isinstance(operand, Variable))

    def expression(self, namespaces: Namespaces, made: Mapping[Variable, str]) -> str:
        """The arithmetic; ``made`` are variables that have no name yet, and what stands for each."""
        parts = (
            made.get(operand, str(operand)) if isinstance(operand, Variable) else written(operand, namespaces)
            for operand in self.operands
        )
        return f" {self.operator} ".join(parts)


@dataclass(frozen=True, slots=True)
class Group:
    """A group graph pattern; its parts are joined.

    ``alternatives`` are unions of groups, ``either`` filters of which one has to hold: each is a disjunction of
    conjunctions. ``nested`` queries are evaluated first and give their columns. ``required`` groups only have to have a
    solution, which they do not multiply by.
    """

    patterns: tuple[TriplePattern, ...] = ()
    values: tuple[Values, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    optional: tuple[Group, ...] = ()
    negated: tuple[Group, ...] = ()
    alternatives: tuple[tuple[Group, ...], ...] = ()
    either: tuple[tuple[tuple[Comparison, ...], ...], ...] = ()
    computed: tuple[Computed, ...] = ()
    nested: tuple[Query, ...] = ()
    required: tuple[Group, ...] = ()

    def __post_init__(self) -> None:
        """SPARQL 1.1, section 18.2.1: what ``BIND`` makes must not have been in use before it."""
        if not self.computed:
            return
        taken = {variable for pattern in self.patterns for variable in pattern.variables()}
        taken.update(variable for query in self.nested for variable in query.columns())
        taken.update(v for groups in (*self.alternatives, self.optional) for group in groups for v in group.variables())
        for computed in self.computed:
            if computed.variable in {*taken, *computed.variables()}:
                raise ValueError(f"{computed.variable} is computed, and stands for something else already")
            taken |= {computed.variable, *computed.variables()}

    def triple_patterns(self) -> Iterator[TriplePattern]:
        """The triple patterns whose variables a solution can bind, at any depth."""
        yield from self.patterns
        for group in [*self.optional, *(group for groups in self.alternatives for group in groups)]:
            yield from group.triple_patterns()

    def variables(self) -> list[Variable]:
        """The variables that a solution can bind, in order of appearance."""
        found = [variable for pattern in self.triple_patterns() for variable in pattern.variables()]
        for group in [self, *self.optional, *(group for groups in self.alternatives for group in groups)]:
            found += [variable for query in group.nested for variable in query.columns()]
            found += [computed.variable for computed in group.computed]
        return list(dict.fromkeys(found))

    def groups(self) -> Iterator[Group]:
        """The group and every other in it, those of nested queries too."""
        yield self
        inner = [*self.optional, *self.negated, *self.required, *(g for groups in self.alternatives for g in groups)]
        for group in [*inner, *(query.where for query in self.nested)]:
            yield from group.groups()

    def conjunctions(self) -> Iterator[list[TriplePattern]]:
        """Triple patterns that have to hold together: the plain ones, then these with each part that is not plain."""
        yield list(self.patterns)
        inner = [*self.optional, *self.negated, *self.required, *(g for groups in self.alternatives for g in groups)]
        for group in inner:
            for conjunction in group.conjunctions():
                yield [*self.patterns, *conjunction]
        for query in self.nested:
            yield from query.where.conjunctions()

    def iris(self) -> Iterator[URIRef]:
        """Every IRI that the group names."""
        for group in self.groups():
            for pattern in group.patterns:
                for part in (pattern.subject, pattern.predicate, pattern.object):
                    if isinstance(part, Path):
                        yield part.iri
                    elif isinstance(part, URIRef):
                        yield part
            for values in group.values:
                yield from (term for term in values.terms if isinstance(term, URIRef))
            compared = [*group.comparisons, *(c for options in group.either for option in options for c in option)]
            yield from (c.right for c in compared if isinstance(c.right, URIRef))

    def to_sparql(self, namespaces: Namespaces, *, indent: str = "  ") -> str:
        """The lines between the braces."""
        deeper = indent + "  "
        lines = []
        for query in self.nested:
            body = query.body(namespaces).replace("\n", f"\n{deeper}")
            lines.append(f"{indent}{{\n{deeper}{body}\n{indent}}}")
        made = {computed.variable for computed in self.computed}
        tables: dict[bool, list[str]] = {True: [], False: []}
        for values in self.values:
            table = " ".join(written(term, namespaces) for term in values.terms)
            tables[values.variable in made].append(f"{indent}VALUES {values.variable} {{ {table} }}")
        lines += tables[False]
        lines += [indent + pattern.to_sparql(namespaces) for pattern in self.patterns]
        for groups in self.alternatives:
            bodies = [f"{{\n{group.to_sparql(namespaces, indent=deeper)}\n{indent}}}" for group in groups]
            lines.append(indent + " UNION ".join(bodies))
        parts = (("OPTIONAL", self.optional), ("FILTER NOT EXISTS", self.negated), ("FILTER EXISTS", self.required))
        for keyword, inner in parts:
            lines += [
                f"{indent}{keyword} {{\n{group.to_sparql(namespaces, indent=deeper)}\n{indent}}}" for group in inner
            ]
            if keyword == "OPTIONAL":  # what is computed may be made of what it binds
                lines += [f"{indent}BIND(({c.expression(namespaces, {})}) AS {c.variable})" for c in self.computed]
                lines += tables[True]
        lines += [f"{indent}FILTER({comparison.to_sparql(namespaces)})" for comparison in self.comparisons]
        for options in self.either:
            ways = [" && ".join(f"({c.to_sparql(namespaces)})" for c in option) for option in options]
            lines.append(f"{indent}FILTER({' || '.join(f'({way})' for way in ways)})")
        return "\n".join(lines)


def written(term: PatternTerm | Term, namespaces: Namespaces) -> str:
    """A term as SPARQL writes it. Raises ``ValueError`` for a blank node."""
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


def joined(*groups: Group) -> Group:
    """One group of the parts of several, each once."""
    return Group(
        **{
            f.name: tuple(dict.fromkeys(part for group in groups for part in getattr(group, f.name)))
            for f in fields(Group)
        }
    )
