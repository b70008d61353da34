"""The child side of a worker: jobs read from stdin, answered on stdout, one frame each.

A frame is the length of its header (4 bytes) and of its body (8 bytes), big-endian, then the header (JSON) and the body
(raw bytes). This module must stay light, for it is what a cold start waits for.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from kgllm.engines import sandbox
from kgllm.errors import KgllmError, RdfSyntaxError

__all__ = ["FRAME", "Job", "serve"]

FRAME = struct.Struct(">IQ")
GRACE_S = 5.0  # the parent kills at the deadline; this is for a parent that is gone

Job: TypeAlias = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]
"""Takes a header and a body, gives a header and a body."""


def serve(jobs: Mapping[str, Job], *, memory_bytes: int) -> None:
    """Enter the sandbox and answer until stdin ends. A job's ``KgllmError`` is answered as data; so is any other."""
    kind = sandbox.enter(memory_bytes=memory_bytes)
    # SIGALRM's default action ends the process from the kernel: it needs neither the GIL nor a cooperative library.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    while head := requests.read(FRAME.size):
        header_length, body_length = FRAME.unpack(head)
        header = json.loads(requests.read(header_length))
        body = requests.read(body_length)
        signal.setitimer(signal.ITIMER_REAL, header["timeout_s"] + GRACE_S)
        try:
            answer, data = ({"sandbox": kind}, b"") if header["job"] == "sandbox" else jobs[header["job"]](header, body)
        except Exception as error:  # whatever a job raises is for the parent to judge
            answer, data = {"error": _as_data(error)}, b""
        signal.setitimer(signal.ITIMER_REAL, 0)
        if header.get("last_files") and kind == "no new files":
            sandbox.forbid_new_files()
        text = json.dumps(answer).encode()
        replies.write(FRAME.pack(len(text), len(data)))
        replies.write(text)
        replies.write(data)
        replies.flush()


def _as_data(error: Exception) -> dict[str, Any]:
    if isinstance(error, RdfSyntaxError):
        message = error.what.partition(": ")[2]
        return {
            "kind": "RdfSyntaxError",
            "file": error.file,
            "what": message,
            "line": error.line,
            "column": error.column,
        }
    if isinstance(error, KgllmError):
        return {"kind": type(error).__name__, "what": error.what, "why": error.why, "try_next": error.try_next}
    if isinstance(error, MemoryError):
        return {"kind": "MemoryError", "what": str(error)}
    return {"kind": "Exception", "what": f"{type(error).__name__}: {error}"}


def _end_with_parent() -> None:
    """Wait until the other end of stdin is closed, which it is when the parent ends, however it ends."""
    hang_up = select.poll()
    hang_up.register(0, 0)
    hang_up.poll()
    os._exit(0)
