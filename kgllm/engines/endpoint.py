"""A SPARQL 1.1 endpoint as a graph store: read-only, bounded, and open about what it did not get."""

from __future__ import annotations

import asyncio
import email.utils
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
import pyoxigraph as ox

import kgllm
from kgllm.engines.guard import refuse_unless_read_only
from kgllm.engines.results import rows_of_json, triples_of
from kgllm.errors import DeadlineError, EndpointError, QueryRefusedError
from kgllm.protocols import Rows
from kgllm.terms import Triple, clean

__all__ = ["EndpointStore"]

_ANSWER_BYTES = 64 * 2**20
_PARALLEL = 2
_JSON = "application/sparql-results+json"
_TRIPLES = "application/n-triples, text/turtle;q=0.9"
_HINTS = "an endpoint's address often ends in /sparql, /query or (GraphDB) /repositories/<id>"
_QUERY_CHARACTERS, _QUERY_TOKENS = 2**20, 2**16  # our own queries carry long VALUES


@dataclass(frozen=True, slots=True)
class _Answer:
    media_type: str
    headers: Mapping[str, str]
    body: bytes

    def cut_by_time(self) -> bool:
        """Virtuoso answers what it has at its own time-out, with 200 and this state."""
        return self.headers.get("x-sql-state", "").strip() == "S1TAT"

    def cut_by_rows(self, count: int) -> bool:
        """Virtuoso names its cap in every answer, cut or not."""
        cap = self.headers.get("x-sparql-maxrows", "").strip()
        return bool(cap) and (not cap.isdigit() or count >= int(cap))


class EndpointStore:
    """A ``GraphStore`` over the SPARQL 1.1 protocol; give either a name with its password, or a token, or neither.

    Only SELECT, ASK and CONSTRUCT go out, by POST, at most two at a time, to this URL and nowhere else: redirects are
    not followed. ``timeout_s`` is for each call in all, from the first byte sent to the last received.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        timeout_s: float = 30.0,
        answer_bytes: int = _ANSWER_BYTES,
    ) -> None:
        parts = urlsplit(url)
        self.source = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._url = url
        self._timeout_s = timeout_s
        self._answer_bytes = answer_bytes
        headers = {"User-Agent": f"kgllm/{kgllm.__version__}"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        # A total deadline needs an event loop, which can cancel: a read time-out starts anew with each byte.
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        client = httpx2.AsyncClient(
            headers=headers,
            auth=None if username is None else (username, password or ""),
            limits=httpx2.Limits(max_connections=_PARALLEL),
            follow_redirects=False,
            timeout=None,  # asyncio.timeout bounds the whole of each call
        )
        self._client = client
        self._close = weakref.finalize(self, _stop, self._loop, thread, client)

    def select(self, sparql: str, *, timeout_s: float | None = None, limit: int | None = None) -> Rows:
        """The rows of a SELECT; ``complete=False`` if the endpoint, or ``limit``, cut them."""
        answer = self._query(sparql, accept=_JSON, timeout_s=timeout_s)
        try:
            rows = rows_of_json(answer.body, limit=limit)
        except (ValueError, SyntaxError) as error:
            raise self._no_results(error) from None
        if answer.cut_by_time() or answer.cut_by_rows(len(rows.rows)):
            return Rows(rows.vars, rows.rows, complete=False)
        return rows

    def ask(self, sparql: str, *, timeout_s: float | None = None) -> bool:
        """The answer to an ASK. Raises ``EndpointError`` if the endpoint gave up before it knew."""
        answer = self._query(sparql, accept=_JSON, timeout_s=timeout_s)
        self._refuse_partial(answer, 0)
        try:
            result = ox.parse_query_results(answer.body, format=ox.QueryResultsFormat.JSON)
        except (ValueError, SyntaxError) as error:
            raise self._no_results(error) from None
        if not isinstance(result, ox.QueryBoolean):
            raise QueryRefusedError("yes or no was asked for, and this query is no ASK")
        return bool(result)

    def construct(self, sparql: str, *, timeout_s: float | None = None, limit: int | None = None) -> list[Triple]:
        """The triples of a CONSTRUCT, each once. Raises ``EndpointError`` if the endpoint cut them."""
        answer = self._query(sparql, accept=_TRIPLES, timeout_s=timeout_s)
        written_as = ox.RdfFormat.N_TRIPLES if "n-triples" in answer.media_type else ox.RdfFormat.TURTLE
        try:
            triples = triples_of(ox.parse(answer.body, format=written_as, base_iri=self.source))
        except (ValueError, SyntaxError) as error:
            raise self._no_results(error) from None
        self._refuse_partial(answer, len(triples))
        return triples[:limit]

    def prefixes(self) -> dict[str, str]:
        """None: the protocol has no way to ask."""
        return {}

    def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        self._close()

    def _query(self, sparql: str, *, accept: str, timeout_s: float | None) -> _Answer:
        refuse_unless_read_only(sparql, length=_QUERY_CHARACTERS, tokens=_QUERY_TOKENS)
        if not self._close.alive:
            raise EndpointError("the endpoint was asked after it was closed", try_next="open it again")
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        call = asyncio.run_coroutine_threadsafe(self._bounded(sparql, accept, timeout_s), self._loop)
        try:
            return call.result()
        except BaseException:
            call.cancel()
            raise

    async def _bounded(self, sparql: str, accept: str, timeout_s: float) -> _Answer:
        deadline = time.monotonic() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await self._post(sparql, accept, deadline)
        except TimeoutError:
            raise DeadlineError(
                f"{self.source} did not answer within {timeout_s:g} s",
                why="the call was ended at its deadline",
                try_next="ask for less, or allow it more time",
            ) from None
        except (httpx2.TransportError, httpx2.InvalidURL, httpx2.DecodingError) as error:
            raise EndpointError(
                f"{self.source} cannot be reached",
                why=clean(str(error) or type(error).__name__),
                try_next="look whether it runs, and whether the address is right",
            ) from None

    async def _post(self, sparql: str, accept: str, deadline: float) -> _Answer:
        for may_wait in (True, False):
            request = self._client.stream("POST", self._url, data={"query": sparql}, headers={"Accept": accept})
            async with request as response:
                pause = _retry_after(response)
                if not (may_wait and pause is not None and time.monotonic() + pause < deadline):
                    return await self._read(response, accept)
            await asyncio.sleep(pause)
        raise AssertionError("the second time does not wait")

    async def _read(self, response: httpx2.Response, accept: str) -> _Answer:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > self._answer_bytes:
                raise EndpointError(
                    f"{self.source} answered more than {self._answer_bytes / 2**20:.3g} MiB",
                    try_next="ask for less: add a LIMIT",
                )
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        answer = _Answer(media_type, response.headers, bytes(body))
        self._judge(response, answer, accept)
        return answer

    def _judge(self, response: httpx2.Response, answer: _Answer, accept: str) -> None:
        status = response.status_code
        if 300 <= status < 400:
            raise EndpointError(
                f"{self.source} sends elsewhere: {clean(response.headers.get('location', 'without saying where'))}",
                why="redirects are not followed: they could carry a password to another host",
                try_next="give that address, if it is one you trust",
            )
        if status in (401, 403):
            raise EndpointError(
                f"{self.source} refused access (HTTP {status})", try_next="give its user name and password, or a token"
            )
        if "html" in answer.media_type or answer.body[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
            raise EndpointError(
                f"{self.source} looks like a web page, not a SPARQL endpoint (HTTP {status})", try_next=_HINTS
            )
        if status == 400:
            raise QueryRefusedError("the endpoint refused the query", why=_first_line(answer.body))
        if status != 200:
            why = _first_line(answer.body)
            raise EndpointError(
                f"{self.source} answered HTTP {status}", why=why, try_next=_HINTS if status == 404 else ""
            )
        known = {part.partition(";")[0].strip() for part in accept.split(",")}
        if accept == _JSON:
            known.add("application/json")
        if answer.media_type not in known:
            raise EndpointError(
                f"{self.source} answered {clean(answer.media_type) or 'without a content type'}",
                why=f"{accept} was asked for",
                try_next=_HINTS,
            )

    def _refuse_partial(self, answer: _Answer, count: int) -> None:
        if answer.cut_by_time() or answer.cut_by_rows(count):
            raise EndpointError(
                f"{self.source} gave a part of the answer only",
                why="it says that it reached its own time or size limit",
                try_next="ask for less, or raise the endpoint's limits",
            )

    def _no_results(self, error: Exception) -> EndpointError:
        return EndpointError(
            f"{self.source} did not answer in the format it says",
            why=clean(str(error)),
            try_next="report it to its owner",
        )


def _retry_after(response: httpx2.Response) -> float | None:
    """The seconds that a busy server asks for."""
    value: Any = response.headers.get("retry-after", "").strip()
    if response.status_code not in (429, 503) or not value:
        return None
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _first_line(body: bytes) -> str:
    return clean(body[:2_000].decode(errors="replace").strip().split("\n", 1)[0])


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, client: httpx2.AsyncClient) -> None:
    asyncio.run_coroutine_threadsafe(client.aclose(), loop).result(timeout=5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=5)
    loop.close()
