"""Briefing: what a model is told of a graph before any question, the same for all of them.

It is the beginning of every prompt, byte for byte, so that a server's prefix cache has it from the second question on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kgllm.candidates import COMPACT, MOST, graph_terms, pools_for
from kgllm.compact import compact_terms
from kgllm.index import Index
from kgllm.ontology import Ontology, Property, Signature
from kgllm.prompting import as_data, prompt
from kgllm.protocols import LanguageModel, Message
from kgllm.query_schema import Handles, Pools
from kgllm.terms import URIRef, local_name

__all__ = ["PLAN_TOKENS", "Briefing", "brief", "class_entry", "property_entry"]

PLAN_TOKENS = 700  # of a plan; the longest that benchmarks/perfect.py wrote took 446
_COMPACT_TOKENS = 256  # of a small model's plan, whose tokenizer was made for plans
_UNKNOWN = 16_384  # tokens that a model is taken to have where its server does not say
_LONGEST = 12_000  # tokens of a prompt, however long the model's context: what is in its middle is read worst
_SHARE = 0.6  # of the prompt that the graph may take, the rest being for candidates, conversation and question
_SMALL = 2_048  # tokens of a context that has no room for the instructions: its model was trained to need none
_SIZES = ((MOST.properties, MOST.classes), (96, 40), (40, 16))  # of the graph's part, until it fits
_SIGNATURES = 2
_DESCRIPTION = 80  # characters


@dataclass(frozen=True, slots=True)
class Briefing:
    """The system message, what its handles stand for, the pools of the schema, and the tokens of a whole prompt.

    A plan has ``plan_tokens`` at most; the model may give so many ``plans`` of one question and have so many ``wishes``
    to see more. One that ``is_compact`` is for a small model that was trained for this graph, on questions and their
    right plans alone: see ``kgllm.compact``.
    """

    message: Message
    handles: Handles
    pools: Pools
    budget: int
    plan_tokens: int = PLAN_TOKENS
    plans: int = 3  # the first and two repairs
    wishes: int = 6
    is_compact: bool = False

    def fits(self, turns: Sequence[Message], model: LanguageModel) -> bool:
        """Whether the briefing and what comes after it are within the budget, as the model counts."""
        return _tokens([self.message, *turns], model) <= self.budget


def brief(index: Index, model: LanguageModel) -> Briefing:
    """The briefing of a graph, as much of its ontology as fits the model; the commonest terms come first."""
    context = model.context_length() or _UNKNOWN
    if context <= _SMALL:
        return _brief_compactly(index, context)
    budget = min(_LONGEST, context - PLAN_TOKENS)
    for properties, classes in _SIZES:
        pools = pools_for(index, most=replace(MOST, properties=properties, classes=classes))
        handles = graph_terms(index.ontology, pools=pools)
        message = Message("system", f"{prompt('plan')}\nThe graph:\n{_digest(index.ontology, handles)}\n")
        if _tokens([message], model) <= budget * _SHARE:
            break
    return Briefing(message, handles, pools, budget)


def _brief_compactly(index: Index, context: int) -> Briefing:
    """The briefing of a small model: the terms of the graph alone."""
    pools = pools_for(index, most=COMPACT)
    handles = graph_terms(index.ontology, pools=pools)
    message = Message("system", compact_terms(handles, index.ontology))
    budget = context - _COMPACT_TOKENS
    return Briefing(message, handles, pools, budget, _COMPACT_TOKENS, plans=1, wishes=0, is_compact=True)


def _tokens(conversation: Sequence[Message], model: LanguageModel) -> int:
    """How many tokens there are; taken for a third of the characters where nobody counts them."""
    counted = model.tokens(conversation)
    return sum(len(message.content) for message in conversation) // 3 if counted is None else counted


def _digest(ontology: Ontology, handles: Handles) -> str:
    entries = {f"p{number}": property_entry(iri, ontology) for number, iri in enumerate(handles.properties)}
    entries |= {f"c{number}": class_entry(iri, ontology) for number, iri in enumerate(handles.classes)}
    last = len(handles.values) - 1
    return as_data({**entries, f"v0 to v{last}": f"the numbers {handles.values[0]} to {handles.values[last]}"})


def property_entry(iri: URIRef, ontology: Ontology) -> str:
    """A property as ``label (class → class)``, with how often it occurs."""
    prop = ontology.properties.get(iri)
    if prop is None:
        return ontology.label(iri)
    signatures = dict.fromkeys(_arrow(signature, ontology) for signature in prop.signatures)
    entry = f"{prop.label} ({'; '.join(list(signatures)[:_SIGNATURES])})" if signatures else prop.label
    return entry + _explained(prop)


def class_entry(iri: URIRef, ontology: Ontology) -> str:
    """A class as ``label``, with the class above it and how many instances it has of its own and below."""
    parents = [ontology.label(p) for p in ontology.classes[iri].parents if p in ontology.classes][:1]
    count = sum(ontology.classes[c].instances for c in ontology.populated(iri))
    above = f", a {parents[0]}" if parents else ""
    return f"{ontology.label(iri)}{above} ({count})"


def _arrow(signature: Signature, ontology: Ontology) -> str:
    subject = ontology.label(signature.subject) if signature.subject is not None else "thing"
    if signature.object is None:
        return f"{subject} → {'text' if signature.literal else 'thing'}"
    end = local_name(signature.object) if signature.literal else ontology.label(signature.object)
    return f"{subject} → {end}"


def _explained(prop: Property) -> str:
    """The beginning of its description, if it says more than the label."""
    text = prop.description.strip().split("\n")[0]
    return f": {text[:_DESCRIPTION]}" if text and text.lower() != prop.label.lower() else ""
