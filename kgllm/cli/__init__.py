"""The command line: one verb a job, each of which wraps one call of the SDK."""

from __future__ import annotations

from kgllm.cli import ask, graph, upkeep
from kgllm.cli.verbs import app

__all__ = ["app", "ask", "graph", "main", "upkeep"]


def main() -> None:
    """Run the command line of this process."""
    app(prog_name="kgllm")
