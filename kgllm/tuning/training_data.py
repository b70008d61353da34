"""Training data: for each question the prompt that a model will get, and the plan that it should answer with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kgllm.answer import Answer
from kgllm.briefing import Briefing, brief
from kgllm.ceiling import read_gold
from kgllm.errors import BackendError, DeadlineError
from kgllm.evaluate import score
from kgllm.index import Index
from kgllm.link import Links, link
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.plan_form import as_planned
from kgllm.plan_model import ModelPlanning
from kgllm.protocols import Completion, Message, Progress
from kgllm.query import Query
from kgllm.query_json import parse_query, write_query
from kgllm.query_schema import Handles, PlanError
from kgllm.questions import Question
from kgllm.recall import recall
from kgllm.stages import PATIENCE_S, right_reading
from kgllm.tuning.sparql_to_query import compiled

__all__ = ["Reader", "TrainingExample", "training_examples"]

_TRIED = 20  # questions of one prompt for which its plans are tried


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A prompt and the JSON of its right plan, as a model under a schema writes it."""

    prompt: tuple[Message, ...]
    plan: str

    def to_json(self) -> dict[str, Any]:
        """As JSON data, in the form in which libraries take conversations."""
        said = [{"role": message.role, "content": message.content} for message in self.prompt]
        return {"prompt": said, "completion": [{"role": "assistant", "content": self.plan}]}

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> TrainingExample:
        """The one that was written so."""
        prompt = tuple(Message(message["role"], message["content"]) for message in content["prompt"])
        return cls(prompt, content["completion"][0]["content"])


class Reader:
    """A language model that is asked nothing yet: it counts tokens and has a context, so that prompts can be made."""

    name = "a model to be trained"

    def __init__(self, context: int, count: Callable[[Sequence[Message]], int] | None = None) -> None:
        self._context = context
        self._count = count

    def complete(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> list[Completion]:
        """Raises ``BackendError``."""
        raise BackendError("a model to be trained cannot be asked")

    def stream(
        self, conversation: Sequence[Message], *, schema: Mapping[str, Any], max_tokens: int
    ) -> Iterator[str | Completion]:
        """Raises ``BackendError``."""
        raise BackendError("a model to be trained cannot be asked")

    def tokens(self, prompt: str | Sequence[Message]) -> int | None:
        """The tokens of a conversation, where there is a tokenizer."""
        said = [Message("user", prompt)] if isinstance(prompt, str) else prompt
        return None if self._count is None else self._count(said)

    def context_length(self) -> int:
        """How many tokens prompt and plan may have together."""
        return self._context


def training_examples(
    questions: Sequence[Question],
    planner: EmbeddedPlanner,
    model: Reader,
    *,
    progress: Progress = lambda stage, done, total: None,
) -> list[TrainingExample | None]:
    """What to learn from each question, ``None`` where its right plan is not known or not to be said by its handles.

    The right plan is the gold query where there is one that a plan can say, or else the first reading that gives the
    gold answer. One prompt has one plan. Left out is what is longer than the model can read or may write.
    """
    briefing = brief(planner.vocabulary.index, model)
    written: list[_Written | None] = []
    for number, question in enumerate(questions, start=1):
        written.append(_write(question, planner, model, briefing))
        progress("write prompts", number, len(questions))
    plans = _best_plans([one for one in written if one is not None], planner.vocabulary.index, progress)
    return [
        TrainingExample(one.prompt, plans.get(one.prompt, one.plan)) if one is not None else None for one in written
    ]


@dataclass(frozen=True, slots=True)
class _Written:
    """A question with its prompt, its right plan, and what the handles of both stand for."""

    question: Question
    prompt: tuple[Message, ...]
    plan: str
    handles: Handles


def _write(question: Question, planner: EmbeddedPlanner, model: Reader, briefing: Briefing) -> _Written | None:
    links = link(question.text, vocabulary=planner.vocabulary)
    try:
        planning = ModelPlanning(links, planner, briefing=briefing, model=model)
    except DeadlineError:
        return None
    if not briefing.fits(planning.prompt[1:], model):
        return None
    for query in _right_queries(question, links, planner):
        try:
            plan = {"plan": write_query(as_planned(query, planner.ontology), planning.handles)}
        except PlanError:
            continue
        text = json.dumps(plan, separators=(",", ":"), ensure_ascii=False)
        if (model.tokens(text) or 0) <= briefing.plan_tokens:
            return _Written(question, planning.prompt, text, planning.handles)
    return None


def _right_queries(question: Question, links: Links, planner: EmbeddedPlanner) -> Iterator[Query]:
    """The gold query, then that of the first reading that gives the gold."""
    gold = read_gold(question, planner.vocabulary.index.namespaces, compiled)
    if gold is not None:
        yield gold
    _, ranked = right_reading(question, links, planner)
    if ranked is not None:
        yield ranked.query


def _best_plans(written: Sequence[_Written], index: Index, progress: Progress) -> dict[tuple[Message, ...], str]:
    """For each prompt whose questions have several plans, the one that answers most of them right.

    A compact prompt is the same for all questions that differ in their names alone, and the gold query of one may
    leave out what makes no difference for its own names.
    """
    by_prompt: dict[tuple[Message, ...], list[_Written]] = {}
    for one in written:
        by_prompt.setdefault(one.prompt, []).append(one)
    unsettled = {prompt: ones for prompt, ones in by_prompt.items() if len({one.plan for one in ones}) > 1}
    best = {}
    for number, (prompt, ones) in enumerate(unsettled.items(), start=1):
        plans = [plan for plan, _ in Counter(one.plan for one in ones).most_common()]
        worth = {plan: sum(_worth(plan, one, index) for one in ones[:_TRIED]) for plan in plans}
        best[prompt] = max(plans, key=lambda plan: worth[plan])
        progress("settle plans", number, len(unsettled))
    return best


def _worth(plan: str, written: _Written, index: Index) -> float:
    """The F1 of what a plan finds for the names of a question."""
    question = written.question
    try:
        query = parse_query(json.loads(plan)["plan"], written.handles, index.ontology)
        found = recall(query, question=question.text, links=[], index=index, timeout_s=PATIENCE_S)
    except (PlanError, DeadlineError):
        return 0.0
    answer = Answer(question.text, "", rows=found.rows, query=query, memory=found.memory)
    return score(answer, question.gold).f1
