"""Progress in a notebook: one line that is written anew, and is gone when the cell is done."""

from __future__ import annotations

import html
import sys
import time
from typing import Any

__all__ = ["NotebookProgress", "progress_here"]

_PATIENCE = 1.0  # seconds of a cell, before which nothing is worth showing
_BETWEEN = 0.2  # seconds between two writings


class NotebookProgress:
    """Shows a stage, and a bar of how much of it is done, in the output of the cell that runs."""

    def __init__(self, shell: Any, display: Any) -> None:
        """``shell`` and ``display`` are IPython's."""
        self._shell = shell
        self._display = display
        self._line: Any = None
        self._began = 0.0
        self._written = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Tell how far a stage is."""
        now = time.monotonic()
        if not self._began:
            self._began = now
            self._shell.events.register("post_run_cell", self._end)
        if now - self._began < _PATIENCE or now - self._written < _BETWEEN:
            return
        self._written = now
        counted = f" {done:,} of {total:,} <progress value='{done}' max='{total}'></progress>" if total > 1 else " …"
        self._write(f"<small>{html.escape(stage)}{counted}</small>")

    def _write(self, text: str) -> None:
        data = {"text/html": text, "text/plain": ""}
        if self._line is None:
            self._line = self._display(data, raw=True, display_id=True)
        else:
            self._line.update(data, raw=True)

    def _end(self, *_: Any) -> None:
        self._shell.events.unregister("post_run_cell", self._end)
        if self._line is not None:
            self._write("")
        self._line, self._began = None, 0.0


def progress_here() -> NotebookProgress | None:
    """The progress for the notebook whose kernel this process is; ``None`` anywhere else."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display

    return NotebookProgress(shell, display)
