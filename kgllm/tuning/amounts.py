"""Drafts that count, compare and order: filters, superlatives, totals, numbers for each of a kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kgllm.datatypes import is_date, is_number
from kgllm.paths import Place, RelationPath, Step
from kgllm.pattern import joined
from kgllm.query import Aggregate, Comparison, Group, Order, Query, Variable
from kgllm.sketch import typed
from kgllm.suggestions import plural
from kgllm.terms import Literal, URIRef
from kgllm.tuning.drafter import Draft, Drafter, Drafts, X, leads_to_things, properties_of, reached
from kgllm.tuning.walks import INEXACT, Node
from kgllm.words import named_extremes, with_article

__all__ = ["counts", "filters", "groups", "most", "superlatives", "totals"]

_N = Variable("value")
_FEW = 50_000  # triples of a property, up to which all of them may be compared
_MOST_GROUPS, _LEAST_GROUPS = 60, 2
_GREATER = ("above", "over", "of more than", "greater than")
_LESS = ("below", "under", "of less than", "lower than")
_EXTREMES = (("highest", "largest", "greatest"), ("lowest", "smallest"))
_EXTREMES_OF_TIME = (("latest", "most recent"), ("earliest",))
_OVER = 0.6  # share of the limits and extremes that are about more rather than less
_PLAIN_NUMBER, _DAY = re.compile(r"-?\d{1,12}(\.\d{1,6})?"), re.compile(r"\d{4}(-\d\d){0,2}")


def counts(drafter: Drafter, kind: str) -> Drafts:
    """How many a path leads to."""
    path = drafter.start(kind, fits=leads_to_things)
    if path is not None and drafter.random.random() < 0.4:
        path = drafter.longer(path, 2)
    if path is None or not drafter.is_many(path.steps[-1]):
        return
    things, last = drafter.things(path), path.steps[-1]
    for start, said, _ in drafter.walk(path):
        before = drafter.speaker.path(
            RelationPath(path.steps[:-1], path.places[:-1]), said, [drafter.is_many(step) for step in path.steps]
        )
        if before is None:
            continue
        words = drafter.speaker.words(last)
        wordings = [
            f"how many {things.many} {p.holds}" for p in drafter.speaker.predicates(drafter.turned(path), before)
        ]
        wordings += [f"how many {plural(noun)} does {before.text} have" for noun in words.nouns if not before.is_many]
        wordings += [f"what is the number of {plural(noun)} of {before.text}" for noun in words.nouns]
        wordings += [
            f"how many {things.many} {verb.auxiliaries if before.is_many else verb.auxiliary} {before.text} {verb.rest}"
            for verb in words.does
            if verb.auxiliary
        ]
        ask = drafter.random.choice(["count", "give me the number of", "what is the number of"])
        phrases = drafter.speaker.phrases(last, things, before, is_many=True)
        wordings += [f"{ask} {said.text.removeprefix('the ')}" for said in phrases if said.text.startswith("the ")]
        query = Query("count", reached(path, start), (Aggregate("count", X),))
        yield Draft(kind, query, tuple(wordings), (start,), properties_of(path))


def totals(drafter: Drafter, kind: str) -> Drafts:
    """How many there are of a class."""
    for cls in drafter.ontology.classes.values():
        if 1 < cls.instances <= _FEW and not drafter.used[kind, cls.iri]:
            things = drafter.speaker.things(frozenset({cls.iri}), is_literal=False)
            if things.one in {"thing"} or (things.one == "person" and "person" not in cls.label.lower()):
                continue
            query = Query("count", typed(X, cls.iri, drafter.ontology), (Aggregate("count", X),))
            wordings = (
                f"how many {things.many} are there", f"what is the number of {things.many}",
                f"how many {things.many} do we have", f"count the {things.many}",
                f"what is the total number of {things.many}",
            )  # fmt: skip
            yield Draft(kind, query, wordings, (), (cls.iri,))


def _is_ordered(start: Place, step: Step, end: Place, literal: bool) -> bool:
    return literal and not step.inverse and any(is_number(t) or is_date(t) for t in end)


def _kind_of(path: RelationPath, drafter: Drafter) -> tuple[URIRef | None, Place]:
    """The class whose members mostly have the property at the end of a path of one step, and its place."""
    prop = drafter.ontology.properties[path.steps[0].property]
    best = max((s for s in prop.signatures if s.literal), key=lambda s: (s.count, str(s.subject)))
    return best.subject, frozenset({best.subject})


@dataclass(frozen=True, slots=True)
class _Set:
    """Things that have a value each: all of a class, or those that a named node is related to.

    ``names`` are what one or many of them are called, with what restricts them.
    """

    where: Group
    one: tuple[str, ...]
    many: tuple[str, ...]
    nodes: tuple[Node, ...] = ()
    properties: tuple[URIRef, ...] = ()


def _sets(drafter: Drafter, path: RelationPath) -> Iterator[_Set]:
    """Sets of things that have the value at the end of a path of one step."""
    cls, place = _kind_of(path, drafter)
    things = drafter.speaker.things(place, is_literal=False)
    if cls is not None and drafter.count(path.steps[0]) <= _FEW and things.one != "thing":
        yield _Set(typed(X, cls, drafter.ontology), (things.one,), (things.many,))
    ways = [
        (step, end)
        for _, step, end, is_literal in drafter.starts
        if not is_literal and cls in end and step.property != path.steps[0].property and drafter.is_many(step)
    ]
    if not ways:
        return
    step, end = drafter.random.choice(ways)
    to = RelationPath((step,), (end,))
    named = drafter.things(RelationPath((step,), (place,)))
    for start, said, _ in drafter.walk(to):
        said_of = drafter.speaker.predicates(drafter.turned(to), said)
        if said_of:
            one = tuple(f"{named.one} {predicate.behind_one}" for predicate in said_of)
            many = tuple(f"{named.many} {predicate.behind}" for predicate in said_of)
            yield _Set(reached(to, start), one, many, (start,), properties_of(to))


def filters(drafter: Drafter, kind: str) -> Drafts:
    """Which have a value above or below some other."""
    path = drafter.start(kind, fits=_is_ordered)
    if path is None:
        return
    step = path.steps[0]
    walks = drafter.walks.along(path, count=drafter.count(step), most=40)
    values = sorted({nodes[-1] for nodes in walks if isinstance(nodes[-1], Literal)}, key=_order)
    if len(values) < 3:
        return
    half = len(values) // 2
    for some in _sets(drafter, path):
        is_over = drafter.random.random() < _OVER
        value = values[drafter.random.randrange(half, len(values) - 1) if is_over else drafter.random.randint(1, half)]
        if (limit := _limit(value)) is None:
            continue
        compared = Group(comparisons=(Comparison(_N, ">" if is_over else "<", value),))
        where = joined(some.where, path.group(X, _N, prefix="v"), compared)
        is_time = any(map(is_date, path.end))
        wordings = _compared(drafter, step, some.many, limit, is_over=is_over, is_time=is_time)
        properties = (*properties_of(path), *some.properties)
        yield Draft(kind, Query("select", where, (X,)), tuple(wordings), some.nodes, properties)


def _compared(
    drafter: Drafter, step: Step, named: Sequence[str], limit: str, *, is_over: bool, is_time: bool
) -> list[str]:
    """The wordings of a limit on the value at the end of a step, behind each of some names of the things."""
    words, choice = drafter.speaker.words(step), drafter.random.choice
    ask, order = choice(["which", "what"]), choice(["list the", "show me the", "find"])
    if is_time:
        after = than = "after" if is_over else "before"
        compared = choice([after, "later than" if is_over else "earlier than"])
    else:
        after, than = choice(_GREATER if is_over else _LESS), choice(_GREATER if is_over else _LESS)
        compared = "greater than" if is_over else "less than"
    wordings = []
    for things in named:
        for noun in words.nouns:
            wordings.append(f"{ask} {things} have {with_article(noun)} {after} {limit}")
            wordings.append(f"{order} {things} whose {noun} is {compared} {limit}")
            wordings += [] if is_time else [f"{order} {things} with {with_article(noun)} {than} {limit}"]
        for verb in words.does:
            if is_time and verb.particle:
                wordings.append(f"{ask} {things} {verb.plural.removesuffix(f' {verb.particle}')} {after} {limit}")
    return wordings


def _limit(value: Literal) -> str | None:
    """A literal as the limit in a question; ``None`` where it is no plain number or day."""
    text = str(value)
    if is_date(value.datatype):
        return text if _DAY.fullmatch(text) else None
    return text.removesuffix(".0") if _PLAIN_NUMBER.fullmatch(text) else None


def _order(value: Literal) -> tuple[float, str]:
    text = str(value)
    return (float(text), "") if _PLAIN_NUMBER.fullmatch(text) else (0.0, text)


def superlatives(drafter: Drafter, kind: str) -> Drafts:
    """Which one has the greatest or the least value, where no two have."""
    path = drafter.start(kind, fits=_is_ordered)
    if path is None:
        return
    nouns = drafter.speaker.words(path.steps[0]).nouns
    greatest, least = _EXTREMES_OF_TIME if any(map(is_date, path.end)) else _EXTREMES
    for some in _sets(drafter, path):
        descending = drafter.random.random() < _OVER
        where = joined(some.where, path.group(X, _N, prefix="v"))
        query = Query("select", where, (X, _N), order_by=(Order(_N, descending),), limit=2)
        if _is_tied(drafter, query):
            continue
        ask = drafter.random.choice(["which", "what"])
        extremes = greatest if descending else least
        wordings = [f"{ask} {one} has the {word} {noun}" for one in some.one for noun in nouns for word in extremes]
        words = [word for noun in nouns for word in named_extremes(noun, descending=descending)]
        wordings += [f"{ask} is the {word} {one}" for one in some.one for word in words]
        asked = replace(query, select=(X,), limit=1)
        yield Draft(kind, asked, tuple(wordings), some.nodes, (*properties_of(path), *some.properties))


def _is_tied(drafter: Drafter, query: Query) -> bool:
    """Whether a query for the first two finds none that is before the other, or takes too long."""
    rows = drafter.walks.rows(query, most=2)
    return rows is None or len(rows) < 2 or rows[0][1] == rows[1][1]


def most(drafter: Drafter, kind: str) -> Drafts:
    """What has the most of something."""
    path = drafter.start(
        kind,
        fits=lambda start, step, end, literal: (
            not literal and len(start) == 1 and None not in start and not drafter.is_of_values(start)
        ),
    )
    if path is None or drafter.count(path.steps[0]) > _FEW or not drafter.is_many(path.steps[0]):
        return
    step = path.steps[0]
    ends = drafter.things(path)
    ones = drafter.speaker.things(_start_of(drafter, step), is_literal=False)
    counted = Aggregate("count", _N)
    descending = drafter.random.random() < 0.7
    query = Query(
        "select", path.group(X, _N, prefix="a"), (X, counted), group_by=(X,),
        order_by=(Order(Variable(counted.name), descending),), limit=2,
    )  # fmt: skip
    if _is_tied(drafter, query):
        return
    words = drafter.speaker.words(step)
    how_many = "the most" if descending else "the fewest"
    asks = [f"{drafter.random.choice(['which', 'what'])} {ones.one}", *(["who"] if ones.is_person else [])]
    wordings = [f"{ask} has {how_many} {plural(noun)}" for ask in asks for noun in words.nouns]
    verbs = [verb for verb in words.does if not verb.behind]
    wordings += [f"{ask} {verb.finite} {how_many} {ends.many}" for ask in asks for verb in verbs]
    wordings += [f"{ask} is the {noun} of {how_many} {ends.many}" for ask in asks for noun in words.converse_nouns]
    yield Draft(kind, replace(query, limit=1), tuple(wordings), (), properties_of(path))


def _start_of(drafter: Drafter, step: Step) -> Place:
    return next(way[0] for way in drafter.starts if way[1] == step)


def groups(drafter: Drafter, kind: str) -> Drafts:
    """How many there are for each of what they are related to."""
    path = drafter.start(kind, fits=lambda start, step, end, literal: step.inverse and not _is_measure(start))
    if path is None or drafter.count(path.steps[0]) > _FEW:
        return
    step = path.steps[0]
    things = drafter.things(path)
    by = Variable("group")
    query = Query("select", path.group(by, X, prefix="a"), (by, Aggregate("count", X)), group_by=(by,))
    rows = drafter.walks.rows(query, most=_MOST_GROUPS)
    if rows is None or len(rows) < _LEAST_GROUPS or things.one == "thing":
        return
    start = _start_of(drafter, step)
    is_literal = drafter.ontology.properties[step.property].signatures[0].literal
    named = drafter.speaker.words(step).converse_nouns
    kinds = drafter.speaker.things(start, is_literal=is_literal)
    nouns = dict.fromkeys([*named, *([kinds.one] if kinds.one not in {"thing", "value"} else [])])
    wordings = [
        w for noun in nouns for w in (
            f"how many {things.many} are there for each {noun}", f"how many {things.many} per {noun}",
            f"count the {things.many} by {noun}", f"give me the number of {things.many} for each {noun}",
            f"for each {noun}, how many {things.many} are there",
        )
    ]  # fmt: skip
    yield Draft(kind, query, tuple(wordings), (), properties_of(path))


def _is_measure(place: Place) -> bool:
    return any(is_date(cls) or str(cls) in INEXACT for cls in place)
