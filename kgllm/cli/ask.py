"""``kgllm ask``: one question, or many from standard input or a file."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgllm.cli.following import follow
from kgllm.cli.forms import as_json, as_turtle
from kgllm.cli.verbs import ABSTAINED, Cid, Common, Continue, NoCache, NoLog, verb
from kgllm.errors import InputError, KgllmError, QuestionError, SourceNotFoundError
from kgllm.sources import near

if TYPE_CHECKING:
    from kgllm.answer import Answer
    from kgllm.assistant import Assistant

__all__ = ["ask"]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, and its ``id`` where the file gives one."""

    question: str
    id: Any = None


@verb("ask")
def ask(
    common: Common,
    question: Annotated[
        str | None, typer.Argument(help="The question; - or nothing: one a line from standard input.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="Q.jsonl", help="Questions: a JSON object a line, - for stdin.")
    ] = None,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Write one JSON object a line, with the id of its question.")
    ] = False,
    show_sparql: Annotated[
        bool, typer.Option("--show-sparql", help="Print the query that the answer rests on.")
    ] = False,
    is_continued: Continue = False,
    cid: Cid = None,
    no_log: NoLog = False,
    no_cache: NoCache = False,
) -> int:
    """Answer a question, and show the triples that each statement rests on.

    Formats: text, json, md, html, and of the working memory ttl, trig, jsonld. Exits with 3 if the graph does not say.
    """
    form = "json" if jsonl and not common.format else common.chosen_format(*_FORMS)
    if jsonl and form != "json":
        raise typer.BadParameter(f"--jsonl and --format {form} exclude each other")
    asked, is_one = _asked(question, file)
    if (is_continued or cid is not None) and not is_one:
        raise typer.BadParameter("a conversation is continued by one question at a time")
    with common.assistant(is_logged=not no_log, is_cached=not no_cache) as assistant:
        if not is_one:
            return _ask_each(common, assistant, asked, form, show_sparql)
        (one,) = asked
        conversation = common.conversation(assistant, is_continued=is_continued, cid=cid)
        items = assistant.stream(one.question, conversation=conversation)
        answer, said = follow(items, common.terminal, is_text=form == "text")
        common.terminal.out(_FORMS[form](answer, one, show_sparql).removeprefix(said).lstrip("\n"))
        _remark(common, answer, form)
    return ABSTAINED if answer.abstained else 0


def _ask_each(common: Common, assistant: Assistant, asked: Iterator[_Asked], form: str, show_sparql: bool) -> int:
    """Print what comes of each question; the exit code is that of the first fault."""
    waiting: deque[_Asked] = deque()
    first_fault: KgllmError | None = None
    answered = 0

    def questions() -> Iterator[str]:
        for one in asked:
            waiting.append(one)
            yield one.question

    for number, outcome in enumerate(assistant.ask_each(questions()), start=1):
        one = waiting.popleft()
        if isinstance(outcome, KgllmError):
            first_fault = first_fault or outcome
            _fault(common, one, outcome, form)
        else:
            answered += not outcome.abstained
            if form == "text":
                common.terminal.out(f"» {_one_line(one.question)}")
            common.terminal.out(_FORMS[form](outcome, one, show_sparql) + ("\n" if form == "text" else ""))
            _remark(common, outcome, form)
        common.terminal.step(f"{number:,} asked")
    common.terminal.clear()
    if first_fault is not None:
        return first_fault.exit_code
    return 0 if answered else ABSTAINED


def _fault(common: Common, one: _Asked, fault: KgllmError, form: str) -> None:
    """Print a fault in the place of the answer, as JSON; else on standard error, with its question."""
    if form == "json":
        given = {} if one.id is None else {"id": one.id}
        told = {"error": fault.what, **({"why": fault.why} if fault.why else {})}
        common.terminal.out(as_json({**given, "question": one.question, **told}))
    else:
        common.terminal.fault_of(one.question, fault)


def _remark(common: Common, answer: Answer, form: str) -> None:
    if form == "text":
        from kgllm.display import remarks

        common.terminal.remark(remarks(answer))


def _asked(question: str | None, file: Path | None) -> tuple[Iterator[_Asked], bool]:
    """The questions, and whether it is a single one. Raises ``InputError`` where there is none."""
    if file is not None:
        if question is not None:
            raise typer.BadParameter("give a question, or --file, not both")
        return _at_least_one(_from_jsonl(file)), False
    if question is not None and question != "-":
        return iter([_Asked(question)]), True
    if question is None and sys.stdin.isatty():
        raise typer.BadParameter('give a question: kgllm ask "Who …?"')
    return _at_least_one(_Asked(line.strip()) for line in sys.stdin if line.strip()), False


def _from_jsonl(file: Path) -> Iterator[_Asked]:
    try:
        opened = nullcontext(sys.stdin) if str(file) == "-" else file.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise SourceNotFoundError(f"there is no file {file}", try_next=near(file)) from None
    except OSError as error:
        raise InputError(f"{file} cannot be read", why=str(error.strerror)) from None
    with opened as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _parsed(line, f"{file}:{number}")


def _parsed(line: str, place: str) -> _Asked:
    example = '{"id": 1, "question": "Who …?"}'
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InputError(f"{place}: not JSON: {error}", try_next=example) from None
    if not isinstance(found, dict) or not isinstance(found.get("question"), str):
        raise InputError(f"{place}: no object with a question", try_next=example)
    return _Asked(found["question"], found.get("id"))


def _at_least_one(asked: Iterator[_Asked]) -> Iterator[_Asked]:
    first = next(asked, None)
    if first is None:
        raise QuestionError("there is no question to answer", try_next='kgllm ask "Who …?", or one question a line')
    yield first
    yield from asked


def _one_line(text: str) -> str:
    from kgllm.terms import clean

    return clean(text)


def _text(answer: Answer, _: _Asked, show_sparql: bool) -> str:
    from kgllm.display import answer_text
    from kgllm.terms import clean

    text = answer_text(answer)
    if show_sparql and answer.sparql:
        text += "\n\nSPARQL\n" + "\n".join(f" {clean(line, cap=None)}" for line in answer.sparql.splitlines())
    return text


def _json(answer: Answer, asked: _Asked, _: bool) -> str:
    given = {} if asked.id is None else {"id": asked.id}
    return as_json({**given, **answer.to_json()})


def _markdown(answer: Answer, *_: object) -> str:
    from kgllm.display import answer_markdown

    return answer_markdown(answer)


def _html(answer: Answer, *_: object) -> str:
    from kgllm.pages import answer_page

    return answer_page(answer).rstrip()


def _json_ld(answer: Answer, *_: object) -> str:
    return as_json(json.loads(answer.memory.serialize("json-ld")), indent=2)


def _memory(format: str) -> Callable[[Answer, _Asked, bool], str]:
    return lambda answer, *_: as_turtle(answer.memory.serialize(format).rstrip())


_FORMS: dict[str, Callable[[Answer, _Asked, bool], str]] = {
    "text": _text,
    "json": _json,
    "md": _markdown,
    "html": _html,
    "ttl": _memory("turtle"),
    "trig": _memory("trig"),
    "jsonld": _json_ld,
}
