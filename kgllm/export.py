"""A working memory graph as a file: GraphML and GEXF for programs that draw graphs, and the RDF formats."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kgllm.errors import InputError
from kgllm.terms import BNode, Literal, Node, clean

if TYPE_CHECKING:
    import networkx

    from kgllm.memory import WorkingMemoryGraph

__all__ = ["check_new", "drawable", "file_and_ending", "make_folder", "save", "write_whole"]

_RDF_FORMATS = {".ttl": "turtle", ".trig": "trig", ".jsonld": "json-ld"}
_ENDINGS = (".graphml", ".gexf", *_RDF_FORMATS)


def save(memory: WorkingMemoryGraph, path: str | Path) -> Path:
    """Write a memory in the format that the ending names, whole or not at all, and give the path.

    Raises ``InputError`` for another ending, for a folder that cannot be written to, and where the memory has a term
    that the format cannot write.
    """
    file, ending = file_and_ending(path, _ENDINGS, of="a memory")
    try:
        content = _content(memory, ending)
    except Exception as error:  # rdflib's writers raise nothing narrower
        raise InputError(
            f"the memory cannot be written as {ending}",
            why=clean(str(error)),
            try_next="save it as .graphml, in which every term is text",
        ) from error
    write_whole(file, content)
    return file


def file_and_ending(path: str | Path, endings: Sequence[str], *, of: str) -> tuple[Path, str]:
    """The file that a path names, and its ending in lower case. Raises ``InputError`` if it is none of ``endings``."""
    file = Path(path).expanduser()
    if file.suffix.lower() not in endings:
        raise InputError(
            f"{clean(str(path))} has no ending of a format that {of} can be saved in",
            why="the ending decides what is written",
            try_next=f"end it in one of {' '.join(endings)}",
        )
    return file, file.suffix.lower()


def drawable(memory: WorkingMemoryGraph) -> networkx.MultiDiGraph:
    """The graph of ``memory.to_networkx`` with nothing in it but short, clean text, as GraphML and GEXF hold it.

    A node is named by its IRI, or as Turtle writes it; an edge has a name of its own, and its IRI as ``property``.
    """
    import networkx

    terms = memory.to_networkx()
    names = _names(terms)
    graph = networkx.MultiDiGraph(question=clean(memory.question))
    for term, about in terms.nodes(data=True):
        graph.add_node(names[term], **_cleaned(about))
    for number, (s, o, p, about) in enumerate(terms.edges(keys=True, data=True)):
        name = f"e{number}"  # no two elements of a file may have one name
        graph.add_edge(names[s], names[o], key=name, property=clean(str(p), cap=None), **_cleaned(about))
    return graph


def _cleaned(about: dict[str, str]) -> dict[str, str]:
    return {key: clean(str(value)) for key, value in about.items()}


def _names(terms: networkx.MultiDiGraph) -> dict[Node, str]:
    """A name of its own for each term; those that cleaning made alike are numbered."""
    names: dict[Node, str] = {}
    taken: set[str] = set()
    for term in terms:
        name, number = _name(term), 1
        unique = name
        while unique in taken:
            number += 1
            unique = f"{name} ({number})"
        taken.add(unique)
        names[term] = unique
    return names


def _name(term: Node) -> str:
    if isinstance(term, Literal):
        kind = f"@{term.language}" if term.language else f"^^<{term.datatype}>" if term.datatype else ""
        return f'"{clean(str(term))}"{clean(kind)}'
    return clean(f"_:{term}" if isinstance(term, BNode) else str(term), cap=None)


def _content(memory: WorkingMemoryGraph, ending: str) -> bytes:
    if ending in _RDF_FORMATS:
        return memory.serialize(_RDF_FORMATS[ending]).encode()
    import networkx

    graph, written = drawable(memory), io.BytesIO()
    if ending == ".graphml":
        networkx.write_graphml(graph, written)
    else:
        for _, _, name, about in graph.edges(keys=True, data=True):
            about["id"] = name  # what its writer names an edge by; in GraphML it would be a second id
        networkx.write_gexf(graph, written)
    return written.getvalue()


def check_new(folder: Path) -> None:
    """Raises ``InputError`` for a folder that holds something, for what is none, and for what cannot be made."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{clean(str(folder))} is there already", why="a model is not written over", try_next="name a new folder"
        )
    is_there = folder.exists()
    make_folder(folder)
    if not is_there:
        folder.rmdir()


def make_folder(folder: Path) -> None:
    """Make a folder, if it is not there. Raises ``InputError`` if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{clean(str(folder))} cannot be made", why=clean(str(error)), try_next="name a folder in a place of yours"
        ) from error


def write_whole(file: Path, content: bytes) -> None:
    """Put the content beside the file first, so that whoever reads it sees the old one or the new.

    Raises ``InputError`` for a place that cannot be written to.
    """
    new = file.with_name(f".kgllm-{secrets.token_hex(8)}")
    try:
        try:
            new.write_bytes(content)
            os.replace(new, file)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(
            f"{clean(str(file))} cannot be written", why=clean(str(error)), try_next="name a file in a folder of yours"
        ) from error
