"""Drafts of questions: a query over nodes that a graph has, and the wordings in which one could ask it."""

from __future__ import annotations

from kgllm.datatypes import is_date
from kgllm.paths import Place, RelationPath, Step
from kgllm.pattern import joined
from kgllm.query import Group, Query, TriplePattern
from kgllm.sketch import typed
from kgllm.terms import URIRef
from kgllm.tuning.amounts import counts, filters, groups, most, superlatives, totals
from kgllm.tuning.drafter import (
    WALKS,
    Draft,
    Drafter,
    Drafts,
    Make,
    X,
    properties_of,
    reached,
    restrictions,
)
from kgllm.words import with_article

__all__ = ["KINDS"]


def _chains(length: int) -> Make:
    def chains(drafter: Drafter, kind: str) -> Drafts:
        first = drafter.start(kind, fits=_begins_chain if length > 1 else None)
        path = drafter.longer(first, length) if first is not None else None
        if path is None:
            return
        many = [drafter.is_many(step) for step in path.steps]
        for start, said, _ in drafter.walk(path):
            wordings = [w for _ in range(1 if length == 1 else 4) for w in drafter.speaker.asked(path, said, many)]
            query = Query("select", reached(path, start), (X,))
            yield Draft(kind, query, tuple(wordings), (start,), properties_of(path))

    return chains


def _begins_chain(start: Place, step: Step, end: Place, literal: bool) -> bool:
    """Whether a longer chain may begin so: nobody asks for the crew of what was launched on a day."""
    return not literal and not any(map(is_date, start))


def _conjunctions(drafter: Drafter, kind: str) -> Drafts:
    path = drafter.start(kind, fits=drafter.restricts)
    if path is None:
        return
    things = drafter.things(path)
    for start, said, nodes in drafter.walk(path):
        node = nodes[-1]
        ones = drafter.speaker.predicates(drafter.turned(path), said)
        others = [
            (other, value, predicates)
            for other, value, predicates in (restrictions(drafter, node) if isinstance(node, URIRef) else ())
            if value != start
        ]
        if not ones or not others:
            continue
        other, value, twos = drafter.random.choice(others)
        wordings = []
        for _ in range(4):
            one, two = drafter.random.choice(ones), drafter.random.choice(twos)
            which = drafter.random.choice(["which", "what"])
            wordings += [
                f"{which} {things.many} {one.holds} and {two.holds}",
                f"{which} {things.many} {one.behind} {two.holds}",
                f"which of the {things.many} {one.behind} {two.holds}",
                f"list the {things.many} {one.behind} {things.that} {two.holds}",
                f"who {one.holds} and {two.holds}"
                if things.is_person
                else f"{things.many} {one.behind} and {two.behind}",
            ]
        where = joined(reached(path, start), reached(other, value))
        properties = properties_of(path, other)
        yield Draft(kind, Query("select", where, (X,)), tuple(wordings), (start, value), properties)


def _classes(drafter: Drafter, kind: str) -> Drafts:
    path = drafter.start(kind, fits=lambda start, step, end, literal: not literal and len(end) > 1)
    if path is None:
        return
    for start, said, nodes in drafter.walk(path):
        types = (
            [t for p, into, t in drafter.walks.facts(nodes[-1]) if not into and t in path.end]
            if isinstance(nodes[-1], URIRef)
            else []
        )
        if not types:
            continue
        cls = drafter.random.choice(types)
        assert isinstance(cls, URIRef)  # noqa: S101 - it is in the place
        narrowed = RelationPath(path.steps, (frozenset({cls}),))
        if drafter.things(narrowed).one in {"thing", "person", drafter.things(path).one}:
            continue
        wordings = [
            w
            for w in drafter.speaker.questions(path.steps[0], drafter.things(narrowed), said, is_many=True)
            if drafter.things(narrowed).many in w
        ]
        where = joined(reached(path, start), typed(X, cls, drafter.ontology))
        yield Draft(kind, Query("select", where, (X,)), tuple(wordings), (start,), (*properties_of(path), cls))


def _yes_no(drafter: Drafter, kind: str) -> Drafts:
    path = drafter.start(kind, fits=lambda start, step, end, literal: not step.inverse and not literal)
    if path is None:
        return
    step = path.steps[0]
    walks = drafter.walks.along(path, count=drafter.count(step), most=2 * WALKS)
    words = drafter.speaker.words(step)
    for number, nodes in enumerate(walks):
        subject, object_ = nodes
        if number % 2 and isinstance(other := drafter.random.choice(walks)[-1], URIRef):
            object_ = other
        one, other_said = drafter.said(subject), drafter.said(object_)
        if one is None or other_said is None or subject == object_ or not isinstance(subject, URIRef):
            continue
        s, o = one.text, other_said.text
        wordings = [
            f"is {o} {with_article(noun) if drafter.is_many(step) else f'the {noun}'} of {s}" for noun in words.nouns
        ]
        wordings += [f"does {s} have {o} as its {noun}" for noun in words.nouns if not drafter.things(path).is_person]
        wordings += [f"is {s} the {noun} of {o}" for noun in words.converse_nouns]
        wordings += [f"{verb.auxiliary} {s} {verb.rest} {o}" for verb in words.does if verb.auxiliary]
        wordings += [f"{verb.auxiliary} {o} {verb.rest} {s}" for verb in words.done if verb.auxiliary]
        wordings += [f"was {s} {verb.passive} {o}" for verb in words.done if verb.passive]
        query = Query("ask", Group((TriplePattern(subject, step.property, object_),)))
        yield Draft(kind, query, tuple(wordings), (subject, object_), properties_of(path))


def _negations(drafter: Drafter, kind: str) -> Drafts:
    path = drafter.start(kind, fits=drafter.restricts)
    if path is None or not drafter.is_many(path.steps[0]):
        return
    things = drafter.things(path)
    for start, said, nodes in drafter.walk(path):
        ones = drafter.speaker.predicates(drafter.turned(path), said)
        others = [
            r for r in (restrictions(drafter, nodes[-1]) if isinstance(nodes[-1], URIRef) else ()) if r[1] != start
        ]
        if not ones or not others:
            continue
        other, value, twos = drafter.random.choice(others)
        without = Group(negated=(reached(other, value),))
        wordings = []
        for _ in range(4):
            one, two = drafter.random.choice(ones), drafter.random.choice(twos)
            wordings += [
                f"which {things.many} {one.behind} {two.fails}",
                f"which {things.many} {one.holds} but {two.fails}",
                f"list the {things.many} {one.behind} {things.that} {two.fails}",
            ]
        where = joined(reached(path, start), without)
        properties = properties_of(path, other)
        yield Draft(kind, Query("select", where, (X,)), tuple(wordings), (start, value), properties)


KINDS: dict[str, Make] = {
    "chain-1": _chains(1),
    "chain-2": _chains(2),
    "chain-3": _chains(3),
    "conjunction": _conjunctions,
    "class": _classes,
    "filter": filters,
    "count": counts,
    "total": totals,
    "superlative": superlatives,
    "most": most,
    "group": groups,
    "yes/no": _yes_no,
    "negation": _negations,
}
"""What makes the drafts of each kind."""
