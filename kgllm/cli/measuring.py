"""The verb ``eval``: answers against gold, what is offered to a planner, probes of grounding, and two runs compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgllm.cli.forms import as_json
from kgllm.cli.verbs import Common, verb

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["evaluate"]

_CURVE = ("coverage", "risk", "threshold")
_SMALLEST_P = 0.0001  # that four digits tell


@verb("eval")
def evaluate(
    common: Common,
    questions: Annotated[
        Path | None,
        typer.Argument(metavar="QUESTIONS.jsonl", help="Questions with gold; or QALD's .json, Text2SPARQL's .yml."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write each answer, with its id and scores.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="The first questions alone.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="The questions of one kind alone.")] = None,
    candidates: Annotated[
        bool, typer.Option("--candidates", help="Ask nothing: is what the gold names among the candidates?")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Which stage of the embedded planner is to blame for what is not right?")
    ] = False,
    misses: Annotated[
        int, typer.Option("--misses", min=0, help="With --candidates and --explain: so many misses.")
    ] = 0,
    probe: Annotated[
        str | None,
        typer.Option(
            "--probe", metavar="NAME", help="delete, swap, premise or all: do answers come from the graph alone?"
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", metavar="A B", help="Two files of --out instead: is B better, beyond chance?"),
    ] = None,
) -> int:
    """Measure answers against gold. Formats: text, json."""
    from kgllm.evaluate import evaluate as measure

    form = common.chosen_format("text", "json")
    if sum([candidates, explain, probe is not None, compare is not None]) > 1:
        raise typer.BadParameter("--candidates, --explain, --probe and --compare each measure something else; give one")
    if compare is not None:
        return _compared(common, questions, *compare, form)
    if questions is None:
        raise typer.BadParameter("there is no file of questions", param_hint="QUESTIONS.jsonl")
    if probe is not None:
        return _probed(common, questions, probe, out, limit, kind, form)
    if candidates:
        return _candidates(common, questions, misses, limit, kind, form)
    if explain:
        return _explained(common, questions, misses, limit, kind, form)
    with common.assistant() as assistant:
        report = measure(assistant, questions, out=out, limit=limit, kind=kind, progress=common.terminal.progress)
    common.terminal.out(as_json(report) if form == "json" else _measured(report))
    return 0


def _compared(common: Common, questions: Path | None, one: Path, other: Path, form: str) -> int:
    from kgllm.compare import compare

    if questions is not None:
        raise typer.BadParameter("--compare reads two files of --out, and no questions")
    report = compare(one, other)
    common.terminal.out(as_json(report) if form == "json" else _differing(report, one, other))
    return 0


def _differing(report: dict[str, Any], one: Path, other: Path) -> str:
    """A row a measure, then what can be said of it."""
    from kgllm.compare import MEASURES
    from kgllm.terms import clean

    left_out = f", {report['left_out']:,} in one file alone" if report["left_out"] else ""
    of = "question" if report["n"] == 1 else "questions"
    lines = [f"A {clean(str(one))}", f"B {clean(str(other))}", f"{report['n']:,} {of} in both{left_out}", ""]
    lines.append(f"{'':<11}{'A':>7}{'B':>8}{'B - A':>9}   {'95 %':<18}{'greater':>8}{'less':>6}{'p':>9}")
    for measure in MEASURES:
        found = report[measure]
        low, high = found["interval"]
        p = f"{found['p']:.4f}" if found["p"] >= _SMALLEST_P else f"<{_SMALLEST_P}"
        lines.append(
            f"{measure:<11}{found['a']:>7.3f}{found['b']:>8.3f}{found['difference']:>+9.3f}   "
            f"{f'{low:+.3f} to {high:+.3f}':<18}{found['greater']:>8}{found['less']:>6}{p:>9}"
        )
    return "\n".join(lines)


def _candidates(common: Common, questions: Path, misses: int, limit: int | None, kind: str | None, form: str) -> int:
    from kgllm.ceiling import ceiling

    with common.assistant() as assistant:
        report = ceiling(
            assistant.index, questions, misses=misses, limit=limit, kind=kind, progress=common.terminal.progress
        )
    common.terminal.out(as_json(report) if form == "json" else _offered(report))
    return 0


def _explained(common: Common, questions: Path, misses: int, limit: int | None, kind: str | None, form: str) -> int:
    from kgllm.stages import stages

    with common.assistant() as assistant:
        if assistant.model is not None:
            raise typer.BadParameter("it is the embedded planner that is explained", param_hint="--explain")
        report = stages(
            assistant,
            assistant.index,
            questions,
            misses=misses,
            limit=limit,
            kind=kind,
            progress=common.terminal.progress,
        )
    common.terminal.out(as_json(report) if form == "json" else _blamed(report))
    return 0


def _blamed(report: dict[str, Any]) -> str:
    """A row a stage with what it means, the places of what was ranked lower, then the misses."""
    from kgllm.stages import STAGES
    from kgllm.terms import clean

    columns = ("n", "abstained", "wrong", "partly")
    lines = [f"{report['right']:,} of {report['n']:,} right", "", f"{'':<13}" + "".join(f"{c:>11}" for c in columns)]
    for stage, meaning in STAGES.items():
        counts = report["stages"][stage]
        lines.append(f"{stage:<13}" + "".join(f"{counts[c]:>11}" for c in columns) + f"   {meaning}")
    if report["places"]:
        places = ", ".join(f"{count} at {place}" for place, count in report["places"].items())
        lines += ["", f"places of right readings that were ranked lower: {places}"]
    for miss in report["misses"]:
        lines += ["", f"{miss['id']} ({miss['stage']}, {miss['outcome']}): {miss['question']}", f"  {miss['why']}"]
        lines += [f"  instead: {miss['given']}"] if miss["given"] else []
    return "\n".join(map(clean, lines))


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
    from kgllm.evaluate import MEASURES

    measures = ("n", *MEASURES)
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
