"""A language model behind any server that speaks OpenAI's chat completions: vLLM, on one machine or many, or another.

What counts as an answer is narrow: one choice, of the model asked, that stopped by itself, with JSON in it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kgllm.engines.model_server import ModelServer, Served, listed, parse_json, run
from kgllm.errors import ModelServerError
from kgllm.protocols import Completion, Message, Usage
from kgllm.terms import clean

__all__ = ["Enforcement", "OpenAIServer"]


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Whether a server holds its model to a schema, and what was seen of it, in a sentence."""

    enforced: bool
    detail: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """The one choice of a chat completion as the server wrote it."""

    content: str
    finish_reason: str
    model: str


class OpenAIServer:
    """A ``LanguageModel`` over HTTP. Without ``model`` it is the only one that the server lists.

    ``base_url`` is the address that ends in ``/v1``, added where it has no path. ``timeout_s`` bounds each conversation
    with its retries, ``max_in_flight`` of them run at once. To name a model sends nothing; to find it out asks the
    server. Raises ``SettingsError`` for a bad address, ``ModelServerError`` where the only model cannot be found out.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 120,
        max_in_flight: int = 16,
    ) -> None:
        self._server = ModelServer(base_url, model=model, api_key=api_key, timeout_s=timeout_s)
        self.max_in_flight = max_in_flight
        self.base_url: str = self._server.base_url
        self.name: str = model or self._only_model()
        self._server.model = self.name

    def complete(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> list[Completion]:
        """One completion a conversation, in order; the first fault ends them all.

        Greedy (temperature 0) and without a seed: vLLM on a CPU dies of one when the prompt is longer than a prefill
        chunk.
        """
        served, answers = run(self._ask(conversations, schema=schema, max_tokens=max_tokens))
        return [Completion(None if answer is None else self._value(answer, served), usage) for answer, usage in answers]

    def tokens(self, prompt: str | Sequence[Message]) -> int | None:
        """How many tokens a text has, or a conversation as the chat template writes it; ``None`` where nobody knows.

        Only vLLM is asked, by its ``/tokenize``.
        """
        return run(self._count(prompt))

    def context_length(self) -> int | None:
        """How many tokens prompt and answer may have together; ``None`` where the server does not say."""
        length = run(self._describe()).models.get(self.name, {}).get("max_model_len")
        return length if isinstance(length, int) else None

    def probe(self) -> Enforcement:
        """Whether the server enforces a schema, found by asking for something else than the schema admits.

        Servers are known to ignore what they do not know, and to answer with free text and status 200. Raises
        ``ModelServerError`` where no answer comes at all.
        """
        served, [(answer, _)] = run(self._ask([_CANARY], schema=_CANARY_SCHEMA, max_tokens=64))
        if answer is None:
            return Enforcement(False, "the server sent no answer of one choice with a text in it")
        if not self._was_asked(answer.model, served):
            return Enforcement(False, f"{self.name} was asked, and {clean(answer.model) or 'no model'} answered")
        if self._value(answer, served) in [{"word": word} for word in _CANARY_WORDS]:
            return Enforcement(True, "asked for a sentence under a schema of two words, it wrote one of the words")
        if answer.finish_reason == "length" and _ONLY_WHITE_SPACE.fullmatch(answer.content):
            return Enforcement(
                False,
                "the schema was kept, but white space filled the answer to its end; start vLLM with "
                """--structured-outputs-config '{"backend":"xgrammar","disable_any_whitespace":true}'""",
            )
        return Enforcement(False, f"asked under a schema of two words, it wrote: {clean(answer.content, cap=80)}")

    def _value(self, answer: _Answer, served: Served) -> Any:
        if answer.finish_reason != "stop" or not self._was_asked(answer.model, served):
            return None
        return parse_json(answer.content)

    def _was_asked(self, model: str, served: Served) -> bool:
        """Whether the model that answered is the one asked: by its name, its dated version, or another of its names."""
        dated = rf"{re.escape(self.name)}(:latest|-\d{{4}}-?\d\d-?\d\d)"
        asked_root, root = (served.models.get(name, {}).get("root") for name in (self.name, model))
        return model == self.name or bool(re.fullmatch(dated, model)) or (root is not None and root == asked_root)

    async def _ask(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> tuple[Served, list[tuple[_Answer | None, Usage]]]:
        places = asyncio.Semaphore(self.max_in_flight)
        async with self._server.connect() as http:
            served = await self._server.describe(http)

            async def ask(conversation: Sequence[Message]) -> tuple[_Answer | None, Usage]:
                request = {
                    "model": self.name,
                    "messages": _turns(conversation),
                    "temperature": 0,
                    "max_tokens": max_tokens,
                    "stream": False,
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": "kgllm", "schema": schema, "strict": True},
                    },
                    **_without_thinking(served),
                }
                async with places:
                    return _read(await self._server.call(http, "POST", f"{self.base_url}/chat/completions", request))

            return served, list(await asyncio.gather(*map(ask, conversations)))

    async def _count(self, prompt: str | Sequence[Message]) -> int | None:
        async with self._server.connect() as http:
            served = await self._server.describe(http)
            if not served.is_vllm:
                return None
            what: dict[str, Any] = (
                {"prompt": prompt}
                if isinstance(prompt, str)
                else {"messages": _turns(prompt), "add_generation_prompt": True, **_without_thinking(served)}
            )
            address = f"{self.base_url.removesuffix('/v1')}/tokenize"
            count = (await self._server.call(http, "POST", address, {"model": self.name, **what})).get("count")
        return count if isinstance(count, int) else None

    async def _describe(self) -> Served:
        async with self._server.connect() as http:
            return await self._server.describe(http)

    def _only_model(self) -> str:
        models = list(run(self._describe()).models)
        if len(models) == 1:
            return models[0]
        raise ModelServerError(
            f"{self.base_url} lists {f'{len(models)} models' if models else 'no model'}",
            why=f"one has to be chosen: {listed(models)}" if models else "so the one to ask has to be named",
            try_next=f"--model {clean(models[0])}" if models else "--model with the name of the one it serves",
        )


_CANARY_WORDS = ("zq7", "zq8")
_CANARY = (Message("user", "Describe the weather of a day in May in one plain English sentence, without any JSON."),)
_CANARY_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"word": {"enum": list(_CANARY_WORDS)}},
    "required": ["word"],
    "additionalProperties": False,
}
_ONLY_WHITE_SPACE = re.compile(r'\s*\{\s*("word"\s*(:\s*("zq[78]"\s*)?)?)?')


def _turns(conversation: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in conversation]


def _without_thinking(served: Served) -> dict[str, Any]:
    """Thinking off, where it is known how: what a model thinks stands outside the schema, and costs its tokens."""
    return {"chat_template_kwargs": {"enable_thinking": False}} if served.is_vllm else {}


def _read(body: Mapping[str, Any]) -> tuple[_Answer | None, Usage]:
    usage = _usage(body.get("usage"))
    match body:
        case {"choices": [{"message": {"content": str(content)}, "finish_reason": str(reason)}], "model": str(model)}:
            return _Answer(content, reason, model), usage
    return None, usage


def _usage(found: Any) -> Usage:
    counts = found if isinstance(found, dict) else {}
    details = counts.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    every = (counts.get("prompt_tokens"), counts.get("completion_tokens"), cached)
    return Usage(*(count if isinstance(count, int) else 0 for count in every))
