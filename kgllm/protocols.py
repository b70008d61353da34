"""What an engine owes: four protocols, and the plain data that crosses them.

Every protocol has an embedded default in ``kgllm.engines`` and one contract suite in ``tests/contracts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from kgllm.terms import Term, Triple, URIRef

if TYPE_CHECKING:  # a worker needs no arrays, and its cold start would wait a tenth of a second for them
    import numpy as np
    import pandas
    from numpy.typing import NDArray

__all__ = [
    "Completion",
    "Embedder",
    "Exchange",
    "GraphStore",
    "Hit",
    "Kind",
    "LanguageModel",
    "Message",
    "Progress",
    "Reranker",
    "Rows",
    "Step",
    "Usage",
    "VectorIndex",
    "Vectors",
    "turns",
]

Vectors: TypeAlias = "NDArray[np.float32]"
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done, and how much there is."""


Kind: TypeAlias = Literal["node", "class", "property"]


@dataclass(frozen=True, slots=True)
class Hit:
    """What a text was tied to: ``span`` is the part of the text, ``text`` what was indexed of the hit."""

    iri: URIRef
    score: float  # in [0, 1], higher is better, in every index
    kind: Kind
    span: str
    text: str


@dataclass(frozen=True, slots=True)
class Rows:
    """The result of a SELECT: a term a variable or ``None``; ``complete`` is false where rows may be missing.

    Iterating over it gives the rows.
    """

    vars: tuple[str, ...]
    rows: list[tuple[Term | None, ...]]
    complete: bool = True

    def __iter__(self) -> Iterator[tuple[Term | None, ...]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame, literals as Python values. Raises ``BackendError`` without pandas."""
        from kgllm.frames import frame_of

        return frame_of(self)


class GraphStore(Protocol):
    """A graph that answers read-only SPARQL 1.1. Every call ends at its deadline with ``DeadlineError``."""

    source: str

    def select(self, sparql: str, *, timeout_s: float | None = None, limit: int | None = None) -> Rows:
        """The rows of a SELECT; at most ``limit`` of them, ``complete=False`` if there were more."""

    def ask(self, sparql: str, *, timeout_s: float | None = None) -> bool:
        """The answer to an ASK."""

    def construct(self, sparql: str, *, timeout_s: float | None = None, limit: int | None = None) -> list[Triple]:
        """The triples of a CONSTRUCT, in no particular order, at most ``limit``."""

    def prefixes(self) -> dict[str, str]:
        """Prefix to namespace, as the source declares them; empty where it declares none."""

    def close(self) -> None:
        """Free what the store holds. Closing twice is harmless."""


class VectorIndex(Protocol):
    """Nearest neighbours by inner product over unit vectors: scores are cosines in [-1, 1], higher is better."""

    dimension: int

    def __len__(self) -> int:
        """How many vectors it holds."""

    def search(
        self, vectors: Vectors, *, k: int, subset: NDArray[np.int64] | None = None
    ) -> tuple[Vectors, NDArray[np.int64]]:
        """Scores and row numbers, shape (len(vectors), min(k, len(self))), best first; among a ``subset`` of rows."""


class Embedder(Protocol):
    """Texts to unit vectors. ``identity`` is another one where the vectors are others."""

    name: str
    identity: str
    dimension: int

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Unit vectors of shape (len(texts), dimension), row by row the texts'. A blank text gets a zero vector."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


def turns(conversation: Iterable[Message]) -> list[dict[str, str]]:
    """The turns of a prompt as JSON, in the form that OpenAI gave them and all others took over."""
    return [{"role": message.role, "content": message.content} for message in conversation]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens spent. ``cached_tokens`` are the prompt tokens that the server took from its prefix cache."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's whole output: ``value`` is its JSON, parsed; nothing is said of whether it keeps to the schema.

    ``text`` is the beginning of what it wrote, where that is no JSON.
    """

    value: Any
    usage: Usage = field(default_factory=Usage)
    text: str = field(default="", compare=False)


class LanguageModel(Protocol):
    """A model that answers under a JSON Schema. Its caller validates every output again.

    Every method raises ``ModelServerError`` if the server cannot be reached, does not serve the model or breaks off.
    """

    name: str

    def complete(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> list[Completion]:
        """One completion a conversation, in order, run side by side.

        Output that is cut, empty or no JSON comes back as a ``Completion`` whose ``value`` is ``None``.
        """

    def stream(
        self, conversation: Sequence[Message], *, schema: Mapping[str, Any], max_tokens: int
    ) -> Iterator[str | Completion]:
        """The text of one completion piece by piece as it comes, and at the end the whole ``Completion``."""

    def tokens(self, prompt: str | Sequence[Message]) -> int | None:
        """How many tokens a text or a conversation has as the model counts them; ``None`` where nobody knows."""

    def context_length(self) -> int | None:
        """How many tokens prompt and answer may have together; ``None`` where nobody knows."""


class Reranker(Protocol):
    """A model that reads a question and a text together and says how well they go with each other."""

    name: str

    def scores(self, question: str, texts: Sequence[str]) -> Vectors:
        """A score a text, shape (len(texts),), higher is better. Raises ``ModelServerError`` as a language model."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call of a language model while a question is answered: all that was in the prompt, and the reply.

    The reply is its JSON, or as text the beginning of what was none.
    """

    purpose: Literal["plan", "answer"]
    prompt: tuple[Message, ...]
    reply: Any
    usage: Usage


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was done on the way to an answer, in words a person can follow while waiting."""

    stage: Literal["link", "plan", "look", "recall", "validate", "answer"]
    text: str
