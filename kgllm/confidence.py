"""The probability that a plan's answer is right, from what the planner knows when it proposes the plan."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

from kgllm.features import FEATURES, Scored
from kgllm.sketch import Sketch
from kgllm.tables.table import Table

__all__ = ["INTERCEPT", "MIN_CONFIDENCE", "SIGNS", "WEIGHTS", "probability", "signs", "unsure"]

WEIGHTS = {
    "coverage": 1.15,  # this and the next ten: kgllm.features.FEATURES
    "alignment": 1.04,
    "weakest": 0.94,
    "type": 0.68,
    "unused": -2.30,
    "named": 8.62,
    "steps": 0.23,
    "backward": -3.22,
    "left over": -3.29,
    "solved": 6.0,  # not fitted: of wordings that were seen before, about one answer in a hundred was wrong
    "meaning": 3.51,
    "explained": 1.77,  # share of the words in no name it uses that are like a term of it
    "unexplained": -0.54,  # how many of these words are not, 3 for more
    "unsaid": -1.59,  # how little any word says the least said of several steps
    "detour": -1.65,  # steps to things of another kind that no word says
    "misfit": -2.59,  # how much nearer other things of the graph are to the kind that is asked for
    "lead": 1.76,  # how far it scores above the best of the readings after it
    "tried": 0.23,  # log of 1 and the readings before it that found nothing
}
"""One a sign; fitted, as the intercept, on training questions and false premises by benchmarks/confidence.py.

Before tables were read: of these it is surer than it should be."""
INTERCEPT = -13.93
SIGNS = tuple(WEIGHTS)
MIN_CONFIDENCE = 0.2  # the greatest that costs no training set more than 1.5 points of hits@1, in that benchmark
_FOR_ORDER_ALONE = frozenset(["return", "head"])
"""Features that tell readings of one question apart, but not a right one from a wrong one of another: with them, sets
that the fit had not seen were calibrated worse."""
_A_NAME, _NO_NAME = 0.92, 0.7  # link scores of a clear name, also of a question that names none, and of hardly one


def signs(scored: Scored, *, after: Sequence[float], tried: int) -> tuple[float, ...]:
    """One number a sign; ``after`` are the scores of the readings not run yet, ``tried`` how many found nothing."""
    features = {
        name: float(of) for name, of in zip(FEATURES, scored.features, strict=True) if name not in _FOR_ORDER_ALONE
    }
    features["unused"] = min(1.0, features["unused"])
    features["named"] = _named(scored.sketch)
    return (
        *features.values(),
        scored.explained,
        float(min(scored.unexplained, 3)),
        scored.unsaid,
        scored.detour,
        scored.misfit,
        max(0.0, min(0.5, scored.score - max(after, default=0.0))),
        log(1 + tried),
    )


def _named(sketch: Sketch | Table) -> float:
    """How surely the names it uses are names; a value is what is written, whoever else has the name."""
    scores = [_A_NAME if anchor.candidate.value else anchor.candidate.score for anchor in sketch.anchors()]
    return max(_NO_NAME, sum(scores) / len(scores)) if scores else _A_NAME


def probability(of: Sequence[float]) -> float:
    """The probability that the answer of a plan with these signs is right."""
    return 1 / (1 + exp(-INTERCEPT - sum(w * sign for w, sign in zip(WEIGHTS.values(), of, strict=True))))


def unsure(confidence: float, *, least: float) -> str:
    """Why an answer is not given, as a reason that a person reads."""
    return (
        f"what it has nearest to the question is too unlikely to be the answer "
        f"({confidence:.0%} sure, at least {least:.0%} is asked for)"
    )
