"""Answer with a language model: it picks facts by handle and words them; what they do not bear out is not shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from kgllm.answer import Answer, Claim, compose, name_of, sentence, verdict_of
from kgllm.borne_out import LONGEST, what_is_not
from kgllm.index import Index
from kgllm.plan import Plan
from kgllm.prompting import as_data, as_reply, prompt, said
from kgllm.protocols import Completion, Exchange, LanguageModel, Message, Usage
from kgllm.query_schema import list_of, object_of
from kgllm.recall import Recalled
from kgllm.terms import Literal, Triple
from kgllm.violation import Violation

__all__ = ["answer_schema", "word"]

_FACTS = 48
_CLAIMS = 6
_MAX_TOKENS = 900
_CLAIMS_BEGIN = re.compile(r'\s*\{\s*"claims"\s*:\s*\[')
_BETWEEN = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


@cache
def answer_schema() -> Mapping[str, Any]:
    """The schema of an answer; the same object at every call."""
    facts = {"enum": [f"f{number}" for number in range(_FACTS)]}
    text = {"type": "string", "minLength": 1, "maxLength": LONGEST}
    return object_of(claims=list_of(object_of(facts=list_of(facts, 1, 4), text=text), 1, _CLAIMS))


def word(
    plan: Plan, recalled: Recalled, violations: Sequence[Violation], index: Index, model: LanguageModel
) -> Iterator[Claim | Answer]:
    """The claims in the model's words as they come, each borne out by its facts, and at the end the answer.

    A sentence that says more than its facts is sent back once, with what they do not hold; if the next one does so too
    it is dropped, and the answer says how many were. A question without facts to word (a no, a number, an answer of too
    many facts, facts beyond the model's context) is composed by code alone, and so is what stands for no reply.
    """
    composed = compose(plan, recalled, violations, index)
    facts = composed.facts
    if not facts or len(facts) > _FACTS or plan.query.form == "count":
        yield composed
        return
    wording = _Wording(composed, facts, recalled, model)
    if not wording.fits():
        yield composed
        return
    yield from wording.ask()
    unsaid = len(wording.refused)
    if unsaid:
        before = len(wording.claims)
        yield from wording.ask_again()
        unsaid = max(0, unsaid - (len(wording.claims) - before))
    claims = wording.claims
    numbers = {triple: number for number, triple in enumerate(facts, start=1)}
    worded = " ".join(c.text + " " + "".join(f"[{numbers[t]}]" for t in c.evidence) for c in claims)
    if claims:
        composed = replace(
            composed,
            text=worded if _says_all(worded, claims, composed) else f"{composed.text} {worded}",
            claims=_in_order(claims, composed.claims),
        )
    usage = sum((exchange.usage for exchange in wording.exchanges), Usage())
    yield replace(composed, usage=usage, exchanges=wording.exchanges, dropped=unsaid)


class _Wording:
    """The conversation in which a model words the facts of one answer."""

    def __init__(self, composed: Answer, facts: Sequence[Triple], recalled: Recalled, model: LanguageModel) -> None:
        self.claims: list[Claim] = []
        self.refused: list[tuple[Claim, str]] = []
        self.exchanges: tuple[Exchange, ...] = ()
        self._facts = facts
        self._memory = recalled.memory
        self._model = model
        entries = {f"f{number}": sentence(triple, recalled.memory.labels) for number, triple in enumerate(facts)}
        asked = as_data({"question": composed.question}, cap=None)
        self._turns = [
            Message("system", prompt("answer")),
            Message("user", f"Facts:\n{as_data(entries)}\n\nQuestion:\n{asked}"),
        ]

    def fits(self) -> bool:
        """Whether the facts, the answer and its repair are within what the model takes; so where nobody knows."""
        length, prompt = self._model.context_length(), self._model.tokens(self._turns)
        return length is None or prompt is None or prompt + 3 * _MAX_TOKENS <= length

    def ask(self) -> Iterator[Claim]:
        """The claims of the model's reply that are borne out, while it is still writing."""
        text, read = "", _ClaimsRead()
        for piece in self._model.stream(self._turns, schema=answer_schema(), max_tokens=_MAX_TOKENS):
            if isinstance(piece, str):
                text += piece
                yield from self._check(read.more(text))
            else:
                yield from self._check(read.whole(piece.value))
                self._keep(piece)

    def ask_again(self) -> Iterator[Claim]:
        """The claims that were not borne out, worded once more; what is refused now is dropped."""
        wrong = {str(number): f"{claim.text} — {reason}" for number, (claim, reason) in enumerate(self.refused)}
        self.refused = []
        request = "The facts of these claims do not hold what stands behind the dash. Word them again without it."
        self._turns.append(Message("user", f"{as_data(wrong)}\n{request}"))
        (completion,) = self._model.complete([self._turns], schema=answer_schema(), max_tokens=_MAX_TOKENS)
        self._keep(completion)
        yield from self._check(_ClaimsRead().whole(completion.value))

    def _keep(self, completion: Completion) -> None:
        self.exchanges += (Exchange("answer", tuple(self._turns), said(completion), completion.usage),)
        self._turns.append(Message("assistant", as_reply(completion.value)))

    def _check(self, items: Iterable[Any]) -> Iterator[Claim]:
        """Each claim that is one, if its sentence is borne out; the others are kept aside with what is wrong."""
        for item in items:
            handles = item.get("facts") if isinstance(item, dict) else None
            text = item.get("text") if isinstance(item, dict) else None
            if not isinstance(handles, list) or not handles or not isinstance(text, str):
                continue
            if not all(_is_handle(handle, len(self._facts)) for handle in handles):
                self.refused.append((Claim(" ".join(text.split()), "unsupported", ()), "facts that are not listed"))
                continue
            evidence = tuple(dict.fromkeys(self._facts[int(handle[1:])] for handle in handles))
            claim = Claim(" ".join(text.split()), verdict_of(evidence, self._memory), evidence)
            reason = what_is_not(text, evidence, self._memory.labels)
            if reason is not None:
                self.refused.append((claim, reason))
            elif claim not in self.claims:
                self.claims.append(claim)
                yield claim


class _ClaimsRead:
    """The claims of a reply, each given once, as soon as the text of it is whole."""

    def __init__(self) -> None:
        self._count = 0
        self._place = 0

    def more(self, text: str) -> Iterator[Any]:
        """Those that have become whole in a text that grows."""
        if not self._place:
            start = _CLAIMS_BEGIN.match(text)
            self._place = start.end() if start else 0
        while self._place and self._count < _CLAIMS:
            gap = _BETWEEN.match(text, self._place)
            place = gap.end() if gap else self._place
            if not text.startswith("{", place):
                return
            try:
                item, self._place = _DECODER.raw_decode(text, place)
            except (ValueError, RecursionError):
                return
            self._count += 1
            yield item

    def whole(self, value: Any) -> Iterator[Any]:
        """The rest, from the whole reply; nothing of one that is not what was asked for."""
        items = value.get("claims") if isinstance(value, dict) else None
        if isinstance(items, list):
            yield from items[self._count : _CLAIMS]


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


def _is_handle(handle: object, count: int) -> bool:
    return isinstance(handle, str) and re.fullmatch(r"f[0-9]{1,3}", handle) is not None and int(handle[1:]) < count
