"""The assistant: the five verbs in one line, from a question to its answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kgllm.answer import Answer, abstain, compose
from kgllm.errors import DeadlineError, IncompleteDataError, QuestionError
from kgllm.index import Index
from kgllm.link import Links, link
from kgllm.plan import Plan, Planning
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.protocols import Hit, LanguageModel, Rows
from kgllm.recall import Recalled, recall
from kgllm.similarity import Vocabulary
from kgllm.validate import validate_memory, validate_query
from kgllm.words import is_negated
from kgllm.workspace import Workspace

if TYPE_CHECKING:
    from kgllm.checking import CheckReport
    from kgllm.lookup import NodeView
    from kgllm.overview import Overview
    from kgllm.plan_model import ModelPlanner

__all__ = ["Assistant"]

LONGEST_QUESTION = 4_000  # characters
_NEAREST = 5
_IN_FLIGHT = 16  # questions that a model is asked at a time


class Assistant:
    """Answers questions over one graph. Made by ``kgllm.open``; ``close`` it, or use it in a ``with`` statement."""

    def __init__(self, workspace: Workspace, *, model: LanguageModel | None = None, strict: bool = False) -> None:
        self.workspace = workspace
        self.model = model
        self.strict = strict

    def __enter__(self) -> Assistant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes and close the files."""
        self.workspace.close()

    @property
    def index(self) -> Index:
        """The index; built at the first use if the graph is small."""
        return self.workspace.index

    def ask(self, question: str) -> Answer:
        """Answer one question. Raises ``QuestionError`` for one that is empty or endless."""
        return self.ask_many([question])[0]

    def ask_many(self, questions: Sequence[str]) -> list[Answer]:
        """Answer questions, in their order; with a model, side by side. Raises ``QuestionError`` before the first."""
        for question in questions:
            _check(question)
        _ = self.index  # what it takes to open or build it is no question's time
        if self.model is None or len(questions) == 1:
            return [self._ask(question) for question in questions]
        with ThreadPoolExecutor(_IN_FLIGHT) as pool:  # they wait for the server, whose batch they keep full
            return list(pool.map(self._ask, questions))

    def search(self, text: str, *, k: int = 10) -> list[Hit]:
        """Nodes, classes and properties by meaning and by name, best first."""
        _check(text)
        return self.index.search(text, k=k)

    def show(self, node: str, *, hops: int = 1) -> NodeView | None:
        """One node by IRI, CURIE or label: its description and facts in both directions; ``None`` without it."""
        from kgllm.lookup import show

        return show(self.workspace, node, hops=hops)

    def query(self, sparql: str, *, limit: int | None = None) -> Rows:
        """The rows of a read-only SELECT. Raises ``QueryRefusedError`` for anything else."""
        return self.workspace.query(sparql, limit=limit)

    def check(self, given: str | Path | bytes | None = None) -> CheckReport:
        """The graph, or triples from a file or as bytes as if they were added, against the ontology and the shapes."""
        from kgllm.checking import check

        return check(self.workspace, Path(given) if isinstance(given, str) else given)

    def info(self) -> Overview:
        """What is in the graph."""
        from kgllm.overview import overview

        return overview(self.workspace)

    def __repr__(self) -> str:
        model = f", model {self.model.name}" if self.model else ""
        return f"<Assistant over {self.workspace.name}{model}>"

    @cached_property
    def _embedded(self) -> EmbeddedPlanner:
        return EmbeddedPlanner(Vocabulary(self.index))

    @cached_property
    def _model_planner(self) -> ModelPlanner:
        from kgllm.plan_model import ModelPlanner

        assert self.model is not None  # noqa: S101 - without a model the embedded planner plans
        return ModelPlanner(self._embedded, self.model)

    def _ask(self, question: str) -> Answer:
        clock = _Clock()
        with clock.stage("total"):
            with clock.stage("link"):
                links = link(question, vocabulary=self._embedded.vocabulary)
            planning = self._start(links, clock)
            answer = self._run(links, planning, clock)
        return replace(
            answer,
            planner="embedded" if self.model is None else "model",
            model=self.model.name if self.model else None,
            rounds=max(1, planning.rounds),
            usage=answer.usage + planning.usage,
            timings_ms=clock.milliseconds(),
        )

    def _start(self, links: Links, clock: _Clock) -> Planning:
        with clock.stage("plan"):
            if self.model is None:
                return self._embedded.start(links)
            return self._model_planner.start(links)

    def _run(self, links: Links, planning: Planning, clock: _Clock) -> Answer:
        """Plan, recall, validate, until a plan holds; answer from it, or abstain with what was looked for."""
        observed: str | None = None
        tried: Plan | None = None
        late: DeadlineError | None = None
        while True:
            with clock.stage("plan"):
                plan = next((found for found in planning.propose(observed) if isinstance(found, Plan)), None)
            if plan is None:
                break
            tried = tried or plan
            with clock.stage("validate"):
                faults = validate_query(plan.query, self.index.ontology)
            if faults:
                observed = "; ".join(fault.message for fault in faults)
                continue
            try:
                with clock.stage("recall"):
                    recalled = recall(
                        plan.query,
                        question=links.question,
                        links=[*links.hits(), *plan.concepts],
                        index=self.index,
                        timeout_s=self.workspace.timeout_s,
                    )
            except DeadlineError as error:
                late, observed = late or error, error.what
                continue
            if recalled.is_empty and not recalled.rows.complete:
                raise IncompleteDataError(
                    f"{self.workspace.name} cut the result before its first row",
                    why="that is no proof that there is nothing",
                    try_next="raise the endpoint's limits on rows and time",
                )
            if recalled.is_empty:
                observed = self._why_nothing(plan)
                continue
            return self._answer(plan, recalled, clock)
        if late is not None:  # what was not looked for to the end is not absent
            raise late
        with clock.stage("answer"):
            nearest = self.index.search(links.question, k=_NEAREST)
            if tried is None and self.model is None and is_negated(links.question):
                observed = "what is not in it is not known to be false, and the embedded planner does not read a denial"
            return abstain(links, tried, nearest, self.index, observed)

    def _why_nothing(self, plan: Plan) -> str:
        """What is told to whoever has to plan again; only a model listens."""
        if self.model is None:
            return "it has nothing that fits the pattern"
        from kgllm.diagnose import why_nothing

        return why_nothing(plan.query, self.index)

    def _answer(self, plan: Plan, recalled: Recalled, clock: _Clock) -> Answer:
        with clock.stage("validate"):
            violations = validate_memory(
                recalled.memory,
                self.index.store,
                self.index.ontology,
                shapes=self.workspace.shapes,
                timeout_s=self.workspace.timeout_s,
            )
        with clock.stage("answer"):
            if self.model is not None and not self.strict:
                from kgllm.answer_model import word

                return word(plan, recalled, violations, self.index, self.model)
            return compose(plan, recalled, violations, self.index)


def _check(question: str) -> None:
    if not question.strip():
        raise QuestionError("the question is empty", try_next='ask something: kgllm ask "Who …?"')
    if len(question) > LONGEST_QUESTION:
        raise QuestionError(
            f"the question has {len(question):,} characters",
            why=f"a question of more than {LONGEST_QUESTION:,} is a text, and would be read in part only",
            try_next="ask a shorter question",
        )


@dataclass(slots=True)
class _Clock:
    """Time spent in each stage."""

    spent_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.spent_s[name] = self.spent_s.get(name, 0.0) + time.perf_counter() - started

    def milliseconds(self) -> Mapping[str, float]:
        stages = ("link", "plan", "recall", "validate", "answer", "total")
        return {stage: self.spent_s.get(stage, 0.0) * 1000 for stage in stages}
