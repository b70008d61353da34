"""A language model for tests that is none: it says what its script says. For tests of code that uses kgllm, too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kgllm.errors import ModelServerError
from kgllm.protocols import Completion, Message, Usage

__all__ = ["ScriptedModel"]


class ScriptedModel:
    """A ``LanguageModel`` that gives the replies of a script in order, whatever it is asked.

    A reply is a completion's JSON value; ``None`` stands for output that was cut, empty or no JSON. ``conversations``
    and ``schemas`` keep what it was asked. Raises ``ModelServerError`` when the script has no more replies.

    >>> model = ScriptedModel([{"claims": []}])
    >>> model.complete([[Message("user", "Anything?")]], schema={}, max_tokens=9)[0].value
    {'claims': []}
    """

    name = "scripted (no language model)"

    def __init__(self, replies: Sequence[Any]) -> None:
        self.conversations: list[list[Message]] = []
        self.schemas: list[Mapping[str, Any]] = []
        self._replies = iter(replies)

    def complete(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> list[Completion]:
        """The next reply of the script for each conversation; a token is counted for each word of either."""
        completions = []
        for conversation in conversations:
            self.conversations.append(list(conversation))
            self.schemas.append(schema)
            try:
                reply = next(self._replies)
            except StopIteration:
                raise ModelServerError(
                    f"the script ends after {len(self.conversations) - 1} replies",
                    try_next="give ScriptedModel a reply for each time that it is asked",
                ) from None
            asked = sum(len(message.content.split()) for message in conversation)
            completions.append(Completion(reply, Usage(asked, len(str(reply).split()))))
        return completions

    def stream(
        self, conversation: Sequence[Message], *, schema: Mapping[str, Any], max_tokens: int
    ) -> Iterator[str | Completion]:
        """The next reply, its JSON in pieces of eight characters."""
        (completion,) = self.complete([conversation], schema=schema, max_tokens=max_tokens)
        text = "" if completion.value is None else json.dumps(completion.value)
        yield from (text[start : start + 8] for start in range(0, len(text), 8))
        yield completion

    def tokens(self, prompt: str | Sequence[Message]) -> int | None:
        """A token a word."""
        texts = [prompt] if isinstance(prompt, str) else [message.content for message in prompt]
        return sum(len(text.split()) for text in texts)

    def context_length(self) -> int | None:
        """No limit is known."""
        return None
