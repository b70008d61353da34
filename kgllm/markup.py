"""Pieces of HTML: terms, tables of facts, folds. No text of a graph gets into them but escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from kgllm.display import linked, term_text
from kgllm.drawing import escaped
from kgllm.memory import WorkingMemoryGraph
from kgllm.terms import Namespaces, Node, Triple, URIRef

__all__ = ["SHOWN", "facts_table", "fold", "link_to", "more", "table_of"]

SHOWN = 200  # facts, members or violations in a table or list


def fold(summary: str, body: str, *, is_open: bool = False, is_page: bool = False) -> str:
    """A fold. In a page its summary is a heading; in a notebook that would be one of the notebook's own."""
    tag = "h2" if is_page else "b"
    return f"<details{' open' if is_open else ''}><summary><{tag}>{summary}</{tag}></summary>{body}</details>"


def link_to(term: Node, label: str | None, namespaces: Namespaces) -> str:
    """A term by its label, beside the IRI that it names: a label may lie, an IRI does not."""
    short = escaped(term_text(term, namespaces), cap=600)
    if not isinstance(term, URIRef):
        return f"<bdi>{short}</bdi>"
    named = f"<bdi>{escaped(label)}</bdi>" if label else f"<bdi>{short}</bdi>"
    named = linked(term, named)
    return f"{named} <code>{short}</code>" if label else named


def facts_table(
    facts: Sequence[Triple],
    memory: WorkingMemoryGraph,
    namespaces: Namespaces,
    *,
    ids: str = "",
    classes: Mapping[Triple, str] | None = None,
    end: Callable[[Node], str] | None = None,
) -> str:
    """Facts as rows, with the rule of one that follows; numbered if their ids are to begin with ``ids``.

    ``classes`` are those of the rows, ``end`` says how subjects and objects are written.
    """
    classes = classes or {}

    def link(term: Node) -> str:
        return link_to(term, memory.labels.get(term), namespaces)

    end = end or link
    rows, attributes = [], []
    for number, (s, p, o) in enumerate(facts[:SHOWN], start=1):
        fact = memory.fact((s, p, o))
        why = f"follows by {escaped(fact.rule)}" if fact is not None and fact.rule else ""
        rows.append([*([str(number)] if ids else []), end(s), link(p), end(o), why])
        attributes.append(
            (f' id="{ids}{number}"' if ids else "") + (f' class="{classes[s, p, o]}"' if (s, p, o) in classes else "")
        )
    heads = [*([""] if ids else []), "Subject", "Property", "Object"]
    if any(row[-1] for row in rows):
        heads.append("Why")
    return table_of(heads, [row[: len(heads)] for row in rows], attributes=attributes) + more(len(facts))


def table_of(heads: Sequence[str], rows: Iterable[Sequence[str]], *, attributes: Sequence[str] = ()) -> str:
    """A table of cells in HTML; ``attributes`` are those of its rows."""
    head = "".join(f'<th scope="col">{name}</th>' if name else "<td></td>" for name in heads)
    body = []
    for number, row in enumerate(rows):
        cells = "".join(f"<td>{cell}</td>" for cell in row)
        body.append(f"<tr{attributes[number] if attributes else ''}>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def more(count: int) -> str:
    """How many there are beyond those shown, if any."""
    return f'<p class="dim">and {count - SHOWN:,} more</p>' if count > SHOWN else ""
