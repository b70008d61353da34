"""A client for servers of models that believes nothing they say, for the engines that stand on one.

Stock clients take an HTML page or a body cut in the middle for an answer, follow redirects with the prompt in hand, and
have no deadline that a slow drip cannot outlive. Here an answer is a whole JSON object, or a stream with its end, that
came in time, or an error. What cannot lose or double anything is tried again, within the same deadline.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import random
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from kgllm.engines.connections import Connections
from kgllm.errors import BackendError, ModelServerError, SettingsError
from kgllm.terms import clean

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "BrokeOffError",
    "ModelServer",
    "Served",
    "StatusError",
    "UnreachableError",
    "listed",
    "only_model",
    "parse_json",
    "side_by_side",
]

T = TypeVar("T")

MOST_BYTES = 8 << 20  # of one answer; the longest honest one is some tens of kilobytes
CONNECT_S = 5.0
CONNECT_TRIES = 3  # a server that refuses three times in half a second was never there
LEAST_TRY = 0.125  # of the deadline: with less of it left a try would end with it, and hide why the one before failed
REPEATS = 2  # after a failure of the server's own, which may be the request's fault
PAUSE_S, LONGEST_PAUSE_S = 0.2, 4.0  # doubled at each try; the longest is what a restarted server waits to be found
IDLE_S = 3.0  # uvicorn, under vLLM, ends a connection that was idle for five seconds
IDLE_CONNECTIONS = 16  # the pool looks at each idle one at every call: 64 of them halve the calls per second


@dataclass(frozen=True, slots=True)
class Served:
    """What a server says of itself: its models by name, each with its description; none where it does not say."""

    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def is_vllm(self) -> bool:
        """Whether the server is a vLLM, whose own parameters it then takes."""
        return any(model.get("owned_by") == "vllm" for model in self.models.values())


class UnreachableError(ModelServerError):
    """A server that could not be connected to."""


class BrokeOffError(ModelServerError):
    """A reply that ended before its end; ``begun`` where a part of it was already handed on."""

    begun = False


class StatusError(ModelServerError):
    """An answer whose status is not 200. ``retry_after_s`` is the pause that it asks for."""

    def __init__(self, what: str, *, why: str, try_next: str, response: httpx2.Response) -> None:
        super().__init__(what, why=why, try_next=try_next)
        self.status: int = response.status_code
        self.is_page = _media_type(response) == "text/html"
        self.retry_after_s = _seconds(response.headers.get("retry-after", "").strip())


class _Patience:
    """How long one call waits after each of its faults before it tries again."""

    def __init__(self) -> None:
        self.tries = 0
        self.failures = 0

    def after(self, fault: ModelServerError, *, known: bool) -> float | None:
        """Seconds to wait, or ``None`` where to try again is in vain; ``known`` is a server that ever answered."""
        self.tries += 1
        longest = min(PAUSE_S * 2 ** min(self.tries - 1, 10), LONGEST_PAUSE_S)
        pause = random.uniform(longest / 2, longest)  # noqa: S311 - so that 64 do not return at once
        match fault:
            case UnreachableError():
                return pause if known or self.tries < CONNECT_TRIES else None
            case StatusError(status=429 | 503):
                return max(pause, (fault.retry_after_s or 0) * random.uniform(1, 1.25))  # noqa: S311
            case StatusError(status=500 | 502 | 504) | BrokeOffError(begun=False):
                self.failures += 1
                return pause if self.failures <= REPEATS else None
        return None


class ModelServer:
    """A server with an OpenAI-compatible API at ``base_url``, which ends in ``/v1`` (added where it has no path).

    ``timeout_s`` bounds each call from its sending to its last byte, with all its retries; ``max_in_flight`` calls are
    under way at once, from all threads together. ``model`` is the one to be spoken of in errors. Nothing is sent before
    the first call. Raises ``SettingsError`` for an address that is none.
    """

    def __init__(
        self, base_url: str, *, model: str | None, api_key: str | None, timeout_s: float, max_in_flight: int = 64
    ) -> None:
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
        self.max_in_flight = max_in_flight
        self._api_key = api_key
        self._served: Served | None = None
        self._known = False  # whether it ever answered, whatever it was
        self._ssl = httpx2.create_ssl_context() if parts.scheme == "https" else False  # takes 50 ms: once
        # A proxy of the environment is for the world outside: there, a loopback address means another machine.
        self._by_proxy = parts.hostname not in {"localhost", "127.0.0.1", "::1"}
        self._opening = threading.Lock()
        self._open: Connections | None = None
        self._describing: asyncio.Future[Served] | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine gives, run in the loop of the connections; from any thread, a notebook's among them."""
        return self.outcome(self.start(work))

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """The coroutine under way in the loop of the connections; to cancel the future ends it."""
        with self._opening:
            if self._open is None or not self._open.alive:
                self._open, self._describing = self._connect(), None
            return self._open.start(work)

    def outcome(self, under_way: Future[T]) -> T:
        """What comes of work that was started; it ends with the wait for it, so that Ctrl-C needs no deadline."""
        try:
            return under_way.result()
        except CancelledError:
            raise ModelServerError(
                f"the connections to {self.base_url} were closed before it had answered",
                why="the model was closed while it was asked",
                try_next="ask again",
            ) from None
        finally:
            under_way.cancel()

    def close(self) -> None:
        """End the connections and their thread. Closing twice is harmless, and the next call opens them again."""
        with self._opening:
            if self._open is not None:
                self._open.close()
                self._open = None

    async def describe(self) -> Served:
        """What the server says of itself, asked once; a server that has no list of models says nothing."""
        if self._served is None:
            # All who ask at once wait for one request, and for one deadline where it fails.
            if self._describing is None or self._describing.done():
                self._describing = asyncio.ensure_future(self._describe())
            return await asyncio.shield(self._describing)
        return self._served

    async def call(self, method: str, url: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that the server answers, by the deadline. Raises ``ModelServerError`` for anything else.

        Tried again: without end but the deadline, a server that is busy (429, 503) or that answered before and is gone;
        three times, one that never answered; twice more, one that failed (500, 502, 504) or broke off.
        """
        body = _encoded(request)
        return await self._tried(lambda: self._ask(method, url, body))

    async def stream(
        self, url: str, request: Mapping[str, Any], *, take: Callable[[dict[str, Any]], str], first_token_s: float
    ) -> None:
        """Hand each event of the answer to ``take``, which gives the text in it, up to the end that the server tells.

        The first text comes within ``first_token_s`` of the sending, and nothing is tried again once it came. Raises
        ``ModelServerError`` as ``call`` does.
        """
        body = _encoded(request)
        await self._tried(lambda: self._follow(url, body, take, first_token_s))

    @property
    def _connections(self) -> Connections:
        if self._open is None:
            raise RuntimeError("a model server is spoken to in what its run() runs")
        return self._open

    def _connect(self) -> Connections:
        import httpx2

        headers = {"accept-encoding": "identity"}  # nothing that inflates beyond the cap
        if self._api_key:
            headers["authorization"] = f"Bearer {self._api_key}"
        http = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(None, connect=CONNECT_S),  # the rest is under the one deadline of a call
            limits=httpx2.Limits(max_keepalive_connections=IDLE_CONNECTIONS, keepalive_expiry=IDLE_S),
            verify=self._ssl,
            trust_env=self._by_proxy,
            follow_redirects=False,
        )
        return Connections(http, max_in_flight=self.max_in_flight)

    async def _describe(self) -> Served:
        try:
            body = await self.call("GET", f"{self.base_url}/models")
        except StatusError as error:
            if error.status not in {404, 405, 501} or error.is_page:  # what answers with a page is no model server
                raise
            body = {}
        data = body.get("data")
        models = [model for model in data if isinstance(model, dict)] if isinstance(data, list) else []
        self._served = Served({model["id"]: model for model in models if isinstance(model.get("id"), str)})
        return self._served

    async def _tried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        patience = _Patience()
        why = "the server is overloaded, stuck, or too slow for answers of this length"
        async with self._connections.places:
            deadline = time.monotonic() + self.timeout_s
            try:
                async with asyncio.timeout(self.timeout_s):
                    while True:
                        try:
                            return await attempt()
                        except (UnreachableError, BrokeOffError, StatusError) as fault:
                            pause = patience.after(fault, known=self._known)
                            if pause is None or time.monotonic() + pause + self.timeout_s * LEAST_TRY >= deadline:
                                raise
                            why = f"the try before this one ended so: {fault.what}"
                            await asyncio.sleep(pause)
            except TimeoutError as error:
                raise ModelServerError(
                    f"{self.base_url} gave no whole answer in {self.timeout_s:g} s",
                    why=why,
                    try_next="ask fewer questions at once or a smaller model; "
                    "kgllm doctor shows whether it answers at all",
                ) from error

    async def _ask(self, method: str, url: str, body: bytes | None) -> dict[str, Any]:
        async with self._send(method, url, body, accept="application/json") as response:
            content = await self._content(response)
        found = parse_json(content) if _media_type(response) in _JSON else None
        if response.status_code != 200:
            raise self._refused(response, found)
        if not isinstance(found, dict):
            raise self._no_answer(response, content, "JSON object")
        return found

    async def _follow(
        self, url: str, body: bytes | None, take: Callable[[dict[str, Any]], str], first_token_s: float
    ) -> None:
        import httpx2

        begun = False
        try:
            async with (
                asyncio.timeout(first_token_s) as first,
                self._send("POST", url, body, accept="text/event-stream") as response,
            ):
                if response.status_code != 200:
                    raise self._refused(response, parse_json(await self._content(response)))
                if _media_type(response) != "text/event-stream" or "content-encoding" in response.headers:
                    raise self._no_answer(response, await self._content(response), "stream of events")
                async for event in httpx2.EventSource(response):
                    if response.num_bytes_downloaded > MOST_BYTES:
                        raise self._endless()
                    if event.data == "[DONE]":
                        return
                    if take(self._event(event.data)) and not begun:
                        begun = True
                        first.reschedule(None)
                raise self._broke_off("its stream ended without the [DONE] that tells that it is whole")
        except TimeoutError as error:
            raise ModelServerError(
                f"{self.base_url} wrote nothing in {first_token_s:g} s",
                why="it took the request and sent no first token: its queue or the prompt is long, a new schema is "
                "being compiled, or it is stuck",
                try_next="ask fewer questions at once; allow more with first_token_s; kgllm doctor shows whether it "
                "answers at all",
            ) from error
        except BrokeOffError as error:
            error.begun = begun
            raise

    @asynccontextmanager
    async def _send(self, method: str, url: str, body: bytes | None, *, accept: str) -> AsyncIterator[httpx2.Response]:
        import httpx2

        headers = {"accept": accept, **({} if body is None else {"content-type": "application/json"})}
        try:
            async with self._connections.http.stream(method, url, content=body, headers=headers) as response:
                self._known = True
                if response.is_redirect:
                    raise ModelServerError(
                        f"{self.base_url} sends on to {clean(response.headers.get('location', 'another address'))}",
                        why="a redirect is not followed: questions and facts would go where nobody meant them to",
                        try_next="--base-url with the server's own address",
                    )
                yield response
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise self._unreachable(error) from error
        except httpx2.HTTPError as error:
            raise self._broke_off(clean(str(error)) or type(error).__name__) from error

    async def _content(self, response: httpx2.Response) -> bytes:
        content = bytearray()
        async for part in response.aiter_raw():
            content += part
            if len(content) > MOST_BYTES:
                raise self._endless()
        return bytes(content)

    def _event(self, data: str) -> dict[str, Any]:
        event = parse_json(data)
        if not isinstance(event, dict):
            raise ModelServerError(
                f"{self.base_url} sent an event that is no JSON object",
                why=clean(data, cap=120) or "the event is empty",
                try_next="check --base-url: it is the address of an OpenAI-compatible API",
            )
        if event.get("error"):  # how vLLM ends a stream whose engine died: inside an answer of status 200
            raise self._broke_off(self._said(event) or "it sent an error that gives no reason")
        return event

    def _endless(self) -> ModelServerError:
        return ModelServerError(
            f"{self.base_url} sent more than {MOST_BYTES >> 20} MiB for one answer",
            why="no model's answer is that long; the server is not what it should be",
            try_next="check --base-url",
        )

    def _no_answer(self, response: httpx2.Response, content: bytes, wanted: str) -> ModelServerError:
        return ModelServerError(
            f"{self.base_url} answered with {clean(_media_type(response)) or 'something'} that is no {wanted}",
            why=clean(content.decode("utf-8", "replace"), cap=120) or "the answer is empty",
            try_next="check --base-url: it is the address of an OpenAI-compatible API, most often ending in /v1",
        )

    def _broke_off(self, why: str) -> BrokeOffError:
        return BrokeOffError(
            f"{self.base_url} broke off before its answer was whole",
            why=why,
            try_next="look into the server's log, and ask again when it runs",
        )

    def _unreachable(self, error: Exception) -> UnreachableError:
        why = clean(str(error)) or "it could not be connected to in time"
        start = f"vllm serve {self.model or 'MODEL'}"
        if self._known:
            return UnreachableError(
                f"{self.base_url} answered before, and is gone",
                why=f"{why}; it was tried again up to the deadline of {self.timeout_s:g} s",
                try_next=f"look into the server's log for its end, and start it again: {start}",
            )
        return UnreachableError(
            f"no model server answers at {self.base_url}",
            why=why,
            try_next=f"start one: {start}; or do without: --planner embedded",
        )

    def _said(self, found: Any) -> str:
        """The message in the body of an error, safe to be shown."""
        said = _message(found)
        return clean(said.replace(self._api_key, "…") if self._api_key else said, cap=500)

    def _refused(self, response: httpx2.Response, found: Any) -> StatusError:
        status = response.status_code
        said = self._said(found)
        why = said or f"it gave no reason with the status {status}"
        served = list(self._served.models) if self._served else []
        if status in {401, 403}:
            what, try_next = f"{self.base_url} did not accept the key", "set OPENAI_API_KEY to a key of this server"
        elif status == 404 and served and self.model not in served:
            what, try_next = f"{self.base_url} does not serve {self.model}", f"--model {clean(served[0])}"
            why = f"it serves {listed(served)}"
        elif status == 404:
            what = f"{self.base_url} knows no such address or model"
            try_next = "check --base-url (most often it ends in /v1) and --model"
        elif status in {400, 413, 422} and _TOO_LONG.search(f"{said} {_code(found)}"):
            what = f"prompt and answer are too long for {self.model}"
            try_next = "ask a shorter question, or serve the model with a larger --max-model-len"
        elif status in {429, 503}:
            what, try_next = f"{self.base_url} is too busy ({status})", "ask fewer questions at once, or later"
        elif status >= 500:
            what, try_next = f"{self.base_url} failed ({status})", "look into the server's log and start it again"
        else:
            what = f"{self.base_url} refused the request ({status})"
            try_next = "kgllm doctor, which tells what this server can do"
        return StatusError(what, why=why, try_next=try_next, response=response)


_JSON = {"application/json", "application/problem+json"}
# As vLLM, SGLang, llama.cpp and OpenAI word it; OpenAI's code is surer than its message.
_TOO_LONG = re.compile(
    r"context.?length|context.?size|context window|max_model_len|maximum model length|context_length_exceeded"
)


def _encoded(request: Mapping[str, Any] | None) -> bytes | None:
    # "replace", since a lone surrogate is no UTF-8, and one in a prompt is no reason to fail.
    return None if request is None else json.dumps(request, ensure_ascii=False).encode("utf-8", "replace")


def _media_type(response: httpx2.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _seconds(pause: str) -> float | None:
    """The seconds of a Retry-After, which is a number of them or a date (RFC 9110, section 10.2.3)."""
    if re.fullmatch(r"\d{1,9}(\.\d+)?", pause):
        return float(pause)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(pause).timestamp() - time.time())
    except ValueError:
        return None


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


def _code(found: Any) -> str:
    match found:
        case {"error": {"code": str(code)}}:
            return code
    return ""


async def side_by_side(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What each coroutine gives, in order; the first fault ends the others, and is raised itself and in no group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as faults:
        raise faults.exceptions[0] from None
    return [task.result() for task in tasks]


def only_model(served: Served, base_url: str, *, option: str, fault: type[BackendError] = ModelServerError) -> str:
    """The one model that a server lists. Raises ``fault``, which names the option to choose by, for none or several."""
    names = list(served.models)
    if len(names) == 1:
        return names[0]
    raise fault(
        f"{base_url} lists {f'{len(names)} models' if names else 'no model'}",
        why=f"one has to be chosen: {listed(names)}" if names else "so the one to ask has to be named",
        try_next=f"{option} {clean(names[0]) if names else 'with the name of the one it serves'}",
    )


def listed(names: Sequence[str]) -> str:
    """The first eight names in a row, and how many more there are."""
    shown = ", ".join(clean(name) for name in names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
