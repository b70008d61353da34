"""What a step towards an answer is called: sentences for somebody who waits."""

from __future__ import annotations

from collections.abc import Sequence

from kgllm.index import Index
from kgllm.link import Links
from kgllm.plan import Plan
from kgllm.protocols import Step
from kgllm.query import Path, PatternTerm, Variable
from kgllm.recall import Recalled
from kgllm.terms import Literal, clean

__all__ = ["linked", "planned", "recalled", "validated"]

_NAMED = 5
_CAP = 60


def linked(links: Links) -> Step:
    """What the words of the question were found to name."""
    named = [
        m.candidates[0].description.label
        for m in links.mentions
        if m.candidates[0].description is not None and m.candidates[0].kind == "node"
    ]
    if not named:
        return Step("link", "looked for what the question names")
    return Step("link", f"looked up {', '.join(clean(label, cap=_CAP) for label in dict.fromkeys(named[:_NAMED]))}")


def planned(plan: Plan, index: Index) -> Step:
    """The pattern of a plan in the labels of its terms."""

    def said(term: PatternTerm | Path) -> str:
        if isinstance(term, Variable):
            return str(term)
        if isinstance(term, Literal):
            return clean(str(term), cap=_CAP)
        return clean(index.label(term.iri if isinstance(term, Path) else term), cap=_CAP)

    query = plan.query
    patterns = [f"{said(p.subject)} {said(p.predicate)} {said(p.object)}" for p in query.where.triple_patterns()]
    more = ", …" if len(patterns) > _NAMED else ""
    described = [f"what is known of {said(node)}" for node in query.nodes]
    return Step("plan", f"planned: {', '.join([*described, *patterns][:_NAMED])}{more}")


def recalled(found: Recalled) -> Step:
    """How much the graph has."""
    count = len(found.rows.rows)
    if found.query.form == "ask":
        return Step("recall", "the graph has an answer")
    more = "" if found.rows.complete else " and more"
    return Step("recall", f"the graph has {count:,} row{'' if count == 1 else 's'}{more}")


def validated(violations: Sequence[object], facts: int) -> Step:
    """How many facts were checked, and what was found."""
    found = f"{len(violations):,} finding{'' if len(violations) == 1 else 's'}" if violations else "nothing amiss"
    return Step("validate", f"checked {facts:,} fact{'' if facts == 1 else 's'}: {found}")
