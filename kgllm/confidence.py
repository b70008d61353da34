"""The probability that a plan's answer is right, from what the planner knows when it proposes the plan."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

from kgllm.scoring import FEATURES, Scored
from kgllm.sketch import Sketch

__all__ = ["INTERCEPT", "MIN_CONFIDENCE", "SIGNS", "WEIGHTS", "probability", "signs", "unsure"]

WEIGHTS = {
    "coverage": 2.63,  # this and the next nine: kgllm.scoring.FEATURES
    "alignment": 1.57,
    "weakest": 1.44,
    "type": 0.36,
    "unused": -1.54,
    "named": 7.28,
    "steps": 0.10,
    "backward": -2.52,
    "left over": -3.34,
    "stretch": 0.0,
    "return": 0.0,
    "head": 0.0,
    "meaning": 4.48,
    "explained": 2.63,  # share of the words in no name it uses that are like a term of it
    "unexplained": -0.42,  # how many of these words are not, 3 for more
    "detour": -2.33,  # steps to things of another kind that no word says
    "misfit": -1.51,  # how much nearer other things of the graph are to the kind that is asked for
    "lead": 3.50,  # how far it scores above the best of the readings after it
    "tried": 0.72,  # log of 1 and the readings before it that found nothing
}
"""One a sign; fitted, as the intercept, on training questions and false premises by benchmarks/confidence.py."""
INTERCEPT = -16.81
SIGNS = tuple(WEIGHTS)
MIN_CONFIDENCE = 0.21  # about the greatest that costs no training set more than 1.5 points of hits@1, in that benchmark
_A_NAME, _NO_NAME = 0.92, 0.7  # link scores of a clear name, also of a question that names none, and of hardly one


def signs(scored: Scored, *, after: Sequence[float], tried: int) -> tuple[float, ...]:
    """One number a sign; ``after`` are the scores of the readings not run yet, ``tried`` how many found nothing."""
    features = dict(zip(FEATURES, map(float, scored.features), strict=True))
    features["unused"] = min(1.0, features["unused"])
    features["named"] = _named(scored.sketch)
    return (
        *features.values(),
        scored.explained,
        float(min(scored.unexplained, 3)),
        scored.detour,
        scored.misfit,
        max(0.0, min(0.5, scored.score - max(after, default=0.0))),
        log(1 + tried),
    )


def _named(sketch: Sketch) -> float:
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
