"""The embedded graph store: Oxigraph in a worker process, in memory or on disk."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import rdflib
from rdflib.graph import DATASET_DEFAULT_GRAPH_ID

from kgllm.engines.results import rows_of_tsv, triples_of_ntriples
from kgllm.engines.worker import MEMORY_BYTES, Worker
from kgllm.errors import EmptyGraphError, InputError, SourceNotFoundError, WorkerError
from kgllm.protocols import Rows
from kgllm.sources import file_fingerprint
from kgllm.terms import Triple, ntriples, to_ox

__all__ = ["Built", "OxigraphStore", "graph_fingerprint"]

_JOBS = "kgllm.engines.graph_jobs"
_LOAD_TIMEOUT_S = 3_600.0
_FILE_BYTES = 64 * 2**30


@dataclass(frozen=True, slots=True)
class Built:
    """A store on disk: its number of triples, the prefixes its source declares, and the fingerprint of that source."""

    triples: int
    prefixes: dict[str, str]
    fingerprint: str


class OxigraphStore:
    """A ``GraphStore`` over the union of all graphs of its source. Made by ``load``, ``from_graph`` or ``open``.

    A numeric literal comes back in Oxigraph's own lexical form ("05" as "5"): its stores keep the value.
    """

    def __init__(self, worker: Worker, *, source: str, prefixes: Mapping[str, str], timeout_s: float = 30.0) -> None:
        self.source = source
        self._worker = worker
        self._prefixes = dict(prefixes)
        self._timeout_s = timeout_s
        self._triples: int | None = None

    @classmethod
    def load(
        cls,
        files: Sequence[Path],
        *,
        source: str,
        timeout_s: float = 30.0,
        load_timeout_s: float = _LOAD_TIMEOUT_S,
        memory_bytes: int = MEMORY_BYTES,
        file_bytes: int = _FILE_BYTES,
    ) -> OxigraphStore:
        """Files into memory. ``timeout_s`` is for each query, ``file_bytes`` bounds a file when decompressed.

        Raises ``RdfSyntaxError`` for the first bad file, ``EmptyGraphError`` if there is no triple in any.
        """
        header = {"files": [str(file) for file in files], "file_bytes": file_bytes}
        return cls._loaded(header, b"", source, timeout_s, load_timeout_s, memory_bytes)

    @classmethod
    def from_graph(
        cls,
        graph: rdflib.Graph,
        *,
        source: str = "rdflib graph",
        timeout_s: float = 30.0,
        load_timeout_s: float = _LOAD_TIMEOUT_S,
        memory_bytes: int = MEMORY_BYTES,
    ) -> OxigraphStore:
        """A copy of a graph or dataset, with its blank nodes. Raises ``InputError`` for a term that is no RDF."""
        header = {"files": [], "file_bytes": 0}
        store = cls._loaded(header, _nquads(graph), source, timeout_s, load_timeout_s, memory_bytes)
        store._prefixes = _declared(graph)
        return store

    @classmethod
    def _loaded(
        cls,
        header: Mapping[str, Any],
        body: bytes,
        source: str,
        timeout_s: float,
        load_timeout_s: float,
        memory_bytes: int,
    ) -> OxigraphStore:
        worker = Worker(_JOBS, memory_bytes=memory_bytes)
        try:
            summary = worker.open("load", header, body=body, timeout_s=load_timeout_s, what=f"loading {source}").header
            if not summary["triples"]:
                raise _empty(source)
        except BaseException:
            worker.close()
            raise
        store = cls(worker, source=source, prefixes=summary["prefixes"], timeout_s=timeout_s)
        store._triples = summary["triples"]
        return store

    @staticmethod
    def build(
        given: Sequence[Path] | rdflib.Graph,
        folder: Path,
        *,
        load_timeout_s: float = _LOAD_TIMEOUT_S,
        memory_bytes: int = MEMORY_BYTES,
        file_bytes: int = _FILE_BYTES,
    ) -> Built:
        """Write a store into ``folder``, which must not exist yet, and which is gone again if anything fails."""
        if folder.exists():
            raise InputError(f"{folder} exists already", try_next="name a folder that does not")
        files: list[str] = []
        body = b""
        if isinstance(given, rdflib.Graph):
            body = _nquads(given)
            fingerprint, needed, source = _graph_fingerprint(body), len(body), "the graph"
        else:
            files = [str(file) for file in given]
            fingerprint, source = file_fingerprint(given), ", ".join(file.name for file in given[:3])
            needed = sum(file.stat().st_size for file in given)
        folder.mkdir(parents=True)
        worker = Worker(_JOBS, memory_bytes=memory_bytes)
        try:
            # A store on a full disk cannot be opened again until space is freed.
            if shutil.disk_usage(folder).free < 3 * needed:
                raise InputError(f"too little space on the disk of {folder}", try_next=f"free {3 * needed:,} bytes")
            header = {"files": files, "file_bytes": file_bytes, "folder": str(folder)}
            summary = worker.call("build", header, body=body, timeout_s=load_timeout_s, what=f"loading {source}").header
            if not summary["triples"]:
                raise _empty(source)
        except BaseException:
            worker.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        worker.close()
        prefixes = _declared(given) if isinstance(given, rdflib.Graph) else summary["prefixes"]
        return Built(summary["triples"], prefixes, fingerprint)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        source: str,
        prefixes: Mapping[str, str],
        timeout_s: float = 30.0,
        memory_bytes: int = MEMORY_BYTES,
    ) -> OxigraphStore:
        """What ``build`` wrote, read-only, by any number of processes.

        Raises ``SourceNotFoundError`` without it, ``DamagedIndexError`` if it cannot be opened.
        """
        if not folder.is_dir():
            raise SourceNotFoundError(f"there is no store {folder}", try_next="kgllm index")
        worker = Worker(_JOBS, memory_bytes=memory_bytes)
        try:
            worker.open("open", {"folder": str(folder)}, timeout_s=timeout_s, what=f"opening {folder}")
        except BaseException:
            worker.close()
            raise
        return cls(worker, source=source, prefixes=prefixes, timeout_s=timeout_s)

    def __len__(self) -> int:
        """How many triples there are."""
        if self._triples is None:
            self._triples = int(self._call("count", "", None, what="counting the triples")[0]["triples"])
        return self._triples

    def select(self, sparql: str, *, timeout_s: float | None = None, limit: int | None = None) -> Rows:
        """The rows of a SELECT; at most ``limit`` of them, ``complete=False`` if there were more."""
        header, body = self._call("select", sparql, timeout_s, limit=limit)
        return rows_of_tsv(body, complete=header["complete"])

    def ask(self, sparql: str, *, timeout_s: float | None = None) -> bool:
        """The answer to an ASK."""
        return bool(self._call("ask", sparql, timeout_s)[0]["answer"])

    def construct(self, sparql: str, *, timeout_s: float | None = None, limit: int | None = None) -> list[Triple]:
        """The triples of a CONSTRUCT, each once, in no particular order, at most ``limit``."""
        return triples_of_ntriples(self._call("construct", sparql, timeout_s, limit=limit)[1])

    @contextmanager
    def altered(self, *, without: Iterable[Triple] = (), plus: Iterable[Triple] = ()) -> Iterator[None]:
        """Be without some triples and have others, inside a ``with`` statement; for a store in memory.

        Raises ``WorkerError`` at its end if the worker was started anew meanwhile: then the graph was whole again.
        """
        parts = [ntriples(without).encode(), ntriples(plus).encode()]
        header = {"without": len(parts[0])}
        self._worker.call("alter", header, body=b"".join(parts), timeout_s=self._timeout_s, what="altering the graph")
        whole = True
        try:
            yield
        finally:
            reply = self._worker.call("restore", timeout_s=self._timeout_s, what="restoring the graph")
            whole = not reply.header["altered"]
        if whole:
            raise WorkerError(
                "the graph did not stay altered",
                why="the worker ended and loaded it again",
                try_next="try again, or allow each query more time",
            )

    def prefixes(self) -> dict[str, str]:
        """Prefix to namespace, as the source declares them."""
        return dict(self._prefixes)

    def close(self) -> None:
        """End the worker. Closing twice is harmless."""
        self._worker.close()

    def _call(
        self, job: str, sparql: str, timeout_s: float | None, *, limit: int | None = None, what: str = "the query"
    ) -> tuple[dict[str, Any], bytes]:
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        reply = self._worker.call(job, {"limit": limit}, body=sparql.encode(), timeout_s=timeout_s, what=what)
        return reply.header, reply.body


def _empty(source: str) -> EmptyGraphError:
    return EmptyGraphError(f"there is not one triple in {source}", try_next="look whether it is the file you mean")


def graph_fingerprint(graph: rdflib.Graph) -> str:
    """The fingerprint that ``OxigraphStore.build`` gives a graph."""
    return _graph_fingerprint(_nquads(graph))


def _nquads(graph: rdflib.Graph) -> bytes:
    return ox.serialize(_quads(graph), format=ox.RdfFormat.N_QUADS) or b""


def _quads(graph: rdflib.Graph) -> Iterator[ox.Quad]:
    rows: Iterable[tuple[Any, ...]]
    if isinstance(graph, rdflib.Dataset):
        rows = ((*row[:3], None if row[3] == DATASET_DEFAULT_GRAPH_ID else row[3]) for row in graph.quads())
    else:
        rows = ((subject, predicate, value, None) for subject, predicate, value in graph)
    terms: dict[Any, Any] = {None: None}
    for row in rows:
        try:
            yield ox.Quad(*[terms[term] if term in terms else terms.setdefault(term, to_ox(term)) for term in row])
        except (ValueError, TypeError) as error:
            raise InputError(f"not a triple of RDF: {row[:3]!r}"[:500], why=str(error)) from None


_BLANK = re.compile(rb"(?:^|(?<= ))_:\S+")


def _graph_fingerprint(nquads: bytes) -> str:
    """The same for the same triples, whatever their blank nodes are called."""
    lines = sorted(_BLANK.sub(b"_:", line) for line in nquads.split(b"\n"))
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def _declared(graph: rdflib.Graph) -> dict[str, str]:
    return {prefix: str(namespace) for prefix, namespace in graph.namespaces()}
