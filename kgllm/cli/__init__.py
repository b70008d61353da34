"""The command line: one verb a job, each of which wraps one call of the SDK."""

from __future__ import annotations

import gc
import io
import os
import sys
import threading

from kgllm.cli import ask, chat, graph, logs, measuring, tuning, upkeep
from kgllm.cli.verbs import INTERRUPTED, app

__all__ = ["app", "ask", "chat", "graph", "logs", "main", "measuring", "tuning", "upkeep"]


def main() -> None:
    """Run the command line of this process."""
    gc.set_threshold(100_000)  # by default the collector spends a tenth of a cold start on what was just imported
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a question may hold what no encoding writes
    try:
        app(prog_name="kgllm")
    except SystemExit as end:
        if end.code == INTERRUPTED and threading.active_count() > 1:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)  # threads that wait for a server would hold the exit up until it has answered
        raise
