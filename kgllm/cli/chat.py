"""``kgllm chat``: question after question, each of which may refer to those before."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from kgllm.cli.following import follow
from kgllm.cli.forms import as_json
from kgllm.cli.verbs import ABSTAINED, Cid, Common, Continue, NoCache, NoLog, verb
from kgllm.errors import KgllmError

if TYPE_CHECKING:
    from kgllm.answer import Answer
    from kgllm.assistant import Assistant
    from kgllm.chat import Chat
    from kgllm.conversation import Conversation

__all__ = ["chat"]

_PROMPT = "» "
_HELP = """A question, or
  /show [NODE]   a node by IRI, CURIE or label; without one the first result of the last answer
  /sparql        the query that the last answer rests on
  /new           begin a new conversation
  /quit          leave, as Ctrl-D does; Ctrl-C gives up a question"""


@verb("chat")
def chat(
    common: Common,
    is_continued: Continue = False,
    cid: Cid = None,
    no_log: NoLog = False,
    no_cache: NoCache = False,
) -> int:
    """Ask with follow-up questions, which may refer to what was said: "he", "those", "and Apollo 12?".

    Formats: text, json. Piped questions are answered one a line; then the exit code is that of the first fault.
    """
    form = common.chosen_format("text", "json")
    with common.assistant(is_logged=not no_log, is_cached=not no_cache) as assistant:
        conversation = common.conversation(assistant, is_continued=is_continued, cid=cid)
        assistant.index  # noqa: B018 - built or opened before the first prompt
        return _Session(common, assistant, conversation, form).run()


class _Session:
    """A chat on standard input and output."""

    def __init__(self, common: Common, assistant: Assistant, conversation: Conversation, form: str) -> None:
        self._common = common
        self._assistant = assistant
        self._chat: Chat = assistant.chat(conversation)
        self._form = form
        self._last: Answer | None = None
        self._first_fault: KgllmError | None = None
        self._answered = 0

    def run(self) -> int:
        terminal = self._common.terminal
        is_typed = sys.stdin.isatty()
        if is_typed:
            terminal.remark("/help says what else there is; Ctrl-D ends")
        for turn in self._chat.conversation.turns:
            terminal.remark(f"{_PROMPT}{_clean(turn.question)}\n{_clean(turn.answer_text)}")
        for line in _lines(is_typed, [turn.question for turn in self._chat.conversation.turns]):
            if line == "/quit":
                break
            try:
                self._take(line, is_typed)
            except KgllmError as error:
                self._first_fault = self._first_fault or error
                terminal.error(error)
            except KeyboardInterrupt:
                terminal.remark("given up")
        if is_typed:
            return 0
        if self._first_fault is not None:
            return self._first_fault.exit_code
        return 0 if self._answered or self._last is None else ABSTAINED

    def _take(self, line: str, is_typed: bool) -> None:
        out = self._common.terminal.out
        command, _, argument = line.partition(" ")
        if not command.startswith("/"):
            self._ask(line, is_typed)
        elif command == "/show":
            self._show(argument.strip())
        elif command == "/sparql":
            none = "No question was asked yet." if self._last is None else "The last question came to no query."
            out(_clean(self._last.sparql) if self._last and self._last.sparql else none)
        elif command == "/new":
            self._chat, self._last = self._assistant.chat(), None
            self._common.terminal.remark("a new conversation")
        else:
            out(_HELP)

    def _ask(self, question: str, is_typed: bool) -> None:
        from kgllm.display import answer_text, remarks

        terminal = self._common.terminal
        if not is_typed and self._form == "text":
            terminal.out(f"{_PROMPT}{_clean(question)}")
        answer, said = follow(self._chat.stream(question), terminal, is_text=self._form == "text")
        self._last = answer
        self._answered += not answer.abstained
        if self._form == "json":
            terminal.out(as_json(answer.to_json()))
        else:
            terminal.out(answer_text(answer).removeprefix(said).lstrip("\n") + "\n")
            terminal.remark(remarks(answer))

    def _show(self, node: str) -> None:
        results = self._last.results if self._last is not None else []
        wanted = node or (str(results[0]) if results else "")
        if not wanted:
            self._common.terminal.out("The last answer has no result to show; name a node: /show NODE.")
            return
        view = self._assistant.show(wanted)
        self._common.terminal.out(str(view) if view else f"The graph has no node {_clean(wanted)}.")


def _lines(is_typed: bool, before: list[str]) -> Iterator[str]:
    """What is typed or piped, line by line; at a prompt Ctrl-C drops the line, and Ctrl-D ends."""
    if not is_typed:
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    with suppress(ImportError):  # not on every system
        import readline

        for question in before:
            readline.add_history(question)
    while True:
        try:
            line = input(_PROMPT).strip() if sys.stdout.isatty() else sys.stdin.readline()
        except EOFError:
            print()  # noqa: T201 - the shell's prompt is to stand on a line of its own
            return
        except KeyboardInterrupt:
            print()  # noqa: T201 - as above
            continue
        if not line and not sys.stdout.isatty():
            return
        if line.strip():
            yield line.strip()


def _clean(text: str) -> str:
    from kgllm.terms import clean

    return "\n".join(clean(line, cap=None) for line in text.splitlines())
