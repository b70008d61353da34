"""What all verbs have in common: their options, the assistant these describe, and how they end."""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

import kgllm
from kgllm.cli.terminal import Terminal
from kgllm.errors import InputError, KgllmError, KgllmWarning

if TYPE_CHECKING:
    from kgllm.assistant import Assistant
    from kgllm.conversation import Conversation
    from kgllm.runs import RunLog
    from kgllm.settings import Settings
    from kgllm.workspace import Workspace

__all__ = ["ABSTAINED", "DOES_NOT_CONFORM", "Cid", "Common", "Continue", "NoCache", "NoLog", "app", "verb"]

ABSTAINED, DOES_NOT_CONFORM, INTERRUPTED = 3, 4, 130

app = typer.Typer(
    name="kgllm",
    help="Ask questions of a knowledge graph you own, and see the triples that every statement rests on.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kgllm {kgllm.__version__}")
        raise typer.Exit


_Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


Continue = Annotated[bool, typer.Option("-c", "--continue", help="Take up the last conversation over this graph.")]
Cid = Annotated[
    str | None,
    typer.Option("--cid", metavar="ID", help="Take up the conversation of that run; kgllm logs has the ids."),
]
NoLog = Annotated[bool, typer.Option("--no-log", help="Keep the question out of the run log.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Ask the model anew, whatever it said before.")]


@app.callback()
def _every_verb(version: _Version = False) -> None:
    pass


@dataclass(frozen=True)
class Common:
    """The options that every verb takes; what is not given is left to the settings."""

    graph: Annotated[
        list[str] | None,
        typer.Option(
            "-g",
            "--graph",
            metavar="SOURCE",
            help="File, glob, folder, endpoint URL, or a name of kgllm.toml. Repeatable.",
        ),
    ] = None
    ontology: Annotated[
        list[str] | None, typer.Option("--ontology", metavar="FILE", help="The graph's ontology. Repeatable.")
    ] = None
    shapes: Annotated[list[str] | None, typer.Option("--shapes", metavar="FILE", help="SHACL shapes. Repeatable.")] = (
        None
    )
    index: Annotated[
        str | None, typer.Option("--index", metavar="DIR", help="Folder of the index, instead of one in the cache.")
    ] = None
    planner: Annotated[
        str | None,
        typer.Option("--planner", metavar="auto|embedded|model", help="Who plans; auto takes the model if one is set."),
    ] = None
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="An OpenAI-compatible server, such as vLLM's.")
    ] = None
    model: Annotated[str | None, typer.Option("-m", "--model", metavar="NAME", help="The model it serves.")] = None
    embed_base_url: Annotated[
        str | None, typer.Option("--embed-base-url", metavar="URL", help="A server that embeds, by /v1/embeddings.")
    ] = None
    embed_model: Annotated[
        str | None,
        typer.Option("--embed-model", metavar="NAME", help="The embedding model; a folder without a server."),
    ] = None
    rerank_base_url: Annotated[
        str | None, typer.Option("--rerank-base-url", metavar="URL", help="A vLLM that scores candidates, by /score.")
    ] = None
    rerank_model: Annotated[
        str | None, typer.Option("--rerank-model", metavar="NAME", help="The model that scores candidates.")
    ] = None
    lang: Annotated[
        str | None, typer.Option("--lang", metavar="TAGS", help="Preferred languages, best first: de,en.")
    ] = None
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="PROPERTY", help="CURIE or IRI of what names or describes nodes. Repeatable."),
    ] = None
    strict: Annotated[
        bool | None, typer.Option("--strict/--no-strict", help="Have every sentence rendered by code from triples.")
    ] = None
    min_confidence: Annotated[
        float | None,
        typer.Option("--min-confidence", metavar="P", help="Abstain where an answer is less likely right, 0 to 1."),
    ] = None
    examples: Annotated[
        bool | None,
        typer.Option("--examples/--no-examples", help="Show the model the solved questions nearest to one."),
    ] = None
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="Deadline of each query and check.")
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="The same as -f json.")] = False
    format: Annotated[str | None, typer.Option("-f", "--format", metavar="FORMAT", help="Form of the output.")] = None
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No remarks and no progress.")] = False
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Tracebacks of unexpected errors.")] = False
    version: _Version = False

    @cached_property
    def terminal(self) -> Terminal:
        """Standard output and standard error, as these options want them."""
        return Terminal(quiet=self.quiet, verbose=self.verbose)

    def chosen_format(self, *formats: str) -> str:
        """The form of the output, the first of ``formats`` if none was asked for."""
        if self.as_json and self.format not in {None, "json"}:
            raise typer.BadParameter(f"--json and --format {self.format} exclude each other")
        chosen = "json" if self.as_json else self.format or formats[0]
        if chosen not in formats:
            raise typer.BadParameter(f"{chosen!r} is not one of {', '.join(formats)}", param_hint="--format")
        return chosen

    @cached_property
    def settings(self) -> Settings:
        """These options, and for the rest the environment, the files and the defaults."""
        from kgllm.opening import here

        given = {
            "graph": (self.graph, "--graph"),
            "ontology": (self.ontology, "--ontology"),
            "shapes": (self.shapes, "--shapes"),
            "index": (self.index, "--index"),
            "planner": (self.planner, "--planner"),
            "base_url": (self.base_url, "--base-url"),
            "model": (self.model, "--model"),
            "embed_base_url": (self.embed_base_url, "--embed-base-url"),
            "embed_model": (self.embed_model, "--embed-model"),
            "rerank_base_url": (self.rerank_base_url, "--rerank-base-url"),
            "rerank_model": (self.rerank_model, "--rerank-model"),
            "languages": (self.lang, "--lang"),
            "labels": (self.label, "--label"),
            "strict": (self.strict, "--strict"),
            "min_confidence": (self.min_confidence, "--min-confidence"),
            "examples": (self.examples, "--examples" if self.examples else "--no-examples"),
            "timeout_s": (self.timeout, "--timeout"),
        }
        return here(given)

    @contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """The graph that the options describe, closed at the end."""
        from kgllm.opening import make_workspace

        workspace = make_workspace(self.settings, progress=self.terminal.progress)
        try:
            yield workspace
        finally:
            workspace.close()

    @contextmanager
    def assistant(self, *, is_logged: bool = False, is_cached: bool = False) -> Iterator[Assistant]:
        """The assistant that the options describe, closed at the end.

        Answers are logged and model's replies kept only where the verb wants it and no setting forbids it.
        """
        from kgllm.opening import make_assistant

        settings = replace(
            self.settings,
            log=is_logged and self.settings.log is not False,
            no_cache=self.settings.no_cache or not is_cached,
        )
        with make_assistant(settings, progress=self.terminal.progress) as assistant:
            yield assistant

    @contextmanager
    def run_log(self) -> Iterator[RunLog]:
        """The run log to read, closed at the end. Raises ``InputError`` where it is off."""
        from kgllm.opening import make_log

        log = make_log(self.settings)
        if log is None:
            origin = self.settings.origins.get("runs", "")
            raise InputError(f"the run log is off (by {origin})", try_next="set KGLLM_RUNS to a file")
        try:
            yield log
        finally:
            log.close()

    def conversation(self, assistant: Assistant, *, is_continued: bool, cid: str | None) -> Conversation:
        """The conversation that a question continues; an empty one if it continues none."""
        from kgllm.conversation import Conversation

        if is_continued and cid is not None:
            raise typer.BadParameter("--continue takes up the last conversation, --cid another; give one of them")
        if not is_continued and cid is None:
            return Conversation()
        with self.run_log() as log:
            return log.conversation(cid, graph=assistant.workspace.name)


def verb(name: str) -> Callable[[Callable[..., int]], Callable[..., None]]:
    """Make a command of a function that takes ``Common`` and its own options and returns the exit code."""

    def decorate(function: Callable[..., int]) -> Callable[..., None]:
        own_types = get_type_hints(function, include_extras=True)
        common_types = get_type_hints(Common, include_extras=True)
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            parameter.replace(kind=kind, annotation=own_types[parameter.name])
            for parameter in list(inspect.signature(function).parameters.values())[1:]
        ]
        parameters += [
            inspect.Parameter(field.name, kind, default=field.default, annotation=common_types[field.name])
            for field in fields(Common)
        ]

        def command(**options: Any) -> None:
            common = Common(**{field.name: options.pop(field.name) for field in fields(Common)})
            raise typer.Exit(_run(lambda: function(common, **options), common.terminal))

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        command.__doc__ = function.__doc__
        app.command(name)(command)
        return command

    return decorate


def _run(work: Callable[[], int], terminal: Terminal) -> int:
    """The exit code of a verb, with its faults and warnings told."""
    try:
        with _told_warnings(terminal):
            return work()
    except KgllmError as error:
        terminal.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        terminal.remark("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough of it; nothing is to be flushed into the pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (typer.Exit, typer.BadParameter):
        raise
    except Exception as error:
        terminal.unexpected(error)
        return 1


@contextmanager
def _told_warnings(terminal: Terminal) -> Iterator[None]:
    """Have a ``KgllmWarning`` told as a remark, once."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **options: Any) -> None:
            if issubclass(category, KgllmWarning):
                terminal.remark(f"warning: {message}")
            else:
                shown(message, category, *rest, **options)

        warnings.showwarning = show
        warnings.simplefilter("default", KgllmWarning)
        yield
