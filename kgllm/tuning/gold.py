"""The gold query of a question, as a ``Query``."""

from __future__ import annotations

from kgllm.query import Query
from kgllm.questions import Question
from kgllm.terms import Namespaces
from kgllm.tuning.sparql_to_query import compiled

__all__ = ["gold_query"]


def gold_query(question: Question, namespaces: Namespaces) -> Query | None:
    """The query of a question's gold, ``None`` without one that can be said so; prefixes need not be declared."""
    if question.sparql is None:
        return None
    known = "".join(f"PREFIX {prefix}: <{iri}>\n" for prefix, iri in namespaces.prefixes.items())
    try:
        return compiled(known + question.sparql)
    except Exception:  # rdflib raises bare ones for what it cannot translate
        return None
