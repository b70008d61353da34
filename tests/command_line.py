"""The command line as the tests of it drive it: over the demo graph, in this process or in one of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from kgllm.cli import app
from tests.conftest import DEMO_GRAPH, DEMO_ONTOLOGY, ROOT

GRAPH, ONTOLOGY = str(DEMO_GRAPH), str(DEMO_ONTOLOGY)
APOLLO = "https://example.org/spaceflight/Apollo_11"
ARMSTRONG = "https://example.org/spaceflight/Neil_Armstrong"
QUESTION = "Who commanded Apollo 11?"


def run(*arguments: str, stdin: str = "") -> Any:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def demo(verb: str, *arguments: str, stdin: str = "") -> Any:
    return run(verb, *arguments, "-g", GRAPH, "--ontology", ONTOLOGY, stdin=stdin)


def spawn(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "cli.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def file(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def failed(result: Any, code: int, *signs: str) -> None:
    """A fault is told on stderr alone, with what happened and what to try, on one screen."""
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert "error: " in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 12
    for sign in signs:
        assert sign in result.stderr
