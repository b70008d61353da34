"""kgllm answers questions from a knowledge graph you own, and names the triples that every statement rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kgllm.answer import Answer, Claim
    from kgllm.assistant import Assistant
    from kgllm.chat import Chat
    from kgllm.conversation import Conversation, Turn
    from kgllm.errors import (
        BackendError,
        BatchError,
        DamagedIndexError,
        DeadlineError,
        EmbedderError,
        EmptyGraphError,
        EndpointError,
        IncompleteDataError,
        IndexMismatchError,
        InputError,
        KgllmError,
        KgllmWarning,
        ModelServerError,
        QueryRefusedError,
        QuestionError,
        RdfSyntaxError,
        SettingsError,
        SourceNotFoundError,
        WorkerError,
    )
    from kgllm.memory import Fact, WorkingMemoryGraph
    from kgllm.ontology import Ontology
    from kgllm.opening import open
    from kgllm.protocols import Hit, Rows, Step, Usage
    from kgllm.query import Query
    from kgllm.violation import Violation

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Assistant",
    "BackendError",
    "BatchError",
    "Chat",
    "Claim",
    "Conversation",
    "DamagedIndexError",
    "DeadlineError",
    "EmbedderError",
    "EmptyGraphError",
    "EndpointError",
    "Fact",
    "Hit",
    "IncompleteDataError",
    "IndexMismatchError",
    "InputError",
    "KgllmError",
    "KgllmWarning",
    "ModelServerError",
    "Ontology",
    "Query",
    "QueryRefusedError",
    "QuestionError",
    "RdfSyntaxError",
    "Rows",
    "SettingsError",
    "SourceNotFoundError",
    "Step",
    "Turn",
    "Usage",
    "Violation",
    "WorkerError",
    "WorkingMemoryGraph",
    "__version__",
    "open",
]

_MODULES = {
    "answer": ["Answer", "Claim"],
    "assistant": ["Assistant"],
    "chat": ["Chat"],
    "conversation": ["Conversation", "Turn"],
    "magics": ["load_ipython_extension", "unload_ipython_extension"],  # for %load_ext kgllm, and nobody else
    "memory": ["Fact", "WorkingMemoryGraph"],
    "ontology": ["Ontology"],
    "opening": ["open"],
    "protocols": ["Hit", "Rows", "Step", "Usage"],
    "query": ["Query"],
    "violation": ["Violation"],
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """What the package offers is imported when it is first used (PEP 562): ``import kgllm`` itself costs nothing."""
    if name not in __all__ and name not in _HOME:
        raise AttributeError(f"module 'kgllm' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"kgllm.{_HOME.get(name, 'errors')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
