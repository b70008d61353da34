"""Plan with a language model: candidates with handles in the prompt, a query under a schema out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kgllm.conversation import Conversation
from kgllm.link import Links
from kgllm.ontology import Ontology
from kgllm.plan import Plan
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.prompting import as_data, as_reply, prompt
from kgllm.protocols import Exchange, Hit, LanguageModel, Message, Step, Usage
from kgllm.query_schema import CLASSES, NODES, PROPERTIES, VALUES, Handles, PlanError, parse_plan, plan_schema
from kgllm.scoring import is_date
from kgllm.terms import Literal, URIRef, local_name
from kgllm.words import bounds

__all__ = ["ModelPlanning", "candidates", "messages"]

_ROUNDS = 3  # the first plan and two repairs
_MAX_TOKENS = 700
_NEAREST = 12
_DATED = 8  # properties with dates that a question with a date or year is given, whatever its words
_XSD = "http://www.w3.org/2001/XMLSchema#"


_NOTHING_EARLIER = Conversation()


class ModelPlanning:
    """The planning of one question by a model: a plan, then repairs in the light of what was observed."""

    def __init__(
        self,
        links: Links,
        planner: EmbeddedPlanner,
        model: LanguageModel,
        conversation: Conversation = _NOTHING_EARLIER,
    ) -> None:
        self.usage = Usage()
        self.rounds = 0
        self.exchanges: tuple[Exchange, ...] = ()
        self._model = model
        self._ontology: Ontology = planner.ontology
        self._handles, self._concepts = candidates(links, planner, conversation)
        self._turns = messages(links.question, self._handles, planner)

    def propose(self, observed: str | None) -> Iterator[Step | Plan]:
        """The model's next plan that is a query; a plan that is none is sent back with the reason."""
        if observed is not None:
            self._turns.append(Message("user", as_data({"observed": observed}) + "\nGive another plan."))
        while self.rounds < _ROUNDS:
            self.rounds += 1
            (completion,) = self._model.complete([self._turns], schema=plan_schema(), max_tokens=_MAX_TOKENS)
            self.usage = self.usage + completion.usage
            self.exchanges += (Exchange("plan", tuple(self._turns), completion.value, completion.usage),)
            self._turns.append(Message("assistant", as_reply(completion.value)))
            try:
                query = parse_plan(completion.value, self._handles, self._ontology)
            except PlanError as error:
                yield Step("plan", f"sent back: {error}")
                self._turns.append(Message("user", as_data({"wrong": str(error)}) + "\nGive another plan."))
                continue
            used = query.iris()
            yield Plan(query, 1.0 / self.rounds, tuple(hit for hit in self._concepts if hit.iri in used))
            return


def candidates(
    links: Links, planner: EmbeddedPlanner, conversation: Conversation = _NOTHING_EARLIER
) -> tuple[Handles, tuple[Hit, ...]]:
    """What the handles of a question stand for, the likeliest first, each pool filled up with the next best."""
    index, ontology = planner.vocabulary.index, planner.ontology
    nearest = index.nearest(links.question, k=_NEAREST)
    ranked = planner.plan(links)[:12]
    similarities = planner.similarities(links)
    named = [c.description for m in links.mentions for c in m.candidates if c.description is not None]
    described = index.described(conversation.nodes)
    earlier = [iri for iri in conversation.nodes if iri in described and described[iri].kind == "node"]
    nodes = earlier[: NODES // 2]
    nodes += [d.iri for d in named if d.kind == "node"] + [hit.iri for hit in nearest if hit.kind == "node"]
    steps = [p for item in ranked for step in item.sketch.steps() for p in (step.property, *step.members)]
    by_fit = sorted(similarities, key=lambda iri: (-round(similarities[iri].score, 3), iri))
    stated = {p.iri for p in ontology.relations()}
    by_count = sorted(stated, key=lambda p: (-ontology.properties[p].count, p))
    asks_for_time = any(bound.is_year or bound.is_date for bound in bounds(links.question))
    dated = [p for p in by_count if any(is_date(s.object) for s in ontology.properties[p].signatures)]
    properties = [p for p in [*steps, *dated[: _DATED * asks_for_time], *by_fit] if p in stated]
    properties += by_count
    classes = [d.iri for d in named if d.kind == "class"] + [iri for iri in by_fit if iri in ontology.classes]
    populated = [c for c in classes if ontology.populated(c)]
    populated += sorted(
        (c for c in ontology.classes if ontology.populated(c)), key=lambda c: -ontology.classes[c].instances
    )
    handles = Handles(_first(nodes, NODES), _first(properties, PROPERTIES), _first(populated, CLASSES), _values(links))
    return handles, tuple(similarities.values())


def _first(iris: Iterable[URIRef], count: int) -> tuple[URIRef, ...]:
    return tuple(dict.fromkeys(iris))[:count]


def _values(links: Links) -> tuple[Literal, ...]:
    """The literals that the question names: values of the graph, numbers, years, and its own names as text."""
    found = [c.value.literal for m in links.mentions for c in m.candidates if c.value is not None]
    for bound in bounds(links.question):
        found.append(Literal(bound.value, datatype=URIRef(_XSD + ("date" if bound.is_date else "decimal"))))
        if bound.is_year:
            found += [Literal(bound.value), Literal(f"{bound.value}-01-01", datatype=URIRef(_XSD + "date"))]
    numbers = [t.text for t in links.tokens if t.text.isascii() and t.text.isdigit()]
    compared = {str(literal) for literal in found}
    found += [Literal(n, datatype=URIRef(_XSD + "integer")) for n in numbers if n not in compared]
    found += [Literal(mention.text) for mention in links.mentions]
    return tuple(dict.fromkeys(found))[:VALUES]


def messages(question: str, handles: Handles, planner: EmbeddedPlanner) -> list[Message]:
    """The prompt: rules, then the graph's candidates, then the question; byte for byte the same for the same input."""
    index, ontology = planner.vocabulary.index, planner.ontology
    described = index.described(handles.nodes)
    entries: dict[str, str] = {}
    for number, iri in enumerate(handles.properties):
        entries[f"p{number}"] = f"{ontology.label(iri)} ({_signature(iri, ontology)})"
    for number, iri in enumerate(handles.classes):
        entries[f"c{number}"] = ontology.label(iri)
    for number, iri in enumerate(handles.nodes):
        kinds = ", ".join(ontology.label(c) for c in described[iri].types[:2]) if iri in described else ""
        entries[f"n{number}"] = index.label(iri) + (f" ({kinds})" if kinds else "")
    for number, literal in enumerate(handles.values):
        entries[f"v{number}"] = str(literal) + (f" ({local_name(literal.datatype)})" if literal.datatype else "")
    return [
        Message("system", prompt("plan")),
        Message("user", f"Candidates:\n{as_data(entries)}\n\nQuestion:\n{as_data({'question': question}, cap=None)}"),
    ]


def _signature(iri: URIRef, ontology: Ontology) -> str:
    signature = ontology.properties[iri].signatures[0]
    ends = [ontology.label(end) if end is not None else "thing" for end in (signature.subject, signature.object)]
    return " → ".join(ends)
