"""The probability that a plan's answer is right, from what the planner knows when it proposes the plan."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

from kgllm.scoring import FEATURES, Scored

__all__ = ["COEFFICIENTS", "MIN_CONFIDENCE", "SIGNS", "probability", "signs", "unsure"]

SIGNS = (
    *FEATURES,
    "explained",  # share of the words in no name it uses that are like a term of it
    "unexplained",  # how many of these words are not, 3 for more
    "detour",  # steps to things of another kind that no word says
    "lead",  # how far it scores above the best of the readings after it
    "behind",  # how far it scores below the best of all
    "tried",  # log of 1 and the readings before it that found nothing
)
COEFFICIENTS = (0.0,) * (1 + len(SIGNS))
MIN_CONFIDENCE = 0.0
_NAMES_NOTHING = 0.92  # a question of classes alone is as sure of its names as a clear name is


def signs(scored: Scored, *, before: Sequence[float], after: Sequence[float]) -> tuple[float, ...]:
    """One number a sign; ``before`` are the scores of the readings that found nothing, ``after`` of those not run."""
    features = dict(zip(FEATURES, map(float, scored.features), strict=True))
    if not any(scored.sketch.anchors()):
        features["named"] = _NAMES_NOTHING
    return (
        *features.values(),
        scored.explained,
        float(min(scored.unexplained, 3)),
        scored.detour,
        max(0.0, min(0.5, scored.score - max(after, default=0.0))),
        max(before, default=scored.score) - scored.score,
        log(1 + len(before)),
    )


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
