"""The jobs of a graph worker: load, build or open an Oxigraph store, then answer queries over all of its graphs.

Run as ``python -m kgllm.engines.graph_jobs MEMORY_BYTES``; it imports nothing but pyoxigraph.

A triple that stands in two named graphs is one triple of their union, but Oxigraph's union default graph counts it
twice. So what is in a named graph is put into the default graph also, once, when the store is made.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from kgllm.engines.guard import syntax_error
from kgllm.engines.rdf_files import load_file
from kgllm.engines.worker_main import serve
from kgllm.errors import DamagedIndexError, InputError, QueryRefusedError

_RESULT_BYTES = 2**30


class _Enough(Exception):  # noqa: N818 - not an error: the writer has all the lines it wants
    pass


class _Lines(io.RawIOBase):
    """Takes what Oxigraph writes until it holds more than ``limit`` lines."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.data = bytearray()
        self.count = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        chunk = bytes(data)
        self.data += chunk
        self.count += chunk.count(b"\n")
        if self.limit is not None and self.count > self.limit:
            raise _Enough
        if len(self.data) > _RESULT_BYTES:
            raise InputError("the result is larger than a GiB", try_next="ask for less: add a LIMIT")
        return len(chunk)

    def cut(self) -> tuple[bytes, bool]:
        """At most ``limit`` lines, and whether these are all."""
        if self.limit is None or self.count <= self.limit:
            return bytes(self.data), True
        return b"".join(line + b"\n" for line in bytes(self.data).split(b"\n")[: self.limit]), False


class GraphJobs:
    """One store, and what is done with it."""

    def __init__(self) -> None:
        self.store = ox.Store()
        self.undone: tuple[list[ox.Quad], list[ox.Quad]] | None = None  # taken out and put in, while it is altered

    def load(self, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Files, or N-Quads in the body, into memory."""
        self.store = ox.Store()
        return self._fill(header, body, bulk=False), b""

    def build(self, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Files, or N-Quads in the body, into a new store on disk."""
        self.store = ox.Store(header["folder"])
        summary = self._fill(header, body, bulk=True)
        self.store.flush()
        self.store.optimize()
        self.store = ox.Store()
        return summary, b""

    def _fill(self, header: dict[str, Any], body: bytes, *, bulk: bool) -> dict[str, Any]:
        prefixes: dict[str, str] = {}
        for file in header["files"]:
            found = load_file(self.store, Path(file), bulk=bulk, limit_bytes=header["file_bytes"])
            prefixes = {**found, **prefixes}
        if body:
            # Parsed, not loaded: loading renames blank nodes, and the caller holds their names.
            self.store.bulk_extend(ox.parse(body, format=ox.RdfFormat.N_QUADS))
        for graph in list(self.store.named_graphs()):
            quads = self.store.quads_for_pattern(None, None, None, graph)
            self.store.bulk_extend(ox.Quad(quad.subject, quad.predicate, quad.object) for quad in quads)
        return {"triples": self._count(), "prefixes": prefixes}

    def open(self, header: dict[str, Any], _: bytes) -> tuple[dict[str, Any], bytes]:
        """A store on disk, read-only."""
        try:
            self.store = ox.Store.read_only(header["folder"])
        except OSError as error:
            raise DamagedIndexError(
                f"the store {header['folder']} cannot be opened", why=str(error), try_next="kgllm index --rebuild"
            ) from None
        return {}, b""

    def alter(self, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Take out the first ``without`` bytes of triples in the body, and put in the rest, until ``restore``."""
        self.restore({}, b"")
        without, plus = body[: header["without"]], body[header["without"] :]
        taken = [
            quad
            for each in ox.parse(without, format=ox.RdfFormat.N_TRIPLES)
            for quad in self.store.quads_for_pattern(each.subject, each.predicate, each.object, None)
        ]
        for quad in taken:
            self.store.remove(quad)
        added = [quad for quad in ox.parse(plus, format=ox.RdfFormat.N_TRIPLES) if quad not in self.store]
        self.store.extend(added)
        self.undone = taken, added
        return {"without": len(taken), "plus": len(added)}, b""

    def restore(self, _: dict[str, Any], __: bytes) -> tuple[dict[str, Any], bytes]:
        """The store as it was loaded; ``altered`` says whether it was another one until now."""
        if self.undone is None:
            return {"altered": False}, b""
        taken, added = self.undone
        for quad in added:
            self.store.remove(quad)
        self.store.extend(taken)
        self.undone = None
        return {"altered": True}, b""

    def count(self, _: dict[str, Any], __: bytes) -> tuple[dict[str, Any], bytes]:
        """How many triples there are."""
        return {"triples": self._count()}, b""

    def _count(self) -> int:
        if not any(True for _ in self.store.named_graphs()):
            return len(self.store)
        return sum(1 for _ in self.store.quads_for_pattern(None, None, None, ox.DefaultGraph()))

    def select(self, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """The rows of a SELECT as SPARQL TSV: whole terms in its cells, and the cheapest to write and to read."""
        limit = header["limit"]
        result = self._query(body)
        if not isinstance(result, ox.QuerySolutions):
            raise QueryRefusedError("rows were asked for, and this query is no SELECT")
        lines = _Lines(None if limit is None else limit + 1)
        return _serialized(result, lines, ox.QueryResultsFormat.TSV)

    def ask(self, _: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """The answer to an ASK."""
        result = self._query(body)
        if not isinstance(result, ox.QueryBoolean):
            raise QueryRefusedError("yes or no was asked for, and this query is no ASK")
        return {"answer": bool(result)}, b""

    def construct(self, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """The triples of a CONSTRUCT or DESCRIBE as N-Triples."""
        result = self._query(body)
        if not isinstance(result, ox.QueryTriples):
            raise QueryRefusedError("triples were asked for, and this query is no CONSTRUCT or DESCRIBE")
        return _serialized(result, _Lines(header["limit"]), ox.RdfFormat.N_TRIPLES)

    def _query(self, body: bytes) -> ox.QuerySolutions | ox.QueryBoolean | ox.QueryTriples:
        sparql = body.decode()
        try:
            return self.store.query(sparql)
        except SyntaxError as error:
            raise syntax_error(sparql, str(error.msg)) from None
        except OSError as error:
            raise QueryRefusedError("the query cannot be evaluated here", why=str(error)) from None


def _serialized(result: Any, lines: _Lines, written_as: Any) -> tuple[dict[str, Any], bytes]:
    try:
        result.serialize(lines, format=written_as)
    except _Enough:
        pass
    except OSError as error:
        raise QueryRefusedError("the query cannot be evaluated here", why=str(error)) from None
    data, complete = lines.cut()
    return {"complete": complete}, data


if __name__ == "__main__":
    jobs = GraphJobs()
    serve(
        {
            "load": jobs.load,
            "build": jobs.build,
            "open": jobs.open,
            "alter": jobs.alter,
            "restore": jobs.restore,
            "count": jobs.count,
            "select": jobs.select,
            "ask": jobs.ask,
            "construct": jobs.construct,
        },
        memory_bytes=int(sys.argv[1]),
    )
