"""Alignment: which word of a question says which step of a path, read outward from what the path starts at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal as OneOfStrings
from typing import TypeAlias

from kgllm.protocols import Vectors

__all__ = ["Alignment", "Side", "outward"]

_OUT_OF_ORDER = 0.8

Side: TypeAlias = OneOfStrings["left", "right"]
Alignment: TypeAlias = tuple[tuple[float, int | None], ...]


def outward(
    rows: Sequence[Vectors], left: Sequence[int], right: Sequence[int], *, first: Side | None = None
) -> Alignment:
    """For each step a word and its similarity when steps take words in order, each side of the anchor read outward.

    ``rows`` are the steps' similarities to all words; ``left`` and ``right`` the numbers of the words on either side,
    nearest first; no step takes one on the side that is ``first`` after one on the other. One word serves one step.
    Steps that can be said only out of order count for less.
    """

    def ordered(step: int, i: int, j: int) -> tuple[float, Alignment]:
        if step == len(rows):
            return 0.0, ()
        total, rest = ordered(step + 1, i, j)
        best: tuple[float, Alignment] = (total, ((0.0, None), *rest))
        for side, start in ((left, i), (right, j)):
            if (first == "left" and side is left and j) or (first == "right" and side is right and i):
                continue
            for place in range(start, len(side)):
                if (similarity := float(rows[step][side[place]])) > 0.1:
                    total, rest = ordered(step + 1, place + 1, j) if side is left else ordered(step + 1, i, place + 1)
                    if similarity + total > best[0]:
                        best = (similarity + total, ((similarity, side[place]), *rest))
        return best

    def free(step: int, taken: frozenset[int]) -> tuple[float, Alignment]:
        if step == len(rows):
            return 0.0, ()
        total, rest = free(step + 1, taken)
        best: tuple[float, Alignment] = (total, ((0.0, None), *rest))
        for number in [*left, *right]:
            if number not in taken and (similarity := _OUT_OF_ORDER * float(rows[step][number])) > 0.1:
                total, rest = free(step + 1, taken | {number})
                if similarity + total > best[0]:
                    best = (similarity + total, ((similarity, number), *rest))
        return best

    return max(ordered(0, 0, 0), free(0, frozenset()), key=lambda found: found[0])[1]
