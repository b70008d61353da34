"""How answers are shown: as text for a terminal, as Markdown, and as HTML without a script for a notebook.

Every text of the graph or of a model is cleaned and escaped here, and shown beside the IRI that it names: a label may
lie, an IRI does not.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from kgllm.terms import BNode, Literal, Namespaces, Node, Triple, URIRef, clean, local_name

if TYPE_CHECKING:
    from kgllm.answer import Answer
    from kgllm.memory import Fact, WorkingMemoryGraph
    from kgllm.protocols import Hit
    from kgllm.violation import Violation

__all__ = [
    "answer_html",
    "answer_markdown",
    "answer_page",
    "answer_text",
    "fact_lines",
    "hit_line",
    "named",
    "remarks",
    "term_text",
]

_FACTS_SHOWN = 40
_WIDEST_COLUMN = 44  # characters
_NODES_DRAWN = 30


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
    parts = [_counted(len(answer.memory.links), "link"), _counted(len(answer.memory), "fact")]
    if answer.facts:
        faults = [v for v in answer.violations if v.severity == "Violation"]
        is_checked = all(v.constraint != "notChecked" for v in answer.violations)
        if faults:
            parts.append(_counted(len(faults), "violation"))
        if not is_checked:
            parts.append("shapes not checked")
        elif not faults:
            parts.append("ontology ✓")
    if answer.rounds > 1:
        parts.append(f"{answer.rounds} rounds")
    if answer.dropped:
        parts.append(f"{_counted(answer.dropped, 'sentence')} of the model dropped, which its facts do not bear out")
    if answer.usage.prompt_tokens:
        parts.append(_counted(answer.usage.prompt_tokens + answer.usage.completion_tokens, "token"))
    parts.append(f"{answer.timings_ms.get('total', 0) / 1000:.1f} s")
    return " · ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def answer_markdown(answer: Answer) -> str:
    """The answer with its facts and its query, as Markdown in which no label can make a link or markup."""
    namespaces = answer.namespaces
    lines = [_no_markdown(clean(answer.text, cap=None)), ""]
    for number, (s, p, o) in enumerate(answer.facts[:_FACTS_SHOWN], start=1):
        s_text, o_text = (named(end, answer.memory.labels.get(end), namespaces) for end in (s, o))
        lines.append(
            f"{number}. {_no_markdown(s_text)} — {_no_markdown(term_text(p, namespaces))} → {_no_markdown(o_text)}"
        )
    if answer.sparql:
        fence = "`" * (3 + max((len(run) for run in re.findall("`+", answer.sparql)), default=0))
        lines += ["", f"{fence}sparql", *(clean(line, cap=None) for line in answer.sparql.splitlines()), fence]
    return "\n".join(lines)


_LINKED = re.compile(
    r"://|www\.|mailto:|xmpp:|@.*\.", re.IGNORECASE
)  # GitHub's Markdown makes links of these as they are


def _no_markdown(text: str) -> str:
    return re.sub(r"\S+", lambda word: _no_markdown_word(word[0]), text)


def _no_markdown_word(word: str) -> str:
    if not _LINKED.search(word):
        return re.sub(r"([\\`*_{}\[\]<>()#+!|~&])", r"\\\1", word)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", word)), default=0))
    return f"{fence} {word} {fence}"  # one space at each end is no part of the code


_COLOURS = {
    "topic": "#2b6cb0",
    "answer": "#2f855a",
    "bridge": "#718096",
    "concept": "#b7791f",
    "literal": "#a0aec0",
}
_WIDTH, _HEIGHT, _MARGIN, _RADIUS = 720, 420, 70, 9  # pixels
_ON_TOP = 'text-anchor="middle" stroke="#fff" stroke-width="3" paint-order="stroke"'  # a rim, to be read across lines
_FONT = "font-family:system-ui,sans-serif;font-size:14px;line-height:1.5"


def answer_page(answer: Answer) -> str:
    """The answer as a whole HTML document that may load and run nothing."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{_escaped(answer.question)}</title></head>\n<body>{answer_html(answer)}</body></html>"
    )


def answer_html(answer: Answer) -> str:
    """The answer as a fragment of HTML: text, a picture of the memory, facts, violations and query. No script."""
    namespaces = answer.namespaces
    said = re.sub(r"\[(\d+)\]", r"<sup>[\1]</sup>", _escaped(answer.text, cap=None))
    parts = [
        f'<p style="color:#4a5568;margin:0 0 4px">{_escaped(answer.question)}</p>',
        f'<p style="font-size:16px;margin:0 0 8px">{said}</p>',
    ]
    if answer.abstained and answer.nearest:
        nearest = ", ".join(f"{_html_node(hit.iri, None, namespaces)} ({hit.score:.2f})" for hit in answer.nearest)
        parts.append(f"<p>Nearest: {nearest}</p>")
    if len(answer.memory):
        parts.append(_picture(answer.memory, answer.facts))
    if answer.facts:
        parts.append(_details(_counted(len(answer.facts), "fact"), _facts_table(answer)))
    if answer.violations:
        items = "".join(f"<li>{_escaped(violation_line(v, namespaces))}</li>" for v in answer.violations[:_FACTS_SHOWN])
        parts.append(_details(_counted(len(answer.violations), "violation"), f"<ul>{items}</ul>"))
    if answer.sparql:
        query = "\n".join(_escaped(line, cap=None) for line in answer.sparql.splitlines())
        parts.append(_details("SPARQL", f'<pre style="white-space:pre-wrap">{query}</pre>'))
    parts.append(f'<p style="color:#718096;font-size:12px;margin:4px 0 0">{_escaped(remarks(answer))}</p>')
    return f'<div style="{_FONT};color:#1a202c;background:#fff;padding:12px;max-width:760px">{"".join(parts)}</div>'


def _escaped(text: str, *, cap: int | None = 300) -> str:
    return html.escape(clean(text, cap=cap))


def _details(summary: str, body: str) -> str:
    return f'<details style="margin:4px 0"><summary style="cursor:pointer">{summary}</summary>{body}</details>'


def _html_node(term: Node, label: str | None, namespaces: Namespaces) -> str:
    text = _escaped(named(term, label, namespaces), cap=600)
    if isinstance(term, URIRef) and str(term).startswith(("http://", "https://")):
        return f'<a href="{_escaped(str(term), cap=None)}" rel="noopener noreferrer">{text}</a>'
    return text


def _facts_table(answer: Answer) -> str:
    labels, namespaces = answer.memory.labels, answer.namespaces
    cell = '<td style="padding:2px 8px;text-align:left;vertical-align:top">'
    rows = []
    for number, (s, p, o) in enumerate(answer.facts[:_FACTS_SHOWN], start=1):
        fact = answer.memory.fact((s, p, o))
        why = f"entailed: {_escaped(fact.rule)}" if fact is not None and fact.rule else ""
        parts = [f"[{number}]", *(_html_node(term, labels.get(term), namespaces) for term in (s, p, o)), why]
        rows.append("<tr>" + "".join(f"{cell}{part}</td>" for part in parts) + "</tr>")
    more = len(answer.facts) - _FACTS_SHOWN
    return f"<table>{''.join(rows)}</table>" + (f"<p>and {more:,} more</p>" if more > 0 else "")


def _picture(memory: WorkingMemoryGraph, first: Sequence[Triple]) -> str:
    """The memory as SVG: a circle a node, coloured by its role, an arrow a triple, dashed where it is entailed."""
    drawn = _drawn(memory, first)
    places = _places(drawn)
    arrow = "arrow-" + sha256(memory.question.encode("utf-8", "replace")).hexdigest()[:8]  # unique in a notebook
    edges = "".join(_edge(fact, places, memory.labels, arrow) for fact in drawn)
    nodes = "".join(_circle(node, place, memory) for node, place in places.items())
    left_out = len(memory) - len(drawn)
    note = (
        f'<p style="color:#718096;font-size:12px;margin:0">{left_out:,} more facts are not drawn</p>'
        if left_out
        else ""
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" style="max-width:{_WIDTH}px" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" font-family="system-ui,sans-serif" font-size="11">'
        f'<defs><marker id="{arrow}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0 8 4 0 8z" fill="#a0aec0"/></marker></defs>'
        f"{edges}{nodes}</svg>{_legend(memory)}{note}"
    )


def _legend(memory: WorkingMemoryGraph) -> str:
    roles = [role for role in ("topic", "answer", "bridge") if role in memory.roles.values()]
    dots = " ".join(f'<span style="color:{_COLOURS[role]}">●</span> {role}' for role in roles)
    return f'<p style="color:#4a5568;font-size:12px;margin:0">{dots}</p>'


def _drawn(memory: WorkingMemoryGraph, first: Sequence[Triple]) -> list[Fact]:
    """The facts to draw, those of the claims first, over at most ``_NODES_DRAWN`` nodes."""
    chosen: list[Fact] = []
    nodes: set[Node] = set()
    ordered = dict.fromkeys([fact for triple in first if (fact := memory.fact(triple)) is not None] + list(memory))
    for fact in ordered:
        ends = {fact.triple[0], fact.triple[2]}
        if len(nodes | ends) <= _NODES_DRAWN:
            nodes |= ends
            chosen.append(fact)
    return chosen


def _places(drawn: Sequence[Fact]) -> dict[Node, tuple[float, float]]:
    """Pixels of each node, the same at every drawing."""
    import networkx

    graph = networkx.Graph()
    graph.add_edges_from((fact.triple[0], fact.triple[2]) for fact in drawn)
    layout = networkx.spring_layout(graph, seed=7, iterations=80, k=1.6 / max(1, len(graph)) ** 0.5)
    lows = [min(place[axis] for place in layout.values()) for axis in (0, 1)]
    spans = [max(place[axis] for place in layout.values()) - lows[axis] or 1.0 for axis in (0, 1)]
    sizes = (_WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN / 2)
    margins = (_MARGIN, _MARGIN / 2)

    def scaled(place: Sequence[float]) -> tuple[float, float]:
        x, y = (margins[a] + (float(place[a]) - lows[a]) / spans[a] * sizes[a] for a in (0, 1))
        return x, y

    return {node: scaled(place) for node, place in layout.items()}


def _circle(node: Node, place: tuple[float, float], memory: WorkingMemoryGraph) -> str:
    x, y = place
    is_literal = isinstance(node, Literal)
    role = "literal" if is_literal else memory.roles.get(node, "bridge")
    label = clean(str(node) if is_literal else memory.labels.get(node) or local_name(str(node)), cap=26)
    radius = 5 if is_literal else _RADIUS
    return (
        f'<g><circle cx="{x:.0f}" cy="{y:.0f}" r="{radius}" fill="{_COLOURS[role]}"/>'
        f'<text x="{x:.0f}" y="{y - radius - 4:.0f}" {_ON_TOP} fill="#1a202c">{html.escape(label)}</text>'
        f"<title>{_escaped(str(node))} ({role})</title></g>"
    )


def _edge(fact: Fact, places: Mapping[Node, tuple[float, float]], labels: Mapping[Node, str], arrow: str) -> str:
    s, p, o = fact.triple
    (x1, y1), (x2, y2) = places[s], places[o]
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5 or 1.0
    x_end, y_end = x2 - (x2 - x1) / length * (_RADIUS + 2), y2 - (y2 - y1) / length * (_RADIUS + 2)
    dash = "" if fact.rule is None else ' stroke-dasharray="4 3"'
    label = clean(labels.get(p) or local_name(str(p)), cap=26)
    return (
        f'<g><line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x_end:.0f}" y2="{y_end:.0f}" stroke="#a0aec0"{dash} '
        f'marker-end="url(#{arrow})"/><text x="{(x1 + x2) / 2:.0f}" y="{(y1 + y2) / 2 - 3:.0f}" {_ON_TOP} '
        f'fill="#718096" font-size="9">{html.escape(label)}</text><title>{_escaped(str(p))}</title></g>'
    )
