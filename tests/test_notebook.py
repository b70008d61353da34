"""Progress in a notebook: told after a while, in one place, and gone when the cell is done."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from kgllm.notebook import NotebookProgress, progress_here


class Cell:
    """What a cell shows, and its end."""

    def __init__(self) -> None:
        self.outputs: list[str] = []
        self.ends: list[Callable[..., None]] = []
        self.events = SimpleNamespace(
            register=lambda _, end: self.ends.append(end), unregister=lambda _, end: self.ends.remove(end)
        )

    def display(self, data: dict[str, str], **options: Any) -> Any:
        assert options == {"raw": True, "display_id": True}
        place = len(self.outputs)
        self.outputs.append(data["text/html"])

        def update(data: dict[str, str], *, raw: bool) -> None:
            assert raw
            self.outputs[place] = data["text/html"]

        return SimpleNamespace(update=update)

    def end(self) -> None:
        for end in list(self.ends):
            end()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("kgllm.notebook.time.monotonic", lambda: now[0])
    return now


def test_what_is_quick_shows_nothing(clock: list[float]) -> None:
    cell = Cell()
    progress = NotebookProgress(cell, cell.display)
    for done in range(10):
        progress("embed", done, 10)
    cell.end()
    assert cell.outputs == []
    assert cell.ends == []


def test_what_takes_long_is_told_in_one_place_and_gone_in_the_end(clock: list[float]) -> None:
    cell = Cell()
    progress = NotebookProgress(cell, cell.display)
    progress("read <the> ontology", 0, 1)
    clock[0] += 2
    progress("read <the> ontology", 0, 1)
    assert cell.outputs == ["<small>read &lt;the&gt; ontology …</small>"]
    clock[0] += 1
    progress("embed", 1_200, 9_000)
    assert cell.outputs == ["<small>embed 1,200 of 9,000 <progress value='1200' max='9000'></progress></small>"]
    cell.end()
    assert cell.outputs == [""]
    progress("embed", 0, 9)  # the next cell
    clock[0] += 2
    progress("embed", 1, 9)
    assert len(cell.outputs) == 2


def test_only_a_kernel_has_it() -> None:
    assert progress_here() is None
