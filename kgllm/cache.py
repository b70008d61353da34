"""The completion cache: what a model said to a prompt, said again without asking it.

Only the model's replies are kept. The answer is made of them anew each time, from the live graph, so it cannot be
stale: a plan that was kept is run again, and what it finds now is what is answered.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import kgllm
from kgllm.database import Database
from kgllm.errors import BackendError, KgllmWarning
from kgllm.protocols import Completion, LanguageModel, Message

__all__ = ["CachedModel", "Completions"]

_SCHEMA = "CREATE TABLE IF NOT EXISTS completion (number INTEGER PRIMARY KEY, key TEXT UNIQUE, value TEXT)"
_PRUNED_EVERY = 64  # writes: to look at the size takes as long as a write


class Completions:
    """Replies by key in a SQLite file, the oldest dropped beyond ``most`` of them or ``most_bytes``.

    A file that cannot be used is passed by with a ``KgllmWarning``.
    """

    def __init__(self, path: Path, *, most: int = 50_000, most_bytes: int = 200_000_000) -> None:
        self._database = Database(path, _SCHEMA, name="the cache of completions")
        self._most = most
        self._most_bytes = most_bytes
        self._writes = 0

    def find(self, key: str) -> Any:
        """The reply that was kept; ``None`` without one, as no reply that is ``None`` is kept."""
        try:
            rows = self._database.run(("SELECT value FROM completion WHERE key = ?", (key,)))
            return json.loads(rows[0][0]) if rows else None
        except (BackendError, ValueError) as error:
            self._pass_by(error)
            return None

    def keep(self, key: str, value: Any) -> None:
        """Keep a reply."""
        oldest = "DELETE FROM completion WHERE number <= (SELECT max(number) FROM completion) - ?"
        try:
            kept = json.dumps(value)
            insert = "INSERT OR REPLACE INTO completion (key, value) VALUES (?, ?)"
            self._database.run((insert, (key, kept)), (oldest, (self._most,)))
            if self._writes % _PRUNED_EVERY == 0 and self._database.used_bytes() > self._most_bytes:
                half = "DELETE FROM completion WHERE number <= (SELECT (min(number) + max(number)) / 2 FROM completion)"
                self._database.run((half, ()))
            self._writes += 1
        except BackendError as error:
            self._pass_by(error)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _pass_by(self, error: Exception) -> None:
        warnings.warn(f"the model is asked without a cache: {error}", KgllmWarning, stacklevel=3)


class CachedModel:
    """A ``LanguageModel`` that asks another one only what it has not asked it before.

    ``fingerprint`` is the graph's, ``settings`` all that the model's replies depend on beside the prompt, its server
    first. A reply from the cache costs nothing, so its ``Usage`` is zero. ``hits`` and ``misses`` count the replies.
    """

    def __init__(
        self, model: LanguageModel, store: Completions, *, fingerprint: str, settings: Mapping[str, Any]
    ) -> None:
        self.name = model.name
        self.hits = 0
        self.misses = 0
        self._model = model
        self._store = store
        self._about = [kgllm.__version__, model.name, dict(settings), fingerprint]

    def complete(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> list[Completion]:
        """One completion a conversation, those that are kept from the cache, the others in one call of the model."""
        keys = [self._key(conversation, schema, max_tokens) for conversation in conversations]
        found = [self._find(key) for key in keys]
        missing = [number for number, completion in enumerate(found) if completion is None]
        if missing:
            asked = [conversations[number] for number in missing]
            completions = self._model.complete(asked, schema=schema, max_tokens=max_tokens)
            for number, completion in zip(missing, completions, strict=True):
                found[number] = self._kept(keys[number], completion)
        return [completion for completion in found if completion is not None]

    def stream(
        self, conversation: Sequence[Message], *, schema: Mapping[str, Any], max_tokens: int
    ) -> Iterator[str | Completion]:
        """The text of one completion and the completion, from the cache in one piece."""
        key = self._key(conversation, schema, max_tokens)
        if (completion := self._find(key)) is not None:
            yield json.dumps(completion.value, ensure_ascii=False)
            yield completion
            return
        for piece in self._model.stream(conversation, schema=schema, max_tokens=max_tokens):
            yield self._kept(key, piece) if isinstance(piece, Completion) else piece

    def tokens(self, prompt: str | Sequence[Message]) -> int | None:
        """What the model says."""
        return self._model.tokens(prompt)

    def context_length(self) -> int | None:
        """What the model says."""
        return self._model.context_length()

    def _key(self, conversation: Sequence[Message], schema: Mapping[str, Any], max_tokens: int) -> str:
        turns = [[message.role, message.content] for message in conversation]
        asked = json.dumps([self._about, schema, max_tokens, turns], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()

    def _find(self, key: str) -> Completion | None:
        value = self._store.find(key)
        if value is None:
            return None
        self.hits += 1
        return Completion(value)

    def _kept(self, key: str, completion: Completion) -> Completion:
        self.misses += 1
        if completion.value is not None:
            self._store.keep(key, completion.value)
        return completion
