"""The faults of kgllm. Findings (a violation, an abstention, an unsupported claim) are results, not errors.

    KgllmError                      exit 1   something unexpected
    ├── InputError                  exit 2   what was given cannot be used
    │   ├── SourceNotFoundError              no such file, folder, glob or named graph
    │   ├── RdfSyntaxError                   a file that is not the RDF it claims to be, at file:line:column
    │   ├── EmptyGraphError                  a source without a single triple
    │   ├── QueryRefusedError                a SPARQL query that is no read-only query, or does not parse
    │   ├── QuestionError                    an empty or endless question
    │   ├── SettingsError                    a setting that cannot be used
    │   ├── IndexMismatchError               an index made with another model or from another graph
    │   └── DamagedIndexError                an index whose files are not those of its manifest
    ├── BackendError                exit 5   something kgllm relies on could not be reached or used
    │   ├── EndpointError                    a SPARQL endpoint
    │   ├── DeadlineError                    work that was ended at its deadline
    │   ├── WorkerError                      the worker process ended
    │   ├── ModelServerError                 a language model's server
    │   ├── EmbedderError                    an embedding model that cannot be loaded
    │   └── BatchError                       questions among many that ended in a fault
    └── IncompleteDataError         exit 6   a partial result where a whole one is needed

Every error says what happened, why, and what to try next; the three stand in it as data. What hinders kgllm from
keeping a record of its work, and takes nothing from an answer, is a ``KgllmWarning``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from kgllm.answer import Answer

__all__ = [
    "BackendError",
    "BatchError",
    "DamagedIndexError",
    "DeadlineError",
    "EmbedderError",
    "EmptyGraphError",
    "EndpointError",
    "IncompleteDataError",
    "IndexMismatchError",
    "InputError",
    "KgllmError",
    "KgllmWarning",
    "ModelServerError",
    "QueryRefusedError",
    "QuestionError",
    "RdfSyntaxError",
    "SettingsError",
    "SourceNotFoundError",
    "WorkerError",
]


class KgllmError(Exception):
    """The root. ``what`` happened, ``why``, and what to ``try_next``: each one sentence, the last two may be empty."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, why: str = "", try_next: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.try_next = try_next

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"why: {self.why}")
        if self.try_next:
            lines.append(f"try: {self.try_next}")
        return "\n".join(lines)


class KgllmWarning(UserWarning):
    """Something that kgllm keeps beside the answers, a log or a cache, could not be read or written."""


class InputError(KgllmError):
    """What was given cannot be used."""

    exit_code = 2


class SourceNotFoundError(InputError):
    """No file, folder, glob or named graph of that name."""


class RdfSyntaxError(InputError):
    """A file that is not the RDF it claims to be. Nothing of it was loaded."""

    def __init__(self, file: str | Path, message: str, *, line: int | None = None, column: int | None = None) -> None:
        self.file = str(file)
        self.line = line
        self.column = column
        place = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(
            f"{place}: {message}",
            why="the file is not valid in the format that its name promises; nothing of it was loaded",
            try_next="correct that place, or give the file the extension of its real format "
            "(.ttl .nt .nq .trig .rdf .owl .jsonld, each also .gz)",
        )


class EmptyGraphError(InputError):
    """A source without a single triple."""


class QueryRefusedError(InputError):
    """A SPARQL query that does not parse, or would do more than read the graph."""


class QuestionError(InputError):
    """An empty question, or one longer than any question is."""


class SettingsError(InputError):
    """A setting that cannot be used."""


class IndexMismatchError(InputError):
    """An index made with another model, or from another graph, than it is now asked about."""


class DamagedIndexError(InputError):
    """An index with a file that is not the one its manifest names."""


class BackendError(KgllmError):
    """Something kgllm relies on could not be reached or used."""

    exit_code = 5


class EndpointError(BackendError):
    """A SPARQL endpoint that cannot be reached, or does not answer as one."""


class DeadlineError(BackendError):
    """Work that was ended at its deadline."""


class WorkerError(BackendError):
    """The worker process ended: out of memory, or killed."""


class ModelServerError(BackendError):
    """A language model's server that cannot be reached, does not serve the model, or broke off."""


class EmbedderError(BackendError):
    """An embedding model that cannot be loaded, or whose weights are not the ones expected."""


class BatchError(BackendError):
    """Questions among many that ended in a fault, when all have ended.

    ``answers`` are those of all questions in their order, ``None`` in the place of a fault; ``faults`` are by the
    number of their question, from 0.
    """

    def __init__(self, answers: Sequence[Answer | None], faults: Mapping[int, KgllmError]) -> None:
        self.answers = list(answers)
        self.faults = dict(faults)
        first = min(self.faults)
        fault = self.faults[first]
        super().__init__(
            f"{len(self.faults):,} of {len(self.answers):,} questions ended in a fault; that of question {first + 1}: "
            f"{fault.what}",
            why=fault.why,
            try_next=fault.try_next or "the other answers are in the error's answers",
        )


class IncompleteDataError(KgllmError):
    """A partial result where only a whole one will do."""

    exit_code = 6
