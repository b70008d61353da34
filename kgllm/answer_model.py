"""Answer with a language model: it picks facts by handle and words them; what its facts do not bear out is not shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from kgllm.answer import Answer, Claim, compose, name_of, sentence, verdict_of
from kgllm.index import Index
from kgllm.plan import Plan
from kgllm.prompting import as_data, prompt
from kgllm.protocols import LanguageModel, Message
from kgllm.recall import Recalled
from kgllm.terms import Node, Triple, clean
from kgllm.validate import Violation

__all__ = ["answer_schema", "is_borne_out", "word"]

_FACTS = 48
_CLAIMS = 6
_LONGEST = 240  # characters of a sentence
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
            "text": {"type": "string", "minLength": 1, "maxLength": _LONGEST},
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
    turns = [
        Message("system", prompt("answer")),
        Message("user", f"Facts:\n{as_data(entries)}\n\nQuestion:\n{as_data({'question': composed.question})}"),
    ]
    (completion,) = model.complete([turns], schema=answer_schema(), max_tokens=_MAX_TOKENS)
    claims = _claims(completion.value, facts, labels, recalled)
    if not claims:
        return replace(composed, usage=completion.usage)
    numbers = {triple: number for number, triple in enumerate(facts, start=1)}
    said = " ".join(c.text + " " + "".join(f"[{numbers[t]}]" for t in c.evidence) for c in claims)
    return replace(
        composed,
        text=f"{composed.text} {said}" if plan.query.form in {"ask", "count"} else said,
        claims=_in_order(claims, composed.claims),
        usage=completion.usage,
    )


def _in_order(claims: Sequence[Claim], composed: Sequence[Claim]) -> tuple[Claim, ...]:
    """Code's claims, which hold every answer and number the facts, then the model's wording of them."""
    return (*composed, *(claim for claim in claims if claim not in composed))


def _claims(value: Any, facts: Sequence[Triple], labels: Mapping[Node, str], recalled: Recalled) -> list[Claim]:
    """The claims of a reply, each sentence checked against its facts; empty if the reply is not what was asked for."""
    claims = []
    items = value.get("claims") if isinstance(value, dict) else None
    for item in items if isinstance(items, list) else []:
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
    return isinstance(handle, str) and re.fullmatch(r"f\d{1,3}", handle) is not None and int(handle[1:]) < count


_MARKUP = re.compile(r"https?:|www\.|[<>\[\]{}*_`|\\#]")
_NAME_OR_NUMBER = re.compile(r"\b(?:\d[\d.,:/-]*\d|\d|[A-Z][\w'’-]*)", re.UNICODE)
_WORD = re.compile(r"\w+", re.UNICODE)


def is_borne_out(text: str, evidence: Sequence[Triple], labels: Mapping[Node, str]) -> bool:
    """Whether every name, number and date of a sentence stands in its evidence, and it carries no link or markup.

    >>> from kgllm.terms import Literal, URIRef
    >>> fact = (URIRef("e:apollo_11"), URIRef("e:launch_date"), Literal("1969-07-16"))
    >>> is_borne_out("It was launched on 1969-07-16.", [fact], {}), is_borne_out("Launched in 1970.", [fact], {})
    (True, False)
    """
    if _MARKUP.search(text) or clean(text, cap=None) != text or len(text) > _LONGEST:
        return False
    known = " ".join(name_of(term, labels) for triple in evidence for term in triple)
    words = {word.casefold() for word in _WORD.findall(known)}
    if not words & {word.casefold() for word in _WORD.findall(text)}:
        return False
    opening = _WORD.search(text)
    for match in _NAME_OR_NUMBER.finditer(text):
        parts = [part.casefold() for part in _WORD.findall(match.group())]
        is_opening = opening is not None and match.start() == opening.start() and not match.group()[0].isdigit()
        if not is_opening and not set(parts) <= words:
            return False
    return True
