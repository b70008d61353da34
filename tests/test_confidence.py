"""An answer that is likely wrong is not given: false premises are refused, their true twins answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgllm import Answer, Assistant
from kgllm.confidence import MIN_CONFIDENCE, SIGNS, probability, signs, unsure
from kgllm.errors import SettingsError
from kgllm.features import FEATURES, Scored
from kgllm.settings import Settings, read_settings
from kgllm.sketch import Sketch

FEATURE = {"coverage": 1.0, "alignment": 1.0, "weakest": 1.0, "type": 1.0, "unused": 0.0, "named": 0.5, "steps": 1.0}
FEATURE |= {"backward": 0.0, "left over": 0.0, "return": 0.0, "head": 0.0, "solved": 0.0, "meaning": 0.8}


def scored(**features: float) -> Scored:
    """A reading that every word bears out, but for what is given."""
    of = FEATURE | {name.replace("_", " "): value for name, value in features.items()}
    array = np.array([of[name] for name in FEATURES])
    return Scored(Sketch(), array, explained=1.0, unexplained=0, unsaid=0.0, detour=0.0, misfit=0.0)


SCORED = scored()
FALSE_PREMISES = """
When did Ada Lovelace walk on the Moon?
Which rocket launched Ada Lovelace?
Who commanded Ada Lovelace?
Did Ada Lovelace fly on Apollo 11?
When was Yuri Gagarin launched?
What is the mass of Neil Armstrong?
Where was Apollo 11 born?
Who was the father of Neil Armstrong?
What is the birth date of Apollo 13?
Where did Valentina Tereshkova land on the Moon?
Which mission did Saturn V command?
Who married Buzz Aldrin?
How many children did John Glenn have?
When did Saturn V die?
Which planet did Gemini 4 visit?
What was the salary of Jim Lovell?
Who directed Apollo 13?
Which book did Yuri Gagarin write?
When did Sally Ride walk on the Moon?
Which rocket launched Houston?
Where was the Saturn V born?
What is the population of Ohio?
Who is the president of the Soviet Union?
Which university did Vostok 1 attend?
What did Neil Armstrong eat on Apollo 11?
When was Neil Armstrong married?
Which crew members does Ohio have?
Who commanded the Hubble Space Telescope?
What is the launch date of Buzz Aldrin?
Where did Gemini 4 land on the Moon?
Who walked on Mars?
Which missions serviced Neil Armstrong?
How tall is Buzz Aldrin?
What colour is the Saturn V?
Who did Alexei Leonov marry?
When did Apollo 11 graduate?
What is the capital of Ohio?
Which spacecraft did Ada Lovelace build?
Who was the wife of Yuri Gagarin?
What is the mass of Ohio?
What is the landing site of Vostok 1?
Who was born on Apollo 11?
Which award did Gene Kranz win?
Who was the cook on Apollo 11?
""".strip().splitlines()
TWINS = {
    "When was Yuri Gagarin launched?": "When was Vostok 1 launched?",
    "Which rocket launched Ada Lovelace?": "Which rocket launched Gemini 4?",
    "Where was Apollo 11 born?": "Where was Neil Armstrong born?",
    "What is the mass of Neil Armstrong?": "What is the mass of the Saturn V?",
    "Who walked on Mars?": "Who walked on the Moon?",
}


@pytest.fixture
def careless(demo: Assistant) -> Iterator[Assistant]:
    """The demo, answering whatever it finds."""
    demo.min_confidence = 0.0
    yield demo
    demo.min_confidence = MIN_CONFIDENCE


def settings(given: dict[str, Any], environment: dict[str, str], folder: Path) -> Settings:
    return read_settings(
        {key: (value, "--min-confidence") for key, value in given.items()},
        environment=environment,
        folder=folder,
        user_folder=folder / "user",
        cache_dir=folder,
    )


# The probability


def test_a_plan_has_every_sign_that_has_a_weight() -> None:
    assert set(FEATURES) - set(SIGNS) == {"return", "head"}
    assert len(signs(SCORED, after=[], tried=0)) == len(SIGNS)


def test_it_falls_with_every_sign_of_doubt() -> None:
    sure = probability(signs(SCORED, after=[1.0], tried=0))
    for doubtful in (
        replace(SCORED, unsaid=1.0),
        replace(SCORED, detour=1.0),
        replace(SCORED, misfit=1.0),
        replace(SCORED, explained=0.5, unexplained=2),
        scored(coverage=0.6),
        scored(unused=0.9),
        scored(left_over=0.5),
        scored(meaning=0.2),
    ):
        assert probability(signs(doubtful, after=[1.0], tried=0)) < sure
    assert probability(signs(SCORED, after=[SCORED.score], tried=0)) < sure


@given(st.lists(st.floats(-1, 3), min_size=len(SIGNS), max_size=len(SIGNS)))
def test_it_is_a_probability(of: list[float]) -> None:
    assert 0 <= probability(of) <= 1


def test_a_question_of_classes_is_not_less_sure_for_naming_no_node() -> None:
    named = dict(zip(SIGNS, signs(SCORED, after=[], tried=0), strict=True))["named"]
    assert named > FEATURE["named"]


# The threshold


def test_of_false_premises_nine_in_ten_are_refused(demo: Assistant) -> None:
    answered = [question for question in FALSE_PREMISES if not demo.ask(question).abstained]
    assert len(answered) <= len(FALSE_PREMISES) / 10, answered


@pytest.mark.parametrize("question", TWINS)
def test_a_false_premise_is_refused_and_its_true_twin_answered(demo: Assistant, question: str) -> None:
    refused, answered = demo.ask(question), demo.ask(TWINS[question])
    assert (refused.abstained, refused.results, refused.claims) == (True, [], ())
    assert not answered.abstained
    assert refused.confidence < MIN_CONFIDENCE <= answered.confidence


def test_a_refusal_says_in_words_that_it_is_too_unsure_and_what_was_looked_for(demo: Assistant) -> None:
    answer = demo.ask("When was Yuri Gagarin launched?")
    assert answer.reason == unsure(answer.confidence, least=MIN_CONFIDENCE)
    assert "Looked for: " in answer.text
    assert "launch date" in answer.text.lower()
    assert "1961" not in answer.text


def test_what_is_refused_is_answered_where_any_confidence_will_do(careless: Assistant) -> None:
    answer = careless.ask("When was Yuri Gagarin launched?")
    assert [str(term) for term in answer.results] == ["1961-04-12"]
    assert answer.confidence < MIN_CONFIDENCE


def test_where_certainty_is_asked_for_nothing_is_answered(careless: Assistant) -> None:
    careless.min_confidence = 1.0
    answer: Answer = careless.ask("Who commanded Apollo 11?")
    assert answer.abstained
    assert answer.confidence > 0.9


# The setting


def test_the_option_comes_before_the_variable_and_that_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "kgllm.toml").write_text("min_confidence = 0.1\n")
    variable = {"KGLLM_MIN_CONFIDENCE": "0.2"}
    assert settings({}, {}, tmp_path).min_confidence == 0.1
    assert settings({}, variable, tmp_path).min_confidence == 0.2
    assert settings({"min_confidence": 0.0}, variable, tmp_path).min_confidence == 0.0


def test_the_default_is_that_of_the_benchmark(tmp_path: Path) -> None:
    assert settings({}, {}, tmp_path).min_confidence == MIN_CONFIDENCE


@pytest.mark.parametrize("value", ["1.1", "-0.1", "sure", "nan"])
def test_what_is_no_probability_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match="a number from 0 to 1"):
        settings({}, {"KGLLM_MIN_CONFIDENCE": value}, tmp_path)
