"""A sketch: a reading of a question as paths that meet, before it is compiled to a query.

The answer is a variable ?x. Branches lead to it from what the question names; a class may restrict it; conditions, an
extreme and a projection hang on it by further paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal as OneOfStrings
from typing import TypeAlias

from kgllm.link import Candidate, Mention
from kgllm.ontology import RDF_TYPE, Ontology
from kgllm.paths import Place, RelationPath, Step
from kgllm.query import Aggregate, Comparison, Group, Operator, Order, Query, TriplePattern, Values, Variable
from kgllm.terms import Literal, URIRef

__all__ = ["Anchor", "Branch", "Condition", "Extreme", "Sketch", "shared_steps", "typed"]

ANSWER = Variable("x")
_VALUE = Variable("value")


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a branch starts from: a mention, the candidate it is taken to name, and the classes that may have."""

    mention: Mention
    candidate: Candidate
    place: Place

    @property
    def term(self) -> URIRef | Literal:
        """The node or literal."""
        if self.candidate.description is not None:
            return self.candidate.description.iri
        assert self.candidate.value is not None  # noqa: S101 - a candidate is one or the other
        return self.candidate.value.literal


@dataclass(frozen=True, slots=True)
class Branch:
    """A path from an anchor to the answer."""

    anchor: Anchor
    path: RelationPath


@dataclass(frozen=True, slots=True)
class Condition:
    """What a literal at the end of a path from the answer has to be."""

    path: RelationPath
    operator: Operator
    value: Literal
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Extreme:
    """The answer with the greatest or least value at the end of a path, or with most or fewest ends (``by_count``).

    By a count without steps, what is projected is the answer, with most or fewest of the things that it is projected
    from: the university with the most laureates.
    """

    path: RelationPath
    descending: bool
    by_count: bool = False
    numeric: bool = False


SketchForm: TypeAlias = OneOfStrings["select", "count", "ask"]


@dataclass(frozen=True, slots=True)
class Sketch:
    """A reading of the question. ``target`` closes the single branch of a yes/no question on another anchor.

    Branches that end in the same steps lead through the same nodes: the laureates of *the* prize that is of 1921 and in
    physics, not of one of 1921 and of another in physics.
    """

    branches: tuple[Branch, ...] = ()
    cls: URIRef | None = None
    form: SketchForm = "select"
    target: Anchor | None = None
    among: tuple[Anchor, ...] = ()
    conditions: tuple[Condition, ...] = ()
    extreme: Extreme | None = None
    projection: RelationPath | None = None

    def anchors(self) -> Iterator[Anchor]:
        """Everything that the question names and the sketch uses."""
        yield from (branch.anchor for branch in self.branches)
        yield from self.among
        if self.target is not None:
            yield self.target

    def paths(self) -> Iterator[RelationPath]:
        """Every path of it."""
        yield from (branch.path for branch in self.branches)
        yield from (condition.path for condition in self.conditions)
        for path in (self.extreme.path if self.extreme else None, self.projection):
            if path is not None:
                yield path

    def steps(self) -> list[Step]:
        """Every step of it, once for each condition on the same path."""
        return [step for path in self.paths() for step in path.steps]

    def place(self, ontology: Ontology) -> Place:
        """The classes (or datatypes) that the answer may have."""
        if self.projection is not None:
            return self.projection.end
        if self.branches:
            ends = [branch.path.end for branch in self.branches if branch.path.steps]
            return frozenset.intersection(*ends) if ends else frozenset()
        if self.among:
            return self.among[0].place
        return frozenset(ontology.populated(self.cls)) if self.cls is not None else frozenset()

    def place_before_projection(self, ontology: Ontology) -> Place:
        """The classes of what conditions, an extreme and the projection hang on."""
        return replace(self, projection=None).place(ontology)

    @property
    def literal(self) -> bool:
        """Whether the answer is a literal."""
        if self.projection is not None:
            return self.projection.literal
        return any(branch.path.literal for branch in self.branches)

    def to_query(self, ontology: Ontology) -> Query:
        """The query it stands for. Raises ``ValueError`` if it has no pattern."""
        if self.form == "ask":
            return self._ask(ontology)
        where = self._where(ontology)
        answer: Variable = Variable("y") if self.projection is not None else ANSWER
        if self.form == "count":
            return Query("count", where, (Aggregate("count", answer),))
        order: tuple[Order, ...] = ()
        if self.extreme is not None and self.extreme.by_count:
            counted = Aggregate("count", _VALUE if self.extreme.path.steps else ANSWER)
            order = (Order(Variable(counted.name), self.extreme.descending),)
            return Query("select", where, (answer, counted), group_by=(answer,), order_by=order, limit=1)
        if self.extreme is not None:
            key = answer if self.extreme.path == self.projection else _VALUE
            order = (Order(key, self.extreme.descending, self.extreme.numeric),)
        return Query("select", where, (answer,), order_by=order, limit=1 if order else None)

    def _where(self, ontology: Ontology) -> Group:
        parts: list[Group] = []
        comparisons: list[Comparison] = []
        for prefix, branch, between in zip("abcd", self.branches, self._between(), strict=False):
            parts.append(branch.path.group(branch.anchor.term, ANSWER, prefix=prefix, between=between))
            away = branch.path.returns(between) + ([ANSWER] if branch.path.ends_on_return else [])
            if isinstance(branch.anchor.term, URIRef):
                comparisons += [Comparison(variable, "!=", branch.anchor.term) for variable in away]
        if self.among:
            parts.append(Group(values=(Values(ANSWER, tuple(anchor.term for anchor in self.among)),)))
        if self.cls is not None:
            parts.append(typed(ANSWER, self.cls, ontology))
        paths = list(dict.fromkeys(condition.path for condition in self.conditions))
        for condition in self.conditions:
            number = paths.index(condition.path)
            end = Variable(f"v{number}")
            parts.append(condition.path.group(ANSWER, end, prefix=f"w{number}"))
            comparisons.append(Comparison(end, condition.operator, condition.value, condition.numeric))
        hanging = [(self.projection, Variable("y"), "z")]
        if self.extreme is not None and self.extreme.path.steps and self.extreme.path != self.projection:
            hanging.append((self.extreme.path, _VALUE, "e"))
        parts += [path.group(ANSWER, end, prefix=prefix) for path, end, prefix in hanging if path is not None]
        return Group(
            tuple(dict.fromkeys(pattern for part in parts for pattern in part.patterns)),
            tuple(dict.fromkeys(values for part in parts for values in part.values)),
            tuple(comparisons),
        )

    def _between(self) -> list[list[Variable]]:
        """The nodes between the ends of each branch."""
        found: list[list[Variable]] = []
        for prefix, branch in zip("abcd", self.branches, strict=False):
            own = branch.path.between(prefix)
            for before, nodes in zip(self.branches, found, strict=False):
                if shared := shared_steps(before.path, branch.path):
                    own[-shared:] = nodes[-shared:]
            found.append(own)
        return found

    def _ask(self, ontology: Ontology) -> Query:
        if self.target is not None:
            (branch,) = self.branches
            return Query("ask", branch.path.group(branch.anchor.term, self.target.term, prefix="a"))
        if self.cls is not None and len(self.branches) == 1 and not self.branches[0].path.steps:
            anchor = self.branches[0].anchor.term
            if not isinstance(anchor, URIRef):
                raise ValueError(f"a literal has no class: {anchor!r}")
            return Query("ask", typed(anchor, self.cls, ontology))
        return Query("ask", self._where(ontology))


def shared_steps(one: RelationPath, other: RelationPath) -> int:
    """The number of last steps that two paths have in common, where each comes to the node before by another property.

    0 where they come to it by the same one: of a prize in physics and in chemistry, one is not the other.
    """
    longest = min(len(one.steps), len(other.steps)) - 1
    shared = 0
    while shared < longest and one.steps[-1 - shared] == other.steps[-1 - shared]:
        shared += 1
    is_apart = one.steps[-1 - shared].property != other.steps[-1 - shared].property if shared else False
    return shared if is_apart else 0


def typed(term: Variable | URIRef, cls: URIRef, ontology: Ontology, *, name: str = "type") -> Group:
    """The pattern that a term belongs to a class or to one below it that the data knows; ``name`` is for a variable."""
    classes = tuple(ontology.populated(cls)) or (cls,)
    if len(classes) == 1:
        return Group((TriplePattern(term, RDF_TYPE, classes[0]),))
    return Group((TriplePattern(term, RDF_TYPE, Variable(name)),), (Values(Variable(name), classes),))
