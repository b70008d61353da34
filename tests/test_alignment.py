"""Each step is said by a word of its own, read outward from the name that the path starts at."""

from __future__ import annotations

import numpy as np

from kgllm.alignment import outward

# "the films directed by the director of X starred who": directed 0, director 1, starred 2
DIRECTED, STARRED = np.array([1.0, 0.9, 0.2]), np.array([0.2, 0.2, 1.0])
LEFT, RIGHT = [1, 0], [2]


def words(*steps: np.ndarray, first: str | None = None) -> list[int | None]:
    return [word for _, word in outward(list(steps), LEFT, RIGHT, first=first)]  # type: ignore[arg-type]


def test_steps_take_the_words_nearest_to_the_name_first() -> None:
    assert words(DIRECTED, DIRECTED, STARRED) == [1, 0, 2]


def test_without_grammar_either_side_may_come_first() -> None:
    assert words(STARRED, DIRECTED, DIRECTED) == [2, 1, 0]


def test_the_side_that_is_first_is_read_before_the_other() -> None:
    def said(*steps: np.ndarray) -> float:
        return sum(similarity for similarity, _ in outward(list(steps), LEFT, RIGHT, first="left"))

    assert said(DIRECTED, DIRECTED, STARRED) > said(STARRED, DIRECTED, DIRECTED)


def test_a_word_serves_one_step() -> None:
    taken = [word for word in words(STARRED, STARRED) if word is not None]
    assert len(taken) == len(set(taken))
