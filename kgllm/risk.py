"""The risk-coverage curve: how often answers are wrong if only the surest share of the questions is answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

__all__ = ["risk_coverage"]

_STEPS = 10


def risk_coverage(answered: Sequence[tuple[float, bool]], asked: int) -> dict[str, Any]:
    """The curve of the answers, each with its confidence and whether it is wrong, of so many questions ``asked``.

    Coverage is the share of the questions that are answered, risk the share of wrong among the answered (El-Yaniv and
    Wiener, On the Foundations of Noise-free Selective Classification, JMLR 2010; Geifman and El-Yaniv, Selective
    Classification for Deep Neural Networks, NIPS 2017). Where confidences tie, risk is its expectation under a random
    order. A question that was abstained from is never covered, so the curve ends at the share that was answered; its
    points are those at every tenth of coverage and the end, with the confidence of the least sure that is covered.
    ``aurc`` is the mean risk over the coverages 1/asked, 2/asked, … to the end; 0 where nothing was answered.

    >>> risk_coverage([(0.9, False), (0.2, True)], asked=2)["points"][-1]
    {'coverage': 1.0, 'risk': 0.5, 'threshold': 0.2}
    """
    wrong_by_confidence: dict[float, list[bool]] = defaultdict(list)
    for confidence, is_wrong in answered:
        wrong_by_confidence[confidence].append(is_wrong)
    risks: list[float] = []
    thresholds: list[float] = []
    wrong = 0
    for confidence in sorted(wrong_by_confidence, reverse=True):
        tied = wrong_by_confidence[confidence]
        share = sum(tied) / len(tied)
        for taken in range(1, len(tied) + 1):
            risks.append((wrong + taken * share) / (len(risks) + 1))
            thresholds.append(confidence)
        wrong += sum(tied)
    counts = {max(1, round(asked * step / _STEPS)) for step in range(1, _STEPS + 1)} | {len(risks)}
    points = [
        {"coverage": round(n / asked, 4), "risk": round(risks[n - 1], 4), "threshold": round(thresholds[n - 1], 4)}
        for n in sorted(counts)
        if 0 < n <= len(risks)
    ]
    return {"points": points, "aurc": round(sum(risks) / len(risks), 4) if risks else 0.0}
