"""The run log: every question with what it took to answer it, in a SQLite file of the user's own."""

from __future__ import annotations

import json
import secrets
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kgllm.answer import Answer
from kgllm.conversation import MOST_TURNS, Conversation, Turn
from kgllm.database import Database
from kgllm.errors import BackendError, InputError, KgllmWarning
from kgllm.protocols import turns
from kgllm.terms import URIRef

if TYPE_CHECKING:
    from kgllm.workspace import Workspace

__all__ = ["Run", "RunLog", "Served", "new_id"]

_COLUMNS = (
    "id", "time", "conversation", "turn", "graph", "fingerprint", "question", "text", "abstained", "planner", "model",
    "server", "temperature", "seed", "query", "memory", "nodes", "exchanges", "answer",
)  # fmt: skip
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS run (number INTEGER PRIMARY KEY, {", ".join(_COLUMNS)});
CREATE UNIQUE INDEX IF NOT EXISTS run_id ON run (id);
CREATE INDEX IF NOT EXISTS run_conversation ON run (conversation)
"""
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: none of them is taken for another


def new_id() -> str:
    """13 characters that sort by time: 9 of milliseconds since 1970, 4 by chance."""
    number = (time.time_ns() // 1_000_000 << 20) | secrets.randbits(20)
    return "".join(_DIGITS[number >> shift & 31] for shift in range(60, -1, -5))


@dataclass(frozen=True, slots=True)
class Served:
    """How a model is asked: by which server, and with what settings. Its replies depend on these."""

    base_url: str = ""
    temperature: float = 0.0
    seed: int | None = None

    @property
    def host(self) -> str:
        """The server's name and port; never the key or the password that an address may hold."""
        parts = urlsplit(self.base_url)
        return parts.netloc.rpartition("@")[2]

    def to_json(self) -> dict[str, Any]:
        """What a model's replies depend on beside its name and the prompt."""
        return {"base_url": self.base_url, "temperature": self.temperature, "seed": self.seed}


@dataclass(frozen=True, slots=True)
class Run:
    """A question as it was logged. ``answer`` is the answer's JSON, ``memory`` TriG, ``exchanges`` prompts and replies.

    ``time`` is UTC in ISO 8601; ``turn`` counts from 1 in the conversation.
    """

    id: str
    time: str
    conversation: str
    turn: int
    graph: str
    fingerprint: str
    question: str
    text: str
    abstained: bool
    planner: str
    model: str | None
    server: str
    temperature: float | None
    seed: int | None
    query: str
    memory: str
    nodes: Mapping[str, Any]
    exchanges: Sequence[Mapping[str, Any]]
    answer: Mapping[str, Any] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Everything, as ``kgllm logs show --json`` prints it; usage and timings stand in the answer."""
        return {column: getattr(self, column) for column in _COLUMNS if column != "nodes"}


class RunLog:
    """The runs in a file, the oldest dropped beyond ``most`` of them or ``most_bytes``.

    Every method raises ``BackendError`` where the file cannot be used.
    """

    def __init__(self, path: Path, *, most: int = 10_000, most_bytes: int = 500_000_000) -> None:
        self.path = path
        self._database = Database(path, _SCHEMA, name="the run log")
        self._most = most
        self._most_bytes = most_bytes

    def add(
        self, answer: Answer, *, graph: str, fingerprint: str, served: Served | None = None, conversation: str = ""
    ) -> str:
        """Log an answer as the next turn of a conversation, or as the first of one of its own; return its id.

        Raises ``ValueError`` for a term that RDF cannot write.
        """
        id = new_id()
        conversation = conversation or id
        turn = Turn.of(answer)
        values = (
            id,
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            conversation,
            graph,
            fingerprint,
            answer.question,
            answer.text,
            answer.abstained,
            answer.planner,
            answer.model,
            served.host if served else "",
            served.temperature if served else None,
            served.seed if served else None,
            answer.sparql,
            answer.memory.serialize("trig"),
            json.dumps({"answers": turn.answers, "topics": turn.topics, "whole": turn.is_whole}),
            json.dumps([_exchange(exchange) for exchange in answer.exchanges]),
            json.dumps(answer.to_json()),
        )
        columns = ", ".join(column for column in _COLUMNS if column != "turn")
        number = "(SELECT coalesce(max(turn), 0) + 1 FROM run WHERE conversation = ?)"
        self._database.run(
            (
                f"INSERT INTO run ({columns}, turn) VALUES ({', '.join('?' * len(values))}, {number})",  # noqa: S608
                (*(_storable(value) for value in values), conversation),
            ),
            ("DELETE FROM run WHERE number <= (SELECT max(number) FROM run) - ?", (self._most,)),
        )
        while self._database.used_bytes() > self._most_bytes and self._drop_oldest():
            pass
        return id

    def keep(self, answer: Answer, *, workspace: Workspace, served: Served | None, conversation: str) -> None:
        """Log an answer over a graph. What hinders that costs a warning, never the answer."""
        try:
            name, fingerprint = workspace.name, workspace.fingerprint
            self.add(answer, graph=name, fingerprint=fingerprint, served=served, conversation=conversation)
        except (BackendError, ValueError) as error:
            warnings.warn(f"the question was not logged: {error}", KgllmWarning, stacklevel=2)

    def last(self, count: int) -> list[Run]:
        """The newest runs, the newest first."""
        return self._runs("ORDER BY number DESC LIMIT ?", (count,))

    def get(self, id: str) -> Run:
        """The run whose id begins so. Raises ``InputError`` if there is none or more than one."""
        found = self._runs("WHERE substr(id, 1, length(?)) = ? LIMIT 2", (id.lower(), id.lower())) if id else []
        if len(found) == 1:
            return found[0]
        raise InputError(
            f"the run log has {'several runs' if found else 'no run'} whose id begins with {id!r}",
            why=f"it is {self.path}",
            try_next="kgllm logs names the last ones",
        )

    def conversation(self, id: str | None = None, *, graph: str) -> Conversation:
        """The conversation of a run, or with no ``id`` the last one over the graph of that name.

        Raises ``InputError`` where there is none, or it was over another graph.
        """
        if id is None:
            newest = self._runs("WHERE graph = ? ORDER BY number DESC LIMIT 1", (graph,))
            if not newest:
                raise InputError(
                    f"there is no conversation over {graph} to continue",
                    why=f"the run log {self.path} has none",
                    try_next="ask without -c",
                )
            run = newest[0]
        else:
            run = self.get(id)
            if run.graph != graph:
                raise InputError(
                    f"the conversation {id} was over {run.graph}, not over {graph}",
                    try_next="name that graph with -g",
                )
        latest = self._runs("WHERE conversation = ? ORDER BY number DESC LIMIT ?", (run.conversation, MOST_TURNS))
        return Conversation(tuple(_turn(each) for each in reversed(latest)), run.conversation)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _drop_oldest(self) -> bool:
        """Drop the oldest tenth, and return whether any but the newest is left."""
        (lowest, highest) = self._database.run(("SELECT min(number), max(number) FROM run", ()))[0]
        if lowest == highest:
            return False
        end = lowest + max(0, (highest - lowest) // 10)
        self._database.run(("DELETE FROM run WHERE number <= ?", (end,)))
        return True

    def _runs(self, condition: str, values: Sequence[Any]) -> list[Run]:
        rows = self._database.run((f"SELECT {', '.join(_COLUMNS)} FROM run {condition}", values))  # noqa: S608
        return [_run(dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def _run(row: dict[str, Any]) -> Run:
    read = {column: json.loads(row[column]) for column in ("nodes", "exchanges", "answer")}
    return Run(**{**row, **read, "abstained": bool(row["abstained"])})


def _turn(run: Run) -> Turn:
    answers, topics = (tuple(URIRef(iri) for iri in run.nodes[kind]) for kind in ("answers", "topics"))
    return Turn(run.question, run.text, run.query, answers, topics, run.nodes["whole"])


def _exchange(exchange: Any) -> dict[str, Any]:
    return {
        "purpose": exchange.purpose,
        "prompt": turns(exchange.prompt),
        "reply": exchange.reply,
        "usage": {
            "prompt_tokens": exchange.usage.prompt_tokens,
            "completion_tokens": exchange.usage.completion_tokens,
            "cached_tokens": exchange.usage.cached_tokens,
        },
    }


def _storable(value: Any) -> Any:
    """A text without what UTF-8 cannot hold: a question may be any bytes."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
