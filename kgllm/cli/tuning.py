"""The verb ``tune``: learn from questions with known answers, and from answers that were right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgllm.cli.forms import as_json
from kgllm.cli.terminal import lasted
from kgllm.cli.verbs import Common, verb

if TYPE_CHECKING:
    from kgllm.terms import Namespaces
    from kgllm.tuning.embedder import TunedEmbedder
    from kgllm.tuning.from_questions import Tuned
    from kgllm.tuning.own_names import TunedOnNames

__all__ = ["tune"]

_SHOWN = 40  # words
_FEW_RIGHT = 0.5  # of the questions held out


@verb("tune")
def tune(
    common: Common,
    questions: Annotated[
        Path | None,
        typer.Option("--questions", metavar="FILE", help="Questions with gold, as eval reads them."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what there is to learn, and keep nothing.")] = False,
    language_model: Annotated[
        Path | None,
        typer.Option("--language-model", metavar="FOLDER", help="Train a language model on the questions, for vLLM."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="The model to adapt: a folder, or a model hub's name."),
    ] = None,
    from_scratch: Annotated[
        str | None, typer.Option("--from-scratch", metavar="SIZE", help="Or a small one from nothing: 3m or 12m.")
    ] = None,
    embedder: Annotated[
        Path | None,
        typer.Option(
            "--embedder",
            metavar="FOLDER",
            help="Tune the embedding model, for --embed-model: on the questions, or without any on the graph's names.",
        ),
    ] = None,
    epochs: Annotated[
        float | None, typer.Option("--epochs", min=0.01, help="With --language-model: how often it sees each question.")
    ] = None,
    accept: Annotated[
        str | None,
        typer.Option("--accept", metavar="ID", help="Keep a logged question as solved: last, or a run's id."),
    ] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Forget all that was learned about this graph.")] = False,
    make_questions: Annotated[
        Path | None,
        typer.Option(
            "--make-questions", metavar="FILE", help="Make questions with gold of the graph, for eval and for this."
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="With --make-questions: so many.")] = 2_000,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="With --make-questions and --embedder: another one, other chances.")
    ] = 0,
) -> int:
    """Learn from questions with known answers how people ask about a graph. Formats: text, json, ttl (of words)."""
    form = common.chosen_format("text", "json", "ttl")
    others = sum([make_questions is not None, accept is not None, forget])
    if others + (questions is not None or embedder is not None) != 1:
        raise typer.BadParameter(
            "give --questions FILE, --embedder FOLDER or both; or --make-questions FILE, --accept ID or --forget"
        )
    if language_model is not None and questions is None:
        raise typer.BadParameter("--language-model goes with --questions FILE")
    if embedder is not None and language_model is not None:
        raise typer.BadParameter("give one of --embedder FOLDER and --language-model FOLDER")
    if language_model is None and (base is not None or from_scratch is not None or epochs is not None):
        raise typer.BadParameter("--from, --from-scratch and --epochs go with --language-model FOLDER")
    if (dry_run or form == "ttl") and (questions is None or embedder is not None or language_model is not None):
        raise typer.BadParameter("--dry-run and --format ttl go with --questions FILE alone, which learns words")
    if make_questions is not None:
        return _made(common, make_questions, count, seed, form)
    if accept is not None:
        return _accepted(common, accept, form)
    if embedder is not None:
        return _embedder(common, questions, embedder, seed, form)
    if questions is None:
        return _forgotten(common, form)
    if language_model is not None:
        return _trained(common, questions, language_model, base, from_scratch, epochs, form)
    with common.assistant() as assistant:
        tuned = assistant.tune(questions, keep=not dry_run)
        folder, namespaces = assistant.workspace.folder, assistant.workspace.namespaces
    if form == "json":
        common.terminal.out(as_json(tuned.to_json()))
    elif form == "ttl":
        common.terminal.out(tuned.lessons.to_turtle())
    else:
        common.terminal.out(_told(tuned, namespaces, folder=None if dry_run else folder))
    return 0


def _trained(
    common: Common,
    questions: Path,
    folder: Path,
    base: str | None,
    size: str | None,
    epochs: float | None,
    form: str,
) -> int:
    from kgllm.display import counted
    from kgllm.hardware import AS_KGLLM_WANTS
    from kgllm.tuning.language_model import tune_language_model

    if (base is None) == (size is None):
        raise typer.BadParameter("give either --from MODEL or --from-scratch SIZE")
    with common.assistant() as assistant:
        tuned = tune_language_model(assistant, questions, folder, base=base, size=size, epochs=epochs)
    if form == "json":
        common.terminal.out(as_json(tuned.to_json()))
        return 0
    lines = [
        f"{tuned.base}, {tuned.parameters / 1e6:.1f} million parameters: learned {counted(tuned.examples, 'plan')} "
        f"from {counted(tuned.questions, 'question')} in {lasted(tuned.seconds)}",
        *(f"  epoch {loss['epoch']:g}: held-out loss {loss['held_out_loss']:.4f}" for loss in tuned.losses),
        f"right first of {tuned.asked} held out, without any constraint: {tuned.right:.3f}"
        if tuned.right is not None
        else "every question is asked so often that none was held out",
    ]
    if tuned.right is not None and tuned.right < _FEW_RIGHT:
        lines.append("that is few: train on more questions, or with more --epochs")
    lines += [
        "this serves it; then --base-url http://127.0.0.1:8000/v1 asks it:",
        f"  vllm serve {folder} {AS_KGLLM_WANTS}",
    ]
    common.terminal.out("\n".join(lines))
    return 0


def _embedder(common: Common, questions: Path | None, folder: Path, seed: int, form: str) -> int:
    from kgllm.display import counted
    from kgllm.questions import read_questions
    from kgllm.tuning.embedder import tune_embedder
    from kgllm.tuning.own_names import TunedOnNames, tune_on_names

    base, progress = common.settings.embed_model, common.terminal.progress
    with common.assistant() as assistant:
        index, languages = assistant.index, assistant.workspace.settings.languages
        if questions is None:
            tuned: TunedEmbedder | TunedOnNames = tune_on_names(
                index, folder, languages=languages, base=base, seed=seed, progress=progress
            )
        else:
            asked = read_questions(questions, index.store, languages=languages)
            tuned = tune_embedder(index, asked, folder, base=base, seed=seed, progress=progress)
    if form == "json":
        common.terminal.out(as_json(tuned.to_json()))
        return 0
    shares = f"{tuned.before:.3f} before, {tuned.after:.3f} after"
    took = f"{counted(tuned.pairs, 'pair')} in {lasted(tuned.seconds)}"
    if isinstance(tuned, TunedOnNames):
        lines = [
            f"names and descriptions of {counted(tuned.nodes, 'thing')}: {took}",
            f"of {counted(tuned.held_out, 'name')} held out, those with their own description among the first ten of "
            f"{tuned.among:,}: {shares}",
        ]
        lost = "it finds no more of them than before"
    else:
        solved = f"{tuned.solved:,} of them with a reading that gives the gold"
        lines = [
            f"{counted(tuned.questions, 'question')}, {solved}: {took}",
            f"read right first of the {tuned.held_out:,} held out: {shares}",
        ]
        lost = "it reads these worse than before"
    kept = f"kept in {folder}; --embed-model {folder} uses it, in an index of its own"
    lines.append(f"{lost}, so nothing is kept" if tuned.folder is None else kept)
    common.terminal.out("\n".join(lines))
    return 0


def _made(common: Common, file: Path, count: int, seed: int, form: str) -> int:
    from collections import Counter

    from kgllm.display import counted
    from kgllm.errors import InputError
    from kgllm.terms import clean
    from kgllm.tuning.made_questions import make_questions, write_questions

    if file.exists():
        raise InputError(
            f"{clean(str(file))} is there already", why="questions are not written over", try_next="name a new file"
        )
    with common.assistant() as assistant:
        made = make_questions(
            assistant.index,
            count=count,
            seed=seed,
            languages=assistant.workspace.settings.languages,
            model=assistant.model,
            progress=common.terminal.progress,
        )
    write_questions(made, file)
    kinds = Counter(question.kind for question in made)
    if form == "json":
        common.terminal.out(as_json({"questions": len(made), "by_kind": kinds, "file": str(file)}))
        return 0
    lines = [f"{counted(len(made), 'question')} in {clean(str(file))}"]
    lines += [f"  {kind:<12} {number:>6,}" for kind, number in kinds.items()]
    common.terminal.out("\n".join(lines))
    return 0


def _forgotten(common: Common, form: str) -> int:
    from kgllm import examples, lessons, solved
    from kgllm.opening import make_workspace

    folder = make_workspace(common.settings).folder
    files = [file for name in (lessons.FILE, solved.FILE) if (file := folder / name).exists()]
    for file in files:
        file.unlink(missing_ok=True)
    (folder / examples.VECTORS).unlink(missing_ok=True)
    if form == "json":
        common.terminal.out(as_json({"forgotten": [str(file) for file in files]}))
        return 0
    told = [f"forgotten: {file}" for file in files] or ["nothing had been learned"]
    common.terminal.out("\n".join(told))
    return 0


def _accepted(common: Common, id: str, form: str) -> int:
    """Keep the question of a run with its query."""
    from kgllm.answer import Answer
    from kgllm.errors import InputError
    from kgllm.terms import clean
    from kgllm.tuning.sparql_to_query import NotExpressibleError, compiled

    with common.run_log() as log:
        newest = log.last(1) if id == "last" else [log.get(id)]
    if not newest:
        raise InputError("nothing was logged yet", try_next="kgllm ask a question first")
    (run,) = newest
    with common.assistant() as assistant:
        if run.graph != assistant.workspace.name:
            raise InputError(
                f"the run {run.id} was over {run.graph}, not over {assistant.workspace.name}",
                try_next="name that graph with -g",
            )
        try:
            query = None if run.abstained else compiled(run.query)
        except NotExpressibleError as error:
            raise InputError("the query of that answer can be no example", why=str(error)) from None
        accepted = assistant.accept(Answer(run.question, run.text, query=query, abstained=run.abstained))
        folder = assistant.workspace.folder
    if form == "json":
        common.terminal.out(as_json(accepted.to_json()))
    else:
        common.terminal.out(f"an example from now on: {clean(accepted.question)}\nkept in {folder}")
    return 0


def _told(tuned: Tuned, namespaces: Namespaces, *, folder: Path | None) -> str:
    from kgllm.display import counted
    from kgllm.terms import clean

    lines = [f"{counted(tuned.questions, 'question')}, {tuned.solved:,} of them with a reading that gives the gold"]
    if tuned.before is not None and tuned.after is not None:
        told = f"right first of the {tuned.held_out:,} held out: {tuned.before:.3f} before, {tuned.after:.3f} after"
        lines.append(told if tuned.lessons else f"{told}; no word of them helped, so none is kept")
    elif tuned.questions:
        lines.append("too few to hold some out: measure with kgllm eval on others whether it helps")
    words = tuned.lessons.words
    lines += [
        f"  {clean(lesson.word):<16} says {namespaces.curie(lesson.property):<28} {lesson.sure:.2f} of {lesson.count:,}"
        for lesson in words[:_SHOWN]
    ]
    lines += [f"  … and {len(words) - _SHOWN:,} more"] if len(words) > _SHOWN else []
    if wordings := len(tuned.lessons.wordings):
        lines.append(f"  and {counted(wordings, 'wording')}, which say the same of other names")
    if tuned.examples:
        lines.append(f"  and {counted(len(tuned.examples), 'solved question')}, examples for a language model")
    if folder is not None and (tuned.lessons or tuned.examples):
        lines.append(f"kept in {folder}; kgllm tune --forget takes it back")
    return "\n".join(lines)
