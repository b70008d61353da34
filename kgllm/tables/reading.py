"""The table that a question asks for: its parts joined by the shortest paths between their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kgllm.features import Scored
from kgllm.limits import condition_on
from kgllm.link import Links
from kgllm.paths import RelationPath, Step
from kgllm.tables.asked import Asked
from kgllm.tables.conditions import Conditions
from kgllm.tables.forms import Forms
from kgllm.tables.lexicon import Lexicon, Option
from kgllm.tables.parts import Condition, Counted, Parts
from kgllm.tables.table import Column, Limit, Place, Restriction, Table
from kgllm.terms import Literal, URIRef
from kgllm.vocabularies import XSD
from kgllm.words import Bound, Token, asks_for, content_tokens, superlative

__all__ = ["TableReading", "read_table"]

_YEAR = 4  # digits
_FORMS = frozenset(["function", "each", "most", "common", "order", "not", "text", "average"])
"""Marks that only a table can answer to."""
_READ = frozenset(["number", "average", "text", "function", "order", "each", "most", "common", "extreme"])
"""Marks of which a table has to read every one: what is left out would change the answer."""


@dataclass(frozen=True, slots=True)
class TableReading:
    """A table, scored but for its meaning; ``alone`` if no other reading can be what is asked for.

    ``unread`` are the words that no part of it was read from.
    """

    scored: Scored
    alone: bool
    unread: tuple[str, ...]


def read_table(links: Links, lexicon: Lexicon) -> TableReading | None:
    """The table that a question asks for, if it asks for one."""
    if asks_for(links.question) == "yes/no":
        return None
    asked = Asked(links, lexicon)
    if not asked.terms or _compares_names(asked):
        return None
    parts = Parts()
    Conditions(asked, parts).read()
    Forms(asked, parts).read()
    denials = sum(mark.kind == "not" for mark in asked.marks)
    parts.each_absent = denials > 1 or bool({"or", "nor"} & asked.words)
    table = _made(parts, lexicon)
    if table is None or not _is_worth(table, parts, asked):
        return None
    is_alone = _is_alone(table, parts, asked)
    if not is_alone and _asks_for_things(parts, asked):
        return None
    explained = _explained(table, parts, asked)
    unread = tuple(token.text for token, is_read in explained.items() if not is_read)
    return TableReading(_scored(table, parts, asked, list(explained.values()), is_alone=is_alone), is_alone, unread)


def _asks_for_things(parts: Parts, asked: Asked) -> bool:
    """Whether a question is for things of a class, so that an attribute says something of them: "which … were born"."""
    first = asked.terms[0]
    is_class = first.options[0].step is None and not asked.qualifies(first) and bool({"which", "what"} & asked.words)
    return is_class and any(shown.function is None for shown in parts.shown)


def _compares_names(asked: Asked) -> bool:
    """Whether it asks which of those that it names is the greater."""
    is_compared = superlative(asked.links.question, comparative=True) is not None
    return is_compared and len(asked.mentions) > 1 and all(mark.kind != "operator" for mark in asked.marks)


def _is_worth(table: Table, parts: Parts, asked: Asked) -> bool:
    """Whether a table reads every form, asks for more than what it names, and denies if the question does."""
    if any(mark.kind in _READ and mark not in parts.read for mark in asked.marks):
        return False
    is_named = any(r.anchors and not r.place.path.steps for r in table.restrictions)
    is_denied = any(mark.kind == "not" for mark in asked.marks)
    if not asked.is_denial_clear():
        return False
    return bool(table.absent) == is_denied and not (is_named and not parts.shown)


def _is_alone(table: Table, parts: Parts, asked: Asked) -> bool:
    """Whether it asks for more than a path from a name leads to."""
    is_ordered = table.order is not None and bool(parts.shown or table.order.column.function)
    is_form = any(mark.kind in _FORMS for mark in asked.marks)
    return is_form or len(table.columns) > 1 or bool(table.having or table.absent) or is_ordered


def _explained(table: Table, parts: Parts, asked: Asked) -> dict[Token, bool]:
    """Of each word that says something, whether it was read from, as part of a mark, a term, a name or a text."""
    steps = set(table.steps())
    read = [*parts.read, *(mark for mark in asked.marks if mark.kind not in _READ)]
    read += [term for term in asked.terms if term.options[0].step in steps]
    stretches = [(item.first, item.last) for item in [*read, *(anchor.mention for anchor in table.anchors())]]
    stretches += list(asked.texts)
    covered = {place for first, last in stretches for place in range(first, last)}
    telling = set(content_tokens(list(asked.tokens)))
    return {token: place in covered for place, token in enumerate(asked.tokens) if token in telling}


def _scored(table: Table, parts: Parts, asked: Asked, explained: Sequence[bool], *, is_alone: bool) -> Scored:
    """A table with the features of a reading."""
    share = sum(explained) / len(explained) if explained else 1.0
    used = list(table.anchors())
    said = parts.said or [0.5]
    named = [anchor.candidate.score for anchor in used]
    features = {
        "coverage": share,
        "alignment": sum(said) / len(said),
        "weakest": min(said),
        "type": 0.5,
        "unused": sum(m.score for m in asked.mentions if not any(a.mention.overlaps(m) for a in used)),
        "named": sum(named) / len(named) if named else 0.5,
        "steps": len(table.steps()),
        "left over": 0.0 if is_alone else 1.0 - share,
    }
    return Scored.of(table, features, explained=share, unexplained=explained.count(False))


def _made(parts: Parts, lexicon: Lexicon) -> Table | None:
    """The table of some parts; none where one cannot be joined to it."""
    _keep_last_list(parts)
    root = _root(parts)
    if root is None:
        return None
    try:
        return _Maker(parts, lexicon, root).table()
    except LookupError:
        return None


def _keep_last_list(parts: Parts) -> None:
    """Show what the last sentence asks for, where a question goes on with "list the name and the number"."""
    last = max((shown.sentence for shown in parts.shown), default=0)
    if not last:
        return
    counted = [c for c in parts.counted if c.sentence == last]
    if any(c.option is None for c in counted):  # the count that the first sentence asks for
        counted = [c for c in parts.counted if c.option is not None] or counted
    parts.present += [shown.option for shown in parts.shown if shown.sentence < last and shown.option.step is None]
    parts.present += [Option(s.option.score, s.option.cls) for s in parts.shown if s.sentence < last]
    parts.present += [c.option for c in parts.counted if c not in counted and c.option and c.option.step is None]
    parts.shown = [shown for shown in parts.shown if shown.sentence == last]
    parts.counted = counted


def _root(parts: Parts) -> URIRef | None:
    """The class that all hangs on: that of what is shown, or else of what is grouped by, computed, or named first."""
    options = [shown.option for shown in parts.shown if shown.function is None]
    options += parts.keys
    options += [shown.option for shown in parts.shown]
    options += [counted.option for counted in parts.counted if counted.option is not None]
    options += parts.present
    options += [parts.order.option] if parts.order is not None and parts.order.option is not None else []
    options += [condition.option for condition in parts.held]
    return options[0].cls if options else None


class _Maker:
    """Makes a table of its parts, which hang on things of the class ``root``."""

    def __init__(self, parts: Parts, lexicon: Lexicon, root: URIRef) -> None:
        self.parts = parts
        self.lexicon = lexicon
        self.root = root

    def table(self) -> Table | None:
        """The table. Raises ``LookupError`` where a part cannot be joined to it."""
        parts = self.parts
        columns = self._columns()
        order = self._order(columns)
        if not columns:
            is_value = order is not None and order.column.function is None and not parts.present
            columns = [order.column] if order is not None and is_value else [Column(Place(RelationPath()))]
        if parts.order is not None and (order is None or all(column.function for column in columns)):
            return None  # an order of what is not told apart
        held = _merged(parts.held, self.root)
        restrictions = [Restriction(self._place(option)) for option in parts.present if option.cls != self.root]
        restrictions += [self._restriction(condition) for condition in held if not condition.apart]
        absent = [self._restriction(c) for c in parts.absent if c != Condition(c.option) or not self._is_root(c.option)]
        if parts.absent and not absent:
            return None
        return Table(
            self.root,
            tuple(dict.fromkeys(columns)),
            tuple(dict.fromkeys(restrictions)),
            tuple((self._restriction(condition),) for condition in held if condition.apart),
            _by_first_step(absent) if parts.each_absent else (tuple(absent),) if absent else (),
            tuple((Column(self._place(o), "count"), operator, _integer(value)) for o, operator, value in parts.having),
            order,
        )

    def _is_root(self, option: Option) -> bool:
        return option.step is None and option.cls == self.root

    def _place(self, option: Option) -> Place:
        """Where an attribute or a class is. Raises ``LookupError`` if it is not joined to the root."""
        path, is_mixed = self.lexicon.joins(self.root)[option.cls]
        if option.step is None:
            return Place(path, option.cls if is_mixed else None)
        own = option.path()
        return Place(RelationPath((*path.steps, *own.steps), (*path.places, *own.places), literal=True))

    def _columns(self) -> list[Column]:
        """What is shown: first what the rows are grouped by, then what is computed."""
        parts = self.parts
        plain = [shown.option for shown in parts.shown if shown.function is None]
        if parts.counted or any(shown.function for shown in parts.shown):
            plain += [key for key in parts.keys if all(key.cls != option.cls for option in plain)]
        columns = [Column(self._place(option)) for option in plain]
        for shown in parts.shown:
            if shown.function is not None:
                columns.append(Column(self._place(shown.option), shown.function, numeric=not shown.option.is_ordered))
        return columns + [Column(self._counted(counted), "count") for counted in parts.counted]

    def _counted(self, counted: Counted) -> Place:
        """What is counted; without a word for it what the order counts, or else the things themselves."""
        of = counted.option or (self.parts.order.option if self.parts.order is not None else None)
        return self._place(of) if of is not None else Place(RelationPath())

    def _order(self, columns: Sequence[Column]) -> Limit | None:
        order = self.parts.order
        if order is None:
            return None
        place = self._place(order.option) if order.option is not None else Place(RelationPath())
        if order.by_count:
            if (
                order.option is not None
                and self._is_root(order.option)
                and not any(c.place.path.steps for c in columns)
            ):
                raise LookupError(order.option)  # each thing is one of itself
            return Limit(Column(place, "count"), order.descending, order.most)
        option = order.option
        numeric = option is not None and not option.is_ordered and self.lexicon.has_order(option)
        computed = [column for column in columns if column.function]
        if not computed:
            return Limit(Column(place, numeric=numeric), order.descending, order.most)
        by = next((column for column in columns if column.place == place), None)
        return Limit(by, order.descending, order.most) if by is not None else None

    def _restriction(self, condition: Condition) -> Restriction:
        place, operator = self._place(condition.option), condition.operator
        if condition.anchors:
            terms = tuple(anchor.term for anchor in condition.anchors)
            return Restriction(place, operator, terms, anchors=condition.anchors)
        if condition.average:
            of = (condition.option.cls, condition.option.path())
            return Restriction(place, operator, average=of, numeric=not condition.option.is_ordered)
        if operator in {"contains", "starts"}:
            return Restriction(place, operator, tuple(Literal(value) for value in condition.values))
        if condition.values and not condition.option.is_numeric and condition.option.is_ordered:
            return _dated(place, condition)
        numbers = tuple(Literal(value, datatype=URIRef(XSD + "decimal")) for value in condition.values)
        return Restriction(place, operator, numbers, numeric=bool(numbers))


def _by_first_step(absent: Sequence[Restriction]) -> tuple[tuple[Restriction, ...], ...]:
    """What is absent, together what is said of the same things and each other thing by itself."""
    groups: dict[tuple[Step, ...], list[Restriction]] = {}
    for restriction in absent:
        groups.setdefault(restriction.place.path.steps[:1], []).append(restriction)
    return tuple(tuple(group) for group in groups.values())


def _dated(place: Place, condition: Condition) -> Restriction:
    """A condition on a date by a year. Raises ``LookupError`` if the value is none."""
    operator = condition.operator
    assert operator in {"=", "<", "<=", ">", ">="}  # noqa: S101 - what a number is compared by
    held = [condition_on(place.path, Bound(operator, value, 0, 0, len(value) == _YEAR)) for value in condition.values]
    dates = [date for date in held if date is not None]
    if len(dates) < len(held):
        raise LookupError(condition.values)
    return Restriction(place, dates[0].operator, tuple(date.value for date in dates))


def _integer(value: str) -> Literal:
    return Literal(value, datatype=URIRef(XSD + "integer"))


def _merged(held: Sequence[Condition], root: URIRef) -> list[Condition]:
    """The conditions; those on an attribute of the root, which has one value, do not hold apart but one of them."""
    found: list[Condition] = []
    for condition in held:
        is_own = condition.apart and condition.option.cls == root
        alike = next((n for n, c in enumerate(found) if is_own and c.is_choice_with(condition)), None)
        if alike is not None:
            found[alike] = found[alike].or_else(condition)
        else:
            found.append(replace(condition, apart=condition.apart and not is_own))
    return found
