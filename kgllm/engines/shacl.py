"""SHACL, checked by pySHACL in a worker: a pattern or a query in a shape can run for ever."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from kgllm.engines.worker import MEMORY_BYTES, Reply, Worker
from kgllm.errors import DeadlineError
from kgllm.terms import Term, URIRef, parse_term

__all__ = ["Shapes", "ShapesReport", "ShapesResult"]

_READ_TIMEOUT_S = 300.0
_FILE_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class ShapesResult:
    """One ``sh:ValidationResult``. ``path`` is an IRI, or a literal that writes a longer path as SPARQL does."""

    focus: Term
    path: Term | None
    value: Term | None
    component: Term
    severity: Term
    message: str
    source_shape: Term | None  # the nearest that has an IRI


@dataclass(frozen=True, slots=True)
class ShapesReport:
    """Whether the data conforms; ``None`` if it was not checked in time, which is not to be taken for conforming."""

    conforms: bool | None
    results: list[ShapesResult]


class Shapes:
    """Shapes kept warm in a worker, to check data against; read meanwhile, which takes half a second.

    Whoever needs the shapes first waits for them, and gets ``RdfSyntaxError`` for a broken file, ``InputError`` for
    shapes that SHACL does not allow or whose ``sh:sparql`` would do more than read the data.
    """

    def __init__(self, files: Sequence[Path], *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._worker = Worker("kgllm.engines.shacl_jobs", memory_bytes=memory_bytes)
        self._opened: Future[Reply] = Future()
        threading.Thread(target=self._open, args=([str(file) for file in files],), daemon=True).start()

    def _open(self, files: list[str]) -> None:
        header = {"files": files, "file_bytes": _FILE_BYTES}
        try:
            self._opened.set_result(
                self._worker.open("shapes", header, timeout_s=_READ_TIMEOUT_S, what="reading the shapes")
            )
        except BaseException as error:
            self._worker.close()
            self._opened.set_exception(error)

    @property
    def reads(self) -> list[str]:
        """Graph patterns over ``?n``, a focus node, for the facts ``?s ?p ?o`` that the shapes read, but for its own.

        Its own are those that it is the subject of. ``sh:sparql`` is taken to read who it is the object of.
        """
        reads: list[str] = self._opened.result().header["reads"]
        return reads

    def validate(self, data: bytes, *, focus: Sequence[URIRef] | None = None, timeout_s: float) -> ShapesReport:
        """Check a data graph, N-Triples, against the shapes; only at the ``focus`` nodes if given.

        Which class is under which is for the data to say.
        """
        self._opened.result()
        header = {} if focus is None else {"focus": [str(node) for node in focus]}
        try:
            reply = self._worker.call(
                "validate", header, body=data, timeout_s=timeout_s, what="the check against the shapes"
            )
        except DeadlineError:
            return ShapesReport(None, [])
        results = [
            ShapesResult(
                focus=parse_term(result["focus"]),
                path=_term(result["path"]),
                value=_term(result["value"]),
                component=parse_term(result["component"]),
                severity=parse_term(result["severity"]),
                message=result["message"],
                source_shape=_term(result["source_shape"]),
            )
            for result in json.loads(reply.body)
        ]
        return ShapesReport(reply.header["conforms"], results)

    def close(self) -> None:
        """End the worker. Closing twice is harmless."""
        self._worker.close()


def _term(text: str | None) -> Term | None:
    return None if text is None else parse_term(text)
