"""What is known of a reading before it runs, as numbers, and how much each of them tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgllm.sketch import Sketch
from kgllm.tables.table import Table

__all__ = ["FEATURES", "WEIGHTS", "Scored"]

FEATURES = (
    "coverage",  # share of the question's words that a step, a class or a name accounts for
    "alignment",  # mean similarity of the steps to a word of their own
    "weakest",  # that of the least similar step
    "type",  # whether the answer is of the kind that the wording asks for
    "unused",  # names in the question that the sketch leaves out
    "named",  # how surely the names it uses are names
    "steps",
    "backward",  # relations between things of one kind, walked against their direction
    "left over",  # share of the words that name a class or relation but were given no step or place of their own
    "return",  # ways back by the relation that led there, so far as no word says them
    "head",  # how much nearer the noun that is asked for is to other terms than to what the answer is, in [0, 1]
    "solved",  # how often a reading of its shape was right for this wording, of questions whose answers were known
    "meaning",  # similarity of the whole, in words, to the question
)
WEIGHTS = np.array([0.5, 0.47, 0.2, 0.3, -0.6, 0.12, -0.01, -0.29, -0.65, -0.2, -0.2, 0.4, 0.75], dtype=np.float64)
"""One a feature; fitted on training questions by benchmarks/planner.py, but for "unused": many names in those questions
are common words, so the fit sets too little by a name. With the others as they were, "left over", "return" and "head"
were then set to the round numbers that served the same questions best: a fit of all suits the sets that it sees."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A sketch with its features, shape (len(FEATURES),); the meaning is 0 until ``add_meaning``.

    Of the question's words that are in no name it uses, ``explained`` is the share that are like a term of the sketch,
    and ``unexplained`` how many are not. ``unsaid`` in [0, 1] is how little any word says the least said of several
    steps. ``detour`` counts the steps to things of another kind that no word says.
    ``misfit`` in [0, 1] is how much nearer other things of the graph are to the kind that is asked for.
    """

    sketch: Sketch | Table
    features: NDArray[np.float64]
    explained: float
    unexplained: int
    unsaid: float
    detour: float
    misfit: float

    @classmethod
    def of(cls, table: Table, features: Mapping[str, float], *, explained: float, unexplained: int) -> Scored:
        """A table with some features, the others 0."""
        values = np.array([features.get(name, 0.0) for name in FEATURES], dtype=np.float64)
        return cls(table, values, explained, unexplained, unsaid=0.0, detour=0.0, misfit=0.0)

    @property
    def score(self) -> float:
        """Higher is better."""
        return float(self.features @ WEIGHTS)

    @property
    def fit(self) -> float:
        """How surely the words mean the steps, in [0, 1]: the mean of coverage, alignment and weakest alignment.

        Of a wording that was seen before, how often they meant them.
        """
        coverage, alignment, weakest = self.features[:3]
        sure = (coverage + alignment + weakest) / 3 - 0.5 * self.features[8]
        solved = self.features[FEATURES.index("solved")]
        return float(np.clip(max(solved, sure * (0.3 + 0.7 * self.explained)), 0.0, 1.0))
