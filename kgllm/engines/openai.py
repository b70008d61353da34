"""A language model behind any server that speaks OpenAI's chat completions: vLLM, on one machine or many, or another.

What counts as an answer is narrow: one choice, of the model asked, that stopped by itself, with JSON in it.
"""

from __future__ import annotations

import json
import queue
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from kgllm.engines.model_server import (
    BrokeOffError,
    ModelServer,
    Served,
    StatusError,
    only_model,
    parse_json,
    side_by_side,
)
from kgllm.errors import ModelServerError
from kgllm.protocols import Completion, Message, Usage, turns
from kgllm.terms import clean

__all__ = ["Enforcement", "OpenAIServer"]

T = TypeVar("T")


LONGEST_KEPT = 2_000  # characters of a reply that is no JSON


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


class _Reply:
    """The one choice of a streamed chat completion, as far as it has come."""

    def __init__(self) -> None:
        self.text = ""
        self.usage = Usage()
        self._finish_reason: str | None = None
        self._models: set[str] = set()

    def take(self, event: Mapping[str, Any]) -> str:
        """The text in an event, which is of one choice or of none. Raises ``ModelServerError`` for any other event."""
        if event.get("usage"):
            self.usage = _usage(event["usage"])
        match event.get("choices"):
            case []:  # usage alone, or what some servers say of the prompt
                return ""
            case [{"delta": {**delta}} as choice] if choice.get("index", 0) == 0:
                text = delta.get("content") or ""
                if isinstance(text, str) and not (text and self._finish_reason):
                    reason = choice.get("finish_reason")
                    self._finish_reason = self._finish_reason or (reason if isinstance(reason, str) else None)
                    self._models.add(str(event.get("model")))
                    self.text += text
                    return text
        raise ModelServerError(
            "the model server sent an event that is no part of one answer",
            why=clean(json.dumps(event, ensure_ascii=False), cap=120),
            try_next="check --base-url: it is the address of an OpenAI-compatible API",
        )

    def whole(self) -> _Answer:
        """The choice at its end. Raises ``BrokeOffError`` where the server did not tell why it ended."""
        if self._finish_reason is None:
            raise BrokeOffError(
                "the model server broke off before its answer was whole",
                why="its stream ended without the finish_reason that tells that the answer is",
                try_next="look into the server's log, and ask again",
            )
        return _Answer(self.text, self._finish_reason, self._models.pop() if len(self._models) == 1 else "")


class OpenAIServer:
    """A ``LanguageModel`` over HTTP. Without ``model`` it is the only one that the server lists.

    ``base_url`` is the address that ends in ``/v1``, added where it has no path. ``timeout_s`` bounds each conversation
    with its retries, ``first_token_s`` the wait for a stream's first text, ``max_in_flight`` conversations run at once.
    ``temperature`` 0 is greedy. ``seed`` makes a higher one repeatable; vLLM on a CPU dies of a seed when the prompt is
    longer than a prefill chunk. To name a model sends nothing; to find it out asks the server. Safe to use from many
    threads. Raises ``SettingsError`` for a bad address, ``ModelServerError`` where the only model cannot be found out.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        temperature: float = 0,
        seed: int | None = None,
        timeout_s: float = 120,
        first_token_s: float = 60,
        max_in_flight: int = 64,
    ) -> None:
        self._server = ModelServer(
            base_url, model=model, api_key=api_key, timeout_s=timeout_s, max_in_flight=max_in_flight
        )
        self.temperature = temperature
        self.seed = seed
        self.first_token_s = first_token_s
        self.base_url: str = self._server.base_url
        self.name: str = model or only_model(self._server.run(self._server.describe()), self.base_url, option="--model")
        self._server.model = self.name
        self._refuses_schemas = False
        self._takes_template_settings = True
        self._counts = True

    def complete(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> list[Completion]:
        """One completion a conversation, in order; the first fault ends them all."""
        served, answers = self._server.run(self._ask_all(conversations, schema=schema, max_tokens=max_tokens))
        return [self._completion(answer, usage, served) for answer, usage in answers]

    def stream(
        self, conversation: Sequence[Message], *, schema: Mapping[str, Any], max_tokens: int
    ) -> Iterator[str | Completion]:
        """The text of one completion piece by piece as it comes, and at the end the whole ``Completion``.

        Nothing is sent before the first piece is asked for; to close the iterator early ends the request.
        """
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        under_way = self._server.start(self._write(conversation, schema=schema, max_tokens=max_tokens, put=pieces.put))
        under_way.add_done_callback(lambda _: pieces.put(None))
        try:
            while (piece := pieces.get()) is not None:
                yield piece
            yield self._server.outcome(under_way)
        finally:
            under_way.cancel()

    def tokens(self, prompt: str | Sequence[Message]) -> int | None:
        """How many tokens a text has, or a conversation as the chat template writes it; ``None`` where nobody knows.

        Only vLLM is asked, by its ``/tokenize``.
        """
        return self._server.run(self._count(prompt))

    def context_length(self) -> int | None:
        """How many tokens prompt and answer may have together; ``None`` where the server does not say."""
        length = self._server.run(self._server.describe()).models.get(self.name, {}).get("max_model_len")
        return length if isinstance(length, int) else None

    def close(self) -> None:
        """End the connections and their thread. Closing twice is harmless, and the next call opens them again."""
        self._server.close()

    def probe(self) -> Enforcement:
        """Whether the server enforces a schema, found by asking for something else than the schema admits.

        Servers are known to ignore what they do not know, and to answer with free text and status 200. Raises
        ``ModelServerError`` where no answer comes at all.
        """
        served, [(answer, _)] = self._server.run(self._ask_all([_CANARY], schema=_CANARY_SCHEMA, max_tokens=64))
        if self._refuses_schemas:
            return Enforcement(False, "the server refuses a schema; JSON is asked of it, and the schema told in words")
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

    def _completion(self, answer: _Answer | None, usage: Usage, served: Served) -> Completion:
        value = None if answer is None else self._value(answer, served)
        text = answer.content[:LONGEST_KEPT] if answer is not None and value is None else ""
        return Completion(value, usage, text)

    def _value(self, answer: _Answer, served: Served) -> Any:
        if answer.finish_reason != "stop" or not self._was_asked(answer.model, served):
            return None
        return parse_json(answer.content)

    def _was_asked(self, model: str, served: Served) -> bool:
        """Whether the model that answered is the one asked: by its name, its dated version, or another of its names."""
        dated = rf"{re.escape(self.name)}(:latest|-\d{{4}}-?\d\d-?\d\d)"
        asked_root, root = (served.models.get(name, {}).get("root") for name in (self.name, model))
        return model == self.name or bool(re.fullmatch(dated, model)) or (root is not None and root == asked_root)

    async def _ask_all(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> tuple[Served, list[tuple[_Answer | None, Usage]]]:
        served = await self._server.describe()

        async def send(request: Mapping[str, Any]) -> tuple[_Answer | None, Usage]:
            return _read(await self._server.call("POST", f"{self.base_url}/chat/completions", request))

        return served, await side_by_side(
            self._held(send, conversation, served, schema=schema, max_tokens=max_tokens)
            for conversation in conversations
        )

    async def _write(
        self,
        conversation: Sequence[Message],
        *,
        schema: Mapping[str, Any],
        max_tokens: int,
        put: Callable[[str | None], None],
    ) -> Completion:
        served = await self._server.describe()

        async def send(request: Mapping[str, Any]) -> _Reply:
            reply = _Reply()

            def take(event: dict[str, Any]) -> str:
                text = reply.take(event)
                if text:
                    put(text)
                return text

            streamed = {**request, "stream": True, "stream_options": {"include_usage": True}}
            await self._server.stream(
                f"{self.base_url}/chat/completions", streamed, take=take, first_token_s=self.first_token_s
            )
            return reply

        reply = await self._held(send, conversation, served, schema=schema, max_tokens=max_tokens)
        return self._completion(reply.whole(), reply.usage, served)

    async def _held(
        self,
        send: Callable[[Mapping[str, Any]], Awaitable[T]],
        conversation: Sequence[Message],
        served: Served,
        *,
        schema: Mapping[str, Any],
        max_tokens: int,
    ) -> T:
        """What comes of sending the request under the schema; of any JSON, where the server refuses schemas.

        A server is known to refuse them once it took the same without one. vLLM holds to schemas: what it refuses is
        this one, which nobody must drop.
        """
        request: dict[str, Any] = {
            "model": self.name,
            "temperature": self.temperature,
            "max_tokens": max_tokens,
            "stream": False,
            **({} if self.seed is None else {"seed": self.seed}),
            **self._without_thinking(served),
        }
        held = {"type": "json_schema", "json_schema": {"name": "kgllm", "schema": schema, "strict": True}}
        any_json = {"messages": turns(_told(conversation, schema)), "response_format": {"type": "json_object"}}
        if self._refuses_schemas:
            return await send({**request, **any_json})
        try:
            return await send({**request, "messages": turns(conversation), "response_format": held})
        except StatusError as refused:
            if self._refuses_template_settings(refused, request):
                return await self._held(send, conversation, served, schema=schema, max_tokens=max_tokens)
            if served.is_vllm or refused.status not in {400, 422}:
                raise
            try:
                taken = await send({**request, **any_json})
            except StatusError:
                raise refused from None
            self._refuses_schemas = True
            return taken

    async def _count(self, prompt: str | Sequence[Message]) -> int | None:
        served = await self._server.describe()
        if not (served.is_vllm and self._counts):
            return None
        what: dict[str, Any] = (
            {"prompt": prompt}
            if isinstance(prompt, str)
            else {"messages": turns(prompt), "add_generation_prompt": True, **self._without_thinking(served)}
        )
        address = f"{self.base_url.removesuffix('/v1')}/tokenize"
        try:
            count = (await self._server.call("POST", address, {"model": self.name, **what})).get("count")
        except StatusError as refused:
            if self._refuses_template_settings(refused, what):
                return await self._count(prompt)
            if refused.status not in {401, 403, 404, 405, 501}:
                raise
            self._counts = False  # a proxy that lets through what begins with /v1 alone
            return None
        return count if isinstance(count, int) else None

    def _without_thinking(self, served: Served) -> dict[str, Any]:
        """Thinking off, where it is known how: what a model thinks stands outside the schema, and costs its tokens."""
        is_known = served.is_vllm and self._takes_template_settings
        return {"chat_template_kwargs": {"enable_thinking": False}} if is_known else {}

    def _refuses_template_settings(self, refused: StatusError, request: Mapping[str, Any]) -> bool:
        """Whether the settings of the chat template were refused, as vLLM does for Mistral's tokenizers; remembered."""
        if "chat_template_kwargs" not in request or refused.status != 400 or "chat_template" not in refused.why:
            return False
        self._takes_template_settings = False
        return True


_CANARY_WORDS = ("zq7", "zq8")
_CANARY = (Message("user", "Describe the weather of a day in May in one plain English sentence, without any JSON."),)
_CANARY_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"word": {"enum": list(_CANARY_WORDS)}},
    "required": ["word"],
    "additionalProperties": False,
}
_ONLY_WHITE_SPACE = re.compile(r'\s*\{\s*("word"\s*(:\s*("zq[78]"\s*)?)?)?')


def _told(conversation: Sequence[Message], schema: Mapping[str, Any]) -> list[Message]:
    """The conversation with the schema in words, in its first system message: chat templates allow none further on."""
    words = f"Answer with one JSON object that keeps to this JSON Schema, and nothing else:\n{json.dumps(schema)}"
    match list(conversation):
        case [Message("system", rules), *rest]:
            return [Message("system", f"{rules}\n\n{words}"), *rest]
        case plain:
            return [Message("system", words), *plain]


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
