"""Paraphrases: a language model words made questions in other ways; what loses a name or a number is not taken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from kgllm.prompting import as_data, prompt
from kgllm.protocols import Completion, LanguageModel, Message, Progress
from kgllm.query_schema import list_of, object_of
from kgllm.terms import clean

__all__ = ["paraphrase_schema", "paraphrases"]

_LONGEST = 300  # characters
_MOST = 3
_MAX_TOKENS = 400
_AT_ONCE = 64  # questions, as many as a server's batch takes
_NUMBER = re.compile(r"\d[\d.,:-]*")


@cache
def paraphrase_schema() -> Mapping[str, Any]:
    """The schema of a reply; the same object at every call."""
    text = {"type": "string", "minLength": 1, "maxLength": _LONGEST}
    return object_of(paraphrases=list_of(text, 1, _MOST))


def paraphrases(
    questions: Sequence[tuple[str, Sequence[str]]], model: LanguageModel, *, progress: Progress
) -> Iterator[list[str]]:
    """For each question with its names the other wordings of it that hold every name and number of it.

    Raises ``ModelServerError`` as the model does.
    """
    for start in range(0, len(questions), _AT_ONCE):
        some = questions[start : start + _AT_ONCE]
        turns = [
            [
                Message("system", prompt("paraphrase")),
                Message("user", as_data({"question": text, "names": _list(names)})),
            ]
            for text, names in some
        ]
        replies = model.complete(turns, schema=paraphrase_schema(), max_tokens=_MAX_TOKENS)
        for (text, names), reply in zip(some, replies, strict=True):
            yield _kept(text, names, reply)
        progress("paraphrase", start + len(some), len(questions))


def _list(names: Sequence[str]) -> str:
    return "; ".join(names)


def _kept(question: str, names: Sequence[str], reply: Completion) -> list[str]:
    """The texts of a reply that say what the question does, so far as can be told."""
    value = reply.value
    said = value.get("paraphrases") if isinstance(value, dict) else None
    if not isinstance(said, list):
        return []
    needed = [*(name.casefold() for name in names), *_NUMBER.findall(question.casefold())]
    texts = dict.fromkeys(clean(text) for text in said[:_MOST] if isinstance(text, str) and len(text) <= _LONGEST)
    return [
        text
        for text in texts
        if text and text.casefold() != question.casefold() and all(part in text.casefold() for part in needed)
    ]
