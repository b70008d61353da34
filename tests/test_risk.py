"""The risk-coverage curve: the surest answers first, ties by expectation, and nobody covered who was not answered."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgllm.risk import risk_coverage

ANSWERS = st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.booleans()), max_size=6)


def points(answered: list[tuple[float, bool]], asked: int) -> list[tuple[float, float, float]]:
    return [(p["coverage"], p["risk"], p["threshold"]) for p in risk_coverage(answered, asked)["points"]]


def test_the_wrong_answer_that_was_least_sure_costs_the_last_tenth_alone() -> None:
    answered = [(1 - n / 10, n == 9) for n in range(10)]
    assert points(answered, 10)[-2:] == [(0.9, 0.0, 0.2), (1.0, 0.1, 0.1)]


def test_the_wrong_answer_that_was_most_sure_costs_from_the_first_on() -> None:
    answered = [(1 - n / 10, n == 0) for n in range(10)]
    assert points(answered, 10)[:2] == [(0.1, 1.0, 1.0), (0.2, 0.5, 0.9)]


def test_a_question_that_was_abstained_from_is_never_covered() -> None:
    assert points([(0.9, False)] * 5, 10)[-1] == (0.5, 0.0, 0.9)


def test_without_an_answer_there_is_no_curve() -> None:
    assert risk_coverage([], 3) == {"points": [], "aurc": 0.0}


def test_answers_that_are_equally_sure_have_the_same_risk_at_every_coverage() -> None:
    assert {risk for _, risk, _ in points([(0.5, n < 3) for n in range(10)], 10)} == {0.3}


def test_the_area_is_the_mean_risk() -> None:
    assert risk_coverage([(0.9, False), (0.8, True)], 2)["aurc"] == pytest.approx((0 + 1 / 2) / 2)


def mean_risk(wrong: list[bool]) -> float:
    return sum(sum(wrong[:n]) / n for n in range(1, len(wrong) + 1)) / len(wrong)


@given(ANSWERS.filter(bool))
def test_ties_are_worth_what_all_their_orders_are_on_average(answered: list[tuple[float, bool]]) -> None:
    orders = [o for o in permutations(answered) if [c for c, _ in o] == sorted((c for c, _ in o), reverse=True)]
    expected = sum(mean_risk([wrong for _, wrong in order]) for order in orders) / len(orders)
    assert risk_coverage(answered, len(answered))["aurc"] == pytest.approx(expected, abs=1e-4)


@given(ANSWERS)
def test_the_order_of_the_questions_does_not_matter(answered: list[tuple[float, bool]]) -> None:
    assert risk_coverage(answered, 6) == risk_coverage(answered[::-1], 6)
