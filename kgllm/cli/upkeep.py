"""The verbs that look after things: ``index``, ``eval`` and ``doctor``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgllm.cli.forms import as_json
from kgllm.cli.verbs import Common, verb
from kgllm.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kgllm.protocols import Progress

__all__ = ["doctor", "evaluate", "index"]


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


@verb("eval")
def evaluate(
    common: Common,
    questions: Annotated[Path, typer.Argument(metavar="QUESTIONS.jsonl", help="A question with its gold a line.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write each answer, with its id.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="The first questions alone.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="The questions of one kind alone.")] = None,
    candidates: Annotated[
        bool, typer.Option("--candidates", help="Ask nothing: is what the gold names among the candidates?")
    ] = False,
    misses: Annotated[int, typer.Option("--misses", min=0, help="With --candidates: so many misses.")] = 0,
    probe: Annotated[
        str | None,
        typer.Option(
            "--probe", metavar="NAME", help="delete, swap, premise or all: do answers come from the graph alone?"
        ),
    ] = None,
) -> int:
    """Measure answers against gold. Formats: text, json."""
    from kgllm.evaluate import evaluate as measure

    form = common.chosen_format("text", "json")
    if candidates and probe is not None:
        raise typer.BadParameter("--candidates asks nothing, --probe does; give one of them")
    if probe is not None:
        return _probed(common, questions, probe, out, limit, kind, form)
    if candidates:
        return _candidates(common, questions, misses, limit, kind, form)
    with common.assistant() as assistant:
        report = measure(assistant, questions, out=out, limit=limit, kind=kind, progress=common.terminal.progress)
    common.terminal.out(as_json(report) if form == "json" else _measured(report))
    return 0


def _candidates(common: Common, questions: Path, misses: int, limit: int | None, kind: str | None, form: str) -> int:
    from kgllm.ceiling import ceiling

    with common.assistant() as assistant:
        report = ceiling(
            assistant.index, questions, misses=misses, limit=limit, kind=kind, progress=common.terminal.progress
        )
    common.terminal.out(as_json(report) if form == "json" else _offered(report))
    return 0


def _probed(
    common: Common, questions: Path, named: str, out: Path | None, limit: int | None, kind: str | None, form: str
) -> int:
    from functools import partial

    from kgllm.opening import over
    from kgllm.probes import PROBES, probe

    which = PROBES if named == "all" else tuple(name for name in PROBES if name == named)
    if not which:
        raise typer.BadParameter(f"{named!r} is not one of {', '.join(PROBES)}, all", param_hint="--probe")
    with common.assistant() as assistant:
        report = probe(
            assistant,
            questions,
            over=partial(over, assistant),
            which=which,
            out=out,
            kind=kind,
            progress=common.terminal.progress,
            **({} if limit is None else {"limit": limit}),
        )
    common.terminal.out(as_json(report) if form == "json" else _stood(report, which))
    return 0


def _stood(report: dict[str, Any], which: Sequence[str]) -> str:
    """A line a probe, then what failed, with what came and why that is wrong."""
    from kgllm.terms import clean

    lines = []
    for name in which:
        found = report[name]
        held = "nothing to try" if found["held"] is None else f"{found['held']:.1%} of {found['n']} held"
        counts = ", ".join(f"{found[key]} {key.replace('_', ' ')}" for key in found if key not in {"n", "held"})
        lines.append(f"{name:<9}{held}: {counts}")
    for failure in report["failures"]:
        lines.append(f"{failure['probe']} {failure['id']}: {failure['question']}")
        lines += [f"    {failure['came']}", f"    {failure['why']}"]
    return "\n".join(map(clean, lines))


def _offered(report: dict[str, Any]) -> str:
    """The shares as a table, a row a number of handles and kind of question; then the misses."""
    from kgllm.terms import clean

    measures = ("n", "all", "nodes", "properties", "classes", "values")
    rows = [("handles", "", *measures)]
    for handles, shares in report["handles"].items():
        for name, share in [("overall", shares["overall"]), *shares["by_kind"].items()]:
            rows.append((handles, name, *(str(share[m]) if m == "n" else f"{share[m]:.3f}" for m in measures)))
    width = max(len(row[1]) for row in rows)
    lines = [f"{row[0]:<9}{row[1]:<{width}}" + "".join(f"{cell:>11}" for cell in row[2:]) for row in rows]
    for miss in report["misses"]:
        missing = " ".join(term for terms in miss["missing"].values() for term in terms)
        lines.append(clean(f"{miss['id']} ({', '.join(miss['handles'])}): {miss['question']} — {missing}"))
    return "\n".join(lines)


def _measured(report: dict[str, Any]) -> str:
    """The scores as a table, a row a kind of question."""
    measures = ("n", "hits@1", "precision", "recall", "f1", "exact", "abstained", "wrong")
    rows = [("", *measures)]
    for name, scores in [("overall", report["overall"]), *report["by_kind"].items()]:
        rows.append((name, *(str(scores[m]) if m == "n" else f"{scores[m]:.3f}" for m in measures)))
    width = max(len(row[0]) for row in rows)
    lines = [f"{row[0]:<{width}}" + "".join(f"{cell:>11}" for cell in row[1:]) for row in rows]
    lines += _curve(report["risk_coverage"])
    latency = report["latency_ms"]
    lines.append(
        f"latency p50 {latency['p50']:.0f} ms, p95 {latency['p95']:.0f} ms · "
        f"{report['tokens_per_question']:.0f} tokens a question · {report['invented_iris']} invented IRIs · "
        f"{report['unsupported_claims']} unsupported claims"
    )
    if report["tokens_per_question"]:
        prompt, written = report["prompt_tokens"], report["completion_tokens"]
        lines.append(
            f"prompt p50 {prompt['p50']:.0f} tokens, p95 {prompt['p95']:.0f}, {report['cached_share']:.0%} cached · "
            f"written p50 {written['p50']:.0f}, p95 {written['p95']:.0f}"
        )
    return "\n".join(lines)


def _curve(curve: dict[str, Any]) -> list[str]:
    """How often the surest share of the answers is wrong, a column a share."""
    if not curve["points"]:
        return []
    width = max(len(name) for name in _CURVE)
    lines = [f"{name:<{width}}" + "".join(f"{p[name]:>7.2f}" for p in curve["points"]) for name in _CURVE]
    lines[1] += f"   (area {curve['aurc']:.3f})"
    return ["", *lines, ""]


_CURVE = ("coverage", "risk", "threshold")


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
