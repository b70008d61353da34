"""A client for servers of models that believes nothing they say, for the engines that stand on one.

Stock clients take an HTML page or a body cut in the middle for an answer, follow redirects with the prompt in hand, and
have no deadline that a slow drip cannot outlive. Here an answer is a whole JSON object that came in time, or an error.
"""

from __future__ import annotations

import asyncio
import json
import queue
import re
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from kgllm.errors import ModelServerError, SettingsError
from kgllm.terms import clean

if TYPE_CHECKING:
    import httpx2

__all__ = ["ModelServer", "Served", "StatusError", "listed", "parse_json", "run"]

T = TypeVar("T")

MOST_BYTES = 8 << 20  # of one answer; the longest honest one is some tens of kilobytes
CONNECT_S = 5.0
CONNECT_TRIES = 3  # a server that refuses three times in half a second is not there
BUSY_PAUSE_S = 0.5  # doubled at each answer of 429 or 503 that names no pause of its own
BUSY_STATUS = {429, 503}


@dataclass(frozen=True, slots=True)
class Served:
    """What a server says of itself: its models by name, each with its description; none where it does not say."""

    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def is_vllm(self) -> bool:
        """Whether the server is a vLLM, whose own parameters it then takes."""
        return any(model.get("owned_by") == "vllm" for model in self.models.values())


class ModelServer:
    """A server with an OpenAI-compatible API at ``base_url``, which ends in ``/v1`` (added where it has no path).

    ``timeout_s`` bounds each call from its sending to its last byte, with all its retries. ``model`` is the one to be
    spoken of in errors. Nothing is sent before the first call. Raises ``SettingsError`` for an address that is none.
    """

    def __init__(self, base_url: str, *, model: str | None, api_key: str | None, timeout_s: float) -> None:
        import httpx2

        parts = urlsplit(base_url.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise SettingsError(
                f"not the address of a model server: {clean(re.sub(r'//[^/]*@', '//…@', base_url))}",
                why="it has to be http:// or https://, then a host, with no user or password",
                try_next="--base-url http://localhost:8000/v1, and the key in OPENAI_API_KEY",
            )
        self.base_url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"
        self.model = model
        self.timeout_s = timeout_s
        self._api_key = api_key
        self._served: Served | None = None
        self._ssl = httpx2.create_ssl_context() if parts.scheme == "https" else False  # takes 50 ms: once
        # A proxy of the environment is for the world outside: there, a loopback address means another machine.
        self._by_proxy = parts.hostname not in {"localhost", "127.0.0.1", "::1"}

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[httpx2.AsyncClient]:
        """The client for some calls that run in one loop."""
        import httpx2

        headers = {"accept": "application/json", "accept-encoding": "identity"}  # nothing that inflates beyond the cap
        if self._api_key:
            headers["authorization"] = f"Bearer {self._api_key}"
        async with httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(None, connect=CONNECT_S),  # the rest is under the one deadline of ``call``
            verify=self._ssl,
            trust_env=self._by_proxy,
            follow_redirects=False,
        ) as http:
            yield http

    async def describe(self, http: httpx2.AsyncClient) -> Served:
        """What the server says of itself, asked once; a server that has no list of models says nothing."""
        if self._served is None:
            try:
                body = await self.call(http, "GET", f"{self.base_url}/models")
            except StatusError as error:
                if error.status not in {404, 405, 501}:
                    raise
                body = {}
            data = body.get("data")
            models = [model for model in data if isinstance(model, dict)] if isinstance(data, list) else []
            self._served = Served({model["id"]: model for model in models if isinstance(model.get("id"), str)})
        return self._served

    async def call(
        self, http: httpx2.AsyncClient, method: str, url: str, request: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The JSON object that the server answers, by the deadline. Raises ``ModelServerError`` for anything else.

        Tried again only where nothing was done yet: a refused connection, and the statuses 429 and 503.
        """
        import httpx2

        # "replace", since a lone surrogate is no UTF-8, and one in a prompt is no reason to fail.
        body = None if request is None else json.dumps(request, ensure_ascii=False).encode("utf-8", "replace")
        deadline = time.monotonic() + self.timeout_s
        tries = 0
        try:
            async with asyncio.timeout(self.timeout_s):
                while True:
                    tries += 1
                    try:
                        return await self._send(http, method, url, body)
                    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                        if tries == CONNECT_TRIES:
                            raise self._unreachable(error) from error
                        await asyncio.sleep(0.2)
                    except StatusError as error:
                        pause = error.retry_after_s or BUSY_PAUSE_S * 2 ** (tries - 1)
                        if error.status not in BUSY_STATUS or time.monotonic() + pause >= deadline:
                            raise
                        await asyncio.sleep(pause)
        except TimeoutError as error:
            raise ModelServerError(
                f"{self.base_url} gave no whole answer in {self.timeout_s:g} s",
                why="the server is overloaded, stuck, or too slow for answers of this length",
                try_next="ask fewer questions at once or a smaller model; kgllm doctor shows whether it answers at all",
            ) from error
        except httpx2.HTTPError as error:
            raise ModelServerError(
                f"{self.base_url} broke off before its answer was whole",
                why=clean(str(error)) or type(error).__name__,
                try_next="look into the server's log, and ask again when it runs",
            ) from error

    async def _send(self, http: httpx2.AsyncClient, method: str, url: str, body: bytes | None) -> dict[str, Any]:
        headers = {} if body is None else {"content-type": "application/json"}
        async with http.stream(method, url, content=body, headers=headers) as response:
            if response.is_redirect:
                raise ModelServerError(
                    f"{self.base_url} sends on to {clean(response.headers.get('location', 'another address'))}",
                    why="a redirect is not followed: questions and facts would go where nobody meant them to",
                    try_next="--base-url with the server's own address",
                )
            content = bytearray()
            async for part in response.aiter_raw():
                content += part
                if len(content) > MOST_BYTES:
                    raise ModelServerError(
                        f"{self.base_url} sent more than {MOST_BYTES >> 20} MiB for one answer",
                        why="no model's answer is that long; the server is not what it should be",
                        try_next="check --base-url",
                    )
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        found = parse_json(bytes(content)) if media_type in {"application/json", "application/problem+json"} else None
        if response.status_code != 200:
            raise self._refused(response, found)
        if not isinstance(found, dict):
            raise ModelServerError(
                f"{self.base_url} answered with {clean(media_type) or 'something'} that is no JSON object",
                why=clean(content.decode("utf-8", "replace"), cap=120) or "the answer is empty",
                try_next="check --base-url: it is the address of an OpenAI-compatible API, most often ending in /v1",
            )
        return found

    def _unreachable(self, error: Exception) -> ModelServerError:
        return ModelServerError(
            f"no model server answers at {self.base_url}",
            why=clean(str(error)) or "it could not be connected to in time",
            try_next=f"start one: vllm serve {self.model or 'MODEL'}; or do without: --planner embedded",
        )

    def _refused(self, response: httpx2.Response, found: Any) -> StatusError:
        status = response.status_code
        said = _message(found)
        if self._api_key:
            said = said.replace(self._api_key, "…")
        why = clean(said, cap=500) or f"it gave no reason with the status {status}"
        served = list(self._served.models) if self._served else []
        if status in {401, 403}:
            what, try_next = f"{self.base_url} did not accept the key", "set OPENAI_API_KEY to a key of this server"
        elif status == 404 and served and self.model not in served:
            what, try_next = f"{self.base_url} does not serve {self.model}", f"--model {clean(served[0])}"
            why = f"it serves {listed(served)}"
        elif status == 404:
            what = f"{self.base_url} knows no such address or model"
            try_next = "check --base-url (most often it ends in /v1) and --model"
        elif re.search(r"context length|max_model_len|context_length_exceeded|context window", said):
            what = f"prompt and answer are too long for {self.model}"
            try_next = "ask a shorter question, or serve the model with a larger --max-model-len"
        elif status in BUSY_STATUS:
            what, try_next = f"{self.base_url} is too busy ({status})", "ask fewer questions at once, or later"
        elif status >= 500:
            what, try_next = f"{self.base_url} failed ({status})", "look into the server's log and start it again"
        else:
            what = f"{self.base_url} refused the request ({status})"
            try_next = "kgllm doctor, which tells what this server can do"
        return StatusError(what, why=why, try_next=try_next, response=response)


class StatusError(ModelServerError):
    """An answer whose status is not 200."""

    def __init__(self, what: str, *, why: str, try_next: str, response: httpx2.Response) -> None:
        super().__init__(what, why=why, try_next=try_next)
        self.status: int = response.status_code
        pause = response.headers.get("retry-after", "")
        self.retry_after_s: float | None = float(pause) if re.fullmatch(r"\d{1,4}(\.\d+)?", pause) else None


def run(work: Coroutine[Any, Any, T]) -> T:
    """What the coroutine gives, run in a thread of its own: in a notebook a loop already runs in this one."""
    started: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Task[T]]] = queue.SimpleQueue()

    async def main() -> T:
        task = asyncio.ensure_future(work)
        started.put((asyncio.get_running_loop(), task))
        return await task

    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(asyncio.run, main())
        loop, task = started.get()
        try:
            return result.result()
        except KeyboardInterrupt:
            loop.call_soon_threadsafe(task.cancel)  # else Ctrl-C would wait for the deadline
            raise


def parse_json(text: str | bytes) -> Any:
    """The JSON value of a text, ``None`` if it is no JSON; ``NaN`` and its kin, which Python adds to JSON, are none."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _message(found: Any) -> str:
    """The message in the body of an error, wherever servers put it."""
    match found:
        case {"error": {"message": str(message)}} | {"error": str(message)} | {"message": str(message)}:
            return message
        case {"detail": str(message)}:
            return message
    return ""


def listed(names: Sequence[str]) -> str:
    """The first eight names in a row, and how many more there are."""
    shown = ", ".join(clean(name) for name in names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
