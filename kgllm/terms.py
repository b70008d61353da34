"""RDF terms as the rest of kgllm speaks of them: rdflib's terms, CURIEs, names, and text safe to show.

Literals keep the lexical form in which the graph wrote them: rdflib's normalisation changes data
(``"1e999999999"^^xsd:decimal``) and costs gigabytes for some, so it is switched off here, and at each literal that is
read:
pySHACL switches it on again for the whole process.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeAlias
from urllib.parse import unquote

import pyoxigraph as ox
import rdflib
from rdflib.term import BNode, Literal, Node, URIRef

rdflib.NORMALIZE_LITERALS = False

__all__ = [
    "BNode",
    "Literal",
    "Namespaces",
    "Node",
    "Resource",
    "Term",
    "Triple",
    "URIRef",
    "clean",
    "from_ox",
    "local_name",
    "n3",
    "ntriples",
    "parse_term",
    "readable",
    "to_ox",
    "triple_n3",
]

Resource: TypeAlias = URIRef | BNode
Term: TypeAlias = URIRef | BNode | Literal
Triple: TypeAlias = tuple[Resource, URIRef, Term]

WELL_KNOWN_PREFIXES: Mapping[str, str] = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "sh": "http://www.w3.org/ns/shacl#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "schema": "https://schema.org/",
    "prov": "http://www.w3.org/ns/prov#",
    "void": "http://rdfs.org/ns/void#",
}


def from_ox(term: ox.NamedNode | ox.BlankNode | ox.Literal) -> Term:
    """The rdflib term of a pyoxigraph one."""
    if isinstance(term, ox.NamedNode):
        return URIRef(term.value)
    if isinstance(term, ox.BlankNode):
        return BNode(term.value)
    if term.language:
        return Literal(term.value, lang=term.language)
    if term.datatype.value == "http://www.w3.org/2001/XMLSchema#string":
        return Literal(term.value)
    return Literal(term.value, datatype=URIRef(term.datatype.value), normalize=False)


def to_ox(term: Node) -> ox.NamedNode | ox.BlankNode | ox.Literal:
    """The pyoxigraph term of an rdflib one. Raises ``ValueError`` for one that is not well formed."""
    if isinstance(term, URIRef):
        return ox.NamedNode(str(term))
    if isinstance(term, BNode):
        return ox.BlankNode(str(term))
    if isinstance(term, Literal):
        if term.language:
            return ox.Literal(str(term), language=term.language)
        if term.datatype is not None:
            return ox.Literal(str(term), datatype=ox.NamedNode(str(term.datatype)))
        return ox.Literal(str(term))
    raise ValueError(f"not an RDF term: {term!r}")


def n3(term: Node) -> str:
    """The term as N-Triples writes it, checked: an IRI or datatype that could break out of it raises ``ValueError``."""
    return str(to_ox(term))


def ntriples(triples: Iterable[Triple]) -> str:
    """Triples as N-Triples, a line each. Raises ``ValueError`` as ``n3`` does."""
    return "".join(f"{n3(s)} {n3(p)} {n3(o)} .\n" for s, p, o in triples)


def triple_n3(triple: Triple) -> list[str]:
    """A triple for JSON: its three terms as N-Triples writes them."""
    return [n3(part) for part in triple]


_TERM = re.compile(
    r"""\s*(?:<(?P<iri>[^<>"{}|^`\\\x00-\x20]*)>
    |_:(?P<bnode>[A-Za-z0-9_][A-Za-z0-9_.\-]*)
    |"(?P<text>(?:[^"\\\n\r]|\\.)*)"(?:@(?P<lang>[A-Za-z]+(?:-[A-Za-z0-9]+)*)|\^\^<(?P<datatype>[^<>"{}|^`\\\x00-\x20]*)>)?)\s*""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ESCAPED = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f", '"': '"', "'": "'", "\\": "\\"}


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    return chr(int(code[1:], 16)) if code[0] in "uU" and len(code) > 1 else _ESCAPED.get(code, code)


def parse_term(text: str) -> Term:
    """The term that an N-Triples text writes. Raises ``ValueError`` for any other text.

    It undoes ``n3``, but for a literal of ``xsd:string``, which in RDF 1.1 is the plain one.
    """
    match = _TERM.fullmatch(text)
    if match is None:
        raise ValueError(f"not an N-Triples term: {text[:80]!r}")
    if (iri := match["iri"]) is not None:
        return URIRef(iri)
    if (label := match["bnode"]) is not None:
        return BNode(label)
    value = _ESCAPE.sub(_unescape, match["text"])
    datatype = match["datatype"]
    if datatype == "" or _SURROGATE.search(text) or _SURROGATE.search(value):
        raise ValueError(f"not an N-Triples term: {text[:80]!r}")
    return Literal(value, lang=match["lang"], datatype=URIRef(datatype) if datatype else None, normalize=False)


def local_name(iri: str) -> str:
    """What stands behind the last ``#``, ``/`` or ``:`` of an IRI, percent-decoded; the IRI itself if that is blank."""
    trimmed = iri.rstrip("/#")
    name = re.split(r"[#/]", trimmed)[-1] or trimmed
    if ":" in name and not name.endswith(":"):
        name = name.rsplit(":", 1)[-1]
    decoded = unquote(name)
    return decoded if decoded.strip() else iri


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def readable(name: str) -> str:
    """A local name as words: ``hasBomPart`` and ``has_bom_part`` both become ``has bom part``; codes stay as they are.

    >>> readable("hasBomPart"), readable("release_year"), readable("A115-1234")
    ('has bom part', 'release year', 'A115-1234')
    """
    words = _CAMEL.sub(" ", name.replace("_", " ")).split()
    return " ".join(word if _is_code(word) else word.lower() for word in words) or name


def _is_code(word: str) -> bool:
    return len(word) > 1 and (word.isupper() or any(character.isdigit() for character in word))


_CAP = 300
_UNSEEN = re.compile(  # code points that Unicode has shown as nothing, though some are letters or marks
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)


def clean(text: str, *, cap: int | None = _CAP) -> str:
    """Text from a graph or a model, safe to show on a terminal: one line, no control, bidi or invisible characters.

    Control characters become their pictures (U+2400 block), format characters and code points that are no characters
    ``<U+XXXX>``, so that XML 1.0 holds it as well. ``cap`` is in characters.
    """
    if text.isprintable() and not _UNSEEN.search(text):
        return text if cap is None or len(text) <= cap else text[: max(0, cap - 1)] + "…"
    shown: list[str] = []
    length = 0
    for character in text:
        shown.append(_shown(character))
        length += len(shown[-1])
        if cap is not None and length > cap:
            return "".join(shown)[: max(0, cap - 1)] + "…"
    return "".join(shown)


def _shown(character: str) -> str:
    code = ord(character)
    if character in "\n\r\t":
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    is_hidden = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    if is_hidden or _UNSEEN.match(character) or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return f"<U+{code:04X}>"
    return character


_SAFE_PREFIX = re.compile(r"(?:[A-Za-z][A-Za-z0-9_\-]*)?")
_SAFE_LOCAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\-]*(?:\.[A-Za-z0-9_\-]+)?")
"""One dot at most: Oxigraph ends a query's name with two of them at the second."""
_SAFE_NAMESPACE = re.compile(r"[^<>\"{}|^`\\\x00-\x20\ud800-\udfff]+")
_KEYWORDS = frozenset(
    "service from load clear drop create add move copy insert delete with using into lateral".split()  # noqa: SIM905
)
"""Words that no CURIE may contain: an engine reads ``service:x`` as a keyword and a name, so the guard refuses it."""


class Namespaces:
    """Prefixes in both directions. The prefixes of the data come first, then the well-known ones."""

    def __init__(self, prefixes: Mapping[str, str] | None = None) -> None:
        merged = dict(prefixes or {})
        taken = set(merged.values())
        for prefix, namespace in WELL_KNOWN_PREFIXES.items():
            if namespace not in taken:
                merged.setdefault(prefix, namespace)
        self.prefixes: dict[str, str] = merged
        self._longest_first: list[tuple[str, str]] = sorted(
            ((namespace, prefix) for prefix, namespace in merged.items() if _is_safe(prefix, namespace)),
            key=lambda pair: -len(pair[0]),
        )

    def curie(self, iri: str) -> str:
        """``prefix:local`` where a prefix fits and the local part needs no escape, else ``<iri>``."""
        iri = str(iri)
        for namespace, prefix in self._longest_first:
            if iri.startswith(namespace) and _is_safe_local(local := iri[len(namespace) :]):
                return f"{prefix}:{local}"
        return f"<{iri}>"

    def expand(self, text: str) -> URIRef | None:
        """The IRI of a CURIE, of ``<iri>`` or of a bare absolute IRI; ``None`` if the text is none of these."""
        text = text.strip()
        if text.startswith("<") and text.endswith(">"):
            return URIRef(text[1:-1])
        prefix, colon, local = text.partition(":")
        if colon and prefix in self.prefixes and not local.startswith("//"):
            return URIRef(self.prefixes[prefix] + local)
        if re.match(r"(https?://|urn:)\S+$", text):
            return URIRef(text)
        return None

    def sparql(self, iris: Iterable[str]) -> str:
        """The ``PREFIX`` lines that the given IRIs need."""
        used = {curie.partition(":")[0] for curie in map(self.curie, iris) if not curie.startswith("<")}
        return "".join(f"PREFIX {prefix}: <{self.prefixes[prefix]}>\n" for prefix in sorted(used))


def _is_safe(prefix: str, namespace: str) -> bool:
    return (
        _SAFE_PREFIX.fullmatch(prefix) is not None
        and prefix.lower() not in _KEYWORDS
        and _SAFE_NAMESPACE.fullmatch(namespace) is not None
    )


def _is_safe_local(local: str) -> bool:
    return _SAFE_LOCAL.fullmatch(local) is not None and _KEYWORDS.isdisjoint(local.lower().split(".")[1:])
