"""The assistant: the five verbs in one line, from a question to its answer."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from kgllm import steps
from kgllm.answer import Answer, Claim, abstain, compose
from kgllm.background import Threads, in_threads
from kgllm.batch import answers_of, outcomes
from kgllm.cache import CachedModel, Completions
from kgllm.clock import Clock
from kgllm.confidence import MIN_CONFIDENCE, unsure
from kgllm.conversation import Conversation, check_question
from kgllm.diagnose import why_nothing
from kgllm.errors import DeadlineError, InputError, KgllmError
from kgllm.follow_up import FollowUp, follow_up, in_conversation
from kgllm.index import Index
from kgllm.lessons import Lessons
from kgllm.link import Links, link
from kgllm.memory import WorkingMemoryGraph
from kgllm.plan import Plan, Planning
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.protocols import Hit, LanguageModel, Reranker, Rows, Step
from kgllm.recall import Recalled, recall, set_labels
from kgllm.runs import RunLog, Served
from kgllm.similarity import Vocabulary
from kgllm.terms import clean
from kgllm.validate import validate_memory
from kgllm.validate_query import validate_plan
from kgllm.violation import Violation
from kgllm.words import is_negated
from kgllm.workspace import Closeable, Workspace

if TYPE_CHECKING:
    from kgllm.briefing import Briefing
    from kgllm.chat import Chat
    from kgllm.checking import CheckReport
    from kgllm.examples import Examples
    from kgllm.explain import Explanation
    from kgllm.lookup import NodeView
    from kgllm.overview import Overview
    from kgllm.solved import SolvedQuestion
    from kgllm.tuning.from_questions import Tuned
    from kgllm.verify import Verification
    from kgllm.view import GraphView

__all__ = ["Assistant"]

IN_FLIGHT = 64  # questions that a model is asked at a time: what vLLM's batch takes on one GPU
_REPAIRS = 2  # times that a memory at fault is sent back
_NEAREST, _OBSERVED = 5, 300  # hits of an abstention, and characters of what was observed, in a step
_NOTHING_EARLIER = Conversation()
_NOTHING_FITS = "it has nothing that fits the pattern"
_Progress: TypeAlias = Iterator[Step | Claim | Answer]


class Assistant:
    """Answers questions over one graph. Made by ``kgllm.open``; ``close`` it, or use it in a ``with`` statement.

    An answer that is less likely right than ``min_confidence`` is not given. ``in_flight`` bounds how many questions a
    model is asked at a time. A ``reranker`` orders the candidates that it is offered. ``cache`` keeps the model's
    replies, ``log`` every answer; ``served`` says for both how the model is asked. ``lessons`` are what the planner
    learned from questions, those beside the index if none are given; with ``examples`` a model sees solved ones.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        model: LanguageModel | None = None,
        reranker: Reranker | None = None,
        strict: bool = False,
        min_confidence: float = MIN_CONFIDENCE,
        in_flight: int = IN_FLIGHT,
        cache: Completions | None = None,
        log: RunLog | None = None,
        served: Served | None = None,
        lessons: Lessons | None = None,
        examples: bool = True,
    ) -> None:
        self._workspace = workspace
        self.model = model
        self.reranker = reranker
        self.strict = strict
        self.min_confidence = min_confidence
        self.in_flight = in_flight
        self.cache = cache
        self.log = log
        self.served = served or Served()
        self.lessons = lessons
        self.examples = examples
        self.barred: frozenset[str] = frozenset()  # questions that are no examples
        self._threads = Threads(in_flight)
        self._preparing = threading.Lock()
        self._closed = False
        self._hindered: tuple[float, KgllmError] | None = None

    def __enter__(self) -> Assistant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes, a model's among them, and close the files."""
        self._closed = True
        self._threads.close()
        self._workspace.close()
        for kept in (self.model, self.cache, self.log):
            if isinstance(kept, Closeable):
                kept.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    @property
    def workspace(self) -> Workspace:
        """The graph and all that lies beside it. Raises ``InputError`` once the assistant is closed."""
        if self._closed:
            raise InputError("the assistant is closed", try_next="ask inside the with statement, or open it again")
        return self._workspace

    @property
    def index(self) -> Index:
        """The index; built at the first use if the graph is small."""
        return self.workspace.index

    def ask(self, question: str, *, conversation: Conversation = _NOTHING_EARLIER) -> Answer:
        """Answer one question. Raises ``QuestionError`` for one that is empty or endless."""
        *_, answer = self.stream(question, conversation=conversation)
        assert isinstance(answer, Answer)  # noqa: S101 - a stream ends with its answer, or raises
        return answer

    def stream(self, question: str, *, conversation: Conversation = _NOTHING_EARLIER) -> _Progress:
        """The steps towards the answer as they are done, its claims as they are ready, and last the answer.

        ``conversation`` is what its words may refer to. Raises ``QuestionError`` at once.
        """
        check_question(question)
        return self._stream(question, conversation)

    async def aask(self, question: str, *, conversation: Conversation = _NOTHING_EARLIER) -> Answer:
        """As ``ask``, in a thread of the assistant's own; cancelled, it ends with the step that it is at."""
        async with aclosing(self.astream(question, conversation=conversation)) as items:
            async for item in items:
                if isinstance(item, Answer):
                    return item
        raise AssertionError("a stream ends with its answer")

    async def astream(
        self, question: str, *, conversation: Conversation = _NOTHING_EARLIER
    ) -> AsyncGenerator[Step | Claim | Answer, None]:
        """As ``stream``, in threads of the assistant's own, ``in_flight`` of them at most."""
        async with aclosing(in_threads(self.stream(question, conversation=conversation), self._threads)) as items:
            async for item in items:
                yield item

    def ask_each(self, questions: Iterable[str]) -> Iterator[Answer | KgllmError]:
        """The answer or the fault of each question, in their order, each as soon as those before it are given.

        With a model ``in_flight`` questions are asked side by side, and about as many are read ahead. A fault of one
        takes nothing from the others; whatever ``questions`` itself raises comes after the answers to those before.
        """
        return outcomes(self, questions, threads=self._threads)

    def ask_many(self, questions: Sequence[str]) -> list[Answer]:
        """Answer questions, in their order; with a model, side by side.

        Raises ``QuestionError`` before the first, and ``BatchError``, which holds the answers, when all have ended and
        one of them in a fault.
        """
        return answers_of(self, questions)

    def chat(self, conversation: Conversation = _NOTHING_EARLIER) -> Chat:
        """A conversation, in which a question may refer to the ones before it."""
        from kgllm.chat import Chat

        return Chat(self, conversation)

    def search(self, text: str, *, k: int = 10) -> list[Hit]:
        """Nodes, classes and properties by meaning and by name, best first."""
        check_question(text)
        return self.index.search(text, k=k)

    def show(self, node: str, *, hops: int = 1) -> NodeView | None:
        """One node by IRI, CURIE or label: its description and facts in both directions; ``None`` without it."""
        from kgllm.lookup import show

        return show(self.workspace, node, hops=hops)

    def explore(self, node: str, *, height: int = 560) -> GraphView:
        """A view to walk in from the node that an IRI, a CURIE or a name names, in a notebook; ``height`` in pixels.

        Raises ``InputError`` where nothing is called so, ``BackendError`` without the extra ``notebook``.
        """
        from kgllm.view import view_of

        return view_of(self, node, height=height)

    def verify(self, text: str) -> Verification:
        """What the graph says of each sentence of a text, whoever wrote it."""
        from kgllm.verify import verify

        check_question(text)
        return verify(text, vocabulary=self._embedded.vocabulary, timeout_s=self.workspace.timeout_s)

    def why(self, subject: str, predicate: str, object_: str) -> Explanation:
        """Why a triple holds; each part by IRI, CURIE or label."""
        from kgllm.explain import explain

        return explain(self.workspace, subject, predicate, object_)

    def query(self, sparql: str, *, limit: int | None = None) -> Rows:
        """The rows of a read-only SELECT. Raises ``QueryRefusedError`` for anything else."""
        return self.workspace.query(sparql, limit=limit)

    def check(self, given: str | Path | bytes | None = None) -> CheckReport:
        """The graph, or triples from a file or as bytes as if they were added, against the ontology and the shapes."""
        from kgllm.checking import check

        return check(self.workspace, Path(given) if isinstance(given, str) else given)

    def tune(self, questions: str | Path, *, keep: bool = True) -> Tuned:
        """Learn from a file of questions with known answers; what helps is used from now on, and kept beside the index.

        Raises ``InputError`` for what is no such file.
        """
        from kgllm.tuning.from_questions import tune

        tuned = tune(self.workspace, Path(questions), ask=lambda known, asked: self.taught(known).ask_each(asked))
        if keep:
            tuned.write(self.workspace.folder)
            self.__dict__.pop("_embedded", None)
            self.__dict__.pop("_solved", None)
        return tuned

    def accept(self, answer: Answer) -> SolvedQuestion:
        """Keep a question with the query it was answered with, as right; it is an example for a model from now on.

        Raises ``InputError`` for an abstention, and for a query that no plan can say.
        """
        from kgllm.solved import accept

        accepted = accept(answer, vocabulary=self._embedded.vocabulary, folder=self.workspace.folder)
        self.__dict__.pop("_solved", None)
        return accepted

    def held_out(self, questions: Iterable[str]) -> Assistant:
        """The same, to be measured by some questions: none of them is an example. Not to be closed."""
        other = copy(self)
        other.barred = self.barred | set(questions)
        other.__dict__.pop("_solved", None)
        return other

    def taught(self, lessons: Lessons) -> Assistant:
        """An assistant over the same graph whose embedded planner knows these lessons alone. Not to be closed."""
        return Assistant(self.workspace, min_confidence=self.min_confidence, lessons=lessons)

    def asking(self, model: LanguageModel) -> Assistant:
        """An assistant over the same graph that has a model plan, one question at a time. Not to be closed."""
        return Assistant(self.workspace, model=model, in_flight=1)

    def info(self) -> Overview:
        """What is in the graph."""
        from kgllm.overview import overview

        return overview(self.workspace)

    def __repr__(self) -> str:
        model = f", model {self.model.name}" if self.model else ""
        return f"<Assistant over {self._workspace.name}{model}>"

    @cached_property
    def _embedded(self) -> EmbeddedPlanner:
        lessons = Lessons.read(self.workspace.folder) if self.lessons is None else self.lessons
        return EmbeddedPlanner(Vocabulary(self.index, lessons))

    @cached_property
    def _briefing(self) -> Briefing:
        """What the model is told of the graph, the same for every question."""
        from kgllm.briefing import brief

        assert self.model is not None  # noqa: S101 - only a model is briefed
        return brief(self.index, self.model)

    @cached_property
    def _solved(self) -> Examples | None:
        from kgllm.examples import Examples

        return Examples.read(self.workspace.folder, self.index).without(self.barred) if self.examples else None

    def _stream(self, question: str, conversation: Conversation) -> _Progress:
        if self.model is not None and "_briefing" not in self.__dict__:
            yield Step("plan", f"tell {self.model.name} of the graph")
        self._prepare()
        clock = Clock()
        model = self._asked_model()
        with clock.stage("link"):
            asked = self._read(question, conversation)
            links = link(asked.question, vocabulary=self._embedded.vocabulary, earlier=asked.earlier)
        yield steps.linked(links)
        planning = self._start(links, model, conversation, clock)
        answer: Answer | None = None
        unclear = "" if model is not None else asked.unclear or links.unclear
        for item in self._run(links, planning, model, asked, unclear, clock):
            if isinstance(item, Answer):
                answer = item
            else:
                yield item
        assert answer is not None  # noqa: S101 - a run ends with its answer, or raises
        answer.memory.question, answer.memory.kg = question, self
        answer = replace(
            answer,
            question=question,
            planner="embedded" if model is None else "model",
            model=model.name if model is not None else None,
            rounds=max(1, len(planning.exchanges)),
            usage=sum((exchange.usage for exchange in planning.exchanges), answer.usage),
            exchanges=(*planning.exchanges, *answer.exchanges),
            cached=isinstance(model, CachedModel) and model.hits > 0 and model.misses == 0,
            timings_ms=clock.milliseconds(),
        )
        if self.log is not None:
            served = self.served if model is not None else None
            self.log.keep(answer, workspace=self.workspace, served=served, conversation=conversation.id)
        yield answer

    def _prepare(self) -> None:
        """Open what all questions share, once, before the time of the first is taken.

        What hinders the one who opens hinders those who waited for it: they do not each try again for themselves.
        """
        workspace = self.workspace
        asked = time.monotonic()
        with self._preparing:
            if self._hindered is not None and self._hindered[0] >= asked:
                raise self._hindered[1]
            try:
                _ = workspace.shapes, self.index, self._embedded  # the shapes are read while the rest is made
                if self.model is not None:  # then many threads ask at once, and none is to open a second one
                    _ = self._briefing, self._solved, workspace.fingerprint
            except KgllmError as error:
                self._hindered = (time.monotonic(), error)
                raise

    def _read(self, question: str, conversation: Conversation) -> FollowUp:
        """The question as the embedded planner is to read it; a model reads it as it is."""
        if self.model is not None:
            return FollowUp(question, conversation)
        return follow_up(question, conversation, self._embedded.vocabulary)

    def _asked_model(self) -> LanguageModel | None:
        """The model for one question, behind the cache if there is one."""
        if self.model is None or self.cache is None:
            return self.model
        settings = self.served.to_json()
        return CachedModel(self.model, self.cache, fingerprint=self.workspace.fingerprint, settings=settings)

    def _start(self, links: Links, model: LanguageModel | None, conversation: Conversation, clock: Clock) -> Planning:
        with clock.stage("plan"):
            if model is None:
                return self._embedded.start(links)
            from kgllm.plan_model import ModelPlanning

            return ModelPlanning(
                links,
                self._embedded,
                briefing=self._briefing,
                model=model,
                conversation=conversation,
                reranker=self.reranker,
                examples=self._solved,
            )

    def _run(
        self,
        links: Links,
        planning: Planning,
        model: LanguageModel | None,
        asked: FollowUp,
        unclear: str,
        clock: Clock,
    ) -> _Progress:
        """Plan, recall, validate, until a plan holds; answer from it, or abstain with what was looked for."""
        observed: str | None = unclear or None
        tried: Plan | None = None
        late: DeadlineError | None = None
        at_fault: list[tuple[Plan, Recalled, list[Violation]]] = []
        while not unclear:
            plan: Plan | None = None
            proposed = planning.propose(observed)
            while plan is None:
                with clock.stage("plan"):
                    item = next(proposed, None)
                if item is None:
                    break
                if isinstance(item, Plan):
                    plan = item
                else:
                    yield item
            if plan is None:
                break
            if model is None:
                meant = in_conversation(plan, links, asked.among)
                if meant is None:
                    continue
                plan = meant
            tried = tried or plan
            yield steps.planned(plan, self.index)
            with clock.stage("validate"):
                remarks = validate_plan(plan.query, self.index)
            if faults := [remark.message for remark in remarks if remark.severity == "Violation"]:
                observed = "; ".join(faults)
                yield Step("validate", clean(observed, cap=_OBSERVED))
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
                yield Step("recall", clean(observed, cap=_OBSERVED))
                continue
            recalled.check_whole(self.workspace.name)
            if recalled.is_groundless:
                observed = "what was found rests on no triple of the graph"
                yield Step("recall", observed)
                continue
            if recalled.is_empty:
                observed = why_nothing(plan.query, self.index) if model is not None else _NOTHING_FITS
                yield Step("recall", f"the graph does not say: {observed}")
                continue
            if plan.confidence < self.min_confidence:
                tried, observed = plan, unsure(plan.confidence, least=self.min_confidence)
                yield Step("recall", observed)
                break
            yield steps.recalled(recalled)
            with clock.stage("validate"):
                before = len(recalled.memory)
                violations = [*remarks, *self._validated_memory(plan, recalled.memory)]
                if len(recalled.memory) > before:  # the check took in what follows, and from what
                    set_labels(recalled.memory, self.index)
            yield steps.validated(violations, len(recalled.memory))
            wrong = [v.message for v in violations if (v.blame, v.severity) == ("memory", "Violation")]
            if not wrong:
                yield from self._answer(plan, recalled, violations, model, clock)
                return
            at_fault.append((plan, recalled, violations))
            if len(at_fault) > _REPAIRS:
                break
            observed = "; ".join(wrong)
        if at_fault:  # what could not be mended is shown with the answer
            yield from self._answer(*at_fault[0], model, clock)
            return
        if late is not None:  # what was not looked for to the end is not absent
            raise late
        with clock.stage("answer"):
            nearest = self.index.search(links.question, k=_NEAREST)
            if tried is None and model is None and not unclear and is_negated(links.around_names()):
                observed = "what is not in it is not known to be false, and the embedded planner does not read a denial"
            yield abstain(links, tried, nearest, self.index, observed)

    def _validated_memory(self, plan: Plan, memory: WorkingMemoryGraph) -> list[Violation]:
        index, shapes, timeout_s = self.index, self.workspace.shapes, self.workspace.timeout_s
        named = plan.query.iris() | {hit.iri for hit in plan.concepts}
        return validate_memory(memory, index.store, index.ontology, shapes=shapes, timeout_s=timeout_s, named=named)

    def _answer(
        self, plan: Plan, recalled: Recalled, violations: Sequence[Violation], model: LanguageModel | None, clock: Clock
    ) -> _Progress:
        if model is None or self.strict or self._briefing.is_compact:
            with clock.stage("answer"):
                answer = compose(plan, recalled, violations, self.index)
            yield answer
            return
        from kgllm.answer_model import word

        worded = word(plan, recalled, violations, self.index, model)
        while True:
            with clock.stage("answer"):
                item = next(worded, None)
            if item is None:
                return
            yield item
