"""What a question is answered with, as a person would read it."""

from __future__ import annotations

from kgllm import Assistant
from kgllm.terms import URIRef

__all__ = ["named"]


def named(kg: Assistant, question: str) -> list[str]:
    """The labels of the nodes, and the literals, that a question is answered with, in order."""
    return [kg.index.label(term) if isinstance(term, URIRef) else str(term) for term in kg.ask(question).results]
