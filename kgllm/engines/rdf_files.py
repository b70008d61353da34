"""RDF files into an Oxigraph store, within the worker: foreign bytes, so looked at before they are parsed."""

from __future__ import annotations

import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.parsers import expat

import pyoxigraph as ox

from kgllm.errors import InputError, RdfSyntaxError
from kgllm.sources import format_of

__all__ = ["BASE_IRI", "load_file"]

BASE_IRI = "urn:x-base:/"  # a relative IRI without @base must not become a path of this machine
_HEAD = 1_000  # quads parsed to learn the prefixes: they stand at the head of a file, and parsing all of it twice costs
_XML_DEPTH = 256  # pyoxigraph is quadratic in it: 50,000 levels take 25 s
_XML_ENTITIES = 100
_XML_GROWTH = 16  # characters out for each byte in, once 2 MiB are out: an ontology's namespace entities reach 6


def load_file(store: ox.Store, file: Path, *, bulk: bool, limit_bytes: int) -> dict[str, str]:
    """Load a file whole or not at all, and give the prefixes it declares. At most ``limit_bytes`` are decompressed.

    Raises ``RdfSyntaxError`` at the file's line and column, ``InputError`` past the limit.
    """
    name = format_of(file)
    rdf_format: ox.RdfFormat = getattr(ox.RdfFormat, str(name))
    with _faults(file):
        _sniff(file, limit_bytes)
        if rdf_format == ox.RdfFormat.RDF_XML:
            with _opened(file, limit_bytes) as stream:
                _scan_xml(file, stream)
        with _opened(file, limit_bytes) as stream:
            load = store.bulk_load if bulk else store.load
            load(stream, format=rdf_format, base_iri=BASE_IRI)
        if rdf_format in (ox.RdfFormat.N_TRIPLES, ox.RdfFormat.N_QUADS):
            return {}
        with _opened(file, limit_bytes) as stream:
            parser = ox.parse(stream, format=rdf_format, base_iri=BASE_IRI)
            prefixes: dict[str, str] = {}
            for number, _ in enumerate(itertools.islice(parser, _HEAD)):
                if number == 0:  # RDF/XML forgets them where the root element ends
                    prefixes = dict(parser.prefixes)
            return {**parser.prefixes, **prefixes}


@contextmanager
def _faults(file: Path) -> Iterator[None]:
    try:
        yield
    except SyntaxError as error:
        raise RdfSyntaxError(file, _message(error), line=error.lineno, column=error.offset) from None
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise RdfSyntaxError(file, f"damaged gzip data: {error}") from None
    except MemoryError as error:
        if "buffer maximal size" not in str(error):
            raise
        raise RdfSyntaxError(file, "a single term of more than 16 MiB") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from None


def _message(error: SyntaxError) -> str:
    """What the parser says, without the place that stands before it anyway."""
    text = str(error.msg)
    if "LoadDocumentCallback" in text:
        return "a JSON-LD @context that stands elsewhere is never fetched: write it into the file"
    return text.partition(": ")[2] if text.startswith("Parser error at line") else text


class _Capped(io.RawIOBase):
    """A stream that refuses to give more bytes than it may."""

    def __init__(self, stream: Any, file: Path, limit_bytes: int) -> None:
        self._stream = stream
        self._file = file
        self._limit = self._left = limit_bytes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data: bytes = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise InputError(
                f"{self._file} holds more than {self._limit:,} bytes when decompressed",
                why="a small file can decompress to more than a disk holds",
                try_next="raise the limit, or split the file",
            )
        return data

    def close(self) -> None:
        self._stream.close()
        super().close()


def _opened(file: Path, limit_bytes: int) -> Any:
    compressed = file.name.endswith(".gz")
    return _Capped(gzip.GzipFile(file) if compressed else file.open("rb"), file, limit_bytes)


def _sniff(file: Path, limit_bytes: int) -> None:
    with _opened(file, limit_bytes) as stream:
        head = stream.read(512)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise RdfSyntaxError(
            file, "a web page (HTML), not RDF: most likely saved from an address that shows one", line=1
        )
    if head.startswith(b"\x1f\x8b"):
        raise RdfSyntaxError(file, f"gzip data: name it {file.name}.gz")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RdfSyntaxError(file, "text in UTF-16: RDF files are read in UTF-8")
    if b"\0" in head:
        raise RdfSyntaxError(file, "binary data, not RDF")


def _scan_xml(file: Path, stream: Any) -> None:
    """Refuse XML that grows (pyoxigraph expands entities without a bound). Protégé's namespace entities pass."""
    parser = expat.ParserCreate()
    entities = depth = produced = 0

    def refuse(why: str) -> None:
        raise RdfSyntaxError(file, why, line=parser.CurrentLineNumber, column=parser.CurrentColumnNumber + 1)

    def entity(
        name: str,
        parameter: int,
        value: str | None,
        base: str | None,
        system: str | None,
        public: str | None,
        notation: Any,
    ) -> None:
        nonlocal entities
        entities += 1
        if parameter or value is None:
            refuse(f"the XML entity {name} stands elsewhere: it is never fetched")
        elif "&" in value or entities > _XML_ENTITIES:
            refuse("XML entities that expand into each other")
        parser.CharacterDataHandler = lambda text: grow(len(text))

    def grow(characters: int) -> None:
        nonlocal produced
        produced += characters
        if produced > 2 * 2**20 and produced > _XML_GROWTH * parser.CurrentByteIndex:
            refuse("XML entities that make the file many times as large")

    def start(_: str, attributes: list[str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _XML_DEPTH:
            refuse(f"XML elements nested more than {_XML_DEPTH} deep")
        if entities:
            grow(sum(map(len, attributes)))

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    parser.ordered_attributes = True
    parser.EntityDeclHandler = entity
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        while data := stream.read(2**16):
            parser.Parse(data, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise RdfSyntaxError(
            file, f"not XML: {expat.ErrorString(error.code)}", line=error.lineno, column=error.offset + 1
        ) from None
