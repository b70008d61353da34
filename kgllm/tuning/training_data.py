"""Training data: for each question the prompt that a model will get, and the plan that it should answer with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kgllm.briefing import Briefing, brief
from kgllm.errors import BackendError, DeadlineError
from kgllm.link import link
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.plan_model import ModelPlanning
from kgllm.protocols import Completion, Message, Progress
from kgllm.query_json import write_query
from kgllm.query_schema import PlanError
from kgllm.questions import Question
from kgllm.stages import right_reading
from kgllm.tuning.sparql_to_query import NotExpressibleError, compiled

__all__ = ["Example", "Reader", "examples"]

_PATIENCE = 5.0  # seconds for the query of a reading, of which the right one needs a part


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

    The right plan is the gold query where there is one, or else the first reading that gives the gold answer.
    """
    briefing = brief(planner.vocabulary.index, model)
    found = []
    for number, question in enumerate(questions, start=1):
        found.append(_example(question, planner, model, briefing))
        progress("write prompts", number, len(questions))
    return found


def _example(question: Question, planner: EmbeddedPlanner, model: Reader, briefing: Briefing) -> Example | None:
    links = link(question.text, vocabulary=planner.vocabulary)
    try:
        if question.sparql is not None:
            query = compiled(question.sparql)
        else:
            _, ranked = right_reading(question, links, planner, timeout_s=_PATIENCE)
            if ranked is None:
                return None
            query = ranked.query
        planning = ModelPlanning(links, planner, briefing=briefing, model=model)
        plan = {"plan": write_query(query, planning.handles)}
    except (NotExpressibleError, PlanError, DeadlineError):
        return None
    return Example(planning.prompt, json.dumps(plan, separators=(",", ":"), ensure_ascii=False))
