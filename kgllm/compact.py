"""The compact prompt: what a small planner of one graph is told, in a few hundred tokens.

It holds no instructions, for the model was trained on prompts like it. What the question names stands in it as a
handle and is told by what it is alone: whoever knows how a question goes for some names knows it for all.
"""

from __future__ import annotations

from collections.abc import Mapping

from kgllm.index import Index
from kgllm.link import SURE, Links, Mention
from kgllm.ontology import Ontology
from kgllm.prompting import plain, value_entry
from kgllm.protocols import Message
from kgllm.query_schema import Handles
from kgllm.terms import Literal, URIRef

__all__ = ["compact_message", "compact_terms", "with_handles"]

_LABEL = 40  # characters of what a handle stands for, so that the prompt stays a few hundred tokens
_TYPES = 2  # classes that a node is told by
_WAYS, _NEAR = 3, 0.15  # candidates of one mention that are told, and how much less likely than the best they may be


def compact_terms(handles: Handles, ontology: Ontology) -> str:
    """What the handles of a graph stand for, by label: "p0 director, p1 written by"; the classes in a second line."""
    labels = (
        {f"{letter}{number}": ontology.label(iri) for number, iri in enumerate(pool)}
        for letter, pool in (("p", handles.properties), ("c", handles.classes))
    )
    return "\n".join(map(_line, labels))


def compact_message(links: Links, handles: Handles, *, told: Handles, index: Index) -> Message:
    """The question with handles in the place of names, after what those stand for that ``told`` has not."""
    described = index.described(handles.nodes)
    entries = {
        f"n{number}": " ".join(index.ontology.label(cls) for cls in described[iri].types[:_TYPES])
        if iri in described
        else ""
        for number, iri in enumerate(handles.nodes)
    }
    for letter in "pcv":
        known = len(told.pool(letter))
        for number, term in list(enumerate(handles.pool(letter)))[known:]:
            entries[f"{letter}{number}"] = (
                value_entry(term) if isinstance(term, Literal) else index.ontology.label(term)
            )
    asked = plain(with_handles(links, handles), cap=None)
    return Message("user", f"{_line(entries)}\n{asked}")


def _line(entries: Mapping[str, str]) -> str:
    """Texts by handle in one line, without what a tokenizer could take for control."""
    return ", ".join(f"{handle} {plain(text, cap=_LABEL)}" for handle, text in entries.items())


def with_handles(links: Links, handles: Handles) -> str:
    """The question in lower case, each name in it as the handles of what it may name: "who directed n0"."""
    names = _names(handles)
    text = links.question
    parts, end = [], len(text)
    for mention in sorted(links.mentions, key=lambda mention: -mention.first):
        said = _handles_of(mention, names)
        if said:
            first, last = links.span(mention)
            name = "" if mention.score >= SURE else f"{text[first:last].lower()} "
            parts += [text[last:end].lower(), f"{name}{said}"]
            end = first
    return "".join(reversed([*parts, text[:end].lower()]))


def _handles_of(mention: Mention, names: Mapping[URIRef | Literal, str]) -> str:
    """The handles of the likeliest nodes and values of a mention, with a stroke between them; empty without any."""
    said = []
    for candidate in mention.candidates:
        term = candidate.term()
        if term in names and candidate.score >= mention.score - _NEAR:
            said.append(names[term])
    return "/".join(dict.fromkeys(said[:_WAYS]))


def _names(handles: Handles) -> dict[URIRef | Literal, str]:
    """The handle of each node and value."""
    pools = ((letter, handles.pool(letter)) for letter in "nv")
    return {term: f"{letter}{number}" for letter, pool in pools for number, term in enumerate(pool)}
