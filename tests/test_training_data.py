"""What a language model learns from: the prompts that the planner sends, with the right plans."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from kgllm import Assistant
from kgllm.errors import BackendError
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.protocols import Message
from kgllm.query_json import parse_query
from kgllm.questions import Gold, Question
from kgllm.similarity import Vocabulary
from kgllm.terms import Literal, URIRef
from kgllm.testing import ScriptedModel
from kgllm.tuning.sparql_to_query import compiled
from kgllm.tuning.training_data import Reader, TrainingExample, training_examples

EX = "http://example.org/spaceflight/"
QUESTION = "Who commanded Apollo 11?"


@pytest.fixture(scope="module")
def planner(demo: Assistant) -> EmbeddedPlanner:
    return EmbeddedPlanner(Vocabulary(demo.index))


def query(demo: Assistant, text: str) -> str:
    """With the names of nodes for their IRIs."""
    for label in re.findall("«(.*?)»", text):
        iri = next(hit.iri for hit in demo.index.search(label, k=8) if demo.index.label(hit.iri) == label)
        text = text.replace(f"«{label}»", f"<{iri}>")
    return text


def learned(
    planner: EmbeddedPlanner, text: str, sparql: str | None, *gold: Any, context: int = 2_048
) -> TrainingExample | None:
    (found,) = training_examples([Question(1, text, Gold(tuple(gold)), sparql=sparql)], planner, Reader(context))
    return found


def test_the_gold_query_is_the_plan_and_the_prompt_is_the_one_that_is_sent(
    demo: Assistant, planner: EmbeddedPlanner
) -> None:
    class SmallModel(ScriptedModel):
        def context_length(self) -> int:
            return 2_048

    sparql = query(demo, "SELECT ?who WHERE { «Apollo 11» «commander» ?who }")
    example = learned(planner, QUESTION, sparql)
    assert example is not None
    model = SmallModel([json.loads(example.plan)])
    answer = Assistant(demo.workspace, model=model).ask(QUESTION)
    assert tuple(model.conversations[0]) == example.prompt
    assert "Neil Armstrong" in answer.text


def test_a_model_with_room_learns_from_the_whole_prompt(demo: Assistant, planner: EmbeddedPlanner) -> None:
    sparql = query(demo, "SELECT ?who WHERE { «Apollo 11» «commander» ?who }")
    model = ScriptedModel([None] * 3)
    Assistant(demo.workspace, model=model).ask(QUESTION)
    example = learned(planner, QUESTION, sparql, context=16_384)
    assert example is not None
    assert example.prompt == tuple(model.conversations[0])
    assert "You turn a question into a graph pattern" in example.prompt[0].content


def test_an_answer_without_a_query_is_learned_from_the_reading_that_gives_it(
    demo: Assistant, planner: EmbeddedPlanner
) -> None:
    sparql = query(demo, "SELECT ?who WHERE { «Apollo 11» «commander» ?who }")
    (gold,) = [row[0] for row in demo.query(sparql).rows]
    by_answer = learned(planner, QUESTION, None, gold)
    assert by_answer is not None
    assert by_answer == learned(planner, QUESTION, sparql)
    assert learned(planner, QUESTION, None, URIRef(EX + "nobody")) is None


def test_an_answer_given_by_its_name_is_met_by_the_node_of_that_name(demo: Assistant, planner: EmbeddedPlanner) -> None:
    sparql = query(demo, "SELECT ?who WHERE { «Apollo 11» «commander» ?who }")
    (by_name,) = training_examples(
        [Question(1, QUESTION, Gold((Literal("Neil Armstrong"),), names=True))], planner, Reader(2_048)
    )
    assert by_name is not None
    assert by_name == learned(planner, QUESTION, sparql)
    assert learned(planner, QUESTION, None, Literal("Neil Armstrong")) is None


@pytest.mark.parametrize(
    "unread",
    [
        "SELECT ?y { ex:nowhere :spouse ?y }",
        "SELECT nonsense",
        "SELECT ?x WHERE { SERVICE <http://example.org/> { ?x ?y ?z } }",
    ],
)
def test_a_gold_query_that_cannot_be_read_leaves_the_reading_that_gives_the_gold(
    demo: Assistant, planner: EmbeddedPlanner, unread: str
) -> None:
    sparql = query(demo, "SELECT ?who WHERE { «Apollo 11» «commander» ?who }")
    gold = Gold(tuple(row[0] for row in demo.query(sparql).rows if row[0] is not None))
    (example,) = training_examples([Question(1, QUESTION, gold, sparql=unread)], planner, Reader(2_048))
    assert example is not None
    assert example == learned(planner, QUESTION, sparql)


def test_what_is_too_long_for_the_model_is_left_out(demo: Assistant, planner: EmbeddedPlanner) -> None:
    sparql = query(demo, "SELECT ?who WHERE { «Apollo 11» «commander» ?who }")
    asked = [Question(1, QUESTION, Gold(()), sparql=sparql)]

    def taken(per_text: int) -> bool:
        (example,) = training_examples(asked, planner, Reader(2_048, lambda said: per_text * len(said)))
        return example is not None

    assert taken(100)
    assert not taken(300)  # of a plan
    assert not taken(1_000)  # of the prompt


def test_what_has_no_handle_in_the_prompt_or_no_plan_is_left_out(demo: Assistant, planner: EmbeddedPlanner) -> None:
    elsewhere = query(demo, "SELECT ?x WHERE { «Apollo 11» «commander» ?x }")
    assert learned(planner, "Who was it?", elsewhere) is None
    assert learned(planner, QUESTION, "SELECT ?x WHERE { SERVICE <http://example.org/> { ?x ?y ?z } }") is None


def test_a_number_is_learned_by_its_value(demo: Assistant, planner: EmbeddedPlanner) -> None:
    text = "Which launch vehicles have a mass over 100000?"
    given = query(demo, "SELECT ?x WHERE { ?x «mass (kg)» ?m . FILTER(?m > 100000.0) }")
    example = learned(planner, text, given)
    assert example is not None
    handle = json.loads(example.plan)["plan"]["where"][-1]["to"]
    assert f"{handle} 100000 (integer)" in example.prompt[1].content


def test_one_prompt_has_the_plan_that_is_right_for_most_of_its_questions(
    demo: Assistant, planner: EmbeddedPlanner
) -> None:
    missions = ("Apollo 11", "Apollo 12", "Apollo 14")
    relations = ("crew member", "crew member", "commander")  # the commoner plan finds the other two astronauts as well

    def asked(answered_by: str) -> list[Question]:
        found = []
        for mission, relation in zip(missions, relations, strict=True):
            sparql, right = (
                query(demo, f"SELECT ?x WHERE {{ «{mission}» «{name}» ?x }}") for name in (relation, answered_by)
            )
            gold = tuple(row[0] for row in demo.query(right).rows if row[0] is not None)
            found.append(Question(1, f"Who commanded {mission}?", Gold(gold), sparql=sparql))
        return found

    def properties(answered_by: str) -> set[str]:
        found = training_examples(asked(answered_by), planner, Reader(2_048))
        assert len({example.prompt for example in found if example}) == 1
        handles = {json.loads(example.plan)["plan"]["where"][0]["p"] for example in found if example}
        told = found[0].prompt[0].content.splitlines()[0].split(", ") if found[0] else []
        return {entry.partition(" ")[2] for entry in told if entry.partition(" ")[0] in handles}

    assert properties("commander") == {"commander"}
    assert properties("crew member") == {"crew member"}


def test_a_class_is_learned_for_those_below_it(demo: Assistant, planner: EmbeddedPlanner) -> None:
    text = "Which missions were launched by Saturn V?"
    parent = next(iri for iri in planner.ontology.classes if planner.ontology.label(iri) == "mission")
    below = " ".join(f"<{iri}>" for iri in planner.ontology.populated(parent))
    example = learned(planner, text, f"SELECT ?x WHERE {{ ?x a ?kind . VALUES ?kind {{ {below} }} }}")
    assert example is not None
    assert len(json.loads(example.plan)["plan"]["where"]) == 1


def test_the_json_of_an_example_is_a_conversation(demo: Assistant, planner: EmbeddedPlanner) -> None:
    example = TrainingExample((Message("system", "a"), Message("user", "b")), '{"plan":{}}')
    assert example.to_json() == {
        "prompt": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}],
        "completion": [{"role": "assistant", "content": '{"plan":{}}'}],
    }


def test_a_plan_says_what_its_query_says(demo: Assistant, planner: EmbeddedPlanner) -> None:
    sparql = query(demo, "SELECT (COUNT(?who) AS ?n) WHERE { «Apollo 11» «commander» ?who }")
    (example,) = training_examples([Question(1, QUESTION, Gold(()), sparql=sparql)], planner, Reader(2_048))
    assert example is not None
    from tests.test_compact import planning

    read = parse_query(json.loads(example.plan)["plan"], planning(planner)[0].handles, planner.ontology)
    assert demo.query(read.to_sparql()).rows == demo.query(compiled(sparql).to_sparql()).rows


def test_nothing_can_be_asked_of_a_model_that_is_not_trained() -> None:
    with pytest.raises(BackendError, match="cannot be asked"):
        Reader(10).complete([[Message("user", "?")]], schema={}, max_tokens=1)
    with pytest.raises(BackendError, match="cannot be asked"):
        next(Reader(10).stream([Message("user", "?")], schema={}, max_tokens=1))
