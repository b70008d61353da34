"""A table: a reading of a question as rows of columns, which hang on things of one class by paths of the schema.

Paths that begin alike share their variables, so that what is shown and what is asked of it are joined as the tree of
the paths says. A row is shown once; where a column is computed, the rows are grouped by the columns that are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kgllm.ontology import Ontology
from kgllm.paths import RelationPath, Step
from kgllm.query import Aggregate, Comparison, Function, Group, Having, Operator, Order, Query, Values, Variable
from kgllm.sketch import Anchor, typed
from kgllm.terms import Literal, URIRef

__all__ = ["Column", "Place", "Restriction", "Table"]

ROOT = Variable("x")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path from the things of a table leads; ``cls`` is set where the path leads to other classes as well."""

    path: RelationPath
    cls: URIRef | None = None

    def name(self, ontology: Ontology) -> str:
        """The last step in words; the empty text for the things themselves."""
        if self.cls is not None:
            return ontology.label(self.cls).lower()
        return ontology.label(self.path.steps[-1].property).lower() if self.path.steps else ""


@dataclass(frozen=True, slots=True)
class Column:
    """What is shown of a row: what stands at a place, or what a function makes of all that stands there."""

    place: Place
    function: Function | None = None
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Restriction:
    """What has to stand at a place: one of the terms, or what compares with the first of them.

    Without terms there only has to be something; ``average`` compares with the average of what a path leads to from all
    things of a class.
    """

    place: Place
    operator: Operator = "="
    terms: tuple[Literal | URIRef, ...] = ()
    numeric: bool = False
    anchors: tuple[Anchor, ...] = ()
    average: tuple[URIRef, RelationPath] | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """An order of the rows by a column, shown or not; the first ``most`` of them are kept, or all."""

    column: Column
    descending: bool
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows about things of a class.

    ``apart`` are sets of restrictions that hold each for something of its own; ``absent`` those that hold for nothing.
    """

    cls: URIRef
    columns: tuple[Column, ...]
    restrictions: tuple[Restriction, ...] = ()
    apart: tuple[tuple[Restriction, ...], ...] = ()
    absent: tuple[tuple[Restriction, ...], ...] = ()
    having: tuple[tuple[Column, Operator, Literal], ...] = ()
    order: Limit | None = None

    def anchors(self) -> Iterator[Anchor]:
        """Everything that the question names and the table uses."""
        for restriction in self._restrictions():
            yield from restriction.anchors

    def steps(self) -> list[Step]:
        """Every step of its paths, each once."""
        places = [column.place for column in self._columns()]
        places += [restriction.place for restriction in self._restrictions()]
        return list(dict.fromkeys(step for place in places for step in place.path.steps))

    def phrase(self, ontology: Ontology) -> str:
        """The table in words: "the name and the number of concert of the stadium"."""
        things = ontology.label(self.cls).lower()
        functions = {"count": "number of ", "avg": "average ", "sum": "total ", "min": "minimum ", "max": "maximum "}
        shown = [
            f"the {functions.get(column.function or '', '')}{column.place.name(ontology) or things}"
            for column in self.columns
        ]
        asked = [f"{r.place.name(ontology) or things}" for r in self._restrictions()]
        said = " and ".join(shown) + f" of the {things}"
        return said + (f" with {' and '.join(asked)}" if asked else "")

    def to_query(self, ontology: Ontology) -> Query:
        """The query it stands for. Raises ``ValueError`` if it has no pattern."""
        columns = list(self._columns())
        shown = [column.place.path for column in columns]
        summed = [column.place.path for column in columns if column.function in {"sum", "avg"}]
        if any(not _is_within(column.place.path, [path]) for path in summed for column in columns):
            raise ValueError("what is summed would be counted for each thing of another branch")
        loose = [r for r in self.restrictions if summed and not _is_within(r.place.path, shown)]
        tree = _Tree(ROOT, ontology)
        if not self.columns[0].place.path.steps or not self.steps():
            tree.ask_class((), self.cls)
        for column in columns:
            tree.add(column.place)
        tree.ask_class((), self.cls)
        for restriction in self.restrictions:
            if restriction not in loose:
                tree.restrict(restriction)
        apart = [_Tree(ROOT, ontology, prefix=f"a{n}").grown(group) for n, group in enumerate(self.apart)]
        required = [_Tree(ROOT, ontology, prefix="r").grown(loose).group()] if loose else []
        negated = [_Tree(ROOT, ontology, prefix=f"n{n}").grown(group).group() for n, group in enumerate(self.absent)]
        where = replace(
            tree.group(),
            required=(*required, *(part.group() for part in apart)),
            negated=tuple(negated),
        )
        made = {column: tree.column(column, f"number{n}" if n else "number") for n, column in enumerate(columns)}
        select = tuple(made[column] for column in self.columns)
        aggregated = any(isinstance(part, Aggregate) for part in made.values())
        plain = tuple(part for part in select if isinstance(part, Variable))
        having = tuple(
            Having(_key(made[column]), operator, number)  # type: ignore[arg-type]
            for column, operator, number in self.having
        )
        if having and aggregated and not plain:
            return _of_groups(where, select, having, made)
        order: tuple[Order, ...] = ()
        if self.order is not None:
            order = (Order(_key(made[self.order.column]), self.order.descending, self.order.column.numeric),)
        unshown = tuple(p for c, p in made.items() if c not in self.columns and isinstance(p, Aggregate))
        if len(select) == 1 and isinstance(select[0], Aggregate) and select[0].function == "count" and not order:
            return Query("count", where, select)
        return Query(
            "select",
            where,
            tuple(dict.fromkeys(select)),
            group_by=plain if aggregated else (),
            having=having,
            order_by=order,
            limit=self.order.most if self.order is not None else None,
            unshown=unshown,
        )

    def _columns(self) -> Iterator[Column]:
        """The columns, those of the order and of conditions on groups too, each once."""
        hidden = [column for column, _, _ in self.having]
        yield from dict.fromkeys([*self.columns, *hidden, *([self.order.column] if self.order else [])])

    def _restrictions(self) -> Iterator[Restriction]:
        yield from self.restrictions
        for group in (*self.apart, *self.absent):
            yield from group


def _of_groups(
    where: Group,
    select: Sequence[Variable | Aggregate],
    having: tuple[Having, ...],
    made: Mapping[Column, Variable | Aggregate],
) -> Query:
    """How many things there are of which each fulfils a condition on a number. Raises ``ValueError`` for more."""
    counted, *others = select
    if others or not isinstance(counted, Aggregate) or counted.function != "count":
        raise ValueError("a condition on groups needs what is grouped by")
    unshown = tuple(part for part in made.values() if isinstance(part, Aggregate) and part != counted)
    each = counted.variable
    groups = Query("select", where, (each,), group_by=(each,), having=having, unshown=unshown)
    return Query("count", replace(where, nested=(*where.nested, groups)), (counted,))


def _is_within(path: RelationPath, shown: Sequence[RelationPath]) -> bool:
    """Whether a path goes no step that none of the shown ones goes, but for a literal at its end."""
    steps = path.steps[:-1] if path.literal else path.steps
    return any(other.steps[: len(steps)] == steps for other in shown)


def _key(part: Variable | Aggregate) -> Variable:
    return Variable(part.name) if isinstance(part, Aggregate) else part


class _Tree:
    """The pattern of paths from one variable; what begins alike is one variable."""

    def __init__(self, root: Variable, ontology: Ontology, *, prefix: str = "v") -> None:
        self._ontology = ontology
        self._prefix = prefix
        self._at: dict[tuple[Step, ...], Variable] = {(): root}
        self._parts: list[Group] = []
        self._comparisons: list[Comparison] = []
        self._either: list[tuple[tuple[Comparison, ...], ...]] = []
        self._nested: list[Query] = []

    def add(self, place: Place) -> Variable:
        """The variable at a place."""
        steps = place.path.steps
        for length in range(1, len(steps) + 1):
            if steps[:length] not in self._at:
                end = Variable(f"{self._prefix}_{len(self._at)}")
                start, step = self._at[steps[: length - 1]], steps[length - 1]
                self._at[steps[:length]] = end
                self._parts.append(step.group(start, end, name=f"{end.name}p"))
        if place.cls is not None:
            self.ask_class(steps, place.cls)
        return self._at[steps]

    def ask_class(self, steps: tuple[Step, ...], cls: URIRef) -> None:
        """Have what stands at the end of steps be of a class."""
        variable = self._at[steps]
        self._parts.append(typed(variable, cls, self._ontology, name=f"{variable.name}type"))

    def restrict(self, restriction: Restriction) -> None:
        """Have something at a place, and it be what is asked of it."""
        variable = self.add(restriction.place)
        if restriction.average is not None:
            self._compare_with_average(variable, restriction, *restriction.average)
        elif restriction.operator == "=" and restriction.terms and not restriction.numeric:
            self._parts.append(Group(values=(Values(variable, restriction.terms),)))
        elif restriction.terms:
            compared = [Comparison(variable, restriction.operator, t, restriction.numeric) for t in restriction.terms]
            self._either.append(tuple((comparison,) for comparison in compared))

    def _compare_with_average(
        self, variable: Variable, restriction: Restriction, cls: URIRef, path: RelationPath
    ) -> None:
        thing, other = Variable(f"{variable.name}any"), Variable(f"{variable.name}all")
        way = path.group(thing, other, prefix=f"{variable.name}way")
        kind = typed(thing, cls, self._ontology, name=f"{variable.name}anytype")
        group = replace(way, patterns=(*way.patterns, *kind.patterns), values=(*way.values, *kind.values))
        average = Aggregate("avg", other, f"{variable.name}average", numeric=restriction.numeric)
        self._nested.append(Query("select", group, (average,)))
        self._comparisons.append(
            Comparison(variable, restriction.operator, Variable(average.name), restriction.numeric)
        )

    def grown(self, restrictions: Iterable[Restriction]) -> _Tree:
        """The tree with restrictions."""
        for restriction in restrictions:
            self.restrict(restriction)
        return self

    def column(self, column: Column, name: str) -> Variable | Aggregate:
        """The variable of a column, or the aggregate over it."""
        variable = self.add(column.place)
        if column.function is None:
            return variable
        return Aggregate(column.function, variable, name, numeric=column.numeric and column.function != "count")

    def group(self) -> Group:
        """The pattern."""
        return Group(
            tuple(dict.fromkeys(pattern for part in self._parts for pattern in part.patterns)),
            tuple(dict.fromkeys(values for part in self._parts for values in part.values)),
            (*self._comparisons, *(options[0][0] for options in self._either if len(options) == 1)),
            either=tuple(options for options in self._either if len(options) > 1),
            nested=tuple(self._nested),
        )
