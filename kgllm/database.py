"""A private SQLite file that several processes and threads write at once."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kgllm.errors import BackendError

__all__ = ["Database"]

_FORMAT = 1
_PATIENCE_S = 2.0  # how long a write waits for those of other processes


class Database:
    """The file at ``path``, made at the first use with the tables of ``schema``; ``name`` is what messages call it.

    Every method raises ``BackendError`` where the file is damaged, not to be written, or on a full disk.
    """

    def __init__(self, path: Path, schema: str, *, name: str) -> None:
        self.path = path
        self._schema = schema
        self._name = name
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def run(self, *statements: tuple[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
        """Run statements in one transaction, and return the rows of the last."""
        with self._lock:
            try:
                connection = self._connection or self._open()
                connection.execute("BEGIN IMMEDIATE" if len(statements) > 1 else "BEGIN")
                try:
                    for sql, values in statements:
                        rows = connection.execute(sql, values).fetchall()
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                return rows
            except (sqlite3.Error, OSError) as error:
                raise BackendError(
                    f"{self._name} {self.path} cannot be used",
                    why=str(error),
                    try_next="see that its disk has room and that it may be written, or move it away: a new one is made",
                ) from error

    def used_bytes(self) -> int:
        """How much of the file is in use."""
        size = "SELECT page_size * (page_count - freelist_count) FROM pragma_page_size, pragma_page_count, "
        return int(self.run((size + "pragma_freelist_count", ()))[0][0])

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite's own file would be readable to all
        connection = sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
        try:
            _write_ahead(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in {0, _FORMAT}:
                raise sqlite3.DatabaseError(f"it has format {version}, this kgllm reads {_FORMAT}")
            if version == 0:
                connection.executescript(f"BEGIN IMMEDIATE; {self._schema}; PRAGMA user_version = {_FORMAT}; COMMIT")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; while another process does the same, SQLite refuses at once instead of waiting."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
