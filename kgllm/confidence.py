"""The probability that a plan's answer is right, from what the planner knows when it proposes the plan."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

from kgllm.scoring import FEATURES, Scored
from kgllm.sketch import Sketch

__all__ = ["COEFFICIENTS", "MIN_CONFIDENCE", "SIGNS", "probability", "signs", "unsure"]

SIGNS = (
    *FEATURES,
    "explained",  # share of the words in no name it uses that are like a term of it
    "unexplained",  # how many of these words are not, 3 for more
    "detour",  # steps to things of another kind that no word says
    "misfit",  # how much nearer other things of the graph are to the kind that is asked for
    "lead",  # how far it scores above the best of the readings after it
    "tried",  # log of 1 and the readings before it that found nothing
)
COEFFICIENTS = (
    -16.81,
    2.63,
    1.57,
    1.44,
    0.36,
    -1.54,
    7.28,
    0.10,
    -2.52,
    -3.34,
    4.48,
    2.63,
    -0.42,
    -2.33,
    -1.51,
    3.50,
    0.72,
)
"""The intercept, then one a sign; fitted on training questions and false premises by benchmarks/confidence.py."""
MIN_CONFIDENCE = 0.2  # chosen there: the greatest that costs no training set more than 1.5 points of hits@1
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
    intercept, *weights = COEFFICIENTS
    return 1 / (1 + exp(-intercept - sum(w * sign for w, sign in zip(weights, of, strict=True))))


def unsure(confidence: float, *, least: float) -> str:
    """Why an answer is not given, as a reason that a person reads."""
    return (
        f"what it has nearest to the question is too unlikely to be the answer "
        f"({confidence:.0%} sure, at least {least:.0%} is asked for)"
    )
