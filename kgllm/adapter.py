"""The adapter: what the vectors of descriptions learn from the graph that they describe, with no label by a person.

An embedder was trained on texts of every kind. The graph itself tells two things more: which name goes with which
description, and which like things are neighbours: a class and its superclass, a term and a broader one. From the names
a square matrix is learned, near to the identity, that draws every name to its own description and away from those of
others (the contrastive loss of van den Oord, Li and Vinyals, 2018, with the other descriptions of a batch as
negatives); descriptions and questions both go through it. Then a part of its neighbours' vectors is added to that of
each description, as graph convolutions do (Wu and others, "Simplifying Graph Convolutional Networks", 2019).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kgllm.protocols import Vectors

__all__ = ["ENOUGH_PAIRS", "MOST_PAIRS", "adapted", "draw_together", "with_neighbours"]

ENOUGH_PAIRS = 2_000  # of a name and a description; fewer teach nothing (benchmarks/search.py)
MOST_PAIRS = 5_000  # four times as many find a hundredth more
_EPOCHS = 5
_BATCH = 512
_TEMPERATURE = 0.05
_STEP = 1e-3
_DECAY = 0.02  # pull back to the identity
_NEIGHBOURS_PART = 0.35  # between 0.2 and 0.5 it makes no difference


def draw_together(names: Vectors, descriptions: Vectors) -> Vectors:
    """The matrix, shape (d, d), under which each name is nearest to its own description.

    Both have a unit vector a row, shape (n, d), the same row for the same node. Trained by Adam (Kingma and Ba, 2015),
    always in the same order, in seconds for 5,000 pairs.
    """
    dimension = names.shape[1]
    change = np.zeros((dimension, dimension), dtype=np.float32)
    mean, square, steps = np.zeros_like(change), np.zeros_like(change), 0
    random = np.random.default_rng(0)
    for _ in range(_EPOCHS):
        order = random.permutation(len(names))
        for start in range(0, len(names) - 1, _BATCH):
            batch = order[start : start + _BATCH]
            slope = _slope(change, names[batch], descriptions[batch])
            steps += 1
            mean = 0.9 * mean + 0.1 * slope
            square = 0.999 * square + 0.001 * slope**2
            change -= _STEP * (mean / (1 - 0.9**steps)) / (np.sqrt(square / (1 - 0.999**steps)) + 1e-8)
    return np.eye(dimension, dtype=np.float32) + change


def _slope(change: Vectors, names: Vectors, descriptions: Vectors) -> Vectors:
    """The derivative of a batch's loss by the change of the matrix."""
    moved_names, name_lengths = _unit(names + names @ change)
    moved, lengths = _unit(descriptions + descriptions @ change)
    cosines = moved_names @ moved.T / _TEMPERATURE
    own = np.eye(len(names), dtype=np.float32)
    errors: Vectors = (_softmax(cosines) + _softmax(cosines.T).T - 2 * own) / (2 * len(names) * _TEMPERATURE)
    by_names = _before_unit(errors @ moved, moved_names, name_lengths)
    by_descriptions = _before_unit(errors.T @ moved_names, moved, lengths)
    slope: Vectors = names.T @ by_names + descriptions.T @ by_descriptions + _DECAY * change
    return slope


def _before_unit(slope: Vectors, unit: Vectors, lengths: Vectors) -> Vectors:
    """The derivative by vectors, from that by the unit vectors that they give."""
    before: Vectors = (slope - unit * (slope * unit).sum(axis=1, keepdims=True)) / lengths
    return before


def _softmax(rows: Vectors) -> Vectors:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    shares: Vectors = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _unit(vectors: Vectors) -> tuple[Vectors, Vectors]:
    """Rows of length 1, and the lengths they had, shape (n, 1); a zero row stays one."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return vectors / lengths, lengths


def adapted(vectors: Vectors, matrix: Vectors) -> Vectors:
    """Unit vectors, shape (n, d), as the matrix has them."""
    return _unit(vectors @ matrix)[0]


def with_neighbours(vectors: Vectors, edges: NDArray[np.int64]) -> Vectors:
    """Unit vectors, shape (n, d), each drawn to the middle of its neighbours'.

    ``edges`` has a pair of rows a line, shape (m, 2), each counted both ways; a row without any stays as it is.
    """
    from scipy.sparse import csr_array

    ends = np.concatenate([edges, edges[:, ::-1]]).T
    joined = csr_array((np.ones(ends.shape[1], dtype=np.float32), ends), shape=(len(vectors), len(vectors)))
    sums: Vectors = joined @ vectors
    return _unit(vectors + _NEIGHBOURS_PART * _unit(sums)[0])[0]
