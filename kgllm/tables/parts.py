"""The parts of a table as the words of a question name them, before they are joined."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from kgllm.query import Function, Operator
from kgllm.sketch import Anchor
from kgllm.tables.lexicon import Option, Term
from kgllm.tables.marks import Mark

__all__ = ["Condition", "Counted", "Ordering", "Parts", "Shown"]


@dataclass(frozen=True, slots=True)
class Shown:
    """An attribute that is shown, or what a function makes of it; ``sentence`` is the number of that which asks."""

    sentence: int
    option: Option
    function: Function | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted; without ``option`` what the rest of the question says: "list the name and the count"."""

    sentence: int
    option: Option | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on an attribute or class: to be one of the named ``anchors`` or of the ``values``.

    ``average`` compares with the average of all. What holds ``apart`` need not hold for the same thing.
    """

    option: Option
    operator: Operator = "="
    values: tuple[str, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    average: bool = False
    apart: bool = False

    def is_choice_with(self, other: Condition) -> bool:
        """Whether both say what the same attribute has to be."""
        is_same = self.option.is_same(other.option) and self.operator == other.operator == "="
        return is_same and bool(self.anchors) == bool(other.anchors)

    def or_else(self, other: Condition) -> Condition:
        """The condition that one of the two holds."""
        return replace(self, anchors=self.anchors + other.anchors, values=self.values + other.values)


@dataclass(frozen=True, slots=True)
class Ordering:
    """By what the rows are ordered, without ``option`` the things themselves; ``by_count`` by how many there are.

    The first ``most`` of them are kept, or all.
    """

    option: Option | None
    descending: bool
    most: int | None
    by_count: bool = False


@dataclass(slots=True)
class Parts:
    """All of them; ``said`` has how surely each term means what it is taken for, ``read`` what they were read from.

    ``each_absent`` if each thing of ``absent`` is denied by itself: "without books or awards".
    """

    shown: list[Shown] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)
    keys: list[Option] = field(default_factory=list)
    present: list[Option] = field(default_factory=list)
    held: list[Condition] = field(default_factory=list)
    absent: list[Condition] = field(default_factory=list)
    each_absent: bool = False
    having: list[tuple[Option, Operator, str]] = field(default_factory=list)
    order: Ordering | None = None
    said: list[float] = field(default_factory=list)
    read: set[Term | Mark] = field(default_factory=set)
