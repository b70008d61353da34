"""Compare: whether one run over the same questions is better than another, beyond chance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kgllm.errors import InputError
from kgllm.questions import opened
from kgllm.terms import clean

__all__ = ["MEASURES", "compare"]

MEASURES = ("hits@1", "f1", "exact", "abstained", "wrong")
_RESAMPLES = 9_999
_BATCH = 200  # resamples at a time, so that memory does not grow with their number


def compare(one: Path, other: Path, *, seed: int = 0) -> dict[str, Any]:
    """How two files of predictions (``kgllm eval --out``) differ, in what ``kgllm eval --compare --json`` prints.

    Questions are paired by ``id``; ``n`` are in both files, ``left_out`` in one alone. For each of ``MEASURES`` the
    means ``a`` and ``b``, their ``difference`` b − a with a 95 % ``interval`` (percentile bootstrap over questions),
    how many questions are ``greater`` and ``less`` in b, and ``p``: the two-sided probability of such a difference if
    it were chance which run gave which score. That is McNemar's test in its exact form where all scores are 0 or 1,
    and else a randomisation of the signs of the differences (Dror et al., The Hitchhiker's Guide to Testing
    Statistical Significance in Natural Language Processing, ACL 2018).

    Raises ``InputError`` for files that have no question in common, or a line without scores.
    """
    a, b = _scores(one), _scores(other)
    shared = [name for name in a if name in b]
    if not shared:
        raise InputError(f"{one} and {other} have no question in common", why="questions are paired by their id")
    return {
        "n": len(shared),
        "left_out": len(a) + len(b) - 2 * len(shared),
        **{m: _difference([a[q][m] for q in shared], [b[q][m] for q in shared], seed) for m in MEASURES},
    }


def _difference(a: Sequence[float], b: Sequence[float], seed: int) -> dict[str, Any]:
    import numpy as np
    from scipy import stats

    difference = np.subtract(b, a)
    greater, less = int((difference > 0).sum()), int((difference < 0).sum())
    low = high = float(difference.mean())
    p = 1.0
    if greater or less:
        resampling = {"n_resamples": _RESAMPLES, "batch": _BATCH, "rng": np.random.default_rng(seed)}
        if len(difference) > 1:
            found = stats.bootstrap((difference,), np.mean, method="percentile", **resampling).confidence_interval
            low, high = float(found.low), float(found.high)
        if set(a) | set(b) <= {0, 1}:
            p = float(stats.binomtest(greater, greater + less).pvalue)
        else:
            p = float(stats.permutation_test((difference,), np.mean, permutation_type="samples", **resampling).pvalue)
    return {
        "a": round(float(np.mean(a)), 4),
        "b": round(float(np.mean(b)), 4),
        "difference": round(float(difference.mean()), 4),
        "interval": [round(low, 4), round(high, 4)],
        "greater": greater,
        "less": less,
        "p": round(p, 4),
    }


def _scores(file: Path) -> dict[str, Mapping[str, float]]:
    """The scores of each question of a file of predictions, by its id."""
    found: dict[str, Mapping[str, float]] = {}
    with opened(file) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                name, scores = _prediction(line, f"{file}:{number}")
                found[name] = scores
    return found


def _prediction(line: str, place: str) -> tuple[str, Mapping[str, float]]:
    try:
        item = json.loads(line)
        scores = item["scores"]
        return json.dumps(item["id"]), {measure: float(scores[measure]) for measure in MEASURES}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{place}: no prediction with its scores",
            why=clean(f"{type(error).__name__}: {error}"),
            try_next="kgllm eval QUESTIONS.jsonl --out FILE writes them",
        ) from None
