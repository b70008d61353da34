"""Candidates in the order in which they go with a question, as a model says that reads both together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kgllm.protocols import Reranker
from kgllm.terms import URIRef

__all__ = ["best_first"]


def best_first(question: str, candidates: Mapping[URIRef, str], *, reranker: Reranker) -> list[URIRef]:
    """The IRIs of some candidates, those first whose text goes best with the question; equals in their given order.

    Raises ``ModelServerError`` as the reranker does.
    """
    scores = reranker.scores(question, list(candidates.values()))
    iris = list(candidates)
    return [iris[row] for row in np.argsort(-scores, kind="stable")]
