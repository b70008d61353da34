"""A model server on loopback that misbehaves as it is told to, since no honest one can be made to."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = '{"node": "n1"}'
USAGE = {"prompt_tokens": 30, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 16}}

Handler = BaseHTTPRequestHandler
Script = Callable[[Handler, dict[str, Any]], None]


class FaultServer:
    """It lists its models as vLLM does, and answers each completion by the next script; the last one stays."""

    def __init__(self, *script: Script, models: tuple[str, ...] = ("tiny",), owner: str = "vllm") -> None:
        self.script = list(script)
        self.models = {"data": [{"id": name, "owned_by": owner, "root": "weights"} for name in models]}
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.listings = 0
        self.port = 0
        self.start()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Listen, at the same port as before."""
        self._listening = _Listening(self)
        self.port = self._listening.server_port
        threading.Thread(target=self._listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """End at once, with every connection, as a process does that is killed."""
        self._listening.shutdown()
        self._listening.server_close()
        for connection in list(self._listening.open):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, faults: FaultServer) -> None:
        self.faults = faults
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", faults.port), _Answers)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        self.faults.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what many of these scripts are for."""


class _Answers(Handler):
    server: _Listening
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self.server.faults.listings += 1
        models = self.server.faults.models
        reply(self, models, status=200 if models["data"] else 404)

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        faults = self.server.faults
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        faults.requests.append(request)
        faults.headers.append(dict(self.headers))
        (faults.script.pop(0) if len(faults.script) > 1 else faults.script[0])(self, request)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def serving(*script: Script, **how: Any) -> Iterator[FaultServer]:
    server = FaultServer(*script, **how)
    try:
        yield server
    finally:
        server.stop()


class AtOnce:
    """Counts those who are within it; ``most`` is how many were at once."""

    def __init__(self) -> None:
        self.most = 0
        self._within = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._within += 1
            self.most = max(self.most, self._within)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1


def reply(
    handler: Handler, body: Any, *, status: int = 200, media_type: str = "application/json", **headers: str
) -> None:
    """Bytes and texts as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", media_type)
    handler.send_header("Content-Length", str(len(content)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def completion(content: str | None = GOOD, *, finish_reason: str = "stop", model: str = "tiny") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    return {"object": "chat.completion", "model": model, "choices": [choice], "usage": USAGE}


def chunk(content: str = "", *, finish_reason: str | None = None, model: str = "tiny") -> dict[str, Any]:
    """An event of a stream."""
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    return {"object": "chat.completion.chunk", "model": model, "choices": [choice]}


LAST = {"model": "tiny", "choices": [], "usage": USAGE}
DONE = "[DONE]"


def says(body: Any, **how: Any) -> Script:
    return lambda handler, _: reply(handler, body, **how)


def streams(*events: Any, pause_s: float = 0) -> Script:
    """These events, and comments, which begin with a colon, as vLLM sends them; then the end of the connection."""
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    lines = [f"{'' if text.startswith(':') else 'data: '}{text}\n\n".encode() for text in texts]
    return raw("Connection: close\r\n", *lines, pause_s=pause_s, media_type="text/event-stream; charset=utf-8")


def streams_well(content: str = GOOD, *, finish_reason: str = "stop", model: str = "tiny") -> Script:
    """A whole stream of some pieces."""
    pieces = [chunk(content[start : start + 4], model=model) for start in range(0, len(content), 4)]
    return streams(chunk(model=model), *pieces, chunk(finish_reason=finish_reason, model=model), LAST, DONE)


def raw(head: str, *parts: bytes, pause_s: float = 0, times: int = 1, media_type: str = "application/json") -> Script:
    """Bytes as they are, a pause after each, then the end of the connection."""

    def script(handler: Handler, _: dict[str, Any]) -> None:
        handler.close_connection = True
        handler.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\n{head}\r\n".encode())
        for _turn in range(times):
            for part in parts:
                handler.wfile.write(part)
                handler.wfile.flush()
                time.sleep(pause_s)

    return script


def hangs_up(handler: Handler, _: dict[str, Any]) -> None:
    """The connection ends before a byte of the reply."""
    handler.close_connection = True


def hangs(handler: Handler, _: dict[str, Any]) -> None:
    """Nothing, until the client goes away."""
    left(handler, within_s=30)
    handler.close_connection = True


def left(handler: Handler, *, within_s: float) -> bool:
    """Whether the client ends the connection in that time."""
    readable, _, _ = select.select([handler.connection], [], [], within_s)
    if not readable:
        return False
    try:
        return not handler.connection.recv(1)
    except ConnectionError:
        return True


def address_of_nothing() -> str:
    """Where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"
