"""Answer with a language model: it picks facts by handle and words them; what they do not bear out is not shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from kgllm.answer import Answer, Claim, compose, name_of, sentence, verdict_of
from kgllm.borne_out import LONGEST, is_borne_out
from kgllm.index import Index
from kgllm.plan import Plan
from kgllm.prompting import as_data, prompt
from kgllm.protocols import LanguageModel, Message
from kgllm.recall import Recalled
from kgllm.terms import Literal, Node, Triple
from kgllm.validate import Violation

__all__ = ["answer_schema", "is_borne_out", "word"]

_FACTS = 48
_CLAIMS = 6
_MAX_TOKENS = 900


@cache
def answer_schema() -> Mapping[str, Any]:
    """The schema of an answer; the same object at every call."""
    claim = {
        "type": "object",
        "properties": {
            "facts": {
                "type": "array",
                "items": {"enum": [f"f{number}" for number in range(_FACTS)]},
                "minItems": 1,
                "maxItems": 4,
            },
            "text": {"type": "string", "minLength": 1, "maxLength": LONGEST},
        },
        "required": ["facts", "text"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"claims": {"type": "array", "items": claim, "minItems": 1, "maxItems": _CLAIMS}},
        "required": ["claims"],
        "additionalProperties": False,
    }


def word(plan: Plan, recalled: Recalled, violations: Sequence[Violation], index: Index, model: LanguageModel) -> Answer:
    """The answer in the model's words where its facts bear them out, in code's words where not.

    A question without facts to word (a no, an answer of too many facts) and a reply that is unusable are composed.
    """
    composed = compose(plan, recalled, violations, index)
    facts = composed.facts
    if not facts or len(facts) > _FACTS:
        return composed
    labels = recalled.memory.labels
    entries = {f"f{number}": sentence(triple, labels) for number, triple in enumerate(facts)}
    asked = {"question": composed.question}
    turns = [
        Message("system", prompt("answer")),
        Message("user", f"Facts:\n{as_data(entries)}\n\nQuestion:\n{as_data(asked, cap=None)}"),
    ]
    (completion,) = model.complete([turns], schema=answer_schema(), max_tokens=_MAX_TOKENS)
    claims = _claims(completion.value, facts, labels, recalled)
    if not claims:
        return replace(composed, usage=completion.usage)
    numbers = {triple: number for number, triple in enumerate(facts, start=1)}
    said = " ".join(c.text + " " + "".join(f"[{numbers[t]}]" for t in c.evidence) for c in claims)
    return replace(
        composed,
        text=said if _says_all(said, claims, composed) else f"{composed.text} {said}",
        claims=_in_order(claims, composed.claims),
        usage=completion.usage,
    )


def _says_all(said: str, claims: Sequence[Claim], composed: Answer) -> bool:
    """Whether the model's sentences give each result: a node by its name, a literal by a fact that has it."""
    rows = composed.rows
    if composed.query is None or composed.query.form in {"ask", "count"} or len(rows.vars) > 1 or not rows.complete:
        return False
    values = {triple[2] for claim in claims for triple in claim.evidence}
    labels = composed.memory.labels
    return all(
        result in values
        if isinstance(result, Literal)
        else re.search(rf"(?<!\w){re.escape(name_of(result, labels))}(?!\w)", said, re.IGNORECASE)
        for result in composed.results
    )


def _in_order(claims: Sequence[Claim], composed: Sequence[Claim]) -> tuple[Claim, ...]:
    """Code's claims, which hold every answer and number the facts, then the model's wording of them."""
    return (*composed, *(claim for claim in claims if claim not in composed))


def _claims(value: Any, facts: Sequence[Triple], labels: Mapping[Node, str], recalled: Recalled) -> list[Claim]:
    """The claims of a reply, each sentence checked against its facts; empty if the reply is not what was asked for."""
    claims = []
    items = value.get("claims") if isinstance(value, dict) else None
    for item in items[:_CLAIMS] if isinstance(items, list) else []:
        handles = item.get("facts") if isinstance(item, dict) else None
        if (
            not isinstance(handles, list)
            or not all(_is_handle(handle, len(facts)) for handle in handles)
            or not handles
        ):
            continue
        evidence = tuple(dict.fromkeys(facts[int(handle[1:])] for handle in handles))
        text = item.get("text")
        if not isinstance(text, str) or not is_borne_out(text, evidence, labels):
            text = " ".join(sentence(triple, labels) for triple in evidence)
        claims.append(Claim(" ".join(text.split()), verdict_of(evidence, recalled.memory), evidence))
    return list(dict.fromkeys(claims))


def _is_handle(handle: object, count: int) -> bool:
    return isinstance(handle, str) and re.fullmatch(r"f[0-9]{1,3}", handle) is not None and int(handle[1:]) < count
