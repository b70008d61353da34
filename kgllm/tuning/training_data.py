"""Training data: for each question the prompt that a model will get, and the plan that it should answer with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kgllm.answer import Answer
from kgllm.briefing import Briefing, brief
from kgllm.errors import BackendError, DeadlineError
from kgllm.evaluate import score
from kgllm.index import Index
from kgllm.link import link
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.plan_form import as_planned
from kgllm.plan_model import ModelPlanning
from kgllm.protocols import Completion, Message, Progress
from kgllm.query_json import parse_query, write_query
from kgllm.query_schema import Handles, PlanError
from kgllm.questions import Question
from kgllm.recall import recall
from kgllm.stages import right_reading
from kgllm.tuning.sparql_to_query import NotExpressibleError, compiled

__all__ = ["Example", "Reader", "examples"]

_PATIENCE = 5.0  # seconds for the query of a reading, of which the right one needs a part
_TRIED = 20  # questions of one prompt for which its plans are tried


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and the JSON of its right plan, as a model under a schema writes it."""

    prompt: tuple[Message, ...]
    plan: str

    def to_json(self) -> dict[str, Any]:
        """As JSON data, in the form in which libraries take conversations."""
        said = [{"role": message.role, "content": message.content} for message in self.prompt]
        return {"prompt": said, "completion": [{"role": "assistant", "content": self.plan}]}


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


def examples(
    questions: Sequence[Question],
    planner: EmbeddedPlanner,
    model: Reader,
    *,
    progress: Progress = lambda stage, done, total: None,
) -> list[Example | None]:
    """What to learn from each question, ``None`` where its right plan is not known or not to be said by its handles.

    The right plan is the gold query where there is one, or else the first reading that gives the gold answer. One
    prompt has one plan.
    """
    briefing = brief(planner.vocabulary.index, model)
    written: list[_Written | None] = []
    for number, question in enumerate(questions, start=1):
        written.append(_write(question, planner, model, briefing))
        progress("write prompts", number, len(questions))
    plans = _best_plans([one for one in written if one is not None], planner.vocabulary.index, progress)
    return [Example(one.prompt, plans.get(one.prompt, one.plan)) if one is not None else None for one in written]


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
        if question.sparql is not None:
            query = as_planned(compiled(question.sparql), planner.ontology)
        else:
            _, ranked = right_reading(question, links, planner, timeout_s=_PATIENCE)
            if ranked is None:
                return None
            query = ranked.query
        planning = ModelPlanning(links, planner, briefing=briefing, model=model)
        plan = json.dumps({"plan": write_query(query, planning.handles)}, separators=(",", ":"), ensure_ascii=False)
    except (NotExpressibleError, PlanError, DeadlineError):
        return None
    return _Written(question, planning.prompt, plan, planning.handles)


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
        rows = recall(query, question=question.text, links=[], index=index, timeout_s=_PATIENCE).rows
    except (PlanError, DeadlineError):
        return 0.0
    return score(Answer(question.text, "", rows=rows, query=query), question.gold).f1
