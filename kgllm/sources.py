"""Where a graph comes from: files named by path, glob or folder, or the URL of a SPARQL endpoint."""

from __future__ import annotations

import difflib
import glob
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

from kgllm.errors import InputError, SourceNotFoundError

__all__ = ["FORMATS", "Source", "SourceLike", "file_fingerprint", "format_of", "near", "resolve"]

FORMATS = {
    ".ttl": "TURTLE",
    ".nt": "N_TRIPLES",
    ".rdf": "RDF_XML",
    ".owl": "RDF_XML",
    ".xml": "RDF_XML",
    ".jsonld": "JSON_LD",
    ".json": "JSON_LD",
    ".trig": "TRIG",
    ".nq": "N_QUADS",
}
"""File extension to the name of its ``pyoxigraph.RdfFormat``. Each may be followed by ``.gz``."""

_URL = "write it as https://example.org/sparql, or https://name:password@example.org/sparql"

SourceLike: TypeAlias = "str | Path | Sequence[str | Path]"


@dataclass(frozen=True, slots=True)
class Source:
    """A graph's whereabouts: ``files`` sorted and without repetition, or the ``url`` of an endpoint.

    A name and a password that stood in the URL are kept apart from it, so that what shows the URL doesn't show them.
    """

    kind: Literal["files", "endpoint"]
    files: tuple[Path, ...]
    url: str | None
    name: str
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


def resolve(source: SourceLike) -> Source:
    """The files or the endpoint that ``source`` names: a path, glob, folder, a list of these, or an http(s) URL.

    A folder is searched to all depths for files with RDF extensions. Raises ``SourceNotFoundError`` where there is
    nothing, ``InputError`` for a file whose extension is no RDF format's and for a URL that is none.
    """
    parts = [source] if isinstance(source, str | Path) else list(source)
    urls = [str(part) for part in parts if str(part).startswith(("http://", "https://"))]
    if urls:
        if len(parts) > 1:
            raise InputError(
                "a SPARQL endpoint cannot be mixed with other sources",
                try_next="give the URL of the endpoint alone, or files alone",
            )
        return _endpoint(urls[0])
    if not parts:
        raise InputError(
            "no source was given", try_next="give a file, a folder, a glob or the URL of a SPARQL endpoint"
        )
    files = sorted({file.resolve() for part in parts for file in _files(part)})
    first = Path(str(parts[0]))
    name = _stem(files[0]) if len(files) == 1 else (first.resolve().name if first.is_dir() else files[0].parent.name)
    return Source("files", tuple(files), None, name)


def format_of(file: Path) -> str | None:
    """The name of the ``pyoxigraph.RdfFormat`` that the extension promises, ``None`` for another extension."""
    return FORMATS.get(Path(file.name.removesuffix(".gz")).suffix.lower())


def file_fingerprint(files: Iterable[Path]) -> str:
    """A sha256, in hexadecimal, over what stands in the files: neither their names nor their order counts."""
    digests = []
    for file in files:
        with file.open("rb") as opened:
            digests.append(hashlib.file_digest(opened, "sha256").digest())
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def _endpoint(url: str) -> Source:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # both are read only now
    except ValueError as error:
        raise InputError("the address of the SPARQL endpoint is no URL", why=str(error), try_next=_URL) from None
    if not host:
        raise InputError("the address of the SPARQL endpoint names no host", try_next=_URL)
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    username, password = (None if text is None else unquote(text) for text in (parts.username, parts.password))
    return Source("endpoint", (), address, host, username, password)


def _files(part: str | Path) -> list[Path]:
    path = Path(part).expanduser()
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.is_file() and format_of(file)]
        if not found:
            raise SourceNotFoundError(
                f"no RDF file in the folder {path}", try_next=f"put a file there: {_extensions()}"
            )
        return found
    if path.exists():
        return [_rdf_file(path)]
    matches = [Path(match) for match in glob.glob(str(path), recursive=True)]
    files = [file for file in matches if file.is_file()]
    if not files:
        raise SourceNotFoundError(f"there is no file, folder or glob {part}", try_next=near(path))
    return [_rdf_file(file) for file in files]


def _rdf_file(file: Path) -> Path:
    if not file.is_file():
        raise InputError(f"{file} is not a regular file", try_next="give a file, a folder or a glob")
    if format_of(file) is None:
        raise InputError(
            f"{file} has no extension of an RDF format",
            why="the extension decides how a file is read",
            try_next=f"give it the extension of its format: {_extensions()}",
        )
    return file


def _extensions() -> str:
    return " ".join(FORMATS) + ", each also .gz"


def near(path: Path) -> str:
    """What to try in the place of a file that is not there."""
    folder = path.parent
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(str(folder / name) for name in close) + "?"
    return f"look at what is in {folder}" if folder.is_dir() else f"there is no folder {folder} either"


def _stem(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).stem
