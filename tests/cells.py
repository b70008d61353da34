"""A shell of IPython's own, as a notebook runs its cells in one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

__all__ = ["drawn", "fails", "running_shell", "succeeds"]


@contextmanager
def running_shell() -> Iterator[InteractiveShell]:
    """A shell with the extension loaded, and no history on the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # which a shell replaces
        made = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))  # type: ignore[no-untyped-call]
        succeeds(made, "%load_ext kgllm")
        yield made
        succeeds(made, "%unload_ext kgllm")


def succeeds(shell: InteractiveShell, cell: str) -> Any:
    """What a cell gives, which a notebook displays."""
    outcome = shell.run_cell(cell, store_history=True)  # type: ignore[no-untyped-call]
    outcome.raise_error()
    return outcome.result


def fails(shell: InteractiveShell, cell: str) -> Any:
    """The error that a cell ends in."""
    outcome = shell.run_cell(cell)  # type: ignore[no-untyped-call]
    assert outcome.error_in_exec is not None
    return outcome.error_in_exec


def drawn(shell: InteractiveShell, shown: object) -> dict[str, str]:
    """What a front end gets to display."""
    formatter: Any = shell.display_formatter
    data: dict[str, str] = formatter.format(shown)[0]
    return data
