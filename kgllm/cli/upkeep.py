"""The verbs that look after things: ``index`` and ``doctor``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from kgllm.cli.forms import as_json
from kgllm.cli.verbs import Common, verb
from kgllm.errors import BackendError

if TYPE_CHECKING:
    from kgllm.protocols import Progress

__all__ = ["doctor", "index"]


@verb("index")
def index(
    common: Common,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build anew even where nothing changed.")] = False,
) -> int:
    """Build the index of descriptions, or bring it up to date. Formats: text, json."""
    form = common.chosen_format("text", "json")
    from kgllm.opening import make_workspace

    stages = _Stages(common.terminal.progress)
    workspace = make_workspace(common.settings, progress=stages)
    try:
        generation = workspace.build(rebuild=rebuild)
    finally:
        workspace.close()
    seconds = stages.seconds()
    manifest = generation.manifest
    if form == "json":
        facts = {key: manifest.get(key) for key in ("descriptions", "values", "model", "generation")}
        found = {"folder": str(workspace.folder), "built": bool(seconds), **facts, "seconds": seconds}
        common.terminal.out(as_json(found))
        return 0
    common.terminal.out(f"{workspace.folder}")
    counts = ", ".join(f"{manifest[key]:,} {key}" for key in ("descriptions", "values") if key in manifest)
    done = f"built in {sum(seconds.values()):.1f} s" if seconds else "up to date"
    common.terminal.out(f"{done}: {counts}")
    for stage, spent in seconds.items():
        common.terminal.out(f"  {spent:6.1f} s  {stage}")
    return 0


class _Stages:
    """Passes progress on, and keeps when each stage began; the first is what comes before any is named."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began: dict[str, float] = {"start": time.perf_counter()}

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._began.setdefault(stage, time.perf_counter())
        self._progress(stage, done, total)

    def seconds(self) -> dict[str, float]:
        """Seconds from each stage's beginning to the next one's; of the last, to now. Empty if nothing was done."""
        if len(self._began) == 1:
            return {}
        ends = [*list(self._began.values())[1:], time.perf_counter()]
        return {stage: round(end - began, 3) for (stage, began), end in zip(self._began.items(), ends, strict=True)}


@verb("doctor")
def doctor(common: Common) -> int:
    """What is installed, configured, reachable and truly enforced, and where each setting came from.

    Formats: text, json. Exits with 5 if something that is configured cannot be used.
    """
    from kgllm.doctor import examine

    form = common.chosen_format("text", "json")
    report = examine(common.settings)
    common.terminal.out(as_json(report.to_json()) if form == "json" else str(report))
    return 0 if report.is_well else BackendError.exit_code
