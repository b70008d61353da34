"""How answers are shown as text for a terminal and as Markdown.

Every text of the graph or of a model is cleaned and escaped here, and shown beside the IRI that it names: a label may
lie, an IRI does not.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from kgllm.terms import BNode, Literal, Namespaces, Node, Triple, URIRef, clean

if TYPE_CHECKING:
    from kgllm.answer import Answer
    from kgllm.protocols import Hit
    from kgllm.violation import Violation

__all__ = [
    "answer_markdown",
    "answer_text",
    "counted",
    "fact_lines",
    "hit_line",
    "linked",
    "named",
    "remarks",
    "term_text",
    "violation_line",
    "web_address",
]

_FACTS_SHOWN = 40
_WIDEST_COLUMN = 44  # characters


def term_text(term: Node, namespaces: Namespaces) -> str:
    """A term as it is written in Turtle, short: a CURIE, a plain number or date, or quoted text with its language."""
    if isinstance(term, URIRef):
        return clean(namespaces.curie(str(term)), cap=400)
    if isinstance(term, BNode):
        return f"_:{clean(str(term))}"
    text = clean(str(term))
    if isinstance(term, Literal) and term.language:
        return f'"{text}"@{clean(term.language)}'
    is_plain = isinstance(term, Literal) and term.datatype is not None and not str(term.datatype).endswith("#string")
    return text if is_plain else f'"{text}"'


def web_address(term: Node) -> str:
    """Where a term leads in a browser; empty where it is no web address, so that a link can run nothing."""
    is_one = isinstance(term, URIRef) and str(term).startswith(("http://", "https://"))
    return clean(str(term), cap=None) if is_one else ""


def linked(term: Node, inner: str) -> str:
    """Some HTML that stands for a term as a link to it; as it is where the term is no web address."""
    address = web_address(term)
    return f'<a href="{html.escape(address)}" rel="noopener noreferrer">{inner}</a>' if address else inner


def named(term: Node, label: str | None, namespaces: Namespaces) -> str:
    """A node as ``curie ! "label"``; a literal, or a node without a label, alone."""
    text = term_text(term, namespaces)
    return text if isinstance(term, Literal) or not label else f'{text} ! "{clean(label)}"'


def fact_lines(triples: Sequence[Triple], labels: Mapping[Node, str], namespaces: Namespaces) -> list[str]:
    """The triples as numbered lines in three columns; the label of a node is given where it first stands."""
    seen: set[Node] = set()

    def once(term: Node) -> str:
        label = None if term in seen else labels.get(term)
        seen.add(term)
        return named(term, label, namespaces)

    rows = [(once(s), term_text(p, namespaces), once(o)) for s, p, o in triples]
    widths = [min(_WIDEST_COLUMN, max((len(row[column]) for row in rows), default=0)) for column in (0, 1)]
    numbers = [f"[{number}]" for number in range(1, len(rows) + 1)]
    margin = max((len(number) for number in numbers), default=0)
    return [
        f"{number:>{margin}} {s:<{widths[0]}}   {p:<{widths[1]}}   {o}"
        for number, (s, p, o) in zip(numbers, rows, strict=True)
    ]


def hit_line(hit: Hit, label: str, types: Iterable[URIRef], namespaces: Namespaces) -> str:
    """A hit as ``0.83  curie ! "label"   a type``."""
    kinds = ", ".join(term_text(t, namespaces) for t in list(types)[:2]) if hit.kind == "node" else hit.kind
    return f"{hit.score:.2f}  {named(hit.iri, label, namespaces)}" + (f"   a {kinds}" if kinds else "")


def violation_line(violation: Violation, namespaces: Namespaces) -> str:
    """A violation in one line, with whose fault it is."""
    parts = [term_text(part, namespaces) for part in (violation.focus, violation.path) if part is not None]
    return f"{violation.severity.lower()} of the {violation.blame}: {' '.join([*parts, clean(violation.message)])}"


def answer_text(answer: Answer) -> str:
    """The answer, its numbered facts, and what violates the ontology or the shapes."""
    lines = [clean(answer.text, cap=None)]
    namespaces = answer.namespaces
    if answer.facts:
        lines += ["", "Facts", *fact_lines(answer.facts[:_FACTS_SHOWN], answer.memory.labels, namespaces)]
        if (more := len(answer.facts) - _FACTS_SHOWN) > 0:
            lines.append(f"… and {more:,} more: --json has all")
    if answer.violations:
        lines += ["", "Violations", *(f" {violation_line(v, namespaces)}" for v in answer.violations[:10])]
        if (more := len(answer.violations) - 10) > 0:
            lines.append(f" … and {more:,} more")
    return "\n".join(lines)


def remarks(answer: Answer) -> str:
    """What it took to answer, in one line."""
    parts = [counted(len(answer.memory.links), "link"), counted(len(answer.memory), "fact")]
    if answer.facts:
        faults = [v for v in answer.violations if v.severity == "Violation"]
        is_checked = all(v.constraint != "notChecked" for v in answer.violations)
        if faults:
            parts.append(counted(len(faults), "violation"))
        if not is_checked:
            parts.append("shapes not checked")
        elif not faults:
            parts.append("ontology ✓")
    if answer.unread:
        parts.append(f"not read: {', '.join(clean(word) for word in answer.unread)}")
    if answer.rounds > 1:
        parts.append(f"{answer.rounds} rounds")
    if answer.dropped:
        parts.append(f"{counted(answer.dropped, 'sentence')} of the model dropped, which its facts do not bear out")
    if answer.usage.prompt_tokens:
        parts.append(counted(answer.usage.prompt_tokens + answer.usage.completion_tokens, "token"))
    parts.append(f"{answer.timings_ms.get('total', 0) / 1000:.1f} s")
    return " · ".join(parts)


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number with its noun: ``1 fact``, ``2 facts``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def answer_markdown(answer: Answer) -> str:
    """The answer with its facts and its query, as Markdown in which no label can make a link or markup."""
    labels, namespaces = answer.memory.labels, answer.namespaces
    lines = [f"**{_no_markdown(clean(answer.question)).strip()}**", "", _no_markdown(clean(answer.text, cap=None)), ""]
    for number, (s, p, o) in enumerate(answer.facts[:_FACTS_SHOWN], start=1):
        subject, object_ = (_markdown_node(end, labels.get(end), namespaces) for end in (s, o))
        lines.append(f"{number}. {subject} — {_markdown_node(p, None, namespaces)} → {object_}")
    if (more := len(answer.facts) - _FACTS_SHOWN) > 0:
        lines += ["", f"… and {more:,} more facts"]
    if answer.violations:
        lines += ["", *(f"- {_no_markdown(violation_line(v, namespaces))}" for v in answer.violations[:_FACTS_SHOWN])]
    if answer.sparql:
        fence = "`" * (3 + max((len(run) for run in re.findall("`+", answer.sparql)), default=0))
        lines += ["", f"{fence}sparql", *(clean(line, cap=None) for line in answer.sparql.splitlines()), fence]
    return "\n".join(lines)


def _markdown_node(term: Node, label: str | None, namespaces: Namespaces) -> str:
    """A node by its label, with the IRI that it names as code; a literal as text."""
    if isinstance(term, Literal):
        return _no_markdown(term_text(term, namespaces))
    written = _code(term_text(term, namespaces))
    return f"{_no_markdown(clean(label))} ({written})" if label else written


_LINKED = re.compile(
    r"://|www\.|mailto:|xmpp:|@.*\.", re.IGNORECASE
)  # GitHub's Markdown makes links of these as they are


def _no_markdown(text: str) -> str:
    return re.sub(r"\S+", lambda word: _no_markdown_word(word[0]), text)


def _no_markdown_word(word: str) -> str:
    if not _LINKED.search(word):
        return re.sub(r"([\\`*_{}\[\]<>()#+!|~&])", r"\\\1", word)
    return _code(word)


def _code(text: str) -> str:
    """Text as a code span, in which nothing is markup; one space at each end of it is no part of the code."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"
