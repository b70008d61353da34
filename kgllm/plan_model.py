"""Plan with a language model: candidates with handles in the prompt, a query under a schema out of it.

The model may first ask to see more of the graph. A plan that is no query, or that finds nothing, goes back to it with
what was observed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from kgllm.briefing import Briefing, class_entry, property_entry
from kgllm.candidates import candidates
from kgllm.compact import compact_message
from kgllm.conversation import Conversation
from kgllm.errors import DeadlineError
from kgllm.examples import Example, Examples, as_examples
from kgllm.index import Index
from kgllm.link import Links
from kgllm.plan import Plan
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.prompting import as_data, as_reply, said, value_entry
from kgllm.protocols import Exchange, LanguageModel, Message, Reranker, Step
from kgllm.query_json import parse_query
from kgllm.query_schema import ABSTAIN, Handles, PlanError, plan_schema
from kgllm.terms import URIRef, clean, n3
from kgllm.wishes import fulfil, is_wish, node_entry

__all__ = ["ModelPlanning"]

_TOLD = 6  # nodes of which the properties are told
_MOST_TOLD = 12
T = TypeVar("T")
_LEAST_TURNS = 4  # the briefing, the question, and what was said last with what came of it
_NOTHING_EARLIER = Conversation()


class ModelPlanning:
    """The planning of one question by a model: wishes to see more, a plan, then repairs in the light of what came.

    ``briefing`` is what the model is told of the graph, made once for all questions.
    """

    def __init__(
        self,
        links: Links,
        planner: EmbeddedPlanner,
        *,
        briefing: Briefing,
        model: LanguageModel,
        conversation: Conversation = _NOTHING_EARLIER,
        reranker: Reranker | None = None,
        examples: Examples | None = None,
    ) -> None:
        self.exchanges: tuple[Exchange, ...] = ()
        self.handles = candidates(
            links,
            planner,
            pools=briefing.pools,
            stable=briefing.handles,
            earlier=conversation.nodes,
            reranker=reranker,
            only_named=briefing.is_compact,
        )
        self._links = links
        self._planner = planner
        self._briefing = briefing
        self._model = model
        self._index: Index = planner.vocabulary.index
        self._wishes = 0
        self._entered = dict.fromkeys("npcv", 0)
        self._plans = 0
        if briefing.is_compact:
            asked = compact_message(links, self.handles, told=briefing.handles, index=self._index)
        else:
            told = len(briefing.handles.values)
            asked, self.handles = question_message(
                links.question,
                self.handles,
                briefing=briefing,
                model=model,
                index=self._index,
                conversation=conversation,
                examples=examples.near(links, self.handles, told=told) if examples is not None else (),
            )
        self._turns = [briefing.message, asked]

    @property
    def prompt(self) -> tuple[Message, ...]:
        """All that has been said to the model and by it so far."""
        return tuple(self._turns)

    def propose(self, observed: str | None) -> Iterator[Step | Plan]:
        """The model's next plan that is a query; what is none is sent back with the reason."""
        if observed is not None:
            self._send_back({"observed": observed}, "Give another plan.")
        while self._plans < self._briefing.plans:
            plan = self._ask()
            if is_wish(plan) and self._wishes < self._briefing.wishes:
                self._wishes += 1
                yield self._fulfil(plan)
                continue
            self._plans += 1
            if plan == {"abstain": ABSTAIN}:
                yield Step("plan", "found nothing listed that could answer it")
                return
            try:
                if is_wish(plan):
                    raise PlanError("there is no more to be seen; give a plan")
                query = parse_query(plan, self.handles, self._index.ontology)
            except PlanError as error:
                if self._plans == self._briefing.plans:
                    yield Step("plan", clean(f"its plan is none: {error}"))
                    return
                yield Step("plan", clean(f"sent a plan back: {error}"))
                self._send_back({"wrong": str(error)}, "Give another plan.")
                continue
            used = query.iris()
            concepts = self._planner.similarities(self._links)
            yield Plan(query, 1.0 / self._plans, tuple(hit for hit in concepts.values() if hit.iri in used))
            return

    def _ask(self) -> Any:
        """What the model says next under the schema; ``None`` for what is not that."""
        self._forget()
        (completion,) = self._model.complete(
            [self._turns],
            schema=plan_schema(self._briefing.pools, may_wish=self._briefing.wishes > 0),
            max_tokens=self._briefing.plan_tokens,
        )
        self.exchanges += (Exchange("plan", tuple(self._turns), said(completion), completion.usage),)
        self._turns.append(Message("assistant", as_reply(completion.value)))
        match completion.value:
            case {"plan": plan, **rest} if not rest:
                return plan
        return None

    def _fulfil(self, wish: Any) -> Step:
        """Show the model what it asked to see."""
        try:
            seen = fulfil(wish, self.handles, pools=self._briefing.pools, index=self._index, entered=self._entered)
        except (PlanError, DeadlineError) as error:
            reason = error.what if isinstance(error, DeadlineError) else str(error)
            self._send_back({"wrong": reason}, "Ask for something else, or give a plan.")
            return Step("look", clean(f"could not see more: {reason}"))
        self.handles = seen.handles
        told = as_data(seen.entries) if seen.entries else as_data({"observed": "there is nothing"})
        self._turns.append(Message("user", f"Seen, with the handles that stand for it from now on:\n{told}"))
        return Step("look", seen.sentence)

    def _forget(self) -> None:
        """Leave out the oldest of what was said since the question, where the prompt has grown beyond its budget."""
        while len(self._turns) > _LEAST_TURNS and not self._briefing.fits(self._turns[1:], self._model):
            del self._turns[2:4]

    def _send_back(self, observed: dict[str, str], request: str) -> None:
        self._turns.append(Message("user", f"{as_data(observed)}\n{request}"))


def question_message(
    question: str,
    handles: Handles,
    *,
    briefing: Briefing,
    model: LanguageModel,
    index: Index,
    conversation: Conversation = _NOTHING_EARLIER,
    examples: Sequence[Example] = (),
) -> tuple[Message, Handles]:
    """The candidates that the briefing has not, examples, the conversation, and the question last, within the budget.

    What does not fit is left out, and has no handle: first the examples, the farthest before the nearest, which is
    the last; then the oldest turns of the conversation, then the least likely nodes.
    """
    solved = list(examples)
    entries = list(_entries(handles, briefing, index).items())
    turns = [f"{turn.question} — {turn.answer_text}" for turn in conversation.turns]
    while True:
        told = as_data({str(number): turn for number, turn in enumerate(turns, start=1)})
        earlier = f"Earlier:\n{told}\n\n" if turns else ""
        asked = as_data({"question": question}, cap=None)
        before = f"Solved before, in the handles above:\n{as_examples(solved)}\n\n" if solved else ""
        message = Message("user", f"Candidates:\n{as_data(dict(entries))}\n\n{before}{earlier}Question:\n{asked}")
        if not (solved or turns or entries) or briefing.fits([message], model):
            listed = sum(handle.startswith("n") for handle, _ in entries)
            return message, replace(handles, nodes=handles.nodes[:listed])
        if solved:
            del solved[0]
        elif turns:
            del turns[: max(1, len(turns) // 4)]
        else:
            del entries[-max(1, len(entries) // 8) :]


def _entries(handles: Handles, briefing: Briefing, index: Index) -> dict[str, str]:
    """What the handles of a question stand for that the briefing does not tell, the nodes last, the likeliest first."""
    ontology = index.ontology
    entries: dict[str, str] = {}
    for number, iri in _beyond(handles.properties, briefing.handles.properties):
        entries[f"p{number}"] = property_entry(iri, ontology)
    for number, iri in _beyond(handles.classes, briefing.handles.classes):
        entries[f"c{number}"] = class_entry(iri, ontology)
    for number, literal in _beyond(handles.values, briefing.handles.values):
        entries[f"v{number}"] = value_entry(literal)
    has = _properties_of(handles.nodes[:_TOLD], handles.properties, index)
    described = index.described(handles.nodes)
    for number, iri in enumerate(handles.nodes):
        entries[f"n{number}"] = node_entry(iri, described.get(iri), index.ontology, has=has.get(iri, ""))
    return entries


def _beyond(terms: Sequence[T], told: Sequence[T]) -> list[tuple[int, T]]:
    """The terms that come after those that were told, with their numbers."""
    return list(enumerate(terms))[len(told) :]


def _properties_of(nodes: Sequence[URIRef], properties: Sequence[URIRef], index: Index) -> dict[URIRef, str]:
    """The handles of the properties that each node has, ``of p3`` for one that leads to it.

    Asked for one by one, so that a node with very many neighbours costs no more than another.
    """
    if not nodes or not properties:
        return {}
    given = f"VALUES ?n {{ {' '.join(map(n3, nodes))} }} VALUES ?p {{ {' '.join(map(n3, properties))} }}"
    found: dict[URIRef, list[str]] = {}
    places = {iri: number for number, iri in enumerate(properties)}
    for pattern, mark in (("?n ?p ?o", "p"), ("?s ?p ?n", "of p")):
        rows = index.store.select(f"SELECT ?n ?p WHERE {{ {given} FILTER EXISTS {{ {pattern} }} }}").rows
        pairs = sorted((places[p], n) for n, p in rows if isinstance(n, URIRef) and isinstance(p, URIRef))
        for place, node in pairs:
            found.setdefault(node, []).append(f"{mark}{place}")
    return {node: " ".join(handles[:_MOST_TOLD]) for node, handles in found.items()}
