"""``kgllm logs``: what was asked, and all that it took to answer it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from kgllm.cli.forms import as_json
from kgllm.cli.verbs import ABSTAINED, Common, verb

if TYPE_CHECKING:
    from kgllm.runs import Run

__all__ = ["logs"]

_WIDTH = 70  # characters of a question and of an answer in the list


@verb("logs")
def logs(
    common: Common,
    show: Annotated[
        str | None, typer.Argument(metavar="[show]", help="show: print one run in full, the last one without an id.")
    ] = None,
    id: Annotated[str | None, typer.Argument(help="Its id, or the beginning of it.")] = None,
    count: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many to list, the newest last.")] = 10,
) -> int:
    """The run log: the last questions, or one of them with its query, prompts and memory. Formats: text, json.

    Exits with 3 if nothing was logged.
    """
    form = common.chosen_format("text", "json")
    if show not in {None, "show"}:
        raise typer.BadParameter("kgllm logs, or kgllm logs show ID")
    with common.run_log() as log:
        if show is not None:
            newest = log.last(1) if log.path.exists() and id is None else []
            if id is None and not newest:
                common.terminal.remark("nothing was logged yet")
                return ABSTAINED
            run = newest[0] if id is None else log.get(id)
            common.terminal.out(as_json(run.to_json()) if form == "json" else _shown(run))
            return 0
        runs = list(reversed(log.last(count))) if log.path.exists() else []
    if form == "json":
        listed = ("id", "time", "conversation", "turn", "graph", "question", "text", "abstained", "planner", "model")
        common.terminal.out(as_json({"runs": [{key: run.to_json()[key] for key in listed} for run in runs]}))
    for run in runs if form == "text" else []:
        when = run.time[:19].replace("T", " ")
        common.terminal.out(
            f"{run.id}  {when}  {_cut(run.question)}\n{'':15}{'–' if run.abstained else '→'} {_cut(run.text)}"
        )
    if not runs:
        common.terminal.remark("nothing was logged yet")
    return 0 if runs else ABSTAINED


def _shown(run: Run) -> str:
    """A run in full, each part under its name."""
    asked = f"{run.planner} planner" + (f", {run.model} at {run.server or 'no server'}" if run.model else "")
    if run.model:
        asked += f", temperature {run.temperature:g}, " + (f"seed {run.seed}" if run.seed is not None else "no seed")
    parts = [
        ("Question", run.question),
        ("Answer", run.text),
        ("Run", f"{run.id}, {run.time}\nturn {run.turn} of conversation {run.conversation}"),
        ("Graph", f"{run.graph} ({run.fingerprint})"),
        ("Planner", asked),
        ("Query", run.query),
    ]
    for number, exchange in enumerate(run.exchanges, start=1):
        prompt = "\n".join(f"[{message['role']}]\n{message['content']}" for message in exchange["prompt"])
        reply = json.dumps(exchange["reply"], ensure_ascii=False)
        parts.append((f"Prompt {number} ({exchange['purpose']})", f"{prompt}\n[reply]\n{reply}"))
    parts.append(("Memory", run.memory))
    return "\n\n".join(f"{name}\n{_indented(text)}" for name, text in parts if text)


def _indented(text: str) -> str:
    from kgllm.terms import clean

    return "\n".join(f"  {clean(line, cap=None)}" for line in text.rstrip().splitlines())


def _cut(text: str) -> str:
    from kgllm.terms import clean

    return clean(text, cap=_WIDTH)
