"""The command line: one verb a job, each of which wraps one call of the SDK."""

from __future__ import annotations

import gc
import io
import sys

from kgllm.cli import ask, graph, upkeep
from kgllm.cli.verbs import app

__all__ = ["app", "ask", "graph", "main", "upkeep"]


def main() -> None:
    """Run the command line of this process."""
    gc.set_threshold(100_000)  # by default the collector spends a tenth of a cold start on what was just imported
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a question may hold what no encoding writes
    app(prog_name="kgllm")
