"""Magics for IPython and notebooks: ``%kg`` chooses a graph, ``%ask`` and ``%%ask`` ask it, ``%%sparql`` queries it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from kgllm.answer import Answer
from kgllm.assistant import Assistant
from kgllm.cli.tables import as_html, counted, result_of, triples, written
from kgllm.cli.terminal import Terminal, told
from kgllm.engines.guard import refuse_unless_read_only
from kgllm.errors import InputError, KgllmError
from kgllm.opening import open as open_graph
from kgllm.protocols import Rows
from kgllm.terms import Namespaces, Triple, clean

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Answers", "KgMagics", "ShownRows", "ShownTriples", "load_ipython_extension", "unload_ipython_extension"]

_SHOWN = 100  # rows or triples that are drawn; the object has all
_Magic = TypeVar("_Magic", bound=Callable[..., Any])
_CHOOSE = "%kg SOURCE, where SOURCE is a file, a folder, a SPARQL endpoint's URL, or a variable with an Assistant"


@dataclass(frozen=True, slots=True, repr=False)
class ShownRows(Rows):
    """The rows of a SELECT that draw themselves, with CURIEs by ``namespaces``."""

    namespaces: Namespaces = field(default_factory=Namespaces, compare=False)

    def __repr__(self) -> str:
        return f"{written(self._first, 'table', self.namespaces)}\n{self._remark}"

    def _repr_html_(self) -> str:
        return f"{as_html(self._first, self.namespaces)}<p>{self._remark}</p>"

    @property
    def _first(self) -> Rows:
        return Rows(self.vars, self.rows[:_SHOWN])

    @property
    def _remark(self) -> str:
        return counted(self) + (f"; the first {_SHOWN} are shown" if len(self) > _SHOWN else "")


class ShownTriples(list[Triple]):
    """The triples of a CONSTRUCT or DESCRIBE, which show themselves as Turtle."""

    def __init__(self, found: list[Triple], namespaces: Namespaces) -> None:
        super().__init__(found)
        self.namespaces = namespaces

    def __repr__(self) -> str:
        more = len(self) - _SHOWN
        return triples(self[:_SHOWN], "turtle", self.namespaces) + (f"\n# and {more:,} more triples" * (more > 0))

    def _repr_html_(self) -> str:
        return f'<pre style="white-space:pre-wrap">{html.escape(repr(self))}</pre>'


class Answers(list[Answer]):
    """The answers to several questions, which show themselves one below the other."""

    def __repr__(self) -> str:
        return "\n".join(f"» {clean(answer.question)}\n{clean(answer.text, cap=None)}" for answer in self)

    def _repr_html_(self) -> str:
        return "".join(answer._repr_html_() for answer in self)


def _with_plain_errors(magic: _Magic) -> _Magic:
    """Have IPython show an error of kgllm as what happened, why, and what to try, without the way to it."""

    @wraps(magic)
    def run(*given: Any) -> Any:
        try:
            return magic(*given)
        except KgllmError as error:
            lines = [f"error: {told(error)}"]
            error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
            raise

    return run  # type: ignore[return-value]


@magics_class
class KgMagics(Magics):
    """The magics of one shell, and the graph that is chosen in it. A graph that ``%kg`` opened it also closes."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._chosen: Assistant | None = None
        self._opened: Assistant | None = None

    @line_magic
    @magic_arguments()
    @argument("source", nargs="*", help="File, glob, folder, endpoint URL, name of kgllm.toml, or a variable.")
    @argument("--ontology", action="append", metavar="FILE", help="The graph's ontology. Repeatable.")
    @argument("--shapes", action="append", metavar="FILE", help="SHACL shapes. Repeatable.")
    @_with_plain_errors
    def kg(self, line: str) -> Assistant:
        """Choose the graph that %ask and %%sparql are about; alone, say which is chosen. Gives its Assistant."""
        given = parse_argstring(self.kg, line)
        source, ontology, shapes = (
            None if parts is None else [_unquoted(part) for part in parts]
            for parts in (given.source, given.ontology, given.shapes)
        )
        if not source:
            if ontology or shapes:
                raise UsageError("%kg: --ontology and --shapes need the SOURCE that they belong to")
            return self.assistant()
        named = self._names.get(source[0])
        if isinstance(named, Assistant) and len(source) == 1 and ontology is None and shapes is None:
            self._choose(named, is_own=named is self._opened)
        else:
            self._choose(open_graph(source, ontology=ontology, shapes=shapes), is_own=True)
        return self.assistant()

    @line_cell_magic
    @no_var_expand
    @_with_plain_errors
    def ask(self, line: str, cell: str | None = None) -> Answer | Answers:
        """Ask a question: `%ask Who …?`, or in a cell below `%%ask`; below `%%ask --each` every line is a question."""
        words = re.fullmatch(r"\s*(--each\b)?\s*(.*)", line, re.DOTALL)
        assert words is not None  # noqa: S101 - all may be absent
        text = f"{words[2]}\n{cell or ''}"
        if not words[1]:
            return self.assistant().ask(" ".join(text.split()))
        questions = [question for one in text.splitlines() if (question := one.strip())]
        answers = Answers()
        for question, outcome in zip(questions, self.assistant().ask_each(questions), strict=True):
            if isinstance(outcome, Answer):
                answers.append(outcome)
            else:
                Terminal().fault_of(question, outcome)
        return answers

    @cell_magic
    @magic_arguments()
    @argument("variable", nargs="?", help="The name under which the result is kept.")
    @argument("--limit", type=int, help="Most rows or triples to fetch.")
    @_with_plain_errors
    def sparql(self, line: str, cell: str) -> bool | ShownTriples | ShownRows:
        """Run a read-only SPARQL query; the prefixes of the graph need not be declared."""
        given = parse_argstring(self.sparql, line)
        if given.variable is not None and not given.variable.isidentifier():
            raise UsageError(f"%%sparql: {clean(given.variable)} is no name of a variable")
        if given.limit is not None and given.limit < 1:
            raise UsageError("%%sparql: --limit is at least 1")
        refuse_unless_read_only(cell)
        workspace = self.assistant().workspace
        found = result_of(cell, workspace.store, workspace.namespaces, limit=given.limit)
        result: bool | ShownTriples | ShownRows
        if isinstance(found, bool):
            result = found
        elif isinstance(found, list):
            result = ShownTriples(found, workspace.namespaces)
        else:
            result = ShownRows(found.vars, found.rows, found.complete, workspace.namespaces)
        if given.variable is not None:
            self._names[given.variable] = result
        return result

    def assistant(self) -> Assistant:
        """The one that is chosen. Raises ``InputError`` where none is."""
        if self._chosen is None:
            raise InputError("no graph is chosen", try_next=_CHOOSE)
        return self._chosen

    def close(self) -> None:
        """Close the graph if ``%kg`` opened it, and choose none."""
        if self._opened is not None:
            self._opened.close()
        self._chosen = self._opened = None

    @property
    def _names(self) -> dict[str, Any]:
        """The variables of the shell's user."""
        shell: Any = self.shell
        names: dict[str, Any] = shell.user_ns
        return names

    def _choose(self, assistant: Assistant, *, is_own: bool) -> None:
        if self._opened is not None and self._opened is not assistant:
            self._opened.close()
        self._chosen, self._opened = assistant, assistant if is_own else None


def _unquoted(part: str) -> str:
    """IPython splits a line as a shell does, but leaves the quotes on."""
    return part[1:-1] if len(part) > 1 and part[0] == part[-1] and part[0] in "\"'" else part


_ASKED = re.compile(r"(?P<before>\s*(?:[A-Za-z_][\w., ]*=\s*)?)%ask[ \t]+(?P<question>\S.*\?)\s*")


def _keep_question_marks(lines: list[str]) -> list[str]:
    """The lines of a cell in which ``%ask Who …?`` is a question: IPython takes its mark for a call for help."""
    return [
        f"{match['before']}get_ipython().run_line_magic('ask', {match['question']!r})\n"
        if (match := _ASKED.fullmatch(line))
        else line
        for line in lines
    ]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What ``%load_ext kgllm`` calls."""
    shell.register_magics(KgMagics(shell))
    shell.input_transformer_manager.line_transforms.append(_keep_question_marks)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """What ``%unload_ext kgllm`` calls: the magics go, and the graph that ``%kg`` opened is closed."""
    manager: Any = shell.magics_manager
    manager.registry.pop(KgMagics.__name__).close()
    for kind, name in (("line", "kg"), ("line", "ask"), ("cell", "ask"), ("cell", "sparql")):
        manager.magics[kind].pop(name, None)
    shell.input_transformer_manager.line_transforms.remove(_keep_question_marks)
